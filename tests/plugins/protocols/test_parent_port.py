"""The port of Raft and Multi-Paxos to a node that mounts them, and a machine with time and waiting operations above them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from framework import (
    MILLISECOND,
    SECOND,
    Answered,
    Applied,
    Config,
    Deposed,
    Led,
    Node,
    NodeId,
    ReplicatedMachine,
    Restored,
    SessionClient,
    Stamp,
    StateMachineChoice,
    handles,
)
from framework.core.client import Ok
from framework.replication.machine_time import MachineClock
from framework.testing.cluster import Cluster
from plugins.protocols.multipaxos.config import MultiPaxosConfig
from plugins.protocols.multipaxos.node import MultiPaxos
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.node import Raft
from tests.replication.machines import Register
from tests.replication.test_waiting_and_time import Door

NODES = ("n1", "n2", "n3")
GROUPS: dict[str, tuple[type[Node], type[Config], dict[str, Any]]] = {
    "raft": (Raft, RaftConfig, {"snapshot_every": 5, "snapshot_trailing": 0}),
    "multipaxos": (MultiPaxos, MultiPaxosConfig, {"checkpoint_every": 5, "checkpoint_trailing": 0}),
}


class Parent(Node):
    """Mounts a group and remembers what it is told."""

    mounts = (Raft, MultiPaxos)

    def on_start(self) -> None:
        self.told: list[Any] = []
        node, config, snapshot = self.config
        self.group = self.mount("group", node, config, self.peers)
        if snapshot is not None:
            self.group.bootstrap(*snapshot)

    @handles(Applied, Answered, Led, Deposed, Restored)
    def on_event(self, mount: str, event: Any) -> None:
        assert mount == "group"
        self.told.append(event)


@pytest.fixture(params=GROUPS)
def group(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def config_of(group: str, machine: type = Register, **settings: Any) -> tuple[type[Node], Any]:
    node, kind, defaults = GROUPS[group]
    return node, kind(state_machine=StateMachineChoice(machine), **{**defaults, **settings})


def cluster_of(
    group: str, machine: type = Register, snapshot: Any = None, node: type[Node] | None = None, **settings: Any
) -> Cluster:
    kind, config = config_of(group, machine, **settings)
    return Cluster(Parent, (node or kind, config, snapshot), NODES)


def leading(cluster: Cluster) -> NodeId | None:
    """The node whose parent was told last that it leads."""
    led = []
    for node in cluster.nodes():
        ends = [event for event in node.told if isinstance(event, Led | Deposed)]
        if ends and isinstance(ends[-1], Led):
            led.append((ends[-1].term, node.id))
    return max(led)[1] if led else None


def elect(cluster: Cluster) -> Any:
    cluster.run(lambda: leading(cluster) is not None)
    return cluster.node(str(leading(cluster)))


def propose(cluster: Cluster, node: Any, function: str, argument: Any = None) -> int:
    tag = node.group.propose(Register.command(function, None, argument))
    assert tag is not None
    cluster.advance(0)  # its batch
    cluster._batch(node.id, [])
    return int(tag)


def applied(node: Any) -> list[tuple[bytes, int | None]]:
    return [(event.command, event.tag) for event in node.told if isinstance(event, Applied)]


def test_a_proposed_command_is_told_on_every_node_with_its_tag_where_it_was_proposed(group: str) -> None:
    cluster = cluster_of(group)
    leader = elect(cluster)
    assert propose(cluster, leader, "add", 5) == 1 and propose(cluster, leader, "add", 2) == 2
    cluster.run(lambda: all(len(applied(node)) == 2 for node in cluster.nodes()))
    add = [Register.command("add", None, amount) for amount in (5, 2)]
    for node in cluster.nodes():
        tags = (1, 2) if node is leader else (None, None)
        assert applied(node) == list(zip(add, tags, strict=True))
        results = [Register.result(event.result) for event in node.told if isinstance(event, Applied)]
        assert results == [5, 7]


def test_a_command_is_told_only_once_a_majority_holds_it(group: str) -> None:
    cluster = cluster_of(group)
    leader = elect(cluster)
    others = [name for name in NODES if name != leader.id]
    for name in others:
        cluster.slow_disk(name)
    propose(cluster, leader, "add", 5)
    cluster.stabilize()
    assert all(applied(node) == [] for node in cluster.nodes()), "it waits for the disks"
    cluster.finish_commit(others[0])
    cluster.stabilize()
    assert applied(leader) == [(Register.command("add", None, 5), 1)]


def test_who_does_not_lead_proposes_nothing(group: str) -> None:
    cluster = cluster_of(group)
    leader = elect(cluster)
    for node in cluster.nodes():
        if node is not leader:
            assert node.group.propose(b"x") is None


def test_a_deposed_leader_is_told_and_its_command_loses_its_tag(group: str) -> None:
    cluster = cluster_of(group)
    leader = elect(cluster)
    others = [name for name in NODES if name != leader.id]
    cluster.partition([leader.id], others)
    propose(cluster, leader, "add", 5)
    cluster.run(lambda: leading(cluster) in others)
    newer = cluster.node(str(leading(cluster)))
    propose(cluster, newer, "add", 1)
    cluster.run(lambda: bool(applied(newer)))
    cluster.heal()
    cluster.run(lambda: bool(applied(leader)) and isinstance(leader.told[0], Led) and Deposed() in leader.told)
    assert applied(leader) == [(Register.command("add", None, 1), None)]


def test_a_leader_is_told_after_all_that_earlier_ones_have_committed(group: str) -> None:
    cluster = cluster_of(group)
    leader = elect(cluster)
    propose(cluster, leader, "add", 5)
    cluster.run(lambda: all(applied(node) for node in cluster.nodes()))
    before = {node.id: len(node.told) for node in cluster.nodes()}
    cluster.crash(leader.id)
    newer = elect(cluster)
    assert newer.told[0] == Applied(newer.told[0].index, Register.command("add", None, 5), msgspec.msgpack.encode(5))
    assert isinstance(newer.told[before[newer.id]], Led)


def test_after_a_restart_commands_behind_the_snapshot_are_told_again(group: str) -> None:
    cluster = cluster_of(group)
    leader = elect(cluster)
    for amount in range(1, 9):
        propose(cluster, leader, "add", amount)
        cluster.run(lambda amount=amount: all(len(applied(node)) == amount for node in cluster.nodes()))
    indexes = {event.command: event.index for event in leader.told if isinstance(event, Applied)}
    cluster.crash("n2")
    cluster.restart("n2")
    node = cluster.node("n2")
    cluster.run(lambda: bool(applied(node)) and applied(node)[-1][0] == Register.command("add", None, 8))
    told = [event for event in node.told if isinstance(event, Applied)]
    assert 0 < len(told) < 8 and all(indexes[event.command] == event.index for event in told)


def test_who_was_away_is_told_of_the_snapshot_that_replaces_its_state(group: str) -> None:
    cluster = cluster_of(group)
    leader = elect(cluster)
    away = next(name for name in NODES if name != leader.id)
    cluster.crash(away)
    for amount in range(1, 13):
        propose(cluster, leader, "add", amount)
        cluster.run(lambda amount=amount: len(applied(leader)) == amount)
    cluster.restart(away)
    node = cluster.node(away)
    cluster.run(lambda: any(isinstance(event, Restored) for event in node.told))
    restored = next(event for event in node.told if isinstance(event, Restored))
    assert restored.index >= 5 and node.group.machine.machine.values[-1] > 0


def test_a_group_starts_from_the_state_of_another(group: str) -> None:
    old = ReplicatedMachine(Register())
    old.machine.apply(Register.command("add", None, 40))
    cluster = cluster_of(group, snapshot=(old.snapshot(), 17))
    leader = elect(cluster)
    propose(cluster, leader, "add", 2)
    cluster.run(lambda: all(applied(node) for node in cluster.nodes()))
    for node in cluster.nodes():
        (event,) = [event for event in node.told if isinstance(event, Applied)]
        assert Register.result(event.result) == 42 and event.index > 17
    for name in NODES:
        cluster.crash(name)
    for name in NODES:
        cluster.restart(name)
    cluster.run(lambda: all(node.group.machine.machine.values == [0, 40, 42] for node in cluster.nodes()))


class Hasty(Raft):
    """Tells its parent of a command when it is appended, and not once it is committed."""

    def propose(self, command: bytes) -> int | None:
        tag = super().propose(command)
        if tag is not None:
            self.tell(Applied(self.log.last, command, b"\xc0", tag))
        return tag


def test_it_would_be_told_too_early() -> None:
    cluster = cluster_of("raft", node=Hasty)
    leader = elect(cluster)
    cluster.partition([leader.id], [name for name in NODES if name != leader.id])
    propose(cluster, leader, "add", 5)
    assert applied(leader) != [], "and the command may yet be lost"


# A machine with time.


LENGTH = 200 * MILLISECOND


class Lease(Door):
    """A door that closes 200 ms after it was opened."""

    def open(self) -> int:
        self.inside += 1
        self.closes = self.now + LENGTH
        return self.inside


def doors(cluster: Cluster) -> list[Lease]:
    return [node.group.machine.machine for node in cluster.nodes()]


def enter(cluster: Cluster, node: Any) -> int:
    tag = node.group.propose(Lease.command("enter", None, None))
    assert tag is not None
    cluster._batch(node.id, [])
    return int(tag)


def test_time_passes_while_a_leader_serves_and_a_lease_ends_by_itself(group: str) -> None:
    cluster = cluster_of(group, Lease)
    leader = elect(cluster)
    enter(cluster, leader)
    cluster.run(lambda: leader.group.machine.machine.inside == 1)
    opened = cluster.now
    cluster.run(lambda: leader.group.machine.machine.inside == 0)
    assert LENGTH <= cluster.now - opened < LENGTH + SECOND // 4


def test_a_new_leader_extends_every_lease(group: str) -> None:
    assert lease_after_a_gap(cluster_of(group, Lease)) >= LENGTH


def lease_after_a_gap(cluster: Cluster) -> int:
    """How long a lease lasts after the election of a new leader, long after the old one has died."""
    leader = elect(cluster)
    enter(cluster, leader)
    cluster.run(lambda: all(door.inside == 1 for door in doors(cluster)))
    cluster.crash(leader.id)
    newer = elect(cluster)
    began = cluster.now
    cluster.run(lambda: newer.group.machine.machine.inside == 0)
    return cluster.now - began


class CountsAll(MachineClock):
    """Counts every stamp, the first of a leadership too."""

    def elapsed(self, index: int, stamp: Stamp) -> int:
        return stamp.elapsed


def across_terms(node: type[Node]) -> type[Node]:
    """The protocol, with a leader's clock that goes on from the last command that it saw, whoever stamped it."""

    class AcrossTerms(node):  # type: ignore[misc, valid-type]
        def on_start(self) -> None:
            super().on_start()
            self.machine._clock = CountsAll()

        def become_leader(self, *arguments: Any) -> None:
            super().become_leader(*arguments)
            self.clock.stamped_at = 0

    return AcrossTerms


