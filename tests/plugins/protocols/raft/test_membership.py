"""Membership changes, held to §6 and to chapter 4 of the thesis."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.planted_bugs.raft_mutants import ChangesBeforeItsTerm
from framework import Administered, Command, NotLeader, Reply, Request, Violation
from framework.core.node_runtime import Deliver
from framework.replication.sessions import OPEN
from framework.testing.cluster import Cluster
from plugins.protocols.raft.messages import Appended, AppendEntries, Configuration, PreVote, RequestVote
from plugins.protocols.raft.node import Raft
from tests.plugins.protocols.raft.cluster import add, administer, elect, leader_of, raft_cluster, set_off
from tests.plugins.protocols.raft.swarm import swarm
from tests.plugins.protocols.raft.watching import Watching


def group(size: int, spares: int = 0, node: type[Raft] = Raft, **config: Any) -> Cluster:
    """A cluster whose invariants are watched."""
    cluster = raft_cluster(size, node, spares=spares, **config)
    Watching(cluster)
    return cluster


def voters(node: Any) -> str:
    return " ".join(sorted(node.quorums.nodes))


def configurations(cluster: Cluster) -> list[str]:
    """Those that leaders appended, as they noted it."""
    return [
        " | ".join(filter(None, (fields["old"], fields["voters"], fields["learners"])))
        for _, name, fields in cluster.notes
        if name == "configuration"
    ]


def answer(cluster: Cluster, operation: int, by: str = "admin") -> Any:
    """What the administrator was told last about an operation."""
    return [each for each in cluster.inbox.get(by, []) if each.operation == operation][-1]  # type: ignore[attr-defined]


def test_a_spare_stands_for_nothing_and_is_no_replica() -> None:
    cluster = group(3, spares=1)
    spare = cluster.node("n4")
    cluster.time_out("n4", "start_election")
    assert cluster.envelopes == []
    assert (spare.status.roles[0], spare.replica) == ("outside", None)


def test_a_spare_that_is_asked_votes_by_its_own_log() -> None:
    """Thesis 4.2.2: the candidate may know a configuration that this server does not."""
    cluster = group(3, spares=1)
    cluster.node("n4")._runtime.take(Deliver("", "n1", RequestVote(1, 0, 0)))
    assert (cluster.node("n4").term, cluster.node("n4").voted_for) == (1, "n1")


def test_a_spare_learns_catches_up_and_joins_through_the_joint_phase() -> None:
    cluster = group(3, spares=1)
    elect(cluster, "n1")
    cluster.deliver(cluster.send("c1", "n1", Request(1, add(0, OPEN, "x"))))
    cluster.stabilize()
    administer(cluster, "n1", 7, "add_node", "n4")
    cluster.stabilize()
    assert configurations(cluster) == ["n1 n2 n3 | n4", "n1 n2 n3 | n1 n2 n3 n4", "n1 n2 n3 n4"]
    assert answer(cluster, 7) == Administered(7)
    assert {voters(node) for node in cluster.nodes()} == {"n1 n2 n3 n4"}
    assert list(cluster.node("n4").log) == list(cluster.node("n1").log)


def test_the_answer_comes_once_the_new_configuration_is_committed() -> None:
    cluster = group(3)
    leader = elect(cluster, "n1")
    administer(cluster, "n1", 7, "remove_node", "n3")
    while not cluster.waiting(Administered):
        cluster.deliver(cluster.envelopes[0])
        assert (leader.commit == leader.log.last == 3) == bool(cluster.waiting(Administered))
    assert leader.configuration == Configuration(("n1", "n2"))


def test_what_is_so_already_is_answered_at_once() -> None:
    cluster = group(3, spares=1)
    leader = elect(cluster, "n1")
    administer(cluster, "n1", 1, "add_node", "n2")
    administer(cluster, "n1", 2, "remove_node", "n4")
    cluster.stabilize()
    assert cluster.inbox["admin"] == [Administered(1), Administered(2)]
    assert leader.log.last == 1


def test_a_wish_that_is_repeated_is_one_wish() -> None:
    cluster = group(3, spares=1)
    elect(cluster, "n1")
    for _ in range(3):
        administer(cluster, "n1", 7, "add_node", "n4")
    cluster.stabilize()
    assert cluster.inbox["admin"] == [Administered(7)]
    assert len(configurations(cluster)) == 3


def test_wishes_that_wait_together_are_one_joint_change() -> None:
    """Two servers for two others at once: more than a single-server change could do."""
    cluster = group(3, spares=2)
    set_off(cluster, "n1")
    for number, (function, node) in enumerate(
        [("add_node", "n4"), ("add_node", "n5"), ("remove_node", "n2"), ("remove_node", "n3")]
    ):
        administer(cluster, "n1", number, function, node, by=f"a{number}")
    cluster.stabilize()
    assert configurations(cluster)[-1] == "n1 n4 n5"
    assert [answer(cluster, number, f"a{number}") for number in range(4)] == [Administered(n) for n in range(4)]
    cluster.time_out("n4", "start_election")
    cluster.stabilize()
    assert leader_of(cluster).id == "n4"


def test_wishes_that_contradict_one_another_take_turns() -> None:
    cluster = group(3)
    set_off(cluster, "n1")
    administer(cluster, "n1", 1, "remove_node", "n3", by="a1")
    administer(cluster, "n1", 2, "add_node", "n3", by="a2")
    cluster.stabilize()
    assert {1, 2} == {answer(cluster, 1, "a1").operation, answer(cluster, 2, "a2").operation}
    assert voters(cluster.node("n1")) in ("n1 n2", "n1 n2 n3")


def test_the_last_voter_stays() -> None:
    cluster = group(2)
    set_off(cluster, "n1")
    administer(cluster, "n1", 1, "remove_node", "n1", by="a1")
    administer(cluster, "n1", 2, "remove_node", "n2", by="a2")
    cluster.stabilize()
    assert answer(cluster, 2, "a2") == Administered(2, "n2 is the last that has a vote")
    assert answer(cluster, 1, "a1") == Administered(1)
    cluster.time_out("n2", "start_election")
    cluster.stabilize()
    assert (leader_of(cluster).id, voters(leader_of(cluster))) == ("n2", "n2")


def test_a_joint_decision_takes_majorities_of_both() -> None:
    cluster = group(3, spares=2)
    leader = elect(cluster, "n1")
    for number, node in enumerate(("n4", "n5")):
        administer(cluster, "n1", number, "add_node", node, by=f"a{number}")
    while not leader.configuration.old:
        cluster.deliver(cluster.envelopes[0])
    joint = leader.log.last
    cluster.partition(["n1", "n4", "n5"], ["n2", "n3"])  # most of the new, and one of the old
    cluster.stabilize()
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert leader.commit < joint
    cluster.partition(["n1", "n2"], ["n3", "n4", "n5"])  # most of the old
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert leader.commit >= joint


def test_a_leader_that_is_left_out_does_not_count_itself_and_steps_down_at_the_end() -> None:
    cluster = group(3)
    leader = elect(cluster, "n1")
    administer(cluster, "n1", 7, "remove_node", "n1")
    while leader.configuration.old or leader.configuration.voters != ("n2", "n3"):
        cluster.deliver(cluster.envelopes[0])
    cluster.partition(["n1", "n2"], ["n3"])
    cluster.stabilize()
    assert (leader.role, leader.commit) == ("leader", leader.log.last - 1)
    cluster.heal()
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert answer(cluster, 7) == Administered(7)
    assert (leader.status.roles[0], leader.replica, leader.commit) == ("outside", None, leader.log.last)
    cluster.time_out("n1", "start_election")
    assert cluster.envelopes == []
    assert elect(cluster, "n2").log.last == 4


def test_what_clients_asked_of_a_leader_that_is_left_out_is_answered() -> None:
    cluster = group(3)
    elect(cluster, "n1")
    administer(cluster, "n1", 7, "remove_node", "n1")
    cluster.deliver(cluster.send("c1", "n1", Request(1, Command(0, OPEN, b""))))
    cluster.stabilize()
    assert cluster.inbox["c1"] == [Reply(1, OPEN, b"", 3)]


def test_whoever_leads_next_ends_a_joint_phase() -> None:
    cluster = group(3, spares=1)
    leader = elect(cluster, "n1")
    administer(cluster, "n1", 7, "add_node", "n4")
    while not leader.configuration.old:
        cluster.deliver(cluster.envelopes[0])
    cluster.deliver_all(AppendEntries)
    cluster.crash("n1")
    cluster.stabilize()
    assert voters(cluster.node("n2")) == "n1 n2 n3 n4"
    cluster.time_out("n2", "start_election")
    cluster.stabilize()
    assert configurations(cluster)[-1] == "n1 n2 n3 n4"
    assert leader_of(cluster).configuration == Configuration(("n1", "n2", "n3", "n4"))
    administer(cluster, "n2", 7, "add_node", "n4")  # the administrator asks again
    cluster.stabilize()
    assert answer(cluster, 7) == Administered(7)


def test_a_configuration_that_is_truncated_is_forgotten() -> None:
    cluster = group(3)
    elect(cluster, "n1")
    cluster.partition(["n1"], ["n2", "n3"])
    administer(cluster, "n1", 7, "remove_node", "n3")
    cluster.stabilize()
    assert cluster.node("n1").configuration.old == ("n1", "n2", "n3")
    elect(cluster, "n2")
    cluster.heal()
    cluster.time_out("n2", "heartbeat")
    cluster.stabilize()
    assert cluster.node("n1").membership.configurations == [(0, Configuration(("n1", "n2", "n3")))]
    assert answer(cluster, 7) == NotLeader(7, 0, None)


def test_a_restart_finds_the_configuration_in_the_log() -> None:
    cluster = group(3, spares=1)
    elect(cluster, "n1")
    administer(cluster, "n1", 7, "add_node", "n4")
    cluster.stabilize()
    before = {node.id: node.membership.configurations for node in cluster.nodes()}
    for server in cluster.servers:
        cluster.crash(server)
        cluster.restart(server)
    assert {node.id: node.membership.configurations for node in cluster.nodes()} == before
    assert elect(cluster, "n4").status.roles[0] == "leader"


def test_a_learner_neither_votes_nor_counts() -> None:
    cluster = group(2, spares=1, catch_up_rounds=1000)
    leader = elect(cluster, "n1")
    cluster.partition(["n1", "n2"], ["n3"])
    administer(cluster, "n1", 7, "add_node", "n3")
    cluster.stabilize()
    cluster.partition(["n1", "n3"], ["n2"])
    assert leader.configuration.learners == ("n3",)
    cluster.deliver(cluster.send("c1", "n1", Request(1, Command(0, OPEN, b""))))
    cluster.advance(cluster.config.election_timeout_min, fire=False)  # the round is too slow for n3 to be taken in
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    learner = cluster.node("n3")
    assert (learner.status.roles[0], learner.log.last) == ("learner", leader.log.last)
    assert leader.commit < leader.log.last
    cluster.crash("n1")
    cluster.restart("n1")
    cluster.time_out("n1", "start_election")
    cluster.stabilize()
    assert cluster.node("n1").role == "candidate"
    assert learner.voted_for == "n1"


def test_a_learner_that_lags_behind_for_too_many_rounds_is_refused() -> None:
    cluster = group(3, spares=1, catch_up_rounds=3)
    elect(cluster, "n1")
    administer(cluster, "n1", 7, "add_node", "n4")
    for operation in range(3):
        cluster.deliver(cluster.send("c1", "n1", Request(operation, Command(0, OPEN, b""))))
        cluster.advance(cluster.config.election_timeout_min, fire=False)
        cluster.stabilize()
    assert answer(cluster, 7) == Administered(7, "n4 did not catch up in 3 rounds")
    assert configurations(cluster) == ["n1 n2 n3 | n4", "n1 n2 n3"]
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert cluster.node("n4").status.roles[0] == "outside"


def test_a_learner_that_does_not_answer_is_given_up_and_may_be_added_later() -> None:
    cluster = group(3, spares=1)
    elect(cluster, "n1")
    cluster.crash("n4")
    administer(cluster, "n1", 7, "add_node", "n4")
    cluster.stabilize()
    cluster.time_out("n1", "give_up_learner")
    cluster.stabilize()
    assert answer(cluster, 7) == Administered(7, "n4 did not catch up within 10s")
    cluster.restart("n4")
    administer(cluster, "n1", 8, "add_node", "n4")
    cluster.stabilize()
    cluster.time_out("n1", "heartbeat")
    cluster.stabilize()
    assert answer(cluster, 8) == Administered(8)


def test_a_server_that_did_not_hear_that_it_was_left_out_is_told() -> None:
    cluster = group(4, prevote=True, check_quorum=True)
    leader = elect(cluster, "n1")
    cluster.crash("n4")
    administer(cluster, "n1", 7, "remove_node", "n4")
    cluster.stabilize()
    cluster.time_out("n1", "dismiss")
    assert leader.peers == ("n2", "n3")

    cluster.restart("n4")
    cluster.time_out("n4", "start_election")
    assert len(cluster.waiting(PreVote)) == 3
    cluster.stabilize()
    for _ in range(4):
        cluster.time_out("n1", "heartbeat")
        cluster.stabilize()
    assert (leader.role, leader.term, leader.peers) == ("leader", 1, ("n2", "n3"))
    assert cluster.node("n4").status.roles[0] == "outside"
    cluster.time_out("n4", "start_election")
    assert cluster.envelopes == []


@pytest.mark.parametrize("check_quorum", [False, True])
def test_without_prevote_it_deposes_the_leader_at_most_until_it_is_told(check_quorum: bool) -> None:
    cluster = group(4, check_quorum=check_quorum)
    elect(cluster, "n1")
    cluster.crash("n4")
    administer(cluster, "n1", 7, "remove_node", "n4")
    cluster.stabilize()
    cluster.restart("n4")
    for _ in range(3):
        cluster.time_out("n4", "start_election")
        cluster.stabilize()
    cluster.run(until=lambda: cluster.node("n4").status.roles[0] == "outside")
    assert leader_of(cluster).id != "n4"


def test_one_that_is_left_out_is_elected_if_the_others_need_its_log() -> None:
    """Thesis 4.2.2, Figure 4.6: n1 alone holds the configuration that leaves it out."""
    cluster = group(2)
    leader = elect(cluster, "n1")
    administer(cluster, "n1", 7, "remove_node", "n1")
    while leader.configuration.old or leader.configuration.voters != ("n2",):
        cluster.deliver(cluster.envelopes[0])
    cluster.crash("n1")
    cluster.drop_all()
    cluster.restart("n1")
    cluster.time_out("n2", "start_election")
    cluster.stabilize()
    assert cluster.node("n2").role != "leader"  # it lacks the last entry, and n1 votes by its log
    cluster.time_out("n1", "start_election")
    cluster.stabilize()
    assert cluster.node("n1").status.roles[0] == "outside"
    assert elect(cluster, "n2").log.last == cluster.node("n1").log.last + 1


def known_counter_example(node: type[Raft]) -> Cluster:
    """Ongaro's post of 2015: n1 adds n5 and nobody hears; n2 removes n1 with n3; n1 comes back with n4 and n5."""
    cluster = group(4, spares=1, node=node)
    elect(cluster, "n1")
    cluster.partition(["n1", "n5"], ["n2", "n3", "n4"])
    administer(cluster, "n1", 1, "add_node", "n5")
    cluster.stabilize()

    cluster.heal()
    set_off(cluster, "n2")
    cluster.drop_all(AppendEntries)
    administer(cluster, "n2", 2, "remove_node", "n1")
    cluster.drop_all(AppendEntries, to="n4")
    cluster.deliver_all(AppendEntries)
    cluster.deliver_all(Appended)
    cluster.partition(["n1", "n5"], ["n2", "n3", "n4"])
    return cluster


