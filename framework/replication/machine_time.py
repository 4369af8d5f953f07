"""The time of a replicated state machine: what a leader writes into its commands, and when it adds one.

A leader stamps each command with the time since its previous stamp, and each replica sums the stamps of the commands
that it executes. The sum may run late, but must never run early (except for the drift of the leaders' clocks), so that
leases are safe: compare Gray and Cheriton, *Leases*, SOSP 1989, section 5. Two leaders must therefore not measure the
same time, and no time may count that passed before a command that precedes it in the log. So

- the first stamp of a leadership adds nothing, because the leader does not know how long the log has been idle;
- a leader measures only once all commands of earlier leaders that can be in the log before its own have been executed.
  Its stamps name the `start` of its own part of the log;
- stamps name the leadership. In Multi-Paxos a deposed leader that was cut off may have proposed commands behind that
  start, and a later leader may find and propose them again. `MachineClock` sees that they are out of place.
"""

from __future__ import annotations

import msgspec

from framework.core.message import NodeId, Record


class Stamp(Record):
    """A leader's measure of time, on one command.

    `elapsed`: nanoseconds since its previous stamp. `term` and `node` name the leadership, in its order. `start`: the
    log index from which on no command of an earlier leadership can be in the log unless it is out of place; 0: not
    known yet.
    """

    elapsed: int
    term: int
    node: NodeId
    start: int


class MachineClock(msgspec.Struct, array_like=True):
    """The state of a replica's clock: the stamps that it has applied, and which of them count."""

    term: int = 0
    node: NodeId = ""
    stamped: int = 0
    """The index of the last stamped command."""
    earlier: int = 0
    """The highest index of a command of an earlier leadership than the latest."""

    def elapsed(self, index: int, stamp: Stamp) -> int:
        """Returns the time that the command at `index` adds.

        The first of a leadership adds nothing, nor does one of an earlier leadership than the latest. A command of an
        earlier leadership at or behind the latest one's start was proposed by a leader that did not know of its
        successor: both may have measured the same time, so the latest one's stamps do not count any more.
        """
        latest, own = (self.term, self.node), (stamp.term, stamp.node)
        added = 0
        if own > latest:
            self.term, self.node, self.earlier = stamp.term, stamp.node, self.stamped
        elif own < latest:
            self.earlier = index
        elif stamp.start > self.earlier:
            added = stamp.elapsed
        self.stamped = index
        return added
