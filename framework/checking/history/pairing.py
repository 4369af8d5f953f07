"""Pairs the lines of histories from other systems, one for each invocation and completion, to calls.

An `ok` completion carries the result. `fail` means that the operation did not happen. With `info`, or without
completion, it is open whether and when it takes effect; the process may go on, and counts as a new one from then on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from framework.checking.history.calls import Call
from framework.checking.history.completions import Completions
from framework.checking.history.values import Key, Keyword, Mark, Symbol, frozen, shown, written
from framework.checking.models.model import Model
from framework.core.errors import ConfigError, abbreviated

Process: TypeAlias = int | str | Keyword | Symbol

LINE_NS = 1_000_000
"""The nanoseconds from line to line if no times are recorded: a millisecond."""
ONE_AT_A_TIME = "A process does one thing at a time: give each client a process of its own."


UNTOLD = Mark("UNTOLD")
"""The `result` of a completion that has only a value."""


class HistoryEvent(msgspec.Struct, frozen=True, gc=False):
    """One line of a recorded history; `time` is in nanoseconds, None if it was not recorded.

    With a `result`, a completion is that of an operation that happened, whatever its `type` and `value` are.
    """

    line: int
    process: Process
    type: Literal["invoke", "ok", "fail", "info"]
    function: str
    key: Key
    value: Any
    time: int | None
    result: Any = UNTOLD


class _Begun(NamedTuple):
    operation: int
    event: HistoryEvent
    client: str
    invoked: int


class _Pairing:
    """The calls so far, and the operations under way."""

    def __init__(self, where: str, model: Model, completions: Completions, *, ignore_nil_reads: bool) -> None:
        self.where, self.model, self.completions = where, model, completions
        self.calls: list[Call] = []
        self.ignored = 0
        self._ignore_nil_reads = ignore_nil_reads
        self._under_way: dict[Process, _Begun] = {}
        self._ended: dict[Process, HistoryEvent] = {}
        self._clients: dict[Process, str] = {}
        self._numbers: dict[Process, int] = {}
        self._invoked = 0

    def take(self, event: HistoryEvent, time: int) -> None:
        begun = self._under_way.pop(event.process, None)
        if event.type == "invoke":
            if begun is not None:
                raise self._wrong(
                    event.line,
                    f"process {_name(event.process)} invokes {abbreviated(event.function)}, but its"
                    f" {abbreviated(begun.event.function)} of line {begun.event.line} is still under way",
                    ONE_AT_A_TIME,
                )
            self._begin(event, time)
        elif begun is None:
            raise self._wrong(
                event.line,
                f"{abbreviated(event.function)} of process {_name(event.process)} completes, but was never invoked",
                "Is a part missing before it?",
            )
        else:
            self._end(begun, event, time)

    def finish(self) -> list[Call]:
        """Returns all calls in the order of their invocations, including those without completion."""
        for begun in self._under_way.values():
            self._keep(begun, None, "unknown", None, None)
        return sorted(self.calls, key=lambda call: call.operation)

    def _begin(self, event: HistoryEvent, time: int) -> None:
        ended = self._ended.get(event.process)
        if ended is not None and _is_before(event, ended):
            raise self._wrong(
                event.line,
                f"process {_name(event.process)} invokes {abbreviated(event.function)} at {event.time} ns, but its"
                f" {abbreviated(ended.function)} completes at {ended.time} ns, in line {ended.line}",
                ONE_AT_A_TIME,
            )
        client = self._clients.get(event.process)
        if client is None:
            client = self._clients[event.process] = _name(event.process)
        self._under_way[event.process] = _Begun(self._invoked, event, client, time)
        self._invoked += 1

    def _end(self, begun: _Begun, event: HistoryEvent, time: int) -> None:
        invoked = begun.event
        if event.function != invoked.function or event.key not in (None, invoked.key):
            raise self._wrong(
                event.line,
                f"process {_name(event.process)} completes {_named(event)}, but invoked {_named(invoked)}"
                f" in line {invoked.line}",
                "A completion repeats the function and the key of its invocation.",
            )
        if event.type == "info":
            self._clients[event.process] += "'"
            self._keep(begun, None, "unknown", None, event)
            return
        if _is_before(event, invoked):
            what = f"{abbreviated(event.function)} completes at {event.time} ns, before its invocation in line {invoked.line}"
            raise self._wrong(event.line, what, "Stamp both with the same clock.")
        self._ended[event.process] = event
        if self._ignore_nil_reads and event.type == "ok" and event.function == "read" and event.value is None:
            self.ignored += 1
        else:
            is_ok = event.type == "ok" or event.result is not UNTOLD
            value = event.value if event.result is UNTOLD else event.result
            self._keep(begun, frozen(value), "ok" if is_ok else "fail", time, event)

    def _keep(
        self,
        begun: _Begun,
        result: Any,
        outcome: Literal["ok", "fail", "unknown"],
        completed: int | None,
        end: HistoryEvent | None,
    ) -> None:
        event = begun.event
        call = Call(
            operation=begun.operation, client=begun.client, process=self._number(event.process),
            function=event.function, key=event.key, argument=frozen(event.value),
            result=result if outcome == "ok" else None, outcome=outcome, invoked=begun.invoked, completed=completed,
        )  # fmt: skip
        has_value = call.known and end is not None and end.result is UNTOLD
        if has_value and (told := self.completions.result(call)) is not call.result:
            call = msgspec.structs.replace(call, result=told)
        self._check(call, event.line, end)
        self.calls.append(call)

    def _number(self, process: Process) -> int:
        """Returns a process's own number; a distinct negative number for each process with a name instead."""
        return process if isinstance(process, int) else self._numbers.setdefault(process, -1 - len(self._numbers))

    def _check(self, call: Call, invoked_line: int, end: HistoryEvent | None) -> None:
        """Raises ConfigError, naming the line, if a value makes no sense to the model."""
        if call.outcome == "fail":
            return
        try:
            self.model.prepare(call)
        except ConfigError as error:
            argument = msgspec.structs.replace(call, outcome="unknown", result=None, completed=None)
            line = end.line if end and call.known and self._is_sound(argument) else invoked_line
            raise self._wrong(line, error.what, error.fix) from None

    def _is_sound(self, call: Call) -> bool:
        try:
            self.model.prepare(call)
        except ConfigError:
            return False
        return True

    def _wrong(self, line: int, what: str, fix: str) -> ConfigError:
        return ConfigError(f"{self.where}:{line}", what, fix)


