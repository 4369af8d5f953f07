"""Three-phase commit driven by hand: what it costs, how each termination protocol ends, and where two of them disagree.

n1 coordinates; n2, n3 and n4 take part. With coordinators=0, n1 to n3 take part and n1 coordinates.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from experiments.planted_bugs.three_phase_commit_mutants import TakesTheFirstPhase
from framework import NO_BALLOT, Ballot, CommitReply, CommitRequest, Ok, Transaction
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.testing.cluster import Cluster
from plugins.protocols.three_phase_commit.messages import (
    Acknowledged,
    Decide,
    Inquire,
    PreAbort,
    PreCommit,
    Prepare,
    Refused,
    StateReply,
    StateRequest,
    Voted,
)
from plugins.protocols.three_phase_commit.node import Standing, ThreePhaseCommit, unfinished
from tests.composing import composed
from tests.plugins.protocols.two_phase_commit.stories import commit, count_messages, forced_writes

BASE = ("protocol=three_phase_commit", "workload=commits", "engine=sim", "clients=2")
COMMITTED, ABORTED = dict.fromkeys(("n2", "n3", "n4"), "committed"), dict.fromkeys(("n2", "n3", "n4"), "aborted")


def cluster(*settings: str, nodes: int = 4, node: type[ThreePhaseCommit] = ThreePhaseCommit) -> Cluster:
    experiment = composed(*BASE, f"nodes={nodes}", *(f"protocol.{setting}" for setting in settings)).experiment
    spec = experiment.protocol
    spec = dataclasses.replace(spec, roles={role: (node, count) for role, (_, count) in spec.roles.items()})
    made = Cluster.of(dataclasses.replace(experiment, protocol=spec))
    made.clear_log()
    return made


def decisions(nodes: Cluster, transaction: int) -> dict[str, str | None]:
    """What the participants that are up have decided."""
    return {
        node.id: node.decisions.get(transaction) for node in nodes.nodes() if node.id in node.roles["participant"]
    }  # fmt: skip


def prepared(*settings: str, node: type[ThreePhaseCommit] = ThreePhaseCommit) -> tuple[Cluster, int]:
    """All three have voted yes, and their votes are on the way."""
    nodes = cluster(*settings, node=node)
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    return nodes, operation


def precommitted_first(*settings: str, node: type[ThreePhaseCommit] = ThreePhaseCommit) -> tuple[Cluster, int]:
    """PreCommit has reached n2 alone, and the coordinator has crashed."""
    nodes, operation = prepared(*settings, node=node)
    nodes.deliver_all(Voted)
    nodes.deliver(PreCommit, to="n2")
    nodes.drop_all()
    nodes.crash("n1")
    return nodes, operation


# The normal case.


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_commit_costs_five_messages_a_participant_and_three_forced_writes(n: int) -> None:
    nodes = cluster(nodes=n + 1)
    operation = commit(nodes, *["yes"] * n)
    seen = count_messages(nodes)
    assert nodes.outcomes == {operation: Ok("committed")}
    assert seen == {"Prepare": n, "Voted": n, "PreCommit": n, "Acknowledged": n, "Decide": n}
    assert forced_writes(nodes) == 3 * n + 1  # votes, phases and decisions of all, and the coordinator's decision


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_participant_that_coordinates_saves_its_own_messages(n: int) -> None:
    nodes = cluster("coordinators=0", nodes=n)
    commit(nodes, *["yes"] * n)
    assert count_messages(nodes).total() == 5 * n - 5


def test_a_no_aborts_and_those_that_voted_yes_are_told() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "no", "yes")
    assert count_messages(nodes) == {"Prepare": 3, "Voted": 3, "Decide": 2}
    assert nodes.outcomes == {operation: Ok("aborted")}
    assert nodes.node("n2").locks == {} and nodes.node("n2").values.get("x") is None


def test_a_commit_writes_the_value_and_releases_the_lock() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.deliver_all(Prepare)
    assert nodes.node("n3").locks == {"x": operation}
    nodes.stabilize()
    assert nodes.node("n3").locks == {} and nodes.node("n3").values["x"] == operation


def test_a_key_that_is_locked_is_a_no() -> None:
    nodes, first = prepared()
    second = commit(nodes, "yes", "yes", "yes", client="c2")
    nodes.deliver_all(Prepare)
    assert {envelope.message.vote for envelope in nodes.waiting(Voted) if envelope.message.transaction == second} == {
        "no"
    }
    nodes.stabilize()
    assert nodes.outcomes == {first: Ok("committed"), second: Ok("aborted")}


def test_who_only_reads_has_no_further_phase() -> None:
    nodes = cluster()
    operation = commit(nodes, "yes", "read-only", "yes")
    assert count_messages(nodes) == {"Prepare": 3, "Voted": 3, "PreCommit": 2, "Acknowledged": 2, "Decide": 2}
    assert nodes.outcomes == {operation: Ok("committed")}
    everybody = cluster()
    commit(everybody, *["read-only"] * 3)
    assert count_messages(everybody) == {"Prepare": 3, "Voted": 3}


def test_a_missing_vote_aborts() -> None:
    nodes, operation = prepared()
    nodes.drop(Voted, "n4")
    nodes.deliver_all(Voted)
    nodes.time_out("n1", "go_on")
    nodes.stabilize()
    assert decisions(nodes, operation) == ABORTED


# Termination by quorums.


def test_quorum_all_uncertain_abort() -> None:
    nodes, operation = prepared()
    nodes.drop_all(Voted)
    nodes.crash("n1")
    nodes.time_out("n3", "end_without_coordinator")
    assert [envelope.message.attempt for envelope in nodes.waiting(StateRequest)] == [Ballot(1, "n3")] * 3
    nodes.deliver_all(StateRequest)
    nodes.deliver_all(StateReply)
    nodes.deliver_all(PreAbort)
    nodes.stabilize()
    assert decisions(nodes, operation) == ABORTED
    assert [name for _, name, _ in nodes.notes].count("unblocked") == 1


def test_quorum_one_precommitted_commits() -> None:
    nodes, operation = precommitted_first()
    nodes.time_out("n2", "end_without_coordinator")
    nodes.stabilize()
    assert decisions(nodes, operation) == COMMITTED


def test_quorum_a_minority_cannot_decide() -> None:
    nodes, operation = precommitted_first()
    nodes.partition(["n2"], ["n3", "n4"])
    for _ in range(5):
        nodes.time_out("n2")
        nodes.stabilize()
    assert decisions(nodes, operation)["n2"] is None
    nodes.time_out("n3", "end_without_coordinator")
    nodes.stabilize()
    assert decisions(nodes, operation) == {**ABORTED, "n2": None}
    nodes.heal()
    nodes.time_out("n2")
    nodes.stabilize()
    assert decisions(nodes, operation) == ABORTED


def test_quorum_who_has_promised_refuses_the_coordinator() -> None:
    nodes, operation = prepared()
    nodes.time_out("n3", "end_without_coordinator")
    nodes.deliver_all(StateRequest)
    nodes.drop_all(StateReply)
    nodes.deliver_all(Voted)
    nodes.deliver_all(PreCommit)
    assert nodes.waiting(Acknowledged) == []
    assert {envelope.message for envelope in nodes.waiting(Refused)} == {
        Refused(operation, NO_BALLOT, Ballot(1, "n3"))
    }  # fmt: skip


def test_quorum_the_promise_survives_a_crash() -> None:
    nodes, operation = prepared()
    nodes.time_out("n3", "end_without_coordinator")
    nodes.deliver(StateRequest, to="n4")
    nodes.crash("n4")
    nodes.restart("n4")
    assert nodes.node("n4").standings[operation].promised >= Ballot(1, "n3")


def latest_phase(node: type[ThreePhaseCommit]) -> tuple[Cluster, int]:
    """n2 is precommitted by the coordinator, n3 preaborted by an attempt of n4 that decided to abort; n2 collects."""
    nodes, operation = precommitted_first(node=node)
    nodes.time_out("n4", "end_without_coordinator")
    nodes.deliver_all(StateRequest, to="n3")
    nodes.deliver_all(StateRequest, to="n4")
    nodes.drop_all(StateRequest)
    nodes.deliver_all(StateReply)
    nodes.deliver_all(PreAbort, to="n3")
    nodes.deliver_all(PreAbort, to="n4")
    nodes.drop_all(PreAbort)
    nodes.deliver_all(Acknowledged)
    nodes.drop_all(Decide)
    assert decisions(nodes, operation)["n4"] == "aborted"
    nodes.crash("n4")
    nodes.time_out("n2", "end_without_coordinator")
    nodes.stabilize()
    nodes.time_out("n2", "stop_waiting")  # n3 has refused: 1.n2 is below 1.n4
    nodes.stabilize()
    return nodes, operation


def test_quorum_the_phase_of_the_highest_attempt_counts() -> None:
    nodes, operation = latest_phase(ThreePhaseCommit)
    nodes.restart("n4")
    nodes.stabilize()
    assert decisions(nodes, operation) == ABORTED


def test_quorum_a_collector_that_goes_by_the_lowest_attempt_disagrees() -> None:
    nodes, operation = latest_phase(TakesTheFirstPhase)
    nodes.restart("n4")
    assert set(decisions(nodes, operation).values()) == {"aborted", "committed"}


def test_quorum_two_collectors_and_the_lower_one_gives_way() -> None:
    nodes, operation = prepared()
    nodes.drop_all(Voted)
    nodes.crash("n1")
    nodes.time_out("n2", "end_without_coordinator")
    nodes.time_out("n4", "end_without_coordinator")
    nodes.stabilize()
    nodes.run(lambda: set(decisions(nodes, operation).values()) == {"aborted"})


def test_quorum_a_coordinator_that_comes_back_finds_out() -> None:
    nodes, operation = prepared()
    nodes.deliver_all(Voted)
    nodes.deliver_all(PreCommit)
    nodes.drop_all()
    nodes.crash("n1")
    nodes.restart("n1")
    nodes.run(lambda: operation in nodes.outcomes)
    assert nodes.outcomes == {operation: Ok("committed")} and decisions(nodes, operation) == COMMITTED


def test_a_late_duplicate_of_a_request_begins_nothing() -> None:
    nodes = cluster()
    transaction = Transaction(7, "x", (("n2", "yes"), ("n3", "yes"), ("n4", "yes")))
    for _ in range(2):  # the second time the coordinator has lost all memory of it
        nodes.deliver(nodes.send("c9", "n1", CommitRequest(7, transaction, incarnation=1)))
        nodes.drop_all(Prepare)
        nodes.crash("n1")
        nodes.restart("n1")
    assert nodes.waiting(Prepare) == []
    nodes.deliver(nodes.send("c9", "n1", CommitRequest(7, transaction, incarnation=3, again=True)))
    nodes.stabilize()
    assert nodes.inbox["c9"][-1] == CommitReply(7, "aborted"), "the participants had not voted, and will not"


# Skeen's termination.


def test_skeen_the_first_participant_that_runs_ends_it() -> None:
    nodes, operation = precommitted_first("termination=skeen")
    order = [nodes.timers(name)["", "end_without_coordinator", (operation,)] for name in ("n3", "n4")]
    assert order == sorted(order) and order[0] < order[1]
    nodes.time_out("n3", "end_without_coordinator")
    nodes.stabilize()
    assert decisions(nodes, operation) == COMMITTED


def test_skeen_all_uncertain_abort_and_whoever_is_silent_is_taken_for_crashed() -> None:
    nodes, operation = prepared("termination=skeen")
    nodes.drop_all(Voted)
    nodes.crash("n1")
    nodes.crash("n2")
    nodes.time_out("n3", "end_without_coordinator")
    nodes.stabilize()
    assert decisions(nodes, operation) == {"n3": None, "n4": None}
    nodes.time_out("n3", "stop_waiting")
    nodes.stabilize()
    assert decisions(nodes, operation) == {"n3": "aborted", "n4": "aborted"}


@pytest.mark.parametrize("termination", ["skeen", "timeout"])
def test_a_participant_that_was_down_asks_and_never_decides(termination: str) -> None:
    nodes, operation = precommitted_first(f"termination={termination}")
    for name in ("n2", "n3", "n4"):
        nodes.crash(name)
    nodes.restart("n2")
    for _ in range(5):
        nodes.time_out("n2")
    assert nodes.waiting(Inquire) and decisions(nodes, operation) == {"n2": None}
    running = {node.id: node for node in nodes.nodes() if node.id != "n1"}
    assert unfinished(running) is None, "after a total failure it may be blocked"
    nodes.restart("n3")
    running["n3"] = nodes.node("n3")
    running["n3"].decisions[operation] = "committed"
    assert unfinished(running) == f"transaction {operation} is in doubt at n2"


def test_timeout_each_decides_from_its_own_phase() -> None:
    nodes, operation = precommitted_first("termination=timeout")
    for name in ("n2", "n3", "n4"):
        nodes.time_out(name, "end_without_coordinator")
    assert decisions(nodes, operation) == {"n2": "committed", "n3": "aborted", "n4": "aborted"}


def test_who_has_not_voted_aborts_when_asked_and_votes_no_ever_after() -> None:
    nodes = cluster("termination=skeen")
    operation = commit(nodes, "yes", "yes", "yes")
    nodes.deliver(Prepare, to="n2")
    (late,) = nodes.waiting(Prepare, to="n3")
    nodes.time_out("n2", "end_without_coordinator")
    nodes.deliver(StateRequest, to="n3")
    assert decisions(nodes, operation)["n3"] == "aborted"
    nodes.crash("n3")
    nodes.restart("n3")
    nodes.deliver(late) if late in nodes.envelopes else nodes.deliver(nodes.send("n1", "n3", late.message))
    assert nodes.waiting(Voted, "n3")[-1].message.vote == "no"


def test_a_phase_is_entered_once_and_said_again() -> None:
    nodes, operation = prepared()
    nodes.deliver_all(Voted)
    nodes.deliver(PreCommit, to="n2")
    writes = forced_writes(nodes)
    nodes.deliver(nodes.send("n1", "n2", PreCommit(operation, NO_BALLOT)))
    assert forced_writes(nodes) == writes
    assert nodes.node("n2").standings[operation] == Standing("precommitted")
    assert len(nodes.waiting(Acknowledged)) == 2


# Whole runs.


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 5))])
@pytest.mark.parametrize(
    ("experiment", "termination", "verdict"),
    [
        ("three_phase_commit_partition", "timeout", "invalid"),
        ("three_phase_commit_partition", "skeen", "invalid"),
        ("three_phase_commit_partition", "quorum", "valid"),
        ("three_phase_commit_pause", "skeen", "invalid"),
        ("three_phase_commit_pause", "quorum", "valid"),
    ],
)
def test_partitions_and_pauses_break_what_takes_silence_for_a_crash(
    experiment: str, termination: str, verdict: str, seed: int, tmp_path: Path
) -> None:
    made = composed(f"experiment={experiment}", f"protocol.termination={termination}")
    plan = Plan(
        experiment=dataclasses.replace(made.experiment, seed=seed, run_dir=tmp_path), config=made.config, engine="sim", checkers=made.checkers, models=made.models,
    )  # fmt: skip
    result = execute(plan, engine_named("sim"), lambda now, tally: None)
    assert result.verdict.value == verdict, result.summary
    if verdict == "invalid":
        (broken,) = [check for check in result.checks if check.verdict.value == "invalid"]
        assert broken.name == "agreement" and len(broken.story) <= 20
        assert sum("← here it broke" in line for line in broken.story) == 1
        told = "\n".join(broken.story)
        assert 'decision="committed"' in told and 'decision="aborted"' in told and "fault" in told
