"""The time of a replicated state machine: what a leader writes into its commands, and when it adds one.

A leader stamps each command with the time since its previous stamp; the first stamp of a term is 0, because the new
leader does not know how long the log has stood still. Each replica sums the stamps of the commands that it applies. The
stamps of different leaders measure times that do not overlap, since a leader starts to measure only after it has learned
all commands of earlier leaders that can ever be applied. So the sum runs late, never early (except for the drift of the
leaders' clocks), which is safe for leases: compare Gray and Cheriton, *Leases*, SOSP 1989, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from framework.replication.sessions import TICK, Command


@dataclass(slots=True)
class CommandClock:
    """A leader's stamps in one term. A new term begins with a new clock."""

    stamped_at: int | None = None
    """The local time of the last stamp; None before the first."""

    def stamped(self, command: Command, now: int) -> Command:
        """Returns the command with the time since the previous stamp."""
        elapsed = 0 if self.stamped_at is None else now - self.stamped_at
        self.stamped_at = now
        return msgspec.structs.replace(command, elapsed=elapsed)

    def tick(self, now: int) -> Command:
        """Returns a stamped command that only lets time pass."""
        return self.stamped(Command(TICK, 1, b""), now)

    def tick_after(self, until: int | None, now: int) -> int | None:
        """Returns the time after which to add a tick so that `until` nanoseconds of machine time have passed; None if
        none is needed. 0 also if this term has no stamp yet, so that time begins to pass."""
        if until is None:
            return None
        return 0 if self.stamped_at is None else max(0, until - (now - self.stamped_at))
