"""Multi-Paxos driven by hand: quorum systems, thrifty leaders, batches and windows, checkpoints, leaders that give way."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.planted_bugs.multipaxos_mutants import AnswersForAnyOwnBallot, BeginsEachCheckpointAnew
from framework import (
    Administrator,
    Ballot,
    Client,
    Command,
    Duration,
    IncomingTransfer,
    Message,
    NotLeader,
    Ok,
    Query,
    QuorumConfig,
    Request,
    SessionClient,
)
from framework.core.time import MILLISECOND
from framework.replication.sessions import OPEN
from framework.testing.cluster import Cluster, Envelope
from plugins.protocols.multipaxos.config import MultiPaxosConfig
from plugins.protocols.multipaxos.messages import (
    Accept,
    Accepted,
    Fetch,
    Learn,
    Part,
    Preempted,
    Prepare,
    Promise,
    TakeOver,
    TooFarBehind,
)
from plugins.protocols.multipaxos.node import MultiPaxos
from tests.plugins.protocols.raft.tape import TAPE


def cluster_of(
    size: int,
    *,
    node: type[MultiPaxos] = MultiPaxos,
    client: type[Client] = SessionClient,
    clients: int = 1,
    **config: Any,
) -> Cluster:
    """A cluster in which n1 leads."""
    nodes = [f"n{number}" for number in range(1, size + 1)]
    names = [f"c{number}" for number in range(1, clients + 1)]
    settings = MultiPaxosConfig(state_machine=TAPE, **config)
    cluster = Cluster(node, settings, nodes, client=client, clients=names)
    cluster.fire("n1", "start_election")
    cluster.stabilize()
    assert cluster.node("n1").role == "leader"
    return cluster


def add(cluster: Cluster, *values: int, client: str = "c1") -> None:
    for value in values:
        operation = cluster.invoke(client, "add", None, value)
        cluster.stabilize()
        assert operation in cluster.outcomes


def beat(cluster: Cluster, leader: str = "n1") -> None:
    cluster.fire(leader, "heartbeat")
    cluster.stabilize()


def tapes(cluster: Cluster) -> list[list[int]]:
    return [cluster.node(name).machine.machine.values for name in cluster.up if name.startswith("n")]


def sent(cluster: Cluster, kind: str) -> list[str]:
    return [envelope.to for envelope in cluster.waiting(kind)]


def test_a_command_takes_two_messages_for_each_follower() -> None:
    cluster = cluster_of(5)
    add(cluster, 1)
    operation = cluster.invoke("c1", "add", None, 2)
    between = []
    while cluster.envelopes:
        envelope = cluster.deliver()
        if envelope.sender != envelope.to and isinstance(envelope.message, Accept | Accepted):
            between.append(envelope)
    assert operation in cluster.outcomes
    assert len(between) == 2 * 4


def test_thrifty_asks_a_smallest_quorum_and_everyone_once_it_does_not_answer() -> None:
    cluster = cluster_of(5, thrifty=True)
    beat(cluster)
    cluster.invoke("c1", "add", None, 1)
    cluster.deliver("Request", to="n1")
    assert sent(cluster, "Accept") == ["n2", "n3"]
    cluster.stabilize()
    beat(cluster)  # the others learn of it so
    assert tapes(cluster) == [[1]] * 5
    cluster.crash("n2")
    for _ in range(7):
        cluster.advance(50 * MILLISECOND)
        cluster.stabilize()
    cluster.invoke("c1", "add", None, 2)
    cluster.deliver("Request", to="n1")
    assert sent(cluster, "Accept") == ["n3", "n4", "n5"]


def test_a_small_quorum_of_phase_2_chooses_and_a_large_one_of_phase_1_is_needed_to_lead() -> None:
    cluster = cluster_of(5, quorums=QuorumConfig(kind="flexible", phase1=4, phase2=2))
    for name in ("n3", "n4", "n5"):
        cluster.crash(name)
    add(cluster, 1)
    cluster.restart("n3")
    cluster.crash("n1")
    cluster.advance(Duration("200ms"))
    cluster.stabilize()
    assert {cluster.node(name).role for name in cluster.up if name.startswith("n")} <= {"candidate", "follower"}
    cluster.restart("n4")
    cluster.restart("n5")
    for _ in range(20):
        cluster.advance(50 * MILLISECOND)
        cluster.stabilize()
    assert tapes(cluster) == [[1]] * 4


def test_no_more_than_the_window_is_in_flight_and_the_rest_follows() -> None:
    cluster = cluster_of(3, clients=4, window=2)
    for number in range(1, 5):
        cluster.invoke(f"c{number}", "add", None, number)
    for _ in range(4):
        cluster.deliver("Request", to="n1")
    leader = cluster.node("n1")
    assert (leader.last, len(leader.queue)) == (2, 2)
    cluster.stabilize()
    assert len(cluster.outcomes) == 4 and not leader.queue


def test_requests_that_wait_for_slots_are_bounded() -> None:
    cluster = cluster_of(3, window=2)
    leader = cluster.node("n1")
    for name in ("n2", "n3"):
        cluster.pause(name)
    for operation in range(6):
        for _ in range(2):  # the second is a retry
            cluster.deliver(cluster.send("x", "n1", Request(operation, Command(0, OPEN, b""))))
    cluster.drop_all(to="n2")
    cluster.drop_all(to="n3")
    cluster.stabilize()
    assert (leader.last - leader.chosen, len(leader.queue)) == (2, 2)
    assert cluster.inbox["x"] == [NotLeader(operation, OPEN, None) for operation in (4, 4, 5, 5)]


def test_what_lies_beyond_a_gap_survives_a_crash_and_joins_the_log_when_the_gap_is_closed() -> None:
    cluster = cluster_of(3, clients=3)
    add(cluster, 1, 2)  # the first slot opens the session
    for client, value in (("c2", 3), ("c3", 4)):
        cluster.invoke(client, "add", None, value)
        cluster.deliver("Request", to="n1")
    cluster.drop("Accept", to="n3")
    cluster.deliver("Accept", to="n3")
    follower = cluster.node("n3")
    assert (follower.accepted.last, list(follower.beyond), follower.mark) == (3, [5], 3)
    cluster.drop("Learn", to="n1")
    cluster.crash("n3")
    cluster.restart("n3")
    assert list(cluster.node("n3").beyond) == [5]
    cluster.stabilize()
    beat(cluster)
    beat(cluster)
    follower = cluster.node("n3")
    assert (follower.accepted, list(follower.beyond)) == (cluster.node("n1").accepted, [])
    assert len(cluster.outcomes) == 4 and tapes(cluster)[0] == tapes(cluster)[2]


def test_a_new_ballot_takes_the_place_of_what_older_ones_left_and_keeps_what_follows() -> None:
    cluster = cluster_of(3)
    follower = cluster.node("n3")
    first = follower.promised
    follower.accept(1, (None, None, None))
    follower.accept(5, (None,))
    second = Ballot(first.round + 1, "n2")
    follower.promise(second)
    follower.accept(1, (None,))
    assert [proposal.ballot for proposal in follower.accepted] == [second, first, first]
    assert follower.mark == 1
    follower.accept(2, (None, None, None, None))
    assert [proposal.ballot for proposal in follower.accepted] == [second] * 5
    assert (follower.mark, len(follower.beyond)) == (5, 0)
    cuts = follower.accepted.cuts
    follower.accept(2, (None, None))  # once more, from a link that repeats itself
    assert (follower.mark, follower.accepted.cuts) == (5, cuts)


@pytest.mark.parametrize("part", [1, 7, 1 << 20])
def test_who_was_away_for_long_is_sent_the_checkpoint_and_the_rest(part: int) -> None:
    cluster = cluster_of(3, checkpoint_every=5, checkpoint_trailing=0, checkpoint_part=part)
    cluster.crash("n3")
    add(cluster, *range(13))
    cluster.restart("n3")
    beat(cluster)
    beat(cluster)
    assert tapes(cluster) == [list(range(13))] * 3
    assert cluster.node("n3").machine == cluster.node("n1").machine  # sessions too


def test_a_part_that_is_lost_is_asked_for_again() -> None:
    cluster = cluster_of(3, checkpoint_every=5, checkpoint_trailing=0, checkpoint_part=10)
    cluster.crash("n3")
    add(cluster, *range(8))
    cluster.restart("n3")
    cluster.fire("n1", "heartbeat")
    for _ in range(3):
        while not cluster.waiting(Part):
            cluster.deliver()
        cluster.drop("Part")
        cluster.stabilize()
        for _ in range(4):
            cluster.advance(50 * MILLISECOND)
            cluster.deliver("Heartbeat", to="n3")
            cluster.deliver("Heartbeat", to="n2")
            while sent(cluster, "Accepted"):
                cluster.deliver("Accepted", to="n1")
    cluster.stabilize()
    beat(cluster)
    assert tapes(cluster) == [list(range(8))] * 3


def returning(node: type[MultiPaxos] = MultiPaxos) -> Cluster:
    """n3 was away while 60 values were added, and has the first part of the leader's checkpoint."""
    cluster = cluster_of(3, node=node, checkpoint_every=5, checkpoint_trailing=0, checkpoint_part=10)
    cluster.crash("n3")
    add(cluster, *range(60))
    cluster.restart("n3")
    cluster.fire("n1", "heartbeat")
    cluster.deliver("Heartbeat", to="n3")
    cluster.deliver("Learn", to="n1")
    cluster.deliver("Part", to="n3")
    assert cluster.node("n3").incoming_slot == cluster.node("n1").checkpoint.slot
    return cluster


