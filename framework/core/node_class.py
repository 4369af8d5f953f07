"""The declarations in a node class: durable fields, handlers, timers. Checked when the class is created.

All bases count, plain mixins too, in method resolution order: a method that overrides a handler or a timer replaces
it, decorated or not.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections import deque
from functools import cache
from types import SimpleNamespace, UnionType
from typing import Any

import msgspec

from framework.core.durable import LOG, SCALAR, DurableCollection, DurableField, DurableScalar, check_immutable
from framework.core.errors import PluginError
from framework.core.message import Message, check_type

RESERVED = frozenset(
    {"broadcast", "can_serve", "cancel_timer", "config", "id", "mount", "mounts", "multicast", "note", "now"}
    | {"is_mounted", "on_start", "peers", "replica", "replicas", "rng", "roles", "send", "set_timer", "spare"}
    | {"state", "status", "tell", "unmount", "wall_clock"}
)
"""The public names of every node. An attribute of the same name would hide them."""

_PROPERTIES = {"status": "Status", "replica": "Replica | None", "replicas": "Mapping[str, Replica]"}
"""The properties that an author overrides, with their types."""

_MUTABLE = (list, dict, set, bytearray, deque)


def check_body(cls: type) -> None:
    """Raises PluginError if the class body contains something that a node class cannot have."""
    own = vars(cls)
    if "__init__" in own:
        raise PluginError(
            cls.__qualname__,
            "a node has no __init__ of its own",
            "Write on_start: it runs after boot and after every restart.",
        )
    if "__slots__" in own:
        raise PluginError(cls.__qualname__, "a node has no __slots__", "Leave them out: its attributes are its state.")
    for name, value in own.items():
        where = f"{cls.__qualname__}.{name}"
        if name in RESERVED and name != "mounts" and not (inspect.isfunction(value) or isinstance(value, property)):
            if name in _PROPERTIES:
                fix = f"Write @property above def {name}(self) -> {_PROPERTIES[name]}."
                raise PluginError(where, f"is {type(value).__name__}, and not a property", fix)
            raise PluginError(where, f"every node has a {name} already", "Choose another name.")
        if name in _PROPERTIES and inspect.isfunction(value):
            raise PluginError(where, "is a method, and not a property", f"Write @property above def {name}(self).")
        if isinstance(value, _MUTABLE) and not name.startswith("__") and not name.isupper():
            raise PluginError(
                where,
                f"a {type(value).__name__} in the class is shared by all its nodes",
                f"Set self.{name} in on_start; a table that never changes is written in capitals.",
            )
        if isinstance(value, (classmethod, staticmethod)) and hasattr(value.__func__, "__handles__"):
            _check_method(cls, name, value, "a handler")
    for name in ("on_start", "invoke"):
        if name in own:
            _check_method(cls, name, own[name], name)


def declared_fields(cls: type) -> dict[str, DurableField]:
    """Returns the durable fields of `cls`, its bases' first. Leaves a descriptor of each in the class."""
    body = {name: value for name, value in vars(cls).items() if isinstance(value, DurableField)}
    for name, field in body.items():
        _check_field(cls, name, field)
    cls._declared_here = body  # type: ignore[attr-defined]
    fields: dict[str, DurableField] = {}
    for base in reversed(cls.__mro__):
        own = vars(base)
        if "_declared_here" in own:
            fields.update(own["_declared_here"])
        else:
            fields.update({name: value for name, value in own.items() if isinstance(value, DurableField)})
    for name, field in fields.items():
        value = vars(cls).get(name, field)
        if not isinstance(value, DurableField):
            raise PluginError(
                f"{cls.__qualname__}.{name}",
                "hides a durable field of a base class",
                f"Choose another name, or write {name}: {type(value).__name__} = durable({value!r}).",
            )
        is_scalar = field.kind is SCALAR
        descriptor = DurableScalar(name, is_lazy=field.is_lazy) if is_scalar else DurableCollection(name, field.kind)
        setattr(cls, name, descriptor)
    return fields


def _check_field(cls: type, name: str, field: DurableField) -> None:
    where = f"{cls.__qualname__}.{name}"
    if name.startswith("_"):
        raise PluginError(where, "a durable field is public", f"Call it {name.lstrip('_')}.")
    if field.kind is SCALAR:
        check_immutable(field.default, where)
        if name not in inspect.get_annotations(cls):
            spelled = "NodeId | None" if field.default is None else type(field.default).__name__
            raise PluginError(
                where, "a durable field needs its type", f"Write {name}: {spelled} = durable({field.default!r})."
            )


def handler_names(cls: type) -> dict[type[Message], str]:
    """Returns the handler's name for each message, in `cls` and all its bases."""
    names: dict[type[Message], str] = {}
    for base in reversed(cls.__mro__):
        here: dict[type[Message], str] = {}
        for name, method in vars(base).items():
            marked: tuple[type[Message], ...] = getattr(method, "__handles__", ())
            if marked:  # decorated again: its messages in a base no longer count
                names = {message: taker for message, taker in names.items() if taker != name}
            for message in marked:
                if message in here:
                    raise PluginError(
                        f"{cls.__qualname__}.{name}",
                        f"{message.__name__} is handled by {here[message]} too",
                        "Keep one handler a message.",
                    )
                here[message] = name
        names.update(here)
    for message, name in names.items():
        if name in vars(cls):
            _check_handler(cls, name, message)
    return names


