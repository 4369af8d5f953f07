"""`python -m framework.replay RUN [--until T] [--operation N] [--node N] [--steps]`: drives a run again and compares.

A simulated run is replayed whole, from its config.yaml. For a run on Ray every node, or the one named, is replayed from
the inputs in the trace, and must produce the same outputs. Exit code 0 if all is the same, 2 if something differs (the
output says where), or if the run cannot be replayed or compared (the output says why).
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports, so that their exceptions are reported too
    from framework.console.entry import run_as_command

    run_as_command("framework.replay.__main__")

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.console.command import Parser, duration, whole
from framework.console.entry import carried_out
from framework.core.errors import ConfigError, did_you_mean
from framework.core.time import MILLISECOND, SECOND, format_duration

if TYPE_CHECKING:
    from framework.replay.operation import TracedOperation
    from framework.trace.reader import Run

SAME, NOT_THE_SAME = 0, 2


def main(argv: Sequence[str]) -> int:
    """Runs the command with these arguments; returns its exit code."""
    return carried_out(lambda: _replay(_parser().read(argv)))


def _parser() -> Parser:
    parser = Parser("framework.replay", "Drives a run again and compares it with its record.")
    parser.add_argument("run", metavar="RUN", help="the run's folder")
    parser.add_argument("--until", metavar="T", type=duration, help="stop there: 1.5s, 300ms")
    parser.add_argument(
        "--operation",
        metavar="N",
        type=whole,
        help="stop when this operation completes, and print each step that had a part in it",
    )
    parser.add_argument("--node", metavar="N", help="show only this node, and its state at the end")
    parser.add_argument(
        "--steps",
        action="store_true",
        help="print each step: its input, and what came of it (of --operation: while it was under way)",
    )
    return parser


def _replay(asked: argparse.Namespace) -> int:
    from framework.replay.sim_replay import is_simulated
    from framework.trace.reader import open_run

    run = open_run(asked.run)
    operation, stop = _operation(run, asked), asked.until
    if operation is not None and operation.completed is not None:
        stop = operation.completed if stop is None else min(stop, operation.completed)
    return (_whole if is_simulated(run) else _nodes)(run, asked, operation, stop)


def _operation(run: Run, asked: argparse.Namespace) -> TracedOperation | None:
    """Returns the operation that --operation names; None without it."""
    from framework.replay.operation import find_operation

    if asked.operation is None:
        return None
    found = find_operation(run, asked.operation)
    if asked.until is not None and asked.until < found.invoked:
        what = f"ends before operation {found.number} was invoked, at {found.invoked / MILLISECOND:g} ms"
        raise ConfigError(f"--until {format_duration(asked.until)}", what)
    return found


def _whole(run: Run, asked: argparse.Namespace, operation: TracedOperation | None, stop: int | None) -> int:
    from framework.console.replay_report import of_whole
    from framework.replay.operation import find_operation
    from framework.replay.sim_replay import drive_again
    from framework.replay.step_text import told

    shown = asked.steps or asked.node is not None or operation is not None
    with tempfile.TemporaryDirectory(prefix="synod-replay-") as folder:
        again = drive_again(run, Path(folder), stop=stop, full=shown)
        nodes_by_name: dict[str, Any] = again.engine.simulation.nodes
        if asked.node is not None and asked.node not in nodes_by_name:
            raise ConfigError(f"--node {asked.node}", "is not in this run", did_you_mean(asked.node, nodes_by_name))
        nodes = None if asked.node is None else (asked.node,)
        if operation is not None and operation.completed is None and stop is None:
            operation = find_operation(again.again, operation.number)  # the original record may have been cut off
        if shown:
            _print(told(again.again, nodes, stop, steps=asked.steps, operation=operation))
            _print(_without_end(operation))
        if asked.node is not None:
            runtime = nodes_by_name[asked.node].runtime
            _state(asked.node, None if runtime is None else runtime.root, f"{again.ended.virtual_s:g} s")
        print(f"drove {run.folder} again to {again.ended.virtual_s:g} s of virtual time in {again.ended.wall_s:.1f} s")
        if not run.result.get("interrupted", True):
            _print(_past_the_end(asked.until, round(run.result["virtual_s"] * SECOND)))
        _print(of_whole(run, again))
        for reason in run.result.get("reasons", [])[:1]:
            print(f"its verdict was: {run.result.get('verdict')} — {' '.join(str(reason).split())}")
        if again.ended.interrupted:
            print("interrupted", file=sys.stderr)
            return NOT_THE_SAME
        return SAME if again.compared and again.difference is None else NOT_THE_SAME


def _nodes(run: Run, asked: argparse.Namespace, operation: TracedOperation | None, stop: int | None) -> int:
    import pyarrow.compute as pc

    from framework.console.replay_report import SUSPECTS, changed_versions, of_node
    from framework.replay.ray_replay import RayReplay
    from framework.replay.step_text import told

    nodes = None if asked.node is None else (asked.node,)
    replay = RayReplay(run, nodes)
    replay.drive(stop)
    reports = replay.reports()
    divergences = [report.divergence for report in reports if report.divergence is not None]
    if asked.steps or asked.node is not None or operation is not None:
        ends = [divergence.step.time for divergence in divergences]
        _print(told(run, nodes, min(ends) if ends else stop, steps=asked.steps, operation=operation))
        _print(_without_end(operation))
    if asked.node is not None:
        _state(asked.node, replay.root(asked.node), "the end")
    _print(_past_the_end(asked.until, pc.max(run.events["time"]).as_py() or 0))
    for report in reports:
        _print(of_node(run, report))
    if divergences:
        print(changed_versions(run) or SUSPECTS)
        return NOT_THE_SAME
    idle = [report.node for report in reports if not report.steps]
    if idle:
        print(f"nothing was recorded of {', '.join(idle)}")
    return NOT_THE_SAME if idle or any(report.lacking for report in reports) else SAME


def _state(name: str, node: Any, when: str) -> None:
    from framework.console.replay_report import of_state

    print(f"{name} at {when}: down" if node is None else f"{name} at {when}:")
    if node is not None:
        _print(of_state(node))


def _without_end(operation: TracedOperation | None) -> Iterator[str]:
    """Yields a line if the operation was under way when the run ended."""
    if operation is not None and operation.completed is None:
        yield f"operation {operation.number} had not completed when the run ended"


def _past_the_end(stop: int | None, end: int) -> Iterator[str]:
    """Yields a line if the run had ended before --until."""
    if stop is not None and stop > end:
        yield f"the run ended at {end / SECOND:g} s, before --until {format_duration(stop)}"


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
