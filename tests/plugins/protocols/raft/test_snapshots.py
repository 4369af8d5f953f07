"""Snapshots and log compaction (thesis, chapter 5), driven by hand."""

from __future__ import annotations

from typing import Any

import pytest

from framework import Command, Request
from framework.replication.sessions import OPEN
from framework.testing.cluster import Cluster
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.messages import Appended, AppendEntries, InstallSnapshot, Snapshot, SnapshotReceived
from tests.plugins.protocols.raft.cluster import add, elect, leader_of, raft_cluster, store, tape_of, terms_of
from tests.plugins.protocols.raft.swarm import swarm

OPENING = Command(0, OPEN, b"")


def ask(cluster: Cluster, server: str, sequence: int) -> None:
    """The client whose session is entry 2 adds `sequence` to the tape, as entry `sequence + 2`; number 0 opens it."""
    command = add(2, sequence, sequence) if sequence else OPENING
    cluster.deliver(cluster.send("c1", server, Request(sequence, command)))
    cluster.stabilize()


def filled(size: int = 3, adds: int = 6, down: str = "", **config: Any) -> Cluster:
    """n1 leads, has committed `adds` additions, entries 3 and following, and takes snapshots often; `down` missed all."""
    cluster = raft_cluster(size, **({"snapshot_every": 4, "snapshot_trailing": 0} | config))
    elect(cluster, "n1")
    if down:
        cluster.crash(down)
    for sequence in range(adds + 1):
        ask(cluster, "n1", sequence)
    return cluster


def sent(cluster: Cluster, kind: type[Any], target: str) -> list[Any]:
    return [envelope.message for envelope in cluster.waiting(kind, to=target)]


def forge(cluster: Cluster, target: str, chunk: InstallSnapshot) -> Any:
    """Hands `target` this chunk as from n1, and returns its answer."""
    cluster.deliver(cluster.send("n1", target, chunk))
    (answer,) = cluster.waiting(Appended, target) + cluster.waiting(SnapshotReceived, target)
    cluster.drop(answer)
    return answer.message


# Taking one.


def test_a_snapshot_and_the_compaction_are_one_commit() -> None:
    cluster = filled(adds=1)
    cluster.slow_disk("n1")
    ask(cluster, "n1", 2)
    cluster.finish_commit("n1")
    cluster.deliver_batch(*cluster.waiting(Appended, to="n1"))
    changes = cluster.committing["n1"].changes
    assert sorted(change.field for change in changes) == ["log", "snapshot"]
    cluster.crash("n1")
    cluster.restart("n1")
    assert (cluster.node("n1").snapshot, cluster.node("n1").log.first, cluster.node("n1").log.last) == (None, 1, 4)


def test_some_entries_trail_the_snapshot() -> None:
    cluster = filled(snapshot_trailing=3)
    status = leader_of(cluster).status
    assert (status.first, status.snapshot) == (6, 8)
    assert (leader_of(cluster).snapshot.index, leader_of(cluster).log.first) == (8, 6)


def test_zero_takes_none() -> None:
    leader = leader_of(filled(adds=40, snapshot_every=0))
    assert (leader.snapshot, leader.log.first, leader.status.snapshot) == (None, 1, 0)


def test_a_restart_begins_with_the_snapshot_and_its_sessions() -> None:
    cluster = filled()
    cluster.crash("n1")
    cluster.restart("n1")
    node = cluster.node("n1")
    assert (node.commit, node.log.first, tape_of(cluster, "n1")) == (8, 9, [1, 2, 3, 4, 5, 6])
    elect(cluster, "n1")
    ask(cluster, "n1", 6)
    assert tape_of(cluster, "n1") == [1, 2, 3, 4, 5, 6], "a retry is known from the snapshot's session table"
    assert cluster.inbox["c1"][-1].result == b"\x06"


