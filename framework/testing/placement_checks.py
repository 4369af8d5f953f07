"""The checks that every placement must pass, by what it declares.

    @pytest.mark.parametrize("check", PLACEMENT_CHECKS)
    def test_conforms(check):
        check(lambda: Ring(RingConfig()))

A check is a function of a function that makes a placement without nodes. It raises NotConforming with what it saw. All
use ids that are given to `place` first.
"""

from __future__ import annotations

import json
import math
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from framework.core.message import NodeId
from framework.placement.hashing import Indices
from framework.placement.placement import NodeChange, Placement
from framework.runs.determinism import own_environment
from framework.testing.conformance import NotConforming

MakePlacement: TypeAlias = Callable[[], Placement]

NODES = tuple(f"n{number}" for number in range(1, 13))
IDS = tuple(f"id{number}" for number in range(3000))
LAST = "n99"
AMONG = "n5x"
"""Names that sort last, and among the others."""


def locates_one_as_many(make: MakePlacement) -> None:
    """`locate` and `locate_many` agree, replicas are different nodes, and fewer replicas are the first of more."""
    placement = _filled(make())
    hashes = placement.hash_many(IDS)
    before: Indices | None = None
    for count in range(1, _most(placement) + 1):
        many = placement.locate_many(hashes, count)
        _require(
            many.dtype == np.int32 and many.shape == (len(IDS), count), f"locate_many gives {many.dtype} {many.shape}"
        )
        for id, row in list(zip(IDS, many.tolist(), strict=True))[:300]:
            one = placement.locate(id, count)
            named = tuple(placement.nodes[index] for index in row)
            _require(one == named, f"locate({id!r}, {count}) is {one}, and locate_many says {named}")
            _require(len(set(one)) == count, f"locate({id!r}, {count}) is {one}: a node twice")
        _require(
            before is None or (many[:, :-1] == before).all(), f"the first {count - 1} of {count} replicas are others"
        )
        before = many


def ignores_the_order_of_nodes(make: MakePlacement) -> None:
    """Nodes added in another order, or added and taken away again last, change nothing."""
    expected = _owners(_filled(make()))
    for seed in range(3):
        order = list(NODES)
        random.Random(seed).shuffle(order)
        found = _owners(_filled(make(), order))
        _require(found == expected, f"added in the order {', '.join(order)}, nodes have other ids")
    there_and_gone = _filled(make(), (*NODES, LAST))
    there_and_gone.remove(LAST)
    _require(_owners(there_and_gone) == expected, f"{LAST} has come and gone, and nodes have other ids")


def is_the_same_in_another_process(make: MakePlacement) -> None:
    """Another process, with another hash seed, places all ids alike."""
    placement = _filled(make())
    code = (
        "import json, pickle, sys; placement, ids = pickle.load(sys.stdin.buffer); "
        "print(json.dumps([placement.locate(each)[0] for each in ids]))"
    )
    empty = make()
    empty.place(IDS)
    for node in NODES:
        empty.add(node)
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps((empty, IDS[:500])), capture_output=True,
        env=own_environment() | {"PYTHONHASHSEED": "17"}, check=False,
    )  # fmt: skip
    _require(done.returncode == 0, f"another process fails: {done.stderr.decode()[-300:]}")
    found = json.loads(done.stdout)
    _require(found == [placement.locate(each)[0] for each in IDS[:500]], "another process places ids elsewhere")


def moves_minimally(make: MakePlacement) -> None:
    """On each change that it declares, ids move only to the node that came, or away from the one that went."""
    declared = make().moves_minimally_on
    changes: tuple[tuple[NodeChange, NodeId], ...] = (
        ("add_last", LAST), ("add", AMONG), ("remove_last", NODES[-1]), ("remove", NODES[4]), ("remove", NODES[0]),
    )  # fmt: skip
    for change, node in changes:
        if change not in declared:
            continue
        placement = _filled(make())
        before = _owners(placement)
        placement.add(node) if change.startswith("add") else placement.remove(node)
        after = _owners(placement)
        for id in IDS:
            moved = before[id] != after[id]
            lost_or_won = before[id] == node or after[id] == node
            _require(moved == lost_or_won, f"{change} {node}: {id} goes from {before[id]} to {after[id]}")
        _require(before != after, f"{change} {node} moves nothing")


