"""The log that a server keeps (§5.3): what elections compare, and replication makes agree.

    index   1 2 3 4 5 6 7 8 9        what two logs hold at an index, under the same term, is the same,
    term    1 1 1 2 2 4 4 4 5        and so is all before it: Log Matching (Figure 3)

Terms never fall along a log.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter

from framework import DurableLog, Node, durable_log
from plugins.protocols.raft.messages import Entry, PreVote, RequestVote

_term_of = attrgetter("term")


class LogKeeping(Node):
    """A server's log, how much of it is committed, and what stands where in it."""

    log: DurableLog[Entry] = durable_log(Entry)

    def on_start(self) -> None:
        self.commit = 0  # all up to here is committed
        self.base_index, self.base_term = 0, 0  # of an entry that the log needs no more to be complete: at first none

    def term_at(self, index: int) -> int:
        """The term of the entry at `index`; 0 at 0, which stands for the empty log; -1 where the log holds none."""
        if self.log.first <= index <= self.log.last:
            return self.log[index].term
        if index == self.base_index:
            return self.base_term
        return -1 if index else 0

    def last_not_after(self, term: int, upto: int) -> int:
        """The last index up to `upto` whose entry is of `term` or earlier; 0 if the log holds none."""
        if upto < self.log.first:
            return self.base_index if self.base_index <= upto and self.base_term <= term else 0
        return bisect_right(self.log, term, self.log.first, upto + 1, key=_term_of) - 1

    def is_current(self, request: RequestVote | PreVote) -> bool:
        """§5.4.1: whether the candidate's log is at least as up to date as this node's."""
        last = self.log.last
        return (request.last_term, request.last_index) >= (self.term_at(last), last)

    def adopt(self, previous: int, entries: tuple[Entry, ...]) -> None:
        """§5.3: the log after `previous` becomes `entries`, and what follows them if none conflicts."""
        log = self.log
        if previous < log.last:  # what is there already stays: this message may be older than others
            known = 0
            while known < len(entries) and self.term_at(previous + 1 + known) == entries[known].term:
                known += 1
            start, entries = previous + 1 + known, entries[known:]
            if entries and start <= log.last:
                assert start > self.commit, f"{self.id} would lose entry {start}, which is committed"
                self.note("truncated", start=start, last=log.last)
                log.truncate(start)
        log.extend(entries)


def fitting(entries: tuple[Entry, ...], max_bytes: int) -> tuple[Entry, ...]:
    """The longest start of `entries` whose commands take `max_bytes` at the most; one entry always fits."""
    size = 0
    for count, entry in enumerate(entries):
        if entry.command is not None:
            size += len(entry.command.body)
            if size > max_bytes and count:
                return entries[:count]
    return entries
