"""Queues, stacks and sets: what each operation does, and that the checker's models agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import Refused, StateMachine
from framework.checking.history.calls import Call
from framework.checking.models.catalog import model_named
from framework.checking.models.model import ILLEGAL
from plugins.state_machines.containers import Queues, Sets, Stacks, register_state_machines


def run(machine: StateMachine, function: str, argument: Any = None, key: str | None = "x") -> Any:
    return machine.result(machine.apply(machine.command(function, key, argument)))


def test_a_queue_gives_first_what_came_first() -> None:
    queues = Queues()
    for value in ("a", True, (1, ("b",))):
        assert run(queues, "enqueue", value) is None
    run(queues, "enqueue", "elsewhere", "y")
    assert [run(queues, "dequeue") for _ in range(4)] == ["a", True, (1, ("b",)), None]
    assert run(queues, "dequeue", key="y") == "elsewhere"


def test_a_stack_gives_first_what_came_last() -> None:
    stacks = Stacks()
    for value in (1, 2, 3):
        run(stacks, "push", value)
    assert [run(stacks, "pop") for _ in range(4)] == [3, 2, 1, None]


def test_a_set_holds_each_value_once_and_tells_one_kind_from_another() -> None:
    sets = Sets()
    assert [run(sets, "add", value) for value in (1, True, 1, "1", None)] == [True, True, False, True, True]
    assert sorted(map(repr, run(sets, "read"))) == ["'1'", "1", "None", "True"]
    assert run(sets, "contains", True) and not run(sets, "contains", 2)
    assert [run(sets, "remove", 1), run(sets, "remove", 1)] == [True, False]
    assert run(sets, "contains", True), "True is not 1"
    assert run(sets, "read", key="other") == ()


@pytest.mark.parametrize(("machine", "function"), [(Queues(), "enqueue"), (Stacks(), "push")])
def test_none_cannot_be_put_in(machine: StateMachine, function: str) -> None:
    with pytest.raises(Refused):
        run(machine, function, None)


VALUES = st.one_of(st.integers(0, 2), st.booleans(), st.sampled_from(["a", "b"]), st.tuples(st.integers(0, 1)))
FUNCTIONS = {"queue": ("enqueue", "dequeue"), "stack": ("push", "pop"), "set": ("add", "remove", "contains", "read")}
MACHINES = {"queue": Queues, "stack": Stacks, "set": Sets}


@pytest.mark.parametrize("name", MACHINES)
@given(data=st.data())
def test_it_does_what_the_model_says_and_its_snapshot_holds_all(name: str, data: st.DataObject) -> None:
    machine, model = MACHINES[name](), model_named(name)
    state = model.initial
    for number in range(data.draw(st.integers(0, 20))):
        function = data.draw(st.sampled_from(FUNCTIONS[name]))
        argument = data.draw(VALUES) if function in ("enqueue", "push", "add", "remove", "contains") else None
        result = run(machine, function, argument)
        call = Call(number, "c1", 1, function, "x", argument, result, "ok", number, number)
        step = model.prepare(call)
        state = model.step(state, step.function, step.argument, step.result)
        assert state is not ILLEGAL, (function, argument, result)
        twin = MACHINES[name]()
        twin.restore(machine.snapshot())
        assert twin.snapshot() == machine.snapshot()
        machine = data.draw(st.sampled_from([machine, twin, machine.copy()]))


def test_equal_states_have_equal_snapshots() -> None:
    one, other = Sets(), Sets()
    for value in ("a", "b", "c"):
        run(one, "add", value)
    for value in ("c", "x", "b", "a"):
        run(other, "add", value)
    run(other, "remove", "x")
    run(other, "remove", "y", key="empty")
    assert one.snapshot() == other.snapshot()
    queue, emptied = Queues(), Queues()
    run(emptied, "enqueue", 1)
    run(emptied, "dequeue")
    assert queue.snapshot() == emptied.snapshot()


def test_they_are_registered_with_their_models() -> None:
    assert [(spec.name, spec.model) for spec in register_state_machines()] == [
        ("queue", "queue"), ("stack", "stack"), ("set", "set"),
    ]  # fmt: skip
