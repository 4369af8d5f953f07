"""The story of a counter-example, for people: the operations of each client, their results, and the contradiction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from framework.checking.history.calls import Call, Ending
from framework.checking.history.values import exact, shown
from framework.checking.linearizability.counter_example import CounterExample
from framework.checking.models.model import ANY, NO_RESULT, Entry, Model, Part, State
from framework.core.errors import ConfigError, abbreviated

LONGEST = 24
"""The maximum number of operations; a longer story loses its middle."""
WIDEST = 48
"""The maximum length of a value, in characters; a longer value loses its middle."""


def tell(evidence: CounterExample, part: Part, calls: Sequence[Call], endings: Mapping[int, Ending]) -> tuple[str, ...]:
    """Returns a heading, one line per operation, and a last line that says why there is no explanation.

    `calls` are all calls of the history, including failed ones; `endings` are the known endings of operations.
    """
    return _Teller(evidence, part, calls, endings).lines()


def told(evidence: CounterExample) -> list[int]:
    """Returns the numbers of the operations in a story of `evidence`."""
    since = [evidence.since] if evidence.since is not None else []
    return [call.operation for call, _ in [*since, *evidence.operations]]


class _Teller:
    """Puts one piece of evidence into words."""

    def __init__(
        self, evidence: CounterExample, part: Part, calls: Sequence[Call], endings: Mapping[int, Ending]
    ) -> None:
        self._evidence, self._part, self._endings = evidence, part, endings
        self._model = evidence.model
        self._known = {call.operation: call for call in calls}  # as recorded, not as in the evidence
        self._refused = _refused(evidence, part, calls)
        shown = [call for call, _ in evidence.operations]
        if evidence.since is not None:
            shown.insert(0, evidence.since[0])
        self._shown = shown + ([self._refused] if self._refused is not None else [])
        self._clock = _Clock(self._shown)

    def lines(self) -> tuple[str, ...]:
        evidence = self._evidence
        lines = [self._line(entry) for entry in evidence.operations]
        if self._refused is not None:
            lines.insert(0, self._interval(self._refused, "failed"))
        if evidence.since is not None:
            lines.insert(0, self._line(evidence.since, certain=True))
        if len(lines) > LONGEST:
            half = LONGEST // 2
            lines[half:-half] = [f"{'…':>{self._clock.width}}  {len(lines) - 2 * half:,} more operations"]
        holds = f"holds {abbreviated(self._model.described(self._model.initial), WIDEST)}"
        when = "at first" if evidence.since is None else "after the first of these operations"
        head = f"{self._part.label}, a {self._model.name} that {holds} {when} (times in ms):"
        why = self._why() if evidence.at_last else "No order of these operations explains them."
        return (head, *lines, why + self._part.model.remark(self._part.operations))

    def _line(self, entry: Entry, *, certain: bool = False) -> str:
        call, step = entry
        notes = []
        if not certain and call.known and step != self._model.prepare(call):
            notes.append("whatever it found")
        if call.operation in self._evidence.either:
            notes.append("or before that")
        return self._interval(call, *notes)

    def _interval(self, call: Call, *notes: str) -> str:
        clock = self._clock
        begin, end = clock.ms(call.invoked), clock.ms(call.completed if call.outcome != "unknown" else None)
        text = f"{begin:>{clock.width}} to {end:>{clock.width}}  {self._who(call)}: {self._what(call)}"
        return text + "".join(f" ({note})" for note in notes)

    def _who(self, call: Call) -> str:
        """Returns `c4, operation 160, answered by n3`."""
        node = self._ending(call)[0] if call.known else ""
        return f"{_name(call)}, operation {call.operation}" + (f", answered by {node}" if node else "")

    def _what(self, call: Call) -> str:
        """Returns the call with its result: `read() saw 1`, `cas(1, 2) answered false`, `write(3)`."""
        named = _named(call)
        if call.outcome == "fail":
            return named
        if not call.known:
            recorded = self._known.get(call.operation, call)
            if recorded.known:
                return f"{named}, not yet answered"
            why = self._ending(call)[1]
            return f"{named}, not answered" + (f": {why}" if why else "")
        if call.function == "read":
            return f"{named} saw {_shown(call.result)}"
        if call.function in ("dequeue", "pop") and call.result is None:
            return f"{named} found nothing"
        return named if call.result in (None, NO_RESULT) else f"{named} answered {_shown(call.result)}"

    def _ending(self, call: Call) -> Ending:
        return self._endings.get(call.operation, ("", ""))

    def _why(self) -> str:
        """Names the impossible completion, and the simplest reason that applies."""
        evidence, model, clock = self._evidence.operations, self._model, self._clock
        known = [entry for entry in evidence if entry[0].known]
        last, step = max(known, key=lambda entry: (entry[0].completed or 0, entry[0].operation))
        who, by = f"{self._who(last)}: {self._what(last)}", f"by {clock.ms(last.completed)} ms"
        state = model.needs(step)
        others = [entry for entry in evidence if entry[0] is not last and not entry[1].pure]
        refused = ""
        if self._refused is not None:
            refused = (
                f": {_possessive(self._refused)}{_named(self._refused)} (operation {self._refused.operation}) failed"
            )
        if last.function != "read" or state is ANY:
            return f"{who}, but no order of these operations allows that {by}{refused}."
        makers = [entry for entry in others if _had_part(entry, state, others, model)]
        if not makers and state != model.initial:
            since = "" if self._evidence.since is None else " after the first of these operations"
            return f"{who}, but nothing had put that value there{since} {by}{refused}."
        cover = _covering(others, makers, last, model)
        if cover is None:
            return f"{who}, but no order of these operations shows that value there {by}."
        after = ", which began after that value was put there," if makers and _replacing(others, model) else ""
        return (
            f"{who}, but {_possessive(cover)}{self._what(cover)} (operation {cover.operation}){after} had ended at"
            f" {clock.ms(cover.completed)} ms, before that read began at {clock.ms(last.invoked)} ms."
        )


class _Clock:
    """Writes nanoseconds as milliseconds, with three decimals, or six if any time needs them."""

    def __init__(self, calls: Sequence[Call]) -> None:
        times = [time for call in calls for time in (call.invoked, call.completed) if time is not None]
        self._decimals = 3 if all(time % 1000 == 0 for time in times) else 6
        self.width = max(len(self.ms(time)) for time in times)

    def ms(self, time: int | None) -> str:
        if time is None:
            return "?"
        whole, rest = divmod(time, 1_000_000)
        return f"{whole:,}.{rest:06d}"[: self._decimals - 6 or None]


def _name(call: Call) -> str:
    """Returns the client's name. A client of another system is a process, with a number or a name."""
    return f"process {call.client}" if call.process < 0 or call.client[:1].isdigit() else call.client


