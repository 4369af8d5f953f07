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


def test_the_reason_has_share_wait_and_queue_of_each_server() -> None:
    served = [call(("n2", wait * MILLISECOND, wait)) for wait in range(3)]
    verdict, reason = judged(*served, call(None, "unknown"), call(None, "fail"))
    assert (verdict, reason) == (
        Verdict.VALID,
        "3 served: n2 100.0%, waits 1 ms (p99 2), finds 1 (p99 2); n3 0%",
    )


def test_of_many_servers_the_extremes_are_shown() -> None:
    config = {"nodes": 21, "protocol": {"dispatchers": 1}}
    calls = [call((f"n{number}", MILLISECOND, 1)) for number in (2, 2, 2, 3)]
    expected = "4 served: 20 servers, shares 0.0% to 75.0%, waits 1 ms (p99 1), finds 1 (p99 1)"
    assert judged(*calls, config=config) == (Verdict.VALID, expected)


def test_an_answer_of_something_that_is_no_server_is_invalid() -> None:
    assert judged(call(("n1", 0, 0))) == (Verdict.INVALID, "c1's request 7 was served by n1, which is no server")


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        ((), "no request was served"),
        ((call(None, "unknown"),), "no request was served"),
        ((call("n2"),), "c1's request 7 ended as 'n2', which is no answer of a service"),
        ((call(("n2", -1, 0)),), "c1's request 7 ended as ('n2', -1, 0), which is no answer of a service"),
    ],
)
def test_what_shows_nothing_is_unknown(calls: tuple[Call, ...], reason: str) -> None:
    assert judged(*calls) == (Verdict.UNKNOWN, reason)


def test_percentiles() -> None:
    assert [percentile([3, 1, 2, 4], percent) for percent in (1, 50, 75, 99)] == [1, 2, 3, 4]
