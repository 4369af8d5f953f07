"""Crashes of the coordinator and of participants at each point, under each presumption."""

from __future__ import annotations

import pytest

from framework import Ok
from framework.testing.cluster import Cluster
from plugins.protocols.two_phase_commit.messages import Acknowledged, Decide, Prepare, Voted
from plugins.protocols.two_phase_commit.node import unfinished
from tests.plugins.protocols.two_phase_commit.stories import cluster, commit, decisions, everyone

PRESUMED = ("nothing", "abort", "commit")


def restart(nodes: Cluster, *names: str) -> None:
    for name in names:
        if name in nodes.up:
            nodes.crash(name)
        nodes.restart(name)


def settle(nodes: Cluster) -> None:
    """Everything is delivered and times out until all is finished."""

    def settled() -> bool:
        return not unfinished({node.id: node for node in nodes.nodes()}) and not nodes.envelopes

    nodes.run(settled, timers=200)


# The coordinator.


@pytest.mark.parametrize("presumed", PRESUMED)
def test_it_crashes_before_the_decision(presumed: str) -> None:
    nodes = cluster(f"presumed={presumed}")
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    nodes.drop_all(Voted)
    restart(nodes, "n1")
    settle(nodes)
    known = decisions(nodes, operation)
    assert [known[name] for name in ("n2", "n3", "n4")] == ["aborted"] * 3
    nodes.run(lambda: operation in nodes.outcomes)
    assert nodes.outcomes == {operation: Ok("aborted")}
    assert len(nodes.node("n1").table) == 0


@pytest.mark.parametrize("presumed", PRESUMED)
def test_its_commit_record_is_lost_with_it(presumed: str) -> None:
    nodes = cluster(f"presumed={presumed}")
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    nodes.slow_disk("n1")
    nodes.deliver_all(Voted)
    nodes.crash("n1")
    nodes.fast_disk("n1")
    assert nodes.waiting(Decide) == []
    restart(nodes, "n1")
    settle(nodes)
    assert decisions(nodes, operation)["n2"] == "aborted"


@pytest.mark.parametrize("presumed", PRESUMED)
def test_its_commit_record_is_durable_and_nobody_was_told(presumed: str) -> None:
    nodes = cluster(f"presumed={presumed}")
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    nodes.slow_disk("n1")
    nodes.deliver_all(Voted)
    nodes.crash("n1", keep_commit=True)
    nodes.fast_disk("n1")
    restart(nodes, "n1")
    assert len(nodes.waiting(Decide)) == (0 if presumed == "commit" else 3)  # presumed commit has forgotten it
    settle(nodes)
    assert decisions(nodes, operation) == everyone(nodes, "committed")
    nodes.run(lambda: operation in nodes.outcomes)
    assert nodes.outcomes == {operation: Ok("committed")}


@pytest.mark.parametrize(
    ("presumed", "votes"), [("nothing", "no"), ("commit", "no"), ("nothing", "yes"), ("abort", "yes")]
)
def test_it_sends_a_decision_until_all_have_acknowledged_it(presumed: str, votes: str) -> None:
    nodes = cluster(f"presumed={presumed}")
    operation = commit(nodes, "yes", "yes", votes)
    nodes.deliver_all(Prepare)
    nodes.deliver_all(Voted)
    nodes.drop(Decide, to="n2")
    nodes.deliver_all(Decide)
    nodes.deliver_all(Acknowledged)
    assert nodes.node("n1").table[operation].left == ("n2",)
    for _ in range(2):
        nodes.time_out("n1", "resend")
        nodes.drop(Decide, to="n2")
    nodes.time_out("n1", "resend")
    nodes.stabilize()
    assert decisions(nodes, operation)["n2"] == ("committed" if votes == "yes" else "aborted")
    assert len(nodes.node("n1").table) == 0


def test_presumed_commit_aborts_what_it_has_collected_for_and_waits_for_acknowledgements() -> None:
    nodes = cluster("presumed=commit")
    operation = commit(nodes, "yes", "yes", "no")
    nodes.deliver(Prepare, to="n2")
    nodes.drop_all()
    restart(nodes, "n1")
    assert nodes.node("n1").table[operation].left == ("n2", "n3", "n4")
    nodes.deliver(Decide, to="n2")
    nodes.deliver_all(Acknowledged)
    restart(nodes, "n1")  # the acknowledgement was not on record
    assert nodes.node("n1").table[operation].left == ("n2", "n3", "n4")
    nodes.stabilize()
    assert decisions(nodes, operation) == everyone(nodes, "aborted")
    assert len(nodes.node("n1").table) == 0


def test_an_end_that_a_crash_undoes_is_reached_again() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.stabilize()
    restart(nodes, "n1")
    assert nodes.node("n1").table[operation].left == ("n2", "n3", "n4")  # the end is not forced
    nodes.stabilize()
    assert len(nodes.node("n1").table) == 0


