"""Who hears whom when the network falls apart, and where the clients stand."""

from __future__ import annotations

import random

import pytest

from framework import ConfigError, ImpairLinks, Injection, RestoreLinks
from plugins.faults.partition import PartitionConfig, PartitionFault, Ring
from tests.plugins.faults.views import CLIENTS, NODES, view

SEEDS = range(30)
NODES_7 = (*NODES, "n6", "n7")


def strike(
    kind: str, seed: int = 1, target: str = "random", clients: str = "all", **world: dict[str, str]
) -> Injection:
    config = PartitionConfig(kind=kind, target=target, clients=clients)  # type: ignore[arg-type]
    struck = PartitionFault(config).inject(view(seed=seed, **world))  # type: ignore[arg-type]
    assert struck is not None
    return struck


def cut(struck: Injection) -> set[tuple[str, str]]:
    (impair,) = struck.actions
    assert isinstance(impair, ImpairLinks) and impair.impairment.cut
    assert struck.undo == (RestoreLinks(impair.token),)
    return set(impair.links)


def heard(node: str, links: set[tuple[str, str]]) -> set[str]:
    """Who can speak with `node` both ways, itself included."""
    return {other for other in NODES if (node, other) not in links and (other, node) not in links}


@pytest.mark.parametrize("seed", SEEDS)
def test_halves_are_two_sides_that_hear_themselves_alone(seed: int) -> None:
    struck = strike("halves", seed)
    links = cut(struck)
    few = set(struck.targets)
    assert len(few) == 2
    for node in NODES:
        assert heard(node, links) == (few if node in few else set(NODES) - few)
    assert " | " in struck.detail


def test_a_minority_is_fewer_than_half_however_many() -> None:
    sizes = {len(strike("minority", seed).targets) for seed in SEEDS}
    assert sizes == {1, 2}


@pytest.mark.parametrize("seed", SEEDS)
def test_on_a_ring_each_hears_a_majority_and_no_two_the_same(seed: int) -> None:
    links = cut(strike("majority_ring", seed))
    circles = [frozenset(heard(node, links)) for node in NODES]
    assert all(len(circle) == 3 for circle in circles) and len(set(circles)) == 5


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bridge_hears_both_sides_which_do_not_hear_each_other(seed: int) -> None:
    struck = strike("bridge", seed)
    links, (bridge,) = cut(struck), struck.targets
    assert heard(bridge, links) == set(NODES)
    assert all(len(heard(node, links)) == 3 for node in NODES if node != bridge)


def test_whoever_leads_is_isolated() -> None:
    struck = strike("isolate", target="leader", roles={"n3": "leader"})
    links = cut(struck)
    assert struck.targets == ("n3",) and heard("n3", links) == {"n3"}
    assert heard("n1", links) == set(NODES) - {"n3"}


def test_one_way_cuts_one_direction_only() -> None:
    seen = set()
    for seed in SEEDS:
        links = cut(strike("one_way", seed, target="n2"))
        assert not {(b, a) for a, b in links} & links
        seen.add(frozenset(links))
    outgoing = frozenset(("n2", node) for node in NODES if node != "n2")
    assert seen == {outgoing, frozenset((b, a) for a, b in outgoing)}


def test_random_is_any_of_these() -> None:
    kinds = {strike("random", seed).detail.partition(":")[0] for seed in range(60)}
    assert kinds == {"halves", "minority", "majority_ring", "bridge", "isolate", "one_way"}


def test_clients_stand_beside_a_server_and_share_its_lot() -> None:
    lots = set()
    for seed in SEEDS:
        links = cut(strike("isolate", seed, target="n1", clients="with_sides"))
        for client in CLIENTS:
            lots.add(frozenset(node for node in NODES if (client, node) in links or (node, client) in links))
    assert lots == {frozenset(NODES) - {"n1"}, frozenset({"n1"})}


def test_clients_of_the_majority_hear_only_servers_that_hear_one() -> None:
    struck = strike("halves", clients="majority_only")
    for client in CLIENTS:
        lost = {node for node in NODES if (client, node) in cut(struck)}
        assert lost == set(struck.targets)


def test_clients_may_hear_everyone() -> None:
    assert not [link for link in cut(strike("halves", clients="all")) if set(link) & set(CLIENTS)]


def test_a_shape_that_takes_more_nodes_than_there_are_is_refused() -> None:
    fault = PartitionFault(PartitionConfig(kind="majority_ring"))
    with pytest.raises(ConfigError, match="takes at least 4 nodes, and there are 3"):
        fault.validate_nodes("faults.partition", ("n1", "n2", "n3"), ())
    PartitionFault(PartitionConfig()).validate_nodes("faults.partition", ("n1", "n2"), ())


def test_a_client_is_cut_off_from_all_servers_and_from_those_that_join() -> None:
    struck = strike("client", target="client:c2")
    assert struck.targets == ("c2",) and struck.detail == "client: c2 | n1 n2 n3 n4 n5"
    assert cut(struck) == {link for node in NODES for link in (("c2", node), (node, "c2"))}
    assert join(struck, "n6") == ("n6 joined, cut off from c2", {("c2", "n6"), ("n6", "c2")})
    assert {strike("client", seed).targets for seed in SEEDS} == {("c1",), ("c2",)}
    assert PartitionFault(PartitionConfig(kind="client", target="holder")).inject(view()) is None
    PartitionFault(PartitionConfig(kind="client", target="client:c2")).validate_nodes("faults.p", ("n1",), ())


