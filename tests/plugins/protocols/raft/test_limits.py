"""What bounds a server, and what it must not be brought to do: requests without end, commands that nobody can decode,
transfers to a server that is far behind, and servers that were removed and restart."""

from __future__ import annotations

import pytest

from framework import Command, NotLeader, Refused, Reply, Request
from framework.replication.sessions import OPEN
from framework.testing.cluster import Cluster
from plugins.protocols.raft.messages import Appended, AppendEntries, InstallSnapshot, PreVote, SnapshotReceived
from tests.plugins.protocols.raft.cluster import administer, elect, length, raft_cluster, set_off, store, tape_of
from tests.plugins.protocols.raft.tape import Tape
from tests.plugins.protocols.raft.watching import Watching

OPENING = Command(0, OPEN, b"")
SECOND = 1_000_000_000


def test_a_leader_that_is_cut_off_takes_no_more_requests_than_its_bound() -> None:
    """Without check-quorum it stays in office, unheard."""
    cluster = raft_cluster(3, max_uncommitted=4)
    leader = elect(cluster, "n1")
    cluster.partition(["n1"], ["n2", "n3"])
    for operation in range(6):
        cluster.deliver(cluster.send("c1", "n1", Request(operation, OPENING)))
        cluster.stabilize()
    assert (leader.role, leader.log.last - leader.commit) == ("leader", 4)
    assert cluster.inbox["c1"] == [NotLeader(4, OPEN, None), NotLeader(5, OPEN, None)]

    cluster.deliver(cluster.send("c1", "n1", Request(3, OPENING)))
    cluster.stabilize()
    assert len(cluster.inbox["c1"]) == 2, "what was taken is under way"

    cluster.heal()
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert leader.commit == leader.log.last
    cluster.deliver(cluster.send("c1", "n1", Request(6, OPENING)))
    cluster.stabilize()
    assert type(cluster.inbox["c1"][-1]) is Reply


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x93\xa3add", Tape.command("subtract", None, 1)])
def test_a_command_that_cannot_be_executed_is_refused_by_every_replica_and_at_every_replay(body: bytes) -> None:
    cluster = raft_cluster(3)
    leader = elect(cluster, "n1")
    cluster.deliver(cluster.send("c1", "n1", Request(1, OPENING)))
    cluster.stabilize()
    cluster.deliver(cluster.send("c1", "n1", Request(2, Command(2, 1, body))))
    cluster.stabilize()
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    with pytest.raises(Refused):
        Tape.result(cluster.inbox["c1"][-1].result)  # type: ignore[attr-defined]
    for server in cluster.servers:
        cluster.crash(server)
        cluster.restart(server)
    elect(cluster, "n2")
    cluster.time_out("n2", "heartbeat")
    cluster.stabilize()
    assert [node.commit for node in cluster.nodes()] == [leader.log.last + 1] * 3
    assert [tape_of(cluster, server) for server in cluster.servers] == [[], [], []]


def test_leadership_passes_to_a_server_that_lacks_what_is_compacted() -> None:
    cluster = raft_cluster(3, snapshot_every=1, snapshot_trailing=1, max_in_flight=1, max_append_entries=1)
    leader = elect(cluster, "n1")
    cluster.partition(["n1", "n2"], ["n3"])
    for operation in range(5):
        cluster.deliver(cluster.send("c1", "n1", Request(operation, OPENING)))
        cluster.stabilize()
    assert leader.log.first > cluster.node("n3").log.last + 1
    cluster.heal()
    administer(cluster, "n1", 9, "transfer_leader", "n3")
    cluster.stabilize()
    assert cluster.node("n3").role == "leader"


def removed(**config: bool) -> Cluster:
    """n1 leads n2 and n3, and n4, which knows that it was removed, restarts."""
    cluster = raft_cluster(4, **config)  # type: ignore[arg-type]
    Watching(cluster)
    elect(cluster, "n1")
    administer(cluster, "n1", 7, "remove_node", "n4")
    cluster.stabilize()
    for _ in range(3):
        cluster.time_out("n1", "heartbeat")
        cluster.stabilize()
    assert cluster.node("n4").status.roles[0] == "outside"
    assert cluster.node("n1").peers == ("n2", "n3")
    cluster.crash("n4")
    cluster.restart("n4")
    return cluster


@pytest.mark.parametrize("prevote", [False, True])
def test_a_removed_server_that_restarts_starts_no_election(prevote: bool) -> None:
    """It would be elected: the others take its log for as good as theirs (thesis 4.2.2)."""
    cluster = removed(prevote=prevote)
    cluster.run(until=lambda: cluster.clock("n4") > 3 * SECOND)
    assert [(node.term, node.status.roles[0]) for node in cluster.nodes()] == [
        (1, "leader"), (1, "follower"), (1, "follower"), (1, "outside"),
    ]  # fmt: skip


