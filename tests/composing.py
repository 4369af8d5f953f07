"""Compositions that tests share: an experiment never changes, so each is composed once in a process."""

from __future__ import annotations

from functools import cache

from framework.config.compose import compose
from framework.config.resolve import Composed
from framework.registry.registry import Registry, load


@cache
def registry() -> Registry:
    """The built-in and installed plugins."""
    return load()


@cache
def composed(*words: str) -> Composed:
    """Returns what `compose(words)` returns."""
    return compose(list(words), registry=registry())
