"""The time of a replicated state machine: what a leader writes into its commands, and when it adds one.

A leader stamps each command with the time since its previous stamp, and each replica sums the stamps of the commands that
it executes. The sum may run late, but must never run early (except for the drift of the leaders' clocks), so that leases
are safe: compare Gray and Cheriton, *Leases*, SOSP 1989, section 5. Two leaders must therefore not measure the same time,
and no time may count that passed before a command that precedes it in the log. So

- the first stamp of a leadership adds nothing, because the leader does not know how long the log has stood still;
- a leader measures only once all commands of earlier leaders that can be in the log before its own have been executed. Its
  stamps name the `start` of its own part of the log;
- stamps name the leadership. In Multi-Paxos a deposed leader that was cut off may have proposed commands behind that
  start, and a later leader may find and propose them again. `MachineClock` sees that they are out of place.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from framework.core.message import NodeId
from framework.replication.sessions import TICK, Command, Stamp


@dataclass(slots=True)
class CommandClock:
    """A leader's stamps in one leadership, which `term` and `node` name. A new one begins with a new clock."""

    term: int = 0
    node: NodeId = ""
    start: int = 0
    """The index of the first command of its own; 0 until that is known, and no time is measured."""
    stamped_at: int | None = None
    """The local time of the last stamp that measures; None before the first."""

    def stamped(self, command: Command, now: int) -> Command:
        """Returns the command with the time since the previous stamp."""
        elapsed = 0 if self.stamped_at is None else now - self.stamped_at
        if self.start:
            self.stamped_at = now
        return msgspec.structs.replace(command, stamp=Stamp(elapsed, self.term, self.node, self.start))

    def tick(self, now: int) -> Command:
        """Returns a stamped command that only lets time pass."""
        return self.stamped(Command(TICK, 1, b""), now)

    def tick_after(self, until: int | None, now: int) -> int | None:
        """Returns the time after which to add a tick so that `until` nanoseconds of machine time have passed; None if
        none is needed. 0 also if there is no stamp yet, so that time begins to pass."""
        if until is None:
            return None
        return 0 if self.stamped_at is None else max(0, until - (now - self.stamped_at))