def test_an_empty_log_behind_a_snapshot_wins_elections_and_votes_as_what_it_stands_for() -> None:
    cluster = filled()
    node = cluster.node("n1")
    assert (node.log.last, node.term_at(node.log.last)) == (8, 1)
    leader = elect(cluster, "n2")
    ask(cluster, "n2", 7)
    assert leader.commit == leader.log.last == 10


# Sending one.


def test_a_follower_that_missed_everything_is_sent_chunks_one_at_a_time() -> None:
    cluster = filled(down="n3", snapshot_chunk=10)
    cluster.restart("n3")
    cluster.time_out("n1", "heartbeat")
    cluster.deliver_all(AppendEntries, to="n3")
    cluster.deliver_all(Appended, "n3")
    state = cluster.node("n1").snapshot.state
    offset = 0
    while sent(cluster, InstallSnapshot, "n3"):
        (chunk,) = sent(cluster, InstallSnapshot, "n3")
        assert (chunk.offset, chunk.data) == (offset, state[offset : offset + 10])
        offset += len(chunk.data)
        assert chunk.done == (offset == len(state))
        cluster.deliver_all(InstallSnapshot)
        cluster.deliver_all(SnapshotReceived)
    cluster.stabilize()
    assert tape_of(cluster, "n3") == tape_of(cluster, "n1")
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert cluster.node("n1").progress["n3"].outgoing is None
    ask(cluster, "n1", 7)
    assert terms_of(cluster, "n3") == [1], "what comes after follows by the normal way"


def test_a_follower_that_is_down_is_sent_nothing_but_heartbeats() -> None:
    cluster = filled(down="n3", adds=40, max_in_flight=4)
    for _ in range(20):
        cluster.time_out("n1", "heartbeat")
    entries = [append for append in sent(cluster, AppendEntries, "n3") if append.entries]
    assert entries == sent(cluster, InstallSnapshot, "n3") == []
    assert len(sent(cluster, AppendEntries, "n3")) == 20


def test_a_paused_follower_is_sent_a_window_and_heartbeats_and_catches_up_at_once() -> None:
    cluster = filled(adds=0, max_in_flight=8)
    cluster.slow_disk("n3")
    for sequence in range(1, 101):
        ask(cluster, "n1", sequence)
    assert "n3" in cluster.committing
    assert sum(len(append.entries) for append in sent(cluster, AppendEntries, "n3")) <= 8
    before = len(cluster.envelopes)
    for beats in range(1, 21):
        cluster.time_out("n1", "heartbeat")
        cluster.drop_all(AppendEntries, to="n2")
        assert len(cluster.envelopes) == before + beats, "one message for each heartbeat"
    cluster.fast_disk("n3")
    cluster.stabilize()
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert cluster.node("n3").commit == cluster.node("n1").commit == 102


def test_a_lost_chunk_is_sent_again_once_a_later_heartbeat_is_answered() -> None:
    cluster = filled(down="n3", snapshot_chunk=10)
    cluster.restart("n3")
    cluster.time_out("n1", "heartbeat")
    cluster.deliver_all(AppendEntries, to="n3")
    cluster.deliver_all(Appended, "n3")
    cluster.deliver_all(InstallSnapshot)
    cluster.deliver_all(SnapshotReceived)
    (lost,) = sent(cluster, InstallSnapshot, "n3")
    cluster.drop_all(InstallSnapshot)
    cluster.time_out("n1", "heartbeat")
    assert sent(cluster, InstallSnapshot, "n3") == []
    cluster.deliver_all(AppendEntries, to="n3")
    cluster.deliver_all(Appended, "n3")
    assert sent(cluster, InstallSnapshot, "n3") == [lost], "it goes on where it was"