def heeds_weights(make: MakePlacement) -> None:
    """A node of three times the weight has about three times the ids; without weights, one is refused."""
    placement = make()
    placement.place(IDS)
    if not placement.weights:
        try:
            placement.add("n1", 2.0)
        except ValueError:
            return
        raise NotConforming("it declares that it knows no weights, and takes one")
    for node in NODES:
        placement.add(node, 3.0 if node == "n5" else 1.0)
    shares = _shares(placement)
    others = sum(share for node, share in shares.items() if node != "n5") / (len(NODES) - 1)
    _require(
        2 < shares["n5"] / others < 4, f"n5 has three times the weight, and {shares['n5'] / others:.1f} times the ids"
    )


def spreads_over_domains(make: MakePlacement) -> None:
    """Replicas are in different zones as long as there are any without one, then in different racks."""
    placement = make()
    placement.place(IDS)
    for number, node in enumerate(NODES):
        placement.add(node, zone=f"z{number % 3}", rack=f"r{number % 6 // 3}")
    count = min(_most(placement), 7)
    members = {member.node: member for member in placement.members}
    many = placement.locate_many(placement.hash_many(IDS[:300]), count)
    for id, row in zip(IDS[:300], many.tolist(), strict=True):
        chosen = [members[placement.nodes[index]] for index in row]
        _require(
            tuple(each.node for each in chosen) == placement.locate(id, count), f"{id}: locate and locate_many differ"
        )
        zones, racks = {each.zone for each in chosen}, {(each.zone, each.rack) for each in chosen}
        _require(len(zones) == min(count, 3), f"{id}: {count} replicas in zones {', '.join(sorted(zones))}")
        _require(len(racks) == min(count, 6), f"{id}: {count} replicas in {len(racks)} of 6 racks")


def refuses_what_cannot_be(make: MakePlacement) -> None:
    """No nodes, too few nodes, a node twice, an unknown node, a weight of nothing: a ValueError each."""
    placement = make()
    placement.place(IDS)
    attempts: list[tuple[str, Callable[[], object]]] = [("locate without nodes", lambda: placement.locate(IDS[0]))]
    attempts += [
        ("locate_many without nodes", lambda: placement.locate_many(placement.hash_many(IDS))),
        ("a weight of 0", lambda: placement.add("n1", 0.0)),
        ("a weight that is no number", lambda: placement.add("n1", math.nan)),
    ]
    _refuses(attempts)
    placement.add("n1")
    placement.add("n2")
    _refuses(
        [
            ("a node twice", lambda: placement.add("n1")),
            ("an unknown node", lambda: placement.remove("n3")),
            ("three replicas on two nodes", lambda: placement.locate(IDS[0], 3)),
            ("no replica", lambda: placement.locate(IDS[0], 0)),
        ]
    )
    _require(placement.locate_many(placement.hash_many([])).shape == (0, 1), "no ids give another shape than (0, 1)")
    placement.remove("n1")
    _require(_owners(placement) == dict.fromkeys(IDS, "n2"), "the only node does not have all ids")
    placement.remove("n2")
    _refuses([("locate after the last node is gone", lambda: placement.locate(IDS[0]))])


PLACEMENT_CHECKS: tuple[Callable[[MakePlacement], None], ...] = (
    locates_one_as_many,
    ignores_the_order_of_nodes,
    is_the_same_in_another_process,
    moves_minimally,
    heeds_weights,
    spreads_over_domains,
    refuses_what_cannot_be,
)
"""The checks, each a function of what makes an empty placement."""


def _filled(placement: Placement, nodes: Sequence[NodeId] = NODES) -> Placement:
    placement.place(IDS)
    for node in nodes:
        placement.add(node)
    return placement


def _most(placement: Placement) -> int:
    """Returns the number of replicas to ask for."""
    return min(len(placement.nodes), placement.max_count or 4)


def _owners(placement: Placement) -> dict[str, NodeId]:
    rows = placement.locate_many(placement.hash_many(IDS))
    return {id: placement.nodes[index] for id, index in zip(IDS, rows[:, 0].tolist(), strict=True)}


def _shares(placement: Placement) -> dict[NodeId, float]:
    counts = np.bincount(placement.locate_many(placement.hash_many(IDS))[:, 0], minlength=len(placement.nodes))
    return {node: count / len(IDS) for node, count in zip(placement.nodes, counts.tolist(), strict=True)}


def _require(is_so: bool, what: str) -> None:
    if not is_so:
        raise NotConforming(what)


def _refuses(attempts: Sequence[tuple[str, Callable[[], object]]]) -> None:
    for what, attempt in attempts:
        try:
            attempt()
        except ValueError:
            continue
        raise NotConforming(f"{what} is not refused with a ValueError")
