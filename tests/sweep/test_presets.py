"""The named sweeps: each protocol that promises to live through faults does, and every kind of fault fires."""

from __future__ import annotations

from functools import cache

import pytest

from framework.config.groups import CONF
from framework.registry.registry import load
from framework.sweep.axes import Choices
from framework.sweep.plan import SweepPlan, plan_sweep
from framework.sweep.rows import PointOutcome
from tests.composing import composed
from tests.sweep.outcomes import outcomes

KINDS = {"clock", "crash", "delay", "disk", "duplicate", "loss", "partition", "pause", "reorder"}
PROTOCOLS = load().registered.protocols


@cache
def plans() -> dict[str, SweepPlan]:
    """The plan of each named sweep."""
    return {file.stem: plan_sweep([f"sweep={file.stem}"]) for file in sorted((CONF / "sweep").glob("*.yaml"))}


def listed(plan: SweepPlan) -> dict[str, str]:
    """The protocols that the axes of a sweep list, and the override that chooses each."""
    return {
        value: f"{axis.key}={value}"
        for axis in plan.axes
        if isinstance(axis, Choices) and axis.key != "seed"
        for value in axis.values
        if isinstance(value, str) and value in PROTOCOLS
    }


def chaos(protocol: str) -> list[str]:
    """The overrides that put a protocol under chaos: its own experiment, or that of one that mounts it."""
    if (CONF / "experiment" / f"{protocol}_chaos.yaml").exists():
        return [f"experiment={protocol}_chaos"]
    sweep, chosen = next((name, listed(plan)[protocol]) for name, plan in plans().items() if protocol in listed(plan))
    return [f"experiment={sweep}", chosen]


def leaves_out_disks(words: list[str]) -> bool:
    """Whether an experiment draws no disk faults: its protocol commits too little for them to show."""
    kinds = composed(*words).config["faults"]["chaos"]["kinds"]
    return not kinds.get("disk", 1)


FEWEST, MOST = 10, 25
"""How many seeds of each protocol run: as many as it takes to see everything happen."""


@pytest.mark.long
@pytest.mark.parametrize("protocol", sorted(name for name, spec in PROTOCOLS.items() if spec.recovers))
def test_seeds_under_chaos_are_valid_and_every_kind_of_fault_fires(protocol: str) -> None:
    kinds = KINDS - {"disk"} if leaves_out_disks(chaos(protocol)) else KINDS
    found: list[PointOutcome] = []

    def struck() -> set[str]:
        return {kind.partition(" ")[0] for one in found for kind in one.strikes} - {"damage"}

    def unseen() -> list[str]:
        return [name for name in found[0].sometimes if not any(one.sometimes[name] for one in found)]

    while len(found) < FEWEST or (len(found) < MOST and (struck() != kinds or unseen())):
        found += outcomes([*chaos(protocol), "trace=history"], [len(found)])
    assert [(seed, one.reason) for seed, one in enumerate(found) if one.verdict != "valid"] == []
    assert (struck(), unseen()) == (kinds, [])


def test_there_is_a_named_sweep_for_each_protocol_and_each_can_be_planned() -> None:
    swept = {plan.composed.experiment.protocol.name for plan in plans().values()}
    assert swept.union(*map(listed, plans().values())) == set(PROTOCOLS)
    assert all(len(plan.points) >= 300 and plan.engine == "sim" for plan in plans().values())
