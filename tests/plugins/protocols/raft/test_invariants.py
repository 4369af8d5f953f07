"""Each of Raft's invariants catches a Raft that is broken on purpose, and names what is broken and where."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.planted_bugs.raft_mutants import (
    AcknowledgesEarly,
    CommitsPastItsLog,
    ComparesLengthOnly,
    CountsEarlierTerms,
    CountsStaleVotes,
    ForgetsItsTerm,
    ForgetsItsVote,
    TruncatesAlways,
    TrustsTheIndexAlone,
    VotesAgainstItsLeader,
    VotesEarly,
    VotesForAnyLog,
)
from framework import Command, NodeId, Request, Violation, handles, on_timer
from framework.replication.sessions import OPEN
from framework.testing.cluster import Cluster
from plugins.protocols.raft.messages import AppendEntries, Entry, RequestVote, Vote
from plugins.protocols.raft.node import Raft
from tests.plugins.protocols.raft.cluster import FIGURE_2, add, elect, length, raft_cluster, terms_of
from tests.plugins.protocols.raft.swarm import swarm
from tests.plugins.protocols.raft.test_replication import figure_8
from tests.plugins.protocols.raft.watching import Watching


def watched(node: type[Raft], size: int = 3) -> Cluster:
    cluster = raft_cluster(size, node)
    Watching(cluster)
    return cluster


WITHOUT_SNAPSHOTS = {**FIGURE_2, "read_mode": "log", "snapshot_every": 0}


def broken_by(node: type[Raft], seeds: int, **config: Any) -> dict[str, int]:
    """The properties that swarms break, with how often; a swarm's other findings are left out."""
    found: dict[str, int] = {}
    for seed in range(seeds):
        try:
            swarm(seed, node, **(WITHOUT_SNAPSHOTS | config))
        except Violation as violation:
            found[violation.name] = found.get(violation.name, 0) + 1
        except AssertionError:
            continue
    return found


