"""Two-phase commit as a plugin: its spec and its config, and whole runs of it."""

from __future__ import annotations

import pytest

from framework import COORDINATOR, PARTICIPANT, ConfigError
from framework.core.message import check_message
from plugins.protocols.two_phase_commit import register_protocols
from plugins.protocols.two_phase_commit.config import TwoPhaseCommitConfig
from tests.composing import composed
from tests.sweep.outcomes import outcomes

BASE = ("protocol=two_phase_commit", "workload=commits", "engine=sim", "nodes=5")


def test_the_spec() -> None:
    [spec] = register_protocols()
    assert (spec.name, spec.config, spec.operations) == ("two_phase_commit", TwoPhaseCommitConfig, ("commit",))
    assert spec.recovers and spec.settles
    for message in (*spec.node._handlers, *spec.client._handlers):
        check_message(message)


@pytest.mark.parametrize(
    ("coordinators", "first", "others"),
    [(0, (), ("n1", "n2", "n3", "n4", "n5")), (2, ("n1", "n2"), ("n3", "n4", "n5"))],
)
def test_the_roles(coordinators: int, first: tuple[str, ...], others: tuple[str, ...]) -> None:
    roles = composed(*BASE, f"protocol.coordinators={coordinators}").experiment.roles
    assert roles == {COORDINATOR: first, PARTICIPANT: others}


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("presumed=comit", "unknown value 'comit'. Did you mean 'commit'?"),
        ("vote_timeout=0", "vote_timeout=0 leaves no time for an answer"),
        ("client_retry=0", "client_retry=0 leaves no time for an answer"),
        ("coordinators=5", "nodes=5: protocol two_phase_commit needs at least 6: 5 as coordinator"),
        ("coordinators=-1", "protocol.coordinators=-1"),
    ],
)
def test_what_cannot_be_is_refused_before_the_run(setting: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        composed(*BASE, f"protocol.{setting}")
    assert complaint in str(refused.value)


@pytest.mark.long
@pytest.mark.parametrize("coordinators", [0, 1])
@pytest.mark.parametrize("presumed", ["nothing", "abort", "commit"])
def test_it_lives_through_chaos(presumed: str, coordinators: int) -> None:
    words = [f"protocol.presumed={presumed}", f"protocol.coordinators={coordinators}", "duration=2s", "quiet=800ms"]
    (found,) = outcomes(["experiment=two_phase_commit_chaos", "trace=history", *words], [3])
    assert found.verdict == "valid", found.reason


def test_two_coordinators_and_the_coordinators_termination() -> None:
    words = ["protocol.coordinators=2", "protocol.termination=coordinator", "duration=2s", "quiet=800ms"]
    (found,) = outcomes(["experiment=two_phase_commit_chaos", "trace=history", *words], [5])
    assert found.verdict == "valid", found.reason
