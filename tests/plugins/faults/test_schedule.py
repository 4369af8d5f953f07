"""A schedule: any fault at any time, what follows it, and mistakes that are told with their step."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from framework import FaultKinds
from framework.config.compose import compose
from framework.core.errors import ConfigError
from framework.core.time import MILLISECOND, SECOND
from framework.registry.registry import Registry, load
from plugins.faults.schedule import Schedule, ScheduleConfig


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


def planned(registry: Registry, *steps: dict[str, Any]) -> list[Any]:
    schedule = Schedule(ScheduleConfig(steps=steps), FaultKinds(registry.registered.faults))
    return list(schedule.planned_faults("schedule", 10 * SECOND, random.Random(1)))


def test_each_step_is_a_fault_of_its_own_with_its_own_options(registry: Registry) -> None:
    crash, partition = planned(
        registry,
        {"at": "2s", "fault": "crash", "target": "leader", "for": "1s"},
        {"at": "4s", "fault": "partition", "kind": "isolate"},
    )
    assert (crash.at, crash.lasts, crash.name, crash.fault.config.target) == (
        2 * SECOND,
        SECOND,
        "schedule/crash",
        "leader",
    )
    assert (partition.at, partition.name, partition.fault.config.kind) == (4 * SECOND, "schedule/partition", "isolate")


def test_a_step_comes_again_only_if_it_says_so(registry: Registry) -> None:
    steps = planned(registry, {"at": "1s", "every": "4s", "fault": "crash"}, {"at": "1s", "fault": "loss"})
    assert [(step.at // SECOND, step.name) for step in steps] == [
        (1, "schedule/crash"), (5, "schedule/crash"), (9, "schedule/crash"), (1, "schedule/loss"),
    ]  # fmt: skip


def test_what_follows_is_nested_and_each_line_of_the_ledger_has_a_name(registry: Registry) -> None:
    then = {"at": "100ms", "fault": "crash", "then": [{"fault": "pause", "for": "50ms"}]}
    (first,) = planned(registry, {"at": "1s", "fault": "crash", "then": [then]})
    (second,) = first.then
    (third,) = second.then
    assert (second.at, second.name) == (100 * MILLISECOND, "schedule/crash-2")
    assert (third.at, third.lasts, third.name) == (0, 50 * MILLISECOND, "schedule/pause")


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ("[]", "there are no steps"),
        ("[crash]", "steps.0: expected keys and values, got 'crash'"),
        ("[{at: 1s}]", "steps.0: expected keys and values with a `fault`"),
        (
            "[{fault: crash},{fault: crahs}]",
            "command line: faults.schedule.steps.1.fault: there is no fault 'crahs'. Did you mean 'crash'?",
        ),
        ("[{fault: chaos}]", "steps.0.fault: there is no fault 'chaos'"),
        ("[{fault: crash,traget: n1}]", "steps.0.traget: there is no such key. Did you mean 'target'?"),
        ("[{fault: crash,at: 5}]", "steps.0.at: a duration needs a unit"),
        ("[{fault: crash,target: n9}]", "steps.0.target=n9: there is no such node"),
        ("[{fault: crash,then: [{fault: loss,links: n1:n7}]}]", "steps.0.then.0.links=n1:n7: there is no node 'n7'"),
        (
            "[{fault: crash,then: [{fault: loss,every: 2s}]}]",
            "steps.0.then.0.every: a step that follows another happens once",
        ),
        ("[{fault: crash,then: 3}]", "steps.0.then: expected a list of steps, got 3"),
        ("[{fault: delay,by: 0}]", "by=0 delays nothing"),
        (
            "[{fault: crash,at: 1s,for: 5s,then: [{fault: loss,at: 4s}]}]",
            "steps.0.then.0.at: can never happen: from 9s on there are no faults",
        ),
    ],
)
def test_a_mistake_is_told_with_its_step(registry: Registry, steps: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compose(
            ["experiment=raft_3nodes", "engine=sim", "faults=schedule", f"faults.schedule.steps={steps}"],
            registry=registry,
        )
    assert says in " ".join(str(refused.value).split())


def test_a_file_of_ones_own_holds_a_schedule(registry: Registry, tmp_path: Path) -> None:
    place = tmp_path / "experiment"
    place.mkdir()
    (place / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /protocol: raft\n  - override /faults: schedule\nfaults:\n  schedule:\n"
        "    steps:\n      - {at: 2s, fault: crash, target: leader, for: 1s}\n"
    )
    composed = compose(["experiment=mine", "engine=sim"], str(tmp_path), registry)
    assert composed.config["faults"]["schedule"]["steps"] == [
        {"at": "2s", "fault": "crash", "target": "leader", "for": "1s"}
    ]
