"""The checkers that come with Synod, each shown to catch what it is for."""

from __future__ import annotations

from typing import Any

import pytest

from framework import ConfigError, Verdict
from framework.checking.finished_run import FinishedRun
from framework.checking.history.calls import Call
from framework.checking.models.catalog import Models
from framework.core.client import Outcome
from plugins.checkers.echo import check_echo
from plugins.checkers.linearizability import LinearizabilityConfig, check, validate


def call(number: int, function: str, argument: Any, result: Any, outcome: Outcome = "ok") -> Call:
    start = number * 10
    return Call(number, "c1", 0, function, None, argument, result, outcome, start, start + 5)


def test_an_echo_that_says_something_else_is_caught() -> None:
    calls = [call(0, "echo", "a", "a"), call(1, "echo", "b", "a")]
    result = check_echo(FinishedRun(history=calls), None)
    assert result.verdict is Verdict.INVALID
    assert result.story == ("c1 said 'b' and heard 'a' (operation 1)",)


def test_echoes_that_say_the_same_are_valid_and_failures_say_nothing() -> None:
    calls = [
        call(0, "echo", "a", "a"),
        call(1, "echo", "b", None, "fail"),
        call(2, "echo", "c", None, "unknown"),
    ]
    result = check_echo(FinishedRun(history=calls), None)
    assert (result.verdict, result.operations) == (Verdict.VALID, 1)


def test_a_history_in_which_no_echo_succeeded_is_unknown() -> None:
    assert check_echo(FinishedRun(history=[call(0, "echo", "a", None, "unknown")]), None).verdict is Verdict.UNKNOWN


REGISTER = Models(own="register")
STALE = [call(0, "write", "a", None), call(1, "write", "b", None), call(2, "read", None, "a")]


def test_a_stale_read_is_caught_against_the_protocols_model_or_the_users() -> None:
    assert check(FinishedRun(history=STALE, models=REGISTER), LinearizabilityConfig()).verdict is Verdict.INVALID
    assert (
        check(FinishedRun(history=STALE, models=Models()), LinearizabilityConfig(model="kv")).verdict is Verdict.INVALID
    )
    assert check(FinishedRun(history=STALE[:2], models=REGISTER), LinearizabilityConfig()).verdict is Verdict.VALID


def test_without_a_model_there_is_nothing_to_check_against() -> None:
    with pytest.raises(ConfigError, match=r"checker.linearizability.model=register"):
        validate(Models(), LinearizabilityConfig())
    validate(Models(own="kv"), LinearizabilityConfig())


def test_settings_that_check_nothing_are_refused() -> None:
    for setting in ("budget", "memory_mib", "evidence_budget"):
        with pytest.raises(ValueError, match=f"{setting}=0 checks nothing"):
            LinearizabilityConfig(**{setting: 0})
    with pytest.raises(ConfigError, match=r"unknown model 'registre'. Did you mean 'register'"):
        validate(Models(), LinearizabilityConfig(model="registre"))
