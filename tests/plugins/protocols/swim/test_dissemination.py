"""SWIM's dissemination (section 4.1): news on pings and acks, the least often sent first, each a limited number of times."""

from __future__ import annotations

from math import log

import pytest

from plugins.protocols.swim.messages import Ping, PingReq
from plugins.protocols.swim.node import transmission_limit
from tests.plugins.protocols.swim.groups import group, hear, probe, said


@pytest.mark.parametrize(("factor", "members"), [(3.0, 2), (3.0, 8), (3.0, 1_000), (1.0, 100), (0.1, 2), (3.0, 1)])
def test_the_limit_is_lambda_log_n_rounded_up(factor: float, members: int) -> None:
    limit = transmission_limit(factor, members)
    assert limit >= 1
    assert limit - 1 < max(factor * log(members), 0.5) <= limit


def test_news_are_piggybacked_up_to_the_limit() -> None:
    members = group(size=8, transmissions=3.0)  # 3 ln 8 = 6.2
    node = members.node("n1")
    node.learn(said("n2", 2, "alive"))
    sent = [said("n2", 2, "alive") in node.piggybacked("n3") for _ in range(10)]
    assert sent == [True] * 7 + [False] * 3
    node.learn(said("n2", 3, "alive"))  # newer: it counts afresh
    assert node.piggybacked("n3") == (said("n2", 3, "alive"),)


def test_those_sent_least_often_go_first_and_a_message_has_room_for_some() -> None:
    node = group(size=8, piggyback=2).node("n1")
    for member in ("n2", "n3", "n4"):
        node.learn(said(member, 2, "alive"))
    sent = [tuple(update.member for update in node.piggybacked("n8")) for _ in range(3)]
    assert sent == [("n2", "n3"), ("n4", "n2"), ("n3", "n4")]


def test_a_suspect_is_told_first_and_as_long_as_it_is_one() -> None:
    node = group(size=8, piggyback=2).node("n1")
    for member in ("n2", "n3", "n4"):
        node.learn(said(member, 2, "suspect"))
    for _ in range(20):
        assert node.piggybacked("n4")[0] == said("n4", 2, "suspect")
    assert node.piggybacked("n4") == (said("n4", 2, "suspect"),)  # all others have been sent often enough


def test_pings_and_acks_and_ping_reqs_carry_news() -> None:
    members = group(size=4, helpers=2)
    hear(members, "n1", said("n3", 2, "alive"))
    probe(members, "n1", "n2")
    assert members.waiting(Ping)[0].message.updates == (said("n3", 2, "alive"),)
    members.fire("n1", "ask_others")
    assert all(each.message.updates for each in members.waiting(PingReq))
    members.stabilize()
    assert {name: members.node(name).members["n3"].incarnation for name in ("n1", "n2", "n4")} == {
        "n1": 2, "n2": 2, "n4": 2,
    }  # fmt: skip


def test_everybody_hears_of_a_crash_that_one_has_confirmed() -> None:
    members = group(size=8)
    members.crash("n8")
    hear(members, "n1", said("n8", 1, "confirm"))
    members.run(lambda: all("n8" in node.suspected for node in members.nodes()), timers=60)


def test_a_member_announces_itself_when_it_starts() -> None:
    members = group()
    members.crash("n2")
    members.restart("n2")
    assert members.node("n2").piggybacked("n1") == (said("n2", 2, "alive"),)
