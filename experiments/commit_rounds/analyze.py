"""Message delays of a commit against the number of participants, and against the claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments import charts
from experiments.commit_cost.count import Counted
from experiments.studies import show, write_rows

DELAYS = {"2PC": 4, "3PC": 6, "Paxos Commit": 5, "Faster Paxos Commit": 4}
"""The delays of each protocol with a coordinator of its own, whatever N."""
SIZES = tuple(range(2, 33))
SHOWN = (2, 3, 4, 5, 6, 7, 8, 16, 32)

Found = Mapping[tuple[str, int], Sequence[Counted]]


def report(counts: Sequence[Counted], folder: Path) -> bool:
    """Prints the table; writes rows and figure into `folder`. Returns whether the delays are constant, as computed."""
    found: dict[tuple[str, int], list[Counted]] = {}
    for one in counts:
        found.setdefault((one.line, one.participants), []).append(one)
    rows = [(one, cost, number) for one in counts for cost, number in one.costs.items()]
    write_rows(folder / "delays.csv", {
        "line": [one.line for one, _, _ in rows],
        "participants": [one.participants for one, _, _ in rows],
        "seed": [one.seed for one, _, _ in rows],
        "transactions": [number for _, _, number in rows],
        "delays": [cost.delays for _, cost, _ in rows],
    })  # fmt: skip
    show(
        "Message delays until the last participant knows; the claim: at most N-1",
        ("", *(f"N={size}" for size in SHOWN)),
        [
            ("the claim", *(str(size - 1) for size in SHOWN)),
            *((name, *(_delays(found[name, size]) for size in SHOWN)) for name in DELAYS),
        ],
    )
    charts.save(figure(found), folder / "delays")
    return all({cost.delays for cost in one.costs} == {DELAYS[one.line]} for one in counts)


def _delays(counts: Sequence[Counted]) -> str:
    return ", ".join(map(str, sorted({cost.delays for one in counts for cost in one.costs})))


def figure(found: Found) -> object:
    """Delays against N, with the claim."""
    drawn = {"2PC": "2PC; Faster Paxos Commit", "Paxos Commit": "Paxos Commit", "3PC": "3PC"}
    measured = {
        label: [
            (float(size), float(cost.delays))
            for size in SIZES
            for cost in sorted({cost for one in found[name, size] for cost in one.costs})
        ]
        for name, label in drawn.items()
    }
    claim = {"the claim: N-1": [(float(size), float(size - 1)) for size in SIZES]}
    chart = charts.curves(
        measured, formulas={**{label: [] for label in drawn.values()}, **claim}, x="participants", y="message delays", legend="",
        dots=True, whole_x=True, title="Dots: counted from traces. Dashed: the claim", x_domain=(1.0, 33.0),
        y_domain=(0.0, 12.0),
    )  # fmt: skip
    return charts.below(
        chart, title="A commit takes a fixed number of message delays, however many participants there are"
    )
