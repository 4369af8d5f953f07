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
from framework.core.tracebacks import error_line, summed_up
from framework.engine.base import EngineResult, Experiment
from framework.replay.step_text import described
from framework.trace.columns import texts
from framework.trace.reader import Run

EVENTS_TOLD = 8
"""Number of events of each node in a story: the last before the invariant broke."""

_TOLD = texts(("start", "deliver", "timer", "note", "crash", "restart", "fault"))


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
    reason = f"{breach.what} ({', '.join(breach.nodes)}; after {breach.time / 1e6:,.3f} ms){_lost(watch)}"
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
    trace."""
    events = run.events
    kinds = pc.is_in(events["kind"].cast(pa.string()), _TOLD)
    events = events.filter(pc.and_(kinds, pc.less_equal(events["time"], breach.time)))
    places = events["node"].cast(pa.string())
    known = [place for place in pc.unique(places).to_pylist() if place is not None]
    rows: list[dict[str, Any]] = []
    for node in breach.nodes:
        own = texts([place for place in known if place.partition("/")[0] == node])
        table = events.filter(pc.is_in(places, own))
        rows += table.slice(max(len(table) - EVENTS_TOLD, 0)).to_pylist()
    for row in sorted(rows, key=lambda row: (row["time"], row["seq"])):
        mark = "  ← here it broke" if row["seq"] == breach.seq else ""
        yield f"{row['time'] / 1e6:12,.6f} ms  {row['node']} {described(run, row)}{mark}"