def add_meanwhile(cluster: Cluster, *values: int) -> None:
    """The others go on, while what n3 says and is told takes its time."""
    held: list[Envelope] = []
    for value in values:
        cluster.invoke("c1", "add", None, value)
        while True:
            held += [cluster.drop(each) for each in cluster.envelopes[:] if "n3" in (each.sender, each.to)]
            if not cluster.envelopes:
                break
            cluster.deliver()
    cluster.envelopes[:] = held


def transfer(cluster: Cluster) -> list[int]:
    """Part after part is sent, 20 at the most, and a newer checkpoint taken each time; the slots of those that n3 installed."""
    for value in range(60, 160, 5):
        if not sent(cluster, "Fetch"):
            break
        add_meanwhile(cluster, *range(value, value + 5))
        cluster.deliver("Fetch", to="n1")
        cluster.deliver("Part", to="n3")
    return [fields["slot"] for node, name, fields in cluster.notes if (node, name) == ("n3", "installed_snapshot")]


def test_a_transfer_is_finished_however_many_checkpoints_are_taken_meanwhile() -> None:
    """What comes after that checkpoint is in the log still, so that the follower needs no other one."""
    cluster = returning()
    leader = cluster.node("n1")
    slot = leader.checkpoint.slot
    assert transfer(cluster) == [slot]
    assert leader.checkpoint.slot > slot + 20 and leader.slots.compacted == slot
    cluster.stabilize()
    beat(cluster)
    beat(cluster)
    assert len([note for note in cluster.notes if note[:2] == ("n3", "installed_snapshot")]) == 1
    assert tapes(cluster)[0] == tapes(cluster)[2] and leader.transfers == {}
    add(cluster, *range(500, 560))
    assert len(leader.accepted) <= 10


