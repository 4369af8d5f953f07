"""The shortest evidence: the few operations, of a history that no order explains, that no order explains either.

It contains nothing after the first completion that cannot be explained, and only the necessary operations before it.
For a long history only a stretch is searched: if the state after an operation is certain, earlier operations do not
matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

import msgspec

from framework.checking.linearizability.bounds import Bounds, Deadline
from framework.checking.models.model import ANY, Entry, Model, State
from framework.checking.verdict import Verdict

ATTEMPT_STEPS = 200_000
"""The step limit of an attempt with fewer operations; an attempt to end earlier may take ten times as many."""
LAYING_OUT = 12
"""The cost of laying out one operation, in steps."""
SHORT = 128
"""The maximum number of completions searched as a whole, and in the first stretch of a longer history."""

Exchange: TypeAlias = list[tuple[Entry, list[Entry]]]
"""Operations, each with its replacements, if any. An exchange is made completely or not at all."""


class CounterExample(msgspec.Struct, frozen=True):
    """Operations that no order explains, in the order of their invocations.

    `since`: the operation before them, which certainly left the object in the initial state of `model`; None if that is
    its state before all operations. `either`: the numbers of the operations that may have taken place before `since`.
    `at_last`: without the last completion, an order explains the others. `left`: the steps left when the evidence could
    not be shortened any more; 0 if they were spent before.
    """

    operations: list[Entry]
    at_last: bool
    model: Model
    since: Entry | None = None
    either: frozenset[int] = frozenset()
    left: int = 0


class Decided(Protocol):
    """The answer of a judge."""

    @property
    def verdict(self) -> Verdict: ...
    @property
    def suspects(self) -> list[Entry]: ...
    @property
    def steps(self) -> int: ...
    @property
    def explained(self) -> int: ...


Judge: TypeAlias = Callable[[list[Entry], Model, int, int, "Deadline | None"], Decided]
"""A function that decides on operations of an object, within a number of steps, of bytes, and a deadline."""


class _Stretch(msgspec.Struct, frozen=True):
    """Operations that no order explains, of an object whose initial state is that of `model`."""

    operations: list[Entry]
    model: Model
    since: Entry | None = None
    either: frozenset[int] = frozenset()


def shortest_evidence(
    operations: list[Entry], decided: Decided, model: Model, judge: Judge, bounds: Bounds
) -> CounterExample:
    """Returns the evidence in `operations`, `decided` to be INVALID, as short as `bounds.evidence_steps` allow.

    Any order that explains operations still does so without an operation that has no effect, or without a result that
    was seen. So operations that stay INVALID without it do not need it. An operation with effect is left out only if no
    remaining operation can have seen it, or if an equal and later one remains, and only while an order explains all but
    the last completion.
    """
    attempts = _Attempts(judge, bounds)
    stretch = _Stretch(operations, model)
    if len(_completions(operations)) > SHORT:
        stretch = _suspected(decided.suspects, stretch, attempts)
    if len(_completions(stretch.operations)) > SHORT:
        stretch = _nearest(stretch, decided.explained, attempts) or stretch
    stretch = _reduced(_shortest_prefix(stretch, attempts), attempts)
    if stretch.since is not None:
        stretch = _latest(stretch, attempts)
    shortest = sorted(stretch.operations, key=_beginning)
    left = attempts.left
    at_last = _Attempts(judge, bounds).unexplained_at_last(shortest, stretch.model)
    return CounterExample(shortest, at_last, stretch.model, stretch.since, stretch.either, left)


class _Attempts:
    """Calls the judge until the steps are spent; then nothing more is known, and so nothing more is left out."""

    def __init__(self, judge: Judge, bounds: Bounds) -> None:
        self._judge = judge
        self._left = bounds.evidence_steps
        self._memory_bytes = bounds.memory_bytes
        self._deadline = bounds.deadline()

    @property
    def left(self) -> int:
        """The steps left."""
        return 0 if self._deadline is not None and self._deadline.has_passed() else max(self._left, 0)

    def decide(self, operations: list[Entry], model: Model, budget_steps: int = ATTEMPT_STEPS) -> Decided | None:
        """Decides on `operations`; None once the steps are spent."""
        self._left -= LAYING_OUT * len(operations)
        if not self.left:
            return None
        decided = self._judge(operations, model, min(budget_steps, self._left), self._memory_bytes, self._deadline)
        self._left -= decided.steps
        return decided

    def unexplained(self, operations: list[Entry], model: Model) -> bool:
        return self._is(Verdict.INVALID, operations, model)

    def unexplained_at_last(self, operations: list[Entry], model: Model) -> bool:
        """Returns whether the last completion, and no other, cannot be explained."""
        if not self.unexplained(operations, model):
            return False
        ends = _completions(operations)[:-1]
        return not ends or self._is(Verdict.VALID, _prefix(operations, ends, model), model)

    def reduce(
        self, operations: list[Entry], exchanges: list[Exchange], model: Model, *, at_last: bool = False
    ) -> list[Entry]:
        """Applies the harmless ones of `exchanges` to `operations`, trying halves, quarters, and so on down to one."""
        suffices = self.unexplained_at_last if at_last else self.unexplained
        kept, size = operations, (len(exchanges) + 1) // 2
        while size and self.left:
            place = 0
            while place < len(exchanges) and self.left:
                chosen = exchanges[place : place + size]
                instead = {id(entry): others for exchange in chosen for entry, others in exchange}
                fewer = [other for entry in kept for other in instead.get(id(entry), (entry,))]
                if suffices(fewer, model):
                    kept = fewer
                    exchanges = exchanges[:place] + exchanges[place + size :]
                else:
                    place += size
            size //= 2
        return kept

    def _is(self, verdict: Verdict, operations: list[Entry], model: Model) -> bool:
        decided = self.decide(operations, model)
        return decided is not None and decided.verdict is verdict


def _suspected(suspects: list[Entry], stretch: _Stretch, attempts: _Attempts) -> _Stretch:
    """Reduces the stretch to the suspects if no order explains them alone."""
    fewer = len(suspects) < len(stretch.operations) and attempts.unexplained(suspects, stretch.model)
    return msgspec.structs.replace(stretch, operations=suspects) if fewer else stretch


def _nearest(stretch: _Stretch, explained: int, attempts: _Attempts) -> _Stretch | None:
    """Tries stretches around the first completion that the search did not get past, each twice as long as the last."""
    model = stretch.model
    ends = _completions(stretch.operations)
    reach = SHORT
    while reach < len(ends):
        last = min(explained + reach, len(ends))
        until = _prefix(stretch.operations, ends[:last], model)
        since = max(explained - reach, 0)
        nearer = _Stretch(until, model) if since == 0 else _behind(until, ends[:since], model)
        if nearer is not None:
            decided = attempts.decide(nearer.operations, nearer.model, 10 * ATTEMPT_STEPS)
            if decided is None:
                return None
            if decided.verdict is Verdict.INVALID:
                return nearer
        reach *= 2
    return None


def _behind(operations: list[Entry], ends: Sequence[Entry], model: Model) -> _Stretch | None:
    """Returns the operations after the last of `ends` after which the state is certain.

    Operations concurrent with it may have come before it, and then their effect is part of that state; so their outcome
    counts as unknown. If all operations can be explained, so can these: by the same order from there on.
    """
    for since in reversed(ends):
        state = _left_behind(since, model)
        if state is not ANY:
            break
    else:
        return None
    begun, ended = since[0].invoked, since[0].completed or 0
    later: list[Entry] = []
    either: set[int] = set()
    for entry in operations:
        call = entry[0]
        if call is since[0] or (call.known and _end(entry)[0] < begun):
            continue
        if call.invoked <= ended:
            if call.function in model.observes:
                continue
            either.add(call.operation)
            entry = _unanswered(entry, model)
        later.append(entry)
    return _Stretch(later, model.holding(state), since, frozenset(either))


def _latest(stretch: _Stretch, attempts: _Attempts) -> _Stretch:
    """Returns the shortest stretch within another that suffices, or the other one."""
    ends = _completions(stretch.operations)
    for count in range(len(ends) - 1, 0, -1):
        later = _behind(stretch.operations, ends[:count], stretch.model)
        if later is not None and attempts.unexplained(later.operations, later.model):
            either = later.either | (stretch.either & {call.operation for call, _ in later.operations})
            return _reduced(msgspec.structs.replace(later, either=either), attempts)
    return stretch


def _reduced(stretch: _Stretch, attempts: _Attempts) -> _Stretch:
    """Returns the stretch without its unnecessary operations."""
    shortest, model = stretch.operations, stretch.model
    while True:
        fewer = attempts.reduce(shortest, _without(entry for entry in shortest if entry[1].pure), model)
        fewer = attempts.reduce(fewer, _projected(fewer, model), model)
        fewer = attempts.reduce(fewer, _loosened(fewer, model), model)
        fewer = attempts.reduce(fewer, _unseen(fewer, model), model, at_last=True)
        fewer = attempts.reduce(fewer, _repeated(fewer, model), model, at_last=True)
        if len(fewer) == len(shortest):
            return msgspec.structs.replace(stretch, operations=fewer)
        shortest = fewer


def _left_behind(entry: Entry, model: Model) -> State:
    """Returns the state right after a known operation, wherever it took place; ANY if that depends on the place."""
    step = entry[1]
    return model.needs(step) if step.pure else model.makes(step)


def _shortest_prefix(stretch: _Stretch, attempts: _Attempts) -> _Stretch:
    """Returns the operations up to the first completion that cannot be explained, as far as needed to show it.

    Whether a prefix can be explained never depends on later operations.
    """
    operations, model = stretch.operations, stretch.model
    ends = _completions(operations)
    explained, broken, suspects = 0, len(ends), operations
    while broken - explained > 1:
        middle = (explained + broken) // 2
        decided = attempts.decide(_prefix(operations, ends[:middle], model), model, 10 * ATTEMPT_STEPS)
        if decided is not None and decided.verdict is Verdict.INVALID:
            broken, suspects = middle, decided.suspects
        else:
            explained = middle
    return msgspec.structs.replace(stretch, operations=suspects)


def _prefix(operations: list[Entry], ends: Sequence[Entry], model: Model) -> list[Entry]:
    """Returns the operations as known after `ends`, the first completions. The rest is under way or left out."""
    now = _end(ends[-1])
    seen: list[Entry] = []
    for entry in operations:
        call = entry[0]
        if call.known and _end(entry) <= now:
            seen.append(entry)
        elif call.invoked <= now[0] and call.function not in model.observes:
            seen.append(_unanswered(entry, model))
    return seen


def _unanswered(entry: Entry, model: Model) -> Entry:
    """Returns the operation as if it had not been answered."""
    call = entry[0]
    if not call.known:
        return entry
    pending = msgspec.structs.replace(call, result=None, outcome="unknown", completed=None)
    return pending, model.prepare(pending)


def _completions(operations: list[Entry]) -> list[Entry]:
    return sorted((entry for entry in operations if entry[0].known), key=_end)


def _end(entry: Entry) -> tuple[int, int]:
    call = entry[0]
    assert call.completed is not None, "a known call has completed"
    return call.completed, call.operation


def _beginning(entry: Entry) -> tuple[int, int]:
    return entry[0].invoked, entry[0].operation


def _loosened(operations: list[Entry], model: Model) -> list[Exchange]:
    """Returns exchanges of each operation that saw something and had an effect for itself without what it saw."""
    loosened = [(entry, (entry[0], model.loosened(entry[1]))) for entry in operations]
    return [[(entry, [loose])] for entry, loose in loosened if loose[1] != entry[1]]


def _projected(operations: list[Entry], model: Model) -> list[Exchange]:
    """Returns exchanges that leave out groups of operations, as the model proposes."""
    groups = model.projections([step for _, step in operations])
    return [[(operations[place], []) for place in group] for group in groups]


def _without(operations: Iterable[Entry]) -> list[Exchange]:
    """Returns exchanges that leave out each of the operations."""
    return [[(entry, [])] for entry in operations]


def _unseen(operations: list[Entry], model: Model) -> list[Exchange]:
    """Returns exchanges that leave out each operation with effect that none of the others can have seen.

    An operation without answer counts too if it replaces the state by one that none of them saw.
    """
    steps = [step for _, step in operations]
    seen = model.told_apart(steps)
    if any(step.pure and model.needs(step) is ANY for step in steps) or len(steps) * len(seen) > MOST_COMPARED:
        return []  # an operation saw what the object was *not*, which depends on any other; or too much work
    return _without(
        entry
        for entry in operations
        if not entry[1].pure
        and (
            not model.concerns(entry[1], seen)
            or (not entry[0].known and entry[1].function in model.replaces and model.makes(entry[1]) not in seen)
        )
    )


MOST_COMPARED = 3_000_000


def _repeated(operations: list[Entry], model: Model) -> list[Exchange]:
    """Returns exchanges that leave out each operation that replaces the state just as a later one does."""
    latest: dict[tuple[object, ...], Entry] = {}
    repeated: list[Entry] = []
    for entry in sorted(operations, key=_beginning):
        step = entry[1]
        if not step.pure and step.function in model.replaces:
            same = (step.function, step.argument, step.result)
            if same in latest:
                repeated.append(latest[same])
            latest[same] = entry
    return _without(repeated)
