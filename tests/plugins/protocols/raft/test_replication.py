"""Log replication and commitment, held to §5.3 and §5.4.2 of the paper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import Command, Request
from framework.replication.sessions import OPEN
from framework.testing.cluster import Cluster
from plugins.protocols.raft.messages import Appended, AppendEntries, Entry, RequestVote, Vote
from plugins.protocols.raft.node import Raft, fitting
from plugins.protocols.raft.progress import PROBING, REPLICATING, Progress
from tests.plugins.protocols.raft.cluster import elect, raft_cluster, store, tape_of, terms_of

LEADERS_LOG = (1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
FIGURE_7 = {
    "a": (1, 1, 1, 4, 4, 5, 5, 6, 6),
    "b": (1, 1, 1, 4),
    "c": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
    "d": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
    "e": (1, 1, 1, 4, 4, 4, 4),
    "f": (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
}


def opening(body: bytes) -> Command:
    return Command(0, OPEN, body)


@pytest.mark.parametrize("batch", [1, 3, 1024])
def test_figure_7(batch: int) -> None:
    """A leader comes to power in term 8; every follower's log becomes its own."""
    cluster = raft_cluster(7, max_append_entries=batch)
    store(cluster, "n1", term=7, terms=LEADERS_LOG)
    for server, terms in zip(cluster.servers[1:], FIGURE_7.values(), strict=True):
        store(cluster, server, term=7, terms=terms)
    leader = elect(cluster, "n1")
    assert leader.term == 8
    assert [terms_of(cluster, server) for server in cluster.servers] == [[*LEADERS_LOG, 8]] * 7
    assert leader.commit == 11
    truncated = {node: fields["start"] for node, name, fields in cluster.notes if name == "truncated"}
    assert truncated == {"n4": 11, "n5": 11, "n6": 6, "n7": 4}


@pytest.mark.parametrize(("follower", "refusals"), [("a", 1), ("b", 1), ("c", 0), ("e", 1), ("f", 1)])
def test_a_refusal_skips_a_term_not_an_entry(follower: str, refusals: int) -> None:
    """§5.3: the leader skips all that it cannot share with the follower."""
    cluster = raft_cluster(3)
    store(cluster, "n1", term=7, terms=LEADERS_LOG)
    store(cluster, "n2", term=7, terms=LEADERS_LOG)
    store(cluster, "n3", term=7, terms=FIGURE_7[follower])
    cluster.time_out("n1", "start_election")
    cluster.deliver_all(RequestVote, to="n2")
    cluster.deliver_all(Vote)
    seen = 0
    while cluster.envelopes:
        oldest = cluster.envelopes[0]
        seen += oldest.sender == "n3" and isinstance(oldest.message, Appended) and not oldest.message.ok
        cluster.deliver(oldest)
    assert terms_of(cluster, "n3") == [*LEADERS_LOG, 8]
    assert seen == refusals


def figure_8(node: type[Raft] = Raft) -> Cluster:
    """Figure 8 at (c): n1 leads term 4 and has brought its entry of term 2 to n3, and so to a majority."""
    cluster = raft_cluster(5, node, max_append_entries=1)
    for server, terms in (("n1", (1, 2)), ("n2", (1, 2)), ("n3", (1,)), ("n4", (1,)), ("n5", (1, 3))):
        store(cluster, server, term=3, terms=terms)
    cluster.time_out("n1", "start_election")
    cluster.deliver_all(RequestVote)
    cluster.deliver_all(Vote)
    cluster.drop_all(AppendEntries, to="n4")
    for follower in ("n2", "n3"):
        while cluster.node(follower).log.last < 2 or cluster.node("n1").match_index[follower] < 2:
            if not cluster.waiting(AppendEntries, to=follower):
                cluster.time_out("n1", "heartbeat")
            append = cluster.waiting(AppendEntries, to=follower)[0]
            if any(entry.term == 4 for entry in append.message.entries):  # type: ignore[attr-defined]
                cluster.drop(append)
            else:
                cluster.deliver(append)
            cluster.deliver_all(Appended, sender=follower)
    cluster.deliver_all(Appended, sender="n1")
    assert [terms_of(cluster, server) for server in cluster.servers] == [[1, 2, 4], [1, 2], [1, 2], [1], [1, 3]]
    return cluster


def test_figure_8_an_entry_of_an_earlier_term_is_not_committed_by_counting() -> None:
    """§5.4.2, from (c) to (d): a majority holds the entry of term 2, and it can still be lost."""
    cluster = figure_8()
    assert cluster.node("n1").commit == 0
    cluster.crash("n1")
    cluster.drop_all()
    elect(cluster, "n5")  # by n2, n3 and n4, whose last term is 2 at the most
    cluster.restart("n1")
    cluster.time_out("n5", "heartbeat")
    cluster.stabilize()
    assert [terms_of(cluster, server) for server in cluster.servers] == [[1, 3, 5]] * 5


