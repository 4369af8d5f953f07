"""A cluster driven by hand: every delivery, loss, time-out, crash and finished write is a call.

For tests that are stories: fire this timer, deliver that message, crash here, and compare all that left.

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

A call that cannot be done raises ConfigError, which says what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from framework.core.client import Client, Operation, Outcome, Unknown
from framework.core.durable import LOG, MAP, Change, LogWritten, MapWritten, ScalarSet, Stored
from framework.core.effects import Complete, Effect, Multicast, Note, Send
from framework.core.errors import ConfigError, did_you_mean
from framework.core.message import Message, NodeId
from framework.core.node import Node, TimerKey
from framework.core.node_runtime import Batch, Deliver, Fire, Input, Invoke, NodeRuntime, Start
from framework.core.random_streams import stream
from framework.core.storage import MemoryStorage
from framework.replication.administration import ADMINISTRATOR, Administrator
from framework.testing.describe import describe, describe_change, describe_fields, describe_time


@dataclass(frozen=True)
class Envelope:
    """A message on its way."""

    sender: NodeId
    to: NodeId
    message: Message
    path: str = ""

    def __str__(self) -> str:
        return f"{self.sender} → {self.to}{_at(self.path)}: {describe(self.message)}"


Kind: TypeAlias = type[Message] | str
"""A class of messages, or its name."""


@dataclass
class _Member:
    """A node or client, up or down."""

    node: type[Node]
    peers: tuple[NodeId, ...]
    storage: MemoryStorage
    is_spare: bool = False
    clock: int = 0
    life: int = -1
    runtime: NodeRuntime | None = None


class Cluster:
    """Nodes and clients over in-memory storage. One input is one batch, unless `deliver_batch` makes it several.

    Spares wait for their `restart`. All nodes show one clock, or with `own_clocks` each its own; clocks stand still
    unless a call moves them. What nodes send to a name that is not of the cluster ends in `inbox`, so that a test can
    play a client itself (`send`). Where messages are selected, `kind`, `sender` and `to` are all that is left open.
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
        """The messages that arrived at names outside the cluster."""
        self.notes: list[tuple[NodeId, str, dict[str, Any]]] = []
        """All notes of all nodes: node, name, fields."""
        self.outcomes: dict[int, Outcome] = {}
        """The outcomes of the operations that ended."""
        self.committing: dict[NodeId, Batch] = {}
        """The batches whose commit is under way, on slow disks."""
        self.slow_disks: set[NodeId] = set()
        self.paused: set[NodeId] = set()
        self.on_commit: Callable[[NodeId], None] | None = None
        """Called after each batch of a node, once its commit is done and all that waited for it has left."""
        self._seed, self._own_clocks = seed, own_clocks
        self._sides: dict[NodeId, int] = {}
        self._operations = 0
        self._log: list[_Line] = []
        self._members: dict[NodeId, _Member] = {}
        self._up: dict[NodeId, NodeRuntime] = {}  # in the order of their starts
        for name in nodes:
            self._members[name] = _Member(node, tuple(peer for peer in nodes if peer != name), MemoryStorage())
        for name in spares:
            self._members[name] = _Member(node, tuple(nodes), MemoryStorage(), is_spare=True)
        if clients and client is None:
            raise ConfigError("Cluster", f"{len(clients)} clients without a class", "Give client=SessionClient, say.")
        for name in clients:
            assert client is not None
            self._members[name] = _Member(client, self.servers, MemoryStorage())
        for name, member in self._members.items():
            if not member.is_spare:
                self._boot(name)

    # State.

    def node(self, name: NodeId) -> Any:
        """The node itself; ConfigError if it is down or unknown."""
        return self.runtime(name).root

    def nodes(self) -> list[Any]:
        """The nodes that are up, without clients."""
        return [self._up[name].root for name in self.servers if name in self._up]

    @property
    def up(self) -> list[NodeId]:
        """The names of the nodes and clients that are up, in the order of their starts."""
        return list(self._up)

    def runtime(self, name: NodeId) -> NodeRuntime:
        """The runtime of a node, for monitors that observe it; ConfigError if it is down or unknown."""
        self._member(name)
        if name not in self._up:
            raise ConfigError(name, "the node is down", "Restart it first.")
        return self._up[name]

    def timers(self, name: NodeId) -> dict[TimerKey, int]:
        """The timers that are set at a node, with their deadlines on its clock."""
        return {key: deadline for key, (deadline, _) in self.runtime(name).timers.items()}

    def stored(self, name: NodeId) -> Stored:
        """The durable state of a node, up or down: mount path -> field -> value."""
        return self._member(name).storage.load()

    @property
    def now(self) -> int:
        """The time on the clock; with `own_clocks` on the one that is furthest ahead."""
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
        """The envelopes that would arrive now: no partition is in their way, and their receiver takes input."""
        return [envelope for envelope in self.envelopes if not self._is_cut(envelope) and not self._must_wait(envelope)]

    @property
    def log(self) -> list[str]:
        """All that happened since `clear_log`, grouped by the node that acted: what it took, and below it what it did."""
        return [str(line) for line in self._log]

    def clear_log(self) -> None:
        """Begins the log anew."""
        self._log.clear()

    # Messages.

    def send(self, sender: NodeId, to: NodeId, message: Message, path: str = "") -> Envelope:
        """Puts a message on its way, in the name of `sender`, which need not be of the cluster."""
        envelope = Envelope(sender, to, message, path)
        self.envelopes.append(envelope)
        return envelope

    def deliver(
        self, what: Envelope | Kind | None = None, sender: NodeId | None = None, to: NodeId | None = None
    ) -> Envelope:
        """Delivers this envelope, or the oldest that matches. To a node that is down or cut off it is lost.

        ConfigError if there is none, or if its receiver takes no input: it is paused, or in the middle of a commit.
        """
        envelope = self._select("deliver", what, sender, to)
        self._deliver([envelope])
        return envelope

    def deliver_batch(self, *envelopes: Envelope) -> None:
        """Delivers these envelopes to the one node that they are for as one batch, with one commit."""
        if len({envelope.to for envelope in envelopes}) != 1:
            names = ", ".join(dict.fromkeys(envelope.to for envelope in envelopes)) or "nobody"
            raise ConfigError("deliver_batch", f"these envelopes are for {names}", "A batch is one node's.")
        for envelope in envelopes:
            self._place("deliver_batch", envelope)
        self._deliver(envelopes)

    def deliver_all(
        self, kind: Kind | None = None, sender: NodeId | None = None, to: NodeId | None = None
    ) -> list[Envelope]:
        """Delivers the envelopes that match, one by one, and none that is sent meanwhile. Some stay on their way if
        their receiver takes no input. Returns the others."""
        delivered = []
        for envelope in self.waiting(kind, sender, to):
            if not self._must_wait(envelope):
                delivered.append(self.deliver(envelope))
        return delivered

    def drop(
        self, what: Envelope | Kind | None = None, sender: NodeId | None = None, to: NodeId | None = None
    ) -> Envelope:
        """Loses this envelope, or the oldest that matches."""
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
        """Delivers this envelope, or the oldest that matches, and leaves a copy on its way, behind all others."""
        envelope = self._select("duplicate", what, sender, to)
        self._check_takes_input("duplicate", envelope.to)
        self.envelopes.append(envelope)
        self._deliver([envelope])
        return envelope

    def stabilize(self, limit: int = 10_000) -> int:
        """Delivers envelopes, oldest first, until none is left but those that wait for a node which takes no input.

        Returns the number of envelopes; ConfigError after `limit` of them.
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
        """Fires a timer that is set, whatever its deadline: no clock moves. The arguments are needed only where the
        timer is set with several."""
        self._fire("fire", name, self._timer("fire", name, timer, arguments, path))

    def time_out(self, name: NodeId, timer: str | None = None, *arguments: Any, path: str = "") -> None:
        """Moves the clock on to the deadline of a timer, and fires it; without `timer` the one that is due first.

        With `own_clocks` it is the node's clock, else everybody's. No other timer fires.
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
        """Moves all clocks on by `duration`, and fires what falls due on the way, earliest first. With fire=False no
        timer fires. With `names`, for which it takes `own_clocks`, it moves and fires theirs alone.

        A node that takes no input keeps its timers until it does.
        """
        if duration < 0:
            raise ConfigError("advance", "clocks do not go back", "Give a duration of 0 or more.")
        if names and not self._own_clocks:
            raise ConfigError("advance", "all nodes show one clock", "Make the cluster with own_clocks=True.")
        for name in names:
            self._member(name)
        moved = names or tuple(self._members)
        left = duration
        while fire and (due := self._earliest(moved)) is not None and due[0] <= left:
            after, name, key = due
            self._move(moved, after)
            left -= after
            self._fire("advance", name, key, at=True)
        self._move(moved, left)

    def run(self, until: Callable[[], bool], timers: int = 5_000) -> None:
        """Lets time pass, with messages that take none, until `until` holds. AssertionError after so many timers."""
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
        """Starts an operation, which never times out. Returns its id; its end is found in `outcomes`."""
        if not isinstance(self.node(client), Client):
            raise ConfigError(f"invoke {client}", "it is a node and no client", "Give clients=[…] to the cluster.")
        self._check_takes_input("invoke", client)
        operation = Operation(self._operations, function, key, argument)
        self._operations += 1
        shown = [] if argument is None else [msgspec.json.encode(argument).decode()]
        call = " ".join([function, *([] if key is None else [key]), *shown])
        self._log.append(_Line(f"{client} invokes {call} as operation {operation.id}"))
        self._batch(client, [Invoke(operation, 0)])
        return operation.id

    def administer(self, function: str, node: NodeId) -> int:
        """Has an administrator, `admin`, ask for an operation, as fault schedules do. Returns its id, like `invoke`."""
        if ADMINISTRATOR not in self._members:
            self._members[ADMINISTRATOR] = _Member(Administrator, self.servers, MemoryStorage(), clock=self.now)
            self._boot(ADMINISTRATOR)
        return self.invoke(ADMINISTRATOR, function, None, node)

    # Crashes and pauses.

    def crash(self, name: NodeId, *, keep_commit: bool = False) -> None:
        """Stops a node; what is durable stays. A commit under way is lost, or durable with `keep_commit`: either way
        nothing that waited for it leaves."""
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
        """Boots a node that is down, over its storage."""
        self._member(name)
        if name in self._up:
            raise ConfigError(f"restart {name}", "it is up", "Crash it first.")
        self._boot(name)

    def pause(self, name: NodeId) -> None:
        """Halts a node: it takes no input, its timers do not fire, and messages to it wait. Its clock goes on."""
        self.runtime(name)
        if name in self.paused:
            raise ConfigError(f"pause {name}", "it is paused", "Resume it first.")
        self.paused.add(name)
        self._log.append(_Line(f"{name} paused"))

    def resume(self, name: NodeId) -> None:
        """Ends a pause. Timers that fell due meanwhile fire at the next `advance`, be it by 0."""
        self._member(name)
        if name not in self.paused:
            raise ConfigError(f"resume {name}", "it is not paused", "Pause it first.")
        self.paused.remove(name)
        self._log.append(_Line(f"{name} resumed"))

    # Disks.

    def slow_disk(self, name: NodeId) -> None:
        """From its next batch that changes durable state on, a node stays committing until `finish_commit` or a crash.

        What need not wait for the commit leaves at once. Meanwhile the node takes no input.
        """
        self._member(name)
        self.slow_disks.add(name)

    def finish_commit(self, name: NodeId) -> None:
        """Ends the commit that is under way on a slow disk: it is durable, and what waited for it leaves."""
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
        self.slow_disks.discard(name)
        if name in self.committing:
            self.finish_commit(name)

    def store(self, name: NodeId, **fields: Any) -> None:
        """Gives durable fields these values, a log its entries from index 1 and a map all its keys.

        A node that is up crashes and restarts with them; one that is down has them at its restart.
        """
        member = self._member(name)
        declared = member.node._durable
        for field in fields:
            if field not in declared:
                what = f"{member.node.__qualname__} has no durable field {field!r}"
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
        """Cuts the links between these sides, in place of an earlier partition. What crosses is lost on its arrival.

        A node or client that is on no side reaches everybody.
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
            return what
        found = self.waiting(what, sender, to)
        if found:
            return found[0]
        name = what.__name__ if isinstance(what, type) else what
        wanted = " ".join(filter(None, (name or "envelope", sender and f"from {sender}", to and f"to {to}")))
        on_their_way = "; ".join(map(str, self.envelopes)) or "none"
        raise ConfigError(verb, f"no {wanted} is on its way", f"On their way: {on_their_way}.")

    def _place(self, verb: str, envelope: Envelope) -> int:
        """Where this very envelope is among those on their way: others may be equal to it."""
        for number, each in enumerate(self.envelopes):
            if each is envelope:
                return number
        raise ConfigError(verb, f"{envelope} is not on its way", "It was delivered or dropped before: send() it again.")

    def _timer(self, verb: str, name: NodeId, timer: str, arguments: tuple[Any, ...], path: str) -> TimerKey:
        timers = self.runtime(name).timers
        found = [key for key in timers if key[:2] == (path, timer) and arguments in ((), key[2])]
        if not found:
            names = list(dict.fromkeys(known[1] for known in timers))
            raise ConfigError(
                f"{verb} {name} {timer}", "that timer is not set", did_you_mean(timer, names) or f"{name} has none."
            )
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
        sender, to = sides.get(envelope.sender), sides.get(envelope.to)
        return sender is not None and to is not None and sender != to

    def _earliest(self, names: Iterable[NodeId]) -> tuple[int, NodeId, TimerKey] | None:
        """The timer that falls due first, and after how long."""
        best: tuple[int, NodeId, TimerKey] | None = None
        of = set(names)
        for name, runtime in self._up.items():
            if name not in of or name in self.paused or name in self.committing:
                continue
            for key, (deadline, _) in runtime.timers.items():
                after = max(deadline - runtime.now, 0)
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
                self._log.append(_Line(f"{to} takes ", envelope.message, f" from {envelope.sender}"))
            elif to not in self._up:
                self._log.append(_Line(f"lost, {to} is down: ", envelope))
            elif not self._up[to].has_mount(envelope.path):
                self._log.append(_Line(f"lost, {to} has no mount {envelope.path!r}: ", envelope))
            else:
                head = "  and " if arrived else f"{to}{_at(envelope.path)} takes "
                self._log.append(_Line(head, envelope.message, f" from {envelope.sender}"))
                arrived.append(envelope)
        if arrived:
            self._batch(to, [Deliver(each.path, each.sender, each.message) for each in arrived])

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
        runtime = NodeRuntime(name, stream(self._seed, "node", f"{name}#{member.life}"), member.storage)
        runtime.now = runtime.wall_clock = member.clock
        self._up[name] = runtime
        self._log.append(_Line(f"{name} started"))
        self._batch(name, [Start(member.node, self.config, member.peers, member.is_spare)])

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
            kind = member.node._durable[field]
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
        for number, given in enumerate(inputs, start=runtime.step + 1):
            runtime.take(msgspec.structs.replace(given, step=number))
        batch = runtime.end_batch()
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
                self.envelopes += [Envelope(name, to, effect.message, effect.path) for to in receivers]
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


def _is_kind(message: Message, kind: Kind | None) -> bool:
    return kind is None or (type(message).__name__ == kind if isinstance(kind, str) else type(message) is kind)


def _at(path: str) -> str:
    return f" at {path}" if path else ""
