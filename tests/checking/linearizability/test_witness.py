"""A witness explains the history: replayed by whoever knows the rules and the model, and nothing of the search."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from framework.checking.history.calls import Call
from framework.checking.linearizability.bounds import Bounds
from framework.checking.linearizability.checker import check_linearizable
from framework.checking.linearizability.witness import Placed, order
from framework.checking.models.catalog import built_in_models
from framework.checking.models.containers import Queue, Set, Stack
from framework.checking.models.model import ILLEGAL, Model
from framework.checking.models.multi_register import MultiRegister
from framework.checking.models.registers import Counter, KeyValue, Register
from framework.checking.verdict import Verdict
from tests.checking.histories import drawn, drawn_runs, history, precedes, simulated
from tests.checking.linearizability.test_naive_twin import twin

pytestmark = pytest.mark.long

MODELS = list(built_in_models().values())


def verify(placed: list[Placed], calls: list[Call], model: Model) -> None:
    """Replays a witness: all that certainly happened, once each, within its interval, in real time's order, legally."""
    taken = [it.call for it in placed]
    assert len({call.operation for call in taken}) == len(taken)
    assert {call.operation for call in taken if call.known} == {call.operation for call in calls if call.known}
    assert all(call.outcome != "fail" for call in taken)
    states = {}
    latest = -1
    for it in placed:
        call = it.call
        assert call.invoked <= it.at and (not call.known or it.at <= call.completed)
        assert it.at >= latest  # what ends before another begins comes before it
        latest = it.at
        step = model.prepare(call)
        state = model.step(states.get(call.key, model.initial), step.function, step.argument, step.result)
        assert state is not ILLEGAL, f"{call} after {states.get(call.key)}"
        states[call.key] = state


def in_real_time(placed: list[Placed], model: Model) -> None:
    """The same rules of what precedes what as the naive twin has them, pair by pair."""
    entries = [(it.call, model.prepare(it.call)) for it in placed]
    for place, earlier in enumerate(entries):
        assert not any(precedes(later, earlier) for later in entries[place + 1 :])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_model_has_a_witness_of_what_is_valid(model: Model) -> None:
    found = 0

    @settings(twin, max_examples=500)  # few of the drawn transactions are valid
    @given(drawn(model, 8) | drawn_runs(model, 8))
    def compare(calls: list[Call]) -> None:
        nonlocal found
        if check_linearizable(calls, model).verdict is Verdict.VALID:
            placed = order(calls, model, Bounds())
            assert isinstance(placed, list)
            verify(placed, calls, model)
            in_real_time(placed, model)
            found += 1

    compare()
    assert found > 50


LONG = [
    (Register(), ("read", "write"), None, 0.0),
    (Register(), ("read", "write"), None, 0.05),
    (Register(), ("read", "write", "cas"), 5, 0.0),
    (KeyValue(), ("read", "write", "append", "cas", "delete"), None, 0.02),
    (Counter(), ("read", "increment"), None, 0.01),
    (Queue(), ("enqueue", "dequeue"), None, 0.0),
    (Queue(), ("enqueue", "enqueue", "dequeue"), None, 0.03),
    (Stack(), ("push", "pop"), None, 0.0),
    (Stack(), ("push", "push", "pop"), None, 0.03),
]


@pytest.mark.parametrize(("model", "functions", "values", "unknown"), LONG)
def test_a_long_history_that_the_times_alone_decide_has_one_too(
    model: Model, functions: tuple[str, ...], values: int | None, unknown: float
) -> None:
    calls = simulated(model, 21, 4000, 10, ("x", "y"), functions, values=values, unknown=unknown)
    assert check_linearizable(calls, model).verdict is Verdict.VALID
    placed = order(calls, model, Bounds(steps=200 * len(calls)))
    assert isinstance(placed, list), placed
    verify(placed, calls, model)


def test_a_set_that_only_grows_has_one() -> None:
    rows = [(n % 5, "add", n, None, 3 * n, 3 * n + 12) for n in range(600)]
    rows += [(9, "read", None, tuple(range(3 * n + 1)), 9 * n + 14, 9 * n + 14.5) for n in range(190)]
    calls = history(*rows)
    assert check_linearizable(calls, Set()).verdict is Verdict.VALID
    placed = order(calls, Set(), Bounds(steps=200_000))
    assert isinstance(placed, list), placed
    verify(placed, calls, Set())


def test_what_was_spent_before_an_order_was_found_is_said() -> None:
    calls = simulated(Register(), 21, 100, 5, ("x",), ("read", "write"))
    assert order(calls, Register(), Bounds(steps=10)) == "steps spent on key 'x'"


def test_an_operation_of_unknown_fate_is_there_if_it_took_effect() -> None:
    rows = [(0, "write", 1, None, 0, None), (1, "write", 2, None, 0, None), (2, "read", None, 1, 5, 6)]
    placed = order(history(*rows), Register(), Bounds())
    assert isinstance(placed, list)
    assert [(it.call.function, it.call.argument, it.at) for it in placed] == [
        ("write", 1, 0),
        ("read", None, 5_000_000),
    ]


def test_transactions_on_registers_that_do_not_meet_are_in_one_order() -> None:
    def txn(*micros: tuple) -> tuple:
        return micros

    rows = [
        (0, "txn", txn(("w", "x", 1)), txn(("w", "x", 1)), 0, 9),
        (1, "txn", txn(("w", "y", 1), ("r", "z", None)), txn(("w", "y", 1), ("r", "z", None)), 3, 4),
        (1, "txn", txn(("r", "x", None)), txn(("r", "x", 1)), 5, 6),
    ]
    calls = history(*rows)
    placed = order(calls, MultiRegister(), Bounds())
    assert isinstance(placed, list)
    verify(placed, calls, MultiRegister())
