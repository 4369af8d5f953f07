"""Classic histories, with the verdicts that the literature gives them."""

import os
import subprocess
import sys

import msgspec
import pytest

from framework.checking.history.calls import Call
from framework.checking.linearizability.bounds import Bounds
from framework.checking.linearizability.checker import check_linearizable, decide, divide
from framework.checking.models.containers import Queue, Set, Stack
from framework.checking.models.model import Model
from framework.checking.models.registers import Counter, KeyValue, Mutex, Register
from framework.checking.verdict import CheckResult, Verdict
from framework.core.errors import ConfigError
from tests.checking.histories import history, simulated

VALID, UNKNOWN, INVALID = Verdict.VALID, Verdict.UNKNOWN, Verdict.INVALID
REGISTER, KV, COUNTER = Register(), KeyValue(), Counter()


def verdict(model: Model, *rows: tuple) -> Verdict:
    return check_linearizable(history(*rows), model).verdict


def test_a_concurrent_read_may_see_the_old_or_the_new_value() -> None:
    for seen in (1, 2):
        rows = [(0, "write", 1, None, 0, 1), (0, "write", 2, None, 2, 9), (1, "read", None, seen, 3, 4)]
        assert verdict(REGISTER, *rows) is VALID


def test_a_stale_read() -> None:
    rows = [(0, "write", 1, None, 0, 1), (0, "write", 2, None, 2, 3), (1, "read", None, 1, 4, 5)]
    assert verdict(REGISTER, *rows) is INVALID
    assert check_linearizable(history(*rows), REGISTER).time == 5_000_000, "the completion that no order explains"


def test_new_then_old_while_the_write_is_under_way() -> None:
    write = (0, "write", 1, None, 0, 9)
    assert verdict(REGISTER, write, (1, "read", None, None, 1, 2), (1, "read", None, 1, 3, 4)) is VALID
    assert verdict(REGISTER, write, (1, "read", None, 1, 1, 2), (2, "read", None, None, 3, 4)) is INVALID


def test_a_lost_write() -> None:
    assert (
        verdict(KV, (0, "append", "a", None, 0, 1), (1, "append", "b", None, 2, 3), (0, "read", None, "b", 4, 5))
        is INVALID
    )


def test_a_split_brain_shows_two_clients_two_orders() -> None:
    writes = [(0, "write", 1, None, 0, 9), (1, "write", 2, None, 0, 9)]
    one = [(2, "read", None, 1, 1, 2), (2, "read", None, 2, 3, 4)]
    other = [(3, "read", None, 2, 1, 2), (3, "read", None, 1, 3, 4)]
    assert verdict(REGISTER, *writes, *one) is VALID
    assert verdict(REGISTER, *writes, *one, *other) is INVALID


def test_only_one_of_two_equal_cas_can_win() -> None:
    start = (0, "write", 0, None, 0, 1)
    first = (1, "cas", (0, 1), True, 2, 5)
    assert verdict(REGISTER, start, first, (2, "cas", (0, 2), False, 2, 5)) is VALID
    assert verdict(REGISTER, start, first, (2, "cas", (0, 2), True, 2, 5)) is INVALID
    assert verdict(REGISTER, start, first, (2, "cas", (1, 2), True, 2, 5)) is VALID


@pytest.mark.parametrize("third", [None, (3, "cas", (2, 3), True, 0, 9), (3, "read", None, 2, 0, 9)])
def test_values_that_can_only_be_made_from_one_another_are_never_made(third: tuple | None) -> None:
    circle = [(1, "cas", (1, 2), True, 0, 9), (2, "cas", (2, 1), True, 0, 9), *([third] if third else [])]
    for rows in (circle, [(0, "write", 0, None, 0, 1), *circle]):
        assert verdict(REGISTER, *rows) is INVALID
    rows = [(0, "write", 1, None, 0, 1), *circle]  # made by the write first, and by the exchange again
    branches = third is not None and third[1] == "cas"  # 2 is made once, and both take it
    assert verdict(REGISTER, *rows) is (INVALID if branches else VALID)


