"""Objects that hold several values: a queue, a stack, a set."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar

from framework.core.errors import ConfigError
from framework.verify.history import Call, bad_call
from framework.verify.model import (
    ANY,
    ILLEGAL,
    NO_RESULT,
    Entry,
    Model,
    Outlook,
    Part,
    State,
    Step,
    label_of,
)
from framework.verify.registers import Member
from framework.verify.values import Key, Mark, exact, shown


class Row(Model):
    """Values in a row: one function puts a value at the end, the other takes one from an end."""

    observes: ClassVar[tuple[str, ...]] = ()
    initial: State = ()

    @property
    def held(self) -> tuple[State, ...]:
        """What it holds at first."""
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

    def _prepare(self, call: Call, argument: Any, result: Any) -> Step:
        if call.function == self.take:
            return Step("take", None, result, call.known and result is None)
        if argument is None:
            raise bad_call(call, "has no argument", f"A {self.name} holds any value but null.")
        return Step("put", argument, NO_RESULT, False)

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
        """What is taken from `state`, and what is left."""

    def needs(self, step: Step) -> State:
        return () if step.pure else ANY

    def makes(self, step: Step) -> State:
        return ANY

    def outlook(self, steps: Sequence[Step]) -> Outlook:
        return Outlook(lambda state: state, lambda state: False)

    def projections(self, steps: Sequence[Step]) -> list[list[int]]:
        """All that concerns one value: the others keep their order without it."""
        groups: dict[State, list[int]] = {}
        for place, step in enumerate(steps):
            value = step.argument if step.function == "put" else step.result
            if value is not NO_RESULT and not step.pure:
                groups.setdefault(value, []).append(place)
        return [group for value, group in groups.items() if value not in self.held]

    def concerns(self, step: Step, seen: Collection[State]) -> bool:
        return True


class Queue(Row):
    """First in, first out."""

    name = "queue"
    functions = ("enqueue", "dequeue")

    def _taken(self, state: tuple[State, ...]) -> tuple[State, State]:
        return state[0], state[1:]

    def outlook(self, steps: Sequence[Step]) -> Outlook:
        """What stands behind a value that nobody takes makes no difference."""
        taken = {step.result for step in steps if step.function == "take"}
        if NO_RESULT in taken:
            return super().outlook(steps)

        def canonical(state: State) -> State:
            if not isinstance(state, tuple):
                return state
            for place, value in enumerate(state):
                if value not in taken:
                    return state[: place + 1]
            return state

        return Outlook(canonical, lambda state: False)


class Stack(Row):
    """Last in, first out."""

    name = "stack"
    functions = ("push", "pop")

    def _taken(self, state: tuple[State, ...]) -> tuple[State, State]:
        return state[-1], state[:-1]

    def outlook(self, steps: Sequence[Step]) -> Outlook:
        """What stands below a value that nobody takes makes no difference, but that it is there."""
        taken = {step.result for step in steps if step.function == "take"}
        if NO_RESULT in taken:
            return super().outlook(steps)

        def canonical(state: State) -> State:
            if not isinstance(state, tuple):
                return state
            for place in range(len(state) - 1, 0, -1):
                if state[place] not in taken:
                    return state[place:]
            return state

        return Outlook(canonical, lambda state: False)


_REPEATED = Mark("a value again")
"""A member of what a read saw if it saw another member twice: no set ever holds it."""


def _members(values: tuple[State, ...] | frozenset[State]) -> frozenset[State]:
    """What a read saw, as a state that is reached only if it saw each value once."""
    members = frozenset(values)
    return members if len(members) == len(values) else members | {_REPEATED}


class Set(Model):
    """Values, each of them there or not."""

    name = "set"
    functions = ("add", "remove", "contains", "read")
    observes = ("contains", "read")
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
            member = Member().starting("present" if value in self.initial else "absent")
            label = f"{label_of(key)}, value {shown(calls[0].argument)}"
            parts.append(Part(label, key, member, [(call, member.prepare(call)) for call in calls]))
        return parts

    def _prepare(self, call: Call, argument: Any, result: Any) -> Step:
        function = call.function
        if function == "read":
            if call.known and not isinstance(call.result, tuple | frozenset):
                raise bad_call(call, f"has the result {shown(call.result)}", "read answers a list of all values.")
            return Step("read", None, _members(result) if call.known else NO_RESULT, True)
        if call.known and type(call.result) is not bool and (function == "contains" or call.result is not None):
            what = "true or false" if function == "contains" else "true, false or nothing"
            raise bad_call(call, f"has the result {shown(call.result)}", f"{function} answers {what}.")
        told = NO_RESULT if result is None else result
        return Step(function, argument, told, function == "contains" or (call.known and call.result is False))

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        if not isinstance(state, frozenset):
            return state if function in ("add", "remove") and result is NO_RESULT else ILLEGAL
        if function == "read":
            return state if state == result else ILLEGAL
        there = argument in state
        changes = function != "contains" and there == (function == "remove")
        if result is not NO_RESULT and result is not exact(there if function == "contains" else changes):
            return ILLEGAL
        if not changes:
            return state
        return state - {argument} if there else state | {argument}

    def needs(self, step: Step) -> State:
        return step.result if step.function == "read" else ANY

    def makes(self, step: Step) -> State:
        return ANY

    def outlook(self, steps: Sequence[Step]) -> Outlook:
        return Outlook(lambda state: state, lambda state: False)

    def projections(self, steps: Sequence[Step]) -> list[list[int]]:
        """All that concerns one value, of those that no `read` saw."""
        seen: set[State] = set()
        groups: dict[State, list[int]] = {}
        for place, step in enumerate(steps):
            if step.function == "read":
                seen.update(step.result)
            else:
                groups.setdefault(step.argument, []).append(place)
        assert isinstance(self.initial, frozenset)
        return [group for value, group in groups.items() if value not in seen | self.initial]

    def concerns(self, step: Step, seen: Collection[State]) -> bool:
        return True

    def told_apart(self, steps: Iterable[Step]) -> frozenset[State]:
        return frozenset(step.result for step in steps if step.function == "read")