def test_it_would_not_be_if_the_leader_began_anew_with_each_checkpoint() -> None:
    assert transfer(returning(BeginsEachCheckpointAnew)) == []


def test_a_follower_that_goes_away_during_a_transfer_does_not_hold_up_the_log() -> None:
    cluster = returning()
    leader = cluster.node("n1")
    cluster.crash("n3")
    for value in range(60, 110):
        add(cluster, value)
        cluster.advance(50 * MILLISECOND)
        cluster.stabilize()
        assert len(leader.accepted) < 30, "the log only grows"
    assert leader.transfers == {} and len(leader.accepted) <= 10
    cluster.restart("n3")
    beat(cluster)
    beat(cluster)
    assert tapes(cluster) == [list(range(110))] * 3


def test_a_follower_that_restarts_over_and_over_does_not_hold_up_the_log_either() -> None:
    """It asks from the start again each time. Only what it did not have before counts as progress."""
    cluster = returning()
    leader = cluster.node("n1")
    for value in range(60, 110):
        cluster.crash("n3")
        cluster.restart("n3")
        cluster.drop_all()
        cluster.fire("n1", "heartbeat")
        for to, kind in (("n3", "Heartbeat"), ("n1", "Learn"), ("n3", "Part"), ("n1", "Fetch")):
            cluster.deliver(kind, to=to)
        lose(cluster, "Part")
        add_meanwhile(cluster, value)
        cluster.advance(50 * MILLISECOND, fire=False)
        assert len(leader.accepted) < 30, "the log only grows"


