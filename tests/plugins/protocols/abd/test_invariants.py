"""Each of ABD's invariants catches what it is there for, and names what is broken and where."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.planted_bugs.abd_mutants import ForgetsItsVersions, SignsNothing, TakesOlderVersions, TrustsOneTooFew
from framework import Invariant, Node, Step, Violation
from framework.testing.cluster import Cluster
from plugins.protocols.abd.client import RegisterClient
from plugins.protocols.abd.config import AbdConfig
from plugins.protocols.abd.invariants import CLOCKS_APART, INVARIANTS
from plugins.protocols.abd.messages import Version
from plugins.protocols.abd.node import Replica


class Watched:
    """Three replicas and two clients, all of them shown to the invariants at each `look`."""

    def __init__(self, node: type[Replica] = Replica, client: type[RegisterClient] = RegisterClient) -> None:
        self.cluster = Cluster(node, AbdConfig(), ["n1", "n2", "n3"], client=client, clients=["c1", "c2"])
        self.invariants: list[Invariant[Any]] = [invariant() for invariant in INVARIANTS]
        self.seen: dict[str, Node] = {}
        self.look()

    def look(self) -> None:
        for name in self.cluster.up:
            node, step = self.cluster.node(name), Step(name)
            step.time, step.started = self.cluster.now, self.seen.get(name) is not node
            self.seen[name] = node
            for invariant in self.invariants:
                if isinstance(node, invariant.watches):
                    invariant.observe(step, node)

    def run(self, client: str, function: str, key: str, value: str | None = None) -> None:
        self.cluster.invoke(client, function, key, value)
        self.cluster.stabilize()
        self.look()

    def query(self, client: str, function: str, key: str, value: str | None = None) -> None:
        """The first phase alone: what it is to propagate is on its way."""
        self.cluster.invoke(client, function, key, value)
        for kind in ("Query", "Held"):
            for _ in range(3):
                self.cluster.deliver(kind)


def test_abd_itself_comes_through_writes_reads_and_restarts() -> None:
    watched = Watched()
    for turn in range(3):
        watched.run("c1", "write", "x", f"a{turn}")
        watched.cluster.crash("n1")
        watched.run("c2", "write", "x", f"b{turn}")
        watched.run("c2", "write", "y", f"c{turn}")
        watched.cluster.restart("n1")
        watched.run("c1", "read", "x")
        watched.cluster.advance(2 * CLOCKS_APART)
        watched.look()


def test_timestamp_order_within_a_life() -> None:
    watched = Watched(TakesOlderVersions)
    watched.query("c1", "write", "x", "lesser")
    watched.query("c2", "write", "x", "greater")
    watched.cluster.deliver("Propagate", sender="c2", to="n1")
    watched.look()
    watched.cluster.deliver("Propagate", sender="c1", to="n1")
    with pytest.raises(Violation, match=r"timestamp order broken at n1: went back from \(1, 1\) to \(1, 0\) at 'x'"):
        watched.look()


def test_timestamp_order_across_a_restart() -> None:
    watched = Watched(ForgetsItsVersions)
    watched.run("c1", "write", "x", "a")
    watched.cluster.crash("n2")
    watched.cluster.restart("n2")
    with pytest.raises(Violation, match=r"timestamp order broken at n2: went back from \(1, 0\) to \(0, 0\) at 'x'"):
        watched.look()


def test_one_value_a_timestamp() -> None:
    watched = Watched(client=SignsNothing)
    watched.query("c1", "write", "x", "one")
    watched.query("c2", "write", "x", "two")
    watched.cluster.deliver("Propagate", sender="c1", to="n1")
    watched.cluster.deliver("Propagate", sender="c2", to="n2")
    with pytest.raises(Violation, match=r"timestamp broken at n1, n2: \(1, 0\) at 'x' has two values, 'one' and 'two'"):
        watched.look()


def test_a_quorum_holds_what_ended() -> None:
    watched = Watched(client=TrustsOneTooFew)
    with pytest.raises(Violation, match="holds what ended broken at c1, n1: operation 0 of c1 ended when n1 held"):
        watched.run("c1", "write", "x", "a")


class ComesBackWithItsFirst(Replica):
    """Holds after a restart what was written first."""

    def on_start(self) -> None:
        for key in [*self.versions]:
            self.versions[key] = Version((1, 0), "a")


def test_promises_kept() -> None:
    watched = Watched(ComesBackWithItsFirst)
    cluster = watched.cluster
    watched.run("c1", "write", "x", "a")
    watched.query("c1", "write", "x", "b")
    for replica in ("n2", "n1"):
        cluster.deliver("Propagate", to=replica)
        cluster.deliver("Stored")
    cluster.crash("n2")  # never seen to hold what it has promised
    watched.look()
    cluster.restart("n2")
    watched.look()  # on two machines this may have been before the promise
    cluster.advance(CLOCKS_APART)
    with pytest.raises(
        Violation, match=r"promises kept broken at n2: promised to hold \(2, 1\) at 'x', and holds \(1, 0"
    ):
        watched.look()


def test_an_operation_that_timed_out_has_promised_nothing() -> None:
    watched = Watched()
    watched.cluster.crash("n1")
    watched.cluster.crash("n2")
    watched.run("c1", "write", "x", "a")
    client = watched.cluster.node("c1")
    client._time_out()
    assert client.current is None and not client.ended
    watched.look()
