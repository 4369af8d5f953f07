"""SWIM's failure detector (Das, Gupta and Motivala, 2002, sections 3.1 and 4.3): pings, indirect pings, and whom to ping."""

from __future__ import annotations

from collections import Counter

import pytest

from framework import MILLISECOND
from framework.testing.cluster import Cluster
from plugins.protocols.swim.messages import Ack, Ping, PingReq
from tests.plugins.protocols.swim.groups import group, held, noted, probe, said


def test_a_ping_is_acknowledged() -> None:
    members = group()
    probe(members, "n1", "n2")
    members.deliver(Ping)
    members.deliver(Ack)
    assert members.log == [
        "n1 fires begin_period",
        "  → n2: Ping(id=1.1, updates=[])",
        "n2 takes Ping(id=1.1, updates=[]) from n1",
        "  → n1: Ack(id=1.1, updates=[])",
        "n1 takes Ack(id=1.1, updates=[]) from n2",
    ]
    members.fire("n1", "ask_others")  # too late to matter
    members.fire("n1", "begin_period")
    assert not members.waiting(PingReq) and held(members, "n1", "n2") == (1, "alive")


def unanswered(members: Cluster) -> None:
    """n1 pings n2, the Ping is lost, and n1 asks others."""
    probe(members, "n1", "n2")
    members.drop(Ping)
    members.fire("n1", "ask_others")


def test_k_others_are_asked_to_ping_a_member_that_does_not_answer() -> None:
    members = group(size=6, helpers=3)
    unanswered(members)
    asked = [each.to for each in members.waiting(PingReq)]
    assert len(set(asked)) == 3 and not {"n1", "n2"} & set(asked)


@pytest.mark.parametrize(("size", "helpers", "asked"), [(4, 9, 2), (4, 0, 0), (2, 3, 0)])
def test_no_more_are_asked_than_there_are(size: int, helpers: int, asked: int) -> None:
    members = group(size=size, helpers=helpers)
    unanswered(members)
    assert len(members.waiting(PingReq)) == asked


def test_an_indirect_ping_saves_a_member_whose_ack_was_lost() -> None:
    members = group(size=3)
    unanswered(members)
    members.stabilize()
    members.fire("n1", "begin_period")
    assert held(members, "n1", "n2") == (1, "alive")
    assert noted(members, "indirect_ack") == [("n1", {"member": "n2", "helper": "n3"})]


def test_a_failed_probe_costs_four_messages_for_each_helper() -> None:
    members = group(size=5, helpers=3)
    unanswered(members)
    assert members.stabilize() == 4 * 3


def test_a_member_that_answers_nobody_is_suspected_when_the_period_ends() -> None:
    members = group(size=3)
    members.crash("n2")
    unanswered(members)
    members.stabilize()
    assert held(members, "n1", "n2") == (1, "alive")
    members.fire("n1", "begin_period")
    assert held(members, "n1", "n2") == (1, "suspect")
    assert noted(members, "failed_probe") == [("n1", {"member": "n2", "incarnation": 1})]
    assert members.node("n1").suspected == {}  # a suspect counts as alive


def test_without_the_suspicion_mechanism_it_is_confirmed_at_once() -> None:
    members = group(size=3, suspicion="0")
    members.crash("n2")
    unanswered(members)
    members.fire("n1", "begin_period")
    assert members.node("n1").suspected == {"n2": 1}


def test_an_ack_to_an_earlier_probe_does_not_count() -> None:
    members = group(size=3)
    probe(members, "n1", "n2")
    members.deliver(Ping)  # its Ack takes long
    members.fire("n1", "begin_period")
    assert held(members, "n1", "n2") == (1, "suspect")
    probe(members, "n1", "n2")
    members.deliver(Ack)
    assert not members.node("n1").current.is_acknowledged


def test_an_ack_to_an_earlier_life_does_not_count() -> None:
    members = group(size=3)
    probe(members, "n1", "n2")
    members.deliver(Ping)
    members.crash("n1")
    members.restart("n1")
    probe(members, "n1", "n2")
    members.deliver(Ack)
    assert not members.node("n1").current.is_acknowledged


def test_a_relay_is_forgotten_after_a_period() -> None:
    members = group(size=3)
    unanswered(members)
    members.deliver(PingReq)
    members.drop(Ping, "n3", "n2")
    assert len(members.node("n3").relays) == 1
    members.advance(200 * MILLISECOND, fire=False)
    members.fire("n3", "begin_period")
    assert members.node("n3").relays == {}


def targets(members: Cluster, periods: int) -> list[str]:
    """Whom n1 pings; everyone answers."""
    found = []
    for _ in range(periods):
        members.fire("n1", "begin_period")
        found.append(members.waiting(Ping)[0].to)
        members.stabilize()
    return found


def test_each_round_has_every_member_once_in_an_order_of_its_own() -> None:
    pinged = targets(group(size=6), 20)
    rounds = [pinged[first : first + 5] for first in range(0, 20, 5)]
    assert all(sorted(each) == ["n2", "n3", "n4", "n5", "n6"] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1


def test_faulty_members_are_not_probed_until_they_return() -> None:
    members = group(size=4)
    members.node("n1").learn(said("n3", 1, "confirm"))
    members.node("n1").sent.clear()
    assert set(targets(members, 6)) == {"n2", "n4"}
    members.node("n1").learn(said("n3", 2, "alive"))
    members.node("n1").sent.clear()
    assert Counter(targets(members, 9))["n3"] >= 2


def test_a_group_of_one_and_a_group_whose_others_are_faulty_ping_nobody() -> None:
    alone = group(size=1)
    alone.fire("n1", "begin_period")
    members = group(size=2)
    members.node("n1").learn(said("n2", 1, "confirm"))
    members.fire("n1", "begin_period")
    assert not alone.envelopes and not members.envelopes


def test_first_periods_are_staggered_unless_they_are_not_to_be() -> None:
    def begins(members: Cluster) -> set[int]:
        return {members.timers(name)["", "begin_period", ()] for name in members.servers}

    assert len(begins(group(size=8))) > 4
    assert begins(group(size=8, staggered=False)) == {1}