def test_presumed_abort_forgets_an_abort_at_once() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "no")
    nodes.deliver_all(Prepare)
    nodes.deliver_all(Voted)
    nodes.drop_all(Decide)
    restart(nodes, "n1")
    assert decisions(nodes, operation)["n1"] is None
    settle(nodes)
    assert [decisions(nodes, operation)[name] for name in ("n2", "n3")] == ["aborted"] * 2


@pytest.mark.parametrize("presumed", PRESUMED)
def test_a_coordinator_that_takes_part_recovers_in_both_roles(presumed: str) -> None:
    nodes = cluster(f"presumed={presumed}", "coordinators=0", nodes=3)
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    restart(nodes, "n1")
    settle(nodes)
    assert decisions(nodes, operation) == everyone(nodes, "aborted")
    assert nodes.node("n1").locks == {}


def test_a_coordinator_that_takes_part_commits_with_its_record_of_the_decision() -> None:
    nodes = cluster("coordinators=0", nodes=3)
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    nodes.deliver_all(Voted)
    assert nodes.node("n1").values["x"] == operation
    nodes.drop_all(Decide)
    restart(nodes, "n1")
    settle(nodes)
    assert decisions(nodes, operation) == everyone(nodes, "committed")


# Participants.


@pytest.mark.parametrize("presumed", PRESUMED)
def test_a_participant_that_restarts_in_doubt_holds_its_lock_and_asks(presumed: str) -> None:
    nodes = cluster(f"presumed={presumed}")
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    nodes.deliver_all(Voted)
    nodes.drop(Decide, to="n2")
    restart(nodes, "n2")
    assert nodes.node("n2").locks == {"x": operation}
    nodes.stabilize()
    assert decisions(nodes, operation) == everyone(nodes, "committed")
    assert nodes.node("n2").locks == {}


def test_a_lost_vote_is_no_vote() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.slow_disk("n2")
    nodes.deliver(Prepare, to="n2")
    nodes.crash("n2")
    nodes.fast_disk("n2")
    nodes.restart("n2")
    assert nodes.node("n2").locks == {}
    nodes.stabilize()
    nodes.fire("n1", "give_up")
    nodes.stabilize()
    assert decisions(nodes, operation)["n1"] == "aborted"


@pytest.mark.parametrize(("presumed", "vote", "decision"), [("abort", "no", "aborted"), ("commit", "yes", "committed")])
def test_a_decision_that_is_not_forced_may_be_lost_and_comes_back(presumed: str, vote: str, decision: str) -> None:
    nodes = cluster(f"presumed={presumed}")
    operation = commit(nodes, "yes", "yes", vote)
    nodes.stabilize()
    assert decisions(nodes, operation)["n2"] == decision
    assert "unforced" not in nodes.stored("n2")[""]
    restart(nodes, "n1", "n2")
    assert decisions(nodes, operation)["n2"] is None
    assert nodes.node("n2").locks == {"x": operation}
    nodes.stabilize()
    assert decisions(nodes, operation)["n2"] == decision
    assert nodes.node("n2").values.get("x") == (operation if decision == "committed" else None)


def test_a_decision_that_is_not_forced_is_durable_before_the_next_vote_of_yes_leaves() -> None:
    """So no two transactions in doubt ever hold the same key."""
    nodes = cluster("presumed=commit")
    first = commit(nodes, "yes", "yes", "yes")
    nodes.stabilize()
    second = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    assert nodes.stored("n2")[""]["unforced"] == {first: "committed"}
    restart(nodes, "n2")
    assert nodes.node("n2").locks == {"x": second}


@pytest.mark.parametrize("presumed", ["nothing", "commit"])
def test_a_no_is_on_record_so_that_a_late_prepare_finds_no_yes(presumed: str) -> None:
    """With presumed commit a yes after the abort is forgotten would be taken for committed."""
    nodes = cluster(f"presumed={presumed}")
    first = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    second = commit(nodes, "yes", "yes", "yes", client="c2")
    late = nodes.waiting(Prepare, to="n4")[0]
    nodes.envelopes.append(late)
    nodes.stabilize()
    assert (nodes.outcomes[first], nodes.outcomes[second]) == (Ok("committed"), Ok("aborted"))
    restart(nodes, "n4")
    nodes.stabilize()
    nodes.deliver(nodes.send("n1", "n4", late.message))
    assert [each.message for each in nodes.waiting(Voted)] == [Voted(second, "no")]


# What is promised in the end.


def test_what_is_unfinished_is_named() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    running = {node.id: node for node in nodes.nodes()}
    assert unfinished(running) == f"transaction {operation} is in doubt at n2, which n1 can resolve"
    without = {name: node for name, node in running.items() if name != "n1"}
    assert unfinished(without) is None  # all are in doubt, and the coordinator is down
    nodes.deliver_all(Voted)
    nodes.deliver(Decide, to="n3")
    assert unfinished(without) == f"transaction {operation} is in doubt at n2, which n3 can resolve"
    nodes.deliver_all(Decide)
    assert unfinished(running) == f"n1 awaits acknowledgements of transaction {operation} from n2, n3, n4"
    nodes.stabilize()
    assert unfinished(running) is None
