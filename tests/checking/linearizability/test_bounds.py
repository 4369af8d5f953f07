"""The search and the evidence end when their steps or their memory are spent, on every machine at the same place."""

from __future__ import annotations

import pytest

from experiments.checker_cost.histories import recorded
from experiments.checker_cost.rows import Row
from framework.checking.history.calls import Call
from framework.checking.linearizability.bounds import MIB, Bounds
from framework.checking.linearizability.checker import check_linearizable
from framework.checking.linearizability.search import WEIGHT_WORDS, Search
from framework.checking.linearizability.timeline import entries, lay_out
from framework.checking.models.containers import Queue, Set
from framework.checking.models.multi_register import MultiRegister
from framework.checking.models.registers import Register
from framework.checking.verdict import Verdict
from tests.checking.histories import history

CROWDED = Row("bounds", "", "queue", 3_000, 20, 1, {"enqueue": 50, "dequeue": 51}, values=3)
HARD = recorded(0, CROWDED)
"""Twenty clients on one queue of three values: many orders, and few that lead to the end."""


def choices(pairs: int, key: str = "x") -> list[Call]:
    """Pairs of transactions that may take place in either order: each is a place that the search may come back to."""
    rows = [
        (who, "txn", (("w", "r", 2 * n + who),), None, 4 * n, 4 * n + 3, key) for n in range(pairs) for who in (0, 1)
    ]
    return history(*rows)


def test_memory_that_is_spent_is_unknown_and_says_so() -> None:
    model = MultiRegister()
    small = check_linearizable(choices(3_000), model, Bounds(memory_mib=1))
    assert (small.verdict, small.reason) == (Verdict.UNKNOWN, "memory of 1 MiB spent on key 'x', register 'r'")
    assert check_linearizable(choices(3_000), model, Bounds(memory_mib=16)).verdict is Verdict.VALID


def test_memory_that_one_object_does_not_need_goes_to_the_one_that_does() -> None:
    model, bounds = MultiRegister(), Bounds(memory_mib=1)
    most = next(
        pairs
        for pairs in range(100, 3_000, 20)
        if check_linearizable(choices(pairs), model, bounds).verdict is Verdict.UNKNOWN
    )
    easy = history((0, "txn", (("w", "r", 1),), None, 0, 1, "a"))
    assert check_linearizable([*easy, *choices(most - 20)], model, bounds).verdict is Verdict.VALID
    assert check_linearizable([*easy, *choices(most)], model, bounds).verdict is Verdict.UNKNOWN


def test_the_bounds_are_spent_at_the_same_place_every_time() -> None:
    bounds = Bounds(steps=20_000, memory_mib=4)
    one, other = check_linearizable(HARD, Queue(), bounds), check_linearizable(HARD, Queue(), bounds)
    assert (one.verdict, one.reason, one.steps) == (other.verdict, other.reason, other.steps)
    assert one.verdict is Verdict.UNKNOWN and bounds.steps < one.steps < 2 * bounds.steps


@pytest.mark.long
@pytest.mark.parametrize("mib", [1, 4, 16])
def test_a_search_keeps_no_more_than_it_may(mib: int) -> None:
    model = Queue()
    search = Search(lay_out(entries(HARD, model), model), mib * MIB)
    search.run(300_000)
    assert search.bytes <= mib * MIB * 1.1


def test_a_step_weighs_more_the_larger_its_state_is() -> None:
    rows = [(n % 5, "add", n, True, 10 * n, 10 * n + 45) for n in range(50)] + [(6, "contains", 7, True, 0, 600)]
    steps = []
    for held in (0, 64 * WEIGHT_WORDS + 64):
        model = Set().holding(frozenset(range(1_000, 1_000 + held)))
        search = Search(lay_out(entries(history(*rows), model), model))
        assert search.run(100_000) is Verdict.VALID
        steps.append(search.steps)
    assert steps[1] >= steps[0] + 50


def test_evidence_that_is_not_looked_for_long_is_longer_and_says_so() -> None:
    rows = [(5, "write", 1000 + n, None, 2 * n, 2 * n + 1) for n in range(60)]
    rows += [(6, "read", None, 1000 + n, 2 * n + 0.2, 2 * n + 1.5) for n in range(60)]
    rows += [(1, "read", None, 1000, 500, 501)]
    calls = history(*rows)
    short = check_linearizable(calls, Register())
    hasty = check_linearizable(calls, Register(), Bounds(evidence_steps=1))
    assert short.verdict is hasty.verdict is Verdict.INVALID
    assert len(hasty.story) > len(short.story)
    assert hasty.story[-2].endswith(" within the budget; there may be fewer that show it")
    assert not any("within the budget" in line for line in short.story)
