"""The key-value store: what each operation does, and that the checker's model agrees."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import Refused
from framework.checking.history.calls import Call
from framework.checking.models.catalog import model_named
from framework.checking.models.model import ILLEGAL
from plugins.state_machines.kv import KeyValueStore, register_state_machines


def run(store: KeyValueStore, function: str, key: str | None = "x", argument: Any = None) -> Any:
    return store.result(store.apply(store.command(function, key, argument)))


def test_a_key_reads_what_was_last_written() -> None:
    store = KeyValueStore()
    assert run(store, "read") is None
    assert run(store, "write", argument="a") is None
    assert run(store, "write", argument=2) is None
    assert run(store, "read") == 2
    assert run(store, "read", "y") is None
    assert run(store, "delete") is None
    assert run(store, "read") is None


def test_compare_and_set_writes_only_over_the_value_that_was_expected() -> None:
    store = KeyValueStore()
    assert run(store, "cas", argument=("a", "b")) is False
    assert run(store, "cas", argument=(None, 1)) is True
    assert run(store, "cas", argument=(True, "true is not 1")) is False
    assert run(store, "cas", argument=("1", "nor is text")) is False
    assert run(store, "read") == 1
    assert run(store, "cas", argument=(1, ("a", 2))) is True
    assert run(store, "read") == ("a", 2)
    assert run(store, "cas", argument=(("a", 2), None)) is True
    assert store.snapshot() == KeyValueStore().snapshot()


def test_append_adds_to_a_text_and_an_absent_key_counts_as_the_empty_one() -> None:
    store = KeyValueStore()
    run(store, "append", argument="a")
    run(store, "append", argument="b")
    assert run(store, "read") == "ab"


def test_what_the_store_cannot_do_it_refuses_and_nothing_changes() -> None:
    store = KeyValueStore()
    run(store, "write", argument=1)
    for function, argument in (("append", "a"), ("append", None), ("cas", "a"), ("cas", (1, 2, 3))):
        with pytest.raises(Refused):
            run(store, function, argument=argument)
    assert run(store, "read") == 1


def test_equal_states_have_equal_snapshots_however_they_came_about() -> None:
    one, other = KeyValueStore(), KeyValueStore()
    for key in ("b", "a", None, "c"):
        run(one, "write", key, key)
    run(one, "delete", "c")
    for key in (None, "a", "b"):
        run(other, "write", key, "?")
        run(other, "write", key, key)
    assert one.snapshot() == other.snapshot()
    assert one == other


VALUES = st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.sampled_from(["", "a", "ab"]), st.just(("a", 1)))
CALLS = st.one_of(
    st.tuples(st.sampled_from(["read", "delete"]), st.none()),
    st.tuples(st.just("write"), VALUES),
    st.tuples(st.just("append"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("cas"), st.tuples(VALUES, VALUES)),
)


@given(st.lists(CALLS, max_size=12))
def test_the_checker_s_model_takes_every_answer_for_legal_and_no_other(calls: list[tuple[str, Any]]) -> None:
    store, model = KeyValueStore(), model_named("kv")
    state = model.initial
    for number, (function, argument) in enumerate(calls):
        try:
            result, refused = run(store, function, argument=argument), False
        except Refused:
            result, refused = None, True
        call = Call(number, "c1", 0, function, "x", argument, result, "ok", number, number)
        step = model.prepare(call)
        after = model.step(state, step.function, step.argument, step.result)
        assert (after is ILLEGAL) == refused
        if function == "cas":
            lie = model.prepare(Call(number, "c1", 0, function, "x", argument, not result, "ok", number, number))
            assert model.step(state, lie.function, lie.argument, lie.result) is ILLEGAL
        state = state if refused else after


@given(st.lists(st.tuples(CALLS, st.sampled_from(["x", "y", None])), max_size=12))
def test_a_restored_snapshot_is_the_state_itself(calls: list[tuple[tuple[str, Any], str | None]]) -> None:
    store = KeyValueStore()
    for (function, argument), key in calls:
        store.apply(store.command(function, key, argument))
    twin = KeyValueStore()
    twin.restore(store.snapshot())
    assert twin == store
    assert [run(twin, "read", key) for key in ("x", "y", None)] == [run(store, "read", key) for key in ("x", "y", None)]
    copied = store.copy()
    run(copied, "write", "x", "only here")
    assert run(store, "read", "x") != "only here"


def test_it_is_installed_under_its_name_with_its_model() -> None:
    [spec] = register_state_machines()
    assert (spec.name, spec.model) == ("kv", "kv")
    assert spec.machine.operations == ("read", "write", "cas", "append", "delete")
