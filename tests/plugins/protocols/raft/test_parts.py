"""What Raft's own parts decide: progress, learners that catch up, configurations."""

from __future__ import annotations

import pytest

from framework import Administer
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.membership import ADD, REMOVE, Membership
from plugins.protocols.raft.messages import AppendEntries, Configuration, Entry, Snapshot
from plugins.protocols.raft.progress import PROBING, REPLICATING, SNAPSHOTTING, CatchUp, Progress

THREE = Configuration(("n1", "n2", "n3"))
FOUR = Configuration(("n1", "n2", "n3", "n4"))


def placed(term: int, configuration: Configuration | None = None) -> Entry:
    return Entry(term, None, configuration)


# Progress.


def test_entries_go_out_within_the_window_until_one_is_refused() -> None:
    progress = Progress(next_index=5)
    assert progress.wants_entries(last=5, window=8) and not progress.wants_entries(last=4, window=8)
    progress.next_index = 13
    assert not progress.wants_entries(last=20, window=8), "5 to 12 are not acknowledged"
    assert progress.accepted(4) and not progress.wants_entries(last=20, window=8)
    assert progress.accepted(5) and progress.wants_entries(last=20, window=8)
    progress.probe(agreed=6)
    assert (progress.state, progress.next_index) == (PROBING, 7) and not progress.wants_entries(last=20, window=8)
    assert not progress.accepted(5) and progress.state == REPLICATING, "no news, but an answer"
    progress.next_index = 14
    assert progress.wants_entries(last=20, window=8)
    progress.next_index = 15
    assert not progress.wants_entries(last=20, window=8), "7 to 14 are not acknowledged"


def test_it_never_probes_below_what_is_known_to_agree() -> None:
    progress = Progress(next_index=10, match_index=5)
    progress.probe(agreed=2)
    assert progress.next_index == 6


def test_refusals_of_earlier_messages_are_stale() -> None:
    progress = Progress(next_index=10, match_index=5)
    assert progress.is_stale_refusal(5) and not progress.is_stale_refusal(7)
    progress.probe(agreed=7)
    assert progress.is_stale_refusal(9) and not progress.is_stale_refusal(7)
    progress.start_snapshot(Snapshot(6, 1, b""), now=0)
    assert progress.is_stale_refusal(7)


def test_a_snapshot_is_sent_until_the_log_holds_what_follows() -> None:
    progress = Progress(next_index=2)
    progress.start_snapshot(Snapshot(6, 3, b"abcd", THREE), now=0)
    assert (progress.state, progress.lacks_snapshot()) == (SNAPSHOTTING, True)
    chunk = progress.next_chunk(term=4, round=9, max_bytes=3)
    assert (chunk.last_index, chunk.last_term, chunk.data, chunk.done) == (6, 3, b"abc", False)
    assert (progress.chunk_round, chunk.configuration) == (9, THREE)
    progress.accepted(6)
    assert not progress.lacks_snapshot()
    progress.end_snapshot()
    assert (progress.state, progress.next_index, progress.outgoing) == (REPLICATING, 7, None)


def test_a_learner_has_caught_up_after_a_round_as_short_as_an_election() -> None:
    """Thesis 4.2.1."""
    config = RaftConfig(catch_up_rounds=2)
    short = int(config.election_timeout_min)
    first = CatchUp(1, upto=10, began=0)
    second = first.following(last=20, now=short, config=config)
    assert second == CatchUp(2, 20, short)
    assert second.following(30, 2 * short - 1, config) == CatchUp(2, 20, short, done=True)
    assert second.following(30, 2 * short, config) is None


# Configurations.


def test_the_latest_in_the_log_counts_and_the_one_before_once_it_is_truncated() -> None:
    """§6."""
    membership = Membership([(0, THREE)])
    assert membership.extend(1, (placed(1), placed(1, FOUR)))
    assert (membership.index, membership.configuration) == (2, FOUR)
    assert not membership.truncate(3) and membership.truncate(2)
    assert membership.configurations == [(0, THREE)]


