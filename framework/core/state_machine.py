"""State machines: what a replicated log is applied to, apart from the protocol that replicates it.

    class Counter(StateMachine):
        def __init__(self) -> None:
            self.value = 0

        @operation
        def increment(self, key: str | None, argument: Value) -> Value: ...

To a protocol, commands and results are bytes: `apply(command) -> result`, `snapshot()`, `restore(bytes)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias, TypeVar

import msgspec

from framework.core.errors import PluginError
from framework.core.message import Config, Record

Value: TypeAlias = Any
"""What an operation takes and gives back: None, bool, int, str, or a tuple of these."""

M = TypeVar("M", bound=Callable[[Any, "str | None", Any], Any])

_encode = msgspec.msgpack.Encoder().encode
_decode_value = msgspec.msgpack.Decoder().decode
_decode_command = msgspec.msgpack.Decoder(tuple[str, str | None, Any]).decode


def operation(method: M) -> M:
    """Marks a method `(key, argument) -> result` that clients may call by its name."""
    method.__operation__ = True  # type: ignore[attr-defined]
    return method


class StateMachine:
    """Deterministic: the same commands in the same order give the same results and the same snapshot everywhere."""

    plain: ClassVar[bool] = True
    operations: ClassVar[tuple[str, ...]] = ()
    _methods: ClassVar[dict[str, Callable[..., Any]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = {name: method for name, method in vars(cls).items() if getattr(method, "__operation__", False)}
        names = [*cls._methods, *(name for name in own if name not in cls._methods)]
        cls._methods = {name: getattr(cls, name) for name in names}
        cls.operations = tuple(cls._methods)

    def __init__(self, config: Config | None = None) -> None:
        self.config = config

    @staticmethod
    def command(function: str, key: str | None, argument: Value) -> bytes:
        """The command's bytes, as a client writes them."""
        return _encode((function, key, argument))

    @staticmethod
    def result(data: bytes) -> Value:
        """What a client reads from the bytes that `apply` returned; a list becomes a tuple."""
        value = _decode_value(data)
        return tuple(value) if isinstance(value, list) else value

    def apply(self, command: bytes) -> bytes:
        """Executes one command. PluginError if it names an operation that this machine lacks."""
        function, key, argument = _decode_command(command)
        method = self._methods.get(function)
        if method is None:
            raise PluginError(
                type(self).__qualname__, f"has no operation {function!r}", f"It has: {', '.join(self.operations)}."
            )
        return _encode(method(self, key, argument))

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        raise PluginError(type(self).__qualname__, "has no snapshot()", "Write snapshot() -> bytes and restore(bytes).")

    def restore(self, snapshot: bytes) -> None:
        """Becomes the state that `snapshot` holds."""
        raise PluginError(type(self).__qualname__, "has no restore()", "Write snapshot() -> bytes and restore(bytes).")

    def copy(self) -> Any:
        twin = type(self)(self.config)
        twin.restore(self.snapshot())
        return twin

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, StateMachine) and self.snapshot() == other.snapshot()

    __hash__ = None  # type: ignore[assignment]


class StateMachineChoice(Record):
    """Which state machine a run replicates; a protocol makes its own with `self.config.state_machine.build()`."""

    machine: type[StateMachine]
    config: Config | None = None

    def build(self) -> StateMachine:
        return self.machine(self.config)