@pytest.mark.long
@pytest.mark.parametrize(
    ("planted", "seeds", "properties"),
    [
        (ForgetsItsVote, 20, {"one vote a term"}),
        (ForgetsItsTerm, 20, {"one vote a term", "term order"}),
        (VotesForAnyLog, 20, {"leader completeness"}),
        (ComparesLengthOnly, 100, {"leader completeness"}),
        (AcknowledgesEarly, 80, {"leader completeness"}),
        (VotesEarly, 120, {"election safety"}),
        (CountsStaleVotes, 120, {"election safety"}),
        (TruncatesAlways, 120, {"state machine safety"}),
        (TrustsTheIndexAlone, 20, {"log matching"}),
        (CommitsPastItsLog, 20, {"state machine safety"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_planted_mistake_breaks(planted: type[Raft], seeds: int, properties: set[str]) -> None:
    assert broken_by(planted, seeds).keys() >= properties


class Grabs(Raft):
    """Takes itself for the leader of its term once its election timer fires."""

    @on_timer
    def start_election(self) -> None:
        self.term += 1
        self.votes = set(self.quorums.nodes)
        self.become_leader()


def test_election_safety() -> None:
    cluster = watched(Grabs)
    cluster.time_out("n1", "start_election")
    with pytest.raises(Violation, match=r"election safety broken at n1, n2: both were elected in term 1"):
        cluster.time_out("n2", "start_election")


class VotesForAll(Raft):
    @handles(RequestVote)
    def on_request_vote(self, sender: NodeId, request: RequestVote) -> None:
        if request.term == self.term:
            self.voted_for = None
        super().on_request_vote(sender, request)


def test_one_vote_a_term() -> None:
    cluster = watched(VotesForAll)
    cluster.time_out("n1", "start_election")
    cluster.time_out("n2", "start_election")
    cluster.deliver_all(RequestVote, "n1", "n3")
    with pytest.raises(Violation, match=r"one vote a term broken at n3: voted for n1 in term 1, then for n2"):
        cluster.deliver_all(RequestVote, "n2", "n3")


def test_a_vote_that_a_crash_took_was_never_given() -> None:
    cluster = watched(Raft)
    cluster.slow_disk("n3")
    cluster.time_out("n1", "start_election")
    cluster.time_out("n2", "start_election")
    cluster.deliver_all(RequestVote, "n1", "n3")
    cluster.crash("n3")
    cluster.restart("n3")
    cluster.deliver_all(RequestVote, "n2", "n3")
    cluster.finish_commit("n3")
    assert cluster.node("n3").voted_for == "n2"


class Rejoins(Raft):
    """Goes back to the term of whoever leads."""

    @handles(AppendEntries)
    def on_append_entries(self, sender: NodeId, append: AppendEntries) -> None:
        self.term = append.term
        super().on_append_entries(sender, append)


def test_term_order() -> None:
    cluster = watched(Rejoins)
    elect(cluster, "n1")
    cluster.time_out("n3", "start_election")
    cluster.time_out("n1", "heartbeat")
    with pytest.raises(Violation, match="term order broken at n3: went back from term 2 to 1"):
        cluster.deliver_all(AppendEntries, "n1", "n3")


class Regrets(Raft):
    """A leader takes back its last entry at each heartbeat."""

    @on_timer
    def heartbeat(self) -> None:
        self.log.truncate(self.log.last)


def test_leader_append_only() -> None:
    cluster = watched(Regrets)
    elect(cluster, "n1")
    with pytest.raises(Violation, match="leader append-only broken at n1: removed entry 1 of term 1 while it led"):
        cluster.time_out("n1", "heartbeat")


class Rewrites(Raft):
    """A leader puts another first entry in its log at each heartbeat, under the last one as it was."""

    more: tuple[Entry, ...] = ()

    @on_timer
    def heartbeat(self) -> None:
        last = self.log[self.log.last]
        self.log.truncate(1)
        self.log.extend((Entry(1, Command(0, OPEN, b"mine")), last, *self.more))


class RewritesAndGrows(Rewrites):
    more = (Entry(2, Command(0, OPEN, b"more")),)


@pytest.mark.parametrize("planted", [Rewrites, RewritesAndGrows])
def test_an_entry_that_changes_below_one_that_stays_is_seen(planted: type[Raft]) -> None:
    cluster = watched(planted)
    elect(cluster, "n1")
    elect(cluster, "n2")
    assert cluster.node("n2").log.last == 2
    with pytest.raises(Violation, match="leader append-only broken at n2: removed entry 1 of term 1 while it led"):
        cluster.time_out("n2", "heartbeat")


class Overwrites(Raft):
    """Keeps the terms of the entries that it is sent, and not the commands."""

    def store_entries(self, previous: int, entries: tuple[Entry, ...]) -> None:
        super().store_entries(previous, tuple(Entry(each.term, Command(0, OPEN, b"mine")) for each in entries))


def test_log_matching() -> None:
    cluster = watched(Overwrites)
    with pytest.raises(Violation, match="log matching broken at n1, n2: index 1 of term 1 has two different entries"):
        elect(cluster, "n1")


def test_leader_completeness() -> None:
    cluster = watched(VotesForAnyLog)
    cluster.partition(("n1", "n2"), ("n3",))
    elect(cluster, "n1")
    cluster.heal()
    with pytest.raises(Violation, match=r"leader completeness broken at n1, n3: n3 leads term 2 without entry 1"):
        for _ in range(2):  # the first is refused: its term is gone by
            cluster.time_out("n3", "start_election")
            cluster.stabilize()


def test_an_earlier_leader_that_commits_late_is_held_against_the_newest_one() -> None:
    cluster = watched(VotesForAnyLog)
    cluster.partition(("n1", "n2"), ("n3",))
    cluster.time_out("n1", "start_election")
    while not cluster.waiting(AppendEntries, "n1", "n2"):
        cluster.deliver(next(each for each in cluster.envelopes if "n3" not in (each.sender, each.to)))
    cluster.deliver_all(AppendEntries, "n1", "n2")
    acknowledged = [each for each in cluster.envelopes if each.to == "n1"]
    for each in cluster.envelopes[:]:
        if each.to != "n1":
            cluster.drop(each)
    cluster.heal()
    for _ in range(2):  # the first is refused: its term is gone by
        cluster.time_out("n3", "start_election")
        cluster.deliver_all(RequestVote, "n3", "n2")
        cluster.deliver_all(Vote, to="n3")
    assert cluster.node("n3").role == "leader"
    with pytest.raises(Violation, match="leader completeness broken at n1, n3"):
        for each in acknowledged:
            cluster.deliver(each)


class Loses(Raft):
    """Comes back without the last entry of its log."""

    def on_start(self) -> None:
        super().on_start()
        if self.log.last:
            self.log.truncate(self.log.last)


def test_state_machine_safety_across_a_restart() -> None:
    cluster = watched(Loses)
    elect(cluster, "n1")
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    cluster.crash("n2")
    with pytest.raises(Violation, match=r"state machine safety broken at n1, n2: n2 lost entry 1 of term 1"):
        cluster.restart("n2")


class Unapplies(Raft):
    """A leader forgets at its heartbeat what it has committed."""

    @on_timer
    def heartbeat(self) -> None:
        self.commit -= 1


class Rushes(Raft):
    """A leader commits at its heartbeat what it does not hold yet."""

    @on_timer
    def heartbeat(self) -> None:
        self.commit += 1


@pytest.mark.parametrize(
    ("planted", "what"),
    [
        (Unapplies, "n1: its commit index fell from 1 to 0"),
        (Rushes, "n1: committed up to index 2, and its log ends at 1"),
    ],
)
def test_commit_order(planted: type[Raft], what: str) -> None:
    cluster = watched(planted)
    elect(cluster, "n1")
    with pytest.raises(Violation, match=f"commit order broken at {what}"):
        cluster.time_out("n1", "heartbeat")


class VotesAfterARestart(Raft):
    """Forgets in a crash that it has heard a leader."""

    def on_start(self) -> None:
        super().on_start()
        self.heard_at = None


@pytest.mark.parametrize("planted", [VotesAfterARestart, VotesAgainstItsLeader])
def test_lease_exclusivity(planted: type[Raft]) -> None:
    """n2 hears the leader and n3, which do not hear one another."""
    cluster = raft_cluster(3, planted, check_quorum=True, read_mode="lease")
    Watching(cluster)
    elect(cluster, "n1")
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    cluster.crash("n2")
    cluster.restart("n2")
    cluster.partition(("n1",), ("n2", "n3"))
    elect(cluster, "n3")
    assert cluster.node("n1").holds_lease()
    cluster.deliver(cluster.send("c1", "n1", length(1)))  # it may have come before n3 was elected
    with pytest.raises(Violation, match="lease exclusivity broken at n1, n3: n1 holds a lease of term 1, and n3 leads"):
        cluster.deliver(cluster.send("c1", "n1", length(2)))


def test_raft_itself_elects_nobody_while_a_lease_lasts() -> None:
    cluster = raft_cluster(3, check_quorum=True, read_mode="lease")
    elect(cluster, "n1")
    cluster.crash("n2")
    cluster.restart("n2")
    cluster.partition(("n1",), ("n2", "n3"))
    cluster.time_out("n3", "start_election")
    cluster.stabilize()
    assert cluster.node("n3").role == "candidate"


def test_figure_8_is_caught_where_it_ends() -> None:
    """§5.4.2, from (c) to (d): what was committed by counting is not in the log of the next leader."""
    cluster = figure_8(CountsEarlierTerms)
    Watching(cluster)
    assert cluster.node("n1").commit == 2
    cluster.crash("n1")
    cluster.drop_all()
    with pytest.raises(Violation, match=r"leader completeness broken at n1, n5: n5 leads term 5 without entry 2"):
        elect(cluster, "n5")


def test_raft_itself_comes_through_an_election_a_conflict_and_a_restart() -> None:
    cluster = watched(Raft, size=3)
    elect(cluster, "n1")
    cluster.partition(("n1",), ("n2", "n3"))
    cluster.send("c1", "n1", Request(1, add(0, OPEN, 1)))
    cluster.stabilize()
    elect(cluster, "n2")
    cluster.heal()
    cluster.time_out("n2", "heartbeat")
    cluster.stabilize()
    cluster.crash("n1")
    cluster.restart("n1")
    cluster.time_out("n2", "heartbeat")
    cluster.stabilize()
    assert terms_of(cluster, "n1") == terms_of(cluster, "n2") == [1, 2]
    assert ("n1", "truncated", {"start": 2, "last": 2}) in cluster.notes
