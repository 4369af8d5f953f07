"""A swarm: drawn by the seed alone, never more than a minority down, and made so that what is drawn can fire."""

from __future__ import annotations

import random
from typing import Any

import pytest

from framework import FaultKinds, Status
from framework.config.compose import compose
from framework.core.errors import ConfigError
from framework.core.time import MILLISECOND, SECOND, Duration
from framework.faults.actions import Crash, Pause, SetDisk
from framework.faults.plan import PlannedFault
from framework.faults.targets import ClusterView
from framework.registry.registry import Registry, load
from plugins.faults.chaos import LAST_CHANCE, Chaos, ChaosConfig, Guard, Guarded
from tests.plugins.faults.views import NODES, view

SEEDS = range(200)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


def plan(
    registry: Registry, seed: int, nodes: tuple[str, ...] = NODES, duration: int = 10 * SECOND, **config: Any
) -> list[PlannedFault]:
    chaos = Chaos(ChaosConfig(**config), FaultKinds(registry.registered.faults), nodes)
    return list(chaos.planned_faults("chaos", duration, random.Random(seed)))


def told(planned: list[PlannedFault]) -> list[tuple[Any, ...]]:
    return [(one.at, one.lasts, one.name, one.fault.config) for one in planned]


def test_the_same_seed_draws_the_same_swarm_and_another_seed_another(registry: Registry) -> None:
    assert told(plan(registry, 1)) == told(plan(registry, 1)) != told(plan(registry, 2))


def test_seeds_differ_in_kinds_in_number_and_in_length_within_the_bounds(registry: Registry) -> None:
    swarms = [plan(registry, seed) for seed in SEEDS]
    kinds = [{one.name for one in swarm} for swarm in swarms]
    assert set().union(*kinds) == {f"chaos/{kind}" for kind in ChaosConfig().kinds}
    assert {len(found) for found in kinds} >= {1, 3, 5, 7}
    for one in (one for swarm in swarms for one in swarm):
        assert ChaosConfig().at <= one.at < 10 * SECOND - LAST_CHANCE
        assert ChaosConfig().shortest <= one.lasts <= ChaosConfig().longest


def test_as_many_overlap_as_may(registry: Registry) -> None:
    for at_once in (1, 2):
        for seed in SEEDS:
            swarm = plan(registry, seed, at_once=at_once)
            assert all(sum(other.at <= one.at < other.at + other.lasts for other in swarm) <= at_once for one in swarm)


def test_a_kind_of_weight_0_is_never_drawn(registry: Registry) -> None:
    kinds = {"crash": 1, "loss": 0}
    assert {one.name for seed in SEEDS for one in plan(registry, seed, kinds=kinds)} == {"chaos/crash"}


SHORTEST = 850 * MILLISECOND
"""What the default swarm needs: `at`, half of `shortest`, and the last chance."""


@pytest.mark.parametrize("duration", [SHORTEST + 1, SHORTEST + MILLISECOND, SECOND])
def test_a_swarm_of_a_short_run_is_never_empty_and_begins_within_it(registry: Registry, duration: int) -> None:
    for seed in SEEDS:
        swarm = plan(registry, seed, duration=duration)
        assert swarm and all(SHORTEST - LAST_CHANCE <= one.at < duration - LAST_CHANCE for one in swarm)
        assert told(swarm) == told(plan(registry, seed, duration=duration))


def test_only_what_would_be_empty_is_drawn_again(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[PlannedFault]] = []
    draw = Chaos._draw_swarm

    def watched(chaos: Chaos, *arguments: Any) -> list[PlannedFault]:
        drawn.append(draw(chaos, *arguments))
        return drawn[-1]

    monkeypatch.setattr(Chaos, "_draw_swarm", watched)
    again = 0
    for seed in SEEDS:
        swarm = plan(registry, seed, duration=SECOND)
        *empty, last = drawn
        assert not any(empty) and told(swarm) == told(sorted(last, key=lambda one: one.at))
        again += bool(empty)
        drawn.clear()
    assert 40 < again < 80, "a third of the seeds, and no others"


def test_nothing_is_drawn_where_nothing_can_be(registry: Registry) -> None:
    assert plan(registry, 1, duration=SHORTEST) == []
    down = {"crash": 1, "pause": 1, "disk": 1}
    assert plan(registry, 1, NODES[:2], kinds=down, disk=("full", "damage")) == []
    assert plan(registry, 1, NODES[:1], kinds={"partition": 1}) == []


@pytest.mark.parametrize("nodes", [NODES[:1], NODES[:2]])
def test_few_nodes_suffer_what_leaves_them_in_service(registry: Registry, nodes: tuple[str, ...]) -> None:
    kinds = set()
    for seed in SEEDS:
        swarm = plan(registry, seed, nodes, duration=SECOND)
        assert swarm and all(getattr(one.fault.config, "trouble", "slow") == "slow" for one in swarm)
        kinds |= {one.name.removeprefix("chaos/") for one in swarm}
    usual = {"clock", "delay", "disk", "duplicate", "loss", "reorder"}
    assert kinds == (usual if len(nodes) == 1 else usual | {"partition"})


