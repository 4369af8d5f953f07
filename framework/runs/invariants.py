"""The conclusions of a protocol's invariants about a run, next to those of the checkers, with the story of a breach."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from framework.checking.monitors import Breach, Watch
from framework.checking.verdict import CheckResult, Verdict
from framework.core.errors import ConfigError
from framework.core.message import NodeId
from framework.core.tracebacks import error_line, summed_up
from framework.engine.base import EngineResult, Experiment
from framework.replay.operation import find_operation, followed
from framework.replay.step_text import described
from framework.trace.columns import texts
from framework.trace.reader import Run

EVENTS_TOLD = 8
"""Number of events of each node in a story: the last before the invariant broke."""

STORY_LINES = 20
"""The maximum length of a story about an operation."""

_TOLD = texts(("start", "deliver", "timer", "note", "crash", "restart", "fault"))
_TOLD_OF_OPERATIONS = texts(("deliver", "timer", "note", "crash", "restart", "fault", "drop"))


def watched(experiment: Experiment, ended: EngineResult, opened: Callable[[], Run]) -> Watch | None:
    """Returns the engine's result of the invariants. On Ray, which cannot observe all nodes at once, evaluates them
    on the trace. `opened()` is the run that has ended."""
    asked = getattr(experiment.engine_config, "check_invariants", False) and experiment.protocol.invariants
    if ended.watch is not None or not asked or experiment.trace != "full":
        return ended.watch
    from framework.replay.invariants import watch_again

    try:
        return watch_again(opened(), experiment)
    except ConfigError as error:
        return Watch((), 0, failures={"invariants": str(error)})
    except Exception:
        return Watch((), 0, failures={"invariants": traceback.format_exc()})


def conclusions(watch: Watch | None, opened: Callable[[], Run]) -> list[CheckResult]:
    """Returns INVALID for a breach, UNKNOWN for an invariant that failed or if a node could not be followed all the
    time, else VALID. Returns an empty list if the invariants were not watched.

    A breach is UNKNOWN too if some node's record had a gap before it: the invariant then saw an old state of that node.
    """
    if watch is None:
        return []
    results = [_failed(name, text) for name, text in watch.failures.items()]
    if watch.breach is not None:
        return [_broken(watch.breach, watch, opened), *results]
    held = [name for name in watch.invariants if name not in watch.failures]
    if held and not watch.observations:
        results.append(_result("invariants", Verdict.UNKNOWN, f"nothing could be seen{_lost(watch)}", 0))
    elif held:
        reason = f"{', '.join(held) if len(held) < 4 else f'{len(held)} invariants'} held in {watch.observations:,} observations{_lost(watch)}"
        verdict = Verdict.UNKNOWN if watch.lost else Verdict.VALID
        results.append(_result("invariants", verdict, reason, watch.observations))
    return results


def _lost(watch: Watch) -> str:
    """Names the nodes that could not be followed all the time, for how long, and the reason for the first of them."""
    if not watch.lost:
        return ""
    span = f"up to {watch.unseen / 1e9:.1f} s of what {', '.join(watch.lost)} did"
    return f"; {span} could not be checked: {next(iter(watch.lost.values()))}"


def details(watch: Watch | None) -> dict[str, Any]:
    """Returns further details for result.json: the breach as data, and the tracebacks of invariants that failed."""
    told: dict[str, Any] = {}
    if watch is not None and watch.breach is not None:
        told["violation"] = msgspec.to_builtins(watch.breach)
    if watch is not None and watch.failures:
        told["invariant_failures"] = watch.failures
    return told


def _result(name: str, verdict: Verdict, reason: str, steps: int, story: Iterable[str] = ()) -> CheckResult:
    return CheckResult(name=name, verdict=verdict, reason=reason, story=tuple(story), steps=steps)


def _failed(name: str, text: str) -> CheckResult:
    return _result(name, Verdict.UNKNOWN, f"could not be checked: {summed_up(text)}", 0)


def _broken(breach: Breach, watch: Watch, opened: Callable[[], Run]) -> CheckResult:
    reason = f"{breach.what} ({', '.join(breach.nodes)}; at {breach.time / 1e6:,.3f} ms){_lost(watch)}"
    verdict = Verdict.UNKNOWN if watch.lost else Verdict.INVALID
    try:
        story = list(_story(opened(), breach))
    except ConfigError as error:
        story = [f"the trace cannot be read: {error}"]
    except Exception as error:  # the invariant is broken all the same
        story = [f"the trace cannot be read: {error_line(error)}"]
    result = _result(breach.name, verdict, reason, watch.observations, story)
    return msgspec.structs.replace(result, time=breach.time)


def _story(run: Run, breach: Breach) -> Iterator[str]:
    """Yields the last events of the nodes concerned, up to the step that broke the invariant; nothing without a full
    trace. If the invariant is about an operation, what happened to it at these nodes, and the step that broke it."""
    events = run.events
    events = events.filter(pc.less_equal(events["time"], breach.time))
    rows = [] if breach.operation is None else _about(run, events, breach)
    about = bool(rows)
    if not about:
        events = events.filter(pc.is_in(events["kind"].cast(pa.string()), _TOLD))
        for node in breach.nodes:
            table = events.filter(_at(events, node))
            rows += table.slice(max(len(table) - EVENTS_TOLD, 0)).to_pylist()
    rows.sort(key=lambda row: (row["time"], row["seq"]))
    middle = (
        range(STORY_LINES // 2 - 1, len(rows) - STORY_LINES // 2) if about and len(rows) > STORY_LINES else range(0)
    )
    for place, row in enumerate(rows):
        if place not in middle:
            mark = "  ← here it broke" if row["seq"] == breach.seq else ""
            yield f"{row['time'] / 1e6:12,.6f} ms  {row['node'] or '-'} {described(run, row)}{mark}"
        elif place == middle[0]:
            yield f"{'':17}… {len(middle):,} more, which replay --operation {breach.operation} shows"


def _about(run: Run, events: pa.Table, breach: Breach) -> list[dict[str, Any]]:
    """Returns what happened to the operation of the breach at its nodes: steps, losses of messages, and faults
    meanwhile; and the step that broke the invariant."""
    assert breach.operation is not None
    try:
        operation = find_operation(run, breach.operation)
    except ConfigError:  # an operation of no client, or one that the history does not have
        return []
    kinds = events["kind"].cast(pa.string())
    is_there = pc.equal(kinds, "fault")
    for node in breach.nodes:
        is_there = pc.or_(is_there, _at(events, node))
    belongs = pc.and_(followed(events, operation), is_there)
    broke = pc.or_(pc.equal(events["seq"], breach.seq), pc.fill_null(pc.equal(events["cause"], breach.seq), False))
    chosen = pc.and_(pc.is_in(kinds, _TOLD_OF_OPERATIONS), pc.or_(belongs, broke))
    rows: list[dict[str, Any]] = events.filter(chosen).to_pylist()
    return rows


def _at(events: pa.Table, node: NodeId) -> pa.ChunkedArray:
    """Returns, for each of `events`, whether it was at the node or a mount of it."""
    places = events["node"].cast(pa.string())
    known = [place for place in pc.unique(places).to_pylist() if place is not None]
    return pc.is_in(places, texts([place for place in known if place.partition("/")[0] == node]))
