"""Quorum systems against naive twins that look at every subset."""

from __future__ import annotations

import copy
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from framework import (
    Joint,
    Majority,
    NodeId,
    OneOf,
    QuorumConfig,
    Quorums,
    QuorumSystem,
    Threshold,
    Weighted,
    grid_columns,
    grid_rows,
)
from framework.core.errors import ConfigError
from framework.core.plain_state import copy_plain

FIVE = ("n1", "n2", "n3", "n4", "n5")
SIX = (*FIVE, "n6")


def subsets(nodes: tuple[NodeId, ...]) -> list[frozenset[NodeId]]:
    return [frozenset(some) for size in range(len(nodes) + 1) for some in combinations(nodes, size)]


def is_quorum(quorums: Quorums, some: frozenset[NodeId]) -> bool:
    """The definition of each kind, word for word."""
    if isinstance(quorums, Majority):
        return len(some & set(quorums.nodes)) > len(set(quorums.nodes) - some)
    if isinstance(quorums, Threshold):
        return len(some & set(quorums.nodes)) >= quorums.count
    if isinstance(quorums, Weighted):
        weight = dict(zip(quorums.nodes, quorums.weights, strict=True))
        return sum(weight[node] for node in weight if node in some) > sum(weight[n] for n in weight if n not in some)
    if isinstance(quorums, OneOf):
        return any(some >= set(group) for group in quorums.groups)
    assert isinstance(quorums, Joint)
    return is_quorum(quorums.old, some) and is_quorum(quorums.new, some)


def naive_quorums(quorums: Quorums) -> list[frozenset[NodeId]]:
    return [some for some in subsets(quorums.nodes) if is_quorum(quorums, some)]


def systems(nodes: tuple[NodeId, ...]) -> st.SearchStrategy[Quorums]:
    """Quorums of every simple kind over exactly `nodes`."""
    weights = st.lists(st.integers(0, 4), min_size=len(nodes), max_size=len(nodes)).filter(any).map(tuple)
    divisors = [rows for rows in range(1, len(nodes) + 1) if len(nodes) % rows == 0]
    rows = st.sampled_from(divisors)
    groups = st.lists(st.sets(st.sampled_from(nodes), min_size=1).map(sorted).map(tuple), min_size=1, max_size=4)
    return st.one_of(
        st.just(Majority(nodes)),
        st.integers(1, len(nodes)).map(lambda count: Threshold(nodes, count)),
        weights.map(lambda votes: Weighted(nodes, votes)),
        rows.map(lambda count: OneOf(grid_rows(nodes, count))),
        rows.map(lambda count: OneOf(grid_columns(nodes, count))),
        groups.filter(lambda some: {node for group in some for node in group} == set(nodes)).map(tuple).map(OneOf),
    )


SIMPLE = st.integers(1, 6).flatmap(lambda count: systems(SIX[:count]))
EVERY = st.one_of(SIMPLE, st.builds(Joint, SIMPLE, SIMPLE.map(lambda new: new)))


@given(EVERY, st.sets(st.sampled_from((*SIX, "n9"))))
def test_a_quorum_is_reached_as_its_kind_says(quorums: Quorums, some: set[NodeId]) -> None:
    assert quorums.reached(some) == is_quorum(quorums, frozenset(some))
    assert quorums.reached(sorted(some)) == quorums.reached(some)


@given(EVERY, st.dictionaries(st.sampled_from((*SIX, "n9")), st.integers(0, 5)))
def test_what_a_quorum_holds_is_the_best_of_the_worst(quorums: Quorums, marks: dict[NodeId, int]) -> None:
    naive = max(min(marks.get(node, 0) for node in quorum) for quorum in naive_quorums(quorums))
    assert quorums.held(marks) == naive


