"""The workloads of queues, stacks and sets."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from framework import Fail, Ok, Operation
from framework.core.random_streams import stream
from plugins.workloads.containers import (
    ContainerWorkload,
    QueueConfig,
    QueueWorkload,
    SetConfig,
    SetWorkload,
    StackConfig,
    StackWorkload,
)
from tests.written import written


def calls(workload: ContainerWorkload, count: int) -> list[Any]:
    rng = stream(1, "workload", "c1")
    return [workload.next("c1", 0, rng) for _ in range(count)]


@pytest.mark.parametrize(
    ("workload", "functions"),
    [
        (QueueWorkload(written(QueueConfig, enqueue=1, dequeue=3)), ("enqueue", "dequeue")),
        (StackWorkload(written(StackConfig, push=1, pop=3)), ("push", "pop")),
    ],
)
def test_values_are_put_in_and_taken_as_often_as_asked(workload: ContainerWorkload, functions: tuple[str, str]) -> None:
    made = calls(workload, 4_000)
    counted = Counter(function for function, _, _ in made)
    assert counted == {functions[0]: pytest.approx(1_000, rel=0.1), functions[1]: pytest.approx(3_000, rel=0.1)}
    put_in = [argument for function, _, argument in made if function == functions[0]]
    assert len(set(put_in)) == len(put_in)
    assert workload.functions() == functions


def test_a_set_is_added_to_and_what_was_added_is_looked_for_and_removed() -> None:
    workload = SetWorkload(written(SetConfig, add=2, contains=1, remove=1, read=0, keys=2))
    made = calls(workload, 1_000)
    added = {argument for function, _, argument in made if function == "add"}
    assert {argument for function, _, argument in made if function != "add"} <= added | {"c1.1"}
    assert {key for _, key, _ in made} == {"k1", "k2"}
    assert workload.functions() == ("add", "contains", "remove", "read"), "the last reads are reads"


def test_in_the_end_each_client_empties_every_queue() -> None:
    workload, rng = QueueWorkload(written(QueueConfig, keys=2)), stream(1, "final", "c1")
    took = Operation(1, "dequeue")
    for key, outcome in (("k1", Ok("c2.1")), ("k1", Fail("busy")), ("k1", Ok(None)), ("k2", Ok(None))):
        assert workload.final("c1", 0, rng) == ("dequeue", key, None)
        workload.completed("c1", took, outcome)
    assert workload.final("c1", 0, rng) is None
    assert workload.final("c2", 0, rng) == ("dequeue", "k1", None)


def test_in_the_end_some_clients_read_every_set() -> None:
    workload, rng = SetWorkload(written(SetConfig, keys=2, readers=1)), stream(1, "final", "c1")
    for key in ("k1", "k2"):
        assert workload.final("c1", 0, rng) == ("read", key, None)
        workload.completed("c1", Operation(1, "read"), Ok(()))
    assert workload.final("c1", 0, rng) is None
    assert workload.final("c2", 0, rng) is None


def test_what_ended_before_the_final_phase_counts_for_nothing() -> None:
    workload, rng = QueueWorkload(written(QueueConfig)), stream(1, "final", "c1")
    workload.completed("c1", Operation(1, "dequeue"), Ok(None))
    assert workload.final("c1", 0, rng) == ("dequeue", "k1", None)


@pytest.mark.parametrize(
    ("config", "fields"),
    [(QueueConfig, {"enqueue": 0, "dequeue": 0}), (StackConfig, {"push": 0, "pop": 0}), (SetConfig, {"add": 0})],
)
def test_no_weight_at_all_is_refused(config: Any, fields: dict[str, int]) -> None:
    with pytest.raises(msgspec.ValidationError, match="all 0: give one of them a positive weight"):
        written(config, **fields)
