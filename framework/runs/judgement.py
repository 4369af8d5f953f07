"""The verdict of a run: what the checkers found, and what keeps a run from counting as one."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from framework.core.errors import ConfigError, PluginError
from framework.core.faults import Entry
from framework.core.time import format_duration
from framework.engine.base import Crash, EngineResult, Experiment
from framework.registry.specs import CheckerSpec
from framework.verify.verdict import NO_CHECKER, CheckResult, Verdict, worst

if TYPE_CHECKING:
    from framework.verify.history import Calls
    from framework.verify.models import Models

_FRAME = re.compile(r'  File "(?P<file>.+)", line \d+, in (?P<function>\S+)')
_OURS = re.compile(r"[/\\]framework[/\\](core|engine)[/\\]")


class Judgement(NamedTuple):
    """A verdict with every reason against `valid`, the gravest first; a valid run has none."""

    verdict: Verdict
    reasons: tuple[str, ...]


def judge(
    experiment: Experiment,
    ended: EngineResult,
    checks: Sequence[CheckResult],
    doubts: Sequence[str] = (),
    promises: Sequence[CheckResult] = (),
) -> Judgement:
    """INVALID if a handler raised, a check found a violation, a promise was broken, or a protocol that recovers did not.

    VALID only if nothing at all is in doubt.

    `doubts` are reasons against `valid` that were found elsewhere. `promises` are what was found of the protocol's own, its
    invariants and that its replicas converge: they are about the nodes and not what clients saw, so they make up for no
    checker.
    """
    crashed = [(Verdict.INVALID, crash_reason(crash)) for crash in ended.crashes if crash.traceback]
    stuck = [(Verdict.INVALID, reason) for reason in _stuck(experiment, ended)]
    doubtful = [(Verdict.UNKNOWN, reason) for reason in (*doubts, *_doubts(experiment, ended, checks))]
    checked = [(check.verdict, f"{check.name}: {check.reason}") for check in (*promises, *checks)]
    findings = [*crashed, *stuck, *doubtful, *checked]
    verdict = worst(finding for finding, _ in findings)
    against = (Verdict.INVALID, Verdict.UNKNOWN)
    reasons = [reason for grade in against for finding, reason in findings if finding is grade]
    return Judgement(verdict, tuple(dict.fromkeys(reasons)))


def run_checkers(
    checkers: Iterable[tuple[CheckerSpec, Any]], calls: Calls, models: Models
) -> tuple[list[CheckResult], dict[str, str]]:
    """What each checker concludes, and the tracebacks of those that failed, by name; these conclude UNKNOWN."""
    results: list[CheckResult] = []
    failures: dict[str, str] = {}
    for spec, config in checkers:
        try:
            results.append(spec.check(calls, models, config))
        except (ConfigError, PluginError) as error:
            results.append(undecided(spec.name, str(error)))
        except Exception as error:  # a checker may be anyone's: what it raises is its conclusion
            results.append(undecided(spec.name, f"the checker failed ({_described(error)})"))
            failures[spec.name] = traceback.format_exc()
    return results, failures


def undecided(name: str, reason: str) -> CheckResult:
    """The conclusion of a checker that came to none."""
    return CheckResult(name=name, verdict=Verdict.UNKNOWN, reason=reason)


def crash_reason(crash: Crash) -> str:
    """`n2 crashed: ZeroDivisionError: division by zero in on_vote`, or the engine's own words if nothing was raised.

    The function named is the author's; none when only the framework's own stand in the traceback.
    """
    if not crash.traceback:
        return f"{crash.node} crashed: {crash.why}"
    lines = crash.traceback.rstrip().splitlines()
    raised = next((line for line in reversed(lines) if line and not line[0].isspace()), crash.why)
    frames = [frame for line in lines if (frame := _FRAME.match(line))]
    theirs = [frame for frame in frames if not _OURS.search(frame["file"])]
    mistake = raised.removeprefix(f"{PluginError.__module__}.").rstrip(".")  # our own errors speak in sentences
    return f"{crash.node} crashed: {mistake}" + (f" in {theirs[-1]['function']}" if theirs else "")


def unfired(experiment: Experiment, ledger: Iterable[Entry]) -> list[str]:
    """Why a configured fault did not happen, a line for each."""
    entries = list(ledger)
    known = {entry.fault.partition("/")[0] for entry in entries}
    idle = [
        f"fault {name} had nothing to do within {format_duration(experiment.duration - experiment.quiet)}"
        for name, _, _ in experiment.faults
        if name not in known
    ]
    return idle + [entry.missed for entry in entries if entry.missed]


def _doubts(experiment: Experiment, ended: EngineResult, checks: Sequence[CheckResult]) -> Iterable[str]:
    if ended.failure:
        yield f"the engine gave up: {ended.failure}"
    if ended.interrupted:
        yield f"interrupted after {ended.virtual_s:.1f} s of {format_duration(experiment.duration)}"
    if experiment.trace == "none":
        yield "trace=none keeps no history to check"
    elif not checks:
        yield NO_CHECKER
    if not ended.tally.ok:
        yield "no operation succeeded"
    if _whole(ended):
        yield from unfired(experiment, ended.ledger)
        yield from _missing(ended)


def _missing(ended: EngineResult) -> Iterable[str]:
    """What no fault did: disks that failed, nodes that stopped and stayed away, operations that never ended."""
    for crash in ended.crashes:
        if crash.storage and not crash.asked:
            yield f"{crash.node}'s storage failed without a fault's doing: {crash.why}"
        elif not (crash.asked or crash.restarted or crash.traceback):
            yield f"{crash.node} stopped without a fault's doing and never came back: {crash.why}"
    if ended.tally.abandoned:
        clients = " ".join(sorted(ended.tally.abandoned))
        yield f"operations were still open at the end, past their time-out: those of {clients}"


def _stuck(experiment: Experiment, ended: EngineResult) -> Iterable[str]:
    """Why a protocol that recovers did not: of what was asked of it after the heal, or waited since before, nothing succeeded."""
    tally = ended.tally
    if tally.healed_at is None or not experiment.protocol.recovers or not _whole(ended):
        return
    if (tally.asked and not tally.recovered) or (not tally.asked and tally.stuck and not tally.freed):
        span = format_duration(experiment.duration - tally.healed_at)
        yield f"no progress within {span} after everything was healed"


def _whole(ended: EngineResult) -> bool:
    """Whether the run came to the end of its time."""
    return not (ended.interrupted or ended.failure or (ended.watch is not None and ended.watch.breach is not None))


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
