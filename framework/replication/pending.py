"""Requests that wait for their commands to be executed.

    taken = PendingRequest(sender, request.operation, command.sequence, command.session)
    if self.pending.is_under_way(taken):
        return  # a retry
    self.pending.begin(taken)
    self.pending.place(self.log.append(Entry(self.term, command)), taken)
    ...
    for request, result, session in self.pending.answered(index, command, executed):   # when it has been executed
        self.send(request.client, Reply(request.operation, request.sequence, result, session))

A deposed leader forgets them all: their clients retry under the same sequence numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from framework.core.address import Address
from framework.core.client import OperationId
from framework.core.message import Record
from framework.replication.sessions import Command, Executed
from framework.replication.state_machine import Caller

RequestKey: TypeAlias = tuple[Address, OperationId, int, int]
"""Client, operation, session and sequence number of a request."""


class PendingRequest(Record):
    """The client to answer, and its operation, sequence number and session. Without a client it is the parent's: the
    sequence number is then its tag."""

    client: Address
    operation: OperationId
    sequence: int
    session: int = 0


def _key(request: PendingRequest) -> RequestKey:
    return request.client, request.operation, request.session, request.sequence


R = TypeVar("R", bound=PendingRequest)


@dataclass(slots=True)
class PendingRequests(Generic[R]):
    """The requests that a leader has taken and not yet answered, with the log index (or slot) of each command."""

    placed: dict[int, R] = field(default_factory=dict)
    """The requests by the index of their command. A request not placed yet is only in `under_way`."""
    under_way: set[RequestKey] = field(default_factory=set)
    """Every request taken and not answered."""
    waiting: dict[Caller, R] = field(default_factory=dict)
    """The requests whose commands have been executed and wait for their result."""

    def begin(self, request: PendingRequest) -> None:
        """Takes a request that is not under way yet."""
        self.under_way.add(_key(request))

    def is_under_way(self, request: PendingRequest) -> bool:
        """Returns whether the request is a retry of one that was taken."""
        return _key(request) in self.under_way

    def place(self, index: int, request: R) -> None:
        """Records that the request's command is at `index`."""
        self.placed[index] = request

    def answered(self, index: int, command: Command, executed: Executed) -> list[tuple[R, bytes | None, int]]:
        """Returns the requests to answer now that the command at `index` has been executed, each with its result and
        the id of its session. A command that waits keeps its request, and a retry of it takes its place."""
        found: list[tuple[R, bytes | None, int]] = []
        request = self.placed.pop(index, None)
        if request is not None and executed.waits and request.client:
            self.waiting[Caller(command.session, command.sequence)] = request
        elif request is not None:
            self.under_way.discard(_key(request))
            found.append((request, executed.result, executed.session))
        for late in executed.answers:
            waiter = self.waiting.pop(late.caller, None)
            if waiter is not None:
                self.under_way.discard(_key(waiter))
                found.append((waiter, late.result, late.caller.session))
        return found

    def clear(self) -> None:
        self.placed.clear()
        self.under_way.clear()
        self.waiting.clear()

    def keep(self, placed: dict[int, R], taken: Iterable[PendingRequest]) -> None:
        """Keeps only the requests `placed`, `taken` (not placed yet), and those that wait for their result."""
        self.placed = placed
        kept: list[PendingRequest] = [*placed.values(), *self.waiting.values(), *taken]
        self.under_way = {_key(each) for each in kept}
