"""The fast path for states that are entered at most once: decides from the times alone.

After Gibbons and Korach, "Testing Shared Memories" (1997), section 4. The operations that made such a state or found
the object in it form a cluster, and all of them take effect during its one visit. Of two clusters V and W, V has to
come first if an operation of V ends before one of W begins, that is if the first end in V lies before the last
beginning in W. Two clusters that each have to come first refute the history; so does a read that ended before its value
was made.

For a register whose values are each written once, the rule decides: all operations are in clusters then, and without
such a pair there is no longer cycle either, because time orders the operations as an interval order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from framework.checking.models.model import ANY, Entry, Model, Outlook, State
from framework.checking.models.registers import Register
from framework.checking.verdict import Verdict

_NEVER = 1 << 200
_NOBODY = -1


class _Cluster:
    """A state's maker and observers: the first end and the last beginning among them, with their operations."""

    __slots__ = ("begin", "begins", "end", "ends", "happened", "made_at", "maker")

    def __init__(self) -> None:
        self.maker = self.ends = self.begins = _NOBODY
        self.made_at = -_NEVER
        self.end, self.begin = _NEVER, -_NEVER
        self.happened = False

    def add(self, place: int, begin: int, end: int) -> None:
        if end < self.end:
            self.end, self.ends = end, place
        if begin > self.begin:
            self.begin, self.begins = begin, place
        self.happened |= end < _NEVER

    @property
    def evidence(self) -> set[int]:
        return {self.maker, self.ends, self.begins} - {_NOBODY}


def decide_zones(operations: Sequence[Entry], model: Model) -> tuple[Verdict, list[Entry]] | None:
    """Returns the verdict on one object, with operations that suffice to show it if INVALID.

    None if the times do not decide: if states recur, if operations other than reads and writes are involved, or if the
    verdict depends on two operations of a process that meet at one instant.
    """
    steps = [step for _, step in operations]
    outlook = model.outlook(steps)
    plain = all(step.function in ("read", "write") for step in steps)
    decides = plain and all(outlook.once(model.makes(step)) for step in steps if not step.pure)
    loose = _conflict(operations, model, outlook, 1, decides)
    if loose is not None:
        tells = isinstance(model, Register) and not any(step.function == "append" for step in steps)
        return Verdict.INVALID, [operations[place] for place in sorted(loose)] if tells else list(operations)
    if not decides:
        return None
    if not touching(operations):
        return Verdict.VALID, []
    # With every end before the beginnings at the same instant, there is more order than in the history: if that can be
    # explained, so can the history.
    strict = _conflict(operations, model, outlook, -1, decides)
    return None if strict is not None else (Verdict.VALID, [])


def touching(operations: Sequence[Entry]) -> bool:
    ends = {(call.client, call.process, call.completed) for call, _ in operations if call.known}
    return any((call.client, call.process, call.invoked) in ends for call, _ in operations)


def _conflict(
    operations: Sequence[Entry], model: Model, outlook: Outlook, end_shift: int, decides: bool
) -> set[int] | None:
    """Returns the places of operations that no order explains, or None.

    Times are doubled, and ends shifted by `end_shift`: with 1 an end does not precede a beginning at the same instant,
    with -1 it does. `decides`: the maker of each state is known.
    """
    clusters: dict[State, _Cluster] = {}
    seen: list[tuple[State, int, int, int]] = []
    for place, (call, step) in enumerate(operations):
        known = call.known and call.completed is not None
        end = 2 * (call.completed or 0) + end_shift if known else _NEVER
        made, needed = model.makes(step), model.needs(step)
        if made is not ANY and made != needed and outlook.once(made):
            cluster = clusters.setdefault(made, _Cluster())
            cluster.add(place, 2 * call.invoked, end)
            cluster.maker, cluster.made_at = place, 2 * call.invoked
        if known and needed is not ANY and outlook.once(needed):
            seen.append((needed, place, 2 * call.invoked, end))
    if outlook.once(model.initial):
        first = clusters.setdefault(model.initial, _Cluster())
        first.end, first.happened = -_NEVER, True
    for state, place, begin, end in seen:
        cluster = clusters.setdefault(state, _Cluster())
        if decides and cluster.maker == _NOBODY and state != model.initial:
            return {place}
        if end < cluster.made_at:
            return {place, cluster.maker}
        cluster.add(place, begin, end)
    pair = _clash([cluster for cluster in clusters.values() if cluster.happened])
    return None if pair is None else pair[0].evidence | pair[1].evidence


def _clash(clusters: list[_Cluster]) -> tuple[_Cluster, _Cluster] | None:
    """Returns two clusters that each have to come first: the first end of each is before the other's last beginning."""
    forward = sorted((cluster for cluster in clusters if cluster.end < cluster.begin), key=lambda it: it.end)
    for one, other in pairwise(forward):
        if other.end < one.begin:
            return one, other
    ends = [cluster.end for cluster in forward]
    for other in clusters:
        if other.begin <= other.end:
            place = bisect_left(ends, other.begin) - 1
            if place >= 0 and other.end < forward[place].begin:
                return forward[place], other
    return None
