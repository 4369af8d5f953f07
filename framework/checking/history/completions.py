"""The value of an `ok` is either the result of the operation or a repetition of its argument.

Jepsen's completions repeat the argument where there is nothing to answer. Some functions, such as `increment`, answer in
some systems and not in others: their value can be either if it equals the argument. The function's other completions in
the file decide: a value that differs from its argument is a result, and one that can be no result repeats its argument.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from framework.checking.history.calls import Call
from framework.checking.history.values import exact
from framework.checking.models.model import Model
from framework.core.errors import ConfigError

Meaning: TypeAlias = Literal["argument", "result"]
MEANINGS = ("argument", "result")


class Completions:
    """Reads the values of the completions of one history.

    `meaning` is that of a value that can be either; None leaves it to the file. `unless_told` is its meaning if the
    file does not tell; None: then there are two readings.
    """

    def __init__(self, model: Model, *, meaning: Meaning | None, unless_told: Meaning | None) -> None:
        self._model = model
        self._meaning, self._unless_told = meaning, unless_told
        self._found: dict[str, set[Meaning]] = {function: set() for function in model.may_answer}
        self._either: dict[int, Any] = {}  # by operation

    def result(self, call: Call) -> Any:
        """Returns the result of an `ok` whose value is that of `call`; if its value repeats the argument or may do so, the
        model's `untold`."""
        function, value = call.function, call.result
        if value is None:
            return None
        found = self._found.get(function)
        if call.argument is None or exact(value) != exact(call.argument):
            if found is not None:
                found.add("result")
            return value
        if function == "cas":
            return True
        if found is None:
            return None if self._step(call) == self._step(msgspec.structs.replace(call, result=None)) else value
        if self._is_possible(call):
            self._either[call.operation] = value
        else:
            found.add("argument")
        return self._model.untold

    def readings(self, calls: list[Call]) -> tuple[list[list[Call]], tuple[str, ...]]:
        """`calls` as they are to be read: once; or twice, if values of the functions that come with it can be either."""
        meanings = {call.function: self._meaning_of(call.function) for call in calls if call.operation in self._either}
        if not meanings:
            return [calls], ()
        sure = [self._answered(call) if meanings.get(call.function) == "result" else call for call in calls]
        unsure = tuple(sorted(function for function, meaning in meanings.items() if meaning is None))
        if not unsure:
            return [sure], ()
        return [sure, [self._answered(call) if call.function in unsure else call for call in sure]], unsure

    def _meaning_of(self, function: str) -> Meaning | None:
        found = self._found[function]
        return self._meaning or (next(iter(found)) if len(found) == 1 else self._unless_told)

    def _answered(self, call: Call) -> Call:
        either = self._either
        return msgspec.structs.replace(call, result=either[call.operation]) if call.operation in either else call

    def _is_possible(self, call: Call) -> bool:
        """Whether the function of `call` can answer its result."""
        return self._step(call) is not None

    def _step(self, call: Call) -> Any:
        try:
            return self._model.prepare(call)
        except ConfigError:
            return None
