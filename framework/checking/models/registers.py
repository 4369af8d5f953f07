"""Objects that hold one value: a register, a key of a key-value store, a counter, a mutex, an element of a set."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar

from framework.checking.history.calls import Call, bad_call
from framework.checking.history.values import exact, shown, word
from framework.checking.linearizability.writers import Makers
from framework.checking.models.model import ANY, ILLEGAL, NO_RESULT, UNOBSERVED, Model, ModelStep, Outlook, State
from framework.core.errors import ConfigError


class Register(Model):
    """A register: read, write, compare-and-set."""

    name = "register"
    functions: ClassVar[tuple[str, ...]] = ("read", "write", "cas")
    observes: ClassVar[tuple[str, ...]] = ("read",)
    initial: State = None
    replaces: ClassVar[tuple[str, ...]] = ("write", "cas")

    def _prepare(self, call: Call, argument: Any, result: Any) -> ModelStep:
        function = call.function
        if function == "read":
            return ModelStep(function, None, result, True)
        if function != "cas":
            return ModelStep(function, argument, NO_RESULT, False)
        if type(argument) is not tuple or len(argument) != 2:
            raise bad_call(call, f"has the argument {shown(call.argument)}", "cas takes a pair: (old, new).")
        if call.known and type(call.result) is not bool:
            raise bad_call(call, f"has the result {shown(call.result)}", "cas answers true or false.")
        told = call.result if call.known else NO_RESULT
        return ModelStep(function, argument, told, told is False)

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        if function == "read":
            return state if state == result else ILLEGAL
        if function == "write":
            return argument  # type: ignore[no-any-return]
        old, new = argument
        if state == old:
            return ILLEGAL if result is False else new
        return ILLEGAL if result is True else state

    def needs(self, step: ModelStep) -> State:
        if step.function == "read":
            return step.result  # type: ignore[no-any-return]
        if step.function == "cas" and step.result is True:
            return step.argument[0]  # type: ignore[no-any-return]
        return ANY

    def makes(self, step: ModelStep) -> State:
        if step.function in ("write", "delete"):
            return step.argument  # type: ignore[no-any-return]
        if step.function == "cas" and step.result is not False:
            return step.argument[1]  # type: ignore[no-any-return]
        return ANY

    def senses(self, step: ModelStep) -> frozenset[State] | None:
        if step.function == "read":
            return frozenset() if step.result is NO_RESULT else frozenset((step.result,))
        return frozenset((step.argument[0],)) if step.function == "cas" else frozenset()

    def outlook(self, steps: Sequence[ModelStep]) -> Outlook:
        seen = self.told_apart(steps)
        made = Tally(self.makes(step) for step in steps)
        made[self.initial] += 1
        return Outlook(lambda state: made[state] < 2, lambda state: state if state in seen else UNOBSERVED)

    def loosened(self, step: ModelStep) -> ModelStep:
        if step.function == "cas" and step.result is True:
            return ModelStep("write", step.argument[1], NO_RESULT, False)
        return step

    def concerns(self, step: ModelStep, seen: Collection[State]) -> bool:
        return self.makes(step) in seen

    def told_apart(self, steps: Iterable[ModelStep]) -> frozenset[State]:
        known = list(steps)
        return super().told_apart(known) | {step.argument[0] for step in known if step.function == "cas"}


class KeyValue(Register):
    """One key of a key-value store: a register that can also be appended to and deleted.

    Appending to a value that is not text is illegal: a store refuses it, and a refused operation has failed.
    """

    name = "kv"
    functions = ("read", "write", "cas", "append", "delete")
    replaces = ("write", "cas", "delete")

    def _prepare(self, call: Call, argument: Any, result: Any) -> ModelStep:
        if call.function == "append" and type(argument) is not str:
            raise bad_call(call, f"has the argument {shown(call.argument)}", "append takes a text.")
        if call.function == "delete":
            return ModelStep("delete", None, NO_RESULT, False)
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

    def senses(self, step: ModelStep) -> frozenset[State] | None:
        return None if step.function == "append" else super().senses(step)

    def outlook(self, steps: Sequence[ModelStep]) -> Outlook:
        if not any(step.function == "append" for step in steps):
            return super().outlook(steps)
        seen = self.told_apart(steps)
        texts = sorted(value for value in seen if type(value) is str)

        def canonical(state: State) -> State:
            if type(state) is str:
                place = bisect_left(texts, state)
                text = texts[place] if place < len(texts) else ""
                return text if text == state else state if text.startswith(state) else UNOBSERVED
            return state

        makers = Makers(steps, self.initial, self.makes)
        grows = all(step.pure or step.function == "append" for step in steps)

        def once(state: State) -> bool:
            return grows or len(makers.of(state)) < 2

        def size(state: State) -> int:
            return len(state) // 8 if type(state) is str and state not in seen else 0

        return Outlook(once, canonical, size)

    def concerns(self, step: ModelStep, seen: Collection[State]) -> bool:
        # A text consists of what was appended, what it was appended to, and maybe None as its beginning.
        part = step.argument if step.function == "append" else self.makes(step)
        texts = (value for value in seen if type(value) is str)
        return part in seen or any(part is None or (type(part) is str and part in text) for text in texts)


class Counter(Model):
    """An integer that clients add to."""

    name = "counter"
    functions = ("increment", "read")
    observes = ("read",)
    initial: State = 0
    may_answer = ("increment",)

    def _prepare(self, call: Call, argument: Any, result: Any) -> ModelStep:
        if call.function == "read":
            if call.known and type(call.result) not in (int, type(None)):
                raise bad_call(call, f"has the result {shown(call.result)}", "A counter holds an integer.")
            return ModelStep("read", None, result, True)
        amount = 1 if argument is None else argument
        if type(amount) is not int:
            raise bad_call(call, f"has the argument {shown(call.argument)}", "increment takes an integer.")
        if call.known and type(call.result) not in (int, type(None)):
            raise bad_call(call, f"has the result {shown(call.result)}", "increment answers an integer, or nothing.")
        return ModelStep("increment", amount, NO_RESULT if result is None else result, False)

    def _first(self, value: Any) -> State:
        if type(value) is not int:
            raise ConfigError("--initial", f"a counter cannot hold {shown(value)}", "Write an integer.")
        return value

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        if function == "read":
            return state if state == result else ILLEGAL
        if type(state) is not int:
            return state if result is NO_RESULT else ILLEGAL
        after = state + argument
        return after if result is NO_RESULT or result == after else ILLEGAL

    def needs(self, step: ModelStep) -> State:
        if step.function == "read":
            return step.result  # type: ignore[no-any-return]
        if type(step.result) is int:
            return step.result - step.argument  # type: ignore[no-any-return]
        return ANY

    def makes(self, step: ModelStep) -> State:
        return step.result if type(step.result) is int and not step.pure else ANY

    def senses(self, step: ModelStep) -> frozenset[State] | None:
        return None if step.function == "increment" else frozenset((step.result,)) - {NO_RESULT}

    def outlook(self, steps: Sequence[ModelStep]) -> Outlook:
        amounts = [step.argument for step in steps if step.function == "increment"]
        if any(amount < 0 for amount in amounts):
            return Outlook()
        last = max((state for state in map(self.needs, steps) if type(state) is int), default=-1)
        grows = all(amounts)
        return Outlook(lambda state: grows, lambda state: UNOBSERVED if type(state) is int and state > last else state)

    def loosened(self, step: ModelStep) -> ModelStep:
        return step if step.pure else ModelStep(step.function, step.argument, NO_RESULT, False)

    def concerns(self, step: ModelStep, seen: Collection[State]) -> bool:
        return bool(seen)


class Mutex(Register):
    """A lock that any client may release, regardless of its holder."""

    name = "mutex"
    functions = ("acquire", "release")
    observes: ClassVar[tuple[str, ...]] = ()
    initial = "free"
    may_answer = ("acquire", "release")

    def _prepare(self, call: Call, argument: Any, result: Any) -> ModelStep:
        held = self._held(call, argument)
        turn = ("free", held) if call.function == "acquire" else (held, "free")
        if not call.known:
            return ModelStep("cas", turn, NO_RESULT, False)
        if call.result is not None and type(call.result) is not bool:
            raise bad_call(
                call, f"has the result {shown(call.result)}", f"{call.function} answers true, false or nothing."
            )
        return ModelStep("cas", turn, call.result is not False, call.result is False)

    def _held(self, call: Call, argument: Any) -> State:
        """Returns the held state of the lock after an acquiring `call`, or before a releasing one."""
        return "held"

    def _first(self, value: Any) -> State:
        if (name := word(value)) in ("free", "held"):
            return name
        raise ConfigError("--initial", f"a mutex cannot be {shown(value)}", "Write free or held.")


class OwnerMutex(Mutex):
    """A lock that only its holder may release: the one named by the argument, else the process.

    A process that was retired after an operation with unknown outcome is not the holder under its new number.
    """

    name = "owner-mutex"

    def _held(self, call: Call, argument: Any) -> State:
        return ("held by", argument) if argument is not None else ("held by", call.client, call.process)

    def _first(self, value: Any) -> State:
        return "free" if word(value) == "free" else ("held by", exact(value))


class SetMember(Register):
    """One value of a set: a member or not, independent of other values."""

    name = "set"
    functions = ("add", "remove", "contains")
    observes = ("contains",)
    initial = "absent"
    turns: ClassVar[dict[str, tuple[str, str]]] = {
        "add": ("absent", "present"),
        "remove": ("present", "absent"),
    }
    """By function: the state before it if it changes anything, and the state after it."""

    def _prepare(self, call: Call, argument: Any, result: Any) -> ModelStep:
        if call.function == "contains":
            seen = NO_RESULT if not call.known else "present" if call.result else "absent"
            return ModelStep("read", None, seen, True)
        before, after = self.turns[call.function]
        if not call.known or call.result is None:
            return ModelStep("write", after, NO_RESULT, False)
        return ModelStep("cas", (before, after), call.result, not call.result)
