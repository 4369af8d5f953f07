"""The workload of racing proposals."""

from __future__ import annotations

from typing import Any

from framework.core.random_streams import stream
from plugins.workloads.propose import ProposeConfig, ProposeWorkload, register_workloads
from tests.written import written


def calls(count: int, client: str = "c1", **fields: Any) -> list[tuple[str, str | None, Any]]:
    workload, rng = ProposeWorkload(written(ProposeConfig, **fields)), stream(1, "workload", client)
    return [workload.next(client, 0, rng) for _ in range(count)]


def test_clients_walk_through_the_same_instances_with_values_of_their_own() -> None:
    assert calls(3) == [("propose", "i1", "c1.1"), ("propose", "i2", "c1.2"), ("propose", "i3", "c1.3")]
    assert calls(2, "c2") == [("propose", "i1", "c2.1"), ("propose", "i2", "c2.2")]


def test_several_instances_are_in_play_at_once() -> None:
    keys = [key for _, key, _ in calls(12, keys=3, proposals=2)]
    assert set(keys[:6]) <= {"i1", "i2", "i3"}
    assert set(keys[6:]) <= {"i4", "i5", "i6"}
    assert len(set(keys)) > 3


def test_one_instance_is_the_textbook() -> None:
    assert {key for _, key, _ in calls(50, proposals=0)} == {"i1"}


def test_it_is_installed_under_its_name() -> None:
    [spec] = register_workloads()
    assert (spec.name, spec.workload, spec.config) == ("propose", ProposeWorkload, ProposeConfig)
