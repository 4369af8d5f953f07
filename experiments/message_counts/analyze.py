"""From counts to the table and the figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments import charts
from experiments.message_counts.count import Cost, Counted
from experiments.message_counts.lines import LINES, SIZES, Line
from experiments.studies import show, write_rows

DRAWN = {
    "Paxos, acceptors tell learners": "Paxos, acceptors tell",
    "Paxos, the proposer tells learners": "Paxos, proposer tells",
    "ABD, write": "ABD, read or write",
    "ABD, read, write-back when needed": "ABD, read, no write-back",
    "Raft": "Raft and Multi-Paxos",
    "Multi-Paxos, thrifty": "Multi-Paxos, thrifty",
}
"""The lines of the figure, by the names that they have there."""


def arithmetic(line: Line, nodes: int) -> Cost:
    """What every operation of the line must take."""
    return Cost(line.delays, line.deciding[1](nodes), line.telling[1](nodes), line.hops, line.learned)


def report(counts: Sequence[Counted], folder: Path) -> bool:
    """Prints the tables; writes rows and figure into `folder`. Whether every operation took what arithmetic says."""
    found: dict[tuple[str, int], list[Counted]] = {}
    for one in counts:
        found.setdefault((one.line, one.nodes), []).append(one)
    _write(counts, folder / "counts.csv")
    _show_decisions(found)
    _show_apart(found)
    charts.save(figure(found), folder / "messages")
    return all(_agrees(line, nodes, found[line.name, nodes]) for line in LINES.values() for nodes in SIZES)


def _agrees(line: Line, nodes: int, counts: Sequence[Counted]) -> bool:
    return all(set(one.costs) == {arithmetic(line, nodes)} for one in counts)


def _write(counts: Sequence[Counted], file: Path) -> None:
    rows = [(one, cost, number) for one in counts for cost, number in one.costs.items()]
    columns: dict[str, list[object]] = {
        "line": [one.line for one, _, _ in rows],
        "nodes": [one.nodes for one, _, _ in rows],
        "seed": [one.seed for one, _, _ in rows],
        "operations": [number for _, _, number in rows],
    }
    for field in Cost._fields:
        columns[field] = [getattr(cost, field) for _, cost, _ in rows]
    write_rows(file, columns)


def _show_decisions(found: Mapping[tuple[str, int], Sequence[Counted]]) -> None:
    rows = []
    for line in LINES.values():
        sizes = [_messages(found[line.name, nodes]) for nodes in SIZES]
        agrees = all(_agrees(line, nodes, found[line.name, nodes]) for nodes in SIZES)
        told = "" if line.telling[0] == "0" else line.telling[0]
        operations = sum(number for nodes in SIZES for one in found[line.name, nodes] for number in one.costs.values())
        rows.append((
            line.name, str(line.delays), str(line.hops), line.deciding[0], told, *sizes, f"{operations:,}",
            "all" if agrees else "NOT all",
        ))  # fmt: skip
    show(
        "Message delays and messages (to decide + to tell learners); counted for n = 3, 5, 7, 9",
        ("", "delays", "hops", "decide", "tell", *(f"n={nodes}" for nodes in SIZES), "operations", "as computed"),
        rows,
    )


def _messages(counts: Sequence[Counted]) -> str:
    """The counts that were met; more than one if operations differed."""
    costs = sorted({(cost.deciding, cost.telling) for one in counts for cost in one.costs})
    return ", ".join(f"{deciding}+{telling}" if telling else str(deciding) for deciding, telling in costs)


def _show_apart(found: Mapping[tuple[str, int], Sequence[Counted]]) -> None:
    rows = []
    for name in ("Raft", "Multi-Paxos", "Multi-Paxos, thrifty"):
        for nodes in SIZES:
            counts = found[name, nodes]
            beats = sum(one.beats for one in counts)
            sent = {message: sum(one.apart.get(message, 0) for one in counts) for message in counts[0].apart}
            told = ", ".join(f"{message.partition('.')[2]} {number / beats:g}" for message, number in sent.items())
            rows.append((name, str(nodes), f"{sum(sent.values()) / beats:g}", told))
    show("Apart from all operations, for each heartbeat", ("", "n", "messages", "which"), rows)


def figure(found: Mapping[tuple[str, int], Sequence[Counted]]) -> object:
    """Messages of one decision, learners told, against the number of nodes."""
    measured = {
        label: [
            (float(nodes), float(cost.deciding + cost.telling))
            for nodes in SIZES
            for cost in sorted({cost for one in found[name, nodes] for cost in one.costs})
        ]
        for name, label in DRAWN.items()
    }
    computed = {
        label: [(float(n), float(LINES[name].deciding[1](n) + LINES[name].telling[1](n))) for n in SIZES]
        for name, label in DRAWN.items()
    }
    chart = charts.curves(
        measured, formulas=computed, x="nodes", y="messages of one decision", legend="", dots=True, whole_x=True, log_y=True,
        title="Dots: counted from traces. Dashed: arithmetic", x_domain=(2.6, 9.4), y_domain=(1.5, 120.0),
    )  # fmt: skip
    return charts.below(
        chart,
        title="Every count is the arithmetic's. With a stable leader a decision takes 2(n-1) messages, or half, if thrifty",
    )
