"""Invalid outweighs unknown, which outweighs valid; and nothing is valid by default."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from framework.checking.finished_run import FinishedRun
from framework.checking.verdict import CheckResult, Verdict
from framework.core.client import Fail, Ok, Unknown
from framework.core.errors import ConfigError
from framework.core.time import SECOND
from framework.engine.base import NodeCrash, with_restarts
from framework.engine.tally import Tally
from framework.faults.ledger import LedgerEntry
from framework.registry.specs import CheckerSpec
from framework.runs.judgement import crash_reason, judge, run_checkers
from tests.runs.fakes import counted, crash, ended, experiment, raised

RUN = Path("runs/none")
VALID = CheckResult(name="linearizability", verdict=Verdict.VALID, reason="explained")
BROKEN = CheckResult(name="linearizability", verdict=Verdict.INVALID, reason="c1 read a value nobody wrote")
SPENT = CheckResult(name="linearizability", verdict=Verdict.UNKNOWN, reason="budget of 10 steps spent on key 'x'")


def test_a_run_with_a_satisfied_checker_is_valid_and_gives_no_reason() -> None:
    assert judge(experiment(RUN), ended(), [VALID]) == (Verdict.VALID, ())


def test_a_handler_that_raised_makes_the_run_invalid_and_names_the_handler() -> None:
    verdict, reasons = judge(experiment(RUN), ended(crashes=(raised(),)), [VALID])

    assert verdict is Verdict.INVALID
    assert reasons == ("n2 crashed: ZeroDivisionError: division by zero in on_vote (/home/ada/votes.py:12)",)


def test_a_crash_that_was_asked_for_is_no_reason() -> None:
    asked = NodeCrash("n2", SECOND, "fault: crash", asked=True)
    end = ended(crashes=(asked,), ledger=(LedgerEntry("crash", due=1, fired=1),))

    assert judge(experiment(RUN, faults=crash()), end, [VALID]).verdict is Verdict.VALID


def test_a_violation_outweighs_every_doubt_and_stands_first() -> None:
    verdict, reasons = judge(experiment(RUN), ended(interrupted=True), [SPENT, BROKEN])

    assert verdict is Verdict.INVALID
    assert reasons == (
        "linearizability: c1 read a value nobody wrote",
        "interrupted after 2.0 s of 2s",
        "linearizability: budget of 10 steps spent on key 'x'",
    )


@pytest.mark.parametrize(
    ("changes", "end", "checks", "reason"),
    [
        ({}, ended(), [], "no checker ran"),
        ({}, ended(), [SPENT], "linearizability: budget of 10 steps spent on key 'x'"),
        ({}, ended(Tally(unknown=4)), [VALID], "no operation succeeded"),
        ({}, ended(interrupted=True), [VALID], "interrupted after 2.0 s of 2s"),
        ({}, ended(failure="a machine is gone"), [VALID], "the engine gave up: a machine is gone"),
        ({"trace": "none"}, ended(), [], "trace=none keeps no history to check"),
        ({"faults": crash()}, ended(ledger=(LedgerEntry("crash", due=1),)), [VALID], "fault crash never fired"),
        ({"faults": crash("3s")}, ended(), [VALID], "fault crash had nothing to do within 2s"),
    ],
)
def test_what_leaves_a_run_in_doubt(changes: dict[str, Any], end: Any, checks: Any, reason: str) -> None:
    verdict, reasons = judge(experiment(RUN, **changes), end, checks)

    assert (verdict, reasons) == (Verdict.UNKNOWN, (reason,))


STOPPED = NodeCrash("n2", SECOND, "killed unasked")


def test_a_node_that_stopped_by_itself_and_never_came_back_leaves_the_run_in_doubt() -> None:
    reason = "n2 stopped without a fault's doing and never came back: killed unasked"

    assert judge(experiment(RUN), ended(crashes=(STOPPED,)), [VALID]) == (Verdict.UNKNOWN, (reason,))


@pytest.mark.parametrize("stopped", [replace(STOPPED, asked=True), replace(STOPPED, restarted=True)])
def test_a_node_that_a_fault_stopped_or_that_came_back_is_no_reason(stopped: NodeCrash) -> None:
    assert judge(experiment(RUN), ended(crashes=(stopped,)), [VALID]) == (Verdict.VALID, ())


@pytest.mark.parametrize("restarted", [False, True])
def test_a_disk_that_failed_without_a_faults_doing_leaves_the_run_in_doubt(restarted: bool) -> None:
    crash = NodeCrash("n2", SECOND, "disk I/O error", storage=True, restarted=restarted)
    reason = "n2's storage failed without a fault's doing: disk I/O error"

    assert judge(experiment(RUN), ended(crashes=(crash,)), [VALID]) == (Verdict.UNKNOWN, (reason,))
    assert judge(experiment(RUN), ended(crashes=(replace(crash, asked=True),)), [VALID]).verdict is Verdict.VALID


def test_all_but_the_last_crash_of_a_node_were_followed_by_a_restart() -> None:
    crashes = [NodeCrash("n2", 30, "again"), NodeCrash("n1", 10, "once"), NodeCrash("n2", 20, "once")]
    marked = with_restarts(crashes, up={"n1"})

    assert [(one.node, one.time, one.restarted) for one in marked] == [
        ("n1", 10, True), ("n2", 20, True), ("n2", 30, False),
    ]  # fmt: skip


def test_operations_that_outlive_their_time_out_leave_the_run_in_doubt() -> None:
    tally = counted()
    for client, lasted, timeout in (("c2", 200, 100), ("c1", 100, 100), ("c3", 99, 100), ("c4", 200, 0)):
        tally.abandon(client, lasted, timeout)
    reason = "operations were still open at the end, past their time-out: those of c1 c2"

    assert judge(experiment(RUN), ended(tally), [VALID]) == (Verdict.UNKNOWN, (reason,))


def test_what_a_run_that_was_cut_short_leaves_behind_is_no_further_doubt() -> None:
    end = ended(counted(abandoned={"c1": 1}), crashes=(STOPPED,), interrupted=True)

    assert judge(experiment(RUN), end, [VALID]).reasons == ("interrupted after 2.0 s of 2s",)


def healed(**counts: int) -> Tally:
    """What was counted of a run of two seconds that was healed after one."""
    return counted(healed_at=SECOND, **counts)


def recovering(promises: bool = True) -> Any:
    return experiment(RUN, protocol=replace(experiment(RUN).protocol, recovers=promises))


@pytest.mark.parametrize(
    ("tally", "stuck"),
    [
        (healed(asked=3, recovered=1), False),
        (healed(asked=3, recovered=0, stuck=2, freed=2), True),  # what came later must succeed too
        (healed(stuck=2, freed=1), False),
        (healed(stuck=2, freed=0), True),
        (healed(), False),  # nothing was asked of it
        (counted(asked=3), False),  # nothing was wrong with it
    ],
)
def test_what_promises_to_recover_must_once_everything_is_healed(tally: Tally, stuck: bool) -> None:
    verdict, reasons = judge(recovering(), ended(tally), [VALID])

    assert reasons == (("no progress within 1s after everything was healed",) if stuck else ())
    assert (verdict is Verdict.INVALID) == stuck
    assert judge(recovering(promises=False), ended(tally), [VALID]).verdict is Verdict.VALID


def test_operations_are_counted_by_whether_they_were_due_after_the_heal() -> None:
    tally = Tally(healed_at=SECOND)
    for outcome, due in ((Ok(None), SECOND), (Unknown("late"), SECOND), (Ok(None), 0), (Fail("no"), 0)):
        tally.completed(outcome, scheduled=due, now=2 * SECOND, warmup=0)

    assert (tally.asked, tally.recovered, tally.stuck, tally.freed) == (2, 1, 2, 1)


def test_an_interrupted_run_does_not_complain_of_faults_that_were_still_to_come() -> None:
    run = experiment(RUN, faults=crash())

    assert judge(run, ended(interrupted=True), [VALID]).reasons == ("interrupted after 2.0 s of 2s",)


def test_a_checker_that_raises_concludes_nothing_and_keeps_its_traceback() -> None:
    def careless(run: FinishedRun, config: Any) -> CheckResult:
        raise KeyError("x")

    spec = CheckerSpec(name="careless", summary="", check=careless)
    results, failures = run_checkers([(spec, None)], FinishedRun(history=[]))

    (result,) = results
    assert (result.name, result.verdict) == ("careless", Verdict.UNKNOWN)
    assert re.fullmatch(
        rf"the checker failed: KeyError: 'x' \(tests/runs/test_judgement\.py:{line_of(careless) + 1}\)", result.reason
    )
    assert "in careless" in failures["careless"]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def no_conclusion(returned: Any) -> Callable[..., Any]:
    def check(run: FinishedRun, config: Any) -> Any:
        if isinstance(returned, BaseException):
            raise returned
        return returned

    return check


BAD_CONCLUSIONS = [
    (None, "the checker returned None, expected a CheckResult ("),
    ("valid", "the checker returned 'valid' (str), expected a CheckResult ("),
    (
        CheckResult(name="odd", verdict="great", reason=""),  # type: ignore[arg-type]
        "the checker returned an invalid CheckResult (ValidationError: Invalid enum value 'great' - at `$.verdict`; ",
    ),
    (
        CheckResult(name="odd", verdict=Verdict.VALID, reason=None),  # type: ignore[arg-type]
        "the checker returned an invalid CheckResult (ValidationError: Expected `str`, got `null` - at `$.reason`; ",
    ),
    (SystemExit(1), "the checker failed: SystemExit: 1 ("),
    (asyncio.CancelledError(), "the checker failed: CancelledError ("),
    (RecursionError("too deep"), "the checker failed: RecursionError: too deep ("),
    (MemoryError(), "the checker failed: MemoryError ("),
    (Unspeakable(), "the checker failed: Unspeakable: its message cannot be printed ("),
    (ValueError("half a \ud800\nand more"), "the checker failed: ValueError: half a \\ud800 and more ("),
]


@pytest.mark.parametrize(("returned", "says"), BAD_CONCLUSIONS, ids=[says for _, says in BAD_CONCLUSIONS])
def test_a_checker_without_a_conclusion_is_unknown_and_the_others_are_asked_all_the_same(
    returned: Any, says: str
) -> None:
    odd = CheckerSpec(name="odd", summary="", check=no_conclusion(returned))
    sound = CheckerSpec(name="sound", summary="", check=lambda run, config: BROKEN)
    (unknown, broken), _ = run_checkers([(odd, None), (sound, None)], FinishedRun(history=[]))

    assert (unknown.name, unknown.verdict) == ("odd", Verdict.UNKNOWN)
    assert unknown.reason.startswith(says) and "test_judgement.py:" in unknown.reason
    assert broken == msgspec.structs.replace(BROKEN, name="sound")


def test_an_interrupted_check_loses_nothing_that_was_concluded_before() -> None:
    def endless(run: FinishedRun, config: Any) -> CheckResult:
        raise KeyboardInterrupt

    sound = CheckerSpec(name="sound", summary="", check=lambda run, config: BROKEN)
    slow = CheckerSpec(name="slow", summary="", check=endless)
    results, _ = run_checkers([(sound, None), (slow, None), (sound, None)], FinishedRun(history=[]))

    assert results[0] == msgspec.structs.replace(BROKEN, name="sound")
    assert [(result.name, result.reason) for result in results[1:]] == [("slow, sound", "interrupted while checking")]


def line_of(function: Callable[..., Any]) -> int:
    return inspect.getsourcelines(function)[1]


def test_a_checker_that_cannot_be_asked_so_says_why_in_its_own_words() -> None:
    def choosy(run: FinishedRun, config: Any) -> CheckResult:
        raise ConfigError("checker=choosy", "there is no model to check against")

    results, failures = run_checkers(
        [(CheckerSpec(name="choosy", summary="", check=choosy), None)], FinishedRun(history=[])
    )

    assert [result.reason for result in results] == ["checker=choosy: there is no model to check against"]
    assert failures == {}


def test_the_frame_named_is_the_authors_even_when_the_core_raised() -> None:
    crash = raised(function="on_request")
    deeper = crash.traceback.replace(
        "ZeroDivisionError: division by zero",
        '  File "/opt/synod/framework/core/node.py", line 5, in send\n    x\nPluginError: Votes: no node n9',
    )

    told = "n1 crashed: PluginError: Votes: no node n9 in on_request (/home/ada/votes.py:12)"
    assert crash_reason(NodeCrash("n1", 0, "raised", deeper)) == told


def test_a_message_of_several_lines_is_one_reason() -> None:
    crash = raised()
    longer = crash.traceback.replace("division by zero", "division\n  by\nzero")

    assert crash_reason(NodeCrash("n1", 0, "raised", longer)).startswith(
        "n1 crashed: ZeroDivisionError: division by zero in"
    )


def test_a_mistake_that_only_the_core_can_see_names_no_function() -> None:
    crash = NodeCrash(
        "n1", 0, "raised",
        'Traceback (most recent call last):\n  File "/opt/synod/framework/core/durable.py", line 5, in check_immutable\n'
        "framework.core.errors.PluginError: Votes.seen: cannot hold a list. Use a tuple.",
    )  # fmt: skip
    assert crash_reason(crash) == "n1 crashed: PluginError: Votes.seen: cannot hold a list. Use a tuple"


def test_a_crash_without_a_traceback_is_told_in_the_engines_words() -> None:
    assert crash_reason(NodeCrash("n1", 0, "killed by the system")) == "n1 crashed: killed by the system"
