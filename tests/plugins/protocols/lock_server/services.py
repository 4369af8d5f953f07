"""A lock server and its clients, driven by hand, with the invariants watched."""

from __future__ import annotations

from typing import Any

from framework import MILLISECOND, Fail, Message, Ok, Step
from framework.core.time import Duration
from framework.testing.cluster import Cluster
from plugins.protocols.lock_server.config import LockServerConfig
from plugins.protocols.lock_server.invariants import INVARIANTS
from plugins.protocols.lock_server.node import LockServer, LockServerClient

MS = MILLISECOND
LEASE, RETRY = 100 * MS, 20 * MS
CLIENTS = ("c1", "c2", "c3", "c4")


class Service:
    """One server, n1, and four clients, each with a session of 100 ms once it has opened one."""

    def __init__(self, node: type[LockServer] = LockServer) -> None:
        config = LockServerConfig(lease=Duration("100ms"), retry=Duration("20ms"))
        self.cluster = Cluster(node, config, ["n1"], client=LockServerClient, clients=CLIENTS)
        self.invariants = [invariant() for invariant in INVARIANTS]
        self.is_first = True
        """Whether the server has not been looked at since it started."""
        self.look()
        self.cluster.on_commit = lambda name: self.look() if name == "n1" else None

    def look(self) -> None:
        step = Step("n1")
        step.time, step.started, self.is_first = self.cluster.now, self.is_first, False
        for invariant in self.invariants:
            invariant.observe(step, self.server)

    @property
    def server(self) -> Any:
        return self.cluster.node("n1")

    def begin(self, client: str, function: str, lock: str | None = None, argument: Any = None) -> int:
        """Starts an operation, and delivers what is on its way."""
        operation = self.cluster.invoke(client, function, lock, argument)
        self.cluster.stabilize()
        return operation

    def call(self, client: str, function: str, lock: str | None = None, argument: Any = None) -> Any:
        """Returns the result of an operation."""
        outcome = self.cluster.outcomes[self.begin(client, function, lock, argument)]
        assert isinstance(outcome, Ok), outcome
        return outcome.value

    def refusal(self, client: str, function: str, lock: str | None = None, argument: Any = None) -> str:
        """Returns why an operation fails."""
        outcome = self.cluster.outcomes[self.begin(client, function, lock, argument)]
        assert isinstance(outcome, Fail), outcome
        return outcome.why

    def open(self, client: str) -> int:
        session: int = self.call(client, "open_session")[0]
        return session

    def sessions(self, count: int = 4) -> list[int]:
        return [self.open(client) for client in CLIENTS[:count]]

    def wait(self, duration: int) -> None:
        """Lets time pass at the server; clients do not ask again."""
        self.cluster.advance(duration, fire=False)
        while any(at <= self.cluster.clock("n1") for at in self.cluster.timers("n1").values()):
            self.cluster.fire("n1", "pass_deadlines")
        self.cluster.stabilize()

    def restart(self) -> None:
        self.cluster.crash("n1")
        self.is_first = True
        self.cluster.restart("n1")

    def late(self, client: str, message: Message) -> None:
        """A late duplicate of a request arrives."""
        self.cluster.deliver(self.cluster.send(client, "n1", message))
        self.cluster.stabilize()

    def outcome(self, operation: int) -> Any:
        return self.cluster.outcomes.get(operation)