def test_a_truncated_configuration_is_forgotten_though_a_later_one_comes_back() -> None:
    """The log loses two configurations; the leader's has the same one at the later index, and none at the earlier."""
    membership = Membership([(0, THREE)])
    membership.extend(2, (placed(1, FOUR), placed(1, THREE)))
    membership.truncate(2)
    membership.extend(2, (placed(2), placed(2, THREE)))
    assert membership.configurations == [(0, THREE), (3, THREE)]
    membership.truncate(3)
    assert membership.configuration == THREE and membership.index == 0


def test_what_a_snapshot_covers_is_never_truncated() -> None:
    membership = Membership([(4, FOUR)])
    assert not membership.truncate(3) and membership.configuration == FOUR


def test_compaction_keeps_the_latest_that_it_reaches() -> None:
    membership = Membership([(0, THREE), (3, FOUR), (8, THREE)])
    membership.compact(5)
    assert membership.configurations == [(3, FOUR), (8, THREE)]
    assert (membership.configuration_at(7), membership.configuration_at(8)) == (FOUR, THREE)


def test_a_server_that_is_left_out_is_electable_until_that_is_committed() -> None:
    """Thesis 4.2.2."""
    membership = Membership([(0, FOUR), (5, THREE)])
    assert membership.is_electable("n4", commit=4) and not membership.is_electable("n4", commit=5)
    assert membership.is_electable("n1", commit=5)


def test_requests_that_wait_together_are_one_change_and_the_first_of_two_that_contradict_counts() -> None:
    membership = Membership([(0, THREE)])
    for administrator, operation, function, node in (
        ("a1", 1, ADD, "n4"), ("a2", 2, REMOVE, "n1"), ("a3", 3, REMOVE, "n4"), ("a4", 4, ADD, "n2")
    ):  # fmt: skip
        assert membership.take(administrator, Administer(operation, function, node)) == ""
    assert [administrator for administrator, _ in membership.take_fulfilled()] == ["a3", "a4"]
    assert membership.joining() == ["n4"]
    assert membership.with_learners() == Configuration(THREE.voters, (), ("n4",))
    membership.configurations.append((1, membership.with_learners()))
    assert membership.joint(ready=[]) == Configuration(("n2", "n3"), THREE.voters, ("n4",))
    assert membership.joint(ready=["n4"]) == Configuration(("n2", "n3", "n4"), THREE.voters)


def test_the_last_voter_is_not_removed_and_a_retry_is_one_request() -> None:
    membership = Membership([(0, Configuration(("n1", "n2")))])
    assert membership.take("a1", Administer(1, REMOVE, "n1")) == ""
    assert membership.take("a1", Administer(1, REMOVE, "n1")) == ""
    assert membership.take("a2", Administer(2, REMOVE, "n2")) == "n2 is the last that has a vote"
    assert list(membership.requests) == ["a1"]


def test_a_learner_that_is_refused_leaves_and_its_administrator_is_told_why() -> None:
    membership = Membership([(0, Configuration(("n1",), (), ("n4",)))])
    membership.take("a1", Administer(1, ADD, "n4"))
    membership.refuse("n4", "too slow")
    assert membership.with_learners() == Configuration(("n1",))
    membership.configurations.append((1, membership.with_learners()))
    [(administrator, request)] = membership.take_fulfilled()
    assert (administrator, request.refused) == ("a1", "too slow")


# Messages.


@pytest.mark.parametrize(("index", "kept"), [(3, 3), (4, 2), (6, 0), (9, 0)])
def test_an_append_that_reaches_below_a_snapshot_goes_on_above_it(index: int, kept: int) -> None:
    append = AppendEntries(5, 3, 1, (placed(2), placed(2), placed(3)), 4, 7)
    cut = append.without_entries_to(index, 2)
    assert (cut.previous_index, cut.previous_term, len(cut.entries)) == (index, 2, kept)
    assert (cut.term, cut.commit, cut.round) == (5, 4, 7)
