"""The counters of a run: operations, messages delivered and dropped, steps, commits, notes, blocked intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from framework.core.client import Fail, Ok, Outcome
from framework.core.effects import Note
from framework.core.message import NodeId
from framework.load.histogram import LatencyHistogram

BLOCKED, UNBLOCKED = "blocked", "unblocked"
"""The notes by which a node declares that it is blocked: `self.note("blocked", transaction=7)`, later
`self.note("unblocked", transaction=7)`. The same fields name the same interval."""


@dataclass
class BlockedInterval:
    """A time in which a node declared itself blocked; `what` are the fields of its note. `until` is None while it is.

    Times are nanoseconds of the run.
    """

    node: NodeId
    path: str
    what: tuple[tuple[str, Any], ...]
    since: int
    until: int | None = None


@dataclass
class Tally:
    """The counters of a run, which the screen reads while it goes on. Latencies exclude the warm-up."""

    ok: int = 0
    fail: int = 0
    unknown: int = 0
    latencies: LatencyHistogram = field(default_factory=LatencyHistogram)
    measured: int = 0  # completed with Ok after the warm-up
    steps: int = 0
    fsyncs: int = 0
    forced_writes: dict[NodeId, int] = field(default_factory=dict)  # commits with a change that is not lazy, by node
    blocked: list[BlockedInterval] = field(default_factory=list)
    still_blocked: dict[NodeId, dict[Any, BlockedInterval]] = field(default_factory=dict, repr=False, compare=False)
    faults: dict[str, int] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)  # delivered, by type
    dropped: dict[str, int] = field(default_factory=dict)  # by type
    duplicated: dict[str, int] = field(default_factory=dict)  # copies beyond the first, by type
    notes: dict[str, int] = field(default_factory=dict)  # by name
    stage: str = ""  # the engine's activity before or after the run; "" during the run
    leaders: tuple[NodeId, ...] = ()  # the nodes that last reported to lead, in an engine that collects reports
    healed_at: int | None = None  # end of the faults
    asked: int = 0  # operations that ended and had been due after the heal, of which
    recovered: int = 0  # ... completed with Ok
    stuck: int = 0  # operations that were under way at the heal, of which
    freed: int = 0  # ... completed with Ok since
    abandoned: dict[NodeId, int] = field(default_factory=dict)  # operations open beyond their time-out, by client
    administered: dict[int, str] = field(
        default_factory=dict
    )  # administrative operations that ended, by token: "", or why not

    def drop(self, message: str) -> None:
        """Counts a message of this type that will not arrive."""
        self.dropped[message] = self.dropped.get(message, 0) + 1

    def duplicate(self, message: str, copies: int) -> None:
        """Counts copies of a message beyond the first."""
        self.duplicated[message] = self.duplicated.get(message, 0) + copies

    def note(self, node: NodeId, note: Note, at: int) -> None:
        """Counts a domain event of a node, at the time `at`."""
        name = note.name
        self.notes[name] = self.notes.get(name, 0) + 1
        if name in (BLOCKED, UNBLOCKED):
            what = tuple(sorted(note.fields.items()))
            is_open = self.still_blocked.setdefault(node, {})
            if name == UNBLOCKED:
                interval = is_open.pop((note.path, what), None)
                if interval is not None:
                    interval.until = at
            elif (note.path, what) not in is_open:
                is_open[note.path, what] = interval = BlockedInterval(node, note.path, what, at)
                self.blocked.append(interval)

    def stopped(self, node: NodeId, at: int) -> None:
        """Ends the blocked intervals of a node that has stopped."""
        for interval in self.still_blocked.pop(node, {}).values():
            interval.until = at

    def force(self, node: NodeId) -> None:
        """Counts a commit of a node."""
        self.forced_writes[node] = self.forced_writes.get(node, 0) + 1

    def abandon(self, client: NodeId, lasted: int, timeout: int) -> None:
        """Counts an operation still open at the end of the run, if it `lasted` beyond its time-out (0: none) by its
        client's clock."""
        if 0 < timeout <= lasted:
            self.abandoned[client] = self.abandoned.get(client, 0) + 1

    def heal(self, at: int) -> None:
        """Resets the counters of recovery: the faults have ended at `at`."""
        self.healed_at, self.asked, self.recovered, self.stuck, self.freed = at, 0, 0, 0, 0

    def completed(self, outcome: Outcome, scheduled: int, now: int, warmup: int) -> None:
        """Counts one operation that ended at `now`."""
        if self.healed_at is not None:
            due_since, ok = scheduled >= self.healed_at, type(outcome) is Ok
            self.asked, self.recovered = self.asked + due_since, self.recovered + (due_since and ok)
            self.stuck, self.freed = self.stuck + (not due_since), self.freed + (not due_since and ok)
        if type(outcome) is not Ok:
            self.count(outcome)
            return
        self.ok += 1
        if scheduled >= warmup:
            self.measured += 1
            self.latencies.record(now - scheduled)

    def count(self, outcome: Outcome) -> None:
        """Counts one operation by its outcome alone, as in the final phase."""
        if type(outcome) is Ok:
            self.ok += 1
        elif type(outcome) is Fail:
            self.fail += 1
        else:
            self.unknown += 1

    @classmethod
    def sum(cls, tallies: Iterable[Tally]) -> Tally:
        """Returns the sum of the tallies of several processes."""
        whole = cls()
        for tally in tallies:
            for name in (
                "ok",
                "fail",
                "unknown",
                "measured",
                "steps",
                "fsyncs",
                "asked",
                "recovered",
                "stuck",
                "freed",
            ):
                setattr(whole, name, getattr(whole, name) + getattr(tally, name))
            whole.latencies.add(tally.latencies)
            whole.administered.update(tally.administered)
            whole.blocked += tally.blocked
            for name in ("messages", "dropped", "duplicated", "notes", "faults", "abandoned", "forced_writes"):
                mine = getattr(whole, name)
                for key, count in getattr(tally, name).items():
                    mine[key] = mine.get(key, 0) + count
        return whole
