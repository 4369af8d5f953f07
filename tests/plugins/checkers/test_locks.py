"""What clients and the store may see of locks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import MILLISECOND, SECOND, CheckResult, FinishedRun, LedgerEntry, Verdict
from framework.checking.history.calls import Call
from plugins.checkers.locks import (
    ProgressConfig,
    check_fencing_tokens,
    check_guarded_store,
    check_lock_progress,
    check_mutual_exclusion,
    longest_lease,
)

MS = MILLISECOND


@dataclass
class History:
    """Rows as the workload `lock` leaves them; times in milliseconds."""

    calls: list[Call] = field(default_factory=list)

    def add(
        self, client: str, function: str, at: float, argument: Any = None, result: Any = None, *,
        key: str = "l1", outcome: Any = "ok", took: float = 0.5, process: int | None = None,
    ) -> History:  # fmt: skip
        number = int(client[1:]) if process is None else process
        completed = None if outcome == "unknown" else int((at + took) * MS)
        call = Call(len(self.calls), client, number, function, key, argument, result, outcome, int(at * MS), completed)
        self.calls.append(call)
        return self

    def acquire(self, client: str, at: float, token: Any = None, **how: Any) -> History:
        return self.add(client, how.pop("function", "acquire"), at, None, token, **how)

    def read(self, client: str, at: float, position: int, value: Any = None, **how: Any) -> History:
        return self.add(client, "read", at, None, (value, position), **how)

    def write(self, client: str, at: float, position: int, value: str, before: Any = None, **how: Any) -> History:
        return self.add(client, "write", at, (None, value), (before, position), **how)

    def release(self, client: str, at: float, **how: Any) -> History:
        return self.add(client, "release", at, **how)

    def judged(self, check: Callable[..., CheckResult] = check_guarded_store, **run: Any) -> CheckResult:
        config = ProgressConfig() if check is check_lock_progress else None
        return check(FinishedRun(history=self.calls, **run), config)


def undisturbed() -> History:
    history = History()
    history.acquire("c1", 1, 1).read("c1", 2, 1).write("c1", 3, 2, "a").release("c1", 4)
    return history.acquire("c2", 4.5, 2).read("c2", 6, 3, "a").write("c2", 7, 4, "b", "a").release("c2", 8)


def test_turns_one_after_the_other_are_valid_to_all() -> None:
    for check in (check_mutual_exclusion, check_guarded_store, check_fencing_tokens):
        assert undisturbed().judged(check).verdict is Verdict.VALID


@pytest.mark.parametrize(
    "check", [check_mutual_exclusion, check_guarded_store, check_fencing_tokens, check_lock_progress]
)
def test_without_a_grant_nothing_is_known(check: Callable[..., CheckResult]) -> None:
    history = History().acquire("c1", 1, outcome="fail").acquire("c2", 1, outcome="unknown")
    assert history.judged(check).verdict is Verdict.UNKNOWN
    assert History().judged(check).verdict is Verdict.UNKNOWN


# Mutual exclusion.


def test_two_turns_at_once_are_invalid_unless_both_are_shared() -> None:
    def both(first: str, second: str) -> History:
        return (
            History()
            .acquire("c1", 1, function=first)
            .acquire("c2", 2, function=second)
            .release("c1", 3)
            .release("c2", 4)
        )

    result = both("acquire", "try_acquire").judged(check_mutual_exclusion)
    assert (result.verdict, result.reason) == (Verdict.INVALID, "c1 and c2 hold l1 at the same time")
    assert result.story == (
        "c1 acquires l1 at 1.500 ms, releases it at 3.000 ms",
        "c2 acquires l1 at 2.500 ms, releases it at 4.000 ms",
    )
    assert result.time == 2.5 * MS
    assert both("acquire_shared", "acquire").judged(check_mutual_exclusion).verdict is Verdict.INVALID
    assert both("acquire", "acquire_shared").judged(check_mutual_exclusion).verdict is Verdict.INVALID
    assert both("acquire_shared", "try_acquire_shared").judged(check_mutual_exclusion).verdict is Verdict.VALID


def test_turns_with_different_locks_may_overlap() -> None:
    history = History().acquire("c1", 1).acquire("c2", 1, key="l2").release("c1", 3).release("c2", 3, key="l2")
    assert history.judged(check_mutual_exclusion).verdict is Verdict.VALID


def test_a_lock_is_free_again_from_the_invocation_of_its_release() -> None:
    history = History().acquire("c1", 1).release("c1", 2, outcome="unknown").acquire("c2", 1.7)
    assert history.judged(check_mutual_exclusion).verdict is Verdict.VALID


def test_a_turn_without_a_release_does_not_end() -> None:
    history = History().acquire("c1", 1).acquire("c2", 900)
    assert history.judged(check_mutual_exclusion).verdict is Verdict.INVALID


@pytest.mark.parametrize(("at", "verdict"), [(5, Verdict.VALID), (8, Verdict.INVALID)])
def test_a_turn_ends_when_its_process_gives_up(at: int, verdict: Verdict) -> None:
    """A lock may be taken from a client that has crashed."""
    history = History().acquire("c1", 1, 1)
    history.calls.append(Call(1, "c1", 1, "write", "l1", (1, "a"), None, "unknown", 2 * MS, at * MS))
    result = history.acquire("c2", 6, 2).judged(check_mutual_exclusion)
    assert result.verdict is verdict
    ends = "c1 acquires l1 at 1.500 ms, token 1, never released, its process ends by 8.000 ms"
    assert result.story[:1] == ((ends,) if verdict is Verdict.INVALID else ())


@pytest.mark.parametrize(("client", "process"), [("c1", 4), ("c2", 2)])
def test_a_turn_ends_when_its_client_has_another_process(client: str, process: int) -> None:
    history = History().acquire("c1", 1, 1).acquire("c1", 5, outcome="fail", process=4)
    history.acquire(client, 6, 2, process=process)
    assert history.judged(check_mutual_exclusion).verdict is Verdict.VALID


TURNS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8), st.booleans()), max_size=6)


@given(TURNS)
def test_mutual_exclusion_agrees_with_looking_at_all_pairs(turns: list[tuple[int, int, bool]]) -> None:
    history = History()
    for number, (start, length, shared) in enumerate(turns, 1):
        function = "acquire_shared" if shared else "acquire"
        history.acquire(f"c{number}", start, function=function, took=0)
        history.release(f"c{number}", start + length)
    overlap = any(
        not (one[2] and two[2]) and max(one[0], two[0]) < min(one[0] + one[1], two[0] + two[1])
        for one, two in combinations(turns, 2)
    )
    expected = Verdict.INVALID if overlap else Verdict.VALID if turns else Verdict.UNKNOWN
    assert history.judged(check_mutual_exclusion).verdict is expected


# The store.


def test_a_write_between_two_accesses_of_a_turn_is_a_lost_update() -> None:
    history = History().acquire("c1", 1).read("c1", 2, 1).acquire("c2", 3).read("c2", 4, 2)
    history.write("c2", 5, 3, "b").release("c2", 6).write("c1", 7, 4, "a", "b")
    result = history.judged()
    assert result.verdict is Verdict.INVALID
    assert result.reason == "l1: lost update: c1 writes over what c2 wrote after c1's last access"
    assert result.story == (
        "c1 acquires l1 at 1.500 ms, never released",
        "access 1 to l1: c1 finds None, at 2.500 ms",
        "c2 acquires l1 at 3.500 ms, releases it at 6.000 ms",
        "access 2 to l1: c2 finds None, at 4.500 ms",
        "access 3 to l1: c2 finds None and writes b, at 5.500 ms",
        "access 4 to l1: c1 finds b and writes a, at 7.500 ms",
    )


def test_a_story_shows_the_first_turn_that_interferes() -> None:
    history = History().acquire("c1", 1).read("c1", 2, 1)
    for number in range(9):
        history.acquire("c2", 3 + number).read("c2", 3.1 + number, 2 + number).release("c2", 3.9 + number)
    story = history.write("c1", 90, 11, "a").judged().story
    assert [line.split(":")[0] for line in story] == [
        "c1 acquires l1 at 1.500 ms, never released", "access 1 to l1", "c2 acquires l1 at 3.500 ms, releases it at 3.900 ms",
        "access 2 to l1", "… and 8 more accesses of others", "access 11 to l1",
    ]  # fmt: skip


def test_the_faults_in_force_during_the_disturbed_turn_are_told() -> None:
    history = History().acquire("c1", 1).read("c1", 2, 1).acquire("c2", 3).read("c2", 4, 2).write("c1", 7, 3, "a")
    ledger = [
        LedgerEntry("over", details=["0: n1"], spans=[[0, 1 * MS]]),
        LedgerEntry("clock", details=["3ms: n3 fast", "8ms: n3 fast"], spans=[[3 * MS, 4 * MS], [8 * MS, 9 * MS]]),
        LedgerEntry("loss", details=["0: links of n4"], spans=[[0, -1]]),
    ]
    told = history.judged(ledger=ledger).story
    faults = ["fault loss from 0.000 ms on: links of n4", "fault clock from 3.000 ms to 4.000 ms: n3 fast"]
    assert [line for line in told if line not in history.judged().story] == faults
    times = [float(re.search(r"(?:from|at) ([\d.]+) ms", line)[1]) for line in told]  # type: ignore[index]
    assert times == sorted(times)
    many = LedgerEntry("crash", details=["3ms: n1"] * 20, spans=[[3 * MS, 4 * MS]] * 30)
    assert len(history.judged(ledger=[many]).story) == len(history.judged().story) + 6


def test_a_read_between_two_accesses_of_a_turn_is_interference_too() -> None:
    history = History().acquire("c1", 1).read("c1", 2, 1).acquire("c2", 3).read("c2", 4, 2).write("c1", 7, 3, "a")
    assert history.judged().reason == "l1: c2 reads between two accesses of c1, which holds the lock"


def test_a_write_that_nobody_was_answered_shows_in_the_value_that_is_found() -> None:
    history = History().acquire("c1", 1).read("c1", 2, 1).acquire("c2", 3)
    history.write("c2", 4, 0, "b", outcome="unknown").write("c1", 7, 3, "a", "b")
    assert history.judged().reason == "l1: lost update: c1 writes over what c2 wrote after c1's last access"


def test_a_lease_that_has_ended_matters_only_if_somebody_interferes() -> None:
    history = History().acquire("c1", 1).read("c1", 2, 1).acquire("c2", 3).write("c1", 4, 2, "a").read("c2", 5, 3, "a")
    assert history.judged().verdict is Verdict.VALID
    assert history.judged(check_mutual_exclusion).verdict is Verdict.INVALID


def test_sharers_may_read_between_one_another_and_see_no_write() -> None:
    shared = {"function": "acquire_shared"}
    history = History().acquire("c1", 1, **shared).acquire("c2", 1, **shared)
    history.read("c1", 2, 1).read("c2", 3, 2).read("c1", 4, 3)
    assert history.judged().verdict is Verdict.VALID
    history.acquire("c3", 5).write("c3", 6, 4, "c").read("c1", 7, 5, "c")
    assert history.judged().reason == "l1: c3 writes between two accesses of c1, which holds the lock"


def test_a_rejected_access_is_no_access() -> None:
    history = History().acquire("c1", 1, 1).read("c1", 2, 1).acquire("c2", 3, 2).read("c2", 4, 2)
    history.add("c1", "write", 5, (1, "a"), outcome="fail").write("c2", 6, 3, "b")
    assert history.judged().verdict is Verdict.VALID


def test_a_new_turn_of_the_same_client_is_another_turn() -> None:
    history = History().acquire("c1", 1).read("c1", 2, 1).release("c1", 3)
    history.acquire("c2", 4).read("c2", 5, 2).release("c2", 6).acquire("c1", 7).read("c1", 8, 3)
    assert history.judged().verdict is Verdict.VALID


@pytest.mark.parametrize("result", ["a", ("a",), ("a", "b"), None])
def test_an_answer_that_no_store_gives_is_unknown(result: Any) -> None:
    history = History().acquire("c1", 1).add("c1", "read", 2, None, result)
    assert history.judged().verdict is Verdict.UNKNOWN


def test_an_access_without_a_turn_is_unknown() -> None:
    assert History().read("c1", 2, 1).judged().verdict is Verdict.UNKNOWN


def test_two_accesses_with_one_position_are_unknown() -> None:
    history = History().acquire("c1", 1).read("c1", 2, 1).acquire("c2", 3).read("c2", 4, 1)
    assert history.judged().reason == "two accesses to l1 have the position 1"


SCRIPT = st.lists(st.tuples(st.integers(1, 3), st.sampled_from("rw"), st.booleans()), max_size=8)


@given(SCRIPT)
def test_the_store_agrees_with_ten_obvious_lines(script: list[tuple[int, str, bool]]) -> None:
    """Each client has one turn; an access may be left out of the history, as one that was not answered."""
    history, value, kept = History(), None, []
    for client in (1, 2, 3):
        history.acquire(f"c{client}", 0)
    for position, (client, kind, answered) in enumerate(script, 1):
        before = value
        if kind == "w":
            value = f"{client}.{position}"
        if answered and kind == "w":
            history.write(f"c{client}", position, position, value or "", before)
        elif answered:
            history.read(f"c{client}", position, position, before)
        kept.append((client, kind == "w", answered))
    seen = [index for index, (_, _, answered) in enumerate(kept) if answered]
    disturbed = any(
        any(kept[at][0] != kept[one][0] and (kept[at][2] or kept[at][1]) for at in range(one + 1, two))
        for one, two in combinations(seen, 2)
        if kept[one][0] == kept[two][0]
        and not any(kept[at][0] == kept[one][0] and kept[at][2] for at in range(one + 1, two))
    )
    own_unanswered = any(is_write and not answered for _, is_write, answered in kept)
    verdict = history.judged().verdict
    if not own_unanswered:
        assert verdict is (Verdict.UNKNOWN if not seen else Verdict.INVALID if disturbed else Verdict.VALID)
    elif verdict is Verdict.VALID:
        assert not any(
            kept[at][0] != kept[one][0] and kept[at][2]
            for one, two in combinations(seen, 2) if kept[one][0] == kept[two][0] for at in range(one + 1, two)
        )  # fmt: skip


# Tokens.


def test_a_token_that_falls_or_is_used_twice_is_invalid() -> None:
    falls = History().acquire("c1", 1, 5).release("c1", 2).acquire("c2", 3, 4)
    assert falls.judged(check_fencing_tokens).reason == "c2's turn with l1 has a lower token than that of c1 before it"
    twice = History().acquire("c1", 1, 5).release("c1", 2).acquire("c2", 3, 5)
    assert twice.judged(check_fencing_tokens).reason == "c2's turn with l1 has the same token as that of c1 before it"


def test_sharers_have_one_token() -> None:
    def shared(second: str) -> Verdict:
        history = History().acquire("c1", 1, 5, function="acquire_shared").acquire("c2", 3, 5, function=second)
        return history.judged(check_fencing_tokens).verdict

    assert shared("acquire_shared") is Verdict.VALID
    assert shared("acquire") is Verdict.INVALID


def test_grants_at_the_same_time_may_have_their_tokens_in_any_order() -> None:
    history = History().acquire("c1", 1, 5, took=3).acquire("c2", 2, 4, took=1)
    assert history.judged(check_fencing_tokens).verdict is Verdict.VALID


def test_tokens_of_different_locks_have_nothing_to_do_with_one_another() -> None:
    history = History().acquire("c1", 1, 5).acquire("c2", 3, 5, key="l2")
    assert history.judged(check_fencing_tokens).verdict is Verdict.VALID


def test_a_grant_without_a_token_is_unknown() -> None:
    assert undisturbed().acquire("c3", 9).judged(check_fencing_tokens).reason == "c3's grant of l1 has no token"


# Progress.

FINAL = {"final_at": 1 * SECOND}


def test_a_lock_that_somebody_acquires_in_the_end_makes_progress() -> None:
    history = undisturbed().acquire("c1", 1_000, 3).acquire("c2", 1_000, outcome="unknown")
    result = history.judged(check_lock_progress, **FINAL)
    assert result.verdict is Verdict.VALID
    assert result.measures == {
        "wait_ms": {"p50": 0.5, "p99": 0.5, "max": 0.5}, "overtaken": {"p50": 0, "p99": 0, "max": 0},
    }  # fmt: skip


def late(waited: float, outcome: str = "unknown") -> History:
    history = undisturbed()
    call = Call(99, "c1", 1, "acquire", "l1", None, None, outcome, 1 * SECOND, int((1_000 + waited) * MS))  # type: ignore[arg-type]
    history.calls.append(call)
    return history


@pytest.mark.parametrize(
    ("waited", "config", "verdict"),
    [
        (2_000, {}, Verdict.INVALID),
        (1_999, {}, Verdict.UNKNOWN),
        (2_000, {"protocol": {"lease": "1s"}}, Verdict.UNKNOWN),
        (3_000, {"protocol": {"lease": "1s"}}, Verdict.INVALID),
        (3_000, {"protocol": {"lease": "1s"}, "state_machine": {"lease": "1.5s"}}, Verdict.UNKNOWN),
    ],
)
def test_a_lock_that_nobody_can_acquire_is_stuck_if_they_waited_long_enough(
    waited: int, config: dict[str, Any], verdict: Verdict
) -> None:
    result = late(waited).judged(check_lock_progress, config=config, **FINAL)
    assert result.verdict is verdict
    assert result.reason.startswith("nobody could acquire l1 once faults were over")
    assert bool(result.story) == (verdict is Verdict.INVALID)


@pytest.mark.parametrize(("waited", "verdict"), [(2_099, Verdict.VALID), (2_100, Verdict.INVALID)])
def test_a_lock_that_some_acquired_and_then_nobody_is_stuck_since_it_was_used_last(
    waited: int, verdict: Verdict
) -> None:
    history = late(waited).acquire("c2", 1_050, 3).release("c2", 1_100)
    assert history.judged(check_lock_progress, **FINAL).verdict is verdict


def test_nobody_who_tried_in_the_end_is_unknown() -> None:
    assert undisturbed().judged(check_lock_progress).verdict is Verdict.UNKNOWN
    assert late(5_000, "fail").judged(check_lock_progress, **FINAL).verdict is Verdict.UNKNOWN


def test_a_lock_that_everybody_was_refused_is_unknown() -> None:
    history = undisturbed().acquire("c1", 1_000, 3).acquire("c1", 1_001, key="l2", outcome="fail")
    result = history.judged(check_lock_progress, **FINAL)
    assert result.verdict is Verdict.UNKNOWN
    assert result.reason == "every attempt to acquire l2 failed once faults were over"
    history.acquire("c2", 1_001, 4, key="l2")
    assert history.judged(check_lock_progress, **FINAL).verdict is Verdict.VALID


def test_a_turn_that_has_not_ended_is_no_standstill_while_its_client_works() -> None:
    history = late(4_000).acquire("c2", 1_050, 3)
    assert history.judged(check_lock_progress, **FINAL).verdict is Verdict.INVALID
    history.read("c2", 4_000, 1)
    assert history.judged(check_lock_progress, **FINAL).verdict is Verdict.VALID


def test_overtaking_counts_the_grants_to_others_while_a_client_waits() -> None:
    history = History().acquire("c1", 0, took=10)
    for number in range(3):
        history.acquire("c2", 1 + number).release("c2", 1.6 + number)
    history.acquire("c3", 1_000)
    measures = history.judged(check_lock_progress, **FINAL).measures
    assert measures["overtaken"]["max"] == 3


def test_the_longest_lease_of_a_run() -> None:
    assert longest_lease({}) == longest_lease({"protocol": {"lease": None}, "state_machine": None}) == 0
    assert longest_lease({"protocol": {"lease": "1s"}, "state_machine": {"lease": "20ms"}}) == SECOND


def test_the_story_of_a_lock_that_is_stuck_names_those_that_wait_and_the_faults_since_its_last_turn() -> None:
    ledger = [
        LedgerEntry("over", details=["1ms: n1"], spans=[[1 * MS, 2 * MS]]),
        LedgerEntry("partition", details=["30ms: n1 | n2 n3"], spans=[[30 * MS, 900 * MS]]),
    ]
    story = late(2_000).judged(check_lock_progress, ledger=ledger, **FINAL).story
    assert story[1:] == ("waiting for l1 in the end: c1", "fault partition from 30.000 ms to 900.000 ms: n1 | n2 n3")
