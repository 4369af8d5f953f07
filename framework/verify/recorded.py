"""Histories as other systems record them: a line for each invocation and each completion, paired to calls.

An `ok` completion carries the result. `fail` says that the operation did not happen. `info`, or no completion at all,
leaves open whether and when it takes effect; the process may go on, and counts as a new one from then on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import msgspec

from framework.core.errors import ConfigError
from framework.verify.history import Call, frozen
from framework.verify.model import Model

LINE_NS = 1_000_000
"""Where no times are recorded, each line counts as a millisecond."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One line of a recorded history; `time` in nanoseconds, None if it was not recorded."""

    line: int
    process: int | str
    type: Literal["invoke", "ok", "fail", "info"]
    function: str
    key: str | None
    value: Any
    time: int | None


class _Begun(NamedTuple):
    operation: int
    event: Event
    client: str
    invoked: int


class _Pairing:
    """The calls so far, and what is under way."""

    def __init__(self, where: str, model: Model) -> None:
        self.where, self.model = where, model
        self.calls: list[Call] = []
        self._under_way: dict[int | str, _Begun] = {}
        self._lives: dict[int | str, int] = {}
        self._numbers: dict[int | str, int] = {}
        self._invoked = 0

    def take(self, event: Event, time: int) -> None:
        begun = self._under_way.pop(event.process, None)
        if event.type == "invoke":
            if begun is not None:
                raise self._wrong(
                    event.line,
                    f"process {event.process} invokes {event.function}, but its {begun.event.function} of line"
                    f" {begun.event.line} is still under way",
                    "A process does one thing at a time: give each client a process of its own.",
                )
            self._begin(event, time)
        elif begun is None:
            raise self._wrong(
                event.line,
                f"{event.function} of process {event.process} completes, but was never invoked",
                "Is a part missing before it?",
            )
        else:
            self._end(begun, event, time)

    def finish(self) -> list[Call]:
        """All calls by the order of their invocations, those that never completed among them."""
        for begun in self._under_way.values():
            self._keep(begun, None, "unknown", None, None)
        return sorted(self.calls, key=lambda call: call.operation)

    def _begin(self, event: Event, time: int) -> None:
        life = self._lives.setdefault(event.process, 0)
        self._numbers.setdefault(event.process, len(self._numbers))
        client = f"{event.process}" + "'" * life
        self._under_way[event.process] = _Begun(self._invoked, event, client, time)
        self._invoked += 1

    def _end(self, begun: _Begun, event: Event, time: int) -> None:
        invoked = begun.event
        if event.function != invoked.function or event.key not in (None, invoked.key):
            raise self._wrong(
                event.line,
                f"process {event.process} completes {_named(event)}, but invoked {_named(invoked)} in line {invoked.line}",
                "A completion repeats the function and the key of its invocation.",
            )
        if event.type == "info":
            self._lives[event.process] += 1
            self._keep(begun, None, "unknown", None, event)
        elif time < begun.invoked:
            what = f"{event.function} completes at {time} ns, before its invocation in line {invoked.line}"
            raise self._wrong(event.line, what, "Stamp both with the same clock.")
        else:
            self._keep(begun, frozen(event.value), "ok" if event.type == "ok" else "fail", time, event)

    def _keep(
        self,
        begun: _Begun,
        result: Any,
        outcome: Literal["ok", "fail", "unknown"],
        completed: int | None,
        end: Event | None,
    ) -> None:
        event = begun.event
        number = event.process if isinstance(event.process, int) else self._numbers[event.process]
        call = Call(
            operation=begun.operation, client=begun.client, process=number, function=event.function, key=event.key,
            argument=frozen(event.value), result=result if outcome == "ok" else None, outcome=outcome,
            invoked=begun.invoked, completed=completed,
        )  # fmt: skip
        self._check(call, event.line, end)
        self.calls.append(call)

    def _check(self, call: Call, invoked_line: int, end: Event | None) -> None:
        """ConfigError that names the line whose value makes no sense to the model."""
        if call.outcome == "fail":
            return
        line = invoked_line
        try:
            if call.known:
                self.model.prepare(msgspec.structs.replace(call, outcome="unknown", result=None, completed=None))
                line = end.line if end else line
            self.model.prepare(call)
        except ConfigError as error:
            raise self._wrong(line, error.what, error.fix) from None

    def _wrong(self, line: int, what: str, fix: str) -> ConfigError:
        return ConfigError(f"{self.where}:{line}", what, fix)


def pair(events: Iterable[Event], where: str, model: Model, *, in_order: bool) -> list[Call]:
    """The calls that `events` tell of, by the order of their invocations.

    `in_order`: the events happened in the order of the lines, whatever their times say. Else their times decide, and
    equal times count as concurrent. ConfigError, with `where` and the line, for a completion without an invocation, a
    second operation of a process at once, a value that `model` cannot take, or times that only some events have.
    """
    pairing = _Pairing(where, model)
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
    return pairing.finish()


def _named(event: Event) -> str:
    return event.function if event.key is None else f"{event.function} of key {event.key!r}"
