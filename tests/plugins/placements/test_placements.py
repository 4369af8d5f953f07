"""Every placement stands the checks of the kit, and shares ids as its theory says."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from framework import PLACEMENT_CHECKS, Member, Placement, PlacementChoice, PlacementConfig
from framework.registry.registry import load
from plugins.placements.bounded_load import BoundedLoad, BoundedLoadConfig
from plugins.placements.jump import Jump
from plugins.placements.maglev import Maglev, MaglevConfig
from plugins.placements.modulo import Modulo
from plugins.placements.rendezvous import Rendezvous, RendezvousConfig
from plugins.placements.ring import Ring, RingConfig
from tests.plugins.placements.made import MADE, OVER

NODES = [f"n{number}" for number in range(1, 101)]
KEYS = 200_000


def hashes(count: int = KEYS) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 2**64, count, dtype=np.uint64)


def relative_shares(placement: Placement) -> np.ndarray:
    """Returns each node's share, 1 being the average."""
    counts = np.bincount(placement.locate_many(hashes())[:, 0], minlength=len(placement.nodes))
    return counts * len(placement.nodes) / KEYS


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("check", PLACEMENT_CHECKS, ids=lambda check: check.__name__)
def test_conforms(check: Callable[[Callable[[], Placement]], None], name: str) -> None:
    check(MADE[name])


def test_every_placement_is_among_them() -> None:
    assert set(load().names("placement")) <= set(MADE)


@pytest.mark.parametrize(("points", "largest"), [(10, 1.0), (100, 0.34)])
def test_shares_of_a_ring_deviate_as_the_beta_law_says(points: int, largest: float) -> None:
    """A share is Beta(v, v(n-1)): its standard deviation is √((n-1)/(nv+1)) of the average."""
    shares = relative_shares(Ring(RingConfig(points=points), NODES))
    theory = math.sqrt(99 / (100 * points + 1))
    noise = math.sqrt(100 / KEYS)
    deviation = math.hypot(theory, noise)
    assert shares.std() == pytest.approx(deviation, rel=0.35)  # of 100 shares: four standard errors
    assert abs(shares - 1).max() < 4.5 * deviation + theory  # the law leans to the right
    assert abs(shares - 1).max() < largest


@pytest.mark.parametrize("name", ["rendezvous", "rendezvous_32", "jump", "modulo"])
def test_even_shares(name: str) -> None:
    placement = MADE[name]()
    for node in NODES:
        placement.add(node)
    assert abs(relative_shares(placement) - 1).max() < 4.5 * math.sqrt(100 / KEYS)


def test_shares_of_maglev_differ_by_an_entry_of_the_table() -> None:
    placement = Maglev(MaglevConfig(table_size=10_007), NODES)
    placement.locate("x")
    entries = np.bincount(placement.table)
    assert set(entries.tolist()) == {100, 101} and entries.sum() == 10_007


def test_shares_of_multi_probe_follow_from_its_arcs() -> None:
    """Of k probes the one nearest to a point wins. With S(x) = the part of the ring from where the next point is farther than
    x, a node after an arc of length a has the share k·∫S(x)^(k-1) dx from 0 to a, at most k/(k-1) for many nodes."""
    placement = MADE["multi_probe"]()
    for node in NODES:
        placement.add(node)
    points = np.sort(placement.hash_many(placement.nodes).astype(float)) / 2.0**64
    owners = np.argsort(placement.hash_many(placement.nodes))
    arcs = np.diff(points, prepend=points[-1] - 1) * len(NODES)
    x = np.linspace(0, arcs.max(), 100_001)
    farther = np.maximum(arcs - x[:, None], 0).sum(axis=1) / len(NODES)
    integral = 21 * np.cumsum(farther**20) * (x[1] - x[0])
    expected = np.empty(len(NODES))
    expected[owners] = np.interp(arcs, x, integral)
    assert 1.04 < expected.max() < 1.09
    noise = np.sqrt(expected * len(NODES) / KEYS)
    assert (abs(relative_shares(placement) - expected) < 4.5 * noise + 0.002).all()


