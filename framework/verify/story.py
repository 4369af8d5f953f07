"""Evidence, told so that a person can follow it: who did what when, what they saw, and why it cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from framework.verify.history import Call
from framework.verify.models import ANY, Model, State
from framework.verify.timeline import Entry

LONGEST = 24
"""Operations told; of a longer story the middle is left out."""
WIDEST = 48
"""Characters of a value shown; of a longer one the middle is left out."""


def tell(evidence: Sequence[Entry], key: str | None, model: Model) -> tuple[str, ...]:
    """One line an operation of `evidence`, which is in the order of invocation, and a last one that says why not."""
    name = "the object" if key is None else f"key {key!r}"
    lines = [_line(call) for call, _ in evidence]
    if len(lines) > LONGEST:
        half = LONGEST // 2
        lines[half:-half] = [f"{'…':>16}    {len(lines) - 2 * half:,} more operations"]
    head = f"{name}, a {model.name} that holds {_shown(model.initial)} at first (times in ms):"
    return (head, *lines, _why(evidence, model))


def _line(call: Call) -> str:
    end = _ms(call.completed) if call.known and call.completed is not None else "?"
    return f"{_ms(call.invoked):>12} to {end:>12}  process {call.process}: {_what(call)}"


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
    return named if call.result is None else f"{named} answered {_shown(call.result)}"


def _why(evidence: Sequence[Entry], model: Model) -> str:
    """Names the completion that cannot be, and the plainest reason that holds."""
    known = [entry for entry in evidence if entry[0].known]
    last, step = max(known, key=lambda entry: (entry[0].completed or 0, entry[0].operation))
    who = f"process {last.process}: {_what(last)}"
    state = model.needs(step)
    others = [entry for entry in evidence if entry[0] is not last and not entry[1].pure]
    if last.function != "read" or state is ANY:
        return f"{who}, but no order of these operations allows that by {_ms(last.completed)} ms."
    makers = [entry for entry in others if model.concerns(entry[1], {state})]
    if not makers and state != model.initial:
        return f"{who}, but nothing had put that value there by {_ms(last.completed)} ms."
    cover = _covering(others, makers, last, state, model)
    if cover is not None:
        since = "" if state == model.initial and not makers else ", which began after that value was put there,"
        return (
            f"{who}, but process {cover.process}'s {_what(cover)}{since} had ended at {_ms(cover.completed)} ms,"
            f" before that read began at {_ms(last.invoked)} ms."
        )
    return f"{who}, but no order of these operations shows that value there by {_ms(last.completed)} ms."


def _covering(
    others: Sequence[Entry], makers: Sequence[Entry], last: Call, state: State, model: Model
) -> Call | None:
    """An operation that certainly came after all that put `state` there, and before `last` began."""
    if any(not call.known for call, _ in makers):
        return None
    put = max((call.completed for call, _ in makers if call.completed is not None), default=-1)
    for call, step in others:
        between = call.known and call.completed is not None and put < call.invoked and call.completed < last.invoked
        if between and not model.concerns(step, {state}):
            return call
    return None


def _ms(time: int | None) -> str:
    """Nanoseconds as milliseconds, exact to the last digit that says something, with three decimals at least."""
    assert time is not None
    whole, rest = divmod(time, 1_000_000)
    digits = f"{rest:06d}"
    return f"{whole:,}.{digits[:3]}{digits[3:].rstrip('0')}"


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    if len(text) <= WIDEST:
        return text
    half = WIDEST // 2
    return f"{text[:half]}…{text[-half:]} ({len(text):,} characters)"
