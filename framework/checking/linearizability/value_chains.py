"""Chains of values by how they were made: which operations follow each other directly, and a guess at the rest.

If only one operation can have made a value, it made it, and every operation that saw the value came between it and the
next one. If a value can only have been made by an append or a comparison from another, the other value was left for it
and for no third. So the values form chains, each of which took place in one stretch; an unseen value is its own chain.
Of two chains, a chain comes first if one of its operations ends before one of the other begins; if each has to come
first, no order explains the history (by the argument of `unique_values`).

Otherwise the chains have an order, and with it their operations. It explains everything in the chains, but operations
left out of them (where a value was made twice, or an operation revealed what a value was *not*) may contradict it: it
is a guess that the search tries first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from framework.checking.linearizability.deletes import NOT_DELETED, Chain, Times, fill, in_order
from framework.checking.linearizability.writers import Makers
from framework.checking.models.model import Entry, ModelStep, State
from framework.checking.models.registers import Register

_LAST = 1 << 60
"""The rank of operations without a guess."""


class _Visit:
    """A value that only one operation can have made: `maker`, None for the initial value.

    `grown`: it was made from the value `after`. `starts`: it starts a chain, as nothing is known of the value before.
    """

    __slots__ = ("after", "following", "grown", "maker", "readers", "starts")

    def __init__(self, maker: int | None, after: State, starts: bool, grown: bool = False) -> None:
        self.maker, self.after, self.starts, self.grown = maker, after, starts, grown
        self.readers: list[int] = []
        self.following: list[_Visit] = []


def guess(operations: Sequence[Entry], model: Register) -> list[int] | set[int]:
    """Returns a rank per operation for the search, or a set of places whose operations no order explains."""
    steps = [step for _, step in operations]
    visits = _visits(steps, Makers(steps, model.initial, model.makes))
    circle = _circle(visits.values(), steps)
    if circle:
        return circle
    for visit in visits.values():
        if len(visit.following) > 1:
            return {*_places(visit), *(place for other in visit.following[:2] for place in _seen(other))}
    ours: dict[int, _Visit] = {}
    for visit in visits.values():
        if visit.maker is not None and ours.setdefault(visit.maker, visit) is not visit:
            return {*_seen(ours[visit.maker]), *_seen(visit)}
    times = Times((call.invoked, call.completed if call.known else None) for call, _ in operations)
    chains = [_chain(visit) for visit in visits.values() if visit.starts]
    alone = [
        place
        for place, (call, step) in enumerate(operations)
        if call.known and not step.pure and place not in ours and not (step.function == "append" and not step.argument)
    ]
    ranks = _ranks(chains + [[[place]] for place in alone], times)
    clearers = [place for place in alone if model.makes(steps[place]) is None]
    if isinstance(ranks, set) or not clearers:
        return ranks
    from_nothing = {visit.maker for visit in visits.values() if visit.starts and visit.grown and visit.after is None}
    grown = [chain for chain in chains if chain[0] and chain[0][0] in from_nothing]
    readers = [place for place, step in enumerate(steps) if step.function == "read" and step.result is None]
    rest = [chain for chain in chains if chain not in grown] + [
        [[place]] for place in alone if place not in set(clearers)
    ]
    filled = _ranks(fill(rest, grown, clearers, readers, times), times)
    return ranks if isinstance(filled, set) else filled


def _circle(visits: Collection[_Visit], steps: Sequence[ModelStep]) -> set[int]:
    """Returns the places of an operation that certainly saw or made a value, and of all that the value needs, if in the
    end each of these needs a value that only another of them makes; empty if there are none."""
    reached = [visit for visit in visits if visit.starts]
    for visit in reached:
        reached += visit.following
    if len(reached) == len(visits):
        return set()
    known = set(reached)
    visit = next(visit for visit in visits if visit not in known and _is_certain(visit, steps))
    before = {other: visit for visit in visits for other in visit.following}
    places = set(visit.readers[:1])
    passed: set[_Visit] = set()
    while visit not in passed:
        passed.add(visit)
        places.update(_places(visit))
        visit = before[visit]
    return places


def _is_certain(visit: _Visit, steps: Sequence[ModelStep]) -> bool:
    """Returns whether the object certainly had the value: it was read, or its maker was answered."""
    return bool(visit.readers) or (visit.maker is not None and steps[visit.maker].result is True)


def _places(visit: _Visit) -> list[int]:
    return [] if visit.maker is None else [visit.maker]


def _seen(visit: _Visit) -> list[int]:
    """Returns the places of the operations that made a value and the values grown from it, up to the first reader."""
    places = _places(visit)
    while not visit.readers and visit.following:
        visit = visit.following[0]
        places += _places(visit)
    return places + visit.readers[:1]


def _visits(steps: Sequence[ModelStep], makers: Makers) -> dict[State, _Visit]:
    """Returns the values that were seen, and the values from which they were made, as far as their makers are known."""
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
                visit.starts = True  # the maker of the value before is not known
            else:
                before.following.append(visit)
    return visits


def _visit(value: State, steps: Sequence[ModelStep], makers: Makers) -> _Visit | None:
    """Returns the visit of `value`; None if several operations can have made it, or none."""
    possible = makers.of(value)
    if len(possible) != 1:
        return None
    maker = possible[0]
    if maker is None:
        return _Visit(None, None, True)
    step = steps[maker]
    if step.function == "cas":
        return _Visit(maker, step.argument[0], False, True)
    if step.function != "append":
        return _Visit(maker, None, True)
    assert isinstance(value, str)
    before: State = value[: -len(step.argument)]
    if before != "":
        return _Visit(maker, before, False, True)
    return _Visit(maker, "" if makers.of("") else None, bool(makers.of("") and makers.of(None)), True)


def _chain(visit: _Visit) -> Chain:
    """Returns the operations of a chain in groups, in order; operations within one group may come in any order.

    The first group is empty for the chain of the initial value, which comes before all others.
    """
    chain: Chain = []
    while True:
        chain.append([] if visit.maker is None else [visit.maker])
        chain.append(visit.readers)
        if not visit.following:
            return chain
        visit = visit.following[0]


def _ranks(chains: list[Chain], times: Times) -> list[int] | set[int]:
    """Returns the ranks, or the places of one or two chains that are impossible."""
    for chain in chains:
        latest = -NOT_DELETED
        for group in chain:
            if any(times.ends[place] < latest for place in group):
                return _all(chain)
            latest = max([latest, *(times.begins[place] for place in group)])
    ranks = [_LAST] * len(times.ends)
    now, rank = -NOT_DELETED, 0
    last: Chain = []
    for first, latest, chain in in_order(chains, times):
        if first < now:
            return _all(last) | _all(chain)
        if latest > now:
            now, last = latest, chain
        for group in chain:
            for place in group:
                ranks[place] = rank
            rank += 1
    return ranks


def _all(chain: Chain) -> set[int]:
    return {place for group in chain for place in group}