def test_figure_8_it_commits_under_an_entry_of_the_leaders_term() -> None:
    """§5.4.2, from (c) to (e): then n5 cannot win any more."""
    cluster = figure_8()
    for follower in ("n2", "n3"):
        cluster.time_out("n1", "heartbeat")
        for _ in range(4):
            cluster.deliver_all(AppendEntries, to=follower)
            cluster.deliver_all(Appended)
    assert cluster.node("n1").commit == 3
    cluster.crash("n1")
    cluster.drop_all()
    cluster.time_out("n5", "start_election")
    cluster.stabilize()
    assert cluster.node("n5").role == "candidate"
    assert cluster.node("n5").votes == {"n5", "n4"}


def test_the_leader_sends_while_it_writes_and_counts_itself_when_it_has_written() -> None:
    """Thesis 10.2.1."""
    cluster = raft_cluster(3)
    leader = elect(cluster, "n1")
    cluster.slow_disk("n1")
    cluster.deliver(cluster.send("c1", "n1", Request(1, opening(b""))))
    assert [each.to for each in cluster.waiting(AppendEntries)] == ["n2", "n3"]
    cluster.deliver_all(AppendEntries, to="n2")
    cluster.finish_commit("n1")
    assert leader.commit == 1
    cluster.deliver_all(Appended, sender="n1")
    assert (leader.commit, leader.match_index) == (1, {"n2": 1, "n3": 1, "n1": 2})
    cluster.deliver_all(Appended, sender="n2")
    assert leader.commit == 2


def test_a_leader_that_loses_its_write_follows_those_who_have_it() -> None:
    cluster = raft_cluster(3)
    elect(cluster, "n1")
    cluster.slow_disk("n1")
    cluster.deliver(cluster.send("c1", "n1", Request(1, opening(b""))))
    cluster.deliver_all(AppendEntries)
    cluster.crash("n1")
    cluster.fast_disk("n1")
    cluster.restart("n1")
    assert [terms_of(cluster, server) for server in cluster.servers] == [[1], [1, 1], [1, 1]]
    cluster.time_out("n1", "start_election")
    cluster.stabilize()
    assert cluster.node("n1").role == "candidate"  # §5.4.1: the others' logs are longer
    elect(cluster, "n2")
    assert [terms_of(cluster, server) for server in cluster.servers] == [[1, 1, 3]] * 3


def test_a_follower_acknowledges_what_is_durable_only() -> None:
    cluster = raft_cluster(3)
    elect(cluster, "n1")
    cluster.slow_disk("n2")
    cluster.deliver(cluster.send("c1", "n1", Request(1, opening(b""))))
    cluster.deliver_all(AppendEntries, to="n2")
    assert cluster.waiting(Appended, sender="n2") == []
    cluster.finish_commit("n2")
    assert [each.message for each in cluster.waiting(Appended, sender="n2")] == [Appended(1, True, 2, round=1)]


def test_requests_of_a_batch_travel_together_in_one_message() -> None:
    cluster = raft_cluster(3)
    elect(cluster, "n1")
    cluster.deliver_batch(*[cluster.send(f"c{number}", "n1", Request(number, opening(b""))) for number in range(5)])
    sent = [each.message for each in cluster.waiting(AppendEntries)]
    assert [len(append.entries) for append in sent] == [5, 5]  # type: ignore[attr-defined]
    assert sent[0] is sent[1]


def test_entries_are_sent_without_waiting_for_the_last_answer() -> None:
    """Pipelining: next_index runs ahead of match_index, as far as max_in_flight allows."""
    cluster = raft_cluster(3, max_in_flight=2)
    leader = elect(cluster, "n1")
    for number in range(5):
        cluster.deliver(cluster.send("c1", "n1", Request(number, opening(b"%d" % number))))
    to_n2 = cluster.waiting(AppendEntries, to="n2")
    assert [each.message.previous_index for each in to_n2] == [1, 2]  # type: ignore[attr-defined]
    assert leader.match_index["n2"] == 1
    cluster.stabilize()
    assert leader.commit == 6


def test_a_lost_message_is_noticed_by_the_next_and_made_good() -> None:
    cluster = raft_cluster(3)
    leader = elect(cluster, "n1")
    cluster.deliver(cluster.send("c1", "n1", Request(1, opening(b""))))
    cluster.drop_all(AppendEntries, to="n2")
    cluster.stabilize()
    for number in (2, 3):
        cluster.deliver(cluster.send("c1", "n1", Request(number, opening(b""))))
    cluster.deliver_all(AppendEntries, to="n2")
    cluster.deliver_all(Appended, sender="n2")  # two refusals, of which the first alone is acted upon
    assert leader.progress["n2"].state == PROBING
    [probe] = cluster.waiting(AppendEntries, to="n2")
    assert len(probe.message.entries) == 3  # type: ignore[attr-defined]
    cluster.stabilize()
    assert leader.progress["n2"].state == REPLICATING
    assert cluster.node("n2").log == leader.log


def test_a_follower_that_is_down_holds_nobody_up() -> None:
    cluster = raft_cluster(3, max_in_flight=2)
    leader = elect(cluster, "n1")
    cluster.crash("n3")
    for number in range(10):
        cluster.deliver(cluster.send("c1", "n1", Request(number, opening(b""))))
        cluster.stabilize()
    assert leader.commit == 11
    cluster.restart("n3")
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert cluster.node("n3").log == leader.log