def test_the_log_stays_bounded() -> None:
    cluster = cluster_of(3, checkpoint_every=10, checkpoint_trailing=3)
    for value in range(100):
        add(cluster, value)
        assert all(len(cluster.node(name).accepted) <= 10 + 3 + 10 for name in ("n1", "n2", "n3"))
    cluster.crash("n2")
    cluster.restart("n2")
    beat(cluster)
    assert tapes(cluster) == [list(range(100))] * 3


def test_a_leader_that_hears_no_quorum_steps_down() -> None:
    cluster = cluster_of(3)
    for _ in range(8):
        cluster.drop_all()
        cluster.advance(50 * MILLISECOND)
    assert cluster.node("n1").role != "leader"
    assert ("n1", "stepped_down") in [note[:2] for note in cluster.notes]


def test_a_raised_ballot_keeps_the_clients_that_wait() -> None:
    cluster = cluster_of(3)
    add(cluster, 1)
    cluster.fire("n3", "start_election")  # it has missed nothing, and stands all the same
    cluster.envelopes[:] = cluster.waiting(to="n3")
    operation = cluster.invoke("c1", "add", None, 2)
    cluster.stabilize()
    assert "raised" in [name for _, name, _ in cluster.notes]
    assert operation in cluster.outcomes and cluster.now == 0
    beat(cluster)
    assert tapes(cluster) == [[1, 2]] * 3


def test_a_ballot_that_cannot_be_raised_ends_the_leadership() -> None:
    """Its clients are told to ask elsewhere, and it goes on as a candidate for the ballot that it has begun."""
    cluster = cluster_of(3, read_mode="read_index")
    leader = cluster.node("n1")
    cluster.fire("n3", "start_election")
    cluster.envelopes[:] = cluster.waiting(to="n3")
    cluster.invoke("c1", "add", None, 2)
    cluster.deliver_all("Prepare")
    cluster.deliver(cluster.send("x", "n1", Query(7, TAPE.machine.command("read", None, None))))
    while leader.role == "leader":
        cluster.deliver(to="n3") if cluster.waiting(to="n3") else cluster.deliver("Preempted")
    assert (leader.role, len(leader.reads)) == ("raising", 1)
    ballot = leader.promised
    cluster.partition(["n1"], ["n2", "n3"])
    cluster.stabilize()
    cluster.fire("n1", "start_election")
    cluster.stabilize()
    assert (leader.role, leader.promised, len(leader.reads)) == ("candidate", ballot, 0)
    assert cluster.inbox["x"] == [NotLeader(7, 0, None)]
    cluster.heal()
    cluster.fire("n1", "prepare_again")
    cluster.stabilize()
    assert (leader.role, leader.promised) == ("leader", ballot)


def lose(cluster: Cluster, *kinds: str) -> None:
    """All messages of these kinds that are on their way."""
    for kind in kinds:
        cluster.drop_all(kind)


def win(cluster: Cluster, candidate: str, *voters: str) -> None:
    """The candidate gathers the promises of `voters`, before its own."""
    for voter in voters:
        cluster.deliver("Prepare", sender=candidate, to=voter)
        cluster.deliver("Promise", sender=voter, to=candidate)
    assert cluster.node(candidate).role == "leader"