def test_weights_are_shares() -> None:
    weights = [1 + number % 4 for number in range(100)]
    for placement, deviation in (
        (Rendezvous(RendezvousConfig()), 0.0),
        (Rendezvous(RendezvousConfig(bits=32)), 0.0),
        (Ring(RingConfig(points=400)), 1 / math.sqrt(400)),
        (Maglev(MaglevConfig()), 0.005),
    ):
        for node, weight in zip(NODES, weights, strict=True):
            placement.add(node, float(weight))
        expected = np.array(weights) * 100 / sum(weights)
        found = relative_shares(placement)
        bound = 4.5 * np.hypot(np.sqrt(expected * 100 / KEYS), expected * deviation)
        assert (abs(found - expected) < bound).all(), type(placement).__name__


def moved(placement: Placement, change: Callable[[], None]) -> float:
    """Returns the share of ids that are on another node after a change."""
    keys = hashes()
    before = np.array(placement.nodes)[placement.locate_many(keys)[:, 0]]
    change()
    return float((np.array(placement.nodes)[placement.locate_many(keys)[:, 0]] != before).mean())


def test_what_moves_when_one_of_a_hundred_nodes_comes_or_goes() -> None:
    jump = Jump(PlacementConfig(), NODES)
    assert moved(jump, lambda: jump.add("n101")) == pytest.approx(1 / 101, rel=0.1)
    modulo = Modulo(PlacementConfig(), NODES)
    assert moved(modulo, lambda: modulo.add("n101")) == pytest.approx(100 / 101, abs=0.01)
    maglev = Maglev(MaglevConfig(), NODES)
    assert 0.01 < moved(maglev, lambda: maglev.remove("n7")) < 0.02
    ring = Ring(RingConfig(points=400), NODES)
    assert moved(ring, lambda: ring.add("n101")) == pytest.approx(1 / 101, rel=0.25)


def test_the_last_bucket_of_jump_takes_the_place_of_one_that_goes() -> None:
    jump = Jump(PlacementConfig(), NODES)
    keys = [f"k{number}" for number in range(20_000)]
    before = {key: jump.locate(key)[0] for key in keys}
    jump.remove("n7")
    after = {key: jump.locate(key)[0] for key in keys}
    assert {(before[key], after[key]) for key in keys if before[key] == "n7"} == {("n7", "n100")}
    changed = [key for key in keys if before[key] != after[key]]
    assert {before[key] for key in changed} == {"n7", "n100"}
    assert len(changed) / len(keys) == pytest.approx(2 / 100, rel=0.2)
    jump.add("n7")  # it is the last bucket now
    assert {after[key] for key in keys if jump.locate(key)[0] == "n7"} > {"n1"}
    assert {jump.locate(key)[0] for key in keys if after[key] != jump.locate(key)[0]} == {"n7"}


def test_a_bucket_of_jump_that_goes_is_forgotten() -> None:
    jump = Jump(PlacementConfig(), ["n1", "n2", "n3", "n4"])
    for node in ("n2", "n3"):  # n4 takes the bucket of n2, and n3 has the last one
        jump.remove(node)
    jump.add("n3")
    jump.add("n30")
    assert jump._ordered() == ["n1", "n4", "n3", "n30"]
    jump.remove("n30")
    jump.remove("n3")
    jump.add("n2")
    assert jump._ordered() == ["n1", "n4", "n2"]
    jump.add("n30")
    jump.add("n3")
    assert jump._ordered() == ["n1", "n4", "n2", "n3", "n30"]  # n3 no longer has a place of its own