def test_it_would_not_if_elapsed_time_were_stamped_across_terms(group: str) -> None:
    node = across_terms(GROUPS[group][0])
    assert lease_after_a_gap(cluster_of(group, Lease, node=node)) < LENGTH


def test_machine_time_is_never_ahead_of_real_time(group: str) -> None:
    cluster = cluster_of(group, Lease)
    for _ in range(4):
        leader = elect(cluster)
        enter(cluster, leader)
        cluster.run(lambda leader=leader: leader.group.machine.machine.inside == 0)
        assert all(door._now <= cluster.now for door in doors(cluster))
        cluster.crash(leader.id)
        elect(cluster)
        cluster.restart(leader.id)


# Clients that wait.


def waiting_cluster(group: str, machine: Callable[..., Any] = Lease) -> Cluster:
    node, kind, defaults = GROUPS[group]
    config = kind(state_machine=StateMachineChoice(machine), **defaults)  # type: ignore[arg-type]
    return Cluster(node, config, NODES, client=SessionClient, clients=["c1", "c2"])


def test_a_client_that_waits_is_answered_after_a_change_of_leader_and_snapshots(group: str) -> None:
    cluster = waiting_cluster(group, Patient)
    first = cluster.invoke("c1", "enter", None, None)
    cluster.run(lambda: first in cluster.outcomes)
    second = cluster.invoke("c2", "enter", None, None)
    cluster.run(lambda: all(len(node.machine.machine.waiting) == 1 for node in cluster.nodes()))
    for name in NODES:  # every node comes back from its disk
        cluster.crash(name)
        cluster.run(lambda: any("leader" in node.status.roles for node in cluster.nodes()))
        cluster.restart(name)
    assert second not in cluster.outcomes
    left = cluster.invoke("c1", "leave", None, None)
    cluster.run(lambda: left in cluster.outcomes and second in cluster.outcomes)
    assert cluster.outcomes[second] == Ok(2)
    assert cluster.outcomes[first] == Ok(1)


