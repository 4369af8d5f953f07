"""From counts to the table and the figure."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from pathlib import Path

from experiments import charts
from experiments.lock_cost.count import Counted, Line
from experiments.studies import show, write_rows


def report(found: Sequence[Counted], folder: Path) -> bool:
    """Prints the table; writes rows and figure into `folder`. Returns whether the counts are those of the literature."""
    write_rows(folder / "counts.csv", {
        "lock": [one.line.lock.name for one in found],
        "nodes": [one.line.nodes for one in found],
        "clients": [one.line.clients for one in found],
        "turns": [one.turns for one in found],
        "messages": [one.messages for one in found],
        "acquire_delays": [one.acquire for one in found],
        "hand_over_delays": [one.hand_over for one in found],
    })  # fmt: skip
    show(
        "Messages of a turn; delays until a free lock is granted, and from a release to the grant to the next",
        ("", "nodes", "clients", "turns", "messages", "literature", "acquire", "hand-over"),
        [
            (
                one.line.lock.name, str(one.line.nodes), str(one.line.clients), f"{one.turns:,}", f"{one.messages:.2f}",
                _spelled(expected(one.line)), f"{one.acquire:.2f}", "" if one.hand_over is None else f"{one.hand_over:.2f}",
            )
            for one in found
        ],
    )  # fmt: skip
    charts.save(figure(found), folder / "messages")
    return holds(found)


def holds(found: Sequence[Counted]) -> bool:
    """Returns whether each count is in the range of the literature."""
    return all(
        (limits := expected(one.line)) is None or limits[0] - 0.05 <= one.messages <= limits[1] + 0.05 for one in found
    )


def expected(line: Line) -> tuple[float, float] | None:
    """Returns the least and the most messages of a turn by the sources; None for the lock over Raft, whose leader also
    sends heartbeats."""
    n, contended = line.nodes, line.clients > 1
    match line.lock.name:
        case "lock server":
            return 4, 4  # request, grant, release, and its acknowledgement, which the textbooks leave out
        case "Redlock":
            return (4 * n, float("inf")) if contended else (4 * n, 4 * n)
        case "Lamport":
            return 3 * (n - 1), 3 * (n - 1)
        case "Ricart and Agrawala":
            return 2 * (n - 1), 2 * (n - 1)
        case "Maekawa":
            quorum = quorum_size(n)
            return 3 * (quorum - 1), (6 if contended else 3) * (quorum - 1)
        case "token ring":
            return (0, float("inf"))
    return None


def quorum_size(nodes: int) -> int:
    """Returns the size of a quorum: of a projective plane where there is one, else of a square grid."""
    planes = {7: 3, 13: 4, 21: 5, 31: 6}
    return planes.get(nodes) or 2 * isqrt(nodes) - 1


def figure(found: Sequence[Counted]) -> object:
    """Messages of a turn without contention, by the number of processes."""
    series = {
        name: [
            (float(one.line.nodes), one.messages)
            for one in found
            if one.line.lock.name == name and one.line.clients == 1
        ]
        for name in dict.fromkeys(one.line.lock.name for one in found if one.line.lock.between_nodes)
    }
    chart = charts.curves(
        series, x="processes", y="messages of a turn", legend="", dots=True, whole_x=True,
        title="One process takes turns, and nobody else wants the lock",
    )  # fmt: skip
    return charts.below(chart, title="Without a server: messages grow with the processes, or with their square root")


def _spelled(limits: tuple[float, float] | None) -> str:
    if limits is None:
        return ""
    low, high = limits
    if low == high:
        return f"{low:g}"
    return f"{low:g} or more" if high == float("inf") else f"{low:g} to {high:g}"
