"""What a sequential specification is: the contract between the models and the checker.

States are immutable, and made of `exact` values: one is equal only to a value of its own kind.
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
"""A call that may have happened, and what the model makes of it."""

ILLEGAL = Mark("ILLEGAL")
"""What `step` answers when the operation cannot have this result in this state."""
NO_RESULT = Mark("NO_RESULT")
"""The result of an operation that gave none, or none that tells anything."""
UNOBSERVED = Mark("UNOBSERVED")
"""Stands for every state that no operation of the history can tell from the others (see `Outlook`)."""
ANY = Mark("ANY")
"""`needs` of an operation that is legal in more than one state."""
COMPARABLE = "Values are null, booleans, numbers, strings, and lists of these."
"""What to write in place of a value that cannot be compared with others."""


class ModelStep(msgspec.Struct, frozen=True, gc=False):
    """An operation as a model sees it. `pure`: with this result it never changes a state."""

    function: str
    argument: Any
    result: Any
    pure: bool


def never(state: State) -> bool:
    """`Outlook.once` where nothing is known."""
    return False


class Outlook(msgspec.Struct, frozen=True):
    """What a model knows from all the operations of one object at once; the search prunes by it.

    `once(state)` promises that no run of the object enters `state` a second time after it has left it.
    `canonical(state)` maps a state that no later step can tell from others to one that stands for all of them,
    `UNOBSERVED` or another state; None where every state may matter. `size(state)` counts the machine words that a
    state takes up beyond its first few; None where none does.
    """

    once: Callable[[State], bool] = never
    canonical: Callable[[State], State] | None = None
    size: Callable[[State], int] | None = None


class Part(msgspec.Struct, frozen=True):
    """Operations that can be judged on their own, against a model of their own.

    A history of the object is explained if and only if that of each part is.
    """

    label: str
    """The object's name in messages: `key 'x'`."""
    key: Key
    model: Model
    operations: list[Entry]


class Transitions(ABC):
    """What an object does, step by step. States are immutable and hashable; equal states behave alike."""

    initial: State
    """What the object holds at first."""
    kept_bytes: int = 0
    """An estimate of what it keeps of the states that it was in."""

    @abstractmethod
    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        """The state after the operation, or `ILLEGAL` if it cannot answer `result` in `state`."""

    def needs(self, step: ModelStep) -> State:
        """The one state in which `step` is legal, or `ANY`."""
        return ANY

    def makes(self, step: ModelStep) -> State:
        """The one state that `step` leaves if it has an effect, or `ANY`."""
        return ANY

    def senses(self, step: ModelStep) -> frozenset[State] | None:
        """The states in which `step` may do or answer something else than in all others; None if that is any state."""
        return None

    def outlook(self, steps: Sequence[ModelStep]) -> Outlook:
        """What follows from `steps` being all that ever happens to one object."""
        return Outlook()


class Model(Transitions):
    """A sequential specification: what the functions of an object do when nothing else is going on.

    `initial` may be changed by `starting`.
    """

    name: ClassVar[str]
    functions: ClassVar[tuple[str, ...]]
    observes: ClassVar[tuple[str, ...]]
    """The functions without effect."""
    replaces: ClassVar[tuple[str, ...]] = ()
    """The functions whose effect is a new state in place of the old: of two equal ones, the later says it all."""

    untold: ClassVar[Any] = None
    """The result of a call that answered nothing although it may answer."""

    @property
    def may_answer(self) -> tuple[str, ...]:
        """The functions that answer in some systems and not in others: their result is null where it was not recorded."""
        return ()

    def starting(self, value: Any) -> Model:
        """The same model, of an object that holds `value` at first. ConfigError if it cannot hold that."""
        try:
            state = self._first(frozen(value))
            hash(state)
        except TypeError:
            raise ConfigError("--initial", f"a {self.name} cannot hold {shown(value)}", COMPARABLE) from None
        return self.holding(state)

    def holding(self, state: State) -> Model:
        """The same model, of an object that is in `state` at first."""
        other = copy.copy(self)
        other.initial = state
        return other

    def _first(self, value: Any) -> State:
        return exact(value)  # type: ignore[no-any-return]

    def described(self, state: State) -> str:
        """What an object in `state` holds, for a person."""
        return shown(plain(state))

    def parts(self, key: Key, operations: list[Entry]) -> list[Part]:
        """The operations on the object `key`, divided as far as the model allows."""
        return [Part(label_of(key), key, self, operations)]

    def prepare(self, call: Call) -> ModelStep:
        """`call` in the model's terms. ConfigError if the model has no such function or no such argument."""
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
        """`prepare`, once the function and the values are known to be sound."""

    def coded(self, steps: Sequence[ModelStep]) -> tuple[Transitions, list[ModelStep]]:
        """The same object with states that are cheap to copy, compare and keep, for these steps alone; and these steps
        in its terms, each in its place."""
        return self, list(steps)

    def told_apart(self, steps: Iterable[ModelStep]) -> frozenset[State]:
        """The states that some of `steps` can tell from the others."""
        return frozenset(self.needs(step) for step in steps) - {ANY}

    def loosened(self, step: ModelStep) -> ModelStep:
        """`step` with its effect, if it has one, but free of what it saw: legal wherever `step` is, with like effect."""
        return step

    def projections(self, steps: Sequence[ModelStep]) -> list[list[int]]:
        """Groups of `steps`, by place: without any one group, what could be explained still can be."""
        return []

    def concerns(self, step: ModelStep, seen: Collection[State]) -> bool:
        """Whether `step` may have had a part in a state among `seen` (evidence leaves out what has not)."""
        return True

    def remark(self, operations: Sequence[Entry]) -> str:
        """What else there is to say of operations that no order explains, as a sentence; "" if nothing."""
        return ""


def label_of(key: Key) -> str:
    """The name of the object `key` in messages."""
    if key is None:
        return "the object"
    return f"key {name_of(key)}"


def name_of(key: Key) -> str:
    """A key as messages write it."""
    return abbreviated(repr(key) if isinstance(key, str) else written(key))
