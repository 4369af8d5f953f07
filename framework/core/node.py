"""Node: a deterministic state machine that speaks only through its own verbs.

A subclass declares its durable fields, one handler a message and its timers; `framework.core.host` is its seat.
What an author gets wrong is an error when the class is made, or when it is loaded, and says what to write instead.
"""

from __future__ import annotations

import inspect
import random
import typing
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar, cast

import msgspec

from framework.core.durable import LOG, MAP, SCALAR, Change, DurableField, DurableLog, DurableMap, check_immutable
from framework.core.errors import PluginError
from framework.core.host import MULTICAST, NOTE, SEND, Host, collect_changes
from framework.core.message import Config, Message, NodeId
from framework.core.state import check_plain, copy_plain

F = TypeVar("F", bound=Callable[..., None])
N = TypeVar("N", bound="Node")

Handler = Callable[[Any, NodeId, Any], None]


def handles(*messages: type[Message]) -> Callable[[F], F]:
    """Marks the method that takes these messages: `def on_vote(self, sender: NodeId, vote: Vote) -> None`."""
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
    """Marks a method that `set_timer` may name; its arguments are part of the timer."""
    method.__on_timer__ = True  # type: ignore[attr-defined]
    return method


class Node:
    """Base of every node. Write handlers and timers; never `__init__` (write `on_start`)."""

    mounts: ClassVar[tuple[type[Node], ...]] = ()
    """The node classes that this one may mount."""

    id: NodeId
    peers: tuple[NodeId, ...]
    """The other members of the group, in the order of the config; never this node itself."""
    config: Any

    _handlers: ClassVar[dict[type[Message], Handler]] = {}
    _handler_names: ClassVar[dict[type[Message], str]] = {}
    _timers: ClassVar[frozenset[str]] = frozenset()
    _durable: ClassVar[dict[str, str]] = {}
    _declared: ClassVar[dict[str, DurableField]] = {}

    _host: Host
    _path: str
    _committed: dict[str, Any]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = vars(cls)
        _refuse_constructor(cls, own)
        cls._declared = {**cls._declared, **_declared_fields(cls, own)}
        cls._durable = {name: field.kind for name, field in cls._declared.items()}
        cls._handler_names = {**cls._handler_names, **_handler_names(cls, own)}
        cls._handlers = {message: getattr(cls, name) for message, name in cls._handler_names.items()}
        cls._timers = cls._timers | frozenset(_timer_names(cls, own))

    @classmethod
    def _seat(cls: type[N], host: Host, path: str, config: Any, peers: tuple[NodeId, ...]) -> N:
        """An instance at `host`, mounted at `path`, its durable fields restored, not yet started."""
        node = cls()
        node._host, node._path = host, path
        node.id, node.config, node.peers = host.id, config, peers
        node._committed = {}
        stored = host.stored.pop(path, {})
        if path in host.plain:
            host.plain.discard(path)
            stored = _typed_fields(cls, stored)
        for name, field in cls._declared.items():
            node.__dict__[name] = node._restored(name, field, stored)
        host.nodes[path] = node
        return node

    def _restored(self, name: str, field: DurableField, stored: dict[str, Any]) -> Any:
        if field.kind is SCALAR:
            value = self._committed[name] = stored.get(name, field.default)
            return value
        if field.kind is LOG:
            return DurableLog(*stored.get(name, ()))
        return DurableMap(stored.get(name))

    def _durable_values(self) -> dict[str, Any]:
        """The durable fields in the form that a storage loads."""
        values: dict[str, Any] = {}
        for name, kind in self._durable.items():
            value = self.__dict__[name]
            values[name] = (
                value if kind is SCALAR else (value.first, list(value)) if kind is LOG else dict(value.items())
            )
        return values

    def _collect(self, changes: list[Change]) -> None:
        collect_changes(self, self._path, self._committed, self._durable, changes)

    def _check_state(self) -> None:
        for name, value in self.state().items():
            check_plain(value, f"{type(self).__qualname__}.{name}")
        for name, kind in self._durable.items():
            if kind is SCALAR:
                check_immutable(self.__dict__[name], f"{type(self).__qualname__}.{name}")

    # What an author overrides.

    def on_start(self) -> None:
        """Runs after boot and after every restart, with the durable fields restored."""

    @property
    def status(self) -> dict[str, str | int | bool | None]:
        """What this node shows to faults, ledgers and screens: `{"role": "leader", "term": 3}`."""
        return {}

    # What an author reads.

    @property
    def now(self) -> int:
        """Nanoseconds on this node's monotonic clock: it may drift, never steps, and stands still within a step."""
        return self._host.now

    @property
    def wall_clock(self) -> int:
        """Nanoseconds since 1970 on this node's wall clock: it may drift and step either way."""
        return self._host.wall_clock

    @property
    def rng(self) -> random.Random:
        """This node's own random stream."""
        return self._host.rng

    # The verbs.

    def send(self, to: NodeId, message: Message, *, before_commit: bool = False) -> None:
        """Sends to the node `to` (to the same mount there), once this batch is durable.

        With `before_commit` it leaves at the end of the batch without waiting for the commit: for messages that
        promise nothing. To itself a node sends like to any other.
        """
        host = self._host
        (host.early if before_commit else host.effects).append((SEND, to, self._path, message))

    def multicast(self, to: Sequence[NodeId], message: Message, *, before_commit: bool = False) -> None:
        """Sends the same message to each of `to`, in that order; it is encoded once."""
        host = self._host
        (host.early if before_commit else host.effects).append((MULTICAST, tuple(to), self._path, message))

    def broadcast(self, message: Message, *, before_commit: bool = False) -> None:
        """Sends the same message to every peer."""
        self.multicast(self.peers, message, before_commit=before_commit)

    def set_timer(self, timer: Callable[..., None], *arguments: Any, after: int) -> None:
        """Calls `timer(*arguments)`, a method of this node marked @on_timer, `after` nanoseconds from now.

        Setting it again with the same arguments replaces it. `after=0` fires at the end of this batch, before its commit.
        """
        key = self._timer_key(timer, arguments)
        host = self._host
        if after > 0:
            if host.soon:
                host.soon.pop(key, None)
            deadline = host.now + after
            host.timers[key] = (deadline, host.step)
            if deadline < host.wake:
                host.wake = deadline
        elif after == 0:
            host.timers.pop(key, None)
            host.soon[key] = host.step
        else:
            raise ValueError(f"set_timer(after={after}): the past cannot be scheduled")

    def cancel_timer(self, timer: Callable[..., None], *arguments: Any) -> None:
        """Forgets a timer; nothing happens if it is not set."""
        key = self._timer_key(timer, arguments)
        self._host.timers.pop(key, None)
        self._host.soon.pop(key, None)

    def note(self, name: str, **fields: str | int | float | bool | None) -> None:
        """Leaves a domain event in the trace: `self.note("elected", term=3)`."""
        self._host.effects.append((NOTE, name, fields, self._path))

    def tell(self, event: Message) -> None:
        """Hands `event` to the parent that mounted this node, whose @handles takes it in the same step."""
        if not self._path:
            raise PluginError(
                type(self).__qualname__,
                f"tells {type(event).__name__}, but has no parent",
                "Only a mounted node can tell.",
            )
        parent, _, name = self._path.rpartition("/")
        self._host.tells.append((parent, name, event))

    def mount(self, name: str, node_class: type[N], config: Config | None, peers: Sequence[NodeId]) -> N:
        """Starts a node within this one: own durable namespace, own timers; it speaks to the same mount on `peers`.

        After a restart `on_start` mounts again. `peers` may contain this node's own id; it is left out.
        """
        path = f"{self._path}/{name}" if self._path else name
        if "/" in name or not name:
            raise PluginError(type(self).__qualname__, f"{name!r} cannot name a mount", "Use a name without a slash.")
        if path in self._host.nodes:
            raise PluginError(
                type(self).__qualname__, f"{path!r} is mounted already", "Unmount it first, or choose another name."
            )
        if not issubclass(node_class, type(self).mounts):
            raise PluginError(
                type(self).__qualname__,
                f"mounts {node_class.__qualname__} without having said so",
                f"Write mounts = ({node_class.__qualname__},) in the class.",
            )
        child = node_class._seat(self._host, path, config, tuple(peer for peer in peers if peer != self.id))
        child.on_start()
        return child

    def unmount(self, name: str, *, destroy: bool = False) -> None:
        """Ends a mount with its timers; its durable state stays for a later mount unless `destroy` is set."""
        path = f"{self._path}/{name}" if self._path else name
        if path not in self._host.nodes:
            raise PluginError(type(self).__qualname__, f"{path!r} is not mounted", "")
        self._host.unmount(path, destroy)

    # State as plain data.

    def state(self) -> dict[str, Any]:
        """A copy of the public attributes but `id`, `peers` and `config`: plain data to compare, hash and print."""
        hidden = ("id", "peers", "config")
        return {
            name: copy_plain(value, f"{type(self).__qualname__}.{name}")
            for name, value in self.__dict__.items()
            if name[0] != "_" and name not in hidden and not isinstance(value, Node)
        }

    def _timer_key(self, timer: Callable[..., None], arguments: tuple[Any, ...]) -> tuple[str, str, tuple[Any, ...]]:
        name = getattr(timer, "__name__", repr(timer))
        if getattr(timer, "__self__", None) is not self:
            raise PluginError(
                type(self).__qualname__,
                f"{name} is not a timer of this node",
                "Write self.set_timer(self.retry, after=...).",
            )
        if name not in self._timers:
            raise PluginError(
                type(self).__qualname__, f"{name} is not marked as a timer", f"Write @on_timer above def {name}."
            )
        return self._path, name, arguments