def pair(
    events: Iterable[HistoryEvent],
    where: str,
    model: Model,
    completions: Completions,
    *,
    in_order: bool,
    ignore_nil_reads: bool = False,
) -> tuple[list[Call], int]:
    """Returns the calls in `events`, in the order of their invocations, and the number of ignored reads.

    `in_order`: the events happened in the order of the lines, whatever the times of different processes. Otherwise
    their times decide, and equal times count as concurrent. `ignore_nil_reads` leaves out reads that returned None.
    Raises ConfigError, with `where` and the line, for a completion without invocation, concurrent operations of one
    process, a value that `model` does not accept, or times that only some events have.
    """
    pairing = _Pairing(where, model, completions, ignore_nil_reads=ignore_nil_reads)
    timed: bool | None = None
    last = -1
    for event in events:
        if timed is None:
            timed = event.time is not None
        elif timed != (event.time is not None) and not in_order:
            fix = "Give every line a time, or none."
            raise ConfigError(
                f"{where}:{event.line}", "has no time" if timed else "has a time, unlike those above", fix
            )
        time = event.line * LINE_NS if event.time is None else event.time
        last = time = max(time, last + 1) if in_order else time
        pairing.take(event, time)
    return pairing.finish(), pairing.ignored


def _is_before(event: HistoryEvent, other: HistoryEvent) -> bool:
    return event.time is not None and other.time is not None and event.time < other.time


def _name(process: Process) -> str:
    return abbreviated(process if isinstance(process, str) else written(process))


def _named(event: HistoryEvent) -> str:
    function = abbreviated(event.function)
    return function if event.key is None else f"{function} of key {shown(event.key)}"
