"""What is concluded from where the replicas of a run stood at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import msgspec
import pytest

from framework import Node, Replica
from framework.checking.convergence import ReplicaStates, Settled, convergence, finished, look, nothing_to_compare
from framework.checking.verdict import Verdict
from framework.core.errors import PluginError
from framework.core.replica import SHOWN, ReplicaState, replica_states

Alone: TypeAlias = Mapping[str, ReplicaState | None]
"""The one copy that each node keeps."""


class Keeper(Node):
    """Keeps whatever it is given."""

    applied = 40
    held = b"apples"

    @property
    def replica(self) -> Replica:
        return Replica(self.applied, lambda: self.held)


def at(applied: int, state: object = None) -> ReplicaState:
    keeper = Keeper()
    keeper.applied, keeper.held = applied, msgspec.msgpack.encode(state)
    return replica_states({"": keeper}, whole=True)[""]


def named(copies: Alone) -> ReplicaStates:
    return {node: None if copy is None else {"": copy} for node, copy in copies.items()}


def settled(copies: Alone, down: tuple[str, ...] = (), excuse: str = "") -> Settled:
    nodes = len({*copies, *down})
    return Settled(nodes=nodes, replica_states=named(copies), down=down, took=52_000_000, excuse=excuse)


def concluded(copies: Alone, down: tuple[str, ...] = (), excuse: str = "") -> tuple[Verdict, str]:
    result = convergence(settled(copies, down, excuse))
    return result.verdict, result.reason


def test_replicas_that_hold_the_same_are_valid() -> None:
    same = {node: at(1234, {"k": 1}) for node in ("n1", "n2", "n3")}
    assert concluded(same) == (Verdict.VALID, "3 replicas equal at 1,234, 52 ms after clients were quiet")


def test_nodes_that_are_down_are_left_out_and_named() -> None:
    verdict, reason = concluded({"n1": at(7), "n2": at(7), "n5": at(7)}, down=("n3", "n4"))
    assert verdict is Verdict.VALID
    assert reason == "3 replicas equal at 7, 52 ms after clients were quiet; n3 n4 are down"


def test_replicas_that_applied_as_much_and_differ_have_diverged_on_any_engine() -> None:
    apart = {"n1": at(40, [["a", 1], ["b", 2]]), "n2": at(40, [["a", 1], ["b", 3]]), "n3": at(40, [["a", 1], ["b", 2]])}
    result = convergence(settled(apart, excuse="it is slow"))
    assert (result.verdict, result.reason) == (Verdict.INVALID, "replicas that applied 40 differ: n1 n3 against n2")
    assert result.story[0].startswith("n1 n3 at 40: a state with the digest ")
    assert result.story[2:] == ("the first difference:", "  n1 has ['b', 2]", "  n2 has ['b', 3]")


def test_two_that_differ_are_found_also_where_a_third_stays_behind() -> None:
    verdict, reason = concluded({"n1": at(40, "x"), "n2": at(40, "y"), "n3": at(12)})
    assert (verdict, reason) == (Verdict.INVALID, "replicas that applied 40 differ: n1 against n2")


@pytest.mark.parametrize(
    ("one", "other", "sides"),
    [
        ([["a", 1]], [["a", 1], ["b", 2]], ("nothing more", "['b', 2]")),
        ([msgspec.msgpack.encode([["a", 1]]), []], [msgspec.msgpack.encode([["a", 2]]), []], ("['a', 1]", "['a', 2]")),
        ([b"\xc1", [[3, 4]]], [b"\xc1", [[3, 5]]], ("[3, 4]", "[3, 5]")),
        (b"\xc1a", b"\xc1b", (r"b'\xc1a'", r"b'\xc1b'")),
        ([True], [1], ("[True]", "[1]")),
        ("x" * 500, "y", (f"'{'x' * 119} …", "'y'")),
    ],
    ids=["longer", "within bytes", "after bytes that are equal", "no msgpack", "equal to Python", "long"],
)
def test_the_first_difference_is_shown(one: object, other: object, sides: tuple[str, str]) -> None:
    story = convergence(settled({"n1": at(1, one), "n2": at(1, other)})).story
    assert story[3:] == (f"  n1 has {sides[0]}", f"  n2 has {sides[1]}")


def test_large_states_are_compared_by_their_digests_alone() -> None:
    story = convergence(settled({"n1": at(1, "x" * SHOWN), "n2": at(1, "y" * SHOWN)})).story
    assert len(story) == 2 and "digest" in story[0]


@pytest.mark.parametrize(
    ("replica_states", "reason"),
    [
        ({"n1": at(40), "n2": at(40), "n3": at(12)}, "n3 stays at 12 while n1 n2 are at 40"),
        ({"n1": at(41), "n2": at(40), "n3": at(40)}, "n2 n3 stay at 40 while n1 is at 41"),
        ({"n1": at(3), "n2": at(9), "n3": at(2)}, "n3 stays at 2 and n1 stays at 3 while n2 is at 9"),
    ],
)
def test_a_replica_that_stays_behind_is_invalid(replica_states: Mapping[str, ReplicaState], reason: str) -> None:
    assert concluded(replica_states) == (Verdict.INVALID, f"{reason}, 52 ms after clients were quiet")


def test_where_time_is_real_it_is_unknown_whether_one_that_stays_behind_would_have_come() -> None:
    verdict, reason = concluded({"n1": at(40), "n2": at(12)}, excuse="the machine may be slow")
    assert verdict is Verdict.UNKNOWN
    assert reason == "n2 stays at 12 while n1 is at 40, 52 ms after clients were quiet (the machine may be slow)"


def test_without_an_order_a_difference_may_be_no_more_than_lateness() -> None:
    apart = {"n1": at(0, "new"), "n2": at(0, "old")}
    assert concluded(apart)[0] is Verdict.INVALID
    assert concluded(apart, excuse="it is slow") == (
        Verdict.UNKNOWN, "replicas differ, 52 ms after clients were quiet: n1 against n2 (it is slow)",
    )  # fmt: skip


def test_without_a_majority_nobody_need_come_on() -> None:
    verdict, reason = concluded({"n1": at(40), "n2": at(12)}, down=("n3", "n4"))
    assert verdict is Verdict.UNKNOWN
    assert reason.endswith("(only 2 of 4 nodes run)")


def test_what_the_protocol_says_of_those_that_run_outweighs_their_number() -> None:
    replica_states = {"n1": at(40), "n2": at(12), "n3": at(40)}
    behind = "n2 stays at 12 while n1 n3 are at 40, 52 ms after clients were quiet"

    def found(down: tuple[str, ...], can_serve: bool) -> tuple[Verdict, str]:
        result = convergence(replace(settled(replica_states, down), can_serve=can_serve))
        return result.verdict, result.reason

    assert found(("n4",), False) == (Verdict.UNKNOWN, f"{behind} (only 3 of 4 nodes run, too few to serve)")
    assert found(("n4", "n5", "n6"), True) == (Verdict.INVALID, behind)
    assert concluded({"n1": at(40, "x"), "n2": at(40, "y")}, down=("n3", "n4"))[0] is Verdict.INVALID


def test_one_that_does_not_answer_leaves_it_unknown() -> None:
    assert concluded({"n1": at(40), "n2": at(40), "n3": None}) == (Verdict.UNKNOWN, "n3 did not answer")
    assert concluded({"n1": None, "n2": None}) == (Verdict.UNKNOWN, "n1 n2 did not answer")


def test_fewer_than_two_replicas_are_not_compared() -> None:
    assert nothing_to_compare(settled({"n1": at(4)})) == "nothing to compare: n1 alone keeps a copy"
    assert nothing_to_compare(settled({})) == "nothing to compare: no node that runs keeps a copy"
    assert nothing_to_compare(settled({"n1": at(4), "n2": None})) == ""


def test_states_are_asked_for_only_where_all_have_applied_as_much() -> None:
    asked: list[bool] = []
    stand: dict[str, ReplicaState | None] = {"n1": at(2), "n2": at(1)}

    def ask(whole: bool) -> ReplicaStates:
        asked.append(whole)
        return named(stand)

    assert look(ask, last=False) is None and asked == [False]
    stand["n2"] = None
    assert look(ask, last=False) is None and asked == [False, False]
    stand["n2"] = at(2, "something else")
    assert look(ask, last=False) is None and asked == [False, False, False, True]
    assert look(ask, last=True) == named(stand)
    stand["n2"] = at(2)
    assert look(ask, last=False) == named(stand)


def test_a_node_without_a_replica_stands_nowhere() -> None:
    assert replica_states({"": Node()}, whole=True) == {}
    assert replica_states({"": Keeper()}, whole=False) == {"": ReplicaState(40)}


class Chunks(Node):
    """Keeps several copies without mounts."""

    @property
    def replicas(self) -> Mapping[str, Replica]:
        return {chunk: Replica(0, chunk.encode) for chunk in ("a", "b")}


def test_copies_are_named_by_their_mount_and_by_themselves() -> None:
    found = replica_states({"": Node(), "shard-7": Keeper(), "store": Chunks()}, whole=False)
    assert found == {"shard-7": ReplicaState(40), "store/a": ReplicaState(0), "store/b": ReplicaState(0)}


def test_replicas_that_are_no_mapping_are_an_error() -> None:
    class Wrong(Node):
        @property
        def replicas(self) -> Any:
            return [Replica(1, lambda: b"")]

    with pytest.raises(PluginError, match=r"Wrong\.replicas: gives \[Replica.*Return a dict of Replicas by name"):
        replica_states({"": Wrong()}, whole=False)


def test_the_copies_of_each_name_are_compared_among_the_nodes_that_keep_it() -> None:
    def verdict(states: ReplicaStates) -> tuple[Verdict, str]:
        result = convergence(Settled(nodes=3, replica_states=states, down=(), took=52_000_000))
        return result.verdict, result.reason

    x, y = at(4, "x"), at(4, "y")
    equal = {"n1": {"a": x, "b": y}, "n2": {"a": x}, "n3": {"b": y, "c": at(1)}}
    assert verdict(equal) == (Verdict.VALID, "3 groups of replicas equal, 52 ms after clients were quiet")
    apart = {"n1": {"a": x, "b": at(9)}, "n2": {"a": y, "b": at(7)}}
    assert verdict(apart) == (Verdict.INVALID, "replicas of a that applied 4 differ: n1 against n2")
    late = {"n1": {"a": x, "b": at(9)}, "n2": {"a": x, "b": at(7)}}
    assert verdict(late)[1] == "b: n2 stays at 7 while n1 is at 9, 52 ms after clients were quiet"
    lone = Settled(nodes=2, replica_states={"n1": {"a": x}, "n2": {"b": x}}, down=(), took=1)
    assert nothing_to_compare(lone) == "nothing to compare: no two nodes keep copies of the same name"


def test_a_protocol_that_has_not_finished_is_invalid_unless_time_is_real() -> None:
    there = replace(settled({}), unfinished="transaction 7 is still in doubt at p2")
    assert finished(there).verdict is Verdict.INVALID
    assert finished(there).reason == "transaction 7 is still in doubt at p2, 52 ms after clients were quiet"
    assert finished(replace(there, excuse="it is slow")).verdict is Verdict.UNKNOWN
    assert finished(settled({})).verdict is Verdict.VALID


def test_the_states_of_all_names_are_compared_only_once_all_of_them_are_level() -> None:
    asked: list[bool] = []

    def ask(whole: bool) -> ReplicaStates:
        asked.append(whole)
        return {"n1": {"a": at(2), "b": at(5)}, "n2": {"a": at(2), "b": at(4)}}

    assert look(ask, last=False) is None and asked == [False]


def test_what_is_certainly_wrong_is_told_before_what_may_be_late() -> None:
    apart = {"n1": {"a": at(9), "b": at(4, "x")}, "n2": {"a": at(7), "b": at(4, "y")}}
    result = convergence(Settled(nodes=2, replica_states=apart, down=(), took=1, excuse="it is slow"))
    assert (result.verdict, result.reason) == (Verdict.INVALID, "replicas of b that applied 4 differ: n1 against n2")


def test_two_copies_of_one_name_are_an_error() -> None:
    with pytest.raises(PluginError, match=r"Keeper\.replicas: there are two copies called 'store/a'"):
        replica_states({"store": Chunks(), "store/a": Keeper()}, whole=False)
