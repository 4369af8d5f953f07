"""Evidence, told so that a person can follow it: who did what when, what they saw, and why it cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from framework.verify.evidence import Evidence
from framework.verify.history import Call
from framework.verify.model import ANY, Entry, Model, State
from framework.verify.values import plain, shown

LONGEST = 24
"""Operations told; of a longer story the middle is left out."""
WIDEST = 48
"""Characters of a value shown; of a longer one the middle is left out."""


def tell(evidence: Evidence, label: str, model: Model) -> tuple[str, ...]:
    """A line that says of what, one line an operation, and a last one that says why there is no explanation."""
    clock = _Clock([call for call, _ in evidence.operations])
    lines = [_line(entry, clock, model) for entry in evidence.operations]
    if len(lines) > LONGEST:
        half = LONGEST // 2
        lines[half:-half] = [f"{'…':>{clock.width}}  {len(lines) - 2 * half:,} more operations"]
    head = f"{label}, a {model.name} that holds {_shown(plain(model.initial))} at first (times in ms):"
    why = _why(evidence.operations, model, clock) if evidence.at_last else "No order of these operations explains them."
    return (head, *lines, why)


class _Clock:
    """Writes nanoseconds as milliseconds, all with as many decimals as the most precise one needs, three or six."""

    def __init__(self, calls: Sequence[Call]) -> None:
        times = [time for call in calls for time in (call.invoked, call.completed) if time is not None]
        self._decimals = 3 if all(time % 1000 == 0 for time in times) else 6
        self.width = max(len(self.ms(time)) for time in times)

    def ms(self, time: int | None) -> str:
        if time is None:
            return "?"
        whole, rest = divmod(time, 1_000_000)
        return f"{whole:,}.{rest:06d}"[: self._decimals - 6 or None]


def _line(entry: Entry, clock: _Clock, model: Model) -> str:
    call, step = entry
    begin, end = clock.ms(call.invoked), clock.ms(call.completed if call.known else None)
    what = _what(call) if step == model.prepare(call) else f"{_what(call)} (whatever it found)"
    return f"{begin:>{clock.width}} to {end:>{clock.width}}  {_who(call)}: {what}"


def _who(call: Call) -> str:
    """The process by its number; one that has a name, and a number below zero, by its name."""
    return f"process {call.process if call.process >= 0 else call.client}"


def _what(call: Call) -> str:
    """The call with its result: `read() saw 1`, `cas(1, 2) answered false`, `write(3)`."""
    if call.function == "cas":
        arguments = call.argument
    else:
        arguments = () if call.argument is None and call.function != "write" else (call.argument,)
    named = f"{call.function}({', '.join(map(_shown, arguments))})"
    if not call.known:
        return f"{named}, not answered"
    if call.function == "read":
        return f"{named} saw {_shown(call.result)}"
    if call.function in ("dequeue", "pop") and call.result is None:
        return f"{named} found nothing"
    return named if call.result is None else f"{named} answered {_shown(call.result)}"


def _why(evidence: Sequence[Entry], model: Model, clock: _Clock) -> str:
    """Names the completion that cannot be, and the plainest reason that holds."""
    known = [entry for entry in evidence if entry[0].known]
    last, step = max(known, key=lambda entry: (entry[0].completed or 0, entry[0].operation))
    who, by = f"{_who(last)}: {_what(last)}", f"by {clock.ms(last.completed)} ms"
    state = model.needs(step)
    others = [entry for entry in evidence if entry[0] is not last and not entry[1].pure]
    if last.function != "read" or state is ANY:
        return f"{who}, but no order of these operations allows that {by}."
    makers = [entry for entry in others if _had_part(entry, state, others, model)]
    if not makers and state != model.initial:
        return f"{who}, but nothing had put that value there {by}."
    cover = _covering(others, makers, last, model)
    if cover is None:
        return f"{who}, but no order of these operations shows that value there {by}."
    since = ", which began after that value was put there," if makers and _replacing(others, model) else ""
    return (
        f"{who}, but {_who(cover)}'s {_what(cover)}{since} had ended at {clock.ms(cover.completed)} ms,"
        f" before that read began at {clock.ms(last.invoked)} ms."
    )


def _had_part(entry: Entry, state: State, others: Sequence[Entry], model: Model) -> bool:
    """Whether `entry` may have helped to make `state`: alone, if all that the others do is to replace the state."""
    if all(step.function in model.replaces for _, step in others):
        return model.makes(entry[1]) == state
    return model.concerns(entry[1], {state})


def _replacing(others: Sequence[Entry], model: Model) -> bool:
    return any(step.function in model.replaces for _, step in others)


def _covering(others: Sequence[Entry], makers: Sequence[Entry], last: Call, model: Model) -> Call | None:
    """An operation without a part in what `last` saw that certainly left its mark before `last` began.

    What adds to a state leaves its mark for good; what replaces one, if it came after all that `makers` did.
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
