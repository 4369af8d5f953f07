"""The token ring, driven by hand: the token on its way, elections, crashes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from framework import Ballot, JudgedRun, LockGrant, LockRequest, LockReturn
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.testing.cluster import Cluster
from plugins.protocols.token_ring.messages import Election, Overruled, Token, Wanted
from tests.composing import composed
from tests.plugins.protocols.mutex import (
    LOCK,
    acquire,
    cluster,
    cost_of_a_turn,
    count_messages,
    inside,
    release,
    tokens,
)


def holders(nodes: Cluster) -> list[str]:
    """Returns the nodes that have the token."""
    return [node.id for node in nodes.nodes() if LOCK in getattr(node, "tokens", ())]


def at(number: int, nodes: int = 3, *settings: str) -> Cluster:
    """Returns a ring whose token rests at a node."""
    ring = cluster("token_ring", *settings, nodes=nodes, clients=nodes)
    acquire(ring, f"c{number}")
    ring.stabilize()
    release(ring, f"c{number}")
    ring.clear_log()
    assert holders(ring) == [f"n{number}"]
    return ring


# The token.


def test_a_turn_step_by_step() -> None:
    nodes = at(2)
    nodes.invoke("c1", "acquire", LOCK)
    nodes.stabilize()
    assert nodes.log == [
        "c1 invokes acquire l1 as operation 2",
        "  → n1/ at lock: LockRequest(session=2, key=l1)",
        "n1 takes LockRequest(session=2, key=l1) from c1/lock",
        "  → n2: Wanted(key=l1, node=n1)",
        "n2 takes Wanted(key=l1, node=n1) from n1",
        "  commits tokens[l1] deleted",
        "  → n3: Token(key=l1, epoch=0.n1, turns=1, wanted=[n1])",
        "n3 takes Token(key=l1, epoch=0.n1, turns=1, wanted=[n1]) from n2",
        "  commits vows[l1]=0.n1, tokens[l1] deleted",
        "  → n1: Token(key=l1, epoch=0.n1, turns=1, wanted=[n1])",
        "n1 takes Token(key=l1, epoch=0.n1, turns=1, wanted=[n1]) from n3",
        '  commits tokens[l1]=Token(key=l1, epoch=0.n1, turns=2), inside[l1]=Grant(client="c1/lock", session=2, token=2)',
        "  → c1/lock: LockGrant(session=2, key=l1, token=2)",
        "c1 at lock takes LockGrant(session=2, key=l1, token=2) from n1/",
        "  completes operation 2: Ok(value=2)",
    ]


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7, 13])
def test_a_turn_costs_nothing_where_the_token_is_and_one_message_for_each_node_elsewhere(n: int) -> None:
    """The request goes on to the token, d nodes away, and the token goes the rest of the way round."""
    for distance in range(n):
        nodes = at(2, n)
        number = (1 - distance) % n + 1  # the token is `distance` nodes on from this one
        expected = Counter(Wanted=distance, Token=n - distance) if distance else Counter()
        assert cost_of_a_turn(nodes, f"c{number}") == expected


@pytest.mark.parametrize("n", [3, 5, 7])
def test_a_token_that_circulates_costs_one_message_a_turn_if_all_nodes_want_it(n: int) -> None:
    nodes = cluster("token_ring", "protocol.circulates=true", nodes=n, clients=2 * n)
    for number in range(1, 2 * n + 1):
        acquire(nodes, f"c{number}")
    nodes.drop_all(Wanted)
    hops = 0
    for number in range(1, n + 1):
        nodes.deliver(LockGrant)
        assert inside(nodes) == [f"n{number}"]
        release(nodes, f"c{number}")
        hops += len(nodes.deliver_all(Token))
    assert hops == n


def test_a_token_that_circulates_and_nobody_wants_costs_messages_without_end() -> None:
    nodes = cluster("token_ring", "protocol.circulates=true")
    acquire(nodes, "c1")
    nodes.stabilize()
    release(nodes, "c1")
    for _ in range(100):
        assert len(nodes.deliver_all(Token)) == 1


def test_a_token_that_circulates_may_rest_at_each_node() -> None:
    nodes = cluster("token_ring", "protocol.circulates=true", "protocol.rest=2ms")
    acquire(nodes, "c2")
    nodes.deliver_all(Wanted)  # n3
    nodes.deliver_all(Wanted)  # n1 creates the token
    assert holders(nodes) == ["n1"]
    nodes.time_out("n1", "pass_on", LOCK)
    nodes.stabilize()
    assert inside(nodes) == ["n2"]


def test_nodes_have_the_token_in_the_order_of_the_ring_and_one_client_a_visit() -> None:
    nodes = cluster("token_ring", clients=6)
    order = ["c1", "c2", "c3", "c4", "c5", "c6"]
    operations = {client: acquire(nodes, client) for client in ("c1", "c4", "c3", "c6", "c2", "c5")}
    nodes.stabilize()
    for client in order:
        assert inside(nodes) == [f"n{(int(client[1]) - 1) % 3 + 1}"]
        release(nodes, client)
        nodes.stabilize()
    granted = tokens(nodes, *(operations[client] for client in order))
    assert granted == sorted(granted)


def test_a_node_that_the_token_passes_takes_it_without_having_been_heard() -> None:
    nodes = at(1)
    acquire(nodes, "c3")
    nodes.deliver(Wanted)
    acquire(nodes, "c2")
    nodes.deliver(Token)
    assert inside(nodes) == ["n2"]


# Elections.


def lost() -> Cluster:
    """Returns a ring whose token is lost on its way from n1 to n2, and n3 waits for it."""
    nodes = at(1)
    acquire(nodes, "c3")
    nodes.deliver(Wanted)
    nodes.drop(Token)
    assert holders(nodes) == []
    return nodes


def test_a_lost_token_is_replaced() -> None:
    nodes = lost()
    nodes.time_out("n3", "start_election", LOCK)
    nodes.stabilize()
    assert inside(nodes) == ["n3"]
    assert nodes.node("n3").tokens[LOCK] == Token(LOCK, Ballot(1, "n3"), turns=1)
    assert [note[:2] for note in nodes.notes] == [("n3", "election"), ("n3", "regenerated")]


def test_an_election_costs_one_message_for_each_node() -> None:
    nodes = lost()
    nodes.time_out("n3", "start_election", LOCK)
    assert count_messages(nodes) == Counter(Election=3)


def test_the_later_of_two_elections_wins() -> None:
    """Chang and Roberts: a node passes on what is above its own."""
    nodes = lost()
    acquire(nodes, "c2")
    nodes.drop_all(Wanted)
    for name in ("n2", "n3"):
        nodes.time_out(name, "start_election", LOCK)
    nodes.deliver(Election, "n2", "n3")  # 1.n2 is below 1.n3
    assert [each.message for each in nodes.waiting(to="n2")] == [Overruled(LOCK, Ballot(1, "n3"))]
    nodes.stabilize()
    assert (holders(nodes), inside(nodes)) == (["n3"], ["n3"])
    release(nodes, "c3")
    nodes.time_out("n2", "start_election", LOCK)  # its request is lost, and the node with the token hears of it so
    nodes.stabilize()
    assert (holders(nodes), inside(nodes)) == (["n2"], ["n2"])


def test_an_overruled_node_goes_above_the_later_epoch() -> None:
    nodes = lost()
    nodes.send("n1", "n3", Overruled(LOCK, Ballot(7, "n1")))
    nodes.deliver(Overruled)
    nodes.time_out("n3", "start_election", LOCK)
    assert [each.message for each in nodes.waiting(Election)] == [Election(LOCK, Ballot(8, "n3"))]


def test_the_node_that_has_the_token_ends_an_election() -> None:
    nodes = at(1)
    held = acquire(nodes, "c1")
    nodes.stabilize()
    wanted = acquire(nodes, "c3")
    nodes.drop(Wanted)
    nodes.time_out("n3", "start_election", LOCK)
    nodes.stabilize()
    assert (holders(nodes), inside(nodes)) == (["n1"], ["n1"])
    assert nodes.node("n1").tokens[LOCK] == Token(LOCK, Ballot(2, "n1"), turns=2, wanted=("n3",))
    release(nodes, "c1")
    nodes.stabilize()
    assert inside(nodes) == ["n3"]
    first, second = tokens(nodes, held, wanted)
    assert first < second


def test_a_token_that_an_election_overtakes_is_discarded() -> None:
    nodes = at(1)
    acquire(nodes, "c3")
    nodes.deliver(Wanted)
    nodes.time_out("n3", "start_election", LOCK)
    while nodes.waiting(Election):
        nodes.deliver(Election)
    assert inside(nodes) == ["n3"]
    nodes.deliver(Token)
    assert (holders(nodes), nodes.notes[-1][:2]) == (["n3"], ("n2", "discarded"))


def test_an_election_before_a_token_that_has_come_is_void() -> None:
    nodes = at(1)
    acquire(nodes, "c3")
    nodes.deliver(Wanted)
    nodes.time_out("n3", "start_election", LOCK)
    nodes.deliver(Token)  # n2 passes it on before the election reaches it
    nodes.deliver(Election, "n3", "n1")
    nodes.deliver(Election, "n1", "n2")
    nodes.deliver(Token)  # n3 has vowed its own epoch
    nodes.stabilize()
    assert (holders(nodes), inside(nodes)) == (["n3"], ["n3"])


def test_an_election_waits_for_a_node_that_is_silent() -> None:
    nodes = lost()
    nodes.pause("n2")
    nodes.time_out("n3", "start_election", LOCK)
    nodes.stabilize()
    assert holders(nodes) == []
    nodes.resume("n2")
    nodes.stabilize()
    assert inside(nodes) == ["n3"]


# Crashes.


def test_a_node_that_crashes_with_the_token_still_has_it() -> None:
    nodes = at(2)
    acquire(nodes, "c2")
    nodes.stabilize()
    nodes.crash("n2")
    nodes.restart("n2")
    assert [each.message for each in nodes.waiting(LockGrant)] == [
        LockGrant(2, LOCK, nodes.node("n2").inside[LOCK].token)
    ]
    nodes.stabilize()
    assert (holders(nodes), inside(nodes), nodes.node("c2").held) == (["n2"], ["n2"], LOCK)


def test_a_lock_that_was_given_back_while_its_node_was_down_is_given_back_again() -> None:
    nodes = at(2)
    acquire(nodes, "c2")
    nodes.stabilize()
    nodes.crash("n2")
    nodes.invoke("c2", "release", LOCK)
    nodes.deliver(LockReturn)  # lost
    nodes.restart("n2")
    nodes.stabilize()
    assert inside(nodes) == []


def test_a_grant_that_no_client_has_heard_of_is_repeated() -> None:
    nodes = at(2)
    operation = acquire(nodes, "c2")
    nodes.drop(LockGrant)
    nodes.crash("n2")
    nodes.restart("n2")
    nodes.stabilize()
    assert operation in nodes.outcomes


def test_vows_last() -> None:
    nodes = lost()
    nodes.time_out("n3", "start_election", LOCK)
    nodes.deliver(Election, "n3", "n1")
    nodes.crash("n1")
    nodes.restart("n1")
    late = nodes.send("n3", "n1", Token(LOCK, Ballot(0, "n1"), wanted=("n2",)))
    nodes.deliver(late)
    assert nodes.notes[-1][:2] == ("n1", "discarded")


# Nodes that are taken for crashed.


def test_an_election_passes_a_silent_node_by() -> None:
    nodes = at(1, 3, "protocol.crashed_after=50ms")
    acquire(nodes, "c3")
    nodes.drop_all(Wanted)
    nodes.crash("n1")
    nodes.time_out("n3", "start_election", LOCK)
    nodes.stabilize()
    election = Election(LOCK, Ballot(1, "n3"))
    nodes.time_out("n3", "leave_out", election, "n1")
    nodes.stabilize()
    assert inside(nodes) == ["n3"]
    nodes.restart("n1")  # with the old token
    assert holders(nodes) == ["n1", "n3"]
    nodes.send("n2", "n1", Token(LOCK, Ballot(1, "n3"), turns=4))
    nodes.deliver(Token)
    assert nodes.node("n1").tokens[LOCK].epoch == Ballot(1, "n3")


def test_a_node_that_hears_nobody_replaces_the_token_for_itself() -> None:
    nodes = at(1, 3, "protocol.crashed_after=50ms")
    acquire(nodes, "c3")
    nodes.drop_all(Wanted)
    nodes.time_out("n3", "start_election", LOCK)
    nodes.drop_all(Election)
    for name in ("n1", "n2"):
        nodes.time_out("n3", "leave_out", Election(LOCK, Ballot(1, "n3")), name)
        nodes.drop_all(Election)
    assert inside(nodes) == ["n3"]


def test_an_election_that_comes_back_by_two_ways_creates_one_token() -> None:
    """The silent node was only slow, and passes the election on after it has come back by the node behind."""
    nodes = at(1, 4, "protocol.crashed_after=50ms")
    acquire(nodes, "c3")
    nodes.drop_all(Wanted)
    nodes.crash("n1")  # with the token of epoch 0
    nodes.time_out("n3", "start_election", LOCK)
    election = Election(LOCK, Ballot(1, "n3"))
    nodes.deliver(Election, "n3", "n4")
    [late] = [envelope for envelope in nodes.waiting(Election) if envelope.to == "n1"]
    nodes.drop(late)
    nodes.time_out("n4", "leave_out", election, "n1")
    nodes.stabilize()
    assert (holders(nodes), inside(nodes)) == (["n3"], ["n3"])
    release(nodes, "c3")
    acquire(nodes, "c4")
    nodes.stabilize()
    assert holders(nodes) == ["n4"]
    nodes.deliver(nodes.send("n2", "n3", election))
    nodes.stabilize()
    assert holders(nodes) == ["n4"]


def test_an_election_that_a_node_has_forgotten_creates_no_token() -> None:
    nodes = at(1)
    acquire(nodes, "c3")
    nodes.drop_all(Wanted)
    nodes.time_out("n3", "start_election", LOCK)
    nodes.crash("n3")
    nodes.restart("n3")
    nodes.deliver(nodes.send("n2", "n3", Election(LOCK, Ballot(1, "n3"))))
    assert holders(nodes) == ["n1"]


# Clients and runs.


def test_a_second_copy_of_a_request_is_granted_and_given_back() -> None:
    nodes = cluster("token_ring")
    nodes.invoke("c1", "acquire", LOCK)
    nodes.duplicate(LockRequest)
    nodes.stabilize()
    release(nodes, "c1")
    nodes.stabilize()
    assert inside(nodes) == []


@pytest.mark.synod("token_ring_chaos", seeds=2)
@pytest.mark.synod("token_ring_chaos", overrides=["protocol.circulates=true", "protocol.rest=1ms"], seeds=2)
def test_crashes_delay_reordering_and_pauses_are_survived(run: JudgedRun) -> None:
    assert run.result["operations"]["ok"] > 300
    assert run.result["sometimes"]["a lost token was replaced"]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fencing", ["false", "true"])
def test_a_partition_leads_to_two_tokens_and_a_fenced_store_rejects_the_older(
    seed: int, fencing: str, tmp_path: Path
) -> None:
    made = composed("experiment=token_ring_partition", f"workload.store.fencing={fencing}", "duration=3s")
    experiment = dataclasses.replace(made.experiment, seed=seed, run_dir=tmp_path / "run")
    plan = Plan(experiment=experiment, config=made.config, engine="sim", checkers=made.checkers, models=made.models)
    result = execute(plan, engine_named("sim"), lambda now, tally: None)
    verdicts = {check.name: check.verdict.value for check in result.checks}
    assert verdicts["mutual_exclusion"] == "invalid"
    assert verdicts["guarded_store"] == ("invalid" if fencing == "false" else "valid")
    assert verdicts["invariants"] == "valid"
    assert all(len(check.story) <= 20 for check in result.checks)
    assert (result.notes.get("rejected", 0) > 0) == (fencing == "true")