def _typed_fields(cls: type[Node], stored: dict[str, Any]) -> dict[str, Any]:
    """Values of the declared types from msgpack's plain data."""
    hints = typing.get_type_hints(cls)
    typed: dict[str, Any] = {}
    for name, value in stored.items():
        field = cls._declared[name]
        if field.kind is SCALAR:
            typed[name] = _convert(value, hints[name])
        elif field.kind is LOG:
            typed[name] = (value[0], _convert(value[1], list[field.types[0]]))  # type: ignore[name-defined]
        else:
            typed[name] = _convert(value, dict[field.types[0], field.types[1]])  # type: ignore[name-defined]
    return typed


def _convert(value: Any, declared: Any) -> Any:
    return msgspec.convert(value, declared, builtin_types=(bytes,))


def _refuse_constructor(cls: type, own: Any) -> None:
    if "__init__" in own:
        raise PluginError(
            cls.__qualname__,
            "a node has no __init__ of its own",
            "Write on_start: it runs after boot and after every restart.",
        )
    if "__slots__" in own:
        raise PluginError(cls.__qualname__, "a node has no __slots__", "Leave them out: its attributes are its state.")


def _declared_fields(cls: type[Node], own: Any) -> dict[str, DurableField]:
    declared = {name: value for name, value in own.items() if isinstance(value, DurableField)}
    for name, field in declared.items():
        if name.startswith("_"):
            raise PluginError(f"{cls.__qualname__}.{name}", "a durable field is public", f"Call it {name.lstrip('_')}.")
        if field.kind is SCALAR:
            check_immutable(field.default, f"{cls.__qualname__}.{name}")
            setattr(cls, name, field.default)
        else:
            assert field.kind in (LOG, MAP)
            delattr(cls, name)
    return declared


def _handler_names(cls: type[Node], own: Any) -> dict[type[Message], str]:
    names: dict[type[Message], str] = {}
    for name, method in list(own.items()):
        for message in cast("tuple[type[Message], ...]", getattr(method, "__handles__", ())):
            where = f"{cls.__qualname__}.{name}"
            if message in names:
                raise PluginError(
                    where, f"{message.__name__} is handled by {names[message]} too", "Keep one handler a message."
                )
            if inspect.iscoroutinefunction(method):
                raise PluginError(
                    where, "a handler cannot be async", "Write def: a handler runs to completion and never waits."
                )
            if len(inspect.signature(method).parameters) != 3:
                raise PluginError(
                    where,
                    "a handler takes a sender and a message",
                    f"Write def {name}(self, sender: NodeId, message: {message.__name__}) -> None.",
                )
            names[message] = name
    return names


def _timer_names(cls: type[Node], own: Any) -> list[str]:
    timers = [name for name, method in own.items() if getattr(method, "__on_timer__", False)]
    for name in timers:
        if inspect.iscoroutinefunction(own[name]):
            raise PluginError(
                f"{cls.__qualname__}.{name}",
                "a timer cannot be async",
                "Write def: a timer runs to completion and never waits.",
            )
    return timers