def test_a_shipment_that_makes_progress_is_finished_and_one_that_does_not_is_replaced() -> None:
    cluster = filled(down="n3", snapshot_chunk=10, snapshot_trailing=1)
    cluster.restart("n3")
    cluster.time_out("n1", "heartbeat")
    cluster.deliver_all(AppendEntries, to="n3")
    cluster.deliver_all(Appended, "n3")
    leader = cluster.node("n1")
    begun = leader.progress["n3"].outgoing.snapshot

    def next_snapshot() -> None:
        under_way = cluster.drop_all(InstallSnapshot)
        latest = leader.snapshot
        while leader.snapshot is latest:
            ask(cluster, "n1", leader.log.last - 1)
        cluster.envelopes += under_way

    next_snapshot()
    assert leader.progress["n3"].outgoing.snapshot is begun
    assert leader.log.first == begun.index, "what follows the snapshot on its way stays, and the term at its end"
    cluster.deliver_all(InstallSnapshot)
    cluster.deliver_all(SnapshotReceived)
    next_snapshot()
    assert leader.progress["n3"].outgoing.snapshot is begun, "a chunk has arrived since"
    next_snapshot()
    assert leader.progress["n3"].outgoing.snapshot is begun, "no time has gone by"
    cluster.advance(2 * leader.config.election_timeout_max + 1, fire=False)
    next_snapshot()
    next_snapshot()
    assert leader.progress["n3"].outgoing is None
    cluster.stabilize()
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert tape_of(cluster, "n3") == tape_of(cluster, "n1")


def test_a_follower_that_lost_what_had_arrived_is_sent_it_from_the_start() -> None:
    cluster = filled(down="n3", snapshot_chunk=10)
    cluster.restart("n3")
    cluster.time_out("n1", "heartbeat")
    cluster.deliver_all(AppendEntries, to="n3")
    cluster.deliver_all(Appended, "n3")
    cluster.deliver_all(InstallSnapshot)
    cluster.deliver_all(SnapshotReceived)
    cluster.crash("n3")
    cluster.restart("n3")
    cluster.deliver_all(InstallSnapshot)
    assert [reply.offset for reply in sent(cluster, SnapshotReceived, "n1")] == [0]
    cluster.stabilize()
    assert tape_of(cluster, "n3") == tape_of(cluster, "n1")


def test_a_leader_that_compacts_over_what_a_follower_may_have_lost_finds_out() -> None:
    cluster = filled(adds=2, max_in_flight=1)
    cluster.partition(["n1", "n2"], ["n3"])
    for sequence in range(3, 12):
        ask(cluster, "n1", sequence)
    cluster.heal()
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert tape_of(cluster, "n3") == tape_of(cluster, "n1")


# Receiving one: Figure 5.3.


def chunk(index: int, term: int = 1, offset: int = 0, data: bytes = b"", done: bool = True, leads: int = 1) -> Any:
    return InstallSnapshot(leads, index, term, offset, data, done)


def test_a_deposed_leader_learns_so_from_the_answer() -> None:
    cluster = filled()
    cluster.node("n2").become_follower(5)
    assert forge(cluster, "n2", chunk(20)) == SnapshotReceived(5, 20, 0)
    assert cluster.node("n2").commit == 7


def test_a_snapshot_of_what_is_applied_or_stands_in_the_log_is_not_installed() -> None:
    cluster = filled(snapshot_every=0)
    node = cluster.node("n2")
    assert forge(cluster, "n2", chunk(3, data=b"stale")) == Appended(1, True, 3)
    assert (node.commit, node.log.last) == (7, 8)
    assert forge(cluster, "n2", chunk(8, data=b"needless")) == Appended(1, True, 8)
    assert (node.commit, node.log.last, node.snapshot) == (8, 8, None), "the log had it, and now it is committed"


