"""The states that the search keeps stand for those of the model: each step is legal in both or in neither."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.checking.history.values import exact
from framework.checking.models import coded_states as coded
from framework.checking.models.coded_states import CHUNK, CodedQueue, CodedRow, coded_row, coded_set
from framework.checking.models.containers import Queue, Set, Stack
from framework.checking.models.model import ILLEGAL, NO_RESULT, Model, ModelStep, State

WALKS = 300
VALUES = st.integers(0, 4)
RESULTS = st.one_of(st.none(), st.just(NO_RESULT), VALUES)
PUTS = VALUES.map(lambda value: ModelStep("put", value, NO_RESULT, False))
TAKES = RESULTS.map(lambda result: ModelStep("take", None, result, result is None))
TOLD = st.one_of(st.just(NO_RESULT), st.booleans().map(exact))
CHANGES = st.builds(
    lambda function, value, told: ModelStep(function, value, told, False),
    st.sampled_from(["add", "remove"]),
    VALUES,
    TOLD,
)
LOOKS = st.builds(lambda value, told: ModelStep("contains", value, told, True), VALUES, TOLD)
READS = st.one_of(st.just(NO_RESULT), st.frozensets(VALUES), st.just((1, 1))).map(
    lambda seen: ModelStep("read", None, seen, True)
)


def walked(model: Model, steps: list[ModelStep]) -> tuple[list[bool], list[tuple[State, State]]]:
    """Which of `steps` are legal, taken one after the other where they are; and the states of both, in pairs."""
    object, theirs = model.coded(steps)
    state, other = model.initial, object.initial
    legal, states = [], [(state, other)]
    for step, its in zip(steps, theirs, strict=True):
        after = model.step(state, step.function, step.argument, step.result)
        others = object.step(other, its.function, its.argument, its.result)
        assert (after is ILLEGAL) == (others is ILLEGAL), (state, other, step)
        legal.append(after is not ILLEGAL)
        if after is not ILLEGAL:
            state, other = after, others
            states.append((state, other))
    return legal, states


@settings(max_examples=WALKS, deadline=None)
@given(st.sampled_from([Queue(), Stack()]), st.lists(VALUES, max_size=3), st.lists(st.one_of(PUTS, TAKES), max_size=30))
def test_a_row_of_characters_is_the_queue_or_stack(model: Model, held: list[int], steps: list[ModelStep]) -> None:
    walked(model.holding(tuple(held)), steps)


@settings(max_examples=WALKS, deadline=None)
@given(st.frozensets(VALUES), st.lists(st.one_of(CHANGES, LOOKS, READS), max_size=30))
def test_a_set_of_bits_is_the_set(held: frozenset[int], steps: list[ModelStep]) -> None:
    _, states = walked(Set().holding(held), steps)
    seen: dict[State, State] = {}
    for state, bits in states:
        assert seen.setdefault(bits, state) == state, "one integer stands for one set"


@pytest.mark.parametrize("model", [Queue(), Stack()])
def test_rows_of_several_chunks_are_rows_too(model: Model) -> None:
    rng = random.Random(7)
    steps: list[ModelStep] = []
    row: list[int] = []
    for number in range(6 * CHUNK):
        if row and rng.random() < 0.3:
            taken = row.pop(0 if isinstance(model, Queue) else -1)
            steps.append(ModelStep("take", None, taken if rng.random() < 0.9 else -1, False))
            if steps[-1].result == -1:
                row.insert(0 if isinstance(model, Queue) else len(row), taken)
        else:
            row.append(number)
            steps.append(ModelStep("put", number, NO_RESULT, False))
    legal, _ = walked(model, steps)
    assert legal.count(False) > 5 and legal.count(True) > 5 * CHUNK


def test_what_lies_behind_a_value_that_nobody_takes_is_not_kept() -> None:
    steps = [ModelStep("put", "never taken", NO_RESULT, False)]
    steps += [ModelStep("put", number, NO_RESULT, False) for number in range(1000)]
    queue, coded_steps = Queue().coded(steps)
    assert isinstance(queue, CodedQueue)
    state: Any = queue.initial
    for step in coded_steps:
        state = queue.step(state, step.function, step.argument, step.result)
    assert sum(map(len, state[1])) == 1


def test_more_values_than_there_are_characters_are_kept_as_the_model_keeps_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "maxunicode", 3)
    steps = [ModelStep("put", number, NO_RESULT, False) for number in range(5)]
    assert coded_row(CodedQueue, (), steps) is None
    queue = Queue()
    assert queue.coded(steps) == (queue, steps)


def test_a_row_of_a_take_of_unknown_result_blocks_nothing() -> None:
    row, _ = coded.coded_row(
        CodedQueue, (), [ModelStep("put", 1, NO_RESULT, False), ModelStep("take", None, NO_RESULT, False)]
    )  # type: ignore[misc]
    assert isinstance(row, CodedRow) and row.blocks == frozenset()


def test_a_read_of_a_value_that_nobody_added_fits_no_set() -> None:
    steps = [ModelStep("add", 1, NO_RESULT, False), ModelStep("read", None, frozenset({1, 9}), True)]
    bits, (add, read) = coded_set((), steps)
    assert bits.step(bits.step(bits.initial, "add", add.argument, NO_RESULT), "read", None, read.result) is ILLEGAL
