"""Values as a paper writes them, for the log of a cluster and the output of scripts.

| value | written as |
| --- | --- |
| a record with its own `__str__` | the result of that |
| an ordered record, such as a ballot | its fields with dots between them: `2.n3` |
| any other record or message | `Name(field=value)`, without the fields that hold their default |
| a text | as it is if it is a word, else in double quotes |
| bytes | the text if it is short and printable, else their number: `24 bytes` |
| a tuple or list; a set; a mapping | `[a, b]`; `{a, b}`, sorted; `{key: value}` |
| an object without its own `__repr__` | its class: `a StateMachine` |

To write one of its records in another form, a protocol gives the record a `__str__`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from framework.core.durable import Change, DurableLog, DurableMap, LogWritten, MapWritten, ScalarSet
from framework.core.size import format_bytes

_WORD = re.compile(r"[\w.-]+")
_LITERALS = ("None", "True", "False")
_SHORT = 16


def describe(value: Any) -> str:
    """One value, in one line."""
    if isinstance(value, msgspec.Struct):
        return _describe_record(value)
    if isinstance(value, str):
        return _describe_text(value)
    if isinstance(value, bytes):
        return _describe_bytes(value)
    if isinstance(value, (tuple, list, DurableLog)):
        return f"[{', '.join(map(describe, value))}]"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(describe, value))) + "}"
    if isinstance(value, (Mapping, DurableMap)):
        return "{" + ", ".join(f"{describe(key)}: {describe(each)}" for key, each in value.items()) + "}"
    return repr(value) if _has_own(value, "__repr__") else f"a {type(value).__name__}"


def describe_fields(fields: Iterable[tuple[str, Any]]) -> str:
    """`name=value, name=value`."""
    return ", ".join(f"{name}={describe(value)}" for name, value in fields)


def describe_time(nanoseconds: int) -> str:
    """A point of time in milliseconds, to the microsecond: `264.787ms`."""
    return f"{nanoseconds / 1e6:.3f}".rstrip("0").rstrip(".") + "ms"


def describe_change(change: Change) -> str:
    """One increment of durable state: `term=2`, `log[5:]=[…]`, `votes[x]=…`."""
    place = f"{change.path}/" if change.path else ""
    if isinstance(change, ScalarSet):
        return f"{place}{change.field}={describe(change.value)}"
    if isinstance(change, LogWritten):
        return f"{place}{change.field}[{change.start}:]={describe(change.entries)}"
    if isinstance(change, MapWritten):
        put = {key for key, _ in change.puts}
        gone = [f"{place}{change.field}[{describe(key)}] deleted" for key in change.deleted if key not in put]
        return ", ".join([*gone, *(f"{place}{change.field}[{describe(k)}]={describe(v)}" for k, v in change.puts)])
    return f"{change.path} dropped"


def _describe_record(record: Any) -> str:
    kind = type(record)
    if _has_own(record, "__str__"):
        return str(record)
    fields = msgspec.structs.fields(record)
    if kind.__struct_config__.order:
        return ".".join(str(getattr(record, field.name)) for field in fields)
    values = [(field, getattr(record, field.name)) for field in fields]
    return (
        f"{kind.__name__}({describe_fields((field.name, value) for field, value in values if value != field.default)})"
    )


def _describe_text(text: str) -> str:
    if _WORD.fullmatch(text) and text not in _LITERALS and not _is_number(text):
        return text
    return json.dumps(text, ensure_ascii=False)


def _describe_bytes(data: bytes) -> str:
    if len(data) <= _SHORT and data.isascii() and data.decode().isprintable():
        return repr(data)
    return format_bytes(len(data))


def _has_own(value: object, method: str) -> bool:
    return getattr(type(value), method) is not getattr(object, method)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
