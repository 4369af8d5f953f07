"""What follows from how values were made: which operations come right after each other, and a guess at the rest.

Where only one operation can have made a value, it made it, and whoever saw the value came between that operation and
the next. A value that can only have been appended to, or compared with, to make another is left for that other one
and for no third. So the values fall into chains, each of which took place in one stretch; what nobody saw is a chain
of its own. Of two chains the one comes first in which an operation ends before one of the other begins; if each has
to come first, nothing explains the history (the argument is that of `zones`).

Else the chains have an order, and with it their operations. It explains all that is in a chain, but what was left out
of them (where a value was made twice, or an operation told what a value was *not*) may contradict it: a guess that
the search tries first.
"""

from __future__ import annotations

from collections.abc import Sequence

from framework.verify.makers import Makers
from framework.verify.model import Entry, State, Step
from framework.verify.registers import Register

_NEVER = 1 << 200
_LAST = 1 << 60
"""The rank of operations of which nothing is guessed."""


class _Visit:
    """A value that only one operation can have made: `maker`, None at first; `after`: the value that it was made from."""

    __slots__ = ("after", "following", "maker", "readers", "starts")

    def __init__(self, maker: int | None, after: State, starts: bool) -> None:
        self.maker, self.after, self.starts = maker, after, starts
        self.readers: list[int] = []
        self.following: list[_Visit] = []


def guess(operations: Sequence[Entry], model: Register) -> list[int] | None:
    """A rank for each operation, by which the search is to try them; None if no order at all explains them."""
    steps = [step for _, step in operations]
    visits = _visits(steps, Makers(steps, model.initial, model.makes))
    if any(len(visit.following) > 1 for visit in visits.values()):
        return None
    used = [visit.maker for visit in visits.values() if visit.maker is not None]
    if len(set(used)) < len(used):
        return None
    chains = [_chain(visit) for value, visit in visits.items() if visit.starts]
    ours = set(used)
    chains += [
        [[place]]
        for place, (call, step) in enumerate(operations)
        if call.known and not step.pure and place not in ours and not (step.function == "append" and not step.argument)
    ]
    return _ranks(operations, chains)


def _visits(steps: Sequence[Step], makers: Makers) -> dict[State, _Visit]:
    """The values that someone saw, or that they were made from, as far as it is known who made them."""
    visits: dict[State, _Visit] = {}
    for place, step in enumerate(steps):
        if step.function == "read":
            wanted, reader = step.result, place
        elif step.function == "cas" and step.result is True:
            wanted, reader = step.argument[1], None
        else:
            continue
        new: State = wanted
        while new not in visits:
            visit = _visit(new, steps, makers)
            if visit is None:
                break
            visits[new] = visit
            if visit.starts:
                break
            new = visit.after
        if reader is not None and wanted in visits:
            visits[wanted].readers.append(reader)
    for visit in visits.values():
        if not visit.starts:
            before = visits.get(visit.after)
            if before is None:
                visit.starts = True  # who made what it was made from is not known
            else:
                before.following.append(visit)
    return visits


def _visit(value: State, steps: Sequence[Step], makers: Makers) -> _Visit | None:
    """What is known of `value`; None if several operations can have made it, or none."""
    possible = makers.of(value)
    if len(possible) != 1:
        return None
    maker = possible[0]
    if maker is None:
        return _Visit(None, None, True)
    step = steps[maker]
    if step.function == "cas":
        return _Visit(maker, step.argument[0], False)
    if step.function != "append":
        return _Visit(maker, None, True)
    assert isinstance(value, str)
    before: State = value[: -len(step.argument)]
    if before != "":
        return _Visit(maker, before, False)
    return _Visit(maker, "" if makers.of("") else None, bool(makers.of("") and makers.of(None)))


def _chain(visit: _Visit) -> list[list[int]]:
    """The operations of a chain in order; those within one list may come in any.

    The first list is empty for the chain that begins with what the object holds at first, which comes before all.
    """
    chain = []
    while True:
        chain.append([] if visit.maker is None else [visit.maker])
        chain.append(visit.readers)
        if not visit.following:
            return chain
        visit = visit.following[0]


def _ranks(operations: Sequence[Entry], chains: list[list[list[int]]]) -> list[int] | None:
    begins = [2 * call.invoked for call, _ in operations]
    ends = [
        2 * call.completed + 1 if call.known and call.completed is not None else _NEVER for call, _ in operations
    ]
    stretches: list[tuple[int, int, list[list[int]]]] = []
    for chain in chains:
        latest, first = -_NEVER, _NEVER
        if not chain[0]:
            first = -_NEVER
        for group in chain:
            if any(ends[place] < latest for place in group):
                return None
            latest = max([latest, *(begins[place] for place in group)])
            first = min([first, *(ends[place] for place in group)])
        stretches.append((first, latest, chain))
    # A chain in which one operation ends before another begins holds the time between; any other may come as soon as
    # all its operations have begun.
    stretches.sort(key=lambda it: (it[0], 1) if it[0] < it[1] else (it[1], 0))
    ranks = [_LAST] * len(operations)
    now, rank = -_NEVER, 0
    for first, latest, chain in stretches:
        if first < now:
            return None
        now = max(now, latest)
        for group in chain:
            for place in group:
                ranks[place] = rank
            rank += 1
    return ranks
