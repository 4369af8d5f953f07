"""The calls of a history, which are what clients saw, and how they are read from its table.

- A failed call never happened.
- A call with unknown outcome, or without completion, takes effect at any time after its invocation, or never.
- One call precedes another if it completed *before* the other was invoked. Calls with equal timestamps are concurrent,
  except within a process, which is sequential: its next invocation may have the timestamp of the last completion.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import msgspec

from framework.checking.history.values import Key, frozen
from framework.core.errors import ConfigError, abbreviated

if TYPE_CHECKING:
    import pyarrow as pa

CallOutcome: TypeAlias = Literal["ok", "fail", "unknown"]
OUTCOMES = ("ok", "fail", "unknown")

_JSON = ("argument", "result")
_WORDS = ("client", "function", "key", "outcome")
_ROWS_AT_ONCE = 4096


class Call(msgspec.Struct, frozen=True, gc=False):
    """One operation of a client. Times are nanoseconds of the run; values are as described in `values`.

    `outcome` is `"ok"`, `"fail"` (it never takes effect) or `"unknown"`; a call that did not end has `completed` None.
    """

    operation: int
    client: str
    process: int
    function: str
    key: Key
    argument: Any
    result: Any
    outcome: CallOutcome
    invoked: int
    completed: int | None

    @property
    def known(self) -> bool:
        """True if it certainly took effect, with the recorded result."""
        return self.outcome == "ok"


def check_calls(calls: Iterable[Call]) -> None:
    """Raises ConfigError for the first call that no client can have made: a bug of the recorder, not of the system."""
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
    """Builds the error about one call of a history."""
    who = f"{abbreviated(call.function)} by {abbreviated(call.client)}"
    return ConfigError("history", f"operation {call.operation} ({who}) {what}", fix)


Ending: TypeAlias = tuple[str, str]
"""The ending of an operation: the node that answered it, and the reason why it has no answer; "" if not known."""
Endings: TypeAlias = "Callable[[Collection[int]], Mapping[int, Ending]]"
"""A function from operation numbers to the endings of these operations, as far as known."""


def no_endings(operations: Collection[int]) -> Mapping[int, Ending]:
    """Returns no endings: nothing is known of them."""
    return {}


class Calls(Protocol):
    """The calls of a history, in its order. They can be iterated over any number of times; `list(calls)` loads all."""

    def __iter__(self) -> Iterator[Call]: ...

    def __len__(self) -> int: ...


class RecordedCalls:
    """The calls of a history that stays on disk: an iteration keeps a few thousand of them in memory.

    `batches` returns the rows of `history.arrow` from the start at each call; `endings` returns the endings of
    operations. An iteration raises the errors of `calls_from_table`.
    """

    def __init__(self, batches: Callable[[], Iterable[pa.RecordBatch]], endings: Endings = no_endings) -> None:
        self._batches = batches
        self.endings = endings
        self._length: int | None = None

    def __iter__(self) -> Iterator[Call]:
        first = 0
        for batch in self._batches():
            yield from _calls(batch, first)
            first += batch.num_rows

    def __len__(self) -> int:
        if self._length is None:
            self._length = sum(batch.num_rows for batch in self._batches())
        return self._length


def calls_from_table(table: pa.Table) -> list[Call]:
    """Returns the calls of a `history.arrow`, in order.

    Raises ConfigError if a column is missing or a value is not JSON.
    """
    return list(RecordedCalls(table.to_batches))


def _calls(batch: pa.RecordBatch, first: int) -> Iterator[Call]:
    """Yields the calls of one batch; `first` is the number of its first row."""
    from framework.trace.columns import words

    names = Call.__struct_fields__
    absent = [name for name in names if name not in batch.schema.names]
    if absent:
        raise ConfigError("history", f"has no column {absent[0]!r}", f"It needs: {', '.join(names)}.")
    for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
        rows = batch.slice(start, _ROWS_AT_ONCE)
        columns: list[list[Any]] = []
        for name in names:
            column = rows.column(name)
            if name in _JSON:
                columns.append(_values(column.cast("string").to_pylist(), name, first + start))
            elif name in _WORDS:
                columns.append(words(column))
            else:
                columns.append(column.to_pylist())
        yield from map(Call, *columns)


def _values(texts: list[str | None], name: str, first: int) -> list[Any]:
    """Decodes JSON texts, each distinct one once. `first` is the row number of the first text."""
    known: dict[str | None, Any] = {None: None}
    decode = msgspec.json.Decoder().decode
    for row, text in enumerate(texts, start=first):
        if text in known:
            continue
        try:
            known[text] = frozen(decode(text or ""))
        except msgspec.DecodeError as error:
            what = f"row {row}: {name} {abbreviated(repr(text))} is not JSON ({error})"
            raise ConfigError("history", what, "") from error
    return [known[text] for text in texts]