def test_what_may_be_wrong_with_a_disk_can_be_chosen(registry: Registry) -> None:
    def problems(**config: Any) -> set[str]:
        swarms = [plan(registry, seed, kinds={"disk": 1}, **config) for seed in SEEDS]
        return {one.fault.config.trouble for swarm in swarms for one in swarm}

    assert problems() == {"slow", "failed_fsync", "full", "damage"}
    assert problems(disk=("slow", "failed_fsync", "full")) == {"slow", "failed_fsync", "full"}
    assert told(plan(registry, 7, disk=("full", "damage", "slow", "failed_fsync"))) == told(plan(registry, 7))


class Cluster:
    """Carries out what takes nodes down, and counts those out of service."""

    def __init__(self, nodes: tuple[str, ...]) -> None:
        self.nodes, self.out, self.worst = nodes, dict[str, str](), 0

    def view(self, now: int, rng: random.Random) -> ClusterView:
        def status(node: str) -> Status | None:
            role = "leader" if node == "n1" else "follower"
            return None if self.out.get(node) in ("down", "lost") else Status((role,))

        def those(state: str) -> frozenset[str]:
            return frozenset(node for node, known in self.out.items() if known == state)

        statuses = {node: status(node) for node in self.nodes}
        return ClusterView(now, statuses, (), rng, lambda: 1, those("stopped"), those("lost"))

    def do(self, action: Any) -> None:
        if isinstance(action, Crash | Pause):
            self.out[action.node] = "down" if isinstance(action, Crash) else "stopped"
        elif isinstance(action, SetDisk) and action.trouble != "none":
            self.out[action.node] = {"damage": "lost", "slow": self.out.get(action.node, "")}.get(
                action.trouble, "broken"
            )
        elif hasattr(action, "node") and self.out.get(action.node) != "lost" and not isinstance(action, SetDisk):
            self.out.pop(action.node, None)
        self.worst = max(self.worst, sum(bool(state) for state in self.out.values()))


@pytest.mark.parametrize(("nodes", "most"), [(NODES, 2), (NODES[:3], 1)])
def test_no_more_than_a_minority_is_out_of_service_at_once(
    registry: Registry, nodes: tuple[str, ...], most: int
) -> None:
    kinds, worst = {"crash": 2, "pause": 2, "disk": 3}, set()
    for seed in SEEDS:
        cluster, rng = Cluster(nodes), random.Random(seed)
        pending: list[tuple[int, int, Any]] = []
        for number, one in enumerate(plan(registry, seed, nodes, kinds=kinds, at_once=3)):
            for _, _, undo in sorted(entry for entry in pending if entry[0] <= one.at):
                cluster.do(undo)
            pending = [entry for entry in pending if entry[0] > one.at]
            strike = one.fault.inject(cluster.view(one.at, rng))
            assert strike is not None, f"seed {seed}: {one.name} at {one.at} could not fire"
            for action in strike.actions:
                cluster.do(action)
            pending += [(one.at + one.lasts, number * 100 + order, undo) for order, undo in enumerate(strike.undo)]
        worst.add(cluster.worst)
    assert max(worst) == most


def test_a_role_that_nobody_has_is_replaced_by_anybody(registry: Registry) -> None:
    for seed in SEEDS:
        for one in plan(registry, seed, kinds={"crash": 1}, at_once=1)[:1]:
            view = ClusterView(0, {node: Status(("acceptor",)) for node in NODES}, (), random.Random(seed), lambda: 1)
            assert one.fault.inject(view) is not None


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("+faults.chaos.kinds.crahs=1", "faults.chaos.kinds.crahs=1: there is no fault 'crahs'. Did you mean 'crash'?"),
        ("faults.chaos.kinds.crash=-1", "must be at least 0"),
        ("faults.chaos.shortest=2s", "shortest=2s and longest=800ms: give 0 < shortest <= longest"),
    ],
)
def test_a_swarm_that_cannot_be_is_refused(registry: Registry, setting: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compose(["experiment=raft_chaos", setting], registry=registry)
    assert says in str(refused.value)


def test_a_swarm_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="every kind has weight 0"):
        ChaosConfig(kinds={"crash": 0})
    assert ChaosConfig(longest=Duration("100ms")).shortest == Duration("100ms")


def test_a_fault_of_links_strikes_all_links_while_no_server_runs(registry: Registry) -> None:
    kinds = FaultKinds(registry.registered.faults)
    down = view(down=NODES)
    loss = Guarded(kinds.make("loss", {"links": "random"}, "loss"), Guard(2), 0).inject(down)
    assert loss is not None and loss.targets == NODES
    assert Guarded(kinds.make("clock", {"target": "random"}, "clock"), Guard(2), 0).inject(down) is None
