"""What clients may be told of suspicions."""

from __future__ import annotations

from typing import Any

import pytest

from framework import FinishedRun, Verdict
from framework.checking.history.calls import Call
from plugins.checkers.suspects import check_suspects


def judged(*results: Any, outcome: Any = "ok", function: str = "suspects") -> tuple[Verdict, str]:
    calls = [Call(7, "c1", 1, function, None, None, result, outcome, 0, 1) for result in results]
    result = check_suspects(FinishedRun(history=calls), None)
    return result.verdict, result.reason


def test_anyone_else_may_be_suspected() -> None:
    answers = ("n1", ()), ("n1", ("n2", "n3")), ("n2", ["n1"])
    assert judged(*answers) == (Verdict.VALID, "3 answers, with 3 suspicions in all")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(("n1", ("n1", "n2")), "n1 suspects itself"), (("n1", ("n2", "n2")), "n1 suspects a node twice: n2, n2")],
)
def test_an_impossible_answer_is_invalid(answer: Any, reason: str) -> None:
    assert judged(answer) == (Verdict.INVALID, reason)


def test_what_shows_nothing_is_unknown() -> None:
    assert judged() == (Verdict.UNKNOWN, "no node has answered")
    assert judged(None, outcome="unknown") == (Verdict.UNKNOWN, "no node has answered")
    assert judged(("n1", ()), function="read") == (Verdict.UNKNOWN, "no node has answered")
    assert judged("n1") == (Verdict.UNKNOWN, "operation 7 of c1 ended with 'n1'")
