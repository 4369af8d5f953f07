"""The time that nodes were blocked, by the faults that were in force."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from framework.core.message import NodeId
from framework.core.time import SECOND
from framework.engine.base import NodeCrash
from framework.engine.tally import BlockedInterval
from framework.faults.ledger import LedgerEntry

NO_FAULT = "no fault"


class Blocking(msgspec.Struct, frozen=True, kw_only=True):
    """The blocked intervals of a run; `open` counts those that had not ended. Times are seconds.

    `by_cause`: an interval counts under the faults that were in force at some time during it: `partition`,
    `crash + partition`, or `no fault`.
    """

    intervals: int
    open: int
    total_s: float
    longest_s: float
    by_cause: dict[str, float]
    by_node: dict[NodeId, float]


def blocking(
    intervals: Sequence[BlockedInterval], ledger: Iterable[LedgerEntry], crashes: Sequence[NodeCrash], until: int
) -> Blocking | None:
    """Returns the summary of the blocked intervals of a run that ended at `until`; None if there were none.

    An interval that its node did not end lasts until that node stopped, or until the end of the run.
    """
    if not intervals:
        return None
    entries = list(ledger)
    by_cause: dict[str, int] = {}
    by_node: dict[NodeId, int] = {}
    lengths: list[int] = []
    left_open = 0
    for interval in intervals:
        end = interval.until
        if end is None:
            stops = [crash.time for crash in crashes if crash.node == interval.node and crash.time >= interval.since]
            end = min([*stops, until])
            left_open += not stops
        length = max(0, end - interval.since)
        lengths.append(length)
        cause = " + ".join(_in_force(entries, interval.since, end)) or NO_FAULT
        by_cause[cause] = by_cause.get(cause, 0) + length
        by_node[interval.node] = by_node.get(interval.node, 0) + length
    return Blocking(
        intervals=len(intervals), open=left_open, total_s=_seconds(sum(lengths)), longest_s=_seconds(max(lengths)),
        by_cause={cause: _seconds(length) for cause, length in sorted(by_cause.items())},
        by_node={node: _seconds(length) for node, length in sorted(by_node.items())},
    )  # fmt: skip


def _in_force(entries: Iterable[LedgerEntry], since: int, until: int) -> list[str]:
    """Returns the names of the faults that were in force between the two times."""
    return sorted(
        entry.fault
        for entry in entries
        if any(start <= until and (end < 0 or end >= since) for start, end in entry.spans)
    )


def _seconds(nanoseconds: int) -> float:
    return round(nanoseconds / SECOND, 9)