@given(EVERY, st.none() | st.sampled_from((*SIX, "n9")))
def test_the_smallest_quorum_is_as_small_as_any_and_has_the_node_asked_for(
    quorums: Quorums, first: NodeId | None
) -> None:
    size = min(map(len, naive_quorums(quorums)))
    found = quorums.smallest(first)
    assert is_quorum(quorums, frozenset(found))
    assert len(found) == len(set(found)) == size
    assert (first in found) == any(first in other for other in naive_quorums(quorums) if len(other) == size)


@given(EVERY)
def test_the_quorums_listed_are_the_least_of_all_and_their_supersets(quorums: Quorums) -> None:
    listed = [frozenset(quorum) for quorum in quorums.quorums()]
    assert [len(quorum) for quorum in listed] == sorted(len(quorum) for quorum in listed)
    naive = naive_quorums(quorums)
    assert [some for some in subsets(quorums.nodes) if any(some >= quorum for quorum in listed)] == naive


@st.composite
def pairs(draw: st.DrawFn) -> QuorumSystem:
    """Two phases over the same nodes, of any kinds."""
    nodes = SIX[: draw(st.integers(1, 6))]
    simple = systems(nodes)
    either = st.one_of(simple, st.builds(Joint, simple, simple))
    return QuorumSystem(draw(either), draw(either))


@given(pairs())
def test_two_quorums_without_a_common_node_are_found_where_there_are_any(system: QuorumSystem) -> None:
    some, others = naive_quorums(system.phase1), naive_quorums(system.phase2)
    naive = any(not (one & other) for one in some for other in others)
    found = system.disjoint()
    assert (found is not None) == naive
    if found is not None:
        one, other = map(frozenset, found)
        assert one in some and other in others and not one & other
        assert all(not system.phase1.reached(one - {node}) for node in one)
        assert all(not system.phase2.reached(other - {node}) for node in other)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_flexible_quorums_meet_just_when_they_are_more_than_the_nodes(count: int, one: int, other: int) -> None:
    """Flexible Paxos, section 5: |Q1| + |Q2| > N; at sizes where looking at every subset would never end."""
    assume(one <= count and other <= count)
    nodes = tuple(f"n{number}" for number in range(count))
    system = QuorumSystem(Threshold(nodes, one), Threshold(nodes, other))
    assert (system.disjoint() is None) == (one + other > count)


def test_all_weighted_quorums_of_the_same_votes_meet_however_many_nodes_there_are() -> None:
    nodes = tuple(f"n{number}" for number in range(60))
    every = Weighted(nodes, tuple(range(60)))
    assert QuorumSystem(every, every).disjoint() is None


