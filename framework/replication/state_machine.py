"""State machines: the targets of a replicated log, independent of the protocol that replicates it.

    class Counter(StateMachine):
        def __init__(self, config: Config | None = None) -> None:
            super().__init__(config)
            self.value = 0

        @operation
        def increment(self, key: str | None, argument: Value) -> Value: ...

To a protocol, commands and results are bytes: `apply(command) -> result`, `snapshot()`, `restore(bytes)`.

A machine that needs time reads `self.now`, and names in `next_deadline` the time at which it wants to act by itself, in
`on_deadline`. An operation that must wait returns PENDING and keeps `self.caller`; a later operation, or `on_deadline`,
gives it its result with `answer`:

    @operation
    def acquire(self, key: str | None, argument: Value) -> Value:
        if key in self.holders:
            self.waiting.append((key, self.caller))
            return PENDING
        ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from framework.core.errors import PluginError, SynodError
from framework.core.message import Config, Record
from framework.core.size import format_bytes
from framework.core.value import Value

M = TypeVar("M", bound=Callable[[Any, "str | None", Any], Any])

MOST_DEADLINES = 100_000
"""The maximum number of deadlines that pass at one command."""

DEFERRED = b""
"""The result of `apply` for an operation that returned PENDING. No other result is empty."""


class _Pending:
    """The type of PENDING."""

    def __repr__(self) -> str:
        return "PENDING"


PENDING: Any = _Pending()
"""Returned by an operation whose result comes later, from `StateMachine.answer`."""


class Caller(Record):
    """The client that waits for an operation, in terms that every replica shares: plain numbers, for snapshots."""

    session: int
    sequence: int


class _Call(Protocol):
    """An operation as its `Caller` names it: a `Command`, or a `Caller` itself."""

    @property
    def session(self) -> int: ...

    @property
    def sequence(self) -> int: ...


_encode = msgspec.msgpack.Encoder().encode
_decode_value = msgspec.msgpack.Decoder().decode
_REFUSAL = 1  # msgpack's extension type of a refusal in place of a result
_decode_command = msgspec.msgpack.Decoder(tuple[str, str | None, Any]).decode


class Refused(SynodError):
    """Raised by an operation that the current state does not allow. Nothing has changed, and its client gets `Fail`."""


def operation(method: M) -> M:
    """Marks a method `(key, argument) -> result` that clients may call by name."""
    method.__operation__ = True  # type: ignore[attr-defined]
    return method


def query(method: M) -> M:
    """Marks an operation that changes nothing: a protocol may answer it outside its log."""
    method.__query__ = True  # type: ignore[attr-defined]
    return operation(method)


class StateMachine:
    """Base of state machines.

    The same commands in the same order must give the same results and snapshot everywhere.
    """

    plain: ClassVar[bool] = True
    keeps_time: ClassVar[bool] = False
    """Whether it reads `now`. Implied by a `next_deadline`."""
    operations: ClassVar[tuple[str, ...]] = ()
    queries: ClassVar[frozenset[str]] = frozenset()
    """The operations that change nothing."""
    _methods: ClassVar[dict[str, Callable[..., Any]]] = {}

    recovery_time: int = 0
    """The time in nanoseconds for which what a crashed client has left behind may keep others waiting, such as a
    lease."""

    _now = 0
    _call: _Call | None = None  # the operation under way, or the latest
    _answers: list[tuple[Caller, bytes]] | None = None  # given and not taken yet

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.keeps_time = cls.keeps_time or cls.next_deadline is not StateMachine.next_deadline
        names = {
            name: None
            for base in reversed(cls.__mro__)
            for name, method in vars(base).items()
            if getattr(method, "__operation__", False)
        }
        cls._methods = {name: getattr(cls, name) for name in names}
        for name in names:
            _check_operation(cls, name)
        cls.operations = tuple(cls._methods)
        cls.queries = frozenset(name for name in names if getattr(cls._methods[name], "__query__", False))

    def __init__(self, config: Config | None = None) -> None:
        self.config = config

    # For machines with time, and with operations that wait.

    @property
    def now(self) -> int:
        """The machine's time in nanoseconds, the same on every replica at the same command.

        It is the sum of the times between commands as their leaders measured them. It does not advance while no leader
        serves, so it runs late and never early, which is safe for leases.
        """
        if not self.keeps_time:
            name = type(self).__qualname__
            raise PluginError(name, "reads `now`, but keeps no time", "Write keeps_time = True in the class.")
        return self._now

    @property
    def caller(self) -> Caller:
        """The caller of the operation under way, for a later `answer`."""
        if self._call is None:
            name = type(self).__qualname__
            raise PluginError(name, "reads `caller` in a query", "Mark the method @operation: a query cannot wait.")
        return Caller(self._call.session, self._call.sequence)

    def next_deadline(self) -> int | None:
        """Returns the time, on `now`, at which `on_deadline` is to be called; None if it need not be."""
        return None

    def on_deadline(self) -> None:
        """Called on every replica once `now` has reached `next_deadline()`, and again while that is so."""

    def answer(self, caller: Caller, result: Value) -> None:
        """Gives an operation that returned PENDING its result. Call it from an operation or from `on_deadline`."""
        self._give(caller, _encode(result))

    def refuse(self, caller: Caller, why: str) -> None:
        """Refuses an operation that returned PENDING: its client gets `Fail`."""
        self._give(caller, _refusal(why))

    def _give(self, caller: Caller, result: bytes) -> None:
        if self._answers is None:
            self._answers = []
        self._answers.append((caller, result))

    def advance(self, elapsed: int) -> None:
        """Moves `now` forward, and lets deadlines pass. For `ReplicatedMachine`."""
        self._now += elapsed
        self._call = None
        for _ in range(MOST_DEADLINES):
            deadline = self.next_deadline()
            if deadline is None or deadline > self._now:
                return
            self.on_deadline()
        what = f"next_deadline stays at {deadline}, which on_deadline has reached"
        raise PluginError(type(self).__qualname__, what, "Let on_deadline remove what was due.")

    def take_answers(self) -> list[tuple[Caller, bytes]]:
        """Returns the answers given since the last call, and forgets them. For `ReplicatedMachine`."""
        answers, self._answers = self._answers, None
        return answers or []

    @staticmethod
    def command(function: str, key: str | None, argument: Value) -> bytes:
        """Returns the bytes of a command, as a client sends them."""
        return _encode((function, key, argument))

    @staticmethod
    def result(data: bytes) -> Value:
        """Decodes the bytes that `apply` returned.

        Lists become tuples at any depth. Raises Refused if it was refused.
        """
        value = _decode_value(data)
        if type(value) is msgspec.msgpack.Ext:
            raise Refused(bytes(value.data).decode())
        return _as_tuple(value) if type(value) is list else value

    @staticmethod
    def describe_command(command: bytes) -> str:
        """Returns the command in readable form, its argument in JSON: `write x 1`; `5 bytes` if it is not a command."""
        try:
            function, key, argument = _decode_command(command)
            return describe_call(function, key, argument)
        except (msgspec.MsgspecError, TypeError):
            return format_bytes(len(command))

    @staticmethod
    def describe_result(data: bytes) -> str:
        """Returns the result of `apply` in readable form: None, a value in JSON, or `refused: …`; else `5 bytes`."""
        if data == DEFERRED:
            return "pending"
        try:
            value = _decode_value(data)
            if type(value) is msgspec.msgpack.Ext:
                return f"refused: {bytes(value.data).decode()}"
            return "None" if value is None else _spell_value(value)
        except (msgspec.MsgspecError, TypeError):
            return format_bytes(len(data))

    def apply(self, command: bytes) -> bytes:
        """Executes one command and returns the bytes of its result.

        A command that cannot be decoded or names an unknown operation is refused, like a command that the state does
        not allow. An exception would crash every replica, and crash it again at each replay of its log.
        """
        try:
            function, key, argument = _decode_command(command)
            method = self._methods[function]
        except msgspec.DecodeError as error:
            return _refusal(f"the command cannot be decoded: {error}")
        except KeyError:
            return _refusal(
                f"{type(self).__qualname__} has no operation {function!r}. It has: {', '.join(self.operations)}."
            )
        try:
            result = method(self, key, _as_tuple(argument) if argument.__class__ is list else argument)
            return DEFERRED if result is PENDING else _encode(result)
        except Refused as refusal:
            self.take_answers()  # nothing has changed
            return _refusal(str(refusal))

    def snapshot(self) -> bytes:
        """Returns the whole state; equal states give equal bytes."""
        raise PluginError(type(self).__qualname__, "has no snapshot()", "Write snapshot() -> bytes and restore(bytes).")

    def restore(self, snapshot: bytes) -> None:
        """Replaces the state by the one in `snapshot`."""
        raise PluginError(type(self).__qualname__, "has no restore()", "Write snapshot() -> bytes and restore(bytes).")

    def copy(self) -> Any:
        twin = type(self)(self.config)
        twin.restore(self.snapshot())
        twin._now = self._now
        return twin

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, StateMachine) and self.snapshot() == other.snapshot()

    __hash__ = None  # type: ignore[assignment]


class StateMachineChoice(Record):
    """The state machine that a run replicates. A protocol builds its own with `self.config.state_machine.build()`."""

    machine: type[StateMachine]
    config: Config | None = None

    def build(self) -> StateMachine:
        return self.machine(self.config)


def describe_call(function: str, key: str | None, argument: Value) -> str:
    """Returns a call in readable form, its argument in JSON: `write x 1`."""
    words = [function, *([] if key is None else [key])]
    return " ".join([*words, *([] if argument is None else [_spell_value(argument)])])


def _refusal(why: str) -> bytes:
    return _encode(msgspec.msgpack.Ext(_REFUSAL, why.encode()))


def _spell_value(value: Value) -> str:
    return msgspec.json.encode(value).decode()


def _as_tuple(values: list[Any]) -> tuple[Any, ...]:
    return tuple(_as_tuple(value) if type(value) is list else value for value in values)


def _check_operation(cls: type, name: str) -> None:
    method = getattr(cls, name)
    if not inspect.isfunction(method) or len(inspect.signature(method).parameters) != 3:
        raise PluginError(
            f"{cls.__qualname__}.{name}",
            "an operation takes a key and an argument",
            f"Write def {name}(self, key: str | None, argument: Value) -> Value.",
        )
