"""What clients saw: the calls of a history, and how they are read from its table.

- A call that failed never happened.
- A call of unknown fate, or one that never completed, takes effect at any time after its invocation, or never.
- One call precedes another if it completed *before* the other was invoked. Equal timestamps are concurrent, except
  within a process, which is sequential: there the completion may fall on the very instant of the next invocation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from framework.core.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

Outcome: TypeAlias = Literal["ok", "fail", "unknown"]
OUTCOMES = ("ok", "fail", "unknown")


class Call(msgspec.Struct, frozen=True, gc=False):
    """One operation of a client. Times are nanoseconds of the run; values are JSON's, with tuples for lists."""

    operation: int
    client: str
    process: int
    function: str
    key: str | None
    argument: Any
    result: Any
    outcome: Outcome
    invoked: int
    completed: int | None

    @property
    def known(self) -> bool:
        """Whether it certainly took effect, and its result is the one recorded."""
        return self.outcome == "ok"


def check_calls(calls: Iterable[Call]) -> None:
    """ConfigError for the first call that no client can have made: a broken recorder, not a broken system."""
    for call in calls:
        if call.outcome not in OUTCOMES:
            raise bad_call(call, f"unknown outcome {call.outcome!r}", f"It is one of: {', '.join(OUTCOMES)}.")
        if call.completed is None:
            if call.outcome == "ok":
                raise bad_call(call, "is ok but never completed", "Record when it completed, or record it as unknown.")
        elif call.completed < call.invoked:
            what = f"completes at {call.completed} ns, before its invocation at {call.invoked} ns"
            raise bad_call(call, what, "Stamp both ends with the same clock.")


def bad_call(call: Call, what: str, fix: str = "") -> ConfigError:
    """The error about one call of a history."""
    return ConfigError("history", f"operation {call.operation} ({call.function} by {call.client}) {what}", fix)


def calls_from_table(table: pa.Table) -> list[Call]:
    """The calls of a `history.arrow`, in its order. ConfigError if a column is missing or a value is not JSON."""
    import pyarrow as pa

    names = Call.__struct_fields__
    absent = [name for name in names if name not in table.column_names]
    if absent:
        raise ConfigError("history", f"has no column {absent[0]!r}", f"It needs: {', '.join(names)}.")
    columns: list[list[Any]] = []
    for name in names:
        column = table.column(name).combine_chunks()
        if name in ("argument", "result"):
            columns.append(_values(column.cast(pa.string()).to_pylist(), name))
        else:
            columns.append(column.to_pylist())
    return [Call(*row) for row in zip(*columns, strict=True)]


def _values(texts: list[str | None], name: str) -> list[Any]:
    """Each distinct JSON text is decoded once."""
    known: dict[str | None, Any] = {None: None}
    decode = msgspec.json.Decoder().decode
    for row, text in enumerate(texts):
        if text in known:
            continue
        try:
            known[text] = frozen(decode(text or ""))
        except msgspec.DecodeError as error:
            raise ConfigError("history", f"row {row}: {name} {text!r} is not JSON ({error})", "") from error
    return [known[text] for text in texts]


def frozen(value: Any) -> Any:
    """`value` with its lists, at any depth, as tuples."""
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    return value