def test_an_old_message_does_not_shorten_the_log() -> None:
    """§5.3: only a conflict truncates."""
    cluster = raft_cluster(3)
    elect(cluster, "n1")
    for number in range(2):
        cluster.deliver(cluster.send("c1", "n1", Request(number, opening(b""))))
    older, newer = cluster.waiting(AppendEntries, to="n2")
    cluster.envelopes.append(older)
    cluster.deliver_batch(older, newer)
    cluster.deliver(older)
    assert cluster.node("n2").log.last == 3
    answers = [each.message for each in cluster.waiting(Appended, sender="n2")]
    assert answers == [Appended(1, True, index, round=1) for index in (2, 3, 2)]


def test_a_message_of_a_deposed_leader_is_refused_and_deposes_it() -> None:
    """§5.1."""
    cluster = raft_cluster(3)
    elect(cluster, "n1")
    cluster.deliver(cluster.send("c1", "n1", Request(1, opening(b""))))
    late = cluster.waiting(AppendEntries)
    cluster.drop_all()
    cluster.partition(["n1"], ["n2", "n3"])
    elect(cluster, "n2")
    cluster.heal()
    cluster.envelopes.extend(late)
    cluster.deliver_all(AppendEntries, to="n3")
    assert terms_of(cluster, "n3") == [1, 2]
    assert [each.message for each in cluster.waiting(Appended)] == [Appended(2, False, 1)]
    cluster.deliver_all(Appended)
    assert cluster.node("n1").role == "follower"


def test_heartbeats_carry_the_commit_index_and_no_entries() -> None:
    cluster = raft_cluster(3)
    elect(cluster, "n1")
    assert cluster.node("n2").commit == 0
    cluster.time_out("n1", "heartbeat")
    beats = [each.message for each in cluster.waiting(AppendEntries)]
    assert beats == [AppendEntries(1, 1, 1, (), 1, round=2)] * 2
    cluster.stabilize()
    assert cluster.node("n2").commit == 1


def test_a_follower_commits_no_further_than_the_message_vouches_for() -> None:
    """Figure 2, AppendEntries 5: min(leaderCommit, index of last new entry)."""
    cluster = raft_cluster(3)
    store(cluster, "n2", term=1, terms=(1, 1, 1))
    cluster.send("n1", "n2", AppendEntries(2, 1, 1, (Entry(2, None),), 3))
    cluster.stabilize()
    assert (cluster.node("n2").commit, terms_of(cluster, "n2")) == (2, [1, 2])


def test_after_a_restart_the_log_is_applied_anew() -> None:
    cluster = raft_cluster(3, clients=["c1"])
    elect(cluster, "n1")
    cluster.invoke("c1", "add", None, "x")
    cluster.stabilize()
    for server in cluster.servers:
        cluster.crash(server)
    for server in cluster.servers:
        cluster.restart(server)
    assert [tape_of(cluster, server) for server in cluster.servers] == [[], [], []]
    elect(cluster, "n3")
    assert tape_of(cluster, "n3") == ["x"]


@given(st.data())
def test_commitment_agrees_with_counting(data: st.DataObject) -> None:
    """The naive twin: the highest index of the leader's term that a majority holds."""
    size = data.draw(st.integers(1, 7))
    terms = sorted(data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=6)))
    cluster = raft_cluster(size)
    store(cluster, "n1", term=2, terms=terms)
    node = cluster.node("n1")
    node.term = max(3, terms[-1])
    node.progress = {server: Progress(1, data.draw(st.integers(0, len(terms)))) for server in cluster.servers}

    node.advance_commit()

    def held(index: int) -> bool:
        return bool(2 * sum(match >= index for match in node.match_index.values()) > size)

    ours = [index for index, term in enumerate(terms, 1) if term == node.term and held(index)]
    assert node.commit == max(ours, default=0)


@given(st.lists(st.integers(1, 5)), st.integers(0, 6), st.data())
def test_the_last_entry_not_after_a_term_agrees_with_a_scan(drawn: list[int], term: int, data: st.DataObject) -> None:
    terms = sorted(drawn)
    cluster = raft_cluster(1)
    store(cluster, "n1", term=9, terms=terms)
    upto = data.draw(st.integers(0, len(terms)))
    scan = max((index for index in range(1, upto + 1) if terms[index - 1] <= term), default=0)
    assert cluster.node("n1").last_not_after(term, upto) == scan


@pytest.mark.parametrize(
    ("sizes", "fit"), [((), 0), ((4, 4, 4), 2), ((20, 1), 1), ((1, 20), 1), ((10,), 1), ((5, 5), 2)]
)
def test_a_message_holds_so_many_bytes_and_at_least_one_entry(sizes: tuple[int, ...], fit: int) -> None:
    entries = tuple(Entry(1, opening(b"x" * size)) for size in sizes)
    assert fitting(entries, max_bytes=10) == entries[:fit]
