"""What settings say of themselves: keys, defaults, forms and the docstrings below their fields."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from framework.config.setting_docs import Setting, explained, flat, form_of, written
from framework.core.distributions import Constant, Uniform
from framework.core.message import Config, NodeId
from framework.core.size import Size
from framework.core.time import Duration
from framework.registry.registry import KINDS, load


class Law(Config, tag_field="kind", tag="constant"):
    delay: int = 3
    """How long,
    always."""


class Retry(Config):
    """How one tries again. There is more to say."""

    after: Duration = Duration("1500ms")


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
    retry: Retry = Retry()
    weights: dict[str, Annotated[int, Meta(ge=0)]] = msgspec.field(default_factory=lambda: {"n1": 2, "n2": 1})
    """Votes."""


class Shaped(Config):
    latency: Constant | Uniform | None = None
    """How late."""


def test_each_key_stands_with_default_form_and_docstring_inherited_or_its_own() -> None:
    assert list(explained(Derived(), "x")) == [
        Setting("x.mode", "safe", "fast | safe", "Which way."),
        Setting("x.size", "2", "whole number", "How large here."),
        Setting("x.for", "true", "true | false", ""),
        Setting("x.bare", "[]", "[text, …]", ""),
        Setting("x.law", None, "", "The law."),
        Setting("x.law.kind", "constant", "text", ""),
        Setting("x.law.delay", "3", "whole number", "How long, always."),
        Setting("x.retry", None, "", "How one tries again."),
        Setting("x.retry.after", "1500ms", "duration", ""),
        Setting("x.weights", None, "{NAME: whole number, at least 0}", "Votes."),
        Setting("x.weights.n1", "2", "whole number, at least 0", ""),
        Setting("x.weights.n2", "1", "whole number, at least 0", ""),
    ]


def test_a_config_without_source_has_no_docstrings() -> None:
    made = type(Base)("Made", (Base,), {"__annotations__": {"size": int}, "size": 4, "__module__": __name__})
    assert list(explained(made())) == [
        Setting("mode", "safe", "fast | safe", "Which way."),
        Setting("size", "4", "whole number", "How large."),
    ]


def test_a_distribution_says_how_each_kind_is_written() -> None:
    (setting,) = explained(Shaped())
    assert (setting.label, setting.form) == ("latency=null", "{kind: constant | uniform, …} or null")
    assert setting.kinds == (
        ("{kind: constant, delay: duration, minimum: 1us}", "The constant `delay`."),
        ("{kind: uniform, low: duration, high: duration, minimum: 1us}", "The uniform law from `low` to `high`."),
    )


@pytest.mark.parametrize(
    ("hint", "form"),
    [
        (Duration, "duration"),
        (Size | None, "size, as in 512MiB, or null"),
        (str | None, "text or null"),
        (NodeId, "text"),
        (Annotated[float, Meta(ge=0, le=1)], "number, 0 to 1"),
        (Annotated[float, Meta(gt=0, le=1)], "number, above 0, at most 1"),
        (Annotated[int, Meta(ge=1)] | None, "whole number, at least 1, or null"),
        (Annotated[int, Meta(lt=7)], "whole number, below 7"),
        (tuple[Literal["slow", "full"], ...], "[slow | full, …]"),
        (tuple[tuple[float, Duration], ...], "[[number, duration], …]"),
        (dict[str, dict[str, Duration]], "{NAME: {NAME: duration}}"),
        (tuple[dict[str, Any], ...], "[{NAME: any value}, …]"),
        (Retry, "keys and values"),
        (int | str, "whole number or text"),
    ],
)
def test_a_type_is_told_in_words(hint: Any, form: str) -> None:
    assert form_of(hint) == form


def test_values_are_written_as_a_person_types_them() -> None:
    steps = [{"at": "2s", "then": [{"fault": "crash", "again": True}]}, {"with": None}]
    assert written(steps) == "[{at: 2s, then: [{fault: crash, again: true}]}, {with: null}]"
    assert dict(flat({"a": {"b": [1, True]}, "c": {}, "d": None}, "x")) == {
        "x.a.b": "[1,true]",
        "x.c": "{}",
        "x.d": "null",
    }


def test_every_setting_of_every_plugin_has_a_form_and_a_default() -> None:
    registry = load()
    for group in KINDS:
        for spec in registry.names(group).values():
            for setting in explained(spec.config(), group) if spec.config else ():
                assert setting.default is None or setting.form not in ("", "any value"), setting
