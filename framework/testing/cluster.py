"""A cluster driven by hand: every message waits until it is told to arrive.

For tests that are stories: fire this timer, deliver that message, crash here, and compare all that left.

    cluster = Cluster(Raft, config, ["n1", "n2", "n3"], client=SessionClient, clients=["c1"])
    cluster.fire("n1", "start_election")
    cluster.deliver("n2")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from framework.core.client import Client, Operation, Outcome, Unknown
from framework.core.durable import Change, LogWritten, MapWritten, ScalarSet
from framework.core.effects import Complete, Effect, Multicast, Note, Send
from framework.core.errors import ConfigError, did_you_mean
from framework.core.message import Message, NodeId, Record
from framework.core.node import Node, TimerKey
from framework.core.node_runtime import Deliver, Fire, Input, Invoke, NodeRuntime, Start
from framework.core.random_streams import stream
from framework.core.storage import MemoryStorage
from framework.replication.administration import ADMINISTRATOR, Administrator


@dataclass(frozen=True)
class Letter:
    """A message on its way."""

    sender: NodeId
    to: NodeId
    path: str
    message: Message

    def __str__(self) -> str:
        at = f" at {self.path}" if self.path else ""
        return f"{self.sender} → {self.to}{at}: {spell(self.message)}"


def spell(message: Record) -> str:
    """A message or record as the scripts write it: fields that hold their default are left out."""
    fields = msgspec.structs.fields(message)
    shown = [(field.name, getattr(message, field.name)) for field in fields]
    told = [
        f"{name}={_spell(value)}" for (name, value), field in zip(shown, fields, strict=True) if value != field.default
    ]
    return f"{type(message).__name__}({', '.join(told)})"


def _spell(value: Any) -> str:
    if isinstance(value, Record):
        return spell(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_spell, value))}]"
    return repr(value)


class Cluster:
    """Nodes and clients over in-memory storage, in lock-step: one input is one batch. Spares wait for their `restart`.

    `log` collects, line by line, what became visible: messages that left, notes, completions, commits, crashes.
    """

    def __init__(
        self, node: type[Node], config: Any, nodes: Sequence[NodeId], *, client: type[Client] | None = None,
        clients: Sequence[NodeId] = (), spares: Sequence[NodeId] = (), seed: int = 0,
    ) -> None:  # fmt: skip
        self.now = 0
        self.log: list[str] = []
        self.letters: list[Letter] = []
        self.outcomes: dict[int, Outcome] = {}
        self._config, self._seed = config, seed
        self._operations = 0
        self._places: dict[NodeId, tuple[type[Node], tuple[NodeId, ...], MemoryStorage]] = {}
        self._spares = frozenset(spares)
        self._endpoints: dict[NodeId, NodeRuntime] = {}
        self._lives: dict[NodeId, int] = {}
        for name in nodes:
            self._places[name] = (node, tuple(peer for peer in nodes if peer != name), MemoryStorage())
        for name in spares:
            self._places[name] = (node, tuple(nodes), MemoryStorage())
        for name in clients:
            assert client is not None, "clients need a client class"
            self._places[name] = (client, (*nodes, *spares), MemoryStorage())
        for name in self._places:
            if name not in self._spares:
                self._boot(name)

    # What a test looks at.

    def node(self, name: NodeId) -> Any:
        """The node itself; ConfigError if it is down or unknown."""
        return self._host(name).root

    @property
    def up(self) -> list[NodeId]:
        return list(self._endpoints)

    def timers(self, name: NodeId) -> dict[TimerKey, int]:
        """The timers that are set at a node, with their deadlines."""
        return {key: deadline for key, (deadline, _) in self._host(name).timers.items()}

    # What a test does.

    def fire(self, name: NodeId, timer: str, *arguments: Any, path: str = "") -> None:
        """Fires a timer that is set, whatever its deadline."""
        key = (path, timer, arguments)
        set_timers = self._host(name).timers
        if key not in set_timers:
            names = [known[1] for known in set_timers]
            raise ConfigError(
                f"fire {name} {timer}", "that timer is not set", did_you_mean(timer, names) or f"{name} has none."
            )
        self._batch(name, Fire(key))

    def deliver(self, to: NodeId | None = None, *, sender: NodeId | None = None, kind: str | None = None) -> Letter:
        """Delivers the oldest letter on its way that matches; to a node that is down it is lost."""
        letter = self._take(to, sender, kind)
        self._arrive(letter)
        return letter

    def drop(self, to: NodeId | None = None, *, sender: NodeId | None = None, kind: str | None = None) -> Letter:
        """Loses the oldest letter that matches."""
        return self._take(to, sender, kind)

    def duplicate(self, to: NodeId | None = None, *, sender: NodeId | None = None, kind: str | None = None) -> Letter:
        """Delivers a letter, and leaves it on its way to be delivered again."""
        letter = self._take(to, sender, kind)
        self.letters.append(letter)
        self._arrive(letter)
        return letter

    def stabilize(self, limit: int = 10_000) -> int:
        """Delivers letters, oldest first, until none is on its way; the number of letters."""
        delivered = 0
        while self.letters:
            self._arrive(self.letters.pop(0))
            delivered += 1
            if delivered > limit:
                raise ConfigError("stabilize", f"{limit} letters and no end", "Some nodes answer one another for ever.")
        return delivered

    def advance(self, duration: int) -> None:
        """Moves time on and fires what falls due on the way, earliest first."""
        end = self.now + duration
        while (due := self._earliest()) is not None and due[0] <= end:
            self.now = max(self.now, due[0])
            key = due[2]
            self._batch(due[1], Fire(key))
        self.now = end

    def invoke(self, client: NodeId, function: str, key: str | None = None, argument: Any = None) -> int:
        """Starts an operation; its id. Its end stands in `outcomes`."""
        operation = Operation(self._operations, function, key, argument)
        self._operations += 1
        root = self._host(client).root
        assert isinstance(root, Client), f"{client} is not a client"
        self._batch(client, Invoke(operation, 0))
        return operation.id

    def administer(self, function: str, node: NodeId) -> int:
        """Has an administrator ask for an operation, as fault schedules do; its id. Its end stands in `outcomes`."""
        if ADMINISTRATOR not in self._places:
            nodes = tuple(
                name for name, (node_class, _, _) in self._places.items() if not issubclass(node_class, Client)
            )
            self._places[ADMINISTRATOR] = (Administrator, nodes, MemoryStorage())
            self._boot(ADMINISTRATOR)
        return self.invoke(ADMINISTRATOR, function, None, node)

    def crash(self, name: NodeId) -> None:
        """Stops a node; what is durable stays."""
        self._host(name)
        del self._endpoints[name]
        self.log.append(f"{name} crashed")

    def restart(self, name: NodeId) -> None:
        """Boots a node that is down, over its storage."""
        if name in self._endpoints:
            raise ConfigError(f"restart {name}", "it is up", "Crash it first.")
        self._boot(name)

    # How it is done.

    def _host(self, name: NodeId) -> NodeRuntime:
        if name not in self._places:
            raise ConfigError(name, "no such node", did_you_mean(name, self._places))
        if name not in self._endpoints:
            raise ConfigError(name, "the node is down", "Restart it first.")
        return self._endpoints[name]

    def _take(self, to: NodeId | None, sender: NodeId | None, kind: str | None) -> Letter:
        for number, letter in enumerate(self.letters):
            if (
                (to in (None, letter.to))
                and (sender in (None, letter.sender))
                and kind in (None, type(letter.message).__name__)
            ):
                return self.letters.pop(number)
        wanted = " ".join(filter(None, (kind, sender and f"from {sender}", to and f"to {to}"))) or "letter"
        raise ConfigError(
            "deliver", f"no {wanted} is on its way", f"On their way: {'; '.join(map(str, self.letters)) or 'none'}."
        )

    def _arrive(self, letter: Letter) -> None:
        if letter.to not in self._endpoints:
            self.log.append(f"lost, {letter.to} is down: {letter}")
            return
        if not self._endpoints[letter.to].has_mount(letter.path):
            self.log.append(f"lost, {letter.to} has no mount {letter.path!r}: {letter}")
            return
        self._batch(letter.to, Deliver(letter.path, letter.sender, letter.message))

    def _boot(self, name: NodeId) -> None:
        node_class, peers, storage = self._places[name]
        life = self._lives[name] = self._lives.get(name, -1) + 1
        self._endpoints[name] = NodeRuntime(name, stream(self._seed, "node", f"{name}#{life}"), storage)
        self.log.append(f"{name} started")
        self._batch(name, Start(node_class, self._config, peers, name in self._spares))

    def _batch(self, name: NodeId, given: Input) -> None:
        runtime = self._endpoints[name]
        runtime.now = runtime.wall_clock = self.now
        batch = runtime.run_one(given)
        self._release(name, batch.early)
        if batch.changes:
            self._places[name][2].commit(batch.changes)
            self.log.append(f"{name} committed {', '.join(_spell_change(change) for change in batch.changes)}")
        self._release(name, batch.effects)

    def _release(self, name: NodeId, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send | Multicast):
                for to in (effect.to,) if isinstance(effect, Send) else effect.to:
                    letter = Letter(name, to, effect.path, effect.message)
                    self.letters.append(letter)
                    self.log.append(str(letter))
            elif isinstance(effect, Note):
                shown = ", ".join(f"{field}={value!r}" for field, value in effect.fields.items())
                self.log.append(f"{name} notes {effect.name}({shown})")
            else:
                assert isinstance(effect, Complete)
                self.outcomes[effect.operation] = effect.outcome
                self.log.append(f"{name} completes operation {effect.operation}: {effect.outcome!r}")
                if type(effect.outcome) is Unknown:
                    self._boot(name)

    def _earliest(self) -> tuple[int, NodeId, TimerKey] | None:
        best: tuple[int, NodeId, TimerKey] | None = None
        for name, host in self._endpoints.items():
            for key, (deadline, _) in host.timers.items():
                if best is None or deadline < best[0]:
                    best = (deadline, name, key)
        return best


def _spell_change(change: Change) -> str:
    place = f"{change.path}/" if change.path else ""
    if isinstance(change, ScalarSet):
        return f"{place}{change.field}={_spell(change.value)}"
    if isinstance(change, LogWritten):
        return f"{place}{change.field}[{change.start}:]={_spell(change.entries)}"
    if isinstance(change, MapWritten):
        return f"{place}{change.field} put {dict(change.puts)!r} deleted {list(change.deleted)!r}"
    return f"{place} dropped"
