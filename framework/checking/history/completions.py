"""The values of `ok` completions: each is either the result of the operation or a repetition of its argument.

Jepsen's completions repeat the argument if the operation has no result. Some functions, such as `increment`, have a
result in some systems and none in others: a value that equals the argument is then ambiguous. The function's other
completions in the file decide: a value that differs from its argument is a result, and a value that cannot be a result
repeats its argument.
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

    `meaning` is the meaning of ambiguous values; None lets the file decide. `unless_told` is their meaning if the file
    does not decide either; None: then there are two readings.
    """

    def __init__(self, model: Model, *, meaning: Meaning | None, unless_told: Meaning | None) -> None:
        self._model = model
        self._meaning, self._unless_told = meaning, unless_told
        self._found: dict[str, set[Meaning]] = {function: set() for function in model.may_answer}
        self._either: dict[int, Any] = {}  # by operation

    def result(self, call: Call) -> Any:
        """Returns the result of the `ok` completion of `call`.

        If its value may repeat the argument, and the function may answer, this is the model's `untold`.
        """
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
        """Returns one reading of `calls`, or two if values are ambiguous, and the ambiguous functions."""
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
        """Returns whether the value of `call` can be a result of its function."""
        return self._step(call) is not None

    def _step(self, call: Call) -> Any:
        try:
            return self._model.prepare(call)
        except ConfigError:
            return None