def test_nobody_to_isolate_is_no_strike() -> None:
    fault = PartitionFault(PartitionConfig(kind="isolate", target="leader"))
    assert fault.inject(view()) is None


# Nodes that join while it lasts.


def join(struck: Injection, node: str, seed: int = 1) -> tuple[str, set[tuple[str, str]]]:
    """Where a node that joins stands, and which of its links are cut."""
    assert struck.on_join is not None
    joined = struck.on_join(node, random.Random(seed))
    (impair,) = joined.actions
    assert isinstance(impair, ImpairLinks) and impair.impairment.cut
    assert struck.undo == (RestoreLinks(impair.token),), "it ends with the rest"
    assert all(node in link for link in impair.links)
    return joined.detail, set(impair.links)


def apart(node: str, links: set[tuple[str, str]], others: tuple[str, ...] = NODES) -> set[str]:
    """From whom the node is cut off, both ways."""
    return {other for other in others if {(node, other), (other, node)} <= links}


@pytest.mark.parametrize("kind", ["halves", "minority"])
def test_a_node_that_joins_stands_on_one_of_two_sides_by_its_seed(kind: str) -> None:
    sides = set()
    for seed in SEEDS:
        struck = strike(kind)
        few = set(struck.targets)
        where, links = join(struck, "n6", seed)
        side = set(NODES) - apart("n6", links)
        assert side in (few, set(NODES) - few)
        assert where == f"n6 joined on the side of {' '.join(sorted(side))}"
        assert (where, links) == join(strike(kind), "n6", seed)
        sides.add(frozenset(side))
    assert len(sides) == 2


def test_of_two_that_join_each_hears_the_other_only_on_its_own_side() -> None:
    together = set()
    for seed in SEEDS:
        struck = strike("halves")
        first, _ = join(struck, "n6", seed)
        second, links = join(struck, "n7", seed + 1)
        hears = "n6" not in apart("n7", links, ("n6",))
        assert hears == ("n6" in second.split()) == (second == f"{first.replace('n6', 'n7', 1)} n6")
        together.add(hears)
    assert together == {True, False}


def test_whoever_joins_is_no_bridge() -> None:
    for seed in SEEDS:
        struck = strike("bridge", seed)
        (bridge,) = struck.targets
        _, links = join(struck, "n6", seed)
        assert len(apart("n6", links)) == 2 and bridge not in apart("n6", links)


@pytest.mark.parametrize("nodes", [4, 5, 6, 7])
def test_whoever_joins_a_ring_hears_a_majority(nodes: int) -> None:
    places = set()
    for seed in SEEDS:
        ring = Ring(NODES_7[:nodes], random.Random(seed).sample(NODES_7[:nodes], nodes))
        where, cut_off = ring.take_in("n8", random.Random(seed))
        assert ring.hears("n8") > (nodes + 1) // 2
        assert set(cut_off) == {
            link for other in apart("n8", set(cut_off), NODES_7) for link in ((other, "n8"), ("n8", other))
        }
        before, after = where.removeprefix("n8 joined between ").split(" and ")
        assert {before, after}.isdisjoint(apart("n8", set(cut_off), NODES_7))
        places.add((before, after))
    assert len(places) > nodes


def test_whoever_is_isolated_stays_so() -> None:
    where, links = join(strike("isolate", target="n2"), "n6")
    assert (where, apart("n6", links)) == ("n6 joined on the side of n1 n3 n4 n5", {"n2"})
    everyone = strike("isolate", target="all")
    assert join(everyone, "n6")[0] == "n6 joined alone" and apart("n6", join(everyone, "n7")[1], ("n6",)) == set()
    assert apart("n8", join(everyone, "n8")[1], (*NODES, "n6", "n7")) == {*NODES, "n6", "n7"}


def test_one_way_is_one_way_for_whoever_joins() -> None:
    seen = set()
    for seed in SEEDS:
        struck = strike("one_way", seed, target="n2")
        _, links = join(struck, "n6", seed)
        assert links == {("n6", "n2")} if "does not hear" in struck.detail else links == {("n2", "n6")}
        seen.add(frozenset(links))
    assert len(seen) == 2


def test_clients_hear_whoever_joins_as_they_hear_its_side() -> None:
    for seed in SEEDS:
        struck = strike("halves", seed, clients="with_sides")
        where, links = join(struck, "n6", seed)
        side = where.removeprefix("n6 joined on the side of ").split()
        for client in CLIENTS:
            cut_off = client in apart("n6", links, CLIENTS)
            assert cut_off == ((client, side[0]) in cut(struck))
        _, links = join(strike("minority", clients="majority_only"), "n6", seed)
        assert apart("n6", links, CLIENTS) == (set(CLIENTS) if len(apart("n6", links)) > 2 else set())
    assert not apart("n6", join(strike("halves", clients="all"), "n6")[1], CLIENTS)
