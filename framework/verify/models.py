"""Sequential specifications: what each function of an object does when nothing else is going on.

| model      | state, at first  | function (argument) -> result                                                    |
| ---------- | ---------------- | -------------------------------------------------------------------------------- |
| `register` | a value, None    | `read` -> the value · `write`(v) · `cas`((old, new)) -> whether it was old        |
| `kv`       | a value, None    | as `register`, and `append`(text): None counts as "" · `delete`: back to None     |
| `counter`  | an integer, 0    | `increment`(n, default 1) -> the sum, or None if it does not tell · `read`        |

Each key is an object of its own. An absent key reads as None. The results of `write`, `append` and `delete` tell
nothing and are not looked at. A value is equal only to a value of its own kind: True is not 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any, ClassVar, TypeAlias

import msgspec

from framework.core.errors import ConfigError, did_you_mean
from framework.verify.history import Call, bad_call

State: TypeAlias = Hashable


class Mark:
    """A value unlike any that a client can write."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


ILLEGAL = Mark("ILLEGAL")
"""What `step` answers when the operation cannot have this result in this state."""
NO_RESULT = Mark("NO_RESULT")
"""The result of an operation that gave none, or none that tells anything."""
UNOBSERVED = Mark("UNOBSERVED")
"""Stands for every state that no operation of the history can tell from the others (see `Outlook`)."""
ANY = Mark("ANY")
"""`needs` of an operation that is legal in more than one state."""
_BOOLEANS = {True: Mark("true"), False: Mark("false")}


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


class Model(ABC):
    """A sequential specification. States are immutable and hashable."""

    name: ClassVar[str]
    functions: ClassVar[tuple[str, ...]]
    observes: ClassVar[tuple[str, ...]]
    """The functions without effect."""
    initial: ClassVar[State]
    replaces: ClassVar[tuple[str, ...]] = ()
    """The functions whose effect is a new state in place of the old: of two equal ones, the later says it all."""

    def prepare(self, call: Call) -> Step:
        """`call` in the model's terms. ConfigError if the model has no such function or no such argument."""
        if call.function not in self.functions:
            what = f"calls a function that the model {self.name!r} lacks"
            raise bad_call(call, what, did_you_mean(call.function, self.functions))
        try:
            hash((call.argument, call.result))
        except TypeError:
            raise bad_call(call, f"has a value that cannot be compared: {call.argument!r} -> {call.result!r}",
                           "Values are null, booleans, numbers, strings, and lists of these.") from None  # fmt: skip
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

    @abstractmethod
    def concerns(self, step: Step, seen: Collection[State]) -> bool:
        """Whether `step` may have had a part in a state among `seen` (evidence leaves out what has not)."""


class Register(Model):
    """One value: read, write, compare-and-set."""

    name = "register"
    functions: ClassVar[tuple[str, ...]] = ("read", "write", "cas")
    observes = ("read",)
    initial = None
    replaces: ClassVar[tuple[str, ...]] = ("write", "cas")

    def _prepare(self, call: Call, argument: Any, result: Any) -> Step:
        function = call.function
        if function == "read":
            return Step(function, None, result, True)
        if function != "cas":
            return Step(function, argument, NO_RESULT, False)
        if type(argument) is not tuple or len(argument) != 2:
            raise bad_call(call, f"has the argument {call.argument!r}", "cas takes a pair: (old, new).")
        if call.known and type(call.result) is not bool:
            raise bad_call(call, f"has the result {call.result!r}", "cas answers true or false.")
        told = call.result if call.known else NO_RESULT
        return Step(function, argument, told, told is False)

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        if function == "read":
            return state if state == result else ILLEGAL
        if function == "write":
            return argument  # type: ignore[no-any-return]
        old, new = argument
        if state == old:
            return ILLEGAL if result is False else new
        return ILLEGAL if result is True else state

    def needs(self, step: Step) -> State:
        if step.function == "read":
            return step.result  # type: ignore[no-any-return]
        if step.function == "cas" and step.result is True:
            return step.argument[0]  # type: ignore[no-any-return]
        return ANY

    def makes(self, step: Step) -> State:
        if step.function in ("write", "delete"):
            return step.argument  # type: ignore[no-any-return]
        if step.function == "cas" and step.result is not False:
            return step.argument[1]  # type: ignore[no-any-return]
        return ANY

    def outlook(self, steps: Sequence[Step]) -> Outlook:
        seen = self.told_apart(steps)
        made = Tally(self.makes(step) for step in steps)
        made[self.initial] += 1
        return Outlook(lambda state: state if state in seen else UNOBSERVED, lambda state: made[state] < 2)

    def loosened(self, step: Step) -> Step:
        if step.function == "cas" and step.result is True:
            return Step("write", step.argument[1], NO_RESULT, False)
        return step

    def concerns(self, step: Step, seen: Collection[State]) -> bool:
        return self.makes(step) in seen

    def told_apart(self, steps: Iterable[Step]) -> frozenset[State]:
        known = list(steps)
        return super().told_apart(known) | {step.argument[0] for step in known if step.function == "cas"}