def test_values_made_by_unanswered_operations_alone_are_evidence_with_what_saw_them() -> None:
    unanswered = [(1, "cas", ("a", "b"), None, 0, None), (2, "cas", ("b", "a"), None, 0, None)]
    assert verdict(REGISTER, *unanswered, (0, "write", "c", None, 0, 1)) is VALID
    beyond = [*unanswered, (3, "cas", ("b", "d"), None, 0, None), (0, "read", None, "d", 2, 3)]
    (part,) = divide(history(*beyond), REGISTER)
    decision = decide(part.operations, part.model, 1_000, 1 << 20)
    assert decision.verdict is INVALID
    assert decide(decision.suspects, part.model, 1_000, 1 << 20).verdict is INVALID
    assert 'read() saw "d"' in " ".join(check_linearizable(history(*beyond), REGISTER).story)


def test_a_counter_that_counts_twice() -> None:
    rows = [(0, "increment", 1, 1, 0, 2), (1, "increment", 1, 1, 1, 3)]
    assert verdict(COUNTER, *rows) is INVALID
    assert verdict(COUNTER, rows[0], (1, "increment", 1, 2, 1, 3)) is VALID


def test_a_write_of_unknown_fate_may_show_up_late_but_never_goes_away_again() -> None:
    rows = [(0, "write", 1, None, 0, None), (1, "read", None, None, 5, 6), (1, "read", None, 1, 700, 701)]
    assert verdict(REGISTER, *rows) is VALID
    assert verdict(REGISTER, *rows, (2, "read", None, None, 800, 801)) is INVALID


def test_a_write_of_unknown_fate_takes_effect_once() -> None:
    rows = [
        (0, "write", 1, None, 0, None),
        (1, "read", None, 1, 1, 2),
        (1, "write", 2, None, 3, 4),
        (1, "read", None, 1, 5, 6),
    ]
    assert verdict(REGISTER, *rows) is INVALID
    assert verdict(REGISTER, (3, "write", 1, None, 0, None), *rows) is VALID


def test_a_call_marked_unknown_may_outlive_its_time_out() -> None:
    late, read = history((0, "write", 1, None, 0, 1), (1, "read", None, 1, 8, 9))
    before = msgspec.structs.replace(read, operation=2, result=None, invoked=5_000_000, completed=6_000_000)
    timed_out = msgspec.structs.replace(late, outcome="unknown")
    assert check_linearizable([timed_out, before, read], REGISTER).verdict is VALID
    assert check_linearizable([late, before, read], REGISTER).verdict is INVALID


def test_a_failed_write_never_happened() -> None:
    write, read = history((0, "write", 1, None, 0, 1), (1, "read", None, 1, 2, 3))
    assert check_linearizable([msgspec.structs.replace(write, outcome="fail"), read], REGISTER).verdict is INVALID


def test_equal_timestamps_are_concurrent_except_within_a_process() -> None:
    write, read = (0, "write", 1, None, 0, 5), (None, 5, 6)
    assert verdict(REGISTER, write, (1, "read", None, *read)) is VALID
    assert verdict(REGISTER, write, (0, "read", None, *read)) is INVALID


def test_a_refused_cas_waits_for_the_writes_of_its_own_process() -> None:
    # Its process wrote twice on the instant on which it began: nothing else can have refused it.
    rows = [(1, "write", 1, None, 7, 7), (1, "write", 1, None, 7, 7), (1, "cas", (0, 2), False, 7, 9)]
    assert verdict(REGISTER, *rows) is VALID


def test_of_two_equal_writes_the_one_that_its_process_waits_for_may_come_first() -> None:
    # Both end at 5. Process 0 goes on at that instant, so its write and its cas may both come before the other write.
    rows = [(1, "write", 1, None, 0, 5), (0, "write", 1, None, 0, 5), (0, "cas", (1, 2), True, 5, 8)]
    assert verdict(REGISTER, *rows, (2, "read", None, 1, 9, 10)) is VALID


def test_keys_are_objects_of_their_own() -> None:
    rows = [(0, "write", 1, None, 0, 1, "x"), (0, "read", None, None, 2, 3, "y")]
    assert verdict(KV, *rows) is VALID
    result = check_linearizable(history(*rows, (0, "read", None, 1, 4, 5, "y")), KV)
    assert (result.verdict, result.key) == (INVALID, "y")


def test_nothing_succeeded_is_unknown() -> None:
    assert verdict(REGISTER) is UNKNOWN
    result = check_linearizable(history((0, "write", 1, None, 0, None)), REGISTER)
    assert (result.verdict, result.reason) == (UNKNOWN, "no operation succeeded, nothing to check")


