"""Consensus: an object that decides once, and gives everyone the same decision."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar

from framework.checking.history.calls import Call, bad_call
from framework.checking.models.model import ANY, ILLEGAL, NO_RESULT, Model, ModelStep, Outlook, State


class Consensus(Model):
    """Decides the first value proposed; every proposal returns the decision."""

    name = "consensus"
    functions: ClassVar[tuple[str, ...]] = ("propose",)
    observes: ClassVar[tuple[str, ...]] = ()
    initial: State = None

    def _prepare(self, call: Call, argument: Any, result: Any) -> ModelStep:
        if argument is None:
            raise bad_call(call, "has no argument", "Any value but null can be proposed.")
        return ModelStep("propose", argument, result, result is not NO_RESULT and result != argument)

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        after = argument if state is None else state
        return after if result is NO_RESULT or result == after else ILLEGAL

    def needs(self, step: ModelStep) -> State:
        return step.result if step.pure else ANY

    def makes(self, step: ModelStep) -> State:
        return ANY if step.pure else step.argument

    def told_apart(self, steps: Iterable[ModelStep]) -> frozenset[State]:
        return frozenset(step.result for step in steps) - {NO_RESULT}

    def outlook(self, steps: Sequence[ModelStep]) -> Outlook:
        made = Tally(self.makes(step) for step in steps)
        return Outlook(lambda state: made[state] < 2)

    def concerns(self, step: ModelStep, seen: Collection[State]) -> bool:
        return self.makes(step) in seen