class KeyValue(Register):
    """One key of a key-value store: a register that can also be appended to and deleted.

    To append to a value that is not text is illegal: a store refuses it, and a refused operation has failed.
    """

    name = "kv"
    functions = ("read", "write", "cas", "append", "delete")
    replaces = ("write", "cas", "delete")

    def _prepare(self, call: Call, argument: Any, result: Any) -> Step:
        if call.function == "append" and type(argument) is not str:
            raise bad_call(call, f"has the argument {call.argument!r}", "append takes a text.")
        if call.function == "delete":
            return Step("delete", None, NO_RESULT, False)
        return super()._prepare(call, argument, result)

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        if function == "append":
            if type(state) is str:
                return state + argument  # type: ignore[no-any-return]
            if state is None:
                return argument  # type: ignore[no-any-return]
            return UNOBSERVED if state is UNOBSERVED else ILLEGAL
        if function == "delete":
            return None
        return super().step(state, function, argument, result)

    def outlook(self, steps: Sequence[Step]) -> Outlook:
        appended = [step.argument for step in steps if step.function == "append"]
        if not appended:
            return super().outlook(steps)
        seen = self.told_apart(steps)
        texts = sorted(value for value in seen if type(value) is str)

        def canonical(state: State) -> State:
            if type(state) is str:
                place = bisect_left(texts, state)
                return state if place < len(texts) and texts[place].startswith(state) else UNOBSERVED
            return state

        made = Tally(self.makes(step) for step in steps)
        made[self.initial] += 1
        appends = Tally(appended)
        lengths = sorted({len(text) for text in appends} - {0})
        grows = all(step.pure or step.function == "append" for step in steps)

        def once(state: State) -> bool:
            if grows or type(state) is not str:
                return grows or made[state] < 2
            ways = appends[""] if state == "" else sum(appends[state[-size:]] for size in lengths if size <= len(state))
            return made[state] + ways < 2

        return Outlook(canonical, once)

    def concerns(self, step: Step, seen: Collection[State]) -> bool:
        # What a text was made of: what was appended, what it was appended to, and the None it may have begun with.
        part = step.argument if step.function == "append" else self.makes(step)
        texts = (value for value in seen if type(value) is str)
        return part in seen or any(part is None or (type(part) is str and part in text) for text in texts)


class Counter(Model):
    """An integer that clients add to."""

    name = "counter"
    functions = ("increment", "read")
    observes = ("read",)
    initial = 0

    def _prepare(self, call: Call, argument: Any, result: Any) -> Step:
        if call.function == "read":
            return Step("read", None, result, True)
        amount = 1 if argument is None else argument
        if type(amount) is not int:
            raise bad_call(call, f"has the argument {call.argument!r}", "increment takes an integer.")
        return Step("increment", amount, NO_RESULT if result is None else result, False)

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        if function == "read":
            return state if state == result else ILLEGAL
        if type(state) is not int:
            return state if result is NO_RESULT else ILLEGAL
        after = state + argument
        return after if result is NO_RESULT or result == after else ILLEGAL

    def needs(self, step: Step) -> State:
        if step.function == "read":
            return step.result  # type: ignore[no-any-return]
        if type(step.result) is int:
            return step.result - step.argument  # type: ignore[no-any-return]
        return ANY

    def makes(self, step: Step) -> State:
        return step.result if type(step.result) is int and not step.pure else ANY

    def outlook(self, steps: Sequence[Step]) -> Outlook:
        amounts = [step.argument for step in steps if step.function == "increment"]
        if any(amount < 0 for amount in amounts):
            return Outlook(lambda state: state, lambda state: False)
        last = max((state for state in map(self.needs, steps) if type(state) is int), default=-1)
        grows = all(amounts)
        return Outlook(
            lambda state: UNOBSERVED if type(state) is int and state > last else state, lambda state: grows
        )

    def loosened(self, step: Step) -> Step:
        return step if step.pure else Step(step.function, step.argument, NO_RESULT, False)

    def concerns(self, step: Step, seen: Collection[State]) -> bool:
        return bool(seen)


def exact(value: Any) -> Any:
    """`value` with its booleans, at any depth, replaced by marks: Python holds True equal to 1, clients do not."""
    if type(value) is bool:
        return _BOOLEANS[value]
    if type(value) is tuple:
        return tuple(exact(item) for item in value)
    return value


def models() -> dict[str, Model]:
    """Every sequential model, by name."""
    return {model.name: model for model in (Register(), KeyValue(), Counter())}


def model_named(name: str) -> Model:
    """The model of that name, else a ConfigError that suggests the nearest."""
    known = models()
    if name not in known:
        raise ConfigError("checker", f"unknown model {name!r}", did_you_mean(name, known))
    return known[name]
