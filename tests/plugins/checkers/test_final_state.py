"""What must be there in the end: by hand-made histories, by protocols that keep their promise, and by broken ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework import FinishedRun, Verdict
from framework.checking.history.calls import Call
from plugins.checkers.final_state import TotalQueueConfig, check_counter, check_set, check_total_queue
from tests.plugins.checkers.judged import judged

OBJECTS = {
    "set": ("workload=set", "checker=set"),
    "counter": ("workload=counter", "checker=counter", "protocol.counts=true"),
}
GOSSIP = f"plugins.path={Path(__file__).with_name('gossip.py')}"
FINAL = 1_000


def call(
    function: str, argument: Any = None, result: Any = None, outcome: Any = "ok", at: int = 0, key: str = "x"
) -> Call:
    call.count += 1  # type: ignore[attr-defined]
    return Call(
        call.count, "c1", 1, function, key, argument, result, outcome, at, None if outcome == "unknown" else at + 1
    )  # type: ignore[attr-defined]


call.count = 0  # type: ignore[attr-defined]


def final(function: str, result: Any, key: str = "x", outcome: str = "ok") -> Call:
    return call(function, None, result, outcome, FINAL, key)


def run(*calls: Call, final_at: int | None = FINAL) -> FinishedRun:
    return FinishedRun(history=list(calls), final_at=final_at)


ADDS = (call("add", "a"), call("add", "b"), call("add", "c", outcome="unknown"), call("add", "d", outcome="fail"))

SETS: list[tuple[list[Call], Verdict, str]] = [
    ([final("read", ["a", "b"])], Verdict.VALID, "every acknowledged value"),
    ([final("read", ["b", "c", "a"])], Verdict.VALID, "every acknowledged value"),
    ([final("read", ["a"])], Verdict.INVALID, "key x lost 'b': acknowledged, and in none of 1 final reads"),
    ([final("read", ["a"]), final("read", ["a", "b"])], Verdict.UNKNOWN, "'b' is in some of 2 final reads only"),
    ([final("read", ["a", "b", "d"])], Verdict.INVALID, "saw 'd', which nobody added"),
    ([call("read", None, ["e"]), final("read", ["a", "b"])], Verdict.INVALID, "saw 'e', which nobody added"),
    ([final("read", ["a", "b", "a"])], Verdict.INVALID, "saw 'a' more than once"),
    ([call("read", None, ["a", "b"])], Verdict.UNKNOWN, "key x was not read in the end"),
    ([final("read", None, outcome="unknown")], Verdict.UNKNOWN, "was not read in the end"),
    ([call("remove", "b"), final("read", ["a"])], Verdict.VALID, "every acknowledged value"),
    ([call("remove", "b", outcome="fail"), final("read", ["a"])], Verdict.INVALID, "lost 'b'"),
    ([call("add", True), final("read", ["a", "b", 1])], Verdict.INVALID, "saw 1, which nobody added"),
    ([final("read", 7)], Verdict.UNKNOWN, "which is not a list of values"),
    ([final("read", ["a", "b"]), call("add", "z", key="y")], Verdict.UNKNOWN, "key y was not read in the end"),
    ([final("read", []), call("add", "z", key="y")], Verdict.INVALID, "lost 2 values ('a', 'b')"),
    ([call("write", "b")], Verdict.UNKNOWN, "the history has operations of other objects"),
]  # fmt: skip


@pytest.mark.parametrize(("rest", "verdict", "says"), SETS, ids=[f"set{n}" for n in range(len(SETS))])
def test_a_set(rest: list[Call], verdict: Verdict, says: str) -> None:
    result = check_set(run(*ADDS, *rest), None)
    assert (result.verdict, says in result.reason) == (verdict, True), result.reason
    assert bool(result.story) is (verdict is Verdict.INVALID)


COUNTS = (
    call("increment", 5),
    call("increment"),
    call("increment", 10, outcome="unknown"),
    call("increment", 3, outcome="fail"),
)

COUNTERS: list[tuple[list[Call], Verdict, str]] = [
    ([final("read", 6)], Verdict.VALID, "every acknowledged increment"),
    ([final("read", 16)], Verdict.VALID, "every acknowledged increment"),
    ([final("read", 5)], Verdict.INVALID, "all 1 final reads miss the sum of what was acknowledged, 6 to 16"),
    ([final("read", 5), final("read", 6)], Verdict.UNKNOWN, "1 of 2 final reads miss 6 to 16"),
    ([final("read", 6), final("read", 17)], Verdict.INVALID, "all increments that were tried make 16"),
    ([call("increment", -1), final("read", 5), final("read", 17)], Verdict.UNKNOWN, "final_after"),
    ([call("increment", -4, outcome="unknown"), final("read", 2)], Verdict.VALID, "every acknowledged"),
    ([call("read", None, 3)], Verdict.UNKNOWN, "was not read in the end"),
    ([final("read", "6")], Verdict.UNKNOWN, "which is not an integer"),
]  # fmt: skip


@pytest.mark.parametrize(("rest", "verdict", "says"), COUNTERS, ids=[f"counter{n}" for n in range(len(COUNTERS))])
def test_a_counter(rest: list[Call], verdict: Verdict, says: str) -> None:
    result = check_counter(run(*COUNTS, *rest), None)
    assert (result.verdict, says in result.reason) == (verdict, True), result.reason


PUTS = (
    call("enqueue", "a"),
    call("enqueue", "b"),
    call("enqueue", "c", outcome="unknown"),
    call("enqueue", "d", outcome="fail"),
)
EMPTY = final("dequeue", None)

QUEUES: list[tuple[list[Call], Verdict, str]] = [
    ([call("dequeue", None, "a"), final("dequeue", "b"), EMPTY], Verdict.VALID, "what was put in came out"),
    ([call("dequeue", None, "c"), final("dequeue", "b"), final("dequeue", "a"), EMPTY], Verdict.VALID, "came out"),
    ([final("dequeue", "a"), EMPTY], Verdict.INVALID, "key x lost 'b': acknowledged, and never came out"),
    ([call("dequeue", outcome="unknown"), final("dequeue", "a"), EMPTY], Verdict.VALID, "came out"),
    ([call("dequeue", outcome="unknown"), EMPTY], Verdict.INVALID, "of which takes of unknown fate explain 1"),
    ([call("dequeue", outcome="fail"), final("dequeue", "a"), EMPTY], Verdict.INVALID, "lost 'b'"),
    ([final("dequeue", "a"), final("dequeue", "b")], Verdict.UNKNOWN, "key x was not emptied in the end"),
    ([call("dequeue", None, None), final("dequeue", "a")], Verdict.UNKNOWN, "was not emptied in the end"),
    ([final("dequeue", "d"), final("dequeue", "a"), final("dequeue", "b"), EMPTY], Verdict.INVALID, "took 'd', which nobody put in"),
    ([final("dequeue", "a"), final("dequeue", "a"), final("dequeue", "b"), EMPTY], Verdict.INVALID, "put in once and came out 2 times"),
]  # fmt: skip


@pytest.mark.parametrize(("rest", "verdict", "says"), QUEUES, ids=[f"queue{n}" for n in range(len(QUEUES))])
def test_a_queue(rest: list[Call], verdict: Verdict, says: str) -> None:
    result = check_total_queue(run(*PUTS, *rest), TotalQueueConfig())
    assert (result.verdict, says in result.reason) == (verdict, True), result.reason


def test_a_queue_that_promises_less_may_give_a_value_twice() -> None:
    twice = (final("dequeue", "a"), final("dequeue", "a"), final("dequeue", "b"), EMPTY)
    assert check_total_queue(run(*PUTS, *twice), TotalQueueConfig(at_least_once=True)).verdict is Verdict.VALID


@pytest.mark.parametrize("check", [check_set, check_counter])
def test_without_a_final_phase_or_a_history_nothing_is_known(check: Any) -> None:
    function = "add" if check is check_set else "increment"
    assert "no final phase" in check(run(call(function, 1), final_at=None), None).reason
    result = check(run(), None)
    assert (result.verdict, "nothing was invoked" in result.reason) == (Verdict.UNKNOWN, True)


# Runs.

SHORT = ("engine=sim", "nodes=3", "clients=4", "duration=400ms", "workload.think_time=5ms", "trace=history")
EVENTUAL = ("protocol=gossip", "workload.final_after=300ms")


@pytest.mark.parametrize("workload", ["set", "counter"])
def test_an_eventually_consistent_object_is_valid_once_it_has_had_its_time(workload: str, tmp_path: Path) -> None:
    kept = judged(tmp_path, GOSSIP, *SHORT, *EVENTUAL, *OBJECTS[workload])
    assert (kept.verdict, kept.reasons) == (Verdict.VALID, ())
    hasty = judged(
        tmp_path / "hasty",
        GOSSIP,
        *SHORT,
        "protocol=gossip",
        "protocol.interval=200ms",
        f"workload={workload}",
        f"checker={workload}",
    )
    assert hasty.verdict is not Verdict.VALID


@pytest.mark.parametrize(
    ("workload", "bug", "says"),
    [
        ("set", "forgets", "set: key k1 lost "),
        ("set", "silent", "final reads"),
        ("set", "overwrites", "set: key k1 lost "),
        ("set", "doubles", "more than once"),
        ("set", "invents", "which nobody added"),
        ("counter", "forgets", "final reads miss the sum of what was acknowledged"),
        ("counter", "silent", "final reads miss"),
        ("counter", "doubles", "all increments that were tried make"),
        ("counter", "invents", "all increments that were tried make"),
    ],
)
def test_planted_bugs_are_seen_in_the_end(workload: str, bug: str, says: str, tmp_path: Path) -> None:
    kept = judged(
        tmp_path, GOSSIP, *SHORT, *EVENTUAL, *OBJECTS[workload], f"protocol.bug={bug}",
        *(["workload.read=0"] if workload == "counter" else []),
    )  # fmt: skip
    assert kept.verdict is not Verdict.VALID
    assert any(says in reason for reason in kept.reasons), kept.reasons
    if bug != "silent":
        assert kept.verdict is Verdict.INVALID


@pytest.mark.parametrize("kind", ["queue", "stack"])
def test_a_replicated_queue_or_stack_is_emptied_in_the_end(kind: str, tmp_path: Path) -> None:
    kept = judged(
        tmp_path, *SHORT, "experiment=raft_3nodes", f"state_machine={kind}", f"workload={kind}",
        "checker=[linearizability,total_queue]", "workload.keys=2",
    )  # fmt: skip
    assert (kept.verdict, kept.reasons) == (Verdict.VALID, ())
