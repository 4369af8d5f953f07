"""A guess at the effects of deletes: many operations can have emptied a key, and it is open which one did.

A chain that grew from nothing, and reads that saw nothing, each need an operation that emptied the key, with no effect
on the key since then. Each takes the fitting operation that ends first. It is only a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

Chain: TypeAlias = list[list[int]]
"""Groups of operations in order; operations within one group may come in any order."""
NOT_DELETED = 1 << 200


class Times:
    """Begins and ends of operations, by place.

    Times are doubled, and ends are one later, so that equal times overlap.
    """

    def __init__(self, spans: Iterable[tuple[int, int | None]]) -> None:
        known = list(spans)
        self.begins = [2 * begin for begin, _ in known]
        self.ends = [NOT_DELETED if end is None else 2 * end + 1 for _, end in known]

    def stretch(self, chain: Chain) -> tuple[int, int]:
        """Returns the first end and the last beginning.

        A chain that begins with an empty list comes before all others.
        """
        places = [place for group in chain for place in group]
        first = min((self.ends[place] for place in places), default=NOT_DELETED) if chain[0] else -NOT_DELETED
        return first, max((self.begins[place] for place in places), default=-NOT_DELETED)


def in_order(chains: Iterable[Chain], times: Times) -> list[tuple[int, int, Chain]]:
    """Returns the chains with their stretches, in order. A chain in which an operation ends before another begins
    occupies the time between; any other may come as soon as all its operations have begun."""
    stretches = [(*times.stretch(chain), chain) for chain in chains]
    return sorted(stretches, key=lambda it: (it[0], 1) if it[0] < it[1] else (it[1], 0))


def fill(
    chains: list[Chain], grown: Sequence[Chain], clearers: Sequence[int], readers: Sequence[int], times: Times
) -> list[Chain]:
    """Returns `chains` with the `clearers` in likely places: ahead of the chains `grown` from nothing, and of the
    `readers` that saw nothing; the remaining ones on their own."""
    free = sorted(clearers, key=times.ends.__getitem__)
    left = sorted(readers, key=times.ends.__getitem__)
    others = [place for chain in [*chains, *grown] for group in chain for place in group]
    soonest = min((times.ends[place] for place in [*others, *clearers]), default=NOT_DELETED)
    early = [place for place in left if times.begins[place] <= soonest]
    filled: list[Chain] = [[[], early]] if early else []
    left = [place for place in left if times.begins[place] > soonest]
    ours = {id(chain) for chain in grown}
    holds: list[tuple[int, int]] = []
    now = -NOT_DELETED
    for first, latest, chain in in_order([*chains, *grown], times):
        if id(chain) in ours:
            clearer = _take(free, max(now, min(first, latest)), first, times)
            if clearer is not None:
                there, left = _joining([[clearer], *chain], left, times)
                chain = [[clearer], there, *chain]
                first, latest = times.stretch(chain)
        filled.append(chain)
        if first < latest:
            holds.append((first, latest))
        now = max(now, latest)
    while left:
        reader = left.pop(0)
        at = _before_a_hold(times.ends[reader], holds)
        clearer = _take(free, times.begins[reader], at, times)
        if clearer is not None:
            there, left = _joining([[clearer], [reader]], left, times)
            filled.append([[clearer], [reader, *there]])
    return filled + [[[place]] for place in free]


def _joining(chain: Chain, readers: list[int], times: Times) -> tuple[list[int], list[int]]:
    """Returns the `readers` that can join `chain` without its occupying more time than before, and the others."""
    first, latest = times.stretch(chain)
    there: list[int] = []
    others: list[int] = []
    for place in readers:
        begin, end = times.begins[place], times.ends[place]
        if begin <= first and end >= min(first, latest):
            there.append(place)
            if latest <= first:
                first, latest = min(first, end), max(latest, begin)
        else:
            others.append(place)
    return there, others


def _take(free: list[int], since: int, until: int, times: Times) -> int | None:
    """Takes the first operation to end that can take place between `since` and `until`; None if there is none."""
    for place in free:
        if times.begins[place] <= until and times.ends[place] >= since:
            free.remove(place)
            return place
    return None


def _before_a_hold(at: int, holds: list[tuple[int, int]]) -> int:
    """Returns the latest time up to `at` that no hold contains."""
    for first, latest in reversed(holds):
        if first < at < latest:
            at = first
    return at
