"""Node state is plain data, so that a node can be copied, compared and printed.

Plain data: scalars, enum members, classes, Records; lists, tuples, dicts, sets, deques and dataclasses of plain values;
durable logs and maps; mounted nodes, represented by their path; and any object that sets `plain = True` and has its own
`copy()` and `__eq__`, as state machines do.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
from collections import Counter, OrderedDict, defaultdict, deque
from functools import lru_cache
from typing import Any

import msgspec

from framework.core.durable import DurableLog, DurableMap
from framework.core.errors import PluginError
from framework.core.message import Record, check_message

_ATOMS = frozenset((bool, int, float, str, bytes, type(None), range))
_IMMUTABLE = (int, str, bytes, float, enum.Enum, type)


def copy_plain(value: Any, where: str) -> Any:
    """Returns a copy that shares nothing mutable. Raises PluginError naming `where` if `value` is not plain data."""
    kind = type(value)
    if kind in _ATOMS or isinstance(value, _IMMUTABLE):
        return value
    if kind is dict:
        return {copy_plain(key, where): copy_plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind(copy_plain(item, where) for item in value)
    if isinstance(value, msgspec.Struct):
        return value if _is_constant(value.__class__) else _copy_struct(value, where)
    if isinstance(value, (DurableLog, DurableMap)) or getattr(value, "plain", False) is True:
        return value.copy()
    if kind is deque:
        return deque((copy_plain(item, where) for item in value), value.maxlen)
    if kind in (defaultdict, OrderedDict, Counter):
        return _copy_mapping(value, where)
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a named tuple
        return kind(*(copy_plain(item, where) for item in value))
    if dataclasses.is_dataclass(value):
        return _copy_dataclass(value, where)
    if hasattr(value, "_plain"):  # a mounted node
        return value._plain()
    raise PluginError(
        where,
        f"a {kind.__qualname__} cannot be copied as plain data",
        "Keep scalars, Records, lists, dicts, sets, deques and dataclasses; put anything else into an attribute that starts with _ and can be rebuilt in on_start.",
    )


@lru_cache(maxsize=1024)
def _is_constant(struct: type[msgspec.Struct]) -> bool:
    """Returns whether the field types of a Record make it deeply immutable."""
    if not issubclass(struct, Record):
        return False
    try:
        check_message(struct)
    except PluginError:
        return False
    return True


def _copy_struct(value: Any, where: str) -> Any:
    names = value.__struct_fields__
    return msgspec.structs.replace(
        value, **{name: copy_plain(getattr(value, name), f"{where}.{name}") for name in names}
    )


def _copy_mapping(value: Any, where: str) -> Any:
    twin = value.copy()
    for key, item in value.items():
        twin[key] = copy_plain(item, f"{where}[{key!r}]")
    return twin


def _copy_dataclass(value: Any, where: str) -> Any:
    twin = copy.copy(value)
    for field in dataclasses.fields(value):
        object.__setattr__(twin, field.name, copy_plain(getattr(value, field.name), f"{where}.{field.name}"))
    return twin