def test_a_broken_recorder_is_not_a_broken_system() -> None:
    with pytest.raises(ConfigError, match="before its invocation"):
        verdict(REGISTER, (0, "write", 1, None, 5, 4))


def knot(key: str) -> list[Call]:
    """Twelve concurrent increments by powers of three, and a sum that no choice of them gives."""
    rows = [(n, "increment", 3**n, None, 0, 100, key) for n in range(12)]
    return history(*rows, (99, "read", None, 3**11 - 1, 10, 20, key))


def test_a_spent_budget_is_unknown_and_names_the_key() -> None:
    result = check_linearizable(knot("k"), COUNTER, Bounds(steps=1000))
    assert (result.verdict, result.reason) == (UNKNOWN, "budget of 1,000 steps spent on key 'k'")
    assert 1000 < result.steps < 1100


@pytest.mark.long
def test_the_whole_budget_decides_what_its_share_did_not() -> None:
    other = history((0, "increment", 1, None, 0, 1, "a"))
    alone = check_linearizable(knot("k"), COUNTER)
    assert alone.verdict is INVALID
    together = check_linearizable(knot("k") + other, COUNTER, Bounds(steps=alone.steps + 100))
    assert (together.verdict, together.key) == (INVALID, "k")
    assert alone.steps <= together.steps <= alone.steps + 100


def test_a_hard_key_does_not_hide_a_broken_one() -> None:
    rows = [(0, "increment", 1, None, 0, 1, "z"), (0, "read", None, 0, 2, 3, "z")]
    result = check_linearizable(knot("k") + history(*rows), COUNTER, Bounds(steps=1000))
    assert (result.verdict, result.key) == (INVALID, "z")


MIXES = [
    (REGISTER, ("read", "write"), None),
    (KV, ("read", "write", "cas"), None),
    (KV, ("read", "write", "cas", "delete"), 5),
    (KV, ("read", "append"), None),
    (COUNTER, ("read", "increment"), None),
]


@pytest.mark.parametrize(("model", "functions", "values"), MIXES)
@pytest.mark.parametrize("unknown", [0.0, 0.02])
def test_long_histories_of_a_correct_object_are_valid(
    model: Model, functions: tuple[str, ...], values: int | None, unknown: float
) -> None:
    calls = simulated(model, 11, 3000, 20, ("x", "y"), functions, values=values, unknown=unknown)
    result = check_linearizable(calls, model)
    assert result.verdict is VALID, result.reason


