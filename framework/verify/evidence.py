"""The shortest evidence: of a history that no order explains, the few operations that no order explains either."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from framework.verify.models import ANY, Model
from framework.verify.timeline import Entry
from framework.verify.verdict import Verdict

JUDGEMENT_STEPS = 200_000
"""What one attempt to do with fewer operations may cost."""
WORK = 4_000_000
"""What all attempts together may cost, in operations looked at; then the evidence stays as short as it is."""


class Decided(Protocol):
    """What a judge answers."""

    @property
    def verdict(self) -> Verdict: ...
    @property
    def suspects(self) -> list[Entry]: ...
    @property
    def steps(self) -> int: ...


Judge = Callable[[list[Entry], int], Decided]
"""The verdict on some operations within a number of steps."""


def shortest_evidence(operations: list[Entry], model: Model, judge: Judge) -> list[Entry]:
    """Operations that no order explains, taken from `operations`, which is INVALID, in the order of their invocations.

    Nothing after the first completion that cannot be explained; of what went before, only what it takes. An
    operation without effect can always be left out of a history that has an explanation, so what stays INVALID
    without it needs no such operation. One with effect is left out only if nothing that stays can have seen it.
    """
    attempts = _Attempts(judge)
    shortest = attempts.suspects(_shortest_prefix(operations, model, attempts))
    shortest = _reduce(shortest, [entry for entry in shortest if entry[1].pure], attempts)
    while True:
        unseen = _unseen(shortest, model)
        fewer = _reduce(shortest, unseen, attempts)
        if len(fewer) == len(shortest):
            return sorted(shortest, key=lambda entry: (entry[0].invoked, entry[0].operation))
        shortest = fewer


class _Attempts:
    """Judges, until the work is spent; then nothing is INVALID any more, and so nothing is left out."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._left = WORK

    def invalid(self, operations: list[Entry]) -> bool:
        return self._decide(operations) is not None

    def suspects(self, operations: list[Entry]) -> list[Entry]:
        decided = self._decide(operations)
        return operations if decided is None else decided.suspects

    def _decide(self, operations: list[Entry]) -> Decided | None:
        if self._left <= 0:
            return None
        decided = self._judge(operations, JUDGEMENT_STEPS)
        self._left -= len(operations) + decided.steps
        return decided if decided.verdict is Verdict.INVALID else None


def _shortest_prefix(operations: list[Entry], model: Model, attempts: _Attempts) -> list[Entry]:
    """Up to the first completion that cannot be explained: what is explained so far never depends on the future."""
    ends = sorted((entry for entry in operations if entry[0].known), key=_end)
    explained, broken = 0, len(ends)
    while broken - explained > 1:
        middle = (explained + broken) // 2
        if attempts.invalid(_prefix(operations, ends[:middle], model)):
            broken = middle
        else:
            explained = middle
    return _prefix(operations, ends[:broken], model)


def _prefix(operations: list[Entry], ends: Sequence[Entry], model: Model) -> list[Entry]:
    """What was known once `ends`, the first completions, had been seen; the rest was under way, or had not begun."""
    now = _end(ends[-1])
    seen: list[Entry] = []
    for entry in operations:
        call = entry[0]
        if call.known and _end(entry) <= now:
            seen.append(entry)
        elif call.invoked <= now[0] and call.function not in model.observes:
            pending = msgspec.structs.replace(call, result=None, outcome="unknown", completed=None)
            seen.append((pending, model.prepare(pending)))
    return seen


def _end(entry: Entry) -> tuple[int, int]:
    call = entry[0]
    assert call.completed is not None, "a known call has completed"
    return call.completed, call.operation


def _unseen(operations: list[Entry], model: Model) -> list[Entry]:
    steps = [step for _, step in operations]
    if any(step.pure and model.needs(step) is ANY for step in steps):
        return []  # one saw what the object was *not*, which any operation may have had a part in
    seen = model.told_apart(steps)
    return [entry for entry in operations if not entry[1].pure and not model.concerns(entry[1], seen)]


def _reduce(operations: list[Entry], spare: list[Entry], attempts: _Attempts) -> list[Entry]:
    """`operations` without those of `spare` that can be missed, tried in halves, quarters, and so on to single ones."""
    kept, size = operations, (len(spare) + 1) // 2
    while size:
        place = 0
        while place < len(spare):
            gone = {id(entry) for entry in spare[place : place + size]}
            fewer = [entry for entry in kept if id(entry) not in gone]
            if attempts.invalid(fewer):
                kept = fewer
                spare = spare[:place] + spare[place + size :]
            else:
                place += size
        size //= 2
    return kept