def test_a_leader_that_was_removed_and_restarts_starts_none_either() -> None:
    cluster = raft_cluster(3)
    Watching(cluster)
    elect(cluster, "n1")
    administer(cluster, "n1", 7, "remove_node", "n1")
    cluster.stabilize()
    assert cluster.node("n1").status.roles[0] == "outside"
    elect(cluster, "n2")
    cluster.crash("n1")
    cluster.restart("n1")
    cluster.run(until=lambda: cluster.clock("n1") > 3 * SECOND)
    assert [node.term for node in cluster.nodes()] == [1, 2, 2] and cluster.node("n2").role == "leader"


def test_a_removed_server_whose_known_peers_never_lead_is_told() -> None:
    """n1 was down while n4 joined and n1 was removed: n4, which leads, is no member that n1 knows of."""
    cluster = raft_cluster(3, spares=1, own_clocks=False, prevote=True, check_quorum=True)
    Watching(cluster)
    elect(cluster, "n2")
    cluster.crash("n1")
    administer(cluster, "n2", 1, "add_node", "n4")
    cluster.run(
        until=lambda: "n4" in cluster.node("n2").configuration.voters and not cluster.node("n2").configuration.old
    )
    administer(cluster, "n2", 2, "transfer_leader", "n4")
    cluster.run(
        until=lambda: cluster.node("n4").role == "leader" and cluster.node("n4").commit == cluster.node("n4").log.last
    )
    administer(cluster, "n4", 3, "remove_node", "n1")
    cluster.run(until=lambda: cluster.node("n4").peers == ("n2", "n3"))
    cluster.restart("n1")
    cluster.partition(["n1", "n2", "n3"], ["n4"])  # until the others have heard it
    cluster.time_out("n1", "start_election")
    cluster.deliver_all(PreVote)
    cluster.heal()
    cluster.run(until=lambda: cluster.node("n1").status.roles[0] == "outside")
    assert (cluster.node("n4").role, cluster.node("n4").peers) == ("leader", ("n2", "n3", "n1"))
    cluster.run(until=lambda: cluster.node("n4").peers == ("n2", "n3"))


def test_a_learner_takes_no_snapshots_of_the_times_before_it_joined() -> None:
    cluster = raft_cluster(3, spares=2, snapshot_every=0, max_append_entries=2)
    elect(cluster, "n1")
    for operation, function in enumerate(("add_node", "remove_node") * 3):
        administer(cluster, "n1", operation, function, "n5")
        cluster.stabilize()
    cluster.notes.clear()
    administer(cluster, "n1", 9, "add_node", "n4")
    cluster.stabilize()
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert "n4" in cluster.node("n1").configuration.voters
    assert [note for note in cluster.notes if note[:2] == ("n4", "snapshot_taken")] == []


def test_a_new_leader_with_a_long_log_sends_entries_at_once() -> None:
    """The window counts from what it sends first, for it does not know yet what the others hold."""
    cluster = raft_cluster(3, max_in_flight=2)
    for server in cluster.servers:
        store(cluster, server, term=1, terms=[1] * 5)
    set_off(cluster, "n1")
    assert [len(each.message.entries) for each in cluster.waiting(AppendEntries)] == [1, 1]  # type: ignore[attr-defined]


def test_a_late_chunk_of_an_older_snapshot_does_not_spoil_the_one_under_way() -> None:
    cluster = raft_cluster(3)

    def chunk(index: int, offset: int) -> list[int]:
        cluster.deliver(cluster.send("n1", "n2", InstallSnapshot(1, index, 1, offset, bytes(8), False)))
        return [each.message.offset for each in cluster.waiting(SnapshotReceived)]  # type: ignore[attr-defined]

    assert chunk(20, 0) == [8] and chunk(20, 8) == [8, 16]
    assert chunk(10, 0) == [8, 16], "it is dropped"
    assert chunk(20, 16) == [8, 16, 24]
    assert chunk(30, 0) == [8, 16, 24, 8], "the leader has begun anew"


def test_reads_that_wait_are_bounded() -> None:
    cluster = raft_cluster(3, read_mode="read_index", max_uncommitted=4)
    leader = elect(cluster, "n1")
    cluster.partition(["n1"], ["n2", "n3"])
    for operation in range(6):
        for _ in range(3):  # the client tries again
            cluster.deliver(cluster.send("c1", "n1", length(operation)))
    cluster.stabilize()
    assert len(leader.reads) == 4
    assert {answer.operation for answer in cluster.inbox["c1"]} == {4, 5}  # type: ignore[attr-defined]


def test_who_was_removed_deposes_nobody_by_an_answer() -> None:
    cluster = removed()
    for answer in (Appended(9, False, 0), SnapshotReceived(9, 1, 0)):
        cluster.deliver(cluster.send("n4", "n1", answer))
    assert (cluster.node("n1").role, cluster.node("n1").term) == ("leader", 1)
