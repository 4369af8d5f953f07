"""How soon service comes back: where a single node reaches a quorum, and where a follower returns under load."""

from __future__ import annotations

import itertools
import statistics
from typing import Any

import pytest

from experiments.simulated import simulated
from framework import Duration
from framework.core.time import SECOND

MUTANTS = "plugins.path=experiments/planted_bugs/multipaxos_mutants.py"

LEAVES = ("n2", "n3", "n4", "n5")
CUTS = ", ".join(
    f"{{at: 1s, for: 4s, fault: loss, links: '{one}:{other}', probability: 1.0}}"
    for one, other in itertools.permutations(LEAVES, 2)
)
STAR = (  # n1 reaches all, the others reach n1 alone
    "experiment=multipaxos_5nodes",
    "network=lan",
    "trace=history",
    "clients=2",
    "duration=6s",
    "workload.think_time=20ms",
    "workload.timeout=10s",
    "protocol.session.retry=50ms",
    "faults=schedule",
    f"faults.schedule.steps=[{CUTS}]",
)
LED_BY_A_LEAF = range(8)
"""Seeds in which the leader, when the links are lost, is not the node in the middle."""


def outage(seed: int, *settings: str) -> int:
    """The longest time without a completed operation from a moment before the links are lost, nanoseconds."""
    with simulated([*STAR, *settings], seed) as run:
        rows: list[dict[str, Any]] = run.run.history.to_pylist()
    done = sorted(row["completed"] for row in rows if row["outcome"] == "ok" and row["completed"] > 0.9 * SECOND)
    return max(later - earlier for earlier, later in itertools.pairwise([*done, 6 * SECOND]))


BOUND = Duration("350ms") + Duration("300ms") + Duration("300ms") + Duration("100ms")
"""The leader gives up after election_timeout_max and a heartbeat, stands within election_timeout_max as the last of those at the
edge, and the node in the middle does as long after that. The rest is the clients' retry, and messages."""


@pytest.mark.long
def test_the_only_node_that_reaches_a_quorum_soon_leads() -> None:
    outages = [outage(seed) for seed in LED_BY_A_LEAF]
    assert min(outages) > Duration("150ms"), "the leader was the node in the middle"
    assert max(outages) <= BOUND


@pytest.mark.long
def test_it_would_not_if_candidates_that_no_quorum_answers_began_one_ballot_after_another() -> None:
    outages = [outage(seed, MUTANTS, "protocol=multipaxos_stands_in_vain") for seed in LED_BY_A_LEAF]
    assert statistics.median(outages) > BOUND


RETURN = (  # n3 is away for a second; a checkpoint is taken five times a second, and takes longer than that to send
    "experiment=multipaxos_5nodes",
    "nodes=3",
    "clients=20",
    "duration=4s",
    "network=lan",
    "engine.disk_latency=1ms",
    "workload.keys=200",
    "workload.think_time=4ms",
    "protocol.checkpoint_every=500",
    "protocol.checkpoint_trailing=50",
    "protocol.checkpoint_part=20",
    "faults=crash",
    "faults.crash={target: n3, at: 500ms, every: 0, for: 1s}",
)


def installations(*settings: str) -> list[int]:
    """When checkpoints were installed."""
    with simulated([*RETURN, *settings], seed=1) as run:
        notes = run.run.events.to_pylist()
    return [row["time"] for row in notes if row["kind"] == "note" and row["message"] == "installed_snapshot"]


@pytest.mark.long
def test_a_follower_that_returns_under_load_has_a_checkpoint_within_a_second() -> None:
    [installed] = installations()
    assert installed < 2.5 * SECOND


@pytest.mark.long
def test_it_would_have_none_while_clients_go_on_if_each_newer_one_took_its_place() -> None:
    installed = installations(MUTANTS, "protocol=multipaxos_begins_each_checkpoint_anew")
    assert all(at > 4 * SECOND for at in installed)
