"""State is plain data: a node can be copied, compared and printed.

Plain: scalars, Records, and lists, tuples, dicts, sets, deques and dataclasses of plain values, durable logs and
maps, and whatever has a `copy()` and an `__eq__` of its own and says `plain = True` (state machines do).
"""

from __future__ import annotations

import copy
import dataclasses
from collections import deque
from typing import Any

import msgspec

from framework.core.durable import DurableLog, DurableMap
from framework.core.errors import PluginError

_ATOMS = (bool, int, float, str, bytes, type(None), type)


def copy_plain(value: Any, where: str) -> Any:
    """A copy that shares nothing that can change; PluginError naming `where` if there is something that is not plain data."""
    kind = type(value)
    if kind in _ATOMS or isinstance(value, (int, str, bytes, float)):
        return value
    if kind is dict:
        return {copy_plain(key, where): copy_plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind(copy_plain(item, where) for item in value)
    if kind is deque:
        return deque((copy_plain(item, where) for item in value), value.maxlen)
    if isinstance(value, (DurableLog, DurableMap)) or getattr(value, "plain", False):
        return value.copy()
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a named tuple
        return kind(*(copy_plain(item, where) for item in value))
    if isinstance(value, msgspec.Struct):
        return value if value.__struct_config__.frozen else _copy_fields(value, value.__struct_fields__, where)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _copy_fields(value, tuple(field.name for field in dataclasses.fields(value)), where)
    raise PluginError(
        where,
        f"a {kind.__qualname__} cannot be copied as plain data",
        "Keep scalars, Records, lists, dicts, sets, deques and dataclasses; put anything else into an attribute that starts with _ and can be rebuilt in on_start.",
    )


def _copy_fields(value: Any, names: tuple[str, ...], where: str) -> Any:
    twin = copy.copy(value)
    for name in names:
        object.__setattr__(twin, name, copy_plain(getattr(value, name), f"{where}.{name}"))
    return twin


def check_plain(value: Any, where: str) -> None:
    """PluginError unless `value` is plain data."""
    copy_plain(value, where)
