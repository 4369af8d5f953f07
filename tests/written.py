"""Configs as a user writes them: plain mappings, durations as texts."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from framework import Duration

T = TypeVar("T")


def written(kind: type[T], /, **fields: Any) -> T:
    """The config of `kind` that says `fields`; msgspec.ValidationError if it cannot."""
    return msgspec.convert(fields, kind, dec_hook=lambda hint, value: hint(value) if hint is Duration else value)