@pytest.mark.parametrize(("model", "functions"), [(mix[0], mix[1]) for mix in MIXES if mix[2] is None])
def test_a_stale_read_planted_in_a_long_history_is_found(model: Model, functions: tuple[str, ...]) -> None:
    calls = simulated(model, 12, 3000, 10, ("x", "y"), functions, unknown=0.01)
    reads = [place for place, call in enumerate(calls) if call.function == "read" and call.known and call.key == "x"]
    early, late = reads[len(reads) // 2], reads[-20]
    calls[late] = msgspec.structs.replace(calls[late], result=calls[early].result)
    result = check_linearizable(calls, model)
    assert (result.verdict, result.key) == (INVALID, "x")
    assert f"{calls[late].client}, operation {calls[late].operation}: read() saw" in result.story[-1]


ROWS = [(Queue(), ("enqueue", "dequeue")), (Stack(), ("push", "pop"))]


@pytest.mark.parametrize(("model", "functions"), ROWS)
def test_a_long_history_of_a_queue_or_stack_is_decided_by_its_times(model: Model, functions: tuple[str, str]) -> None:
    calls = simulated(model, 13, 3000, 20, ("x", "y"), functions)
    result = check_linearizable(calls, model)
    assert (result.verdict, result.steps) == (VALID, 0)
    takes = [place for place, call in enumerate(calls) if call.function == functions[1] and call.result is not None]
    calls[takes[-1]] = msgspec.structs.replace(calls[takes[-1]], result=calls[takes[0]].result, key=calls[takes[0]].key)
    result = check_linearizable(calls, model)
    assert (result.verdict, len(result.story)) == (INVALID, 5)


@pytest.mark.parametrize(("model", "functions"), ROWS)
def test_takes_of_unknown_fate_do_not_make_a_long_history_hard(model: Model, functions: tuple[str, str]) -> None:
    result = check_linearizable(simulated(model, 3, 3000, 5, ("x",), functions, unknown=0.02), model)
    assert (result.verdict, result.steps) == (VALID, 0)


def test_a_dequeue_that_was_not_answered_may_have_taken_what_is_missing() -> None:
    rows = [(0, "enqueue", 1, None, 0, 1), (0, "enqueue", 2, None, 2, 3)]
    assert verdict(Queue(), *rows, (2, "dequeue", None, 2, 6, 7)) is INVALID
    assert verdict(Queue(), *rows, (1, "dequeue", None, None, 4, None), (2, "dequeue", None, 2, 6, 7)) is VALID
    assert verdict(Queue(), *rows, (1, "dequeue", None, None, 8, None), (2, "dequeue", None, 2, 6, 7)) is INVALID


def test_a_queue_is_empty_where_its_values_may_overlap_with_what_takes_them() -> None:
    rows = [(0, "enqueue", 1, None, 0, 2), (1, "dequeue", None, 1, 1, 4)]
    assert verdict(Queue(), *rows, (2, "dequeue", None, None, 3, 5)) is VALID
    assert verdict(Queue(), *rows, (1, "dequeue", None, None, 5, 6)) is VALID
    assert verdict(Queue(), *rows[:1], (1, "dequeue", None, 1, 6, 7), (2, "dequeue", None, None, 3, 5)) is INVALID


def test_an_acquire_may_be_refused_only_while_the_mutex_is_held() -> None:
    held = (0, "acquire", None, True, 0, 1)
    assert verdict(Mutex(), held, (1, "acquire", None, False, 2, 3)) is VALID
    assert verdict(Mutex(), held, (0, "release", None, None, 2, 3), (1, "acquire", None, False, 4, 5)) is INVALID
    assert verdict(Mutex(), (0, "release", None, None, 0, 1)) is INVALID


@pytest.mark.parametrize("unknown", [0.0, 0.02])
def test_one_key_with_all_five_functions_and_fifty_clients_is_decided_at_once(unknown: float) -> None:
    functions = ("read", "write", "append", "cas", "delete")
    calls = simulated(KV, 14, 2000, 50, ("x",), functions, unknown=unknown)
    result = check_linearizable(calls, KV)
    assert result.verdict is VALID
    assert result.steps < 10 * len(calls)


def test_a_history_with_quiet_moments_forgets_what_it_need_not_remember() -> None:
    rows = []
    for n in range(2000):
        rows.append((0, "write", n % 3, None, 4 * n, 4 * n + 2))
        rows.append((1, "write", (n + 1) % 3, None, 4 * n + 1, 4 * n + 2))
        rows.append((2, "read", None, (n + n // 7 % 2) % 3, 4 * n + 2.5, 4 * n + 3))
    result = check_linearizable(history(*rows), REGISTER)
    assert result.verdict is VALID
    assert result.steps < 20 * len(rows)


SCRIPT = """
import msgspec, sys
from framework.checking.linearizability.checker import check_linearizable
from framework.checking.models.registers import KeyValue
from tests.checking.histories import simulated
calls = simulated(KeyValue(), 5, 800, 10, ("x", "y"), ("read", "write", "cas", "append"), unknown=0.02)
reads = [place for place, call in enumerate(calls) if call.function == "read" and call.known and call.key == "x"]
calls[reads[-5]] = msgspec.structs.replace(calls[reads[-5]], result=calls[reads[len(reads) // 2]].result)
print(msgspec.json.encode(check_linearizable(calls, KeyValue())).decode())
"""


def test_the_result_does_not_depend_on_the_hash_seed(request: pytest.FixtureRequest) -> None:
    results = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=request.config.rootpath,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        results.add(done.stdout)
    (result,) = results
    assert msgspec.json.decode(result, type=CheckResult).verdict is INVALID


def test_a_set_that_nobody_reads_as_a_whole_is_an_object_for_each_value() -> None:
    """What a process does at one instant is in order for each value alone, as it is for each key."""
    rows = [
        (2, "add", 0, False, 8, 8), (1, "contains", 1, True, 8, 8), (2, "add", 1, None, 8, 9), (1, "add", 0, None, 8, None),
    ]  # fmt: skip
    assert verdict(Set(), *rows) is VALID
    assert (
        verdict(
            Set(), *[(*row[:4], row[4] + place / 10, row[5] and row[5] + place / 10) for place, row in enumerate(rows)]
        )
        is INVALID
    )
