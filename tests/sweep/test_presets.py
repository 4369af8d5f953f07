"""The named sweeps: each protocol that promises to live through faults does, and every kind of fault fires."""

from __future__ import annotations

import pytest

from framework.config.groups import CONF
from framework.registry.registry import load
from framework.sweep.plan import plan_sweep
from tests.sweep.outcomes import outcomes

KINDS = {"clock", "crash", "delay", "disk", "duplicate", "loss", "partition", "pause", "reorder"}


@pytest.mark.long
@pytest.mark.parametrize(
    "protocol", sorted(name for name, spec in load().registered.protocols.items() if spec.recovers)
)
def test_seeds_under_chaos_are_valid_and_every_kind_of_fault_fires(protocol: str) -> None:
    found = outcomes([f"experiment={protocol}_chaos", "trace=history"], range(25))
    assert [(seed, one.reason) for seed, one in enumerate(found) if one.verdict != "valid"] == []
    assert {kind.partition(" ")[0] for one in found for kind in one.strikes} == KINDS
    assert all(any(one.sometimes[name] for one in found) for name in found[0].sometimes)


def test_there_is_a_named_sweep_for_each_protocol_and_each_can_be_planned() -> None:
    plans = {file.stem: plan_sweep([f"sweep={file.stem}"]) for file in sorted((CONF / "sweep").glob("*.yaml"))}
    assert {plan.composed.experiment.protocol.name for plan in plans.values()} == set(load().registered.protocols)
    assert all(len(plan.points) >= 300 and plan.engine == "sim" for plan in plans.values())
