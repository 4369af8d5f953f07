"""What each setting of a config means: its default, the words that it may be, and the docstring below its field."""

from __future__ import annotations

import ast
import inspect
import textwrap
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec

from framework.config.plain_mappings import keys_of, options_of, plain


@dataclass(frozen=True)
class Setting:
    """One key in full; no default where it stands for keys below it, no words where it may be more than some words."""

    key: str
    default: str | None
    words: tuple[str, ...]
    text: str


def explained(config: msgspec.Struct, key: str = "") -> Iterator[Setting]:
    """Every setting of `config`, which stands under `key`, in the order of its fields, with its value there as the default."""
    kind = type(config)
    shown, texts = plain(config), _docstrings(kind)
    hints = typing.get_type_hints(kind, include_extras=True)
    tag = kind.__struct_config__
    if tag.tag_field is not None:
        yield Setting(_join(key, tag.tag_field), str(tag.tag), (), "")
    for name, field in keys_of(kind).items():
        if name in shown:
            yield from _setting(getattr(config, field), hints[field], _join(key, name), texts.get(field, ""))


def flat(settings: Any, key: str) -> Iterator[tuple[str, str]]:
    """(full key, value as typed) of every setting within `settings`."""
    if isinstance(settings, dict) and settings:
        for name, value in settings.items():
            yield from flat(value, f"{key}.{name}")
    elif isinstance(settings, list):
        yield key, f"[{','.join(str(value) for value in settings)}]"
    else:
        yield (
            key,
            "null" if settings is None else str(settings).lower() if isinstance(settings, bool) else str(settings),
        )


def _setting(value: Any, hint: Any, key: str, text: str) -> Iterator[Setting]:
    if isinstance(value, msgspec.Struct):
        if text:
            yield Setting(key, None, (), text)
        yield from explained(value, key)
    else:
        for inner, written in flat(plain(value), key):
            yield Setting(inner, written, tuple(options_of(hint, [])), text)


def _docstrings(config: type) -> Mapping[str, str]:
    """The docstrings below the fields of a class and its bases, each in one line; none of a class without source."""
    texts: dict[str, str] = {}
    for kind in reversed(config.__mro__):
        try:
            source = inspect.getsource(kind)
        except (OSError, TypeError):  # built in, or made without a file
            continue
        (definition,) = ast.parse(textwrap.dedent(source)).body
        body = definition.body if isinstance(definition, ast.ClassDef) else []
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and (text := _text(below)):
                texts[field.target.id] = text
    return texts


def _text(statement: ast.stmt) -> str:
    held = statement.value if isinstance(statement, ast.Expr) else None
    return " ".join(held.value.split()) if isinstance(held, ast.Constant) and isinstance(held.value, str) else ""


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
