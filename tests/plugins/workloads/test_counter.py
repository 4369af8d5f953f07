"""The counter workload."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from framework.core.random_streams import stream
from plugins.workloads.counter import CounterConfig, CounterWorkload, register_workloads
from tests.written import written


def calls(count: int, **fields: Any) -> list[tuple[str, str | None, Any]]:
    workload, rng = CounterWorkload(written(CounterConfig, **fields)), stream(1, "workload", "c1")
    return [workload.next("c1", 0, rng) for _ in range(count)]


def test_clients_read_and_increment_as_often_as_asked() -> None:
    counted = Counter(calls(4_000, read=1, increment=3, amount=2))
    assert counted["read", "k1", None] == pytest.approx(1_000, rel=0.1)
    assert counted["increment", "k1", 2] == pytest.approx(3_000, rel=0.05)
    assert len(counted) == 2


def test_keys_are_all_alike() -> None:
    counted = Counter(key for _, key, _ in calls(4_000, keys=4))
    assert counted == {f"k{number}": pytest.approx(1_000, rel=0.1) for number in range(1, 5)}


def test_an_operation_without_weight_is_never_asked_for() -> None:
    assert CounterWorkload(written(CounterConfig, read=0)).functions() == ("increment", "read"), (
        "the last reads are reads"
    )
    assert CounterWorkload(written(CounterConfig, increment=0)).functions() == ("read",)
    assert {function for function, _, _ in calls(100, read=0)} == {"increment"}


def test_no_weight_at_all_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="both 0: give one of them a positive weight"):
        written(CounterConfig, read=0, increment=0)


def test_every_machine_invokes_the_same() -> None:
    assert (
        "".join(f"{function[0]}{str(key)[1:]}" for function, key, _ in calls(12, keys=3)) == "i1i2r3i3r1i3i1i1r2i1r3i2"
    )


def test_it_is_installed_under_its_name() -> None:
    [spec] = register_workloads()
    assert (spec.name, spec.workload, spec.config) == ("counter", CounterWorkload, CounterConfig)
