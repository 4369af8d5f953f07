"""What clients may see of their transactions."""

from __future__ import annotations

from typing import Any

import pytest

from framework import FinishedRun, Verdict
from framework.checking.history.calls import Call
from plugins.checkers.commits import check_commits

YES, NO = (("n2", "yes"), ("n3", "read-only")), (("n2", "yes"), ("n3", "no"))


def call(votes: Any, result: Any, outcome: Any = "ok", function: str = "commit") -> Call:
    return Call(7, "c1", 1, function, "x", votes, result, outcome, 0, None if outcome == "unknown" else 1)


def judged(*calls: Call) -> tuple[Verdict, str]:
    result = check_commits(FinishedRun(history=list(calls)), None)
    return result.verdict, result.reason


def test_votes_allow_a_commit_and_always_an_abort() -> None:
    calls = (call(YES, "committed"), call(YES, "aborted"), call(NO, "aborted"), call(NO, None, "unknown"))
    assert judged(*calls) == (Verdict.VALID, "1 committed and 2 aborted, as votes allow")


def test_a_commit_against_a_no_is_invalid() -> None:
    calls = (call(YES, "committed"), call(NO, "committed"))
    assert judged(*calls) == (Verdict.INVALID, "c1's transaction 7 is committed, though n3 voted no")
    assert check_commits(FinishedRun(history=list(calls)), None).story == (judged(*calls)[1],)
    assert check_commits(FinishedRun(history=list(calls)), None).time == 1


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        ((call(YES, "aborted"), call(NO, "aborted")), "none of 1 transactions without a no was committed"),
        ((), "no transaction was decided"),
        ((call(NO, None, "unknown"),), "no transaction was decided"),
        ((call(YES, "perhaps"),), "c1's transaction 7 ended as 'perhaps'"),
        ((call(YES, None, function="read"),), "operation 7 is read, not commit"),
    ],
)
def test_what_shows_nothing_is_unknown(calls: tuple[Call, ...], reason: str) -> None:
    assert judged(*calls) == (Verdict.UNKNOWN, reason)


def test_only_aborts_are_fine_if_votes_ask_for_them() -> None:
    assert judged(call(NO, "aborted"))[0] is Verdict.VALID
