"""Compact states of queues, stacks and sets for the search; similar states share memory.

Values are numbered. A row of values is a tuple of chunks, which are texts with one character per value; an operation
replaces the first or the last chunk. A set is an integer with one bit per value. The tests compare them with the models
that they represent.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

from framework.checking.history.values import plain
from framework.checking.models.model import ILLEGAL, NO_RESULT, ModelStep, Outlook, State, Transitions

CHUNK = 128
"""The number of values in a chunk."""
Chunks: TypeAlias = tuple[str, ...]
PackedRow: TypeAlias = tuple[int, Chunks]
"""The number of values ever put, modulo `CHUNK`, and the values held. So the chunks of two equal runs of a queue begin
at the same values; a stack does not need the number, and keeps 0."""


class Codes:
    """Numbers of values, in the order of the first request."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def number(self, value: Hashable) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    def mask(self, values: Iterable[Hashable]) -> int:
        """Returns an integer with the bits of `values`; -1, which no set has, if a value has no number."""
        mask = bytearray(len(self._numbers) // 8 + 1)
        for value in values:
            number = self._numbers.get(value)
            if number is None:
                return -1
            mask[number >> 3] |= 1 << (number & 7)
        return int.from_bytes(mask, "little")

    def __len__(self) -> int:
        return len(self._numbers)


class CodedRow(Transitions):
    """A queue or a stack of characters.

    `blocks`: values put and never taken; None if a take may have taken any value.
    """

    def __init__(self, held: Sequence[str], blocks: frozenset[str] | None) -> None:
        self.blocks = blocks or frozenset()
        self.initial = (0, ())
        for value in held:
            self.initial = self.step(self.initial, "put", value, NO_RESULT)

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        assert isinstance(state, tuple)
        if function == "put":
            return self._put(state, argument)
        phase, chunks = state
        if not chunks:
            return state if result is None or result is NO_RESULT else ILLEGAL
        taken, left = self._take(chunks)
        return (phase, left) if result is NO_RESULT or result == taken else ILLEGAL

    def outlook(self, steps: Sequence[ModelStep]) -> Outlook:
        return Outlook(size=_words)

    @abstractmethod
    def _put(self, row: PackedRow, value: str) -> PackedRow: ...

    @abstractmethod
    def _take(self, chunks: Chunks) -> tuple[str, Chunks]: ...


class CodedQueue(CodedRow):
    """First in, first out. Values behind a value that is never taken are counted but not kept."""

    def _put(self, row: PackedRow, value: str) -> PackedRow:
        phase, chunks = row
        after = (phase + 1) % CHUNK
        if chunks and chunks[-1][-1] in self.blocks:
            return after, chunks
        if phase and chunks:
            return after, (*chunks[:-1], chunks[-1] + value)
        return after, (*chunks, value)

    def _take(self, chunks: Chunks) -> tuple[str, Chunks]:
        first = chunks[0]
        return first[0], (first[1:], *chunks[1:]) if len(first) > 1 else chunks[1:]


class CodedStack(CodedRow):
    """Last in, first out. Values below a value that is never taken are not kept."""

    def _put(self, row: PackedRow, value: str) -> PackedRow:
        chunks = row[1]
        if value in self.blocks:
            return 0, (value,)
        if chunks and len(chunks[-1]) < CHUNK:
            return 0, (*chunks[:-1], chunks[-1] + value)
        return 0, (*chunks, value)

    def _take(self, chunks: Chunks) -> tuple[str, Chunks]:
        last = chunks[-1]
        return last[-1], (*chunks[:-1], last[:-1]) if len(last) > 1 else chunks[:-1]


def _words(state: State) -> int:
    """Returns the words of a state: a chunk that it does not share, and the tuple."""
    assert isinstance(state, tuple)
    return CHUNK // 8 + len(state[1])


def coded_row(
    row: type[CodedRow], held: Iterable[State], steps: Sequence[ModelStep]
) -> tuple[CodedRow, list[ModelStep]] | None:
    """Returns a row that initially holds `held`, and `steps` in its terms; None if there are too many values."""
    codes = Codes()
    first = [codes.number(value) for value in held]
    numbers = [codes.number(value) for value in map(_value, steps) if value is not None]
    if len(codes) > sys.maxunicode:
        return None
    taken = {chr(codes.number(step.result)) for step in steps if step.function == "take" and _value(step) is not None}
    free = any(step.function == "take" and step.result is NO_RESULT for step in steps)
    blocks = None if free else frozenset(map(chr, {*first, *numbers})) - taken
    coded = []
    for step in steps:
        value = _value(step)
        if value is not None:
            letter = chr(codes.number(value))
            step = msgspec.structs.replace(step, **{"argument" if step.function == "put" else "result": letter})
        coded.append(step)
    return row([chr(number) for number in first], blocks), coded


def _value(step: ModelStep) -> State:
    """Returns the value put or taken; None if there is none, or it is unknown."""
    value = step.argument if step.function == "put" else step.result
    return None if value is NO_RESULT else value


class CodedSet(Transitions):
    """A set of numbered values; its state has one bit per value."""

    def __init__(self, initial: int, bits: int) -> None:
        self.initial = initial
        self._bits = bits

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        assert isinstance(state, int)
        if function == "read":
            return state if result is NO_RESULT or state == result else ILLEGAL
        there = state & argument != 0
        changes = function != "contains" and there == (function == "remove")
        if result is not NO_RESULT and result is not (there if function == "contains" else changes):
            return ILLEGAL
        return state ^ argument if changes else state

    def outlook(self, steps: Sequence[ModelStep]) -> Outlook:
        words = self._bits // 64
        return Outlook(size=lambda state: words) if words else Outlook()


def coded_set(held: Iterable[State], steps: Sequence[ModelStep]) -> tuple[CodedSet, list[ModelStep]]:
    """Returns a set that initially holds `held`, and `steps` in its terms."""
    codes = Codes()
    for value in sorted(held, key=repr):
        codes.number(value)
    initial = (1 << len(codes)) - 1
    bits = [0 if step.function == "read" else 1 << codes.number(step.argument) for step in steps]
    coded = []
    for step, bit in zip(steps, bits, strict=True):
        if step.function != "read":
            told = step.result if step.result is NO_RESULT else plain(step.result)
            step = msgspec.structs.replace(step, argument=bit, result=told)
        elif step.result is not NO_RESULT:
            there = isinstance(step.result, frozenset)
            step = msgspec.structs.replace(step, result=codes.mask(step.result) if there else -1)
        coded.append(step)
    return CodedSet(initial, len(codes)), coded