def _possessive(call: Call) -> str:
    return f"{_name(call)}'s "


def _named(call: Call) -> str:
    if call.function == "cas":
        arguments = call.argument
    else:
        arguments = () if call.argument is None and call.function != "write" else (call.argument,)
    return f"{call.function}({', '.join(map(_shown, arguments))})"


def _refused(evidence: CounterExample, part: Part, calls: Sequence[Call]) -> Call | None:
    """Returns the failed call whose value was seen although no other call has that value; None if there is none."""
    known = [call for call, _ in evidence.operations if call.known]
    if not known:
        return None
    last = max(known, key=lambda call: (call.completed or 0, call.operation))
    if last.result in (None, NO_RESULT) or type(last.result) is bool:
        return None
    failed = [call for call in calls if call.outcome == "fail" and call.key == part.key and _is_sound(call, part.model)]
    if not failed:
        return None
    put = {exact(_value(call)) for call, step in part.operations if not step.pure}
    return next((call for call in failed if _shows(last.result, call) and exact(_value(call)) not in put), None)


def _is_sound(call: Call, model: Model) -> bool:
    """Returns whether a failed call could have changed an object of `model`.

    Failed calls have not been checked before.
    """
    if call.argument is None or call.function not in model.functions or call.function in model.observes:
        return False
    try:
        model.prepare(msgspec.structs.replace(call, outcome="unknown", result=None))
    except ConfigError:
        return False
    return True


def _value(call: Call) -> Any:
    """Returns the value that a call would leave."""
    return call.argument[1] if call.function == "cas" and isinstance(call.argument, tuple) else call.argument


def _shows(result: Any, call: Call) -> bool:
    """Returns whether `result` may show that a call took effect."""
    value = _value(call)
    if isinstance(result, tuple | frozenset):
        return exact(value) in map(exact, result) or exact(value) == exact(result)
    if call.function == "append":
        return isinstance(result, str) and isinstance(value, str) and value != "" and value in result
    return bool(exact(value) == exact(result))


def _had_part(entry: Entry, state: State, others: Sequence[Entry], model: Model) -> bool:
    """Returns whether `entry` may have contributed to `state`; by itself, if all other operations replace the state."""
    if all(step.function in model.replaces for _, step in others):
        return model.makes(entry[1]) == state
    return model.concerns(entry[1], {state})


def _replacing(others: Sequence[Entry], model: Model) -> bool:
    return any(step.function in model.replaces for _, step in others)


def _covering(others: Sequence[Entry], makers: Sequence[Entry], last: Call, model: Model) -> Call | None:
    """Returns an operation that did not contribute to what `last` saw, but certainly had effect before `last` began.

    An operation that adds to the state has a lasting effect; one that replaces it, only if it came after all `makers`.
    """
    put = -1
    if _replacing(others, model):
        if any(not call.known for call, _ in makers):
            return None
        put = max((call.completed for call, _ in makers if call.completed is not None), default=-1)
    for entry in others:
        call = entry[0]
        between = call.known and call.completed is not None and put < call.invoked and call.completed < last.invoked
        if between and entry not in makers:
            return call
    return None


def _shown(value: Any) -> str:
    return shown(value, WIDEST)
