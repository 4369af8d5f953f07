"""The workload of requests."""

from __future__ import annotations

from collections import Counter
from typing import Any

from framework.core.random_streams import stream
from plugins.workloads.requests import RequestsConfig, RequestsWorkload, register_workloads
from tests.written import written


def keys(count: int, **fields: Any) -> Counter[str | None]:
    workload, rng = RequestsWorkload(written(RequestsConfig, **fields)), stream(1, "workload", "c1")
    calls = [workload.next("c1", 0, rng) for _ in range(count)]
    assert {(function, argument) for function, _, argument in calls} == {("serve", None)}
    return Counter(key for _, key, _ in calls)


def test_all_keys_are_alike_without_skew() -> None:
    found = keys(4_000, keys=4)
    assert found.keys() == {"k1", "k2", "k3", "k4"}
    assert all(abs(count - 1_000) < 120 for count in found.values())


def test_keys_are_popular_by_their_number_with_skew() -> None:
    found = keys(11_000, keys=3, skew=1.0)  # 1 : 1/2 : 1/3, of 11/6
    assert all(abs(found[key] - count) < 250 for key, count in (("k1", 6_000), ("k2", 3_000), ("k3", 2_000)))


def test_requests_may_have_no_key() -> None:
    assert keys(10, keys=0) == {None: 10}


def test_they_come_in_an_open_loop_unless_told_otherwise() -> None:
    assert RequestsConfig().loop == "open" and RequestsConfig(loop="closed").loop == "closed"
    [spec] = register_workloads()
    assert (spec.name, spec.workload, spec.config) == ("requests", RequestsWorkload, RequestsConfig)
