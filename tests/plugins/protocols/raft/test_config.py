"""Raft as a plugin: its spec, its config and its messages."""

from __future__ import annotations

from typing import Any

import pytest

from framework import Duration
from framework.core.message import check_message
from plugins.protocols.raft import register_protocols
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.messages import Appended, AppendEntries, RequestVote, Vote


def test_the_spec() -> None:
    [spec] = register_protocols()
    assert (spec.name, spec.config, spec.checkers) == ("raft", RaftConfig, ("linearizability",))
    handled = spec.node._handlers
    assert all(message in handled for message in (RequestVote, Vote, AppendEntries, Appended))
    for message in handled:
        check_message(message)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"election_timeout_min": Duration("400ms")},
            "election_timeout_min=400ms and election_timeout_max=300ms",
        ),
        ({"heartbeat_interval": Duration("150ms")}, "heartbeat_interval=150ms must be above 0 and below"),
        ({"read_mode": "lease", "check_quorum": False}, "read_mode=lease needs check_quorum=true"),
        ({"max_append_entries": 0}, "max_append_entries=0 lets nothing through"),
    ],
)
def test_a_config_that_could_never_keep_a_leader_is_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        RaftConfig(**settings)
