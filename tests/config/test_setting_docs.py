"""What settings say of themselves: keys, defaults, words and the docstrings below their fields."""

from __future__ import annotations

from typing import Literal

import msgspec

from framework.config.setting_docs import Setting, explained
from framework.core.message import Config


class Law(Config, tag_field="kind", tag="constant"):
    delay: int = 3
    """How long,
    always."""


class Base(Config):
    mode: Literal["fast", "safe"] = "safe"
    """Which way."""
    size: int = 1
    """How large."""


class Derived(Base):
    size: int = 2
    """How large here."""
    lasts: bool = msgspec.field(default=True, name="for")
    bare: tuple[str, ...] = ()
    law: Law = Law()
    """The law."""


def test_each_key_stands_with_default_words_and_docstring_inherited_or_its_own() -> None:
    assert list(explained(Derived(), "x")) == [
        Setting("x.mode", "safe", ("fast", "safe"), "Which way."),
        Setting("x.size", "2", (), "How large here."),
        Setting("x.for", "true", (), ""),
        Setting("x.bare", "[]", (), ""),
        Setting("x.law", None, (), "The law."),
        Setting("x.law.kind", "constant", (), ""),
        Setting("x.law.delay", "3", (), "How long, always."),
    ]


def test_a_config_without_source_has_no_docstrings() -> None:
    made = type(Base)("Made", (Base,), {"__annotations__": {"size": int}, "size": 4, "__module__": __name__})
    assert list(explained(made())) == [
        Setting("mode", "safe", ("fast", "safe"), "Which way."),
        Setting("size", "4", (), "How large."),
    ]
