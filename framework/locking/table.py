"""The locks of a service, its sessions with their leases, and the tickets that wait.

A lock server or a state machine owns a table and calls it. The table knows no clock, no client and no disk: its owner
gives it the time, keeps what must survive (`locks`, which the table gets by reference, `revision`, and the sessions),
and answers the client of each ticket whose outcome a method returns:

    number, outcomes = self.table.request("l1", session, now=self.now)
    self.callers[number] = sender
    for outcome in outcomes: ...

Sessions, tickets, tokens and changes of holders are numbered by one count, `revision`, like the positions of a log. So
a token is above all that were given before, whatever their lock.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import takewhile

from framework.core.durable import DurableMap
from framework.core.message import Record
from framework.locking.lock import Lock, Ticket
from framework.replication.state_machine import Refused


class TicketOutcome(Record):
    """The end of a ticket's wait: it is granted with a token, or refused for a reason."""

    ticket: int
    token: int = 0
    refused: str = ""


@dataclass(slots=True)
class LockTable:
    """Grants locks in the order of requests. Times are nanoseconds on its owner's clock.

    Methods raise Refused for what the state does not allow; then nothing has changed.
    """

    locks: dict[str, Lock] | DurableMap[str, Lock] = field(default_factory=dict)
    revision: int = 0
    """The latest number given."""
    leases: dict[int, int] = field(default_factory=dict)
    """The end of each session's lease, the earliest first: all leases have the same length."""
    impatient: dict[int, tuple[int, str]] = field(default_factory=dict)
    """When a ticket gives up, and its lock: by ticket, only of those that do."""

    def lock(self, name: str) -> Lock:
        """Returns a lock; one that nobody has asked for is free."""
        return self.locks.get(name) or Lock()

    # Sessions.

    def open_session(self, end: int) -> int:
        """Opens a session whose lease ends at `end`, and returns its number."""
        self.revision += 1
        self.leases[self.revision] = end
        return self.revision

    def keep_alive(self, session: int, end: int) -> None:
        """Replaces the end of a session's lease by `end`, which is not before those of others."""
        self.check_open(session)
        del self.leases[session]
        self.leases[session] = end

    def close_session(self, session: int) -> list[TicketOutcome]:
        """Ends a session with all that it holds and waits for."""
        self.check_open(session)
        return self.end_sessions([session], "the session was closed")

    def check_open(self, session: object) -> None:
        """Raises Refused unless there is such a session and it has not ended."""
        if type(session) is not int or session not in self.leases:
            raise Refused(f"there is no session {session!r}: it has ended, or was never opened")

    # Locks.

    def request(
        self, name: str, session: int, *, shared: bool = False, patience: int | None = None, now: int
    ) -> tuple[int, list[TicketOutcome]]:
        """Puts a session into the queue of a lock; returns the number of its ticket, and the tickets that are granted
        by that, this one at the most. `patience`: nanoseconds after which the ticket gives up; 0: at once; None:
        never."""
        self.check_open(session)
        lock = self.lock(name)
        if lock.is_wanted_by(session):
            raise Refused(f"session {session} holds {name} already, or waits for it")
        number = self.revision + 1
        requested = lock.requested(Ticket(number, session, shared))
        if patience == 0 and (lock.waiting or not requested.can_grant()):
            raise Refused(f"{name} is not free")
        self.revision, self.locks[name] = number, requested
        if patience:
            self.impatient[number] = (now + patience, name)
        return number, self.grant(name)

    def release(self, name: str, session: int) -> list[TicketOutcome]:
        """Takes a lock from its holder `session`, and grants it to those that are next."""
        self.check_open(session)
        lock = self.lock(name)
        if session not in lock.holders:
            raise Refused(f"session {session} does not hold {name}")
        self.revision += 1
        self.locks[name] = lock.released(session, self.revision)
        return self.grant(name)

    def grant(self, name: str) -> list[TicketOutcome]:
        """Grants a lock to those that can have it now."""
        lock, tickets = self.locks[name].granted(self.revision + 1)
        if tickets:
            self.revision += 1
            self.locks[name] = lock
        for ticket in tickets:
            self.impatient.pop(ticket.number, None)
        return [TicketOutcome(ticket.number, lock.token) for ticket in tickets]

    # Time.

    def next_deadline(self) -> int | None:
        """Returns when the next lease ends or the next ticket gives up; None if there is neither."""
        first = next(iter(self.leases.values()), None)
        return min((until for until, _ in self.impatient.values() if first is None or until < first), default=first)

    def pass_deadlines(self, now: int) -> list[TicketOutcome]:
        """Lets all leases end and all tickets give up that are due at `now`. Leases are first: no ticket of a session
        that has ended is granted when one before it gives up."""
        ended = list(takewhile(lambda session: self.leases[session] <= now, self.leases))
        outcomes = self.end_sessions(ended, "the session's lease has ended")
        due = sorted((number, name) for number, (until, name) in self.impatient.items() if until <= now)
        outcomes += [TicketOutcome(number, refused=f"{name} is not free") for number, name in due]
        for number, _ in due:
            del self.impatient[number]
        gone = {number for number, _ in due}
        for name in dict.fromkeys(name for _, name in due):
            lock = self.locks[name]
            self.locks[name] = lock.without([ticket for ticket in lock.waiting if ticket.number in gone])
            outcomes += self.grant(name)  # those behind may share it
        return outcomes

    def end_sessions(self, sessions: Collection[int], why: str) -> list[TicketOutcome]:
        """Ends sessions, all at once: what one of them held is not granted to another of them."""
        outcomes: list[TicketOutcome] = []
        for session in sessions:
            del self.leases[session]
        for name, lock in list(self.locks.items()):
            gone = [ticket for ticket in lock.waiting if ticket.session in sessions]
            owners = [session for session in lock.holders if session in sessions]
            if not gone and not owners:
                continue
            for ticket in gone:
                self.impatient.pop(ticket.number, None)
                outcomes.append(TicketOutcome(ticket.number, refused=why))
            lock = lock.without(gone)
            for session in owners:
                self.revision += 1
                lock = lock.released(session, self.revision)
            self.locks[name] = lock
            outcomes += self.grant(name)
        return outcomes
