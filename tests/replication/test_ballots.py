"""Ballots, the acceptor's vow, and the value that a new ballot may propose (Paxos Made Simple, §2.2)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from framework import NO_BALLOT, UNBOUND, Ballot, Proposal, Vow, highest_proposal

ballots = st.builds(Ballot, st.integers(1, 4), st.sampled_from(["n1", "n2", "n3"]))
proposals = st.builds(Proposal, ballots, st.sampled_from(["x", "y"]))


def test_ballots_compare_by_round_then_by_node_and_print_as_papers_write_them() -> None:
    assert NO_BALLOT < Ballot(1, "n1") < Ballot(1, "n2") < Ballot(2, "n1")
    assert str(Ballot(2, "n3")) == "2.n3"


def test_a_promise_keeps_what_was_accepted() -> None:
    accepted = UNBOUND.accept(Proposal(Ballot(1, "n1"), "x"))
    assert accepted is not None
    assert accepted.prepare(Ballot(2, "n2")) == Vow(Ballot(2, "n2"), Proposal(Ballot(1, "n1"), "x"))


def test_a_promise_is_repeated_and_a_lower_ballot_refused() -> None:
    vow = Vow(Ballot(2, "n2"))
    assert vow.prepare(Ballot(2, "n2")) == vow
    assert vow.prepare(Ballot(2, "n1")) is None
    assert vow.accept(Proposal(Ballot(1, "n3"), "x")) is None


def test_to_accept_is_to_promise() -> None:
    """P1a; an acceptor may accept in a ballot that it was never asked to promise."""
    vow = UNBOUND.accept(Proposal(Ballot(3, "n1"), "x"))
    assert vow is not None and vow.prepare(Ballot(2, "n3")) is None


@given(st.lists(st.one_of(st.tuples(st.just("prepare"), ballots), st.tuples(st.just("accept"), proposals))))
def test_an_acceptor_never_goes_back(steps: list[tuple[str, Ballot | Proposal]]) -> None:
    """The naive twin: it refuses exactly what lies below the highest ballot that it answered."""
    vow, highest = UNBOUND, NO_BALLOT
    for verb, asked in steps:
        ballot = asked.ballot if isinstance(asked, Proposal) else asked
        answered = vow.accept(asked) if isinstance(asked, Proposal) else vow.prepare(ballot)
        assert (answered is None) == (ballot < highest)
        if answered is not None:
            highest = max(highest, ballot)
            assert answered.promised == highest
            assert answered.accepted == (asked if verb == "accept" else vow.accepted)
            vow = answered


@given(st.lists(st.one_of(st.none(), proposals)))
def test_the_highest_proposal_is_the_last_in_order_of_ballots(reported: list[Proposal | None]) -> None:
    found = highest_proposal(reported)
    ranked = sorted((each for each in reported if each is not None), key=lambda each: each.ballot)
    assert (found is None) == (not ranked)
    assert found is None or found.ballot == ranked[-1].ballot
