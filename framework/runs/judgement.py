"""The verdict of a run: the findings of the checkers, and the reasons why a run may not count."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from framework.checking.verdict import NO_CHECKER, CheckResult, Verdict, worst
from framework.core.errors import ConfigError, PluginError, PluginFailed
from framework.core.time import format_duration
from framework.core.tracebacks import defined_at, error_line, place, plugin_gave, summed_up
from framework.engine.base import EngineResult, Experiment, NodeCrash
from framework.faults.ledger import LedgerEntry
from framework.registry.specs import CheckerSpec
from framework.runs.recovery import recovery

if TYPE_CHECKING:
    from framework.checking.finished_run import FinishedRun


class Judgement(NamedTuple):
    """A verdict with every reason against `valid`, the most serious first; a valid run has none."""

    verdict: Verdict
    reasons: tuple[str, ...]


def judge(
    experiment: Experiment,
    ended: EngineResult,
    checks: Sequence[CheckResult],
    doubts: Sequence[str] = (),
    promises: Sequence[CheckResult] = (),
) -> Judgement:
    """Returns INVALID if a handler raised, a check found a violation, a promise was broken, or a protocol that promises
    to recover could have done so but did not. Returns VALID only if nothing is in doubt.

    `doubts` are reasons against `valid` found elsewhere. `promises` are the conclusions about the protocol's own
    promises: its invariants, and the convergence of its replicas. They concern the nodes, not the clients' view, so
    they do not replace a checker.
    """
    crashed = [(Verdict.INVALID, crash_reason(crash)) for crash in ended.crashes if crash.traceback]
    lapse = recovery(experiment, ended) if _whole(ended) else None
    stuck = [] if lapse is None else [lapse]
    doubtful = [(Verdict.UNKNOWN, reason) for reason in (*doubts, *_doubts(experiment, ended, checks))]
    checked = [(check.verdict, f"{check.name}: {check.reason}") for check in (*promises, *checks)]
    findings = [*crashed, *stuck, *doubtful, *checked]
    verdict = worst(finding for finding, _ in findings)
    against = (Verdict.INVALID, Verdict.UNKNOWN)
    reasons = [reason for grade in against for finding, reason in findings if finding is grade]
    return Judgement(verdict, tuple(dict.fromkeys(reasons)))


def run_checkers(
    checkers: Sequence[tuple[CheckerSpec, Any]], run: FinishedRun
) -> tuple[list[CheckResult], dict[str, str]]:
    """Returns each checker's conclusion, and the tracebacks of failed checkers by name.

    A checker that fails or is interrupted by Ctrl-C concludes UNKNOWN. So do all checkers after an interrupt; earlier
    conclusions stay.
    """
    results: list[CheckResult] = []
    failures: dict[str, str] = {}
    for number, (spec, config) in enumerate(checkers):
        try:
            results.append(_conclusion(spec, spec.check(run, config)))
        except KeyboardInterrupt:
            names = ", ".join(other.name for other, _ in checkers[number:])
            results.append(undecided(names, "interrupted while checking"))
            break
        except PluginFailed as error:
            results.append(undecided(spec.name, error.what))
        except (ConfigError, PluginError) as error:
            results.append(undecided(spec.name, str(error)))
        except BaseException as error:  # third-party code: any exception becomes its conclusion
            at = place(error, spec.check)
            results.append(
                undecided(spec.name, f"the checker failed: {error_line(error)}" + (f" ({at})" if at else ""))
            )
            failures[spec.name] = traceback.format_exc()
    return results, failures


def _conclusion(spec: CheckerSpec, found: Any) -> CheckResult:
    """Returns a checker's result, under the name by which users choose the checker. Raises PluginFailed unless it is a
    CheckResult with fields of the right types."""
    if not isinstance(found, CheckResult):
        raise plugin_gave(f"checker={spec.name}", "the checker", found, "a CheckResult", spec.check)
    try:
        plain = msgspec.convert(msgspec.to_builtins(found), CheckResult)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        what = f"the checker returned an invalid CheckResult ({error_line(error)}; {defined_at(spec.check)})"
        raise PluginFailed(f"checker={spec.name}", what) from error
    return msgspec.structs.replace(plain, name=spec.name)


def undecided(name: str, reason: str) -> CheckResult:
    """Returns the conclusion UNKNOWN, for a checker that reached none."""
    return CheckResult(name=name, verdict=Verdict.UNKNOWN, reason=reason)


def crash_reason(crash: NodeCrash) -> str:
    """Returns `n2 crashed: ZeroDivisionError: division by zero in on_vote (mine.py:12)`, or the engine's reason if
    nothing was raised.

    The place is in the author's code; it is omitted if the traceback holds only framework code.
    """
    return f"{crash.node} crashed: {summed_up(crash.traceback) if crash.traceback else crash.why}"


def unfired(experiment: Experiment, ledger: Iterable[LedgerEntry]) -> list[str]:
    """Returns the reasons why configured faults did not happen, one line for each."""
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
    """Yields anomalies without a fault: disks that failed, nodes that stopped for good, operations that never ended."""
    for crash in ended.crashes:
        if crash.storage and not crash.asked:
            yield f"{crash.node}'s storage failed without a fault's doing: {crash.why}"
        elif not (crash.asked or crash.restarted or crash.traceback):
            yield f"{crash.node} stopped without a fault's doing and never came back: {crash.why}"
    if ended.tally.abandoned:
        clients = " ".join(sorted(ended.tally.abandoned))
        yield f"operations were still open at the end, past their time-out: those of {clients}"


def _whole(ended: EngineResult) -> bool:
    """Returns whether the run reached the end of its time."""
    return not (ended.interrupted or ended.failure or (ended.watch is not None and ended.watch.breach is not None))
