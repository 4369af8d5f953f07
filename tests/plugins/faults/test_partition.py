"""Who hears whom when the network falls apart, and where the clients stand."""

from __future__ import annotations

import pytest

from framework import Calm, ConfigError, Disturb, Strike
from plugins.faults.partition import PartitionConfig, PartitionFault
from tests.plugins.faults.views import CLIENTS, NODES, view

SEEDS = range(30)


def strike(kind: str, seed: int = 1, target: str = "random", clients: str = "all", **world: dict[str, str]) -> Strike:
    config = PartitionConfig(kind=kind, target=target, clients=clients)  # type: ignore[arg-type]
    struck = PartitionFault(config, {}).strike(view(seed=seed, **world))  # type: ignore[arg-type]
    assert struck is not None
    return struck


def cut(struck: Strike) -> set[tuple[str, str]]:
    (disturb,) = struck.does
    assert isinstance(disturb, Disturb) and disturb.disturbance.cut
    assert struck.undoes == (Calm(disturb.token),)
    return set(disturb.links)


def heard(node: str, links: set[tuple[str, str]]) -> set[str]:
    """Who can speak with `node` both ways, itself included."""
    return {other for other in NODES if (node, other) not in links and (other, node) not in links}


@pytest.mark.parametrize("seed", SEEDS)
def test_halves_are_two_sides_that_hear_themselves_alone(seed: int) -> None:
    struck = strike("halves", seed)
    links = cut(struck)
    few = set(struck.against)
    assert len(few) == 2
    for node in NODES:
        assert heard(node, links) == (few if node in few else set(NODES) - few)
    assert " | " in struck.detail


def test_a_minority_is_fewer_than_half_however_many() -> None:
    sizes = {len(strike("minority", seed).against) for seed in SEEDS}
    assert sizes == {1, 2}


@pytest.mark.parametrize("seed", SEEDS)
def test_on_a_ring_each_hears_a_majority_and_no_two_the_same(seed: int) -> None:
    links = cut(strike("majority_ring", seed))
    circles = [frozenset(heard(node, links)) for node in NODES]
    assert all(len(circle) == 3 for circle in circles) and len(set(circles)) == 5


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bridge_hears_both_sides_which_do_not_hear_each_other(seed: int) -> None:
    struck = strike("bridge", seed)
    links, (bridge,) = cut(struck), struck.against
    assert heard(bridge, links) == set(NODES)
    assert all(len(heard(node, links)) == 3 for node in NODES if node != bridge)


def test_whoever_leads_is_isolated() -> None:
    struck = strike("isolate", target="leader", roles={"n3": "leader"})
    links = cut(struck)
    assert struck.against == ("n3",) and heard("n3", links) == {"n3"}
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
        assert lost == set(struck.against)


def test_clients_may_hear_everyone() -> None:
    assert not [link for link in cut(strike("halves", clients="all")) if set(link) & set(CLIENTS)]


def test_a_shape_that_takes_more_nodes_than_there_are_is_refused() -> None:
    fault = PartitionFault(PartitionConfig(kind="majority_ring"), {})
    with pytest.raises(ConfigError, match="takes at least 4 nodes, and there are 3"):
        fault.needs("faults.partition", ("n1", "n2", "n3"))
    PartitionFault(PartitionConfig(), {}).needs("faults.partition", ("n1", "n2"))


def test_nobody_to_isolate_is_no_strike() -> None:
    fault = PartitionFault(PartitionConfig(kind="isolate", target="leader"), {})
    assert fault.strike(view()) is None
