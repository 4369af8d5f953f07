"""What a sequential specification is: the contract between the models and the checker.

States are immutable, and made of `exact` values: one is equal only to a value of its own kind.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any, ClassVar, TypeAlias

import msgspec

from framework.core.errors import ConfigError, abbreviated, did_you_mean
from framework.verify.history import Call, bad_call
from framework.verify.values import Key, Mark, exact, frozen, shown, written

State: TypeAlias = Hashable
Entry: TypeAlias = "tuple[Call, Step]"
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


class Step(msgspec.Struct, frozen=True, gc=False):
    """An operation as a model sees it. `pure`: with this result it never changes a state."""

    function: str
    argument: Any
    result: Any
    pure: bool


class Outlook(msgspec.Struct, frozen=True):
    """What a model knows from all the operations of one object at once; the search prunes by it.

    `canonical(state)` maps a state from which no later step can tell it apart to `UNOBSERVED`, any other to itself.
    `once(state)` promises that no run of the object enters `state` a second time after it has left it.
    """

    canonical: Callable[[State], State]
    once: Callable[[State], bool]


class Part(msgspec.Struct, frozen=True):
    """Operations that can be judged on their own, against a model of their own.

    A history of the object is explained if and only if that of each part is.
    """

    label: str
    """What a person is told it is: `key 'x'`."""
    key: Key
    model: Model
    operations: list[Entry]


class Model(ABC):
    """A sequential specification. States are immutable and hashable."""

    name: ClassVar[str]
    functions: ClassVar[tuple[str, ...]]
    observes: ClassVar[tuple[str, ...]]
    """The functions without effect."""
    initial: State
    """What the object holds at first, unless it was made by `starting`."""
    replaces: ClassVar[tuple[str, ...]] = ()
    """The functions whose effect is a new state in place of the old: of two equal ones, the later says it all."""
    may_answer: ClassVar[tuple[str, ...]] = ()
    """The functions that answer in some systems and not in others: their result is null where it was not recorded."""

    def starting(self, value: Any) -> Model:
        """The same model, of an object that holds `value` at first. ConfigError if it cannot hold that."""
        other, held = copy.copy(self), frozen(value)
        try:
            hash(held)
        except TypeError:
            raise ConfigError("--initial", f"a {self.name} cannot hold {shown(value)}", COMPARABLE) from None
        other.initial = self._first(held)
        return other

    def _first(self, value: Any) -> State:
        return exact(value)  # type: ignore[no-any-return]

    def parts(self, key: Key, operations: list[Entry]) -> list[Part]:
        """The operations on the object `key`, divided as far as the model allows."""
        return [Part(label_of(key), key, self, operations)]

    def prepare(self, call: Call) -> Step:
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
    def _prepare(self, call: Call, argument: Any, result: Any) -> Step:
        """`prepare`, once the function and the values are known to be sound."""

    @abstractmethod
    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        """The state after the operation, or `ILLEGAL` if it cannot answer `result` in `state`."""

    @abstractmethod
    def needs(self, step: Step) -> State:
        """The one state in which `step` is legal, or `ANY`."""

    @abstractmethod
    def makes(self, step: Step) -> State:
        """The one state that `step` leaves if it has an effect, or `ANY`."""

    def told_apart(self, steps: Iterable[Step]) -> frozenset[State]:
        """The states that some of `steps` can tell from the others."""
        return frozenset(self.needs(step) for step in steps) - {ANY}

    @abstractmethod
    def outlook(self, steps: Sequence[Step]) -> Outlook:
        """What follows from `steps` being all that ever happens to one object."""

    def loosened(self, step: Step) -> Step:
        """`step` with its effect, if it has one, but free of what it saw: legal wherever `step` is, with like effect."""
        return step

    def projections(self, steps: Sequence[Step]) -> list[list[int]]:
        """Groups of `steps`, by place: without any one group, what could be explained still can be."""
        return []

    @abstractmethod
    def concerns(self, step: Step, seen: Collection[State]) -> bool:
        """Whether `step` may have had a part in a state among `seen` (evidence leaves out what has not)."""


def label_of(key: Key) -> str:
    """What a person is told the object `key` is."""
    if key is None:
        return "the object"
    return f"key {abbreviated(repr(key) if isinstance(key, str) else written(key))}"
