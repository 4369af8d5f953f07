"""SWIM as a plugin: its spec and its config, and whole runs of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from framework import ConfigError
from plugins.protocols.swim.config import SwimConfig
from tests.composing import composed
from tests.sweep.outcomes import outcomes
from tests.written import written


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"period": "0"}, "period=0 leaves no time for an answer"),
        ({"ping_timeout": "200ms"}, "ping_timeout=200ms must be shorter than period=200ms"),
        ({"ping_timeout": "0"}, "ping_timeout=0 leaves no time for an answer"),
        ({"reconnect": "0"}, "reconnect=0 leaves no time for an answer"),
        ({"client_retry": "0"}, "client_retry=0 leaves no time for an answer"),
        ({"helpers": -1}, "`int` >= 0"),
        ({"piggyback": 0}, "`int` >= 1"),
        ({"transmissions": 0.0}, "`float` > 0"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        written(SwimConfig, **settings)


def test_a_mistake_in_the_config_is_one_line() -> None:
    with pytest.raises(ConfigError) as refused:
        composed("protocol=swim", "workload=suspects", "engine=sim", "protocol.period=50ms")
    assert str(refused.value) == "command line: protocol: ping_timeout=50ms must be shorter than period=50ms"


@pytest.mark.parametrize("seed", [4, 5])
def test_it_lives_through_chaos(seed: int) -> None:
    words = ["experiment=failure_detector_chaos", "protocol.detector=swim", "trace=history"]
    (found,) = outcomes(words, [seed])
    assert found.verdict == "valid", found.reason
    assert found.sometimes["an indirect probe helped"] and found.sometimes["a suspicion was confirmed"]


@pytest.mark.parametrize("setting", ["suspicion=0", "helpers=0", "transmissions=0.1"])
def test_every_setting_lives_through_chaos(setting: str) -> None:
    """Without the suspicion mechanism, without helpers, or with next to no dissemination, it is right in the end."""
    words = ["experiment=failure_detector_chaos", "protocol=swim", "trace=history", f"protocol.{setting}"]
    (found,) = outcomes(words, [1])
    assert found.verdict == "valid", found.reason