def test_the_known_counter_example_of_2015_comes_to_nothing() -> None:
    cluster = known_counter_example(Raft)
    leader = cluster.node("n2")
    assert leader.configuration == Configuration(("n1", "n2", "n3", "n4"))
    cluster.drop_all()
    cluster.time_out("n2", "heartbeat")
    cluster.stabilize()
    assert answer(cluster, 2) == Administered(2)
    cluster.partition(["n1", "n4", "n5"], ["n2", "n3"])
    for _ in range(3):
        cluster.time_out("n1", "start_election")
        cluster.stabilize()
    assert cluster.node("n1").role != "leader"


def test_it_is_what_a_change_before_the_terms_first_entry_leads_to() -> None:
    with pytest.raises(Violation, match="one change at a time"):
        known_counter_example(ChangesBeforeItsTerm)


def test_a_transfer_goes_to_voters_only() -> None:
    cluster = group(3, spares=1)
    elect(cluster, "n1")
    administer(cluster, "n1", 7, "transfer_leader", "n4")
    cluster.stabilize()
    assert answer(cluster, 7) == Administered(7, "n4 is none of n1, n2, n3")


@pytest.mark.long
@pytest.mark.parametrize("block", range(4))
def test_no_schedule_with_changes_breaks_raft(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        try:
            swarm(seed, spares=2)
        except Exception as broken:
            raise AssertionError(f"replay with swarm({seed}, spares=2)") from broken
