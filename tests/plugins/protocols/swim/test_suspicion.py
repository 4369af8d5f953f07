"""SWIM's suspicion mechanism (section 4.2): incarnations, refutation, confirmation, and members that return."""

from __future__ import annotations

import itertools

import pytest

from plugins.protocols.swim.messages import Ack, Ping, Update
from tests.plugins.protocols.swim.groups import group, hear, held, noted, probe, said

STATES = ("alive", "suspect", "confirm")


@pytest.mark.parametrize(("new", "old"), list(itertools.product(itertools.product((1, 2), STATES), repeat=2)))
def test_what_overrides_what(new: tuple[int, str], old: tuple[int, str]) -> None:
    """The rules of section 4.2, one by one; a Confirm can be overridden by a later incarnation here."""
    (i, state), (j, other) = new, old
    overrides = {
        "alive": {"alive": i > j, "suspect": i > j, "confirm": i > j},
        "suspect": {"alive": i >= j, "suspect": i > j, "confirm": i > j},
        "confirm": {"alive": i >= j, "suspect": i >= j, "confirm": i > j},
    }[state][other]
    assert Update("n2", i, state).overrides(Update("n2", j, other)) == overrides  # type: ignore[arg-type]


def test_stale_news_change_nothing() -> None:
    members = group()
    hear(members, "n1", said("n2", 3, "suspect"))
    for stale in (said("n2", 3, "alive"), said("n2", 2, "confirm"), said("n2", 3, "suspect"), said("n2", 1, "alive")):
        hear(members, "n1", stale)
        assert held(members, "n1", "n2") == (3, "suspect")


def test_news_of_strangers_are_ignored() -> None:
    members = group()
    hear(members, "n1", said("n7", 3, "confirm"))
    assert members.node("n1").suspected == {} and "n7" not in members.node("n1").sent


def test_a_suspect_that_does_not_refute_in_time_is_confirmed_faulty() -> None:
    members = group(suspicion="1s")
    hear(members, "n1", said("n2", 1, "suspect"))
    members.time_out("n1", "confirm", "n2")
    assert members.now == 1_000_000_000
    assert held(members, "n1", "n2") == (1, "confirm")
    assert members.node("n1").suspected == {"n2": 1}
    assert noted(members, "confirmed") == [("n1", {"member": "n2", "incarnation": 1})]


def test_a_suspicion_is_not_prolonged_by_its_echo_and_begins_anew_in_a_later_incarnation() -> None:
    members = group(suspicion="1s")
    hear(members, "n1", said("n2", 1, "suspect"))
    members.advance(600_000_000, fire=False)
    hear(members, "n1", said("n2", 1, "suspect"))
    assert members.timers("n1")["", "confirm", ("n2",)] == 1_000_000_000
    hear(members, "n1", said("n2", 2, "suspect"))
    assert members.timers("n1")["", "confirm", ("n2",)] == 1_600_000_000


def test_a_suspect_refutes_with_a_higher_incarnation() -> None:
    members = group()
    hear(members, "n1", said("n2", 1, "suspect"))
    probe(members, "n1", "n2")
    members.deliver(Ping)  # it carries the suspicion
    assert members.node("n2").incarnation == 2
    assert members.stored("n2")[""]["incarnation"] == 2
    assert noted(members, "refuted") == [("n2", {"incarnation": 1})]
    members.deliver(Ack)
    assert held(members, "n1", "n2") == (2, "alive")
    assert ("", "confirm", ("n2",)) not in members.timers("n1")


def test_a_suspicion_of_an_earlier_incarnation_needs_no_new_one() -> None:
    members = group()
    members.store("n2", incarnation=5)
    incarnation = members.node("n2").incarnation
    members.node("n2").sent.clear()
    hear(members, "n2", said("n2", 2, "suspect"))
    assert members.node("n2").incarnation == incarnation
    assert "n2" in members.node("n2").sent  # it says again what it is
    assert noted(members, "refuted") == []


def test_a_member_that_runs_and_is_declared_faulty_returns() -> None:
    members = group()
    for name in ("n1", "n3", "n4"):
        hear(members, name, said("n2", 1, "confirm"))
    members.fire("n1", "reconnect")
    assert members.waiting(Ping)[0].message.updates[0] == said("n2", 1, "confirm")
    members.deliver(Ping)
    members.deliver(Ack)
    assert members.node("n1").suspected == {}
    assert noted(members, "mistake") == [("n2", {"node": "n2", "incarnation": 1})]
    assert noted(members, "trusted") == [("n1", {"node": "n2", "incarnation": 2})]


def test_nobody_is_pinged_to_reconnect_if_nobody_is_faulty() -> None:
    members = group()
    hear(members, "n1", said("n2", 1, "suspect"))
    members.fire("n1", "reconnect")
    assert members.waiting(Ping) == []


def test_two_sides_of_a_partition_that_healed_find_each_other() -> None:
    members = group()
    sides = ("n1", "n2"), ("n3", "n4")
    for side, others in (sides, sides[::-1]):
        for name in side:
            hear(members, name, *(said(other, 1, "confirm") for other in others))
    members.run(lambda: not any(node.suspected for node in members.nodes()), timers=200)


def test_a_member_that_restarts_has_a_higher_incarnation_and_says_so() -> None:
    members = group()
    members.crash("n2")
    hear(members, "n1", said("n2", 1, "confirm"))
    members.restart("n2")
    assert members.node("n2").incarnation == 2
    probe(members, "n2", "n1")
    members.deliver(Ping, "n2", "n1")
    assert held(members, "n1", "n2") == (2, "alive")
    assert members.node("n1").suspected == {}


def test_news_from_before_the_restart_do_not_count() -> None:
    members = group()
    hear(members, "n1", said("n2", 2, "alive"))
    hear(members, "n1", said("n2", 1, "confirm"))
    assert members.node("n1").suspected == {}


def test_a_suspicion_in_a_later_incarnation_means_that_the_faulty_one_had_returned() -> None:
    members = group()
    hear(members, "n1", said("n2", 1, "confirm"))
    hear(members, "n1", said("n2", 2, "suspect"))
    assert members.node("n1").suspected == {}
    assert held(members, "n1", "n2") == (2, "suspect")
    hear(members, "n1", said("n2", 2, "confirm"))
    assert members.node("n1").suspected == {"n2": 2}


def test_the_status_counts_suspects_and_faulty_members() -> None:
    members = group()
    hear(members, "n1", said("n2", 1, "confirm"), said("n3", 1, "suspect"))
    status = members.node("n1").status
    assert (status.incarnation, status.suspects, status.unconfirmed) == (1, 1, 1)
