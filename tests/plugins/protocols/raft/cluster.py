"""A cluster driven by hand: every delivery, loss, time-out, crash and finished write is a call.

    cluster = Cluster(3)
    cluster.time_out("n1")
    cluster.settle()
    assert cluster.node("n1").role == "leader"

Messages wait in `network` until they are delivered or dropped. A node in `slow` stays busy writing after each
batch, until `written` or `crash`; all others write at once. Each node has a clock of its own, which stands
still unless a timer is fired; with `one_clock` all show what the fastest shows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from framework import Administer, Command, Message, NodeId, Operation, Outcome, Query, Request, SessionClient
from framework.core.durable import LogWritten, ScalarSet
from framework.core.effects import Complete, Effect, Multicast, Note, Send
from framework.core.node import TimerKey
from framework.core.node_runtime import Batch, Deliver, Fire, Input, Invoke, NodeRuntime, Start
from framework.core.storage import MemoryStorage
from framework.replication.sessions import OPEN
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.messages import Entry, PreVote, PreVoted, RequestVote, Vote
from plugins.protocols.raft.node import Raft
from tests.plugins.protocols.raft.tape import TAPE, Tape


@dataclass(frozen=True)
class Envelope:
    source: NodeId
    target: NodeId
    message: Message


FIGURE_2 = {"prevote": False, "check_quorum": False}
"""The paper's Raft, without what the thesis adds to elections."""