def _check_handler(cls: type, name: str, message: type[Message]) -> None:
    method = vars(cls)[name]
    _check_method(cls, name, method, "a handler")
    parameters = inspect.signature(method).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if len(parameters) != 3 or any(parameter.kind not in positional for parameter in parameters):
        raise PluginError(
            f"{cls.__qualname__}.{name}",
            "a handler takes a sender and a message",
            f"Write def {name}(self, sender: NodeId, message: {message.__name__}) -> None.",
        )


@cache
def check_handler_types(cls: type) -> None:
    """Raises PluginError unless the annotated message of each handler of `cls` admits the classes it handles.

    An annotation that spells the name of the handled class is accepted as it is, so that a local class need not be
    importable; any other is resolved. Called at registration, when every module is loaded.
    """
    for message, handler in cls._handlers.items():  # type: ignore[attr-defined]
        *_, last = inspect.signature(handler).parameters.values()
        annotation = last.annotation
        if annotation is inspect.Parameter.empty or annotation is message:
            continue
        if isinstance(annotation, str) and message.__name__ in _spelled_names(annotation):
            continue
        where = f"{cls.__qualname__}.{handler.__name__}"
        admitted = _resolved(annotation, handler, where)
        if not any(base in (Any, object) or issubclass(message, _class_of(base)) for base in admitted):
            spelled = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
            raise PluginError(
                where,
                f"handles {message.__name__}, but its parameter is {last.name}: {spelled}",
                f"Write {last.name}: {message.__name__}, or @handles({spelled}).",
            )


def _spelled_names(annotation: str) -> list[str]:
    """Returns the last part of each member of a union as written: `["Vote", "Denial"]` for `messages.Vote | Denial`."""
    return [member.strip().rpartition(".")[2] for member in annotation.split("|")]


def _resolved(annotation: Any, handler: Any, where: str) -> tuple[Any, ...]:
    """Returns the classes that an annotation admits: one, or the members of a union."""
    if isinstance(annotation, str):
        bare = SimpleNamespace(__annotations__={"message": annotation})
        try:
            annotation = typing.get_type_hints(bare, handler.__globals__)["message"]
        except (NameError, AttributeError, SyntaxError, TypeError) as error:
            raise PluginError(
                where, f"the type of its message cannot be found: {error}", f"Import it in {handler.__module__}."
            ) from error
    if isinstance(annotation, typing.TypeVar):
        return annotation.__constraints__ or (annotation.__bound__ or object,)
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _class_of(hint: Any) -> Any:
    """Returns `hint` for `issubclass`; an annotation that is not a class admits nothing."""
    return hint if isinstance(hint, type) else ()


def timer_names(cls: type) -> frozenset[str]:
    """Returns the names of the timers of `cls` and all its bases."""
    names = {
        name for base in cls.__mro__ for name, method in vars(base).items() if getattr(method, "__on_timer__", False)
    }
    for name in sorted(names & vars(cls).keys()):
        _check_method(cls, name, vars(cls)[name], "a timer")
    return frozenset(names)


def _check_method(cls: type, name: str, method: object, kind: str) -> None:
    where = f"{cls.__qualname__}.{name}"
    if not inspect.isfunction(method):
        raise PluginError(
            where, f"{kind} is a plain method, not a {type(method).__name__}", f"Write def {name}(self, ...)."
        )
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        raise PluginError(where, f"{kind} cannot be async", "Write def: it runs to completion and never waits.")
    if inspect.isgeneratorfunction(method):
        raise PluginError(where, f"{kind} cannot yield", "Leave yield out: it runs to completion, in one step.")


@cache
def check_durable_types(cls: type) -> None:
    """Raises PluginError unless the durable fields of the node class `cls` hold only immutable, precisely typed values.

    They are written as msgpack and read back by their types. Called at registration, when every module is loaded.
    """
    fields: dict[str, DurableField] = cls._declared  # type: ignore[attr-defined]
    for name, field in fields.items():
        types = (_annotation(cls, name),) if field.kind is SCALAR else field.types
        for declared in types:
            check_type(declared, f"{cls.__qualname__}.{name}", "a durable field")


def typed_fields(cls: type, stored: dict[str, Any]) -> dict[str, Any]:
    """Converts msgpack's plain data to the declared types. Raises PluginError if a value does not fit."""
    fields: dict[str, DurableField] = cls._declared  # type: ignore[attr-defined]
    typed: dict[str, Any] = {}
    for name, value in stored.items():
        field = fields[name]
        where = f"{cls.__qualname__}.{name}"
        if field.kind is SCALAR:
            typed[name] = _convert(value, _annotation(cls, name), where)
        elif field.kind is LOG:
            first, entries = value
            typed[name] = (first, _convert(entries, list[field.types[0]], where))  # type: ignore[name-defined]
        else:
            typed[name] = _convert(value, dict[field.types[0], field.types[1]], where)  # type: ignore[name-defined]
    return typed


def _convert(value: Any, declared: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, declared, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise PluginError(
            where, f"what was committed is not of the declared type: {error}", "Declare the type of all that it holds."
        ) from error


def _annotation(cls: type, name: str) -> Any:
    """Returns the type that the nearest class declares for the field `name`. Resolves no other annotation."""
    base = next(base for base in cls.__mro__ if name in inspect.get_annotations(base))
    bare = SimpleNamespace(__annotations__={name: inspect.get_annotations(base)[name]})
    try:
        return typing.get_type_hints(bare, vars(sys.modules[base.__module__]), dict(vars(base)))[name]
    except NameError as error:
        raise PluginError(
            f"{base.__qualname__}.{name}", f"its type cannot be found: {error}", f"Import it in {base.__module__}."
        ) from error
