"""Node: a deterministic state machine that acts only through its own verbs.

A subclass declares its durable fields, one handler per message and its timers; `framework.core.node_runtime` drives it.
An author's mistakes are errors when the class is created or loaded, and each error says what to write instead.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

from framework.core.address import PATH_BYTES, Address, address, below, is_mount_path
from framework.core.durable import LOG, SCALAR, DurableField, Stored
from framework.core.effects import Effect, Multicast, Note, Send
from framework.core.errors import PluginError, did_you_mean
from framework.core.message import Config, Message, NodeId
from framework.core.node_class import RESERVED, check_body, declared_fields, handler_names, timer_names, typed_fields
from framework.core.plain_state import copy_plain
from framework.core.plugin_choice import chosen_classes
from framework.core.replica import Replica
from framework.core.status import NOTHING_SHOWN, Status

F = TypeVar("F", bound=Callable[..., None])
N = TypeVar("N", bound="Node")

Handler = Callable[[Any, NodeId, Any], None]

TimerKey: TypeAlias = tuple[str, str, tuple[Any, ...]]
"""(mount path, method name, arguments): setting the same timer again replaces it."""


TimerEntry: TypeAlias = tuple[int, int, TimerKey]
"""(deadline, order, timer): the entry of a timer in the queue of its runtime."""


class SetTimer:
    """A timer that is set: its deadline on the node's clock, and the step that set it.

    `order` is its rank among timers with the same deadline. `entry` is its entry in the queue, whose deadline and order
    are no later than its own.
    """

    __slots__ = ("deadline", "entry", "order", "step")

    def __init__(self, key: TimerKey, deadline: int, step: int, order: int) -> None:
        self.deadline, self.step, self.order = deadline, step, order
        self.entry: TimerEntry = (deadline, order, key)

    def __repr__(self) -> str:
        return f"SetTimer({self.deadline}, step={self.step})"


class Runtime(Protocol):
    """The runtime as its node sees it; `framework.core.node_runtime` implements it.

    `step` is the number of the step under way. `soon` maps each timer with after=0 to the step that set it. `wake` is
    no later than the earliest deadline. `tells` are (parent path, mount name, event). `dirty` has the durable fields set
    since the last commit; `lazy` the lazy ones. `stored` holds, by mount path, the durable fields that no node has
    taken over yet; fields of the paths in `plain` are not yet converted to their declared types.
    """

    id: NodeId
    rng: random.Random
    now: int
    wall_clock: int
    step: int
    effects: list[Effect]
    early: list[Effect]
    timers: dict[TimerKey, SetTimer]
    soon: dict[TimerKey, int]
    wake: int
    tells: list[tuple[str, str, Message]]
    nodes: dict[str, Node]
    dirty: dict[tuple[Node, str], None]
    lazy: dict[tuple[Node, str], None]
    stored: Stored
    plain: set[str]
    roles: Mapping[str, tuple[NodeId, ...]]

    def arm(self, key: TimerKey, deadline: int) -> None: ...
    def bring_forward(self, key: TimerKey, timer: SetTimer) -> None: ...
    def disarm(self, key: TimerKey) -> None: ...
    def mounted(self, node: Node) -> None: ...
    def unmount(self, path: str, destroy: bool) -> None: ...


def handles(*messages: type[Message]) -> Callable[[F], F]:
    """Marks the method that handles these messages: `def on_vote(self, sender: NodeId, vote: Vote) -> None`."""
    for message in messages:
        if not (isinstance(message, type) and issubclass(message, Message)):
            raise PluginError(
                f"@handles({message!r})", "takes Message classes", "Write @handles(Vote) with class Vote(Message)."
            )
    if not messages:
        raise PluginError("@handles()", "names no message", "Write @handles(Vote).")

    def mark(method: F) -> F:
        method.__handles__ = messages  # type: ignore[attr-defined]
        return method

    return mark


def on_timer(method: F) -> F:
    """Marks a method as a timer that `set_timer` accepts; its arguments are part of the timer."""
    method.__on_timer__ = True  # type: ignore[attr-defined]
    return method


class Node:
    """Base of every node. Write handlers and timers; never `__init__` (write `on_start`)."""

    mounts: ClassVar[tuple[type[Node], ...]] = ()
    """The node classes that this class may mount."""

    id: NodeId
    peers: tuple[NodeId, ...]
    """The other members of the group, in the order of the config; never this node itself."""
    config: Any
    roles: Mapping[str, tuple[NodeId, ...]] = MappingProxyType({})
    """The nodes of the run by the role that its protocol gives them, and the workload's service; the same
    everywhere."""
    spare: bool = False
    """True if this node is a spare: not a member of the group when the run starts. `peers` are then all members."""

    _handlers: dict[type[Message], Handler] = {}  # of the class, and of each instance, where it is found sooner
    _timers: ClassVar[frozenset[str]] = frozenset()
    _keeps_own_id: ClassVar[bool] = False  # whether a mounted node's own id stays among its peers
    _durable: ClassVar[dict[str, str]] = {}
    _declared: ClassVar[dict[str, DurableField]] = {}
    _declared_here: ClassVar[dict[str, DurableField]] = {}

    _runtime: Runtime
    _path: str
    _peer_mount: str | None
    _committed: dict[str, Any]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_body(cls)
        cls._declared = declared_fields(cls)
        cls._durable = {name: field.kind for name, field in cls._declared.items()}
        cls._handlers = {message: getattr(cls, name) for message, name in handler_names(cls).items()}
        cls._timers = timer_names(cls)

    @classmethod
    def _at_runtime(
        cls: type[N], runtime: Runtime, path: str, config: Any, peers: tuple[NodeId, ...], spare: bool = False
    ) -> N:
        """Creates an instance at `runtime`, mounted at `path`, its durable fields restored, not yet started."""
        node = cls()
        node._runtime, node._path, node._peer_mount = runtime, path, None
        node._handlers = cls._handlers
        node.id, node.config, node.peers = runtime.id, config, peers
        if spare:
            node.spare = True
        if runtime.roles:
            node.roles = runtime.roles
        node._committed = {}
        stored = runtime.stored.pop(path, {})
        if stored.keys() - cls._declared.keys():
            raise PluginError(
                cls.__qualname__,
                f"{runtime.id} has stored {', '.join(sorted(stored))} at {path!r}, which this class does not declare",
                "Destroy the state of a mount, unmount(name, destroy=True), before its name goes to another class.",
            )
        if path in runtime.plain:
            runtime.plain.discard(path)
            stored = typed_fields(cls, stored)
        for name, field in cls._declared.items():
            value = node.__dict__[name] = field.restored(stored, name)
            if field.kind is SCALAR:
                node._committed[name] = value
            else:
                value._touch = partial(
                    (runtime.lazy if field.is_lazy else runtime.dirty).__setitem__, (node, name), None
                )
        runtime.nodes[path] = node
        return node

    def _durable_values(self) -> dict[str, Any]:
        """Returns the durable fields in the form that a storage loads."""
        values: dict[str, Any] = {}
        for name, kind in self._durable.items():
            value = self.__dict__[name]
            values[name] = (
                value if kind is SCALAR else (value.first, list(value)) if kind is LOG else dict(value.items())
            )
        return values

    def _check_state(self) -> None:
        """Raises PluginError if an attribute is not plain data, or hides one of the node's own names."""
        for name in self.__dict__.keys() & RESERVED - {"id", "peers", "config", "spare", "roles"}:
            raise PluginError(
                f"{type(self).__qualname__}.{name}", f"every node has a {name} already", "Choose another name."
            )
        self.state()

    # To override.

    def on_start(self) -> None:
        """Runs after boot and after every restart, with the durable fields restored."""

    @property
    def status(self) -> Status:
        """The status shown to faults, ledgers and screens: `Status(roles=("leader",), term=3)`."""
        return NOTHING_SHOWN

    @property
    def replica(self) -> Replica | None:
        """The node's copy of the replicated state; None if it keeps none, or is not a member of the group.

        A protocol whose nodes have a replica promises that once clients are quiet and faults are over, all replicas
        become equal.
        """
        return None

    @property
    def replicas(self) -> Mapping[str, Replica]:
        """The node's copies by name, if it keeps several without mounts: `{chunk: Replica(...)}`. The copies of one
        name are compared among the nodes that keep it. By default `replica` alone, under the name "".

        The replicas of mounts count by themselves, under the path of their mount.
        """
        replica = self.replica
        return {} if replica is None else {"": replica}

    def can_serve(self, running: Collection[NodeId]) -> bool | None:
        """Returns whether the group, as this node knows it, can serve clients while only the nodes `running` run.

        If nodes are down for good, the run is required to recover only if all running nodes return True. None: the
        protocol does not say.
        """
        return None

    # To read.

    @property
    def is_mounted(self) -> bool:
        """True if another node has mounted this one."""
        return bool(self._path)

    @property
    def now(self) -> int:
        """Nanoseconds on this node's monotonic clock. It may drift, never steps, and is constant within a step."""
        return self._runtime.now

    @property
    def wall_clock(self) -> int:
        """Nanoseconds since 1970 on this node's wall clock. It may drift, and step either way."""
        return self._runtime.wall_clock

    @property
    def rng(self) -> random.Random:
        """This node's own random stream."""
        return self._runtime.rng

    # The verbs.

    def send(self, to: Address, message: Message, *, mount: str | None = None, before_commit: bool = False) -> None:
        """Sends `message` to the same mount on the node `to`, once this batch is durable.

        `mount` is the path of another mount there, "" for the node itself. The sender of a message from another mount
        is given as an address, `n2/shard-7`, which `send` and `multicast` accept in place of a node's name.
        With `before_commit` the message leaves at the end of the batch without waiting for the commit: for messages
        that promise nothing. A node may send to itself like to any other.
        """
        runtime = self._runtime
        if mount is not None or self._peer_mount is not None:
            to = self._address(to, mount)
        (runtime.early if before_commit else runtime.effects).append(Send(to, self._path, message, runtime.step))

    def multicast(
        self, to: Sequence[Address], message: Message, *, mount: str | None = None, before_commit: bool = False
    ) -> None:
        """Sends the same message to each of `to`, in that order; it is encoded once. `mount`: as for `send`."""
        runtime = self._runtime
        if mount is not None or self._peer_mount is not None:
            to = [self._address(each, mount) for each in to]
        effects = runtime.early if before_commit else runtime.effects
        effects.append(Multicast(tuple(to), self._path, message, runtime.step))

    def broadcast(self, message: Message, *, mount: str | None = None, before_commit: bool = False) -> None:
        """Sends the same message to every peer. `mount`: as for `send`."""
        to = self.peers if mount is None else [address(peer, mount) for peer in self.peers]
        self.multicast(to, message, before_commit=before_commit)

    def _address(self, to: Address, mount: str | None) -> Address:
        """Returns the address to send to, given the keyword `mount`."""
        if "/" in to:
            if mount is not None:
                raise self._misuse(f"sends to {to!r} with mount={mount!r}", "Give the mount once.")
            return to
        if mount is not None and not is_mount_path(mount):
            raise self._misuse(f"sends to the mount {mount!r:.60}, which no node can have", "Give the path of a mount.")
        where = self._peer_mount if mount is None else mount
        return to if where is None else address(to, where)

    def set_timer(self, timer: Callable[..., None], *arguments: Any, after: int) -> None:
        """Calls `timer(*arguments)`, a method of this node marked @on_timer, `after` nanoseconds from now.

        Setting it again with the same arguments replaces it. With `after=0` it fires at the end of this batch, before
        the commit. Raises PluginError if `timer` is not a timer of this node, an argument is not immutable, or `after`
        is negative or not an integer.
        """
        key = self._timer_key(timer, arguments)
        runtime = self._runtime
        if after.__class__ is not int and not isinstance(after, int):
            raise self._misuse(f"sets {key[1]} after {after!r}", "Give nanoseconds as an int: round(...), or x // y.")
        try:
            if after > 0:
                if runtime.soon:
                    runtime.soon.pop(key, None)
                deadline = runtime.now + after
                known = runtime.timers.get(key)
                if known is None:
                    runtime.arm(key, deadline)
                else:
                    known.deadline, known.step = deadline, runtime.step
                    if deadline < known.entry[0]:
                        runtime.bring_forward(key, known)
            elif after == 0:
                runtime.soon[key] = runtime.step
                runtime.disarm(key)
            else:
                raise self._misuse(f"sets {key[1]} after {after}, in the past", "Write after=0 or more.")
        except TypeError as error:
            raise self._misuse(
                f"gives {key[1]} an argument that can change: {error}", "Give it scalars, tuples or Records."
            ) from error

    def cancel_timer(self, timer: Callable[..., None], *arguments: Any) -> None:
        """Cancels a timer. Does nothing if it is not set."""
        key = self._timer_key(timer, arguments)
        runtime = self._runtime
        runtime.disarm(key)
        if runtime.soon:
            runtime.soon.pop(key, None)

    def note(self, name: str, /, **fields: str | int | float | bool | None) -> None:
        """Records a domain event in the trace: `self.note("elected", term=3)`."""
        self._runtime.effects.append(Note(name, fields, self._path, self._runtime.step))

    def tell(self, event: Message) -> None:
        """Passes `event` to the parent that mounted this node, whose @handles method runs in the same step.

        An `Event` that the parent does not handle is dropped; any other message is then an error.
        """
        if not self._path:
            raise self._misuse(
                f"passes on {type(event).__name__}, but has no parent", "Call tell() only in a mounted node."
            )
        parent, _, name = self._path.rpartition("/")
        self._runtime.tells.append((parent, name, event))

    def mount(
        self, name: str, node_class: type[N], config: Config | None, peers: Sequence[NodeId],
        *, peer_mount: str | None = None,
    ) -> N:  # fmt: skip
        """Starts a node within this one, with its own durable fields and timers. It talks to the same mount on `peers`.

        With `peer_mount`, it talks to that mount instead ("": to the nodes themselves): so a client of a group may have
        any name, and the mounts of that client talk to those of the group. After a restart `on_start` must mount it
        again. This node's own id is left out of `peers`, unless it is a client that is mounted.
        """
        if not isinstance(name, str) or "/" in name or "\0" in name or not name:
            raise self._misuse(f"{name!r} cannot name a mount", "Use a string without a slash.")
        path = below(self._path, name)
        if len(path.encode()) > PATH_BYTES:
            raise self._misuse(
                f"mounts at {path[:40]!r}…, which has more than {PATH_BYTES} bytes", "Use shorter names."
            )
        if path in self._runtime.nodes:
            raise self._misuse(f"{path!r} is mounted already", "Unmount it first, or choose another name.")
        if not issubclass(node_class, type(self).mounts) and node_class not in chosen_classes(self.config):
            raise self._misuse(
                f"mounts {node_class.__qualname__}, which `mounts` does not list",
                f"Write mounts = ({node_class.__qualname__},) in the class.",
            )
        keeps = node_class._keeps_own_id
        others = tuple(peer for peer in peers if keeps or peer != self.id)
        child = node_class._at_runtime(self._runtime, path, config, others)
        if peer_mount is None and self._peer_mount is not None:
            peer_mount = f"{self._peer_mount}/{name}".lstrip("/")
        if peer_mount is not None and peer_mount != path:
            child._peer_mount = peer_mount
        self._runtime.mounted(child)
        child.on_start()
        child._check_state()
        return child

    def unmount(self, name: str, *, destroy: bool = False) -> None:
        """Ends a mount and its timers. Its durable state is kept for a later mount unless `destroy` is set."""
        path = below(self._path, name)
        if path not in self._runtime.nodes:
            raise self._misuse(f"{path!r} is not mounted", did_you_mean(path, self._runtime.nodes.keys() - {""}))
        self._runtime.unmount(path, destroy)

    # State as plain data.

    def state(self) -> dict[str, Any]:
        """Returns a copy of the public attributes except `id`, `peers`, `config`, `roles` and `spare`, as plain
        data."""
        hidden = ("id", "peers", "config", "roles", "spare")
        return {
            name: copy_plain(value, f"{type(self).__qualname__}.{name}")
            for name, value in self.__dict__.items()
            if name[0] != "_" and name not in hidden and not isinstance(value, Node)
        }

    def __getstate__(self) -> dict[str, Any]:
        """Returns what of a node can leave its process: its public attributes, and its mounts with theirs."""
        return {name: value for name, value in self.__dict__.items() if name[0] != "_" or name == "_path"}

    def _plain(self) -> str:
        """Returns the path, which represents a mounted node in plain data."""
        return self._path

    def _seen(self, sender: Address) -> Address:
        """Returns a sender as this node sees it: a plain name means the mount that this node sends to by default."""
        if self._peer_mount is None:
            return sender
        node, slash, mount = sender.partition("/")
        if slash:
            return node if mount == self._peer_mount else sender
        return address(node, self._path)

    def _misuse(self, what: str, fix: str) -> PluginError:
        return PluginError(type(self).__qualname__, what, fix)

    def _timer_key(self, timer: Callable[..., None], arguments: tuple[Any, ...]) -> tuple[str, str, tuple[Any, ...]]:
        try:
            owner, name = timer.__self__, timer.__name__  # type: ignore[attr-defined]
        except AttributeError:
            owner, name = None, getattr(timer, "__name__", repr(timer))
        if owner is not self:
            raise self._misuse(f"{name} is not a timer of this node", "Write self.set_timer(self.retry, after=...).")
        if name not in self._timers:
            raise self._misuse(f"{name} is not marked as a timer", f"Write @on_timer above def {name}.")
        return self._path, name, arguments
