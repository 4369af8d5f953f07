"""Objects that hold several values: a queue, a stack, a set."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from framework.checking.history.calls import Call, bad_call
from framework.checking.history.values import Key, exact, shown
from framework.checking.models.coded_states import CodedQueue, CodedStack, coded_row, coded_set
from framework.checking.models.model import (
    ANY,
    ILLEGAL,
    NO_RESULT,
    Entry,
    Model,
    ModelStep,
    Part,
    State,
    Transitions,
    label_of,
)
from framework.checking.models.registers import SetMember
from framework.core.errors import ConfigError


class OrderedContainer(Model):
    """Base of queues and stacks: one function puts a value at the end, the other takes a value from an end."""

    observes: ClassVar[tuple[str, ...]] = ()
    initial: State = ()

    @property
    def held(self) -> tuple[State, ...]:
        """The values that it holds initially."""
        assert isinstance(self.initial, tuple)
        return self.initial

    @property
    def put(self) -> str:
        return self.functions[0]

    @property
    def take(self) -> str:
        return self.functions[1]

    def _first(self, value: Any) -> State:
        if not isinstance(value, tuple):
            raise ConfigError("--initial", f"a {self.name} cannot hold {shown(value)}", "Write a list.")
        return exact(value)  # type: ignore[no-any-return]

    def _prepare(self, call: Call, argument: Any, result: Any) -> ModelStep:
        if call.function == self.take:
            return ModelStep("take", None, result, call.known and result is None)
        if argument is None:
            raise bad_call(call, "has no argument", f"A {self.name} holds any value but null.")
        return ModelStep("put", argument, NO_RESULT, False)

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        if not isinstance(state, tuple):
            return ILLEGAL if function == "take" and result is not NO_RESULT else state
        if function == "put":
            return (*state, argument)
        if not state:
            return state if result in (None, NO_RESULT) else ILLEGAL
        taken, left = self._taken(state)
        return left if result in (NO_RESULT, taken) else ILLEGAL

    @abstractmethod
    def _taken(self, state: tuple[State, ...]) -> tuple[State, State]:
        """Returns the value taken from `state`, and the remaining state."""

    def needs(self, step: ModelStep) -> State:
        return () if step.pure else ANY

    def projections(self, steps: Sequence[ModelStep]) -> list[list[int]]:
        """Groups the operations by value: the others keep their order without one group."""
        groups: dict[State, list[int]] = {}
        for place, step in enumerate(steps):
            value = step.argument if step.function == "put" else step.result
            if value is not NO_RESULT and not step.pure:
                groups.setdefault(value, []).append(place)
        return [group for value, group in groups.items() if value not in self.held]


class Queue(OrderedContainer):
    """First in, first out."""

    name = "queue"
    functions = ("enqueue", "dequeue")

    def _taken(self, state: tuple[State, ...]) -> tuple[State, State]:
        return state[0], state[1:]

    def coded(self, steps: Sequence[ModelStep]) -> tuple[Transitions, list[ModelStep]]:
        return coded_row(CodedQueue, self.held, steps) or super().coded(steps)


class Stack(OrderedContainer):
    """Last in, first out."""

    name = "stack"
    functions = ("push", "pop")

    def _taken(self, state: tuple[State, ...]) -> tuple[State, State]:
        return state[-1], state[:-1]

    def coded(self, steps: Sequence[ModelStep]) -> tuple[Transitions, list[ModelStep]]:
        return coded_row(CodedStack, self.held, steps) or super().coded(steps)


class Set(Model):
    """A set of values."""

    name = "set"
    functions: ClassVar[tuple[str, ...]] = ("add", "remove", "contains", "read")
    observes: ClassVar[tuple[str, ...]] = ("contains", "read")
    initial: State = frozenset()
    may_answer = ("add", "remove")

    def _first(self, value: Any) -> State:
        if not isinstance(value, tuple | frozenset):
            raise ConfigError("--initial", f"a set cannot hold {shown(value)}", "Write a list.")
        members = frozenset(map(exact, value))
        if len(members) < len(value):
            raise ConfigError("--initial", f"{shown(value)} holds a value twice", "A set holds each value once.")
        return members

    def parts(self, key: Key, operations: list[Entry]) -> list[Part]:
        if any(step.function == "read" for _, step in operations):
            return super().parts(key, operations)
        values: dict[State, list[Call]] = {}
        for call, step in operations:
            values.setdefault(step.argument, []).append(call)
        parts = []
        assert isinstance(self.initial, frozenset)
        for value, calls in values.items():
            member = SetMember().starting("present" if value in self.initial else "absent")
            label = f"{label_of(key)}, value {shown(calls[0].argument)}"
            parts.append(Part(label, key, member, [(call, member.prepare(call)) for call in calls]))
        return parts

    def _prepare(self, call: Call, argument: Any, result: Any) -> ModelStep:
        function = call.function
        if function == "read":
            if call.known and not isinstance(call.result, tuple | frozenset):
                raise bad_call(call, f"has the result {shown(call.result)}", "read answers a list of all values.")
            return ModelStep("read", None, _members(result) if call.known else NO_RESULT, True)
        if call.known and type(call.result) is not bool and (function == "contains" or call.result is not None):
            what = "true or false" if function == "contains" else "true, false or nothing"
            raise bad_call(call, f"has the result {shown(call.result)}", f"{function} answers {what}.")
        told = NO_RESULT if result is None else result
        return ModelStep(function, argument, told, function == "contains" or (call.known and call.result is False))

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        if not isinstance(state, frozenset):
            return state if function in ("add", "remove") and result is NO_RESULT else ILLEGAL
        if function == "read":
            return state if result is NO_RESULT or state == result else ILLEGAL
        there = argument in state
        changes = function != "contains" and there == (function == "remove")
        if result is not NO_RESULT and result is not exact(there if function == "contains" else changes):
            return ILLEGAL
        if not changes:
            return state
        return state - {argument} if there else state | {argument}

    def needs(self, step: ModelStep) -> State:
        return step.result if step.function == "read" else ANY

    def coded(self, steps: Sequence[ModelStep]) -> tuple[Transitions, list[ModelStep]]:
        assert isinstance(self.initial, frozenset)
        return coded_set(self.initial, steps)

    def projections(self, steps: Sequence[ModelStep]) -> list[list[int]]:
        """Groups the operations by value, for values that no `read` showed and that were not there initially."""
        seen: set[State] = set()
        groups: dict[State, list[int]] = {}
        for place, step in enumerate(steps):
            if step.function == "read":
                seen.update(() if step.result is NO_RESULT else step.result)
            else:
                groups.setdefault(step.argument, []).append(place)
        assert isinstance(self.initial, frozenset)
        return [group for value, group in groups.items() if value not in seen | self.initial]

    def told_apart(self, steps: Iterable[ModelStep]) -> frozenset[State]:
        return frozenset(step.result for step in steps if step.function == "read")


class SetFull(Set):
    """A set that only grows, as in Jepsen's workload `set-full`: judged like any set, with its losses counted."""

    name = "set-full"
    functions = ("add", "read")
    observes = ("read",)

    def remark(self, operations: Sequence[Entry]) -> str:
        """Lists the values that were lost, that were missed for a while, and that a read showed more than once.

        A value is known from the end of its `add` on, or from the end of the first read that showed it. A known value
        that a read missed is lost if no read after the last such read shows it, and stale if one does.
        """
        reads = sorted((entry for entry in operations if entry[1].function == "read"), key=lambda it: it[0].invoked)
        known: dict[State, int] = {}
        for call, step in [*operations, *reads]:
            values: Iterable[State] = step.result if step.function == "read" else (step.argument,) if call.known else ()
            for value in values:
                known[value] = min(known.get(value, call.completed or 0), call.completed or 0)
        absent, present = _latest(known.keys(), reads)
        missed = [
            value for value, since in known.items() if value in absent and reads[absent[value]][0].invoked > since
        ]
        lost = [value for value in missed if present.get(value, -1) < absent[value]]
        stale = [value for value in missed if present.get(value, -1) > absent[value]]
        twice = [value for _, step in reads if isinstance(step.result, tuple) for value in _repeated(step.result)]
        found = {"lost": lost, "stale": stale, "duplicated": list(dict.fromkeys(twice))}
        listed = [f"{name}: {_some(values)}" for name, values in found.items() if values]
        return f" Of {len(known):,} values, {'; '.join(listed)}." if listed else ""


