"""The fast path for sets that only grow, each value added once: decides from the times alone.

Such a set passes through its states in one order, from the smallest that was read to the largest: a value is added
after the last read without it and before the first read with it. Every operation takes place as early as the ones
before it allow; if an operation ends earlier than that, no order explains the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TypeAlias

import msgspec

from framework.checking.linearizability.unique_values import touching
from framework.checking.models.containers import Set
from framework.checking.models.model import Entry, State
from framework.checking.verdict import Verdict

_NEVER = 1 << 200
Values: TypeAlias = frozenset[State]


class _Read(msgspec.Struct, frozen=True):
    values: Values
    begin: int
    end: int


def decide_sets(operations: Sequence[Entry], model: Set) -> tuple[Verdict, list[Entry]] | None:
    """Returns the verdict on one set, with the operations if INVALID; None if the times do not decide.

    None if a value is added twice or was there initially, if there are operations other than effective adds and reads,
    or if the verdict depends on two operations of a process that meet at one instant.
    """
    steps = [step for _, step in operations]
    added = [step.argument for step in steps if step.function == "add" and not step.pure]
    members = model.initial
    assert isinstance(members, frozenset)
    reads = [step.result for step in steps if step.function == "read"]
    twice = next((place for place, step in enumerate(steps) if isinstance(step.result, tuple)), None)
    if twice is not None:
        return Verdict.INVALID, [operations[twice]]  # a read that showed a value twice
    plain = len(added) + len(reads) == len(steps)
    if not plain or len(set(added)) < len(added) or not members.isdisjoint(added):
        return None
    if not _explained(operations, members, 1):
        return Verdict.INVALID, list(operations)
    instant = any(call.known and call.completed == call.invoked for call, _ in operations)
    # With every end before the beginnings at the same instant, there is more order than in the history: if that can be
    # explained, so can the history.
    if touching(operations) and (instant or not _explained(operations, members, -1)):
        return None
    return Verdict.VALID, []


def _explained(operations: Sequence[Entry], members: Values, end_shift: int) -> bool:
    """Returns whether an order explains the operations. Times are doubled, and ends shifted by `end_shift`: with 1 an
    end does not precede a beginning at the same instant, with -1 it does."""
    adds: dict[State, tuple[int, int]] = {}
    reads: list[_Read] = []
    for call, step in operations:
        begin = 2 * call.invoked
        end = 2 * call.completed + end_shift if call.known and call.completed is not None else _NEVER
        if step.function == "add":
            adds[step.argument] = (begin, end)
        else:
            reads.append(_Read(step.result, begin, end))
    reads.sort(key=lambda read: len(read.values))
    now = -_NEVER
    for values, group in groupby(reads, key=lambda read: read.values):
        new = values - members
        if not members <= values or not new <= adds.keys() or any(adds[value][1] < now for value in new):
            return False
        now = max([now, *(adds[value][0] for value in new)])
        their = list(group)
        if any(read.end < now for read in their):
            return False
        now = max([now, *(read.begin for read in their)])
        members = values
    return all(end >= now for value, (_, end) in adds.items() if value not in members)


def rank_sets(operations: Sequence[Entry], model: Set) -> list[int] | None:
    """Returns ranks by the first read that showed each value; None unless all operations are adds and reads."""
    if any(step.function not in ("add", "read") for _, step in operations):
        return None
    reads = [step.result for _, step in operations if step.function == "read"]
    first: dict[State, int] = {}
    for values in sorted(reads, key=len):
        for value in values:
            first.setdefault(value, len(values))
    return [first.get(step.argument, _NEVER) for _, step in operations]
