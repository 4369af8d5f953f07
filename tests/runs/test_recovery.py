"""Recovery is asked of a protocol where it can recover; the reason says who is down and why, and who waits for what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from framework import Status
from framework.checking.verdict import Verdict
from framework.config.compose import compose
from framework.core.time import MILLISECOND, SECOND
from framework.engine.base import Aftermath, NodeCrash, Waiting, agreed
from framework.engine.tally import Tally
from framework.runs.execute import execute
from framework.runs.judgement import judge
from framework.runs.recovery import SHOWN, recovery, unchecked
from tests.runs.fakes import CONTENT, FakeEngine, counted, crash, ended, experiment, plan

STUCK = {"healed_at": SECOND, "asked": 3}
UP = {"n1": Status(("candidate",), term=7), "n2": Status(("follower",), term=7)}
DOWN = Aftermath(
    statuses={**UP, "n3": None}, for_good=frozenset({"n3"}), damaged=frozenset({"n3"}), can_serve=True
)  # fmt: skip


def recovering(quiet: int = SECOND, **changes: Any) -> Any:
    """An experiment of two seconds with a fault, whose protocol promises to recover in the last `quiet` nanoseconds."""
    made = experiment(Path("runs/none"), faults=crash("500ms"), quiet=quiet, **changes)
    return replace(made, protocol=replace(made.protocol, recovers=True))


def found(after: Aftermath | None = None, **changes: Any) -> tuple[Verdict, str] | None:
    return recovery(recovering(), ended(counted(**STUCK), aftermath=after, **changes))


def test_where_all_nodes_run_a_protocol_that_does_not_recover_is_invalid_and_their_roles_are_told() -> None:
    after = Aftermath(statuses={**UP, "n3": Status(("follower",), term=7)}, can_serve=True)
    assert found(after) == (
        Verdict.INVALID,
        "no progress within 1s after everything was healed; n1 candidate (term 7), n2 n3 follower (term 7)",
    )


@pytest.mark.parametrize(("needed", "verdict"), [(SECOND, Verdict.INVALID), (SECOND + 1, Verdict.UNKNOWN)])
def test_a_protocol_that_needs_more_time_than_there_was_leaves_it_in_doubt(needed: int, verdict: Verdict) -> None:
    made = recovering()
    slow = replace(made, protocol=replace(made.protocol, recovery_time=lambda config: needed))
    after = Aftermath(statuses=UP, can_serve=True)
    concluded = recovery(slow, ended(counted(**STUCK), aftermath=after)) or (None, "")
    assert concluded[0] is verdict
    more = ", and it may take 1001ms: make quiet longer" if verdict is Verdict.UNKNOWN else ""
    assert concluded[1].startswith(f"no progress within 1s after everything was healed{more}; n1 candidate")


def found_if_healed_at(healed_at: int) -> tuple[Verdict, str] | None:
    """What is found of a run whose last node came back at `healed_at`; `quiet` began at 1 s, and the load ended at 2."""
    tally = counted(healed_at=healed_at, asked=3)
    return recovery(recovering(), ended(tally, aftermath=Aftermath(statuses=UP, can_serve=True)))


def test_a_protocol_that_had_half_of_the_time_promised_is_invalid() -> None:
    assert found_if_healed_at(1499 * MILLISECOND) == (
        Verdict.INVALID,
        "no progress within 501ms after everything was healed; n1 candidate (term 7), n2 follower (term 7)",
    )


@pytest.mark.parametrize(("healed_ms", "within"), [(1501, "within 499ms"), (2178, "before the load ended")])
def test_a_protocol_that_had_less_than_half_of_the_time_promised_is_left_in_doubt(healed_ms: int, within: str) -> None:
    assert found_if_healed_at(healed_ms * MILLISECOND) == (
        Verdict.UNKNOWN,
        f"no progress {within} after everything was healed, which took more than half of quiet=1s; "
        "n1 candidate (term 7), n2 follower (term 7)",
    )


def test_where_those_that_are_left_can_serve_it_is_invalid_too_and_not_everything_was_healed() -> None:
    assert found(DOWN) == (
        Verdict.INVALID,
        "no progress within 1s after the faults ended, though n1 n2 can serve alone; n3 down for good (disk damaged), "
        "n1 candidate (term 7), n2 follower (term 7)",
    )


def test_too_few_nodes_cannot_be_asked_to_recover() -> None:
    verdict, reason = found(replace(DOWN, can_serve=False)) or (None, "")
    assert verdict is Verdict.UNKNOWN
    assert reason.startswith(
        "no progress within 1s after the faults ended, and n1 n2 cannot serve alone; n3 down for good"
    )
    nobody = Aftermath(statuses={"n1": None}, for_good=frozenset({"n1"}), damaged=frozenset({"n1"}))
    assert found(nobody) == (
        Verdict.UNKNOWN,
        "no progress within 1s after the faults ended, and no node runs; n1 down for good (disk damaged)",
    )


def test_of_a_protocol_that_does_not_say_what_it_needs_nothing_is_concluded() -> None:
    verdict, reason = found(replace(DOWN, can_serve=None)) or (None, "")
    assert verdict is Verdict.UNKNOWN
    assert "and pings does not say whether it can serve without n3; " in reason


def test_a_node_that_was_not_back_in_time_leaves_it_in_doubt() -> None:
    late = replace(DOWN, for_good=frozenset(), damaged=frozenset())
    assert found(late) == (
        Verdict.UNKNOWN,
        "no progress within 1s after the faults ended, and n3 had not come back; n3 down (not back yet), "
        "n1 candidate (term 7), n2 follower (term 7)",
    )


def test_a_node_that_stopped_by_itself_after_the_faults_leaves_it_in_doubt() -> None:
    stopped = NodeCrash("n2", SECOND + 1, "killed unasked", restarted=True)
    verdict, reason = found(Aftermath(statuses=UP, can_serve=True), crashes=(stopped,)) or (None, "")
    assert verdict is Verdict.UNKNOWN
    assert "after the faults ended, and n2 stopped since without a fault's doing; " in reason
    for other in (
        replace(stopped, time=SECOND - 1),
        replace(stopped, asked=True),
        replace(stopped, traceback="raised"),
    ):
        verdict, _ = found(Aftermath(statuses=UP, can_serve=True), crashes=(other,)) or (None, "")
        assert verdict is Verdict.INVALID


def test_what_clients_wait_for_is_told_the_oldest_first() -> None:
    waiting = (Waiting("c1", "read", "k1", 900_000_000, ("n1", "n2")), Waiting("c2", "propose", None, SECOND))
    after = Aftermath(statuses=UP, can_serve=True, waiting=waiting, open=7)
    _, reason = found(after) or (None, "")
    assert reason.endswith("; open: c1 read k1 since 0.900s at n1 n2, c2 propose since 1.000s, 5 more")
    _, reason = found(replace(after, open=2)) or (None, "")
    assert reason.endswith("c2 propose since 1.000s")


def test_many_nodes_that_differ_are_not_all_told() -> None:
    statuses = {f"n{number}": Status(("candidate",), term=number) for number in range(1, SHOWN + 2)}
    _, reason = found(Aftermath(statuses=statuses, can_serve=True)) or (None, "")
    assert reason.endswith(f"n{SHOWN} candidate (term {SHOWN}), …")


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (Status(), "running"),
        (Status(leads=("a",), hosts=("a", "b")), "leads 1 of 2 mounts"),
        (Status(("replica",)), "replica"),
        (Status(("proposer", "acceptor"), "phase1", 3), "proposer acceptor (phase phase1)"),
        (Status(term=3), "term 3"),
    ],
)
def test_what_a_node_reports_is_told_in_brief(status: Status, told: str) -> None:
    assert (found(Aftermath(statuses={"n1": status}, can_serve=True)) or ("", ""))[1].endswith(f"; n1 {told}")


@pytest.mark.parametrize(
    "tally",
    [
        counted(healed_at=SECOND, asked=3, recovered=1),
        counted(healed_at=SECOND, stuck=2, freed=1),
        counted(healed_at=SECOND),
        counted(asked=3),
    ],
)
def test_what_recovered_or_was_never_asked_to_says_nothing(tally: Tally) -> None:
    assert recovery(recovering(), ended(tally, aftermath=DOWN)) is None


def test_without_a_quiet_time_recovery_is_not_checked_and_the_result_says_so(tmp_path: Path) -> None:
    hasty = recovering(quiet=0)
    assert recovery(hasty, ended(counted(healed_at=2 * SECOND, stuck=3))) is None
    assert judge(hasty, ended(counted(healed_at=2 * SECOND, stuck=3)), []).verdict is not Verdict.INVALID
    assert unchecked(recovering()) == {} == unchecked(experiment(tmp_path))
    made = plan(tmp_path / "run", CONTENT)
    result = execute(
        replace(made, experiment=replace(hasty, run_dir=tmp_path / "run")), FakeEngine(), lambda now, tally: None
    )
    assert result.details["recovery"] == "not checked: quiet=0 leaves the protocol no time after the faults"


FULL = NodeCrash("n3", 2, "no space left on the disk", asked=True, storage=True)


@pytest.mark.parametrize(
    ("crashes", "why"),
    [
        ((FULL, NodeCrash("n3", 1, "fault", asked=True)), "no space left on the disk"),
        ((NodeCrash("n3", 3, "fault", asked=True), FULL), "not back yet"),
        ((NodeCrash("n3", 3, "KeyError: 3", "Traceback"),), "raised KeyError: 3"),
        ((NodeCrash("n1", 3, "KeyError: 3", "Traceback"),), "not back yet"),
    ],
)
def test_why_a_node_is_down_is_what_stopped_it_last(crashes: tuple[NodeCrash, ...], why: str) -> None:
    after = replace(DOWN, damaged=frozenset())
    assert f"; n3 down for good ({why}), n1 " in (found(after, crashes=crashes) or ("", ""))[1]
    assert "; n3 down for good (disk damaged), n1 " in (found(DOWN, crashes=crashes) or ("", ""))[1]


def test_all_must_say_yes_and_somebody_must_say_something() -> None:
    assert (agreed([True, None, True]), agreed([True, False, None]), agreed([None]), agreed([])) == (
        True,
        False,
        None,
        None,
    )


def test_operations_are_counted_anew_when_all_nodes_are_back() -> None:
    tally = Tally(healed_at=1, asked=1, recovered=1, stuck=1, freed=1)
    tally.heal(5)
    assert (tally.healed_at, tally.asked, tally.recovered, tally.stuck, tally.freed) == (5, 0, 0, 0, 0)


@pytest.mark.parametrize(("lease", "verdict"), [("1s", Verdict.INVALID), ("1001ms", Verdict.UNKNOWN)])
def test_a_state_machine_whose_leases_outlast_the_rest_of_the_run_leaves_it_in_doubt(
    lease: str, verdict: Verdict
) -> None:
    composed = compose(
        ["experiment=raft_lock", "engine=sim", "faults=crash", f"state_machine.lease={lease}", "quiet=1s"]
    )
    made = replace(composed.experiment, duration=recovering().duration)
    after = Aftermath(statuses=UP, can_serve=True)
    concluded = recovery(made, ended(counted(**STUCK), aftermath=after)) or (None, "")
    assert concluded[0] is verdict