MOST_NAMED = 10


def _some(values: list[State]) -> str:
    """Returns `3 (1, 2, 5)`, with only the first of many values."""
    names = [shown(value) for value in values[:MOST_NAMED]]
    more = ["…"] if len(values) > MOST_NAMED else []
    return f"{len(values):,} ({', '.join([*names, *more])})"


def _latest(values: Iterable[State], reads: list[Entry]) -> tuple[dict[State, int], dict[State, int]]:
    """Returns the last read that did not show each value, and the last read that did, as indices."""
    absent: dict[State, int] = {}
    present: dict[State, int] = {}
    never_absent, never_present = set(values), set(values)
    for place in range(len(reads) - 1, -1, -1):
        there = set(reads[place][1].result)
        missing, found = never_absent - there, never_present & there
        absent |= dict.fromkeys(missing, place)
        present |= dict.fromkeys(found, place)
        never_absent -= missing
        never_present -= found
    return absent, present


def _repeated(values: tuple[State, ...]) -> list[State]:
    counted = Tally(values)
    return [value for value, count in counted.items() if count > 1]


def _members(values: tuple[State, ...] | frozenset[State]) -> State:
    """Returns the set that a read returned; the tuple itself, which equals no state, if it repeats a value."""
    members = frozenset(values)
    return members if len(members) == len(values) else values
