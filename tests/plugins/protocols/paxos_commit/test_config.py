"""Settings that make no sense are refused, and acceptors and leaders are where the settings put them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from framework import ConfigError, Transaction
from plugins.protocols.paxos_commit.config import PaxosCommitConfig, leaders_of
from tests.plugins.protocols.paxos_commit.clusters import CO_LOCATED, cluster, participants
from tests.written import written


@pytest.mark.parametrize(
    ("nodes", "settings", "leaders", "acceptors", "voters"),
    [
        (6, (), "n1", "n2 n3 n4", "n5 n6"),
        (7, ("protocol.coordinators=2",), "n1 n2", "n3 n4 n5", "n6 n7"),
        (5, CO_LOCATED, "", "n1 n2 n3", "n1 n2 n3 n4 n5"),
        (2, CO_LOCATED, "", "n1 n2", "n1 n2"),  # F+1 of 2F+1
        (4, ("protocol.acceptors=participants",), "n1", "n2 n3 n4", "n2 n3 n4"),
        (5, ("protocol.acceptors=coordinators", "protocol.coordinators=3"), "n1 n2 n3", "n1 n2 n3", "n4 n5"),
        (4, ("protocol.coordinators=0",), "", "n1 n2 n3", "n4"),
        (7, ("protocol.faults=2",), "n1", "n2 n3 n4 n5 n6", "n7"),
    ],
    ids=str,
)
def test_who_leads_accepts_and_votes(
    nodes: int, settings: tuple[str, ...], leaders: str, acceptors: str, voters: str
) -> None:
    cut = cluster(nodes, *settings)
    for node in cut.nodes():
        assert (node.leaders, node.acceptors) == (tuple(leaders.split()), tuple(acceptors.split()))
    assert participants(cut) == tuple(voters.split())


def test_leaders_are_asked_from_the_transactions_own_one_on() -> None:
    transaction = Transaction(4, "", (("n7", "yes"), ("n5", "yes")))
    assert leaders_of(transaction, ("n1", "n2", "n3")) == ("n2", "n3", "n1")
    assert leaders_of(transaction, ()) == ("n7", "n5")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"phase_timeout": "0ms"}, "phase_timeout=0"),
        ({"client_retry": "0ms"}, "client_retry=0"),
        ({"faults": -1}, "Expected `int` >= 0"),
        ({"acceptors": "coordinators"}, "acceptors=coordinators with faults=1 needs 2 coordinators or more, not 0"),
    ],
    ids=str,
)
def test_settings_that_never_decide_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        written(PaxosCommitConfig, **settings)


@pytest.mark.parametrize(
    ("nodes", "settings", "message"),
    [
        (2, (*CO_LOCATED, "protocol.faults=2"), "faults=2 takes 3 acceptors at least, and there are 2 participants"),
        (
            4,
            (),
            "protocol paxos_commit needs at least 5: 1 as coordinator, 3 as acceptor, the other nodes as participant",
        ),
    ],
    ids=str,
)
def test_too_few_nodes_are_refused(nodes: int, settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cluster(nodes, *settings)
