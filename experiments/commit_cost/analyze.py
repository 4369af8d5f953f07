"""From counts to the table and the figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments import charts
from experiments.commit_cost.count import Cost, Counted
from experiments.commit_cost.lines import LINES, PARTICIPANTS, Line
from experiments.studies import show, write_rows

Found = Mapping[tuple[str, int, int], Sequence[Counted]]

SHOWN = ((3, 0), (5, 0), (5, 1), (5, 2), (10, 2))
"""The cases of the table: participants and faults."""

DRAWN = {
    "2PC, co-located": (0, "2PC"),
    "Paxos Commit, co-located": (1, "Paxos Commit, F=1"),
    "3PC, co-located": (0, "3PC; Faster Paxos Commit, F=1"),
    "Faster Paxos Commit, co-located": (2, "Faster Paxos Commit, F=2"),
}
"""The lines of the figure, with their faults, by the names that they have there."""


def arithmetic(line: Line, participants: int, faults: int) -> Cost:
    """Returns what every transaction of the line must take."""
    return Cost(*(formula[1](participants, faults) for formula in (line.delays, line.messages, line.forced)))


def report(counts: Sequence[Counted], folder: Path) -> bool:
    """Prints the table; writes rows and figure into `folder`. Returns whether every transaction took what arithmetic
    says."""
    found: dict[tuple[str, int, int], list[Counted]] = {}
    for one in counts:
        found.setdefault((one.line, one.participants, one.faults), []).append(one)
    _write(counts, folder / "counts.csv")
    _show(found)
    charts.save(figure(found), folder / "messages")
    return all(_agrees(line, found) for line in LINES.values())


def _agrees(line: Line, found: Found) -> bool:
    return all(set(one.costs) == {arithmetic(line, *case)} for case in line.cases() for one in found[line.name, *case])


def _write(counts: Sequence[Counted], file: Path) -> None:
    rows = [(one, cost, number) for one in counts for cost, number in one.costs.items()]
    columns: dict[str, list[object]] = {
        "line": [one.line for one, _, _ in rows],
        "participants": [one.participants for one, _, _ in rows],
        "faults": [one.faults for one, _, _ in rows],
        "seed": [one.seed for one, _, _ in rows],
        "transactions": [number for _, _, number in rows],
    }
    for field in Cost._fields:
        columns[field] = [getattr(cost, field) for _, cost, _ in rows]
    write_rows(file, columns)


def _show(found: Found) -> None:
    rows = []
    for line in LINES.values():
        cases = line.cases()
        counted = [_counted(found.get((line.name, *case), ())) if case in cases else "" for case in SHOWN]
        number = sum(number for case in cases for one in found[line.name, *case] for number in one.costs.values())
        rows.append((
            line.name, line.delays[0], line.messages[0], line.forced[0], *counted, f"{number:,}",
            "all" if _agrees(line, found) else "NOT all",
        ))  # fmt: skip
    sizes = (f"N={participants} F={faults}" for participants, faults in SHOWN)
    show(
        "Delays, messages and forced writes of a commit; in the columns of N and F: messages/forced, as counted",
        ("", "delays", "messages", "forced", *sizes, "counted", "as computed"),
        rows,
    )
    for line in LINES.values():
        if line.difference:
            print(f"{line.name}: {line.difference}")


def _counted(counts: Sequence[Counted]) -> str:
    costs = sorted({(cost.messages, cost.forced) for one in counts for cost in one.costs})
    return ", ".join(f"{messages}/{forced}" for messages, forced in costs)


def figure(found: Found) -> object:
    """Messages of one transaction against the number of participants."""
    drawn = {label: (LINES[name], faults) for name, (faults, label) in DRAWN.items()}
    measured = {
        label: [
            (float(n), float(cost.messages))
            for n in PARTICIPANTS
            if (n, faults) in line.cases() and n > 1
            for cost in sorted({cost for one in found[line.name, n, faults] for cost in one.costs})
        ]
        for label, (line, faults) in drawn.items()
    }
    computed = {
        label: [
            (float(n), float(line.messages[1](n, faults)))
            for n in PARTICIPANTS
            if (n, faults) in line.cases() and n > 1
        ]
        for label, (line, faults) in drawn.items()
    }
    chart = charts.curves(
        measured, formulas=computed, x="participants", y="messages of one transaction", legend="", dots=True, whole_x=True,
        title="Dots: counted from traces. Dashed: arithmetic. The coordinator is a participant", x_domain=(1.6, 10.4),
        y_domain=(0.0, 70.0),
    )  # fmt: skip
    return charts.below(chart, title="What a commit costs in messages: each fault to be tolerated adds about N, or 2N")
