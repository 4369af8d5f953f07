"""Recovery: once the faults have ended, a protocol that promises to recover must serve clients again.

If too few nodes are left to serve, because disks are damaged or handlers have raised, nothing can be concluded. The
reason names the nodes that are down and why, the status of the others, and the operations that clients wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from framework.checking.verdict import Verdict
from framework.core.message import NodeId
from framework.core.status import Status, shown
from framework.core.time import MILLISECOND, format_duration
from framework.engine.base import Aftermath, EngineResult, Experiment, NodeCrash, Waiting

NAME = "recovery"

SHOWN = 10
"""Number of groups of nodes in the same state that a reason names."""


def recovery(experiment: Experiment, ended: EngineResult) -> tuple[Verdict, str] | None:
    """Returns the verdict and reason if the protocol did not recover; None if it did, or if that was not checked.

    A protocol did not recover if no operation due after the faults succeeded; if none was due, no operation that was
    under way at their end. The verdict is INVALID if the nodes that were left could have served and had the time for it,
    else UNKNOWN: on Ray, the last process to restart may leave less than `quiet`.
    """
    tally = ended.tally
    if tally.healed_at is None or unchecked(experiment) or not experiment.protocol.recovers:
        return None
    succeeded, tried = (tally.recovered, tally.asked) if tally.asked else (tally.freed, tally.stuck)
    if succeeded or not tried:
        return None
    left = experiment.duration - tally.healed_at
    verdict, when = _judged(experiment, ended, tally.healed_at)
    needed = _recovery_time(experiment)
    if verdict is Verdict.INVALID and 2 * left < experiment.quiet:
        verdict, when = Verdict.UNKNOWN, f"{when}, which took more than half of quiet={_span(experiment.quiet)}"
    elif verdict is Verdict.INVALID and left < needed:
        verdict, when = Verdict.UNKNOWN, f"{when}, and it may take {_span(needed)}: make quiet longer"
    told = [] if ended.aftermath is None else list(_told(ended.aftermath, ended.crashes))
    within = f"within {_span(left)}" if left > 0 else "before the load ended"
    return verdict, "; ".join((f"no progress {within} {when}", *told))


def _span(duration: int) -> str:
    """Returns a duration in text, rounded up to milliseconds."""
    return format_duration(-(-duration // MILLISECOND) * MILLISECOND)


def _recovery_time(experiment: Experiment) -> int:
    """Returns the nanoseconds that the protocol, and the state machine that it replicates, may take to serve again, by
    their configs; 0: they do not say."""
    time, machine = experiment.protocol.recovery_time, experiment.state_machine
    own = 0 if time is None else time(experiment.protocol_config)
    return own if machine is None else max(own, machine.build().recovery_time)


def unchecked(experiment: Experiment) -> dict[str, Any]:
    """Returns the reason why the promise cannot be checked in this run, for the result's details; empty if it can."""
    if experiment.faults and experiment.protocol.recovers and not experiment.quiet:
        return {NAME: "not checked: quiet=0 leaves the protocol no time after the faults"}
    return {}


def _judged(experiment: Experiment, ended: EngineResult, healed_at: int) -> tuple[Verdict, str]:
    """Returns INVALID if progress could be expected, else UNKNOWN; and the circumstances in words."""
    stopped = [crash.node for crash in ended.crashes if crash.time > healed_at and not (crash.asked or crash.traceback)]
    if stopped:
        return Verdict.UNKNOWN, f"after the faults ended, and {_names(stopped)} stopped since without a fault's doing"
    after = ended.aftermath
    if after is None or not after.down:
        return Verdict.INVALID, "after everything was healed"
    late = [node for node in after.down if node not in after.for_good]
    if late:
        return Verdict.UNKNOWN, f"after the faults ended, and {_names(late)} had not come back"
    if not after.running:
        return Verdict.UNKNOWN, "after the faults ended, and no node runs"
    if after.can_serve is None:
        doubt = f"and {experiment.protocol.name} does not say whether it can serve without {_names(after.down)}"
        return Verdict.UNKNOWN, f"after the faults ended, {doubt}"
    if not after.can_serve:
        return Verdict.UNKNOWN, f"after the faults ended, and {_names(after.running)} cannot serve alone"
    return Verdict.INVALID, f"after the faults ended, though {_names(after.running)} can serve alone"


def _told(after: Aftermath, crashes: Sequence[NodeCrash]) -> Iterable[str]:
    """Describes the nodes that are down, the status of the others, and the open operations."""
    states = {node: _down(node, after, crashes) for node in after.down}
    states |= {node: _state(status) for node, status in after.statuses.items() if status is not None}
    groups: dict[str, list[NodeId]] = {}
    for node, state in states.items():
        groups.setdefault(state, []).append(node)
    shown = [f"{_names(nodes)} {state}" for state, nodes in groups.items()]
    yield ", ".join((*shown[:SHOWN], *(["…"] if len(shown) > SHOWN else [])))
    if after.waiting:
        more = after.open - len(after.waiting)
        yield "open: " + ", ".join((*map(_waits, after.waiting), *([f"{more} more"] if more else [])))


def _down(node: NodeId, after: Aftermath, crashes: Sequence[NodeCrash]) -> str:
    """Returns a text such as `down for good (disk damaged)`."""
    last = max((crash for crash in crashes if crash.node == node), key=lambda crash: crash.time, default=None)
    if node in after.damaged:
        why = "disk damaged"
    elif last is None or (last.asked and not last.storage):
        why = "not back yet"
    else:
        why = f"raised {last.why}" if last.traceback else last.why
    return f"down{' for good' if node in after.for_good else ''} ({why})"


def _state(status: Status) -> str:
    """Returns a text such as `candidate (term 7)`: the roles, and the first other field that the node reports."""
    fields = shown(status)
    roles = " ".join(status.roles)
    if status.hosts:
        other = f"leads {len(status.leads)} of {len(status.hosts)} mounts"
    else:
        other = next((f"{name} {value}" for name, value in fields.items() if name not in ("roles", "leads")), "")
    return f"{roles} ({other})" if roles and other else roles or other or "running"


def _waits(waiting: Waiting) -> str:
    words = (waiting.client, waiting.function, waiting.key or "", f"since {waiting.since / 1e9:.3f}s")
    return " ".join(filter(None, words)) + (f" at {_names(waiting.at)}" if waiting.at else "")


def _names(nodes: Iterable[NodeId]) -> str:
    return " ".join(dict.fromkeys(nodes))
