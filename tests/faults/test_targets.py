"""Targets of faults: nodes by role, by what their mounts do, and the clients and the service beside them."""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest

from framework import ClusterView, ConfigError, Crash, Injection, Restart, Resume, Status, TargetConfig, check_target
from framework.core.message import NodeId
from framework.core.status import Status as CoreStatus
from framework.core.status import status_of
from plugins.faults.crash import AgainConfig, CrashFault, RestartFault, ResumeFault

NODES = ("n1", "n2", "n3")


def view(**given: object) -> ClusterView:
    """Three servers, a service and three clients; n3 is down, c3 is paused, c2 holds a lease."""
    statuses = {
        "n1": Status(roles=("leader",), leads=("a",), hosts=("a", "b")), "n2": Status(hosts=("b",), leads=("b",)), "n3": None,
    }  # fmt: skip
    others = {"s1": Status(), "c1": Status(), "c2": Status(roles=("holder",)), "c3": Status(roles=("holder",))}
    roles = {"first": ("n1", "n3"), "service": ("s1",)}
    return ClusterView(
        0, statuses, ("c1", "c2", "c3"), random.Random(1), itertools.count(1).__next__, frozenset({"c3"}),
        others=others, roles=roles,
    )  # fmt: skip


def test_a_role_without_nodes_is_taken_by_the_nodes_whose_status_has_it() -> None:
    found = view()
    assert dataclasses.replace(found, roles={"leader": ()}).select("leader") == ("n1",)


@pytest.mark.parametrize(
    ("target", "nodes", "with_others"),
    [
        ("n1", ("n1",), ("n1",)),
        ("n3", (), ()),
        ("leader", ("n1",), ("n1",)),
        ("first", ("n1",), ("n1",)),
        ("leader:a", ("n1",), ("n1",)),
        ("leader:b", ("n2",), ("n2",)),
        ("host:b", ("n1", "n2"), ("n1", "n2")),
        ("leader:c", (), ()),
        ("all", ("n1", "n2"), ("n1", "n2")),
        ("holder", (), ("c2",)),
        ("client:c1", (), ("c1",)),
        ("client:c3", (), ()),
        ("client:s1", (), ()),
        ("client:c9", (), ()),
        ("c1", (), ("c1",)),
        ("s1", (), ("s1",)),
        ("service", (), ("s1",)),
    ],
)
def test_a_target_selects(target: str, nodes: tuple[NodeId, ...], with_others: tuple[NodeId, ...]) -> None:
    assert view().select(target) == nodes
    assert view().select(target, others=True) == with_others


def test_a_random_client_is_one_that_runs() -> None:
    selected = view()
    assert {selected.select("client:random", others=True) for _ in range(50)} == {("c1",), ("c2",)}
    assert selected.select("client:random") == ()
    assert {selected.select("random", others=True) for _ in range(50)} == {("n1",), ("n2",)}


def test_a_target_that_can_select_nothing_is_refused() -> None:
    for target, others, says in (
        ("leeder:a", False, "'leeder' cannot stand before a colon. Did you mean 'leader'?"),
        ("host:", True, "names nothing after the colon. Write host:NAME."),
        ("client:c1", False, "Crashes, pauses and clocks reach clients."),
    ):
        with pytest.raises(ConfigError) as refused:
            check_target("faults.x.target", target, NODES, others=others)
        assert says in str(refused.value)
    check_target("faults.x.target", "client:c1", NODES, others=True)
    check_target("faults.x.target", "leader:shard-7", NODES)


class Shows:
    def __init__(self, status: CoreStatus) -> None:
        self.status = status


def test_a_status_says_what_the_mounts_do_unless_the_node_says_so_itself() -> None:
    mounts = {
        "": Shows(Status(term=4)), "a": Shows(Status(roles=("leader",))), "b": Shows(Status(roles=("follower",))),
        "idle": Shows(Status()),
    }  # fmt: skip
    assert status_of(mounts) == Status(term=4, leads=("a",), hosts=("a", "b"))
    own = Status(leads=("x",), hosts=("x", "y"))
    assert status_of({**mounts, "": Shows(own)}) == own
    assert status_of({"": mounts[""], "idle": mounts["idle"]}) == Status(term=4)


def test_clients_crash_and_come_back_by_their_names() -> None:
    crash = CrashFault(TargetConfig(target="client:c1")).inject(view())
    assert crash == Injection((Crash("c1"),), (Restart("c1"),), ("c1",))
    down = dataclasses.replace(view(), others={"s1": None, "c1": Status(), "c2": None, "c3": Status()})
    for target, back in (("all", ("n3", "s1", "c2")), ("client:c2", ("c2",)), ("c2", ("c2",)), ("n3", ("n3",))):
        found = RestartFault(AgainConfig(target=target)).inject(down)
        assert found is not None and found.targets == back
    resumed = ResumeFault(AgainConfig(target="client:c3")).inject(view())
    assert resumed == Injection((Resume("c3"),), (), ("c3",))
