"""What clients may see of a service."""

from __future__ import annotations

from typing import Any

import pytest

from framework import MILLISECOND, FinishedRun, Verdict
from framework.checking.history.calls import Call
from plugins.checkers.requests import check_requests, percentile

CONFIG = {"nodes": 3, "spares": 0, "protocol": {"name": "service", "dispatchers": 1}}


def call(result: Any, outcome: Any = "ok", function: str = "serve") -> Call:
    return Call(7, "c1", 1, function, "x", None, result, outcome, 0, None if outcome == "unknown" else 1)


def judged(*calls: Call, config: dict[str, Any] = CONFIG) -> tuple[Verdict, str]:
    result = check_requests(FinishedRun(history=list(calls), config=config), None)
    return result.verdict, result.reason


def test_share_wait_and_queue_of_each_server_are_measured() -> None:
    served = [call(("n2", wait * MILLISECOND, wait)) for wait in range(3)]
    run = FinishedRun(history=[*served, call(None, "unknown"), call(None, "fail")], config=CONFIG)
    result = check_requests(run, None)
    assert (result.verdict, result.reason) == (
        Verdict.VALID,
        "3 served by 2 servers, shares 0.0% to 100.0%; waits 1 ms (p99 2), finds 1 (p99 2)",
    )
    one = {"share": 1.0, "served": 3, "wait_ms": 1.0, "wait_p99_ms": 2.0, "found": 1.0, "found_p99": 2}
    assert result.measures == {"all": one, "servers": {"n2": one, "n3": dict.fromkeys(one, 0)}}


def test_an_answer_of_something_that_is_no_server_is_invalid() -> None:
    assert judged(call(("n1", 0, 0))) == (Verdict.INVALID, "c1's request 7 was served by n1, which is not a server")


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        ((), "no request was served"),
        ((call(None, "unknown"),), "no request was served"),
        ((call("n2"),), "c1's request 7 ended as 'n2', which is not an answer of a service"),
        ((call(("n2", -1, 0)),), "c1's request 7 ended as ('n2', -1, 0), which is not an answer of a service"),
    ],
)
def test_what_shows_nothing_is_unknown(calls: tuple[Call, ...], reason: str) -> None:
    assert judged(*calls) == (Verdict.UNKNOWN, reason)


def test_percentiles() -> None:
    assert [percentile([3, 1, 2, 4], percent) for percent in (1, 50, 75, 99)] == [1, 2, 3, 4]
