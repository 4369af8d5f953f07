"""Counters: what each operation does, and that the checker's model agrees."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import Refused
from framework.checking.history.calls import Call
from framework.checking.models.catalog import model_named
from framework.checking.models.model import ILLEGAL
from plugins.state_machines.counter import Counters, register_state_machines


def run(counters: Counters, function: str, key: str | None = "x", argument: Any = None) -> Any:
    return counters.result(counters.apply(counters.command(function, key, argument)))


def test_each_key_counts_from_nought() -> None:
    counters = Counters()
    assert run(counters, "read") == 0
    assert run(counters, "increment") == 1
    assert run(counters, "increment", argument=5) == 6
    assert run(counters, "increment", argument=-7) == -1
    assert run(counters, "increment", "y") == 1
    assert run(counters, "read") == -1


@pytest.mark.parametrize("argument", ["1", True, (1, 2), 2**63 - 1])
def test_what_cannot_be_added_is_refused_and_nothing_changes(argument: Any) -> None:
    counters = Counters()
    run(counters, "increment")
    with pytest.raises(Refused):
        run(counters, "increment", argument=argument)
    assert run(counters, "read") == 1


def test_equal_states_have_equal_snapshots_and_restore_to_one_another() -> None:
    one, other = Counters(), Counters()
    run(one, "increment", "b")
    run(one, "increment", None)
    run(one, "increment", "a", 0)
    run(other, "increment", None)
    run(other, "increment", "b")
    assert one == other
    twin = Counters()
    twin.restore(one.snapshot())
    assert twin == one
    assert run(twin, "read", "b") == 1


@given(st.lists(st.one_of(st.just(("read", None)), st.tuples(st.just("increment"), st.integers(-2, 2))), max_size=12))
def test_the_checker_s_model_takes_every_answer_for_legal_and_no_other(calls: list[tuple[str, Any]]) -> None:
    counters, model = Counters(), model_named("counter")
    state = model.initial
    for number, (function, argument) in enumerate(calls):
        result = run(counters, function, argument=argument)
        lie = model.prepare(Call(number, "c1", 0, function, "x", argument, result + 1, "ok", number, number))
        assert model.step(state, lie.function, lie.argument, lie.result) is ILLEGAL
        step = model.prepare(Call(number, "c1", 0, function, "x", argument, result, "ok", number, number))
        state = model.step(state, step.function, step.argument, step.result)
        assert state is not ILLEGAL


def test_it_is_installed_under_its_name_with_its_model() -> None:
    [spec] = register_state_machines()
    assert (spec.name, spec.model, spec.machine.operations) == ("counter", "counter", ("read", "increment"))