def overtaken(node: type[MultiPaxos] = MultiPaxos) -> tuple[Cluster, int]:
    """n1 has proposed c1's add(10) in ballot 1 and c2's add(20) in ballot 2 for one slot, and leads ballot 3, where it finds
    the first of them. Its own promise comes last each time. Also the operation of c2."""
    cluster = cluster_of(5, node=node, clients=2)
    add(cluster, 1)
    add(cluster, 2, client="c2")
    beat(cluster)
    cluster.invoke("c1", "add", None, 10)
    cluster.deliver("Request", to="n1")
    cluster.deliver("Accept", to="n2")
    lose(cluster, "Accept", "Accepted")

    # It hears nobody for long, steps down, and comes back with those that have not accepted anything there.
    cluster.advance(400 * MILLISECOND, fire=False)
    cluster.fire("n1", "heartbeat")
    cluster.drop_all()
    assert cluster.node("n1").role == "follower"
    cluster.fire("n1", "start_election")
    win(cluster, "n1", "n3", "n4", "n5")
    lose(cluster, "Prepare")
    second = cluster.invoke("c2", "add", None, 20)
    cluster.deliver("Request", sender="c2", to="n1")
    lose(cluster, "Accept", "Accepted")

    # n2 stands, and refuses n1, which raises its ballot.
    cluster.fire("n2", "start_election")
    lose(cluster, "Prepare")
    cluster.deliver("Heartbeat", sender="n1", to="n2")
    cluster.deliver("Preempted", sender="n2", to="n1")
    win(cluster, "n1", "n2", "n3", "n4")
    return cluster, second


def test_no_client_is_answered_with_the_result_of_another_ones_command() -> None:
    """Both proposals are n1's own, of different ballots. c2 is not answered, asks again, and is told of its own command."""
    cluster, second = overtaken()
    cluster.stabilize()
    beat(cluster)
    assert second not in cluster.outcomes
    assert tapes(cluster) == [[1, 2, 10]] * 5
    for _ in range(12):  # until c2 asks again
        cluster.advance(50 * MILLISECOND)
        cluster.stabilize()
    assert cluster.outcomes[second] == Ok(4)
    assert tapes(cluster) == [[1, 2, 10, 20]] * 5


def test_it_would_be_if_any_ballot_of_its_leader_counted() -> None:
    cluster, second = overtaken(AnswersForAnyOwnBallot)
    cluster.stabilize()
    beat(cluster)
    assert (cluster.outcomes[second], tapes(cluster)[0]) == (Ok(3), [1, 2, 10])


