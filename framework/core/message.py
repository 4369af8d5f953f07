"""Messages, records and configs: frozen msgspec Structs whose wire format follows from their types."""

from __future__ import annotations

import re
import types
import typing
from functools import cache
from typing import Any, TypeAlias, dataclass_transform

import msgspec

from framework.core.errors import PluginError

NodeId: TypeAlias = str
"""A node's name: `n1`, `n2`, … for servers, `c1`, `c2`, … for clients."""

_SCALARS = (bool, int, float, str, bytes, type(None))


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class _FrozenMeta(msgspec.StructMeta):
    """Makes every subclass frozen by default, also for type checkers."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        options.setdefault("frozen", True)
        return super().__new__(mcls, name, bases, namespace, **options)


class Record(msgspec.Struct, metaclass=_FrozenMeta, array_like=True):
    """A frozen value for use inside messages, logs and other records.

    class Entry(Record):
        term: int
        command: bytes
    """


class Message(Record, array_like=True):
    """Base of the messages that nodes exchange. Its name on the wire is `protocol.Class`; its fields are positional.

    Fields are scalars, `str`, `bytes`, tuples, frozensets and Records of these; `check_message` enforces it.
    """


class Event(Message, array_like=True):
    """Base of the events that a mounted node tells its parent: `self.tell(Elected(term=3))`.

    An event is never sent, so its fields may have any immutable type. A parent handles the events that it needs, each
    with a @handles method; others are dropped.
    """


class Config(msgspec.Struct, metaclass=_FrozenMeta, kw_only=True, forbid_unknown_fields=True):
    """Base of a plugin's settings. Its defaults are the defaults that users see; durations are `Duration`s."""

    def validate_nodes(self, key: str, nodes: tuple[NodeId, ...]) -> None:
        """Raises ConfigError if the config at `key`, of a protocol or a workload, does not fit a run on `nodes`. Called
        before the run.

        Also validates nested configs, each under its own key.
        """
        for name, field in zip(self.__struct_encode_fields__, self.__struct_fields__, strict=True):
            inner = getattr(self, field)
            if isinstance(inner, Config):
                inner.validate_nodes(f"{key}.{name}", nodes)


@cache
def check_message(message: type[Record]) -> None:
    """Raises PluginError unless every field of `message` is immutable, precisely typed and decodable from msgpack.

    A list inside a frozen message would be shared between nodes in the simulator and copied on the wire.
    """
    check_type(message, message.__qualname__, "a message")


def check_type(hint: Any, where: str, holder: str) -> None:
    """Raises PluginError at `where` unless values of the type `hint` are immutable and readable from msgpack.

    `holder` names the container in the message.
    """
    _check_type(hint, where, holder, ())
    try:
        msgspec.msgpack.Decoder(hint)
    except TypeError as error:
        union = re.search(r"- type `(.*)` is not supported", str(error), re.DOTALL)
        raise PluginError(
            where,
            f"msgpack cannot distinguish the members of {union[1]}" if union else f"msgpack cannot carry it: {error}",
            "Keep one kind of each in a union; Records take a tag, class A(Record, tag=True).",
        ) from error


def _check_type(hint: Any, where: str, holder: str, seen: tuple[type, ...]) -> None:
    hint = getattr(hint, "__supertype__", hint)  # of a NewType
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType, tuple, frozenset):
        for argument in typing.get_args(hint):
            if argument is not Ellipsis:
                _check_type(argument, where, holder, seen)
    elif origin is typing.Literal or hint in _SCALARS:
        return
    elif isinstance(hint, type) and issubclass(hint, Record):
        if hint not in seen:
            _check_struct(hint, where, holder, (*seen, hint))
    else:
        raise PluginError(where, f"{holder} cannot hold {_spell(hint)}", _remedy(hint))


def _check_struct(struct: type[Record], where: str, holder: str, seen: tuple[type, ...]) -> None:
    if not struct.__struct_config__.frozen:
        raise PluginError(where, f"{struct.__name__} is not frozen", "Leave out frozen=False.")
    try:
        hints = typing.get_type_hints(struct)
    except NameError as error:
        raise PluginError(
            struct.__qualname__, f"a field's type cannot be found: {error}", f"Import it in {struct.__module__}."
        ) from error
    for name in struct.__struct_fields__:
        _check_type(hints[name], f"{struct.__qualname__}.{name}", holder, seen)


def _spell(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")


def _remedy(hint: Any) -> str:
    bare = typing.get_origin(hint) or hint
    if bare is list:
        return "Write tuple[X, ...] instead: a list would be shared between nodes."
    if bare is set:
        return "Write frozenset[X] instead."
    if bare is dict:
        return "Write tuple[tuple[K, V], ...] instead."
    if hint is Any or hint is object or bare in (tuple, frozenset):
        return "Give it a precise type."
    return "Use scalars, str, bytes, tuples, frozensets and Records."