class Patient(Door):
    """A door that nothing but `leave` closes."""

    def next_deadline(self) -> int | None:
        return None


def test_who_hands_over_its_leadership_proposes_nothing(group: str) -> None:
    leader = elect(cluster_of(group))
    setattr(leader.group, {"raft": "leadership_transfer", "multipaxos": "successor"}[group], "n2")
    assert leader.group.propose(b"x") is None


def test_a_raised_ballot_keeps_what_the_parent_has_proposed() -> None:
    cluster = cluster_of("multipaxos")
    leader = elect(cluster)
    command = Register.command("add", None, 5)
    assert leader.group.propose(command) == 1
    leader.group.become_candidate()
    cluster._batch(leader.id, [])
    cluster.run(lambda: bool(applied(leader)))
    assert applied(leader) == [(command, 1)] and Deposed() not in leader.told
    terms = [event.term for event in leader.told if isinstance(event, Led)]
    assert len(terms) == 2 and terms[0] < terms[1]


def test_a_leader_that_has_yet_to_learn_what_was_committed_is_told_last(group: str) -> None:
    cluster = cluster_of(group)
    leader = elect(cluster)
    propose(cluster, leader, "add", 5)
    cluster.run(lambda: bool(applied(leader)))
    assert all(applied(node) == [] for node in cluster.nodes() if node is not leader), "they have it, and do not know"
    cluster.crash(leader.id)
    newer = elect(cluster)
    assert [type(event) for event in newer.told] == [Applied, Led]