def test_quorums_are_plain_data() -> None:
    majority, rows = Majority(FIVE), OneOf(grid_rows(SIX, 2))
    for quorums in (majority, Weighted(FIVE, (1, 2, 3, 4, 5)), rows, Joint(majority, rows)):
        twin = copy_plain(quorums, "node.quorums")
        assert twin == quorums == copy.deepcopy(quorums)
        assert hash(twin) == hash(quorums)
        assert twin.nodes == quorums.nodes
    assert Majority(FIVE) != Majority(SIX)
    assert Joint(majority, rows).nodes == SIX


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Majority(()), "there are no nodes, so there is no quorum"),
        (lambda: Majority(("n1", "n1")), "a node is named twice in n1, n1"),
        (lambda: Threshold(FIVE, 6), "6 of 5 nodes can never be a quorum"),
        (lambda: Threshold(FIVE, 0), "0 of 5 nodes can never be a quorum"),
        (lambda: Weighted(FIVE, (0,) * 5), "give each 0 or more, one above 0"),
        (lambda: Weighted(FIVE, (1, 2)), r"weights \[1, 2\] of 5 nodes"),
        (lambda: OneOf(()), "a group without nodes is not a quorum"),
        (lambda: OneOf((("n1",), ())), "a group without nodes is not a quorum"),
        (lambda: grid_rows(FIVE, 2), "5 nodes do not fill 2 rows"),
        (lambda: QuorumSystem(Majority(FIVE), Majority(SIX)), "over different nodes"),
    ],
)  # fmt: skip
def test_what_can_never_be_a_quorum_is_refused(make: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()  # type: ignore[operator]


# The config.


def config(**settings: object) -> QuorumConfig:
    return QuorumConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "nodes", "phase1", "phase2"),
    [
        ({}, FIVE, Majority(FIVE), Majority(FIVE)),
        ({"kind": "flexible", "phase1": 4, "phase2": 2}, FIVE, Threshold(FIVE, 4), Threshold(FIVE, 2)),
        ({"kind": "flexible", "phase2": 2}, FIVE, Threshold(FIVE, 4), Threshold(FIVE, 2)),
        ({"kind": "flexible", "phase1": 5}, FIVE, Threshold(FIVE, 5), Threshold(FIVE, 1)),
        (
            {"kind": "grid", "rows": 2, "columns": 3},
            SIX,
            OneOf((("n1", "n2", "n3"), ("n4", "n5", "n6"))),
            OneOf((("n1", "n4"), ("n2", "n5"), ("n3", "n6"))),
        ),
        ({"kind": "grid", "columns": 3}, SIX, OneOf(grid_rows(SIX, 2)), OneOf(grid_columns(SIX, 2))),
        ({"kind": "weighted", "weights": {"n2": 3}}, FIVE, Weighted(FIVE, (1, 3, 1, 1, 1)), None),
        ({"kind": "flexible", "phase1": 2, "phase2": 2, "unsafe": True}, FIVE, Threshold(FIVE, 2), Threshold(FIVE, 2)),
    ],
)
def test_a_config_builds_its_kind(
    settings: dict[str, object], nodes: tuple[NodeId, ...], phase1: Quorums, phase2: Quorums | None
) -> None:
    assert config(**settings).build(nodes) == QuorumSystem(phase1, phase2 or phase1)


@pytest.mark.parametrize(
    ("settings", "nodes", "complaint"),
    [
        (
            {"kind": "flexible", "phase1": 2, "phase2": 2},
            FIVE,
            "phase 1 may end with n3, n4 and phase 2 with n1, n2, which",
        ),
        ({"kind": "flexible", "phase2": 9}, FIVE, "phase2=9 of 5 nodes can never be a quorum"),
        ({"kind": "flexible", "phase1": 9, "unsafe": True}, FIVE, "phase1=9 of 5 nodes can never be a quorum"),
        ({"kind": "grid", "rows": 2, "columns": 2}, FIVE, "5 nodes do not fill a grid of 2x2"),
        ({"kind": "grid", "rows": 2, "columns": 2, "unsafe": True}, FIVE, "5 nodes do not fill a grid of 2x2"),
        ({"kind": "grid", "rows": 7}, FIVE, "5 nodes do not fill a grid of 7x0"),
        (
            {"kind": "weighted", "weights": {"m1": 3}},
            FIVE,
            "protocol.quorums.weights: there is no node 'm1' among those that vote. There are: n1, ",
        ),
        ({"kind": "weighted", "weights": dict.fromkeys(FIVE, 0)}, FIVE, "give each 0 or more, one above 0"),
    ],
)
def test_a_config_that_does_not_fit_the_nodes_is_refused(
    settings: dict[str, object], nodes: tuple[NodeId, ...], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint) as refused:
        config(**settings).validate_nodes("protocol.quorums", nodes)
    assert refused.value.where.startswith("protocol.quorums")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"phase1": 4}, "phase1=4 is for kind=flexible, not for kind=majority"),
        ({"kind": "grid", "weights": {"n1": 2}, "rows": 1}, "is for kind=weighted, not for kind=grid"),
        ({"kind": "flexible"}, "kind=flexible needs phase1 or phase2"),
        ({"kind": "weighted"}, "kind=weighted needs weights"),
    ],
)
def test_settings_of_another_kind_are_refused(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        config(**settings)
