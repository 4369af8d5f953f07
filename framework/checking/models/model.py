"""Sequential specifications: the contract between the models and the checker.

States are immutable, and consist of `exact` values, which equal only values of their own kind.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any, ClassVar, TypeAlias

import msgspec

from framework.checking.history.calls import Call, bad_call
from framework.checking.history.values import Key, Mark, exact, frozen, plain, shown, written
from framework.core.errors import ConfigError, abbreviated, did_you_mean

State: TypeAlias = Hashable
Entry: TypeAlias = "tuple[Call, ModelStep]"
"""A call that may have happened, and its step in the model."""

ILLEGAL = Mark("ILLEGAL")
"""The result of `step` if the operation cannot have this result in this state."""
NO_RESULT = Mark("NO_RESULT")
"""The result of an operation that returned none, or none with information."""
UNOBSERVED = Mark("UNOBSERVED")
"""Represents all states that no operation of the history can distinguish from one another (see `Outlook`)."""
ANY = Mark("ANY")
"""The result of `needs` for an operation that is legal in more than one state."""
COMPARABLE = "Values are null, booleans, numbers, strings, and lists of these."
"""The fix for a value that cannot be compared with others."""


class ModelStep(msgspec.Struct, frozen=True, gc=False):
    """An operation in a model's terms. `pure`: with this result it never changes the state."""

    function: str
    argument: Any
    result: Any
    pure: bool


def never(state: State) -> bool:
    """The default of `Outlook.once`: nothing is known."""
    return False


class Outlook(msgspec.Struct, frozen=True):
    """A model's conclusions from all the operations of one object at once; the search prunes by them.

    `once(state)` promises that no run of the object enters `state` again after leaving it. `canonical(state)` maps
    states that no later step can distinguish to one that represents them all, `UNOBSERVED` or another state; None if
    every state may matter. `size(state)` counts the machine words of a state beyond its first few; None if all states
    are small.
    """

    once: Callable[[State], bool] = never
    canonical: Callable[[State], State] | None = None
    size: Callable[[State], int] | None = None


class Part(msgspec.Struct, frozen=True):
    """Operations that can be judged on their own, against their own model.

    A history of the object can be explained if and only if that of each part can.
    """

    label: str
    """The object's name in messages: `key 'x'`."""
    key: Key
    model: Model
    operations: list[Entry]


class Transitions(ABC):
    """The behavior of an object, step by step. States are immutable and hashable; equal states behave alike."""

    initial: State
    """The object's initial state."""
    kept_bytes: int = 0
    """An estimate of the memory for states that it has visited."""

    @abstractmethod
    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        """Returns the state after the operation, or `ILLEGAL` if it cannot return `result` in `state`."""

    def needs(self, step: ModelStep) -> State:
        """Returns the one state in which `step` is legal, or `ANY`."""
        return ANY

    def makes(self, step: ModelStep) -> State:
        """Returns the one state after `step` if it has an effect, or `ANY`."""
        return ANY

    def senses(self, step: ModelStep) -> frozenset[State] | None:
        """Returns the states in which the effect or result of `step` may differ from all others; None: any state."""
        return None

    def outlook(self, steps: Sequence[ModelStep]) -> Outlook:
        """Returns the conclusions from `steps` being all operations ever on one object."""
        return Outlook()


class Model(Transitions):
    """A sequential specification: the behavior of an object's functions when nothing runs concurrently.

    `starting` changes `initial`.
    """

    name: ClassVar[str]
    functions: ClassVar[tuple[str, ...]]
    observes: ClassVar[tuple[str, ...]]
    """The functions without effect."""
    replaces: ClassVar[tuple[str, ...]] = ()
    """The functions that replace the state: of two equal operations, the later makes the earlier redundant."""

    untold: ClassVar[Any] = None
    """The result of a call that returned none although its function may have one."""

    @property
    def may_answer(self) -> tuple[str, ...]:
        """The functions that return a result only in some systems: it is null if it was not recorded."""
        return ()

    def starting(self, value: Any) -> Model:
        """Returns the same model of an object that initially holds `value`.

        Raises ConfigError if it cannot hold that.
        """
        try:
            state = self._first(frozen(value))
            hash(state)
        except TypeError:
            raise ConfigError("--initial", f"a {self.name} cannot hold {shown(value)}", COMPARABLE) from None
        return self.holding(state)

    def holding(self, state: State) -> Model:
        """Returns the same model of an object that is initially in `state`."""
        other = copy.copy(self)
        other.initial = state
        return other

    def _first(self, value: Any) -> State:
        return exact(value)  # type: ignore[no-any-return]

    def described(self, state: State) -> str:
        """Returns the content of an object in `state`, for messages."""
        return shown(plain(state))

    def parts(self, key: Key, operations: list[Entry]) -> list[Part]:
        """Divides the operations on the object `key` as far as the model allows."""
        return [Part(label_of(key), key, self, operations)]

    def prepare(self, call: Call) -> ModelStep:
        """Returns `call` in the model's terms. Raises ConfigError if the model has no such function or argument."""
        if call.function not in self.functions:
            what = f"calls a function that the model {self.name!r} lacks"
            raise bad_call(call, what, did_you_mean(call.function, self.functions))
        try:
            hash((call.argument, call.result))
        except TypeError:
            what = f"has a value that cannot be compared: {shown(call.argument)} -> {shown(call.result)}"
            raise bad_call(call, what, COMPARABLE) from None
        return self._prepare(call, exact(call.argument), exact(call.result) if call.known else NO_RESULT)

    @abstractmethod
    def _prepare(self, call: Call, argument: Any, result: Any) -> ModelStep:
        """Does the work of `prepare` once the function and the values are checked."""

    def coded(self, steps: Sequence[ModelStep]) -> tuple[Transitions, list[ModelStep]]:
        """Returns the same object with states that are cheap to copy, compare and keep, valid only for these steps; and
        these steps in its terms, in the same order."""
        return self, list(steps)

    def told_apart(self, steps: Iterable[ModelStep]) -> frozenset[State]:
        """Returns the states that some of `steps` can distinguish from others."""
        return frozenset(self.needs(step) for step in steps) - {ANY}

    def loosened(self, step: ModelStep) -> ModelStep:
        """Returns `step` with its effect but without what it saw: legal wherever `step` is, with the same effect."""
        return step

    def projections(self, steps: Sequence[ModelStep]) -> list[list[int]]:
        """Returns groups of `steps`, by place: leaving out any one group keeps explainable histories explainable."""
        return []

    def concerns(self, step: ModelStep, seen: Collection[State]) -> bool:
        """Returns whether `step` may have contributed to a state among `seen`; if not, evidence leaves it out."""
        return True

    def remark(self, operations: Sequence[Entry]) -> str:
        """Returns a further remark on operations that no order explains, as a sentence; "" if there is none."""
        return ""


def label_of(key: Key) -> str:
    """The name of the object `key` in messages."""
    if key is None:
        return "the object"
    return f"key {name_of(key)}"


def name_of(key: Key) -> str:
    """A key as messages write it."""
    return abbreviated(repr(key) if isinstance(key, str) else written(key))
