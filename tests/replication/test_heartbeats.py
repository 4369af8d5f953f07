"""Rounds of heartbeats and leases (Ongaro's thesis, 6.2 and 6.4.1)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from framework import HeartbeatRounds, Lease, Majority, lease_length
from framework.replication.heartbeats import MOST_UNCONFIRMED

THREE = Majority(("n1", "n2", "n3"))


def test_a_round_is_confirmed_by_a_quorum_and_counts_from_its_beginning() -> None:
    rounds = HeartbeatRounds()
    assert rounds.begin(now=100) == 1
    assert rounds.answer("n1", 1) and not rounds.confirm(THREE)
    assert rounds.begin(now=200) == 2
    assert rounds.answer("n2", 1) and rounds.confirm(THREE)
    assert (rounds.confirmed, rounds.confirmed_at) == (1, 100)
    assert list(rounds.unconfirmed) == [(2, 200)]


def test_a_later_round_confirms_those_before_it() -> None:
    rounds = HeartbeatRounds()
    for now in (100, 200, 300):
        rounds.begin(now)
    rounds.answer("n1", 3)
    rounds.answer("n2", 2)
    assert rounds.confirm(THREE) and (rounds.confirmed, rounds.confirmed_at) == (2, 200)
    assert not rounds.confirm(THREE), "it is no news"


def test_an_answer_that_is_late_or_doubled_is_no_news() -> None:
    rounds = HeartbeatRounds()
    rounds.begin(100)
    rounds.begin(200)
    assert rounds.answer("n2", 2)
    assert not rounds.answer("n2", 2) and not rounds.answer("n2", 1) and not rounds.answer("n3", 0)
    assert rounds.answered == {"n2": 2}


def test_what_a_leader_that_nobody_answers_remembers_is_bounded_and_never_taken_for_later_than_it_was() -> None:
    rounds = HeartbeatRounds()
    for now in range(MOST_UNCONFIRMED + 10):
        rounds.begin(now)
    assert len(rounds.unconfirmed) == MOST_UNCONFIRMED
    for node in ("n1", "n2"):
        rounds.answer(node, 5)
    assert rounds.confirm(THREE) and (rounds.confirmed, rounds.confirmed_at) == (5, 0)
    for node in ("n1", "n2"):
        rounds.answer(node, 20)
    assert rounds.confirm(THREE) and (rounds.confirmed, rounds.confirmed_at) == (20, 19)


def test_a_lease_that_is_ceded_stays_so() -> None:
    lease = Lease()
    assert not lease.holds(0)
    lease.extend(100)
    assert lease.holds(99) and not lease.holds(100)
    lease.cede()
    lease.extend(200)
    assert not lease.holds(0)


@given(st.integers(1, 10**12), st.integers(0, 999_999))
def test_a_lease_ends_before_any_voter_may_vote_however_clocks_drift(silence: int, drift: int) -> None:
    """In true time: the leader's clock runs slow by `drift`, so its lease takes longer; the voter's runs fast."""
    million = 1_000_000
    length = lease_length(silence, drift)
    assert 0 <= length <= silence
    assert length * (million + drift) <= silence * (million - drift)  # length / (1 - d) <= silence / (1 + d)
