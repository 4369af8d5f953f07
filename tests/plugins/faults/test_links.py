"""Links lose, repeat, reorder and delay: which of them, how much, and what was to be expected."""

from __future__ import annotations

import random

import pytest

from framework import ConfigError, Duration, ImpairLinks, Impairment
from plugins.faults.links import (
    DelayConfig,
    DelayFault,
    DuplicateConfig,
    DuplicateFault,
    LinksFault,
    LossConfig,
    LossFault,
    ReorderConfig,
    ReorderFault,
)
from tests.plugins.faults.views import CLIENTS, NODES, view

MS = 1_000_000


def links(fault: LinksFault, **world: dict[str, str]) -> set[tuple[str, str]]:
    struck = fault.inject(view(**world))  # type: ignore[arg-type]
    if struck is None:
        return set()
    (impair,) = struck.actions
    assert isinstance(impair, ImpairLinks)
    return set(impair.links)


def test_all_links_are_those_of_servers_the_clients_too() -> None:
    everyone = (*NODES, *CLIENTS)
    wanted = {(a, b) for a in everyone for b in everyone if a != b and not {a, b} <= set(CLIENTS)}
    assert links(LossFault(LossConfig())) == wanted


def test_one_direction_of_one_link_suffers_alone() -> None:
    assert links(DelayFault(DelayConfig(links="n1:n2"))) == {("n1", "n2")}


def test_the_links_of_a_target_are_those_from_and_to_it() -> None:
    fault = LossFault(LossConfig(links="leader"))
    assert all("n4" in link for link in links(fault, roles={"n4": "leader"}))
    assert len(links(fault, roles={"n4": "leader"})) == 2 * 6
    assert links(fault) == set()


def joined(fault: LinksFault, *nodes: str, **world: dict[str, str]) -> tuple[str, set[tuple[str, str]]]:
    """What the ledger says of the last of these nodes that join one after another, and which of its links suffer."""
    struck = fault.inject(view(**world))  # type: ignore[arg-type]
    assert struck is not None and struck.on_join is not None
    for node in nodes:
        strike = struck.on_join(node, random.Random(1))
    assert struck.actions[0] == ImpairLinks(1, struck.actions[0].links, fault.impairment())  # type: ignore[union-attr]
    (impair,) = strike.actions
    assert isinstance(impair, ImpairLinks) and (impair.token, impair.impairment) == (1, fault.impairment())
    return strike.detail, set(impair.links)


def test_all_links_are_those_of_a_node_that_joins_too() -> None:
    others = (*NODES, *CLIENTS, "n6")
    wanted = {link for other in others for link in (("n7", other), (other, "n7"))}
    assert joined(DelayFault(DelayConfig()), "n6", "n7") == ("n7 joined, all its links too", wanted)


def test_the_links_of_a_target_are_those_with_a_node_that_joins_too() -> None:
    fault = ReorderFault(ReorderConfig(links="leader"))
    struck = ("n7 joined, its links with n4 too", {("n7", "n4"), ("n4", "n7")})
    assert joined(fault, "n6", "n7", roles={"n4": "leader"}) == struck


def test_one_direction_between_two_nodes_is_nobody_elses() -> None:
    struck = LossFault(LossConfig(links="n1:n2")).inject(view())
    assert struck is not None and struck.on_join is None


@pytest.mark.parametrize(
    ("fault", "impairment", "expected"),
    [
        (LossFault(LossConfig(probability=0.25)), Impairment(loss=0.25), 25.0),
        (
            DuplicateFault(DuplicateConfig(probability=0.5, spread=Duration("3ms"))),
            Impairment(duplicate=0.5, spread=3 * MS),
            50.0,
        ),
        (ReorderFault(ReorderConfig(probability=0.5, spread=Duration("3ms"))), Impairment(reorder=0.5, spread=3 * MS), 50.0),
        (DelayFault(DelayConfig(by=Duration("7ms"))), Impairment(delay=7 * MS), None),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_befalls_a_message_and_how_many_should_be_touched(
    fault: LinksFault, impairment: Impairment, expected: float | None
) -> None:
    struck = fault.inject(view())
    assert struck is not None
    assert fault.impairment() == impairment
    assert fault.expected_touched(struck, 100) == expected


@pytest.mark.parametrize("written", ["n1:n9", "n9:n1", "n1:", "n9", "leadr"])
def test_links_that_are_none_are_refused(written: str) -> None:
    with pytest.raises(ConfigError, match=f"faults.loss.links={written}: there is no "):
        LossFault(LossConfig(links=written)).validate_nodes("faults.loss", NODES, ())


def test_what_would_change_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="by=0 delays nothing"):
        DelayConfig(by=Duration("0"))
    with pytest.raises(ValueError, match="spread=0 lets nothing be overtaken"):
        ReorderConfig(spread=Duration("0"))
