"""The fast path: a register of which every value is written once is decided in one sort.

Gibbons and Korach, "Testing Shared Memories" (1997), section 4. Who read what is known then: a write and its reads
form a cluster, and nothing comes between them in an order that explains. Of two clusters V and W, V has to come
first if an operation of V ends before one of W begins, that is if the first end in V lies before the last
beginning in W. A read must not end before its write begins; and no two clusters may each have to come first.
Without such a pair there is no longer cycle either, because time orders the operations as an interval order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from framework.verify.models import Model, State
from framework.verify.timeline import Entry
from framework.verify.verdict import Verdict

_NEVER = 1 << 200


class _Cluster:
    """A value's write and reads: the first end and the last beginning, and whose they are (-1: nobody's)."""

    __slots__ = ("begin", "begins", "end", "ends", "write")

    def __init__(self, write: int, end: int, begin: int) -> None:
        self.write = write
        self.end, self.ends = end, write
        self.begin, self.begins = begin, write

    @property
    def evidence(self) -> set[int]:
        return {self.write, self.ends, self.begins} - {-1}


def decide_zones(operations: Sequence[Entry], model: Model) -> tuple[Verdict, list[Entry]] | None:
    """The verdict on one object and, if INVALID, the few operations that show it; None if the fast path cannot tell.

    It cannot when there is something other than reads and writes, a value is written twice (the initial value counts
    as written), or the verdict hangs on two operations of a process that meet on one instant.
    """
    writes = _unique_writes(operations, model.initial)
    if writes is None:
        return None
    loose = _conflict(operations, writes, model.initial, 1)
    if loose is not None:
        return Verdict.INVALID, [operations[place] for place in sorted(loose)]
    if not _touching(operations):
        return Verdict.VALID, []
    # With every end ahead of the beginnings on its instant there is more order than the history has: if that can be
    # explained, so can the history.
    if all(call.completed != call.invoked for call, _ in operations):
        strict = _conflict(operations, writes, model.initial, -1)
        if strict is None:
            return Verdict.VALID, []
    return None


def _unique_writes(operations: Sequence[Entry], initial: State) -> dict[State, int] | None:
    writes: dict[State, int] = {initial: -1}
    for place, (_, step) in enumerate(operations):
        if step.function == "write":
            if step.argument in writes:
                return None
            writes[step.argument] = place
        elif step.function != "read":
            return None
    return writes


def _touching(operations: Sequence[Entry]) -> bool:
    ends = {(call.client, call.process, call.completed) for call, _ in operations if call.known}
    return any((call.client, call.process, call.invoked) in ends for call, _ in operations)


def _conflict(
    operations: Sequence[Entry], writes: dict[State, int], initial: State, end_shift: int
) -> set[int] | None:
    """The places of operations that no order explains, or None.

    Times are doubled, and an end shifted by one: later (1) an end does not precede a beginning on the same instant,
    earlier (-1) it does.
    """
    clusters = {initial: _Cluster(-1, -_NEVER, -_NEVER)}
    for value, place in writes.items():
        if place >= 0:
            call = operations[place][0]
            end = _NEVER if call.completed is None or not call.known else 2 * call.completed + end_shift
            clusters[value] = _Cluster(place, end, 2 * call.invoked)
    read: set[State] = set()
    for place, (call, step) in enumerate(operations):
        if step.function != "read":
            continue
        cluster = clusters.get(step.result)
        assert call.completed is not None
        end, begin = 2 * call.completed + end_shift, 2 * call.invoked
        if cluster is None:
            return {place}
        if cluster.write >= 0 and end < 2 * operations[cluster.write][0].invoked:
            return {place, cluster.write}
        if end < cluster.end:
            cluster.end, cluster.ends = end, place
        if begin > cluster.begin:
            cluster.begin, cluster.begins = begin, place
        read.add(step.result)
    happened = [cluster for value, cluster in clusters.items() if value in read or cluster.end < _NEVER]
    pair = _clash(happened)
    return None if pair is None else pair[0].evidence | pair[1].evidence


def _clash(clusters: list[_Cluster]) -> tuple[_Cluster, _Cluster] | None:
    """Two clusters each of which has to come first: its first end lies before the other's last beginning."""
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