def test_the_client_of_what_is_found_waits_on_however_often_the_ballot_is_raised() -> None:
    cluster = cluster_of(5)
    add(cluster, 1)
    operation = cluster.invoke("c1", "add", None, 2)
    cluster.deliver("Request", to="n1")
    cluster.deliver("Accept", to="n2")
    lose(cluster, "Accept", "Accepted")
    for _ in range(2):
        cluster.fire("n3", "start_election")
        lose(cluster, "Prepare", "Accept")
        cluster.fire("n1", "heartbeat")
        cluster.deliver("Heartbeat", sender="n1", to="n3")
        cluster.deliver("Preempted", sender="n3", to="n1")
        win(cluster, "n1", "n2", "n3", "n4")
        lose(cluster, "Accept", "Accepted", "Prepare", "Promise", "Heartbeat")
    assert len([note for note in cluster.notes if note[:2] == ("n1", "raised")]) == 2
    cluster.fire("n1", "heartbeat")
    cluster.stabilize()
    assert cluster.outcomes == {0: Ok(1), operation: Ok(2)} and cluster.now == 0
    assert tapes(cluster)[0] == [1, 2]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    "message",
    [
        Prepare(Ballot(9, "n2"), 1),
        Prepare(Ballot(9, "n2"), 1, released=Ballot(8, "n2")),  # released another leader than the one that it follows
        Promise(Ballot(9, "n2"), ()),
        Accepted(Ballot(9, "n2"), 5, 5),
        Preempted(Ballot(9, "n2")),
        TooFarBehind(Ballot(9, "n2")),
        Learn(Ballot(9, "n2"), 1, 1),
        Fetch(Ballot(9, "n2"), 1, 0),
        Part(Ballot(9, "n2"), 9, 0, 2, b"x"),
        TakeOver(Ballot(9, "n2")),
    ],
    ids=repr,
)
def test_no_message_but_one_of_a_new_leader_takes_an_acceptor_out_of_its_leaders_lease(
    message: Message, restarted: bool
) -> None:
    """Paxos Made Live, §5.2. A Prepare would have to wait; all else that names a higher ballot is no reason to enter it."""
    cluster = cluster_of(3, read_mode="lease", max_clock_drift_ppm=0)
    beat(cluster)
    if restarted:
        cluster.crash("n3")
        cluster.restart("n3")
    bound = cluster.node("n3").promised
    cluster.advance(Duration("150ms") - 1 - cluster.now, fire=False)
    cluster.send("n2", "n3", message)
    cluster.deliver(sender="n2", to="n3")
    assert (cluster.node("n3").promised, cluster.node("n3").role) == (bound, "follower")
    cluster.advance(1, fire=False)  # the lease is over
    cluster.send("n2", "n3", Prepare(Ballot(9, "n2"), cluster.node("n3").chosen + 1))
    cluster.deliver("Prepare", sender="n2", to="n3")
    assert cluster.node("n3").promised == Ballot(9, "n2")


def test_the_leader_gives_way_to_the_heir_and_the_administrator_is_told() -> None:
    cluster = cluster_of(3, client=Administrator)
    operation = cluster.invoke("c1", "transfer_leader", None, "n3")
    cluster.stabilize()
    assert [cluster.node(name).role for name in ("n1", "n2", "n3")] == ["follower", "follower", "leader"]
    assert cluster.now == 0  # nobody's lease was waited for
    for _ in range(12):  # until the administrator asks again
        cluster.advance(50 * MILLISECOND)
        cluster.stabilize()
    assert cluster.outcomes == {operation: Ok()}


def test_an_heir_that_does_not_come_along_is_given_up() -> None:
    cluster = cluster_of(3, client=Administrator)
    cluster.crash("n3")
    cluster.node("n1").marks.pop("n3")
    cluster.invoke("c1", "transfer_leader", None, "n3")
    cluster.deliver("Administer", to="n1")
    assert cluster.node("n1").successor == "n3"
    for _ in range(7):
        cluster.advance(50 * MILLISECOND)
        cluster.stabilize()
    assert (cluster.node("n1").successor, cluster.node("n1").role) == (None, "leader")


def test_a_checkpoint_that_the_log_has_overtaken_is_asked_for_no_longer() -> None:
    cluster = cluster_of(3)
    add(cluster, 1, 2, 3)
    beat(cluster)
    cluster.node("n3").incoming = IncomingTransfer((2,), [b"the beginning of one"], 20)
    cluster.invoke("c1", "add", None, 4)
    cluster.deliver("Request", to="n1")
    cluster.drop("Accept", to="n3")
    cluster.stabilize()
    beat(cluster)
    beat(cluster)
    assert tapes(cluster) == [[1, 2, 3, 4]] * 3


def test_a_part_that_was_asked_for_before_a_restart_is_left_alone() -> None:
    cluster = cluster_of(3, checkpoint_every=5, checkpoint_trailing=0, checkpoint_part=10)
    cluster.crash("n3")
    add(cluster, *range(8))
    cluster.restart("n3")
    cluster.fire("n1", "heartbeat")
    cluster.deliver("Heartbeat", to="n3")
    cluster.deliver("Learn", to="n1")
    cluster.crash("n3")
    cluster.restart("n3")
    cluster.deliver("Part", to="n3")
    assert cluster.node("n3").incoming_slot == 0
    cluster.stabilize()
    beat(cluster)
    assert tapes(cluster) == [list(range(8))] * 3


