"""A leader's clock for the time of a replicated state machine: it stamps the leader's commands, and adds ticks (see
`framework.replication.machine_time`)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from framework.core.message import NodeId
from framework.replication.machine_time import Stamp
from framework.replication.sessions import TICK, Command


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
