"""ABD as a plugin: its spec, its config, and what it refuses before a run."""

from __future__ import annotations

import pytest

from framework import ConfigError, Duration
from framework.core.message import check_message
from plugins.protocols.abd import register_protocols
from plugins.protocols.abd.config import AbdConfig
from tests.composing import composed


def test_the_spec() -> None:
    [spec] = register_protocols()
    assert (spec.name, spec.operations, spec.model, spec.recovers) == ("abd", ("read", "write"), "register", True)
    messages = (*spec.node._handlers, *spec.client._handlers)
    assert [message.__name__ for message in messages] == ["Query", "Propagate", "Held", "Stored"]
    for message in messages:
        check_message(message)


@pytest.mark.parametrize("retry", [0, -1])
def test_a_client_that_would_ask_without_end_is_refused(retry: int) -> None:
    with pytest.raises(ValueError, match="retries without end: give more than the round trip"):
        AbdConfig(retry=Duration(retry))


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("protocol.write_back=when_neded", "unknown value 'when_neded'. Did you mean 'when_needed'"),
        ("protocol.quorums={kind: flexible, phase1: 2, phase2: 3}", "n4, n5 and phase 2 with n1, n2, n3, which share"),
        ("protocol.quorums={kind: flexible, phase1: 6}", "phase1=6 of 5 nodes can never be a quorum"),
        (
            "workload.mix.cas=1",
            "needs the operation 'cas', which the protocol 'abd' does not have; it has: read, write",
        ),
    ],
)
def test_what_cannot_work_is_told_before_the_run(override: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        composed("experiment=abd_5nodes", "engine=sim", override)
