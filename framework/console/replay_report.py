"""Formats the result of a replay for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from framework.core.durable import DurableLog
from framework.core.node import Node
from framework.replay.node_driver import Divergence
from framework.replay.outputs import Output
from framework.replay.ray_replay import NodeReport
from framework.replay.sim_replay import SimReplay
from framework.replay.step_text import described, of_difference, shortened
from framework.runs.result import versions
from framework.trace.reader import Run

SUSPECTS = "Something other than config, seed and inputs affects the run: the order of a set, the global random, or a clock of the host."


def of_whole(run: Run, again: SimReplay) -> Iterator[str]:
    """Yields lines on whether the replay of a simulated run gave the same result."""
    if not again.compared:
        yield "cannot compare: the run was recorded at trace=none"
        return
    difference = again.difference
    if difference is None:
        digest = again.ended.digest
        known = digest is not None and digest == run.result.get("digest")
        yield f"same: {again.compared}" + (f", digest {digest}" if known else "")
        return
    yield f"differs at number {difference.number + 1:,} of {again.compared}:"
    yield f"  recorded: {of_row(run, difference.first)}"
    yield f"  replayed: {of_row(again.again, difference.second)}"
    if difference.columns:
        yield f"  in: {', '.join(difference.columns)}"
    yield changed_versions(run) or SUSPECTS


def of_row(run: Run, row: dict[str, Any] | None) -> str:
    """Formats an event, or an operation of a history, as one line."""
    if row is not None and "outcome" in row:
        return shortened(", ".join(f"{name}={value}" for name, value in row.items()))
    return of_difference(run, row)


def changed_versions(run: Run) -> str:
    """Returns a sentence on the packages whose versions have changed since the run; "" if none has."""
    before = run.result.get("versions") or {}
    now = versions(str((run.config.get("engine") or {}).get("name")))
    changed = [f"{name} {old} -> {now[name]}" for name, old in before.items() if name in now and now[name] != old]
    return f"Changed since then: {', '.join(changed)}." if changed else ""


def of_node(run: Run, report: NodeReport) -> Iterator[str]:
    """Yields lines on the replay of one node of a run on Ray."""
    done = f"{report.steps:,} steps, {report.compared:,} outputs"
    if report.divergence is not None:
        yield f"{report.node}: differs at step {report.divergence.number:,}, after {report.compared:,} outputs that are the same"
        yield from of_divergence(run, report.divergence)
    elif report.lacking:
        yield f"{report.node}: same so far ({done}), but cannot be replayed further: {report.lacking}"
    else:
        yield f"{report.node}: same ({done})"


def of_divergence(run: Run, divergence: Divergence) -> Iterator[str]:
    """Yields the step, and the recorded and the replayed output."""
    step = divergence.step
    row = {**step._asdict(), "cause": None if step.cause < 0 else step.cause}
    yield f"  {step.time / 1e6:,.6f} ms  {divergence.node} {described(run, row)}"
    yield f"  recorded: {_side(run, divergence.recorded)}"
    yield f"  replayed: {_side(run, divergence.replayed)}"


def _side(run: Run, side: Output | str) -> str:
    if isinstance(side, str):
        return side
    row = {
        "kind": side.kind, "message": side.name, "payload": side.payload, "peer": side.peer, "size": side.size,
        "cause": None, "seq": side.step,
    }  # fmt: skip
    return described(run, row) + (f" to {side.peer}" if side.peer else "")


def of_state(node: Node) -> Iterator[str]:
    """Yields the public attributes of a node, one a line."""
    for name, value in sorted(node.state().items()):
        yield f"  {name} = {shortened(_shown(value))}"


def _shown(value: Any) -> str:
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(repr, value))) + "}"
    if isinstance(value, DurableLog):
        return f"{value!r}" + (f", at last {value[value.last]!r}" if len(value) else "")
    if repr(value).startswith(f"<{type(value).__module__}."):
        return f"{type(value).__name__}({', '.join(f'{name}={_shown(each)}' for name, each in vars(value).items())})"
    return repr(value)
