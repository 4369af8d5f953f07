"""Invariants of the lock server.

| property | definition |
| --- | --- |
| one owner | one session holds a lock, or several that share it, each once; none of them waits for it as well |
| held in a session | each session that holds a lock or waits for it is open |
| granted when free | nobody waits for a lock that could be granted |
| session numbers | a session has a number of its own, and one that has ended stays ended, over restarts too |
| lease kept | a session ends when its client closes it, or when its lease has ended on the server's clock, over restarts too |
| released by its holder | a lock is taken from an open session only if that session has released it |
| first come, first served | nobody is granted a lock before one that has waited for it longer |
| tokens rise | the token of a lock rises with each grant, unless sessions share it, over restarts too |
| executed once | a client's requests have rising ids, and each has one ticket and one answer |
| requests kept | each ticket that waits has the request that it answers |

A commit that a crash has interrupted may be found done after the restart, though nobody has seen its step. So what was
done to a lock by an unseen step is not judged at a server's first step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from framework import Address, Invariant, Lock, Step, Violation, WrittenKeys
from plugins.protocols.lock_server.node import Latest, LockServer


class _Changes:
    """Finds the locks that have changed since the server was last seen."""

    def __init__(self) -> None:
        self.written = WrittenKeys()
        self.known: dict[str, Lock] = {}

    def since(self, step: Step, node: LockServer) -> Iterator[tuple[str, Lock, Lock]]:
        """Yields the name of each, as it was, and as it is."""
        for name in self.written.since(step, node.locks):
            before, after = self.known.get(name, Lock()), node.locks[name]
            if before != after:
                self.known[name] = after
                yield name, before, after


class WellFormed(Invariant[LockServer]):
    """Checks one owner, held in a session, granted when free, and requests kept."""

    def __init__(self) -> None:
        self.changes = _Changes()
        self.tickets: dict[str, tuple[int, ...]] = {}

    def observe(self, step: Step, node: LockServer) -> None:
        for name, _, lock in self.changes.since(step, node):
            self.tickets[name] = tuple(ticket.number for ticket in lock.waiting)
            wanted = [*lock.holders, *(ticket.session for ticket in lock.waiting)]
            if len(lock.holders) > 1 and not lock.shared:
                what = f"sessions {_listed(lock.holders)} hold {name}, which is not shared"
                raise Violation("one owner", (step.node,), what)
            if len(set(wanted)) < len(wanted):
                what = f"a session holds {name} or waits for it twice: {_listed(wanted)}"
                raise Violation("one owner", (step.node,), what)
            ended = [session for session in wanted if session not in node.sessions]
            if ended:
                what = f"session {ended[0]} holds {name} or waits for it, and is not open"
                raise Violation("held in a session", (step.node,), what)
            if lock.can_grant():
                what = f"session {lock.waiting[0].session} waits for {name}, which could be granted"
                raise Violation("granted when free", (step.node,), what)
        tickets = sorted(number for numbers in self.tickets.values() for number in numbers)
        if tickets != sorted(node.waiting):
            what = f"the tickets {_listed(tickets)} wait, and requests behind {_listed(sorted(node.waiting))}"
            raise Violation("requests kept", (step.node,), what)


class LeaseKept(Invariant[LockServer]):
    """Checks session numbers and lease kept."""

    def __init__(self) -> None:
        self.written = WrittenKeys()
        self.revision = 0
        self.promised: dict[int, int] = {}
        """The latest end of each open session's lease."""

    def observe(self, step: Step, node: LockServer) -> None:
        for session in self.written.since(step, node.sessions):
            if session <= self.revision and session not in self.promised:
                what = f"session {session} opens, though numbers up to {self.revision} were given"
                raise Violation("session numbers", (step.node,), what)
        self.revision = max(self.revision, node.revision)
        for session, end in list(self.promised.items()):
            if session in node.sessions:
                continue
            del self.promised[session]
            if end > node.now and session not in node.closed and not step.started:
                what = f"session {session} has ended {(end - node.now) / 1e6:.3f} ms before its lease"
                raise Violation("lease kept", (step.node,), what)
        for session, end in node.table.leases.items():
            self.promised[session] = max(end, self.promised.get(session, 0))


class TakenInOrder(Invariant[LockServer]):
    """Checks released by its holder, and first come, first served."""

    def __init__(self) -> None:
        self.changes = _Changes()
        self.revision = 0

    def observe(self, step: Step, node: LockServer) -> None:
        for name, before, after in self.changes.since(step, node):
            if not step.started:
                self.check_release(step, node, name, before, after)
                self.check_order(step, name, before, after)
        self.revision = node.revision

    def check_release(self, step: Step, node: LockServer, name: str, before: Lock, after: Lock) -> None:
        for session in before.holders:
            is_taken = session not in after.holders and session in node.sessions
            if is_taken and node.released.get((name, session), 0) <= before.changed:
                what = f"{name} was taken from session {session}, which is open and has not released it"
                raise Violation("released by its holder", (step.node,), what)

    def check_order(self, step: Step, name: str, before: Lock, after: Lock) -> None:
        came = {ticket.session: ticket.number for ticket in before.waiting}
        for session in after.holders:
            if session in before.holders:
                continue
            since = came.get(session, self.revision + 1)  # its ticket is new
            for ticket in after.waiting:
                if ticket.number < since:
                    what = f"session {session} was granted {name}, for which session {ticket.session} waited longer"
                    raise Violation("first come, first served", (step.node,), what)


class TokensRise(Invariant[LockServer]):
    """Checks tokens rise."""

    def __init__(self) -> None:
        self.changes = _Changes()

    def observe(self, step: Step, node: LockServer) -> None:
        for name, before, after in self.changes.since(step, node):
            if after.token == before.token:
                new = [session for session in after.holders if session not in before.holders]
                if new and not (before.shared and after.shared):
                    what = f"session {new[0]} was granted {name} with token {after.token}, which was given before"
                    raise Violation("tokens rise", (step.node,), what)
            elif after.token < before.token:
                what = f"{name} was granted with token {after.token} after {before.token}"
                raise Violation("tokens rise", (step.node,), what)


class ExecutedOnce(Invariant[LockServer]):
    """Checks executed once."""

    def __init__(self) -> None:
        self.written = WrittenKeys()
        self.known: dict[Address, Latest] = {}

    def observe(self, step: Step, node: LockServer) -> None:
        for client in self.written.since(step, node.latest):
            before, after = self.known.get(client), node.latest[client]
            self.known[client] = after
            if before is None or after.operation > before.operation:
                continue
            if after.operation < before.operation:
                what = f"{client}'s request {after.operation} was executed after {before.operation}"
                raise Violation("executed once", (step.node,), what)
            if after.ticket != before.ticket or (before.answer is not None and after.answer != before.answer):
                what = f"{client}'s request {after.operation} was executed twice"
                raise Violation("executed once", (step.node,), what)


def _listed(numbers: Any) -> str:
    return ", ".join(map(str, numbers)) or "none"


INVARIANTS: tuple[type[Invariant[Any]], ...] = (WellFormed, LeaseKept, TakenInOrder, TokensRise, ExecutedOnce)
