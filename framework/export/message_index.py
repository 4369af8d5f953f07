"""An index of the messages of a run: which step sent each message, and how many copies of it arrived or were dropped.

A first pass over the events collects a few integers per message; a second pass can then connect the two ends of each
delivery while only the messages under way are in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from framework.trace.columns import dictionary_places

Integers = np.ndarray[Any, np.dtype[np.int64]]

ARRIVALS = ("deliver", "drop")


class MessageIndex:
    """The arrivals of messages, numbered from 1: a delivery or a drop whose send is in the trace, caused by a step.

    The copies of a duplicated message have consecutive numbers. `latency` is the shortest positive time, in
    nanoseconds, from a send to a delivery at another node; None without one.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._bases: dict[str, int] = {}
        sends: list[tuple[Integers, ...]] = []
        arrivals: list[tuple[Integers, ...]] = []
        for batch in batches:
            self._collect(batch, sends, arrivals)
        seq, step, sent_at = _columns(sends, 3)
        order = np.argsort(seq, kind="stable")
        seq, step, sent_at = seq[order], step[order], sent_at[order]
        cause, arrived_at, is_remote = _columns(arrivals, 3)
        place = np.minimum(np.searchsorted(seq, cause), max(len(seq) - 1, 0))
        known = (seq[place] == cause) & (step[place] >= 0) if len(seq) else np.zeros(len(cause), bool)
        cause, place = cause[known], place[known]
        took = (arrived_at[known] - sent_at[place])[is_remote[known] > 0]
        self.latency: int | None = int(took[took > 0].min()) if (took > 0).any() else None
        order = np.argsort(cause, kind="stable")
        self._causes = cause[order]
        by_step = step[place[order]]
        order = np.argsort(by_step, kind="stable")
        self._steps, self._of_steps = by_step[order], order + 1
        self._copies: dict[int, int] = {}

    @property
    def count(self) -> int:
        """The number of arrivals."""
        return len(self._causes)

    def copies(self, sends: Integers) -> list[int]:
        """Returns how many arrivals each send has, by the seqs of the sends."""
        first, last = (np.searchsorted(self._causes, sends, side=side) for side in ("left", "right"))
        counts: list[int] = (last - first).tolist()
        return counts

    def departures(self, steps: Integers) -> list[list[int]]:
        """Returns the arrivals that each step caused by sending, by the seqs of the steps."""
        first, last = (np.searchsorted(self._steps, steps, side=side).tolist() for side in ("left", "right"))
        return [self._of_steps[a:b].tolist() if a < b else [] for a, b in zip(first, last, strict=True)]

    def arrivals(self, causes: Integers) -> list[int]:
        """Returns the numbers of deliveries and drops, given their causes (-1: none) in the order of the trace; 0 for
        one whose send is not in the trace."""
        first, last = (np.searchsorted(self._causes, causes, side=side) for side in ("left", "right"))
        numbers: list[int] = np.where(first < last, first + 1, 0).tolist()
        for place in np.flatnonzero(last - first > 1):
            cause = int(causes[place])
            copy = self._copies.get(cause, 0)
            numbers[place] += copy
            if copy + 1 < last[place] - first[place]:
                self._copies[cause] = copy + 1
            else:
                self._copies.pop(cause, None)
        return numbers

    def _collect(
        self, batch: pa.RecordBatch, sends: list[tuple[Integers, ...]], arrivals: list[tuple[Integers, ...]]
    ) -> None:
        seq, time, cause = batch["seq"].to_numpy(), batch["time"].to_numpy(), causes_of(batch)
        codes, names = dictionary_places(batch["kind"])
        node = self._base_codes(batch["node"])
        is_send = np.isin(codes, [code for code, name in enumerate(names) if name == "send"])
        sends.append((seq[is_send], cause[is_send], time[is_send]))
        is_arrival = np.isin(codes, [code for code, name in enumerate(names) if name in ARRIVALS])
        is_deliver = np.isin(codes, [code for code, name in enumerate(names) if name == "deliver"])
        is_remote = (is_deliver & (node != self._base_codes(batch["peer"]))).astype(np.int64)
        arrivals.append((cause[is_arrival], time[is_arrival], is_remote[is_arrival]))

    def _base_codes(self, column: pa.Array) -> Integers:
        """Returns a number for the node of each row, the same for all of its mounts; -1 for none."""
        places, names = dictionary_places(column)
        bases = [-1 if name is None else self._bases.setdefault(base_of(name), len(self._bases)) for name in names]
        codes: Integers = np.array(bases, np.int64)[places]
        return codes


def base_of(name: str) -> str:
    """Returns the node of a name in a trace: `n1` of `n1/shard-7`."""
    return name.partition("/")[0]


def causes_of(batch: pa.RecordBatch) -> Integers:
    """Returns the column `cause`; -1 for null."""
    causes: Integers = batch["cause"].fill_null(-1).to_numpy()
    return causes


def _columns(parts: list[tuple[Integers, ...]], count: int) -> list[Integers]:
    if not parts:
        return [np.zeros(0, np.int64)] * count
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
