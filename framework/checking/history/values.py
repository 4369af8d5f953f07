"""The values of a history: each equals only values of its own kind, and messages show it in full or abbreviated.

| written as                                     | read as                                            |
| ---------------------------------------------- | -------------------------------------------------- |
| `null` `nil`, `true`, `12` `12N`, `1.5`, `"a"` | None, bool, int, float, str                        |
| `[1, 2]` `[1 2]` `(1 2)`                       | tuple                                              |
| EDN: `:name`, `name`, `\\c`                    | `Keyword`, `Symbol`, `Character`                   |
| EDN: `1.5M`, `1/2`, `#tag form`                | `Decimal`, `Fraction`, `Tagged`                    |
| EDN: `#{1 2}`                                  | frozenset of `exact` values                        |

In Python 1, 1.0 and True are equal; to clients they are not. Models, keys and sets therefore compare `exact` values.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias

import msgspec

from framework.core.errors import WIDEST, abbreviated

Key: TypeAlias = Hashable
"""The name of an object: None for the only object of a history, else an `exact` value."""

DEEPEST = 100
"""The maximum nesting depth of lists."""


class Mark:
    """A value that differs from any value that a client can write."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


class Keyword(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """`:name`; `name` is without the colon."""

    name: str


class Symbol(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """`name`."""

    name: str


class Character(msgspec.Struct, frozen=True, gc=False):
    r"""`\c`."""

    letter: str


class Tagged(msgspec.Struct, frozen=True):
    """`#tag value`."""

    tag: str
    value: Any


class Number(msgspec.Struct, frozen=True, gc=False):
    """The `exact` form of a number that Python may consider equal to an integer."""

    kind: str
    value: Any


_BOOLEANS = {True: Mark("true"), False: Mark("false")}
_NAN = Mark("NaN")
_PLAIN: dict[Mark, Any] = {_NAN: float("nan")} | {mark: value for value, mark in _BOOLEANS.items()}


def _exact_float(value: float) -> Hashable:
    return Number("float", value) if value == value else _NAN


def _exact_tuple(value: tuple[Any, ...]) -> Hashable:
    return tuple([exact(item) for item in value])


_EXACT: dict[type, Callable[[Any], Hashable]] = {
    bool: _BOOLEANS.__getitem__,
    float: _exact_float,
    tuple: _exact_tuple,
    Decimal: lambda value: Number("decimal", value),
    Fraction: lambda value: Number("ratio", value),
    Tagged: lambda value: Tagged(value.tag, exact(value.value)),
}


def exact(value: Any) -> Any:
    """Returns a form of `value` whose equality in Python is that of clients, at any depth."""
    change = _EXACT.get(type(value))
    return value if change is None else change(value)


def plain(value: Any) -> Any:
    """Returns an `exact` value as a client would write it; a set becomes its members in order."""
    if isinstance(value, Mark):
        return _PLAIN.get(value, value.name)
    if isinstance(value, Number):
        return value.value
    if isinstance(value, frozenset):
        return tuple(sorted(map(plain, value), key=repr))
    return tuple(map(plain, value)) if type(value) is tuple else value


def frozen(value: Any) -> Any:
    """Returns `value` with lists converted to tuples, at any depth."""
    kind = type(value)
    return tuple([frozen(item) for item in value]) if kind is list or kind is tuple else value


def nested(value: Any) -> int:
    """Returns the nesting depth of the lists and maps in `value`, counted up to `DEEPEST + 1`, which means too deep."""
    depth, level = 0, [value]
    while depth <= DEEPEST:
        inner = [item for items in level for item in _items(items)]
        if not inner and not any(isinstance(items, list | dict) for items in level):
            break
        depth, level = depth + 1, inner
    return depth


def _items(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def word(value: Any) -> str | None:
    """Returns the name of a keyword or symbol, or the text itself; None for any other value."""
    if isinstance(value, Keyword | Symbol):
        return value.name
    return value if isinstance(value, str) else None


def written(value: Any) -> str:
    """Returns `value` in the notation of JSON as far as possible, else in that of EDN."""
    write = _WRITTEN.get(type(value))
    return repr(value) if write is None else write(value)


def shown(value: Any, widest: int = WIDEST) -> str:
    """Returns `written(value)`, abbreviated for a message."""
    return abbreviated(written(value), widest)


def by_kind(key: Key) -> tuple[bool, str, str]:
    """Returns a sort key: None comes first, then texts, then the other kinds."""
    if isinstance(key, str):
        return True, "", key
    return key is not None, type(key).__name__, written(key)


def _written_float(value: float) -> str:
    return repr(value) if abs(value) < float("inf") else {"inf": "##Inf", "-inf": "##-Inf"}.get(repr(value), "##NaN")


_WRITTEN: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "null",
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _written_float,
    str: lambda value: msgspec.json.encode(value).decode(),
    tuple: lambda value: f"[{','.join(map(written, value))}]",
    list: lambda value: f"[{','.join(map(written, value))}]",
    dict: lambda value: f"{{{', '.join(f'{written(key)}: {written(item)}' for key, item in value.items())}}}",
    frozenset: lambda value: f"#{{{' '.join(sorted(map(written, value)))}}}",
    Mark: lambda value: value.name if value is not _NAN else "##NaN",
    Number: lambda value: written(value.value),
    Decimal: lambda value: f"{value}M",
    Fraction: str,
    Keyword: lambda value: f":{value.name}",
    Symbol: lambda value: value.name,
    Character: lambda value: f"\\{value.letter}",
    Tagged: lambda value: f"#{value.tag} {written(value.value)}",
}
