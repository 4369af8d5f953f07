"""Parts of protocols of mutual exclusion: logical clocks, the queue of a node's clients, invariants."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from framework import (
    MILLISECOND,
    ClientQueue,
    Grant,
    GrantOrder,
    LamportClock,
    MutualExclusion,
    Step,
    Timestamp,
    Violation,
    members_of,
)


def test_a_clock_passes_what_it_observes() -> None:
    clock = LamportClock("n2")
    assert clock.tick() == Timestamp(1, "n2")
    clock.observe(Timestamp(7, "n1"))
    clock.observe(Timestamp(3, "n3"))
    assert str(clock.tick()) == "8.n2"


def test_numbers_of_timestamps_have_their_order() -> None:
    members = [f"n{number}" for number in range(1, 13)]
    timestamps = sorted(Timestamp(time, node) for time in range(1, 4) for node in members)
    numbers = [timestamp.number(members) for timestamp in timestamps]
    assert numbers == sorted(set(numbers))


def test_members_are_in_the_order_of_their_numbers() -> None:
    assert members_of("n2", ("n10", "n1")) == ("n1", "n2", "n10")


def test_clients_wait_in_order() -> None:
    queue = ClientQueue()
    queue.add("c1", 4)
    queue.add("c2", 7)
    assert queue.next(3) == Grant("c1", 4, 3)
    assert queue.next(5) == Grant("c2", 7, 5)
    assert not queue


class Nodes:
    """Shows an invariant what nodes hold, and when."""

    def __init__(self, invariant: MutualExclusion | GrantOrder) -> None:
        self.invariant: Any = invariant

    def at(self, time_ms: int, name: str, token: int | None) -> None:
        step = Step(name)
        step.time = time_ms * MILLISECOND
        grants = {} if token is None else {"x": Grant("c1", token, token)}
        self.invariant.observe(step, SimpleNamespace(id=name, inside=grants))


def test_two_nodes_inside_are_a_violation() -> None:
    nodes = Nodes(MutualExclusion())
    nodes.at(0, "n1", 1)
    nodes.at(10, "n2", 2)
    with pytest.raises(Violation, match="n1 and n2 are in the critical section of x"):
        nodes.at(16, "n3", None)


def test_a_leave_reported_late_is_none() -> None:
    nodes = Nodes(MutualExclusion())
    nodes.at(0, "n1", 1)
    nodes.at(10, "n2", 2)
    nodes.at(14, "n1", None)
    nodes.at(40, "n2", None)
    nodes.at(50, "n1", 3)


def test_a_leave_that_is_too_late_is_one() -> None:
    nodes = Nodes(MutualExclusion())
    nodes.at(0, "n1", 1)
    nodes.at(10, "n2", 2)
    with pytest.raises(Violation):
        nodes.at(17, "n1", None)


def test_a_crash_does_not_end_what_a_durable_grant_began() -> None:
    invariant = MutualExclusion()
    nodes = Nodes(invariant)
    nodes.at(0, "n1", 1)
    invariant.on_crash("n1")
    nodes.at(10, "n2", 2)
    with pytest.raises(Violation):
        nodes.at(20, "n2", 2)


def test_tokens_rise_from_entry_to_entry() -> None:
    nodes = Nodes(GrantOrder())
    nodes.at(0, "n1", 5)
    nodes.at(3, "n2", 4)  # perhaps it entered before
    nodes.at(10, "n1", None)
    nodes.at(11, "n1", 6)
    with pytest.raises(Violation, match="n2 enters x with token 3, after n1 with 5"):
        nodes.at(14, "n2", 3)