def test_jump_as_published() -> None:
    """The published function, run step by step in Python's exact integers, for bucket numbers."""
    jump = Jump(PlacementConfig(), NODES)
    jump.locate("x")
    for key in (0, 1, 10**18, 2**64 - 1):
        state, bucket, following = key, -1, 0
        while following < 100:
            bucket = following
            state = (state * 2862933555777941757 + 1) % 2**64
            following = int((bucket + 1) * (2**31 / ((state // 2**33) + 1)))
        assert jump.first(key) == bucket


def test_maglev_fills_its_table_in_turn() -> None:
    placement = Maglev(MaglevConfig(table_size=7), ["a", "b", "c"])
    placement.locate("x")
    assert sorted(np.bincount(placement.table).tolist()) == [2, 2, 3]
    rebuilt = Maglev(MaglevConfig(table_size=7), ["c", "b", "a"])
    rebuilt.locate("x")
    assert (placement.table == rebuilt.table).all()


def test_maglev_refuses_a_table_that_is_too_small_or_no_prime() -> None:
    with pytest.raises(ValueError, match="table_size=6 is not a prime: give one, as 65537 or 655373"):
        MaglevConfig(table_size=6)
    with pytest.raises(ValueError, match="table_size=2 is too small for 3 nodes"):
        Maglev(MaglevConfig(table_size=2), ["a", "b", "c"]).locate("x")


@pytest.mark.parametrize("balance", [1.0, 1.25, 2.0])
def test_no_load_exceeds_its_bound(balance: float) -> None:
    coarse = PlacementChoice("ring", RingConfig(points=5), Ring)
    placement = BoundedLoad(BoundedLoadConfig(over=coarse, balance=balance))
    for number in range(10):
        placement.add(f"n{number}", 2.0 if number == 0 else 1.0)
    ids = range(1000)
    placement.place(ids)
    loads = np.bincount(placement.locate_many(placement.hash_many(ids))[:, 0], minlength=10)
    bounds = [math.ceil(balance * 1000 * weight / 11) for weight in [2, *[1] * 9]]
    assert (loads <= bounds).all() and loads.sum() == 1000
    free = BoundedLoad(BoundedLoadConfig(over=coarse, balance=9.0), placement.nodes)
    free.place(ids)
    unbounded = np.bincount(free.locate_many(free.hash_many(ids))[:, 0], minlength=10)
    assert (unbounded > bounds).any() or balance == 2.0


def test_bounded_load_prefers_what_the_placement_below_it_prefers() -> None:
    over = Ring(RingConfig(), NODES[:10])
    placement = BoundedLoad(BoundedLoadConfig(over=OVER, balance=4.0), NODES[:10])
    placement.place(range(100))
    assert all(placement.locate(id) == over.locate(id) for id in range(100))


def test_an_id_that_was_not_placed() -> None:
    placement = BoundedLoad(BoundedLoadConfig(over=OVER), NODES[:3])
    placement.place(["a"])
    for ask in (lambda: placement.locate("b"), lambda: placement.locate_many(placement.hash_many(["b"]))):
        with pytest.raises(ValueError, match="bounded_load places a known set of ids, and this one is not among them"):
            ask()


def test_points_of_a_ring_stand_as_often_as_weights_ask_for() -> None:
    ring = Ring(RingConfig(points=10))
    ring.add("a", 0.5)
    ring.add("b", 0.01)
    assert ring.locate("x") in {("a",), ("b",)}
    assert sorted(ring._owners.tolist()) == [0] * 5 + [1]


def test_a_ring_has_room_for_ten_million_points() -> None:
    ring = Ring(RingConfig(points=100), ["a"])
    ring.add("b", 1e9)
    complaint = (
        "points=100 and the weights ask for 100,000,000,100 points, and a ring takes 10,000,000: give fewer points"
    )
    with pytest.raises(ValueError, match=complaint):
        ring.locate("x")


def test_a_ring_by_hand() -> None:
    ring = Ring(RingConfig(points=2), ["a", "b", "c"])
    points = sorted((ring.hash(f"{node}#{number}"), node) for node in "abc" for number in range(2))
    for key in ("k1", "k2", "k3", "k4"):
        at = ring.hash(key)
        owners = [node for point, node in points if point >= at] + [node for _, node in points]
        assert ring.locate(key, 3) == tuple(dict.fromkeys(owners))


def test_choice_makes_placements_with_weights_and_domains() -> None:
    choice = PlacementChoice("rendezvous", RendezvousConfig(), Rendezvous)
    made = choice.make(["n1", "n2", "n10"], {"n2": Member("n2", 2.0, "z1", "r1")})
    assert made.nodes == ("n1", "n2", "n10")
    assert made.members[1] == Member("n2", 2.0, "z1", "r1")
