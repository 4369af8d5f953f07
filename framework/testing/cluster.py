"""A cluster driven by hand: every delivery, loss, time-out, crash and finished commit is a call.

For tests that read as stories: fire this timer, deliver that message, crash here, and compare all effects.

    cluster = Cluster(Raft, config, ["n1", "n2", "n3"], client=SessionClient, clients=["c1"])
    cluster.fire("n1", "start_election")
    cluster.deliver(RequestVote, to="n2")
    cluster.stabilize()
    assert cluster.node("n1").role == "leader"

| subject | verbs |
| --- | --- |
| messages | `send` `deliver` `deliver_batch` `deliver_all` `drop` `drop_all` `duplicate` `stabilize` |
| timers and clocks | `fire` `time_out` `advance` `run` |
| clients | `invoke` `administer` |
| crashes | `crash` `restart` `pause` `resume` |
| disks | `slow_disk` `finish_commit` `fast_disk` `store` |
| links | `partition` `heal` |

A call that makes no sense in the cluster's state raises ConfigError, with a remedy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from framework.core.address import Address, sender_of, split_address
from framework.core.client import Client, Operation, Outcome, Unknown
from framework.core.durable import LOG, MAP, Change, LogWritten, MapWritten, ScalarSet, Stored
from framework.core.effects import Complete, Effect, Multicast, Note, Send
from framework.core.errors import ConfigError, did_you_mean
from framework.core.message import Message, NodeId
from framework.core.node import Node, TimerKey
from framework.core.node_runtime import Batch, Deliver, Fire, Input, Invoke, NodeRuntime, Start
from framework.core.random_streams import stream
from framework.core.storage import MemoryStorage
from framework.engine.base import EndpointSpec, Experiment
from framework.replication.administration import ADMINISTRATOR, Administrator
from framework.replication.state_machine import describe_call
from framework.testing.describe import describe, describe_change, describe_fields, describe_time


@dataclass(frozen=True)
class Envelope:
    """A message on its way."""

    sender: NodeId
    to: NodeId
    message: Message
    path: str = ""
    """The mount path of the receiver."""
    source: str | None = None
    """The mount path of the sender, if it is another one."""

    @property
    def address(self) -> Address:
        """The sender as its receiver sees it."""
        return self.sender if self.source is None else sender_of(self.sender, self.path, self.source)

    def __str__(self) -> str:
        return f"{self.address} → {self.to}{_at(self.path)}: {describe(self.message)}"


Kind: TypeAlias = type[Message] | str
"""A class of messages, or its name."""


@dataclass
class _Member:
    """A node or client, up or down."""

    endpoint: EndpointSpec
    storage: MemoryStorage = dataclasses.field(default_factory=MemoryStorage)
    clock: int = 0
    life: int = -1


class Cluster:
    """Nodes and clients over in-memory storage. Each input is a batch of its own, except in `deliver_batch`.

    Spares wait for their `restart`. All nodes share one clock; with `own_clocks` each has its own. Clocks do not
    advance until a call moves them.

    A test can play a client or administrator itself: it calls `send` under a name that is not in the cluster, and reads
    the answers in `inbox`.

    Verbs that select messages take a kind (a class of messages, or its name), a sender and a receiver, in that order.
    Each of the three matches everything when it is left out.
    """

    def __init__(
        self, node: type[Node], config: Any, nodes: Sequence[NodeId], *, client: type[Client] | None = None,
        clients: Sequence[NodeId] = (), spares: Sequence[NodeId] = (), seed: int = 0, own_clocks: bool = False,
    ) -> None:  # fmt: skip
        self.config = config
        self.servers: tuple[NodeId, ...] = (*nodes, *spares)
        self.envelopes: list[Envelope] = []
        """The messages on their way, oldest first."""
        self.inbox: dict[NodeId, list[Message]] = {}
        """The messages delivered to names outside the cluster."""
        self.notes: list[tuple[NodeId, str, dict[str, Any]]] = []
        """The notes of all nodes, oldest first: node, name, fields."""
        self.outcomes: dict[int, Outcome] = {}
        """The outcome of each operation that has ended."""
        self.committing: dict[NodeId, Batch] = {}
        """The batch that each node with a slow disk is committing."""
        self.slow_disks: set[NodeId] = set()
        self.paused: set[NodeId] = set()
        self.on_commit: Callable[[NodeId], None] | None = None
        """Called with a node's name after each of its batches, when the commit is done and its effects have left."""
        self._seed, self._own_clocks = seed, own_clocks
        self._sides: dict[NodeId, int] = {}
        self._operations = 0
        self._log: list[_Line] = []
        self._members: dict[NodeId, _Member] = {}
        self._up: dict[NodeId, NodeRuntime] = {}  # in the order of their starts
        for name in nodes:
            self._members[name] = _Member(EndpointSpec(node, tuple(peer for peer in nodes if peer != name), config))
        for name in spares:
            self._members[name] = _Member(EndpointSpec(node, tuple(nodes), config, spare=True))
        names = (*self.servers, *clients)
        if ADMINISTRATOR in names:
            raise ConfigError("Cluster", f"{ADMINISTRATOR!r} is the administrator's name", "Choose another.")
        if len(set(names)) < len(names):
            raise ConfigError("Cluster", f"a name is given twice in {', '.join(names)}", "Give each node its own.")
        if clients and client is None:
            raise ConfigError("Cluster", f"{len(clients)} clients without a class", "Give client=SessionClient, say.")
        for name in clients:
            assert client is not None
            self._members[name] = _Member(EndpointSpec(client, self.servers, config))
        self._boot_all()

    @classmethod
    def of(cls, experiment: Experiment) -> Cluster:
        """Returns the cluster of an experiment: its nodes with their roles, the workload's service, and its clients."""
        cluster = cls(Node, experiment.protocol_config, (), seed=experiment.seed)
        cluster.servers = experiment.servers
        for name in (*experiment.servers, *experiment.clients):
            cluster._members[name] = _Member(experiment.endpoint(name))
        cluster._boot_all()
        return cluster

    def _boot_all(self) -> None:
        for name, member in self._members.items():
            if not member.endpoint.spare:
                self._boot(name)

    # State.

    def node(self, name: NodeId) -> Any:
        """The node itself; ConfigError if it is down or unknown."""
        return self.runtime(name).root

    def nodes(self) -> list[Any]:
        """The nodes that are up, in the order of `servers`; clients are left out."""
        return [self._up[name].root for name in self.servers if name in self._up]

    @property
    def up(self) -> list[NodeId]:
        """The names of the nodes and clients that are up, in the order of their starts."""
        return list(self._up)

    def runtime(self, name: NodeId) -> NodeRuntime:
        """The runtime of a node, as monitors of invariants observe it; ConfigError if it is down or unknown."""
        self._member(name)
        if name not in self._up:
            raise ConfigError(name, "the node is down", "Restart it first.")
        return self._up[name]

    def timers(self, name: NodeId) -> dict[TimerKey, int]:
        """The timers that are set at a node, with their deadlines on its clock."""
        return {key: timer.deadline for key, timer in self.runtime(name).timers.items()}

    def stored(self, name: NodeId) -> Stored:
        """The durable state of a node, up or down: mount path -> field -> value."""
        return self._member(name).storage.load()

    @property
    def now(self) -> int:
        """The time on the shared clock; with `own_clocks`, on the clock that is furthest ahead."""
        return max(member.clock for member in self._members.values())

    def clock(self, name: NodeId) -> int:
        """The time on a node's clock."""
        return self._member(name).clock

    def waiting(
        self, kind: Kind | None = None, sender: NodeId | None = None, to: NodeId | None = None
    ) -> list[Envelope]:
        """The envelopes on their way that match, oldest first."""
        return [
            envelope
            for envelope in self.envelopes
            if sender in (None, envelope.sender) and to in (None, envelope.to) and _is_kind(envelope.message, kind)
        ]

    def deliverable(self) -> list[Envelope]:
        """The envelopes that can be delivered now: no partition is in their way, and the receiver takes input."""
        return [envelope for envelope in self.envelopes if not self._is_cut(envelope) and not self._must_wait(envelope)]

    @property
    def log(self) -> list[str]:
        """The events since `clear_log`, a line each: the input that a node took, and indented below it the effects."""
        return [str(line) for line in self._log]

    def clear_log(self) -> None:
        """Empties the log."""
        self._log.clear()

    # Messages.

    def send(self, sender: NodeId, to: NodeId, message: Message, path: str = "") -> Envelope:
        """Puts a message on its way. Neither `sender` nor `to` has to be in the cluster."""
        envelope = Envelope(sender, to, message, path)
        self.envelopes.append(envelope)
        return envelope

    def deliver(
        self, what: Envelope | Kind | None = None, sender: NodeId | None = None, to: NodeId | None = None
    ) -> Envelope:
        """Delivers an envelope: `what` itself, or the oldest that matches. It is lost if its receiver is down or if a
        partition is in its way.

        ConfigError if no envelope matches, or if the receiver takes no input: it is paused, or it is committing.
        """
        envelope = self._select("deliver", what, sender, to)
        self._deliver([envelope])
        return envelope

    def deliver_batch(self, *envelopes: Envelope) -> None:
        """Delivers several envelopes to the same node as one batch, with one commit."""
        if len({envelope.to for envelope in envelopes}) != 1:
            names = ", ".join(dict.fromkeys(envelope.to for envelope in envelopes)) or "nobody"
            raise ConfigError("deliver_batch", f"these envelopes are for {names}", "A batch is one node's.")
        for envelope in envelopes:
            self._place("deliver_batch", envelope)
            if _copies(envelope, envelopes) > _copies(envelope, self.envelopes):
                raise ConfigError("deliver_batch", f"{envelope} is given twice", "duplicate() it first.")
        self._deliver(envelopes)

    def deliver_all(
        self, kind: Kind | None = None, sender: NodeId | None = None, to: NodeId | None = None
    ) -> list[Envelope]:
        """Delivers the envelopes that match, one by one, and none that is sent meanwhile. Returns them.

        An envelope stays on its way if its receiver takes no input.
        """
        delivered = []
        for envelope in self.waiting(kind, sender, to):
            if not self._must_wait(envelope):
                delivered.append(self.deliver(envelope))
        return delivered

    def drop(
        self, what: Envelope | Kind | None = None, sender: NodeId | None = None, to: NodeId | None = None
    ) -> Envelope:
        """Loses an envelope: `what` itself, or the oldest that matches."""
        envelope = self._select("drop", what, sender, to)
        del self.envelopes[self._place("drop", envelope)]
        return envelope

    def drop_all(
        self, kind: Kind | None = None, sender: NodeId | None = None, to: NodeId | None = None
    ) -> list[Envelope]:
        """Loses all envelopes that match."""
        return [self.drop(envelope) for envelope in self.waiting(kind, sender, to)]

    def duplicate(
        self, what: Envelope | Kind | None = None, sender: NodeId | None = None, to: NodeId | None = None
    ) -> Envelope:
        """Delivers an envelope, `what` itself or the oldest that matches, and puts a copy on its way behind all
        others."""
        envelope = self._select("duplicate", what, sender, to)
        self._check_takes_input("duplicate", envelope.to)
        self.envelopes.append(envelope)
        self._deliver([envelope])
        return envelope

    def stabilize(self, limit: int = 10_000) -> int:
        """Delivers envelopes, oldest first, until none is left except for receivers that take no input.

        Returns the number of deliveries; ConfigError after `limit` of them.
        """
        delivered = 0
        while (envelope := next((each for each in self.envelopes if not self._must_wait(each)), None)) is not None:
            self._deliver([envelope])
            delivered += 1
            if delivered > limit:
                raise ConfigError(
                    "stabilize", f"{limit} envelopes and no end", "Some nodes answer one another for ever."
                )
        return delivered

    # Timers and clocks.

    def fire(self, name: NodeId, timer: str, *arguments: Any, path: str = "") -> None:
        """Fires a timer that is set, whatever its deadline. No clock moves.

        `arguments` may be left out unless the timer is set several times, with different ones.
        """
        self._fire("fire", name, self._timer("fire", name, timer, arguments, path))

    def time_out(self, name: NodeId, timer: str | None = None, *arguments: Any, path: str = "") -> None:
        """Moves the clock to the deadline of a timer, and fires that timer only; by default the node's earliest.

        With `own_clocks`, only the node's clock moves.
        """
        timers = self.timers(name)
        if timer is None and not timers:
            raise ConfigError(f"time_out {name}", "no timer is set there", "Look at timers(name).")
        if timer is None:
            key = min(timers, key=lambda each: timers[each])
        else:
            key = self._timer("time_out", name, timer, arguments, path)
        self._check_takes_input("time_out", name)
        self._move((name,) if self._own_clocks else self._members, timers[key] - self.clock(name))
        self._fire("time_out", name, key, at=True)

    def advance(self, duration: int, *names: NodeId, fire: bool = True) -> None:
        """Moves all clocks forward by `duration`, and fires the timers that fall due on the way, earliest first.

        With fire=False no timer fires. With `names`, only the clocks of these nodes move and only their timers fire;
        this needs `own_clocks`. Timers of a node that takes no input stay set.
        """
        if duration < 0:
            raise ConfigError("advance", "clocks do not go back", "Give a duration of 0 or more.")
        if names and not self._own_clocks:
            raise ConfigError("advance", "all nodes show one clock", "Make the cluster with own_clocks=True.")
        for name in names:
            self._member(name)
        moved = tuple(dict.fromkeys(names)) or tuple(self._members)
        left = duration
        while fire and (due := self._earliest(moved)) is not None and due[0] <= left:
            after, name, key = due
            self._move(moved, after)
            left -= after
            self._fire("advance", name, key, at=True)
        self._move(moved, left)

    def run(self, until: Callable[[], bool], timers: int = 5_000) -> None:
        """Delivers all messages and fires the next timer, in turn, until `until()` holds: messages take no time.

        AssertionError if it does not hold after this number of timers.
        """
        for _ in range(timers):
            self.stabilize()
            if until():
                return
            due = self._earliest(self._members)
            if due is None:
                raise AssertionError("run: the condition does not hold, and no timer is set")
            self._move(self._members, due[0])
            self._fire("run", due[1], due[2], at=True)
        raise AssertionError(f"run: the condition does not hold after {timers} timers")

    # Clients.

    def invoke(self, client: NodeId, function: str, key: str | None = None, argument: Any = None) -> int:
        """Starts an operation that never times out, and returns its id. `outcomes` has its outcome."""
        root = self.node(client)
        if not isinstance(root, Client):
            raise ConfigError(f"invoke {client}", "it is a node and no client", "Give clients=[…] to the cluster.")
        self._check_takes_input("invoke", client)
        if root.current is not None:
            what = f"it is busy with operation {root.current}, and a client is one sequential process"
            raise ConfigError(f"invoke {client}", what, "Give the cluster another client.")
        operation = Operation(self._operations, function, key, argument)
        self._operations += 1
        self._log.append(
            _Line(f"{client} invokes {describe_call(function, key, argument)} as operation {operation.id}")
        )
        self._batch(client, [Invoke(operation, 0)])
        return operation.id

    def administer(self, function: str, node: NodeId) -> int:
        """Has the administrator `admin` ask for an operation, as fault schedules do. Returns its id, like `invoke`."""
        if ADMINISTRATOR not in self._members:
            self._members[ADMINISTRATOR] = _Member(
                EndpointSpec(Administrator, self.servers, self.config), clock=self.now
            )
            self._boot(ADMINISTRATOR)
        return self.invoke(ADMINISTRATOR, function, None, node)

    # Crashes and pauses.

    def crash(self, name: NodeId, *, keep_commit: bool = False) -> None:
        """Stops a node. Its durable state stays.

        A commit under way is lost, or with `keep_commit` durable. Either way its effects never leave.
        """
        self.runtime(name)
        batch = self.committing.get(name)
        if keep_commit and batch is None:
            raise ConfigError(f"crash {name}", "it has no commit under way to keep", "Give it a slow_disk first.")
        ending = "" if batch is None else ", and its commit is durable" if keep_commit else ", and its commit is lost"
        if keep_commit and batch is not None:
            self._members[name].storage.commit(batch.changes)
        self.committing.pop(name, None)
        self.paused.discard(name)
        del self._up[name]
        self._log.append(_Line(f"{name} crashed{ending}"))

    def restart(self, name: NodeId) -> None:
        """Starts a node that is down, with its durable state."""
        self._member(name)
        if name in self._up:
            raise ConfigError(f"restart {name}", "it is up", "Crash it first.")
        self._boot(name)

    def pause(self, name: NodeId) -> None:
        """Halts a node: it takes no input, its timers do not fire, and messages to it wait. Its clock keeps running."""
        self.runtime(name)
        if name in self.paused:
            raise ConfigError(f"pause {name}", "it is paused", "Resume it first.")
        self.paused.add(name)
        self._log.append(_Line(f"{name} paused"))

    def resume(self, name: NodeId) -> None:
        """Ends a pause. Timers that fell due meanwhile fire at the next `advance`, for which `advance(0)` is enough."""
        self._member(name)
        if name not in self.paused:
            raise ConfigError(f"resume {name}", "it is not paused", "Pause it first.")
        self.paused.remove(name)
        self._log.append(_Line(f"{name} resumed"))

    # Disks.

    def slow_disk(self, name: NodeId) -> None:
        """Makes each later commit of a node last until `finish_commit` or a crash. Meanwhile the node takes no input.

        Messages sent with `before_commit` leave at once. A batch without durable changes commits nothing.
        """
        self._member(name)
        self.slow_disks.add(name)

    def finish_commit(self, name: NodeId) -> None:
        """Ends the commit under way on a slow disk: its changes are durable, and its effects leave."""
        self._member(name)
        if name not in self.committing:
            raise ConfigError(f"finish_commit {name}", "it is not committing", "Give it a slow_disk, and input.")
        if name in self.paused:
            raise ConfigError(f"finish_commit {name}", "it is paused", "Resume it first.")
        self._log.append(_Line(f"{name} finishes its commit"))
        self._finish(name)

    def fast_disk(self, name: NodeId) -> None:
        """Ends `slow_disk`, and the commit that is under way."""
        self._member(name)
        if name in self.committing:
            self.finish_commit(name)
        self.slow_disks.discard(name)

    def store(self, name: NodeId, **fields: Any) -> None:
        """Replaces the values of durable fields: `store("n1", term=2, log=[entry])`. A log begins at index 1.

        A node that is up crashes and restarts with these values. A node that is down has them when it restarts.
        """
        member = self._member(name)
        declared = member.endpoint.node_class._durable
        for field in fields:
            if field not in declared:
                what = f"{member.endpoint.node_class.__qualname__} has no durable field {field!r}"
                raise ConfigError(f"store {name}", what, did_you_mean(field, declared))
        stored = member.storage.load().get("", {})
        if name in self._up:
            self.crash(name)
            self._store(member, fields, stored)
            self.restart(name)
        else:
            self._store(member, fields, stored)

    # Links.

    def partition(self, *sides: Iterable[NodeId] | NodeId) -> None:
        """Cuts the links between the sides. A message from one side to another is lost when it is delivered.

        A node or client on no side reaches everyone. A later partition replaces this one.
        """
        groups = [(side,) if isinstance(side, str) else tuple(side) for side in sides]
        named = [name for group in groups for name in group]
        if len(groups) < 2:
            raise ConfigError("partition", f"takes two sides or more, not {len(groups)}", "heal ends a partition.")
        for name in named:
            self._member(name)
            if named.count(name) > 1:
                raise ConfigError("partition", f"{name} is named twice", "Put each node on one side.")
        self._sides = {name: number for number, group in enumerate(groups) for name in group}
        self._log.append(_Line(f"partition: {' | '.join(map(' '.join, groups))}"))

    def heal(self) -> None:
        """Ends the partition, if there is one."""
        if self._sides:
            self._log.append(_Line("the partition heals"))
        self._sides = {}

    # Inside: who and what.

    def _member(self, name: NodeId) -> _Member:
        if name not in self._members:
            raise ConfigError(name, "no such node", did_you_mean(name, self._members))
        return self._members[name]

    def _select(self, verb: str, what: Envelope | Kind | None, sender: NodeId | None, to: NodeId | None) -> Envelope:
        if isinstance(what, Envelope):
            self._place(verb, what)
            if sender not in (None, what.sender) or to not in (None, what.to):
                raise ConfigError(verb, f"{what} is from {what.sender} to {what.to}", "Name the envelope alone.")
            return what
        found = self.waiting(what, sender, to)
        if found:
            return found[0]
        name = what.__name__ if isinstance(what, type) else what
        wanted = " ".join(filter(None, (name or "envelope", sender and f"from {sender}", to and f"to {to}")))
        on_their_way = "; ".join(map(str, self.envelopes)) or "none"
        raise ConfigError(verb, f"no {wanted} is on its way", f"On their way: {on_their_way}.")

    def _place(self, verb: str, envelope: Envelope) -> int:
        """Returns the index of this envelope, by identity, among those in transit: others may be equal to it."""
        for number, each in enumerate(self.envelopes):
            if each is envelope:
                return number
        raise ConfigError(verb, f"{envelope} is not on its way", "It was delivered or dropped before: send() it again.")

    def _timer(self, verb: str, name: NodeId, timer: str, arguments: tuple[Any, ...], path: str) -> TimerKey:
        timers = self.runtime(name).timers
        found = [key for key in timers if key[:2] == (path, timer) and arguments in ((), key[2])]
        if not found:
            names = list(dict.fromkeys(known[1] for known in timers))
            with_others = "; ".join(describe(key[2]) for key in timers if key[:2] == (path, timer))
            remedy = (
                f"It is set with {with_others}." if with_others else did_you_mean(timer, names) or f"{name} has none."
            )
            raise ConfigError(f"{verb} {name} {timer}", "that timer is not set", remedy)
        if len(found) > 1 and (path, timer, ()) not in found:
            several = ", ".join(describe(key[2]) for key in found)
            raise ConfigError(f"{verb} {name} {timer}", f"it is set with {several}", "Give the arguments of one.")
        return (path, timer, ()) if len(found) > 1 else found[0]

    def _check_takes_input(self, verb: str, name: NodeId) -> None:
        if name in self.paused:
            raise ConfigError(f"{verb} {name}", "it is paused", "Resume it first.")
        if name in self.committing:
            raise ConfigError(f"{verb} {name}", "it is in the middle of a commit", "Write finish_commit first.")

    def _must_wait(self, envelope: Envelope) -> bool:
        return envelope.to in self.paused or envelope.to in self.committing

    def _is_cut(self, envelope: Envelope) -> bool:
        sides = self._sides
        if not sides:
            return False
        sender, to = sides.get(envelope.sender), sides.get(envelope.to)
        return sender is not None and to is not None and sender != to

    def _earliest(self, names: Iterable[NodeId]) -> tuple[int, NodeId, TimerKey] | None:
        """The timer that falls due first, after the time until then."""
        best: tuple[int, NodeId, TimerKey] | None = None
        of = set(names)
        for name, runtime in self._up.items():
            if name not in of or name in self.paused or name in self.committing:
                continue
            for key, timer in runtime.timers.items():
                after = max(timer.deadline - runtime.now, 0)
                if best is None or after < best[0]:
                    best = (after, name, key)
        return best

    # Inside: inputs.

    def _deliver(self, envelopes: Sequence[Envelope]) -> None:
        to = envelopes[0].to
        self._check_takes_input("deliver", to)
        arrived: list[Envelope] = []
        for envelope in envelopes:
            del self.envelopes[self._place("deliver", envelope)]
            if self._is_cut(envelope):
                self._log.append(_Line("lost, a partition is in its way: ", envelope))
            elif to not in self._members:
                self.inbox.setdefault(to, []).append(envelope.message)
                self._log.append(_Line(f"{to} takes ", envelope.message, f" from {envelope.address}"))
            elif to not in self._up:
                self._log.append(_Line(f"lost, {to} is down: ", envelope))
            elif not self._up[to].has_mount(envelope.path):
                self._log.append(_Line(f"lost, {to} has no mount {envelope.path!r}: ", envelope))
            else:
                head = "  and " if arrived else f"{to}{_at(envelope.path)} takes "
                self._log.append(_Line(head, envelope.message, f" from {envelope.address}"))
                arrived.append(envelope)
        if arrived:
            self._batch(to, [Deliver(each.path, each.address, each.message) for each in arrived])

    def _fire(self, verb: str, name: NodeId, key: TimerKey, *, at: bool = False) -> None:
        self._check_takes_input(verb, name)
        path, timer, arguments = key
        shown = f"{timer}({', '.join(map(describe, arguments))})" if arguments else timer
        time = f" at {describe_time(self.clock(name))}" if at else ""
        self._log.append(_Line(f"{name}{_at(path)} fires {shown}{time}"))
        self._batch(name, [Fire(key)])

    def _boot(self, name: NodeId) -> None:
        member = self._members[name]
        member.life += 1
        rng, endpoint = stream(self._seed, "node", f"{name}#{member.life}"), member.endpoint
        runtime = NodeRuntime(name, rng, member.storage, roles=endpoint.roles)
        runtime.now = runtime.wall_clock = member.clock
        self._up[name] = runtime
        self._log.append(_Line(f"{name} started"))
        self._batch(name, [Start(endpoint.node_class, endpoint.config, endpoint.peers, endpoint.spare)])

    def _move(self, names: Iterable[NodeId], duration: int) -> None:
        if duration <= 0:
            return
        for name in names:
            member = self._members[name]
            member.clock += duration
            if name in self._up:
                self._up[name].now = self._up[name].wall_clock = member.clock

    def _store(self, member: _Member, fields: dict[str, Any], stored: dict[str, Any]) -> None:
        changes: list[Change] = []
        for field, value in fields.items():
            kind = member.endpoint.node_class._durable[field]
            if kind is LOG:
                changes.append(LogWritten("", field, 1, 1, tuple(value)))
            elif kind is MAP:
                changes.append(MapWritten("", field, tuple(value.items()), tuple(stored.get(field, ()))))
            else:
                changes.append(ScalarSet("", field, value))
        member.storage.commit(changes)

    # Inside: batches.

    def _batch(self, name: NodeId, inputs: Sequence[Input]) -> None:
        runtime = self._up[name]
        try:
            for number, given in enumerate(inputs, start=runtime.step + 1):
                runtime.take(msgspec.structs.replace(given, step=number))
            batch = runtime.end_batch()
        except Exception as error:  # a handler raised: the node has crashed, as on every engine
            del self._up[name]
            self._log.append(_Line(f"  crashes: {type(error).__name__}: {error}"))
            raise
        self._release(name, batch.early)
        self.committing[name] = batch
        if batch.changes:
            is_slow = name in self.slow_disks
            self._log.append(_Line("  begins to commit " if is_slow else "  commits ", list(batch.changes)))
            if is_slow:
                return
        self._finish(name)

    def _finish(self, name: NodeId) -> None:
        batch = self.committing.pop(name)
        self._members[name].storage.commit(batch.changes)
        self._release(name, batch.effects)
        if self.on_commit is not None:
            self.on_commit(name)

    def _release(self, name: NodeId, effects: Sequence[Effect]) -> None:
        group: tuple[Send | Multicast, list[NodeId]] | None = None  # copies of one message are one line
        for effect in effects:
            if isinstance(effect, Send | Multicast):
                receivers = (effect.to,) if isinstance(effect, Send) else effect.to
                self.envelopes += [_envelope(name, to, effect.message, effect.path) for to in receivers]
                if group is not None and (group[0].path, group[0].message) == (effect.path, effect.message):
                    group[1].extend(receivers)
                else:
                    group = (effect, list(receivers))
                    self._log.append(_Line("  → ", group[1], f"{_at(effect.path)}: ", effect.message))
                continue
            group = None
            if isinstance(effect, Note):
                self.notes.append((name, effect.name, effect.fields))
                self._log.append(_Line("  notes ", effect))
            else:
                assert isinstance(effect, Complete)
                self.outcomes[effect.operation] = effect.outcome
                self._log.append(_Line(f"  completes operation {effect.operation}: ", effect.outcome))
                if type(effect.outcome) is Unknown:
                    self._boot(name)


class _Line:
    """One line of the log, written out when it is read."""

    __slots__ = ("parts",)

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __str__(self) -> str:
        return "".join(part if isinstance(part, str) else _spell(part) for part in self.parts)


def _spell(part: Any) -> str:
    if isinstance(part, list):  # names of receivers, or changes
        return ", ".join(each if isinstance(each, str) else describe_change(each) for each in part)
    if isinstance(part, Note):
        return f"{part.name}({describe_fields(part.fields.items())}){_at(part.path)}"
    return str(part) if isinstance(part, Envelope) else describe(part)


def _envelope(sender: NodeId, to: Address, message: Message, path: str) -> Envelope:
    """Returns the envelope of a message that the mount `path` of `sender` sends."""
    node, mount = split_address(to)
    return (
        Envelope(sender, node, message, path) if mount in (None, path) else Envelope(sender, node, message, mount, path)
    )


def _copies(envelope: Envelope, among: Sequence[Envelope]) -> int:
    return sum(envelope is each for each in among)


def _is_kind(message: Message, kind: Kind | None) -> bool:
    return kind is None or (type(message).__name__ == kind if isinstance(kind, str) else type(message) is kind)


def _at(path: str) -> str:
    return f" at {path}" if path else ""
