"""One lock: who holds it, and who waits for it, first come first served.

A lock is a frozen record with pure transitions. Its owner, a `LockTable` in most cases, keeps the new record that a
transition returns, and answers the tickets that have been granted:

    lock = lock.requested(Ticket(number=4, session=7))
    lock, granted = lock.granted(token=31)

Clients that share a lock hold it at the same time. A client that wants it alone is not overtaken by later ones that
would share it, so nobody starves.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import takewhile
from typing import Self

from msgspec.structs import replace

from framework.core.message import Record


class Ticket(Record):
    """A session's request for a lock. `number` is the request's own."""

    number: int
    session: int
    shared: bool = False


class Lock(Record):
    """The state of one lock. `holders` are sessions; more than one only if it is shared.

    `token` is the fencing token of the latest grant; 0 before the first. `changed` numbers the latest change of
    holders.
    """

    holders: tuple[int, ...] = ()
    shared: bool = False
    token: int = 0
    changed: int = 0
    waiting: tuple[Ticket, ...] = ()

    def requested(self, ticket: Ticket) -> Self:
        """Returns the lock with the ticket at the end of its queue."""
        return replace(self, waiting=(*self.waiting, ticket))

    def can_grant(self) -> bool:
        """Whether the first in the queue can have the lock now."""
        return bool(self.waiting) and (not self.holders or (self.shared and self.waiting[0].shared))

    def granted(self, token: int) -> tuple[Self, tuple[Ticket, ...]]:
        """Returns the lock with the first ticket granted, if it can be, and those behind it that share it; and these
        tickets. `token` is above all earlier ones: it is taken unless the tickets join sessions that share the lock."""
        if not self.can_grant():
            return self, ()
        first = self.waiting[0]
        shared = takewhile(lambda ticket: ticket.shared, self.waiting)
        tickets = tuple(shared) if first.shared else (first,)
        joins = bool(self.holders)
        lock = replace(
            self,
            holders=(*self.holders, *(ticket.session for ticket in tickets)),
            shared=first.shared,
            token=self.token if joins else token,
            changed=token,
            waiting=self.waiting[len(tickets) :],
        )
        return lock, tickets

    def released(self, session: int, number: int) -> Self:
        """Returns the lock without the holder `session`; `number` numbers this change. Raises ValueError if the session
        does not hold it."""
        at = self.holders.index(session)
        return replace(self, holders=self.holders[:at] + self.holders[at + 1 :], changed=number)

    def without(self, tickets: Collection[Ticket]) -> Self:
        """Returns the lock with these tickets taken out of its queue."""
        return replace(self, waiting=tuple(ticket for ticket in self.waiting if ticket not in tickets))

    def is_wanted_by(self, session: int) -> bool:
        """Whether the session holds the lock or waits for it."""
        return session in self.holders or any(ticket.session == session for ticket in self.waiting)
