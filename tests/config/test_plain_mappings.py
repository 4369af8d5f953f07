"""Configs shown as plain mappings, and built from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from framework import Config, ConfigError, Duration, ReplicatedConfig
from framework.config.plain_mappings import BOOLEAN_TRAP, BadValue, build, defaults, plain


class Constant(Config, tag_field="kind", tag="constant"):
    value: Duration = Duration("1ms")


class Uniform(Config, tag_field="kind", tag="uniform"):
    low: Duration = Duration("1ms")
    high: Duration = Duration("2ms")


class Inner(Config):
    retry: Duration = Duration("500ms")
    backoff: Duration = Duration("20ms")

    def __post_init__(self) -> None:
        if str(self.retry) == "13s":
            raise ValueError("13 s bring bad luck")


class Sample(Config):
    count: Annotated[int, Meta(ge=1)] = 3
    share: float = 0.5
    mode: Literal["open", "closed"] = "open"
    target: str = "random"
    wait: Duration | None = None
    regions: tuple[str, ...] = ("a", "b")
    inner: Inner = Inner()
    law: Constant | Uniform = Constant()

    def __post_init__(self) -> None:
        if self.count == 13:
            raise ValueError("13 brings bad luck")
        if self.target == "nowhere":
            raise ConfigError("target", "unknown place", "Did you mean 'somewhere'?")


DEFAULTS = {
    "count": 3,
    "share": 0.5,
    "mode": "open",
    "target": "random",
    "wait": None,
    "regions": ["a", "b"],
    "inner": {"retry": "500ms", "backoff": "20ms"},
    "law": {"kind": "constant", "value": "1ms"},
}


def test_defaults_are_what_yaml_would_say() -> None:
    assert defaults(Sample) == DEFAULTS
    assert defaults(None) == {}


def test_what_is_shown_builds_the_same_config() -> None:
    sample = Sample(count=7, wait=Duration("3s"), law=Uniform(high=Duration("9ms")), regions=())
    assert build(Sample, plain(sample), "x") == sample


def test_the_state_machine_is_not_a_setting_of_the_protocol() -> None:
    assert "state_machine" not in defaults(ReplicatedConfig)
    with pytest.raises(BadValue, match="there is no such key"):
        build(ReplicatedConfig, {"state_machine": "kv"}, "protocol")


def test_another_kind_of_law_leaves_the_defaults_of_the_first_behind() -> None:
    merged = {"law": {"kind": "uniform", "value": "1ms", "high": "5ms"}}  # `value` is the constant's default
    assert build(Sample, merged, "x").law == Uniform(high=Duration("5ms"))
    with pytest.raises(BadValue, match=r"x.law.value"):
        build(Sample, {"law": {"kind": "uniform", "value": "7ms"}}, "x")


@pytest.mark.parametrize(
    ("mapping", "key", "what", "fix"),
    [
        ({"cuont": 3}, "x.cuont", "there is no such key", "Did you mean 'count'?"),
        ({"inner": {"rety": 3}}, "x.inner.rety", "there is no such key", "Did you mean 'retry'?"),
        ({"inner": 3}, "x.inner", "expected keys and values, got 3", ""),
        ({"count": "3"}, "x.count", "expected a whole number, got '3'", "The default is 3."),
        ({"count": 0}, "x.count", "must be at least 1, not 0", "The default is 3."),
        ({"count": True}, "x.count", "true is not a whole number", BOOLEAN_TRAP),
        ({"target": False}, "x.target", "false is not text", BOOLEAN_TRAP),
        ({"mode": "opne"}, "x.mode", "unknown value 'opne'", "Did you mean 'open'?"),
        ({"wait": 150}, "x.wait", "a duration needs a unit: write 150ms or 150s, not 150", ""),
        ({"wait": "-1s"}, "x.wait", "a duration cannot be negative, as -1s is", ""),
        ({"wait": False}, "x.wait", "false is not a duration", ""),
        ({"inner": {"retry": "5 parsecs"}}, "x.inner.retry", "'5 parsecs' is not a duration", "The default is 500ms."),
        ({"regions": "a"}, "x.regions", "expected a list, got 'a'", "Write x.regions=[a]."),
        ({"law": {"kind": "unifrom"}}, "x.law.kind", "unknown value 'unifrom'", "Did you mean 'uniform'?"),
        ({"law": {"low": "1ms"}}, "x.law", "needs kind", "Write {kind: …} with one of: constant, uniform."),
        ({"law": "1ms"}, "x.law", "expected keys and values, got '1ms'", "Write {kind: …} with one of: "),
        ({"count": 13}, "x", "13 brings bad luck", ""),
        ({"target": "nowhere"}, "x", "unknown place", "Did you mean 'somewhere'?"),
        ({"count": None}, "x.count", "expected a whole number, got nothing", "The default is 3."),
    ],
)  # fmt: skip
def test_a_bad_value_is_named_by_its_full_key_with_what_to_do(
    mapping: dict[str, Any], key: str, what: str, fix: str
) -> None:
    with pytest.raises(BadValue) as raised:
        build(Sample, mapping, "x")
    bad = raised.value
    assert (bad.key, bad.fix[: len(fix)]) == (key, fix)
    assert bad.what.startswith(what)
    assert "msgspec" not in str(bad) and "`" not in bad.what


def test_a_group_that_does_not_fit_is_told_without_a_list_of_its_defaults() -> None:
    with pytest.raises(BadValue) as raised:
        build(Sample, {"inner": {"retry": "13s"}}, "x")
    assert raised.value.args == ("x.inner", "13 s bring bad luck", "")


def test_whole_numbers_are_numbers_too() -> None:
    assert build(Sample, {"share": 1}, "x").share == 1.0
    assert isinstance(build(Sample, {"wait": 0}, "x").wait, Duration)


def test_plain_data_is_what_json_and_yaml_can_hold() -> None:
    assert msgspec.json.decode(msgspec.json.encode(plain(Sample()))) == DEFAULTS
