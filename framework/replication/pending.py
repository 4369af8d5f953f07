"""Requests that wait for their commands to be executed.

    taken = PendingRequest(sender, request.operation, command.sequence, command.session)
    if not self.pending.begin(taken):
        return  # a retry
    self.pending.place(self.log.append(Entry(self.term, command)), taken, self.term)
    ...
    for request, result, session in self.pending.answered(index, command, executed):   # when it has been executed
        self.send(request.client, Reply(request.operation, request.sequence, result, session))

A deposed leader forgets them all: their clients retry under the same sequence numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from framework.core.address import Address
from framework.core.client import OperationId
from framework.core.message import Record
from framework.replication.sessions import Command, Executed
from framework.replication.state_machine import Caller

T = TypeVar("T")  # the protocol's terms or ballots


class PendingRequest(Record):
    """The client to answer, and its operation, sequence number and session. Without a client it is the parent's: the
    sequence number is then its tag."""

    client: Address
    operation: OperationId
    sequence: int
    session: int = 0


@dataclass(slots=True)
class PendingRequests(Generic[T]):
    """The requests that a leader has taken and not yet answered, with the log index (or slot) of each command."""

    placed: dict[int, tuple[PendingRequest, T]] = field(default_factory=dict)
    """The requests by the index of their command, each with the term or ballot in which the leader first put it
    there. A request not placed yet is only in `under_way`."""
    under_way: set[PendingRequest] = field(default_factory=set)
    """Every request taken and not answered."""
    waiting: dict[Caller, PendingRequest] = field(default_factory=dict)
    """The requests whose commands have been executed and wait for their result."""

    def begin(self, request: PendingRequest) -> bool:
        """Takes a request. Returns False if it is a retry of one that was taken and is not answered yet."""
        if request in self.under_way:
            return False
        self.under_way.add(request)
        return True

    def is_under_way(self, request: PendingRequest) -> bool:
        """Returns whether the request was taken and is not answered yet."""
        return request in self.under_way

    def place(self, index: int, request: PendingRequest, term: T) -> None:
        """Records that the leader of `term` has put the request's command at `index`."""
        self.placed[index] = (request, term)

    def answered(
        self, index: int, command: Command, executed: Executed
    ) -> list[tuple[PendingRequest, bytes | None, int]]:  # fmt: skip
        """Returns the requests to answer now that the command at `index` has been executed, each with its result and
        the id of its session. A command that waits keeps its request, and a retry of it takes its place."""
        found: list[tuple[PendingRequest, bytes | None, int]] = []
        placed = self.placed.pop(index, None)
        if placed is not None:
            request, _ = placed
            if executed.waits and request.client:
                self.waiting[Caller(command.session, command.sequence)] = request
            else:
                self.under_way.discard(request)
                found.append((request, executed.result, executed.session))
        for late in executed.answers:
            waiter = self.waiting.pop(late.caller, None)
            if waiter is not None:
                self.under_way.discard(waiter)
                found.append((waiter, late.result, late.caller.session))
        return found

    def clear(self) -> None:
        self.placed.clear()
        self.under_way.clear()
        self.waiting.clear()

    def keep(self, placed: dict[int, tuple[PendingRequest, T]], taken: Iterable[PendingRequest]) -> None:
        """Keeps only the requests `placed`, `taken` (not placed yet), and those that wait for their result."""
        self.placed = placed
        self.under_way = {*(request for request, _ in placed.values()), *self.waiting.values(), *taken}
