"""The fast path for queues and stacks where each value is put at most once: decides from the times alone.

A value whose `put` and `take` are known is certainly held from the end of its `put` to the beginning of its `take`
(at no time if they overlap). A `put` ends at the latest when its `take` does, and the `take` begins at the earliest
when the `put` does.

- A take that found nothing needs an instant within it at which nothing is certainly held.
- Queue: value A goes before B if A's put precedes B's, or A's take precedes B's. Both relations are interval orders,
  so if no two values go before each other, no longer cycle exists either, and an order by both explains the history.
- Stack: wherever nothing is certainly held, the stack may be assumed empty, and the history splits into stretches
  throughout which something is held: the lowest value, which must have been put when the first put of the stretch
  ends and be taken after the last take begins. Any value that fits will do; the others nest within it.
- A take with unknown outcome may have taken any missing value. Each value that must be gone by some time needs such a
  take of its own that began before; that is necessary, and if the consequences of one such choice hold, sufficient.

The conditions are those of Henzinger, Sezgin and Vafeiadis, "Aspect-Oriented Linearizability Proofs" (2013), and of
Abdulla and others, "Efficient Linearizability Monitoring" (2025). They are tested against a naive twin that tries every
order. A queue takes time n log n, a stack n times its depth.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import accumulate

import msgspec

from framework.checking.linearizability.unique_values import touching
from framework.checking.models.containers import OrderedContainer, Queue
from framework.checking.models.model import NO_RESULT, Entry, State
from framework.checking.verdict import Verdict

_NEVER = 1 << 200
NESTING_WORK = 20_000_000
"""The maximum number of values inspected, over all depths of a stack, before it is left to the search."""

Told = tuple[Verdict, list[Entry]]


class _Value:
    """One value, with the times of its put and take.

    Ends of unknown operations, and times of a missing take, are `_NEVER`.
    """

    __slots__ = ("put", "put_begin", "put_end", "take", "take_begin", "take_end")

    def __init__(self, put: int | None, put_begin: int, put_end: int) -> None:
        self.put, self.put_begin, self.put_end = put, put_begin, put_end
        self.take: int | None = None
        self.take_begin = self.take_end = _NEVER

    def taken(self, take: int, begin: int, end: int) -> None:
        self.take, self.take_begin, self.take_end = take, max(begin, self.put_begin), end
        self.put_end = min(self.put_end, end)

    @property
    def places(self) -> list[int]:
        return [place for place in (self.put, self.take) if place is not None]


class _History(msgspec.Struct, frozen=True):
    """The values, the takes that found nothing (place, begin, end), the takes with unknown outcome (begin, place)."""

    values: list[_Value]
    empties: list[tuple[int, int, int]]
    opens: list[tuple[int, int]]


def decide_rows(operations: Sequence[Entry], model: OrderedContainer) -> Told | None:
    """Returns the verdict on one queue or stack, with operations that suffice to show it if INVALID.

    None if the times do not decide: if a value is put twice, or if the verdict depends on the value that a take with
    unknown outcome took, or on two operations of a process that meet at one instant.
    """
    if not _unlike(operations, model):
        return None
    told = _decide(operations, model, 1)
    if told is None or told[0] is Verdict.INVALID or not touching(operations):
        return told
    if any(call.known and call.completed == call.invoked for call, _ in operations):
        return None
    # With every end before the beginnings at the same instant, there is more order than in the history: if that can be
    # explained, so can the history.
    strict = _decide(operations, model, -1)
    return strict if strict is not None and strict[0] is Verdict.VALID else None


def _unlike(operations: Sequence[Entry], model: OrderedContainer) -> bool:
    """Returns whether all values put or initially held are distinct."""
    puts = [step.argument for _, step in operations if step.function == "put"]
    return len({*puts, *model.held}) == len(puts) + len(model.held)


def _decide(operations: Sequence[Entry], model: OrderedContainer, end_shift: int) -> Told | None:
    """Decides as `decide_rows` does.

    Times are doubled, and ends shifted by `end_shift`: with 1 an end does not precede a beginning at the same instant,
    with -1 it does.
    """
    history = _read(operations, model, end_shift)
    if isinstance(history, set):
        return Verdict.INVALID, _some(operations, history)
    first_in = isinstance(model, Queue)
    conflict = _conflict(history, first_in)
    if conflict is None:
        return None
    if not conflict:
        return Verdict.VALID, []
    if not history.opens:
        return Verdict.INVALID, _some(operations, conflict)
    taken = _History([value for value in history.values if value.take is not None], history.empties, [])
    if certain := _conflict(taken, first_in):  # takes with unknown outcome took none of these
        return Verdict.INVALID, _some(operations, certain)
    if not _take_by_opens(history, first_in):
        return Verdict.INVALID, list(operations)
    return None if _conflict(history, first_in) else (Verdict.VALID, [])


def _conflict(history: _History, first_in: bool) -> set[int] | None:
    """Returns the places of conflicting operations, without takes of unknown outcome; None if that takes too long."""
    order = (_queue_conflict if first_in else _stack_conflict)(history.values)
    return order if order or order is None else _never_empty(history)


def _some(operations: Sequence[Entry], places: set[int]) -> list[Entry]:
    return [operations[place] for place in sorted(places)]


def _read(operations: Sequence[Entry], model: OrderedContainer, end_shift: int) -> _History | set[int]:
    """Returns the history, or the places of conflicting operations: a value taken twice, or not put before."""
    values: dict[State, _Value] = {
        value: _Value(None, place - _NEVER, place - _NEVER) for place, value in enumerate(model.held)
    }
    known_puts: set[State] = set(values)
    takes: list[tuple[State, int, int, int]] = []
    empties, opens = [], []
    for place, (call, step) in enumerate(operations):
        begin = 2 * call.invoked
        end = 2 * call.completed + end_shift if call.known and call.completed is not None else _NEVER
        if step.function == "put":
            values[step.argument] = _Value(place, begin, end)
            if call.known:
                known_puts.add(step.argument)
        elif step.result is NO_RESULT:
            opens.append((begin, place))
        elif step.pure:
            empties.append((place, begin, end))
        else:
            takes.append((step.result, place, begin, end))
    for value, place, begin, end in takes:
        held = values.get(value)
        if held is None:
            return {place}
        if held.take is not None or end < held.put_begin:
            return {place, *held.places}
        held.taken(place, begin, end)
    happened = [held for value, held in values.items() if value in known_puts or held.take is not None]
    return _History(happened, empties, sorted(opens))


def _queue_conflict(values: list[_Value]) -> set[int]:
    """Returns the places of two values that each go before the other: put in one order, taken in the other."""
    by_end = sorted(values, key=lambda value: value.put_end)
    place, latest = 0, None
    for value in sorted(values, key=lambda value: value.put_begin):
        while by_end[place].put_end < value.put_begin:
            if latest is None or by_end[place].take_begin > latest.take_begin:
                latest = by_end[place]
            place += 1
        if latest is not None and value.take_end < latest.take_begin:
            return {*latest.places, *value.places}
    return set()


def _take_by_opens(history: _History, first_in: bool) -> bool:
    """Assigns to takes with unknown outcome the values that must be gone in time; False if they are too few or too
    late.

    The assignment is a guess; that the takes suffice is certain.
    """
    overdue = sorted(_deadlines(history, first_in), key=lambda it: it[0])
    if len(overdue) > len(history.opens):
        return False
    for (deadline, value), (begin, place) in zip(overdue, history.opens, strict=False):
        if begin > deadline:
            return False
        value.take, value.take_begin = place, max(begin, value.put_begin)
    return True


def _deadlines(history: _History, first_in: bool) -> list[tuple[int, _Value]]:
    """Returns the values that must be gone but have no known take, each with the latest time of its take.

    A value must be gone before a take that found nothing after it was put; in a queue before a value put after it is
    taken; in a stack before the take of a value that was put before it and not yet taken when it was put.
    """
    values = history.values
    empties = _Soonest((begin, end) for _, begin, end in history.empties)
    if first_in:
        later = _Soonest((value.put_begin, value.take_end) for value in values)
        due = [min(later.after(value.put_end), empties.after(value.put_end)) for value in values]
    else:
        due = [min(below, empties.after(value.put_end)) for below, value in zip(_below(values), values, strict=True)]
    return [(at, value) for at, value in zip(due, values, strict=True) if value.take is None and at < _NEVER]


class _Soonest:
    """An index of intervals for the earliest end among those that begin after some time."""

    def __init__(self, intervals: Iterable[tuple[int, int]]) -> None:
        known = sorted(intervals)
        self._begins = [begin for begin, _ in known]
        soonest = list(accumulate((end for _, end in reversed(known)), min, initial=_NEVER))
        self._ends = soonest[::-1]

    def after(self, time: int) -> int:
        return self._ends[bisect_left(self._begins, time + 1)]


def _below(values: list[_Value]) -> list[int]:
    """Returns for each value the earliest end of a take, begun after its put, of a value certainly put before it."""
    begins = sorted({value.take_begin for value in values})
    soonest = [_NEVER] * (len(begins) + 1)  # a Fenwick tree of minima, the latest beginnings first

    def note(begin: int, end: int) -> None:
        place = len(begins) - bisect_left(begins, begin)
        while place < len(soonest):
            soonest[place] = min(soonest[place], end)
            place += place & -place

    def after(time: int) -> int:
        place, end = len(begins) - bisect_left(begins, time + 1), _NEVER
        while place:
            end = min(end, soonest[place])
            place -= place & -place
        return end

    found: dict[int, int] = {}
    by_end, place = sorted(values, key=lambda value: value.put_end), 0
    for value in sorted(values, key=lambda value: value.put_begin):
        while place < len(by_end) and by_end[place].put_end < value.put_begin:
            note(by_end[place].take_begin, by_end[place].take_end)
            place += 1
        found[id(value)] = after(value.put_end)
    return [found[id(value)] for value in values]


def _stretches(values: list[_Value]) -> list[list[_Value]]:
    """Groups the values that are certainly held at some time by stretches throughout which some value is held.

    `values` are in the order of the ends of their puts, and so are those of each stretch.
    """
    stretches: list[list[_Value]] = []
    end = -_NEVER
    for value in values:
        if value.put_end >= value.take_begin:
            continue
        if value.put_end < end:
            stretches[-1].append(value)
        else:
            stretches.append([value])
        end = max(end, value.take_begin)
    return stretches


def _stack_conflict(values: list[_Value]) -> set[int] | None:
    """Returns the places of values that do not nest; None if that takes too long to decide."""
    work, left = [sorted(values, key=lambda value: value.put_end)], NESTING_WORK
    while work:
        for stretch in _stretches(work.pop()):
            left -= len(stretch)
            if left < 0:
                return None
            begin, end = stretch[0].put_end, max(value.take_begin for value in stretch)
            inner = [value for value in stretch if value.put_begin > begin or value.take_end < end]
            if len(inner) == len(stretch):
                return {place for value in stretch for place in value.places}
            work.append(inner)
    return set()


def _never_empty(history: _History) -> set[int]:
    """Returns the places of a take that found nothing although values were certainly held, and of these values."""
    stretches = _stretches(sorted(history.values, key=lambda value: value.put_end))
    begins = [stretch[0].put_end for stretch in stretches]
    ends = [max(value.take_begin for value in stretch) for stretch in stretches]
    for place, begin, end in history.empties:
        number = bisect_left(begins, begin) - 1
        if number >= 0 and end < ends[number]:
            held = [value for value in stretches[number] if value.put_end <= end and value.take_begin >= begin]
            return {place, *(place for value in held for place in value.places)}
    return set()


def rank_rows(operations: Sequence[Entry], model: OrderedContainer) -> list[int] | None:
    """Returns a rank for each operation that leads the search straight to an order; None if the times give none."""
    if not _unlike(operations, model):
        return None
    history = _read(operations, model, 1)
    if isinstance(history, set) or (history.opens and not _take_by_opens(history, isinstance(model, Queue))):
        return None
    order = _queue_order(history.values) if isinstance(model, Queue) else _stack_order(history.values)
    if order is None:
        return None
    ranks = [_LAST] * len(operations)
    for rank, place in enumerate(order):
        ranks[place] = rank
    return ranks


_LAST = 1 << 60


def _queue_order(values: list[_Value]) -> list[int] | None:
    """Orders puts and takes by times at which they may take place, the puts late and the takes early.

    Works value by value: of the values that no remaining one goes before, the next is the one whose put ends first.
    """
    order = _in_order(values)
    if order is None:
        return None
    puts, takes = [-_NEVER] * len(order), [-_NEVER] * len(order)
    put = take = -_NEVER
    for place, value in enumerate(order):
        put = max(put, value.put_begin)
        take = takes[place] = max(take, put, value.take_begin)
    put = _NEVER
    for place in range(len(order) - 1, -1, -1):
        put = puts[place] = min(put, order[place].put_end, takes[place])
    when = [((time, 2 * place), value.put) for place, (time, value) in enumerate(zip(puts, order, strict=True))]
    when += [((time, 2 * place + 1), value.take) for place, (time, value) in enumerate(zip(takes, order, strict=True))]
    return [place for _, place in sorted(when, key=lambda it: it[0]) if place is not None]


def _in_order(values: list[_Value]) -> list[_Value] | None:
    """Returns the values in the order of the queue; None if there is no such order."""
    by_put = _Front([(value.put_begin, value.put_end) for value in values])
    by_take = _Front([(value.take_begin, value.take_end) for value in values])
    waiting = [2] * len(values)
    ready: list[tuple[int, int]] = []
    order: list[_Value] = []
    for _ in values:
        for front in (by_put, by_take):
            for number in front.reached():
                waiting[number] -= 1
                if not waiting[number]:
                    heappush(ready, (values[number].put_end, number))
        if not ready:
            return None
        number = heappop(ready)[1]
        by_put.remove(number)
        by_take.remove(number)
        order.append(values[number])
    return order


class _Front:
    """A shrinking set of intervals: finds those that begin before any remaining one ends."""

    def __init__(self, intervals: list[tuple[int, int]]) -> None:
        numbers = range(len(intervals))
        self._intervals = intervals
        self._by_begin = sorted(numbers, key=lambda number: intervals[number][0])
        self._by_end = sorted(numbers, key=lambda number: intervals[number][1])
        self._begun = self._ended = 0
        self._gone = [False] * len(intervals)

    def reached(self) -> Iterator[int]:
        """Yields the intervals found, each once."""
        while self._ended < len(self._by_end) and self._gone[self._by_end[self._ended]]:
            self._ended += 1
        while self._begun < len(self._by_begin):
            number = self._by_begin[self._begun]
            nearest = self._by_end[self._ended] if self._ended < len(self._by_end) else None
            if nearest is not None and self._intervals[number][0] > self._intervals[nearest][1]:
                return
            self._begun += 1
            yield number

    def remove(self, number: int) -> None:
        self._gone[number] = True


def _stack_order(values: list[_Value]) -> list[int]:
    """Orders puts and takes by times at which they nest: in each stretch the lowest values enclose all others."""
    when: list[tuple[tuple[int, ...], int | None]] = []
    work: list[tuple[int, list[_Value]]] = [(0, sorted(values, key=lambda value: value.put_end))]
    held: set[int] = set()
    while work:
        depth, inside = work.pop()
        for stretch in _stretches(inside):
            begin, end = stretch[0].put_end, max(value.take_begin for value in stretch)
            inner = []
            for number, value in enumerate(stretch):
                if value.put_begin > begin or value.take_end < end:
                    inner.append(value)
                    continue
                held.add(id(value))
                when.append(((begin, 2, depth, number), value.put))
                when.append(((end, 0, -depth, -number), value.take))
            if len(inner) < len(stretch):
                work.append((depth + 1, inner))
    for number, value in enumerate(values):
        if id(value) not in held:  # taken at the instant of its put
            when.append(((value.take_begin, 1, number, 0), value.put))
            when.append(((value.take_begin, 1, number, 1), value.take))
    return [place for _, place in sorted(when, key=lambda it: it[0]) if place is not None]
