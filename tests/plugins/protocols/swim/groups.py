"""A group for stories of SWIM: no member begins a period by itself, and messages travel when the story says so."""

from __future__ import annotations

from typing import Any

from framework import NodeId
from framework.testing.cluster import Cluster
from plugins.protocols.swim.config import SwimConfig
from plugins.protocols.swim.messages import Ping, ProbeId, State, Update
from plugins.protocols.swim.node import Swim
from tests.written import written


def group(size: int = 4, node: type[Swim] = Swim, **settings: Any) -> Cluster:
    """Members n1, n2, … in their first incarnation, each of which has heard so of all others, with nothing to spread."""
    config = written(SwimConfig, **settings)
    made = Cluster(node, config, [f"n{number}" for number in range(1, size + 1)])
    for member in made.nodes():
        member.members = {peer: Update(peer, 1, "alive") for peer in member.peers}
        member.sent.clear()
    made.clear_log()
    return made


def probe(members: Cluster, prober: NodeId, target: NodeId) -> None:
    """Begins a period of `prober`, which pings `target`."""
    members.node(prober).order = [target]
    members.fire(prober, "begin_period")


def hear(members: Cluster, name: NodeId, *updates: Update) -> None:
    """A Ping with these updates comes from outside; its Ack is not awaited."""
    members.deliver(members.send("n9", name, Ping(ProbeId(0, 0), updates)))
    members.drop_all("Ack", to="n9")


def said(member: NodeId, incarnation: int, state: State) -> Update:
    return Update(member, incarnation, state)


def held(members: Cluster, name: NodeId, of: NodeId) -> tuple[int, str]:
    """The incarnation and state in which `name` holds `of`."""
    update = members.node(name).members[of]
    return update.incarnation, update.state


def noted(members: Cluster, name: str) -> list[tuple[NodeId, dict[str, Any]]]:
    """Who noted this, with the fields."""
    return [(node, fields) for node, note, fields in members.notes if note == name]
