"""Redlock as a plugin: its spec, its config, and what is refused before a run."""

from __future__ import annotations

import pytest

from framework import MILLISECOND, ConfigError
from framework.config.compose import compose
from framework.core.message import check_message
from plugins.protocols.redlock import register_protocols
from plugins.protocols.redlock.config import RedlockConfig
from tests.sweep.outcomes import outcomes
from tests.written import written


def test_the_spec() -> None:
    [spec] = register_protocols()
    assert (spec.name, spec.operations) == ("redlock", ("acquire", "try_acquire", "release", "extend"))
    assert spec.recovers
    messages = (*spec.node._handlers, *spec.client._handlers)
    assert [message.__name__ for message in messages] == [
        "SetIfAbsent", "ExpireIfEqual", "DeleteIfEqual", "SetReply", "ExpireReply", "DeleteReply",
    ]  # fmt: skip
    for message in messages:
        check_message(message)


def test_the_allowance_for_drift_is_one_percent_and_two_milliseconds() -> None:
    assert RedlockConfig().drift == 12 * MILLISECOND
    assert written(RedlockConfig, lease="10s").drift == 102 * MILLISECOND


def test_it_needs_a_lease_to_recover() -> None:
    """A client that crashes leaves its keys behind: with `quiet` shorter than that nothing can be concluded."""
    words = ["experiment=redlock", "engine=sim", "trace=history", "protocol.lease=10s", "duration=4s", "quiet=1s"]
    crash = ["faults=crash", "faults.crash.target=holder", "faults.crash.at=2500ms", "faults.crash.for=100ms"]
    (found,) = outcomes([*words, *crash], [0])
    assert found.verdict == "unknown"
    assert "no progress within 1s after everything was healed, and it may take 10200ms" in found.reason


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("protocol.lease=50ms", "lease=50ms leaves no validity after server_timeout=50ms and the allowance for drift"),
        ("protocol.lease=52500us", "leaves no validity"),
        ("protocol.server_timeout=0", "server_timeout=0 asks without end: give more than 0"),
        ("protocol.retry_delay=0", "retry_delay=0 asks without end: give more than 0"),
        ("workload.store.fencing=true", "redlock has no fencing tokens: write workload.store.fencing=false"),
        ("workload.shared=0.5", "acquire_shared"),
    ],
)
def test_what_cannot_work_is_told_before_the_run(override: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compose(["experiment=redlock", "engine=sim", override])
    assert complaint in str(refused.value)
