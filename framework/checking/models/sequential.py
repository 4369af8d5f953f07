"""Custom sequential models: the result of each operation in each state, and the state after it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

import msgspec

from framework.checking.history.calls import Call
from framework.checking.history.values import Mark, exact, frozen, plain, shown
from framework.checking.models.model import ILLEGAL, NO_RESULT, Model, ModelStep, Outlook, State, Transitions
from framework.core.errors import RAISED, PluginError, SynodError
from framework.core.tracebacks import blaming, plugin_gave, plugin_raised

ANYTHING = Mark("ANYTHING")
"""The answer of `apply` if the recorded result does not matter."""
_IMMUTABLE = "a tuple, a frozenset, a frozen record or another state that cannot change"
KNOWN = 1_000_000
"""The maximum number of outcomes of `apply` that are cached for states visited again."""
STATE_BYTES = 300
"""The size of a state, in addition to its values."""

ModelOutcome: TypeAlias = "tuple[Any, State] | Mark"
"""The answer and the state after, or `ILLEGAL`."""


class SequentialModel(Model):
    """Base of the models that plugins register: an object that executes one operation after another.

        class Semaphore(SequentialModel):
            functions = ("acquire", "release")
            initial = 2

            def apply(self, state, function, argument):
                if function == "acquire":
                    return (True, state - 1) if state else (False, 0)
                return ANYTHING, state + 1

    `functions` are the functions that clients call, `observes` those among them that never change the state. States are
    immutable and hashable (numbers, texts, tuples, frozensets, frozen records), and equal states behave alike. Each key
    is a separate object. Operations with unknown outcome need no special care: the checker lets them take effect or
    not, with any answer. `may_answer` names the functions that return a result only in some systems; by default these
    are all functions, so that a recorded value that equals the argument may be an argument or a result.
    """

    observes: ClassVar[tuple[str, ...]] = ()
    untold: ClassVar[Any] = NO_RESULT

    @property
    def may_answer(self) -> tuple[str, ...]:
        return self.functions

    @abstractmethod
    def apply(self, state: Any, function: str, argument: Any) -> ModelOutcome:
        """Returns the answer and the state after; `ILLEGAL` if the operation cannot take effect in `state` and must
        wait.

        The answer is compared with the recorded result, where `true` differs from `1`; `ANYTHING` matches any result.
        Values are those of JSON, with tuples for lists. `apply` must not change `state`, and must depend only on its
        arguments.
        """

    def argument_of(self, call: Call) -> Any:
        """Returns the argument for `apply`: that of `call`. Override it if the caller matters: `(call.client, …)`."""
        return call.argument

    def first(self, value: Any) -> Any:
        """Returns the state for `--initial VALUE`."""
        return value

    def _first(self, value: Any) -> State:
        with blaming(self._where, "first", type(self)):
            state: State = self.first(value)
        try:
            hash(state)
        except TypeError:
            raise plugin_gave(self._where, f"first({shown(value)})", state, _IMMUTABLE, type(self)) from None
        return state

    def _prepare(self, call: Call, argument: Any, result: Any) -> ModelStep:
        with blaming(self._where, "argument_of", type(self)):
            asked = exact(frozen(self.argument_of(call)))
        try:
            hash(asked)
        except TypeError:
            raise plugin_gave(self._where, "argument_of", asked, "a value that can be compared", type(self)) from None
        return ModelStep(call.function, asked, result, call.function in self.observes)

    @property
    def _where(self) -> str:
        return f"model={self.name}"

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        outcome = self.outcome(state, function, argument)
        if outcome is ILLEGAL:
            return ILLEGAL
        assert isinstance(outcome, tuple)
        answer, after = outcome
        return after if answer is ANYTHING or result is NO_RESULT or answer == result else ILLEGAL

    def coded(self, steps: Sequence[ModelStep]) -> tuple[Transitions, list[ModelStep]]:
        return _numbered(self, steps)

    def outcome(self, state: State, function: str, argument: Any) -> ModelOutcome:
        """Returns the outcome of `apply`, its answer as an `exact` value.

        Raises PluginError if the outcome is invalid.
        """
        try:
            outcome = self.apply(state, function, plain(argument))
        except RAISED as error:
            if isinstance(error, SynodError | MemoryError):
                raise
            raise plugin_raised(self._where, self._asked(state, function, argument), error, type(self)) from error
        if outcome is ILLEGAL:
            return ILLEGAL
        if not isinstance(outcome, tuple) or len(outcome) != 2:
            asked = self._asked(state, function, argument)
            raise plugin_gave(self._where, asked, outcome, "(answer, state after) or ILLEGAL", type(self))
        answer, after = outcome
        try:
            hash(after)
        except TypeError:
            asked = f"the state of {self._asked(state, function, argument)}"
            raise plugin_gave(self._where, asked, after, _IMMUTABLE, type(self)) from None
        if function in self.observes and identity(after) != identity(state):
            what = f"{self._asked(state, function, argument)} changed the state to {shown(after)}"
            raise PluginError(
                self._where,
                f"{what}, and {function} is one of those that observe",
                f"Take {function!r} out of observes.",
            )
        return exact(frozen(answer)), after

    @staticmethod
    def _asked(state: State, function: str, argument: Any) -> str:
        return f"apply({shown(state)}, {function!r}, {shown(argument)})"


def identity(state: State) -> State:
    """Returns a key that is equal for two states if and only if they are alike: true is not 1, even in collections."""
    if isinstance(state, tuple):
        return tuple(identity(item) for item in state)
    if isinstance(state, frozenset):
        return frozenset(identity(item) for item in state)
    return exact(state)  # type: ignore[no-any-return]


class _Numbered(Transitions):
    """A sequential model whose states and kinds of operation are numbers."""

    def __init__(self, model: SequentialModel, kinds: list[tuple[str, Any]]) -> None:
        self._model, self._kinds = model, kinds
        self._numbers: dict[State, int] = {}
        self._states: list[State] = []
        self._words: list[int] = []
        self._known: dict[tuple[int, int], tuple[Any, int] | None] = {}
        self.initial = self._number(model.initial)

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        asked = (state, argument)
        if asked not in self._known:
            self._ask(*asked)  # type: ignore[arg-type]
        outcome = self._known[asked]  # type: ignore[index]
        if outcome is None:
            return ILLEGAL
        answer, after = outcome
        return after if answer is ANYTHING or result is NO_RESULT or answer == result else ILLEGAL

    def outlook(self, steps: Sequence[ModelStep]) -> Outlook:
        words = self._words
        return Outlook(size=lambda state: words[state] if isinstance(state, int) else 0)

    def _ask(self, state: int, kind: int) -> None:
        if len(self._known) >= KNOWN:
            self._known.clear()
        outcome = self._model.outcome(self._states[state], *self._kinds[kind])
        if outcome is ILLEGAL:
            self._known[state, kind] = None
        else:
            assert isinstance(outcome, tuple)
            self._known[state, kind] = outcome[0], self._number(outcome[1])

    def _number(self, state: State) -> int:
        number = self._numbers.setdefault(identity(state), len(self._states))
        if number == len(self._states):
            self._states.append(state)
            self._words.append(_words(state))
            self.kept_bytes += STATE_BYTES + 8 * self._words[-1]
        return number


def _words(state: Any) -> int:
    """Returns the size of a state in words: one for each value in it, and one for every eight characters of a text."""
    if isinstance(state, tuple | frozenset):
        return 1 + sum(map(_words, state))
    if isinstance(state, msgspec.Struct):
        return 1 + sum(_words(getattr(state, name)) for name in state.__struct_fields__)
    return 1 + len(state) // 8 if isinstance(state, str | bytes) else 1


def _numbered(model: SequentialModel, steps: Sequence[ModelStep]) -> tuple[_Numbered, list[ModelStep]]:
    kinds: dict[tuple[str, Any], int] = {}
    coded = []
    for step in steps:
        kind = kinds.setdefault((step.function, step.argument), len(kinds))
        coded.append(msgspec.structs.replace(step, argument=kind))
    return _Numbered(model, list(kinds)), coded