def test_a_candidate_that_is_too_far_behind_gives_way_to_those_that_can_win() -> None:
    cluster = cluster_of(3, checkpoint_every=5, checkpoint_trailing=0)
    cluster.crash("n3")
    add(cluster, *range(13))
    beat(cluster)
    cluster.crash("n1")
    cluster.restart("n3")
    cluster.advance(Duration("150ms"), fire=False)  # n2 is no longer bound
    cluster.fire("n3", "start_election")
    cluster.stabilize()
    config = MultiPaxosConfig()
    assert cluster.node("n3").role == "lagging"
    assert cluster.timers("n3")["", "start_election", ()] == cluster.now + 2 * config.election_timeout_max
    for _ in range(2):  # its first ballot is below n3's
        cluster.fire("n2", "start_election")
        cluster.stabilize()
    assert [cluster.node(name).role for name in ("n2", "n3")] == ["leader", "follower"]
    assert cluster.timers("n3")["", "start_election", ()] <= cluster.now + config.election_timeout_max
    beat(cluster, "n2")
    assert tapes(cluster) == [list(range(13))] * 2


def test_that_an_earlier_ballot_was_too_far_behind_says_nothing_about_the_one_under_way() -> None:
    cluster = cluster_of(3)
    cluster.crash("n1")
    cluster.advance(Duration("150ms"), fire=False)
    cluster.fire("n2", "start_election")
    earlier = cluster.node("n2").promised
    cluster.fire("n3", "start_election")
    cluster.deliver("Prepare", sender="n2", to="n3")
    cluster.deliver("Preempted", sender="n3", to="n2")
    cluster.deliver("Prepare", sender="n2", to="n2")
    cluster.deliver("Promise", sender="n2", to="n2")
    cluster.fire("n2", "start_election")  # a quorum has answered
    assert cluster.node("n2").promised > earlier
    timers = cluster.timers("n2")
    cluster.send("n3", "n2", TooFarBehind(earlier))
    cluster.deliver("TooFarBehind", to="n2")
    assert (cluster.node("n2").role, cluster.timers("n2")) == ("candidate", timers)
    cluster.stabilize()
    assert cluster.node("n2").role == "leader"


def test_a_read_that_waits_while_the_ballot_is_raised_sees_what_another_leader_had_chosen_before_it_came() -> None:
    cluster = cluster_of(3, clients=2, read_mode="read_index")
    add(cluster, 1)
    add(cluster, 2, client="c2")
    cluster.advance(Duration("100ms"), fire=False)
    cluster.fire("n1", "heartbeat")
    cluster.deliver("Heartbeat", to="n3")
    cluster.deliver("Accepted", sender="n3", to="n1")
    cluster.drop_all()

    # n2 is free to promise at 150 ms. n1 hears nothing of ballot 2, in which c2's command is chosen.
    cluster.advance(Duration("50ms"), fire=False)
    cluster.fire("n3", "start_election")
    win(cluster, "n3", "n3", "n2")
    cluster.drop_all()
    write = cluster.invoke("c2", "add", None, 3)
    cluster.send("c2", "n3", cluster.drop("Request", sender="c2").message)
    cluster.deliver("Request", to="n3")
    cluster.drop("Accept", to="n1")
    cluster.stabilize()
    assert cluster.outcomes[write] == Ok(3)
    cluster.crash("n3")

    read = cluster.invoke("c1", "read")
    cluster.deliver("Query", to="n1")
    cluster.deliver("Heartbeat", sender="n1", to="n2")
    cluster.deliver("Preempted", sender="n2", to="n1")
    assert cluster.node("n1").role == "raising"
    cluster.stabilize()  # n2 is bound by n3's lease
    assert read not in cluster.outcomes
    cluster.advance(Duration("150ms"), fire=False)
    cluster.fire("n1", "prepare_again")
    cluster.stabilize()
    assert (cluster.node("n1").role, cluster.outcomes[read]) == ("leader", Ok(3))
