"""The layout of help: settings and their meanings, in lines of a given width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from framework.config.setting_docs import Setting

_INDENT = "  "
_MEANING = "      "
_WIDEST_LABEL = 42
"""The longest label that moves the column of forms to the right, in characters."""


def table(settings: Sequence[Setting], width: int) -> Iterator[str]:
    """Yields the lines of each setting: its key and default, the values that it accepts, and below them its meaning."""
    shown = [len(setting.label) for setting in settings if len(setting.label) <= _WIDEST_LABEL]
    column = max(shown, default=0) + len(_INDENT) + 2
    for setting in settings:
        yield from _lines(setting, column, width)


def row(name: str, text: str, width: int, indent: str = _INDENT, column: int = 24) -> Iterator[str]:
    """Yields a name and its description, which continues in the same column."""
    head = f"{indent}{name}"
    head = head.ljust(column) if len(head) < column else f"{head}  "
    yield from paragraph(text, width, " " * column, head)


def paragraph(text: str, width: int, indent: str = _INDENT, first: str | None = None) -> Iterator[str]:
    """Yields `text` in lines that begin with `indent`, the first with `first` if given. Empty text gives one line."""
    begin = indent if first is None else first
    lines = textwrap.wrap(
        text, width, initial_indent=begin, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    yield from lines or [begin.rstrip()]


def _lines(setting: Setting, column: int, width: int) -> Iterator[str]:
    label = f"{_INDENT}{setting.label}"
    if len(label) > width:  # a long list
        yield from paragraph(setting.label.replace(",", ", "), width, _MEANING, _INDENT)
        label = ""
    head = label.ljust(column) if len(label) + 2 <= column else f"{label}  "
    if len(head) > width // 2 + 8 and len(head) + len(setting.form) > width:
        if label:
            yield label
        head = " " * column
    if setting.form or label:
        yield from paragraph(setting.form, width, " " * column, head)
    if setting.text:
        yield from paragraph(setting.text, width, _MEANING)
    for form, meaning in setting.kinds:
        yield from paragraph(f"{form}: {meaning}" if meaning else form, width, f"{_MEANING}    ", f"{_MEANING}- ")