def test_a_snapshot_replaces_a_log_that_does_not_go_on_from_it() -> None:
    cluster = raft_cluster(3)
    store(cluster, "n3", term=2, terms=[1, 1, 2, 2, 2])
    donor = filled()
    state = donor.node("n1").snapshot.state
    answer = forge(cluster, "n3", chunk(4, term=3, data=state, leads=3))
    node = cluster.node("n3")
    assert answer == Appended(3, True, 4)
    assert (node.log.first, node.log.last, node.term_at(4), node.commit) == (5, 4, 3, 4)
    cluster.crash("n3")
    cluster.restart("n3")
    node = cluster.node("n3")
    assert (node.snapshot, node.log.last) == (Snapshot(4, 3, state), 4)
    assert tape_of(cluster, "n3") == [1, 2, 3, 4, 5, 6]


def test_chunks_count_in_their_order_only_and_never_for_another_snapshot() -> None:
    cluster = raft_cluster(3)
    state = filled().node("n1").snapshot.state
    assert forge(cluster, "n3", chunk(8, offset=5, data=state[5:])).offset == 0, "the first one lacks"
    assert forge(cluster, "n3", chunk(8, data=state[:5], done=False)).offset == 5
    assert forge(cluster, "n3", chunk(8, data=state[:5], done=False)).offset == 5, "twice"
    assert forge(cluster, "n3", chunk(8, offset=7, data=state[7:])).offset == 5, "a gap"
    assert forge(cluster, "n3", chunk(8, offset=5, data=state[5:], leads=2)).offset == 0, "another leader's"
    assert forge(cluster, "n3", chunk(9, offset=5, data=state[5:], leads=2)).offset == 0, "another snapshot's"
    assert cluster.node("n3").snapshot is None
    forge(cluster, "n3", chunk(9, data=state[:5], done=False, leads=2))
    assert forge(cluster, "n3", chunk(9, offset=5, data=state[5:], leads=2)) == Appended(2, True, 9)
    assert tape_of(cluster, "n3") == [1, 2, 3, 4, 5, 6]


def test_entries_that_reach_below_a_snapshot_are_taken_from_its_end() -> None:
    cluster = filled()
    node = cluster.node("n1")
    cluster.node("n2")
    late = AppendEntries(1, 0, 0, (), 0)
    cluster.deliver(cluster.send("n1", "n2", late))
    (answer,) = cluster.waiting(Appended, "n2")
    assert answer.message == Appended(1, True, cluster.node("n2").snapshot_index)
    assert node.snapshot_index == 8


def test_each_chunk_puts_off_an_election() -> None:
    cluster = filled(down="n3", snapshot_chunk=10)
    cluster.restart("n3")
    cluster.time_out("n1", "heartbeat")
    cluster.deliver_all(AppendEntries, to="n3")
    cluster.deliver_all(Appended, "n3")
    while sent(cluster, InstallSnapshot, "n3"):
        cluster.advance(cluster.config.election_timeout_min // 2, "n3", fire=False)
        cluster.deliver_all(InstallSnapshot)
        (due,) = [at for (_, name, *_), at in cluster.timers("n3").items() if name == "start_election"]
        assert due >= cluster.clock("n3") + cluster.config.election_timeout_min
        cluster.deliver_all(SnapshotReceived)
    assert cluster.node("n3").snapshot is not None


# Swarms, and what a config may say.


@pytest.mark.parametrize("block", range(4))
def test_no_schedule_breaks_a_raft_that_compacts_at_every_step(block: int) -> None:
    for seed in range(1000 + block * 25, 1025 + block * 25):
        try:
            swarm(seed, snapshot_every=1, snapshot_trailing=seed % 2, snapshot_chunk=20)
        except Exception as broken:
            raise AssertionError(f"replay with swarm({seed}, snapshot_every=1, …)") from broken


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("snapshot_every", -1, "snapshot_every=-1 is negative: give 0 or more"),
        ("snapshot_trailing", -5, "snapshot_trailing=-5 is negative: give 0 or more"),
        ("snapshot_chunk", 0, "snapshot_chunk=0 lets nothing through: give 1 or more"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(field: str, value: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        RaftConfig(**{field: value})