class Cluster:
    """Of Raft as in Figure 2, unless `config` asks for more. Spares run from the start, and are no members."""

    def __init__(self, size: int, node: type[Raft] = Raft, seed: int = 0, spares: int = 0, **config: Any) -> None:
        self.servers = tuple(f"n{number}" for number in range(1, size + spares + 1))
        self.members = self.servers[:size]  # those that it starts with
        self.node_class, self.seed = node, seed
        self.config = RaftConfig(state_machine=TAPE, **(FIGURE_2 | config))
        self.disks = {server: MemoryStorage() for server in self.servers}
        self.hosts: dict[NodeId, NodeRuntime] = {}  # those that are up, and the clients
        self.starts = 0
        self.network: list[Envelope] = []
        self.inbox: dict[NodeId, list[Message]] = {}  # of those that are not nodes of this cluster
        self.notes: list[tuple[NodeId, str, dict[str, Any]]] = []
        self.outcomes: dict[int, Outcome] = {}  # by operation
        self.slow: set[NodeId] = set()
        self.writing: dict[NodeId, Batch] = {}
        self.apart: dict[NodeId, int] = {}  # server -> its side of the partition
        self.one_clock = False
        self.observe: Callable[[NodeId], None] = lambda node_id: None  # called when a batch is written
        for server in self.servers:
            self.restart(server)

    # What there is to see.

    def node(self, node_id: NodeId) -> Any:
        return self.hosts[node_id].root

    def up(self) -> list[Any]:
        return [self.node(server) for server in self.servers if server in self.hosts]

    def leader(self) -> Any:
        """The leader of the highest term."""
        return max((node for node in self.up() if node.role == "leader"), key=lambda node: node.term)

    def terms(self, node_id: NodeId) -> list[int]:
        """The terms of the entries in its log."""
        return [entry.term for entry in self.node(node_id).log]

    def waits(self, node_id: NodeId, timer: str = "start_election") -> bool:
        """Whether a timer of that name is set."""
        return any(key[1] == timer for key in self.hosts[node_id].timers)

    def tape(self, node_id: NodeId) -> list[Any]:
        return list(self.node(node_id).machine.machine.values)

    def waiting(self, kind: type[Message], source: NodeId = "", target: NodeId = "") -> list[Envelope]:
        """The undelivered messages of a kind, from and to whom it matters."""
        return [
            envelope
            for envelope in self.network
            if type(envelope.message) is kind and source in ("", envelope.source) and target in ("", envelope.target)
        ]

    # Crashes and disks.

    def store(self, server: NodeId, term: int, terms: Sequence[int], voted_for: NodeId | None = None) -> None:
        """Restarts `server` with this term and a log of entries of these terms."""
        entries = tuple(Entry(each, Command(0, OPEN, b"%d" % each)) for each in terms)
        self.crash(server)
        changes = [
            ScalarSet("", "term", term),
            ScalarSet("", "voted_for", voted_for),
            LogWritten("", "log", 1, 1, entries),
        ]
        self.disks[server].commit(changes)
        self.restart(server)

    def crash(self, server: NodeId, *, kept: bool = False) -> None:
        """Stops it; what it was writing is `kept` or lost, and what was to leave after that never does."""
        batch = self.writing.pop(server, None)
        if kept and batch is not None:
            self.disks[server].commit(batch.changes)
        self.hosts.pop(server, None)

    def restart(self, server: NodeId) -> None:
        self.starts += 1
        host = NodeRuntime(server, random.Random(f"{self.seed}/{server}/{self.starts}"), self.disks[server])
        host.now = max((other.now for other in self.hosts.values()), default=0) if self.one_clock else 0
        self.hosts[server] = host
        peers = tuple(peer for peer in self.members if peer != server)
        spare = server not in self.members
        self._batch(server, [Start(self.node_class, self.config, peers, spare)])

    def written(self, server: NodeId) -> None:
        """Its write is done: what waited for it leaves."""
        batch = self.writing.pop(server)
        if server in self.disks:
            self.disks[server].commit(batch.changes)
        self._leave(server, batch.effects)
        self.observe(server)

    # Inputs.

    def deliver(self, *envelopes: Envelope) -> None:
        """Hands these to their targets; those for one target that follow one another are one batch."""
        while envelopes:
            target = envelopes[0].target
            run = next((i for i, each in enumerate(envelopes) if each.target != target), len(envelopes))
            batch, envelopes = envelopes[:run], envelopes[run:]
            for envelope in batch:
                self._take(envelope)
            if target in self.hosts:
                self._batch(target, [Deliver("", each.source, each.message) for each in batch])
            elif target not in self.servers:
                self.inbox.setdefault(target, []).extend(envelope.message for envelope in batch)

    def pass_on(self, kind: type[Message], source: NodeId = "", target: NodeId = "") -> None:
        """Delivers the messages of a kind that are under way now, one by one, and none of what follows."""
        for envelope in self.waiting(kind, source, target):
            self.deliver(envelope)

    def drop(self, envelopes: Iterable[Envelope]) -> None:
        for envelope in list(envelopes):
            self._take(envelope)

    def time_out(self, node_id: NodeId, timer: str = "start_election") -> None:
        """Fires the timer of that name, its clock having come to the deadline."""
        host = self.hosts[node_id]
        key = next(key for key in host.timers if key[1] == timer)
        self.fire(node_id, key)

    def wait(self, duration: int) -> None:
        """Every clock goes on by `duration`; no timer fires."""
        for host in self.hosts.values():
            host.now += duration

    def fire(self, node_id: NodeId, key: TimerKey) -> None:
        host = self.hosts[node_id]
        host.now = max(host.now, host.timers[key][0])
        if self.one_clock:
            for other in self.hosts.values():
                other.now = max(other.now, host.now)
        self._batch(node_id, [Fire(key)])

    def ask(self, client: NodeId, server: NodeId, operation: int, command: Command) -> Envelope:
        """A client's request, on its way."""
        envelope = Envelope(client, server, Request(operation, command))
        self.network.append(envelope)
        return envelope

    def query(self, client: NodeId, server: NodeId, operation: int) -> Envelope:
        """A client's read of the tape outside the log, on its way."""
        envelope = Envelope(client, server, Query(operation, Tape.command("read", None, None)))
        self.network.append(envelope)
        return envelope

    def administer(self, server: NodeId, operation: int, function: str, node: NodeId, by: NodeId = "admin") -> None:
        """An administrator's wish arrives."""
        envelope = Envelope(by, server, Administer(operation, function, node))
        self.network.append(envelope)
        self.deliver(envelope)

    def add_client(self, client: NodeId) -> None:
        self.hosts[client] = NodeRuntime(client, random.Random(f"{self.seed}/{client}"))
        self._batch(client, [Start(SessionClient, self.config, self.servers)])

    def invoke(self, client: NodeId, operation: int, value: Any) -> None:
        """The client starts to add `value` to the tape, or to read its length if that is None, and never gives up."""
        call = Operation(operation, "read" if value is None else "add", None, value)
        self._batch(client, [Invoke(call, 0)])

    # Longer stretches.

    def partition(self, *sides: Iterable[NodeId]) -> None:
        """Only servers on the same side reach one another; without sides, all do."""
        self.apart = {server: number for number, side in enumerate(sides) for server in side}

    def cut(self, source: NodeId, target: NodeId) -> bool:
        return self.apart.get(source) != self.apart.get(target) and source in self.servers and target in self.servers

    def settle(self) -> None:
        """Delivers what is under way, oldest first, until nothing is; for the dead and cut off it is lost."""
        for _ in range(100_000):
            envelope = next((each for each in self.network if each.target not in self.writing), None)
            if envelope is None:
                return
            if self.cut(envelope.source, envelope.target):
                self.drop([envelope])
            else:
                self.deliver(envelope)
        raise AssertionError("the cluster never comes to rest")

    def run(self, until: Callable[[], bool], timers: int = 5_000) -> None:
        """Lets time pass, messages taking none, until `until` holds; AssertionError after so many timers."""
        now = max(host.now for host in self.hosts.values())
        for _ in range(timers):
            for host in self.hosts.values():
                host.now = now
            self.settle()
            if until():
                return
            due = ((at, node_id, key) for node_id, host in self.hosts.items() for key, (at, _) in host.timers.items())
            at, node_id, key = min(due)
            now = max(now, at)
            self.fire(node_id, key)
        raise AssertionError(f"not within {timers} timers")

    # Inside.

    def _take(self, envelope: Envelope) -> None:
        index = next(i for i, each in enumerate(self.network) if each is envelope)
        del self.network[index]

    def _batch(self, node_id: NodeId, inputs: Sequence[Input]) -> None:
        assert node_id not in self.writing, f"{node_id} is still writing"
        runtime = self.hosts[node_id]
        for number, given in enumerate(inputs, start=runtime.step + 1):
            runtime.take(msgspec.structs.replace(given, step=number))
        batch = runtime.end_batch()
        self._leave(node_id, batch.early)
        self.writing[node_id] = batch
        if node_id not in self.slow or not batch.changes:
            self.written(node_id)

    def _leave(self, source: NodeId, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.network.append(Envelope(source, effect.to, effect.message))
            elif isinstance(effect, Multicast):
                self.network.extend(Envelope(source, each, effect.message) for each in effect.to)
            elif isinstance(effect, Note):
                self.notes.append((source, effect.name, effect.fields))
            else:
                assert isinstance(effect, Complete)
                self.outcomes[effect.operation] = effect.outcome


def add(session: int, sequence: int, value: Any) -> Command:
    """The command that adds `value` to the tape."""
    return Command(session, sequence, Tape.command("add", None, value))


def set_off(cluster: Cluster, server: NodeId) -> Any:
    """Has `server` win an election; the messages that tell the others so are under way."""
    cluster.time_out(server)
    for kind in (PreVote, PreVoted, RequestVote, Vote):
        cluster.pass_on(kind)
    node = cluster.node(server)
    assert node.role == "leader", f"{server} lost its election"
    return node


def elect(cluster: Cluster, server: NodeId) -> Any:
    """Has `server` win an election and all that follows from it."""
    cluster.time_out(server)
    cluster.settle()
    node = cluster.node(server)
    assert node.role == "leader", f"{server} lost its election"
    return node
