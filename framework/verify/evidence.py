"""The shortest evidence: of a history that no order explains, the few operations that no order explains either."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

import msgspec

from framework.verify.model import ANY, Entry, Model
from framework.verify.verdict import Verdict

ATTEMPT_STEPS = 200_000
"""What an attempt to do with fewer operations may cost; ten times as much, an attempt to end earlier."""
WORK = 3_000_000
"""What all attempts to end earlier may cost, in steps, and then all to do with fewer; the rest stays as it is."""
LAYING_OUT = 12
"""Steps that are as much work as laying one operation out."""


Exchange: TypeAlias = list[tuple[Entry, list[Entry]]]
"""Operations, each with what to put in its place, if anything: all or none."""


class Evidence(msgspec.Struct, frozen=True):
    """Operations that no order explains, in the order of their invocations.

    `at_last`: without the last completion there is an order that explains the others.
    """

    operations: list[Entry]
    at_last: bool


class Decided(Protocol):
    """What a judge answers."""

    @property
    def verdict(self) -> Verdict: ...
    @property
    def suspects(self) -> list[Entry]: ...
    @property
    def steps(self) -> int: ...
    @property
    def explained(self) -> int: ...


Judge = Callable[[list[Entry], int], Decided]
"""The verdict on some operations within a number of steps."""


def shortest_evidence(operations: list[Entry], decided: Decided, model: Model, judge: Judge) -> Evidence:
    """The evidence in `operations`, which were `decided` to be INVALID.

    Nothing after the first completion that cannot be explained; of what went before, only what it takes. An operation
    without effect can be left out of any order that explains, and what another saw can be disregarded, so what stays
    INVALID that way does not need it. An operation with effect is left out only if nothing that stays can have seen
    it, or if an equal and later one stays, and only while all but the last completion has an explanation.
    """
    shortest = _shortest_prefix(operations, decided, model, _Attempts(model, judge))
    attempts = _Attempts(model, judge)
    while True:
        fewer = _reduce(shortest, _without(entry for entry in shortest if entry[1].pure), attempts.unexplained)
        fewer = _reduce(fewer, _projected(fewer, model), attempts.unexplained)
        fewer = _reduce(fewer, _loosened(fewer, model), attempts.unexplained)
        fewer = _reduce(fewer, _unseen(fewer, model), attempts.unexplained_at_last)
        fewer = _reduce(fewer, _repeated(fewer, model), attempts.unexplained_at_last)
        if len(fewer) == len(shortest):
            break
        shortest = fewer
    shortest = sorted(shortest, key=lambda entry: (entry[0].invoked, entry[0].operation))
    return Evidence(shortest, _Attempts(model, judge).unexplained_at_last(shortest))


class _Attempts:
    """Judges, until the work is spent; then nothing is known any more, and so nothing is left out."""

    def __init__(self, model: Model, judge: Judge) -> None:
        self._model = model
        self._judge = judge
        self._left = WORK

    def decide(self, operations: list[Entry], budget_steps: int = ATTEMPT_STEPS) -> Decided | None:
        """What is known of `operations`, None when the work is spent."""
        if self._left <= 0:
            return None
        decided = self._judge(operations, budget_steps)
        self._left -= LAYING_OUT * len(operations) + decided.steps
        return decided

    def unexplained(self, operations: list[Entry]) -> bool:
        return self._is(Verdict.INVALID, operations)

    def unexplained_at_last(self, operations: list[Entry]) -> bool:
        """Whether it is the last completion, and no other, that cannot be explained."""
        if not self.unexplained(operations):
            return False
        ends = _completions(operations)[:-1]
        return not ends or self._is(Verdict.VALID, _prefix(operations, ends, self._model))

    def _is(self, verdict: Verdict, operations: list[Entry]) -> bool:
        decided = self.decide(operations)
        return decided is not None and decided.verdict is verdict


def _shortest_prefix(operations: list[Entry], decided: Decided, model: Model, attempts: _Attempts) -> list[Entry]:
    """Up to the first completion that cannot be explained (what is explained so far never depends on the future).

    Of these operations, those that suffice to show it. The search looked ahead, and so it may have stopped earlier
    than at that completion: from there on by strides that double, then by halves.
    """
    ends = _completions(operations)
    explained, broken, stride = decided.explained, len(ends), 1
    suspects = decided.suspects
    while broken - explained > 1:
        middle = min(explained + stride, (explained + broken) // 2)
        prefix = _prefix(operations, ends[:middle], model)
        attempt = attempts.decide(prefix, 10 * ATTEMPT_STEPS)
        if attempt is not None and attempt.verdict is Verdict.INVALID:
            broken, suspects = middle, attempt.suspects
        else:
            explained, stride = middle, 2 * stride
    return suspects


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


def _completions(operations: list[Entry]) -> list[Entry]:
    return sorted((entry for entry in operations if entry[0].known), key=_end)


def _end(entry: Entry) -> tuple[int, int]:
    call = entry[0]
    assert call.completed is not None, "a known call has completed"
    return call.completed, call.operation


def _loosened(operations: list[Entry], model: Model) -> list[Exchange]:
    """Each operation that saw something and had an effect, with itself less what it saw."""
    loosened = [(entry, (entry[0], model.loosened(entry[1]))) for entry in operations]
    return [[(entry, [loose])] for entry, loose in loosened if loose[1] != entry[1]]


def _projected(operations: list[Entry], model: Model) -> list[Exchange]:
    """What the model says can be left out together."""
    groups = model.projections([step for _, step in operations])
    return [[(operations[place], []) for place in group] for group in groups]


def _without(operations: Iterable[Entry]) -> list[Exchange]:
    """Each of the operations left out."""
    return [[(entry, [])] for entry in operations]


def _unseen(operations: list[Entry], model: Model) -> list[Exchange]:
    """The operations with effect that none of the others can have seen.

    One without an answer counts too if it is nothing but a new beginning for what they saw.
    """
    steps = [step for _, step in operations]
    seen = model.told_apart(steps)
    if any(step.pure and model.needs(step) is ANY for step in steps) or len(steps) * len(seen) > WORK:
        return []  # one saw what the object was *not*, which any operation may have had a part in; or too much work
    return _without(
        entry
        for entry in operations
        if not entry[1].pure
        and (
            not model.concerns(entry[1], seen)
            or (not entry[0].known and entry[1].function in model.replaces and model.makes(entry[1]) not in seen)
        )
    )


def _repeated(operations: list[Entry], model: Model) -> list[Exchange]:
    """Those that replace the state with what an equal, later one replaces it with."""
    latest: dict[tuple[object, ...], Entry] = {}
    repeated: list[Entry] = []
    for entry in sorted(operations, key=lambda entry: (entry[0].invoked, entry[0].operation)):
        step = entry[1]
        if not step.pure and step.function in model.replaces:
            same = (step.function, step.argument, step.result)
            if same in latest:
                repeated.append(latest[same])
            latest[same] = entry
    return _without(repeated)


def _reduce(operations: list[Entry], exchanges: list[Exchange], suffices: Callable[[list[Entry]], bool]) -> list[Entry]:
    """`operations` after those of `exchanges` that do no harm, tried in halves, quarters, and so on to single ones."""
    kept, size = operations, (len(exchanges) + 1) // 2
    while size:
        place = 0
        while place < len(exchanges):
            chosen = exchanges[place : place + size]
            instead = {id(entry): others for exchange in chosen for entry, others in exchange}
            fewer = [other for entry in kept for other in instead.get(id(entry), (entry,))]
            if suffices(fewer):
                kept = fewer
                exchanges = exchanges[:place] + exchanges[place + size :]
            else:
                place += size
        size //= 2
    return kept
