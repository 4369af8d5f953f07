"""The events of one operation in a trace: from its invocation, along causes, to its completion."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.core.errors import ConfigError
from framework.replay.node_trace import INPUTS, LIFE, OUTPUTS
from framework.trace.reader import Run

RARE = LIFE | {"restart"}


class TracedOperation(NamedTuple):
    """One operation of a run, with the times of its invocation and completion (None: never), in nanoseconds."""

    number: int
    invoked: int
    completed: int | None


def find_operation(run: Run, number: int) -> TracedOperation:
    """Returns the operation with this number. Raises ConfigError if the run has none, or no history."""
    if not run.has_history:
        raise ConfigError(str(run.folder), "holds no history: its operations are not known", "Run it with trace=full.")
    history = run.history
    rows = history.filter(pc.equal(history["operation"], number))
    if not len(rows):
        known = history["operation"].to_pylist()
        has = (
            f"Of its {len(known):,}, {min(known, key=lambda it: abs(it - number))} is the nearest."
            if known
            else "It has none."
        )
        raise ConfigError(f"--operation {number}", "is not in this run", has)
    return TracedOperation(number, rows["invoked"][0].as_py(), rows["completed"][0].as_py())


def meanwhile(events: pa.Table, operation: TracedOperation) -> pa.Array:
    """Returns, for each of `events`, whether it happened while the operation was under way."""
    return pa.array(_within(events, operation))


def followed(events: pa.Table, operation: TracedOperation) -> pa.Array:
    """Returns, for each of `events`, whether it contributed to the operation while it was under way.

    These are: events with the operation's number; their consequences (messages, the steps and sends of their receivers
    in turn, and the client's timers, but neither later firings of other timers nor events with another operation's
    number); the chain of causes that ends in the completion; and crashes and faults during the operation.
    """
    trail = _Trail(events, operation)
    trail.follow()
    return pa.array(trail.kept)


def places_of_causes(events: pa.Table) -> np.ndarray[Any, Any]:
    """Returns the index in `events` of each event's cause; -1 if it is absent."""
    seqs, causes = events["seq"].to_numpy(), pc.fill_null(events["cause"], -1).to_numpy()
    by_seq = np.argsort(seqs, kind="stable")
    found = by_seq[np.minimum(np.searchsorted(seqs[by_seq], causes), len(seqs) - 1)] if len(seqs) else by_seq
    return np.where(seqs[found] == causes, found, -1)


def _within(events: pa.Table, operation: TracedOperation) -> np.ndarray[Any, Any]:
    times: np.ndarray[Any, Any] = events["time"].to_numpy()
    last = np.inf if operation.completed is None else operation.completed
    return np.logical_and(times >= operation.invoked, times <= last)


class _Trail:
    """The events found so far (`kept`), among those within the operation's time."""

    def __init__(self, events: pa.Table, operation: TracedOperation) -> None:
        self.kept = np.zeros(len(events), bool)
        self._kinds: list[str] = events["kind"].cast(pa.string()).to_pylist()
        self._nodes: list[str | None] = events["node"].cast(pa.string()).to_pylist()
        self._times = events["time"].to_numpy()
        self._within = _within(events, operation)
        numbers = pc.fill_null(events["operation"], -1).to_numpy()
        self._own = np.flatnonzero(numbers == operation.number).tolist()
        self._others = (numbers >= 0) & (numbers != operation.number)
        self._parents = places_of_causes(events)
        self._by_parent = np.argsort(self._parents, kind="stable")
        self._sorted_parents = self._parents[self._by_parent]

    def follow(self) -> None:
        """Keeps all events that contributed to the operation."""
        self._forward()
        for row in self._own:
            if self._kinds[row] == "complete":
                self._back(row)
        rare = np.fromiter((kind in RARE for kind in self._kinds), bool, len(self._kinds))
        self.kept |= rare & self._within

    def _forward(self) -> None:
        """Keeps the operation's own events and their consequences."""
        clients = {self._nodes[row] for row in self._own if self._kinds[row] in ("invoke", "complete")}
        waiting = list(self._own)
        while waiting:
            row = waiting.pop()
            if self.kept[row] or not self._within[row]:
                continue
            self.kept[row] = True
            for child in self._children(row):
                at_once = self._kinds[child] != "timer" or self._times[child] == self._times[row]
                if at_once or self._nodes[child] in clients:
                    waiting.append(child)

    def _back(self, row: int) -> None:
        """Keeps the causes of `row`, and the other direct outputs of the steps among them."""
        while row >= 0 and self._within[row]:
            self.kept[row] = True
            if self._kinds[row] in INPUTS:
                for child in self._children(row):
                    self.kept[child] |= self._kinds[child] in OUTPUTS and self._within[child]
            row = int(self._parents[row])

    def _children(self, row: int) -> list[int]:
        """Returns the events that `row` caused, except those of other operations."""
        first, last = np.searchsorted(self._sorted_parents, [row, row + 1])
        children = self._by_parent[first:last]
        return [int(child) for child in children[~self._others[children]]]
