"""Clusters of the cache: n1 is the directory, n2 to n4 are caches. And caches with one mistake each."""

from __future__ import annotations

from dataclasses import replace

from framework import Node, Ok
from framework.testing.cluster import Cluster
from plugins.protocols.cache.directory import Directory
from plugins.protocols.cache.messages import Handoff, View
from plugins.protocols.cache.server import Cache
from tests.composing import composed

BASE = ("protocol=cache", "placement=ring", "workload=cache", "engine=sim", "clients=2")


def cluster(*settings: str, nodes: int = 4, broken: type[Node] | None = None) -> Cluster:
    """Returns a cluster whose caches, or whose directory, are of the class `broken`, after the first heartbeats."""
    experiment = composed(*BASE, f"nodes={nodes}", *settings).experiment
    if broken is not None:
        roles = {
            role: (broken if issubclass(broken, node) else node, count)
            for role, (node, count) in experiment.protocol.roles.items()
        }
        experiment = replace(experiment, protocol=replace(experiment.protocol, roles=roles))
    made = Cluster.of(experiment)
    made.stabilize()
    return made


def put(made: Cluster, *keys: str) -> None:
    for key in keys:
        operation = made.invoke("c1", "put", key, f"value of {key}")
        made.stabilize()
        assert operation in made.outcomes


def got(made: Cluster, key: str, client: str = "c2") -> str | None:
    """Returns what a client finds at a key."""
    operation = made.invoke(client, "get", key)
    made.stabilize()
    outcome = made.outcomes[operation]
    assert isinstance(outcome, Ok)
    value, cache = outcome.value
    assert cache == made.node("n2").owner(key) or "n2" not in made.up
    return value


def change(made: Cluster, function: str, cache: str) -> object:
    """Lets a cache join or leave, and returns the outcome."""
    operation = made.invoke("c2", function, cache)
    made.stabilize()
    return made.outcomes[operation]


KEYS = [f"k{number}" for number in range(40)]


class KeepsWhatItLost(Cache):
    """Entries that are another cache's from now on stay here as well."""

    def hand_off(self, view: View) -> None:
        kept = dict(self.entries)
        super().hand_off(view)
        self.entries = kept


class KeepsItsPast(Cache):
    """A cache that was dropped and admitted again has its old entries."""

    def on_view(self, sender: str, view: View) -> None:
        kept = dict(self.entries)
        super().on_view(sender, view)
        self.entries = kept


class PrefersWhatWasHandedOff(Cache):
    """An entry that arrives late replaces a newer one."""

    def on_handoff(self, sender: str, handoff: Handoff) -> None:
        for key, _ in handoff.entries:
            self.entries.pop(key, None)
        super().on_handoff(sender, handoff)


class ServesEveryEpoch(Cache):
    """Serves clients that know another list of caches."""

    def is_of_this_epoch(self, client: str, epoch: int) -> bool:
        return self.view is not None


class CountsEpochsAnew(Directory):
    """The epochs of a directory begin at 1 after each restart."""

    def on_start(self) -> None:
        self.epoch = 0
        super().on_start()


class ForgetsTheBound(Cache):
    """There is always room."""

    def keep(self, key: str, value: str) -> None:
        self.entries.pop(key, None)
        self.entries[key] = value
