"""Invariants of the service.

| property | definition |
| --- | --- |
| first in, first out | a server serves the requests that it has accepted in the order of their arrival, each once |
| answered once | a dispatcher answers a request once |
| served as named | a request is answered only after the server that the answer names has served it |
| outstanding counted | a dispatcher counts at each server the requests that it awaits from there |
| reports in order | a dispatcher never replaces a load report by an older one |
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, TypeVar

from framework import CLOCKS_APART, Invariant, Node, NodeId, OperationId, Step, Violation
from plugins.protocols.service.messages import Response
from plugins.protocols.service.node import Dispatcher, Server

K = TypeVar("K")


class _Added:
    """Finds what has been added to a dict in memory since its node was last seen, in order."""

    def __init__(self) -> None:
        self.seen: dict[NodeId, int] = {}

    def since(self, step: Step, records: dict[K, Any]) -> list[K]:
        seen = 0 if step.started else self.seen.get(step.node, 0)
        self.seen[step.node] = len(records)
        return list(_last(records, len(records) - seen))


def _last(records: dict[K, Any], count: int) -> Iterable[K]:
    latest = [key for key, _ in zip(reversed(records), range(count), strict=False)]
    return reversed(latest)


class FirstInFirstOut(Invariant[Server]):
    """Checks first in, first out."""

    def __init__(self) -> None:
        self.accepted, self.served = _Added(), _Added()
        self.waiting: dict[NodeId, deque[OperationId]] = {}

    def observe(self, step: Step, node: Server) -> None:
        if step.started:
            self.waiting[step.node] = deque()
        waiting = self.waiting[step.node]
        waiting.extend(self.accepted.since(step, node.accepted))
        for operation in self.served.since(step, node.served):
            if not waiting or waiting[0] != operation:
                first = f"request {waiting[0]} is the first that waits" if waiting else "no request waits"
                what = f"{step.node} has served request {operation}, and {first}"
                raise Violation("first in, first out", (step.node,), what)
            waiting.popleft()
        if node.finished != len(node.served):
            what = f"{step.node} has served {len(node.served)} requests {node.finished} times"
            raise Violation("first in, first out", (step.node,), what)


class AnsweredOnce(Invariant[Dispatcher]):
    """Checks answered once."""

    def observe(self, step: Step, node: Dispatcher) -> None:
        if node.answers != len(node.answered):
            what = f"{step.node} has given {node.answers} answers to {len(node.answered)} requests"
            raise Violation("answered once", (step.node,), what)


class ServedAsNamed(Invariant[Node]):
    """Checks served as named. On several machines an answer may be seen up to `CLOCKS_APART` before the service."""

    def __init__(self) -> None:
        self.served, self.answered = _Added(), _Added()
        self.by: dict[OperationId, tuple[NodeId, ...]] = {}
        self.expected: dict[tuple[OperationId, NodeId], tuple[int, NodeId]] = {}

    def observe(self, step: Step, node: Node) -> None:
        if isinstance(node, Server):
            for operation in self.served.since(step, node.served):
                self.by[operation] = (*self.by.get(operation, ()), step.node)
                self.expected.pop((operation, step.node), None)
        elif isinstance(node, Dispatcher):
            for operation in self.answered.since(step, node.answered):
                answer = node.answered[operation]
                if isinstance(answer, Response) and answer.server not in self.by.get(operation, ()):
                    self.expected[operation, answer.server] = step.time, step.node
        for (operation, server), (since, dispatcher) in self.expected.items():
            if step.time > since + CLOCKS_APART:
                what = f"{dispatcher} has answered request {operation}, which {server} has not served"
                raise Violation("served as named", (dispatcher, server), what)


class OutstandingCounted(Invariant[Dispatcher]):
    """Checks outstanding counted."""

    def observe(self, step: Step, node: Dispatcher) -> None:
        awaited = Counter(pending.server for pending in node.pending.values())
        for server, count in node.table.outstanding.items():
            if count != awaited[server]:
                what = f"{step.node} counts {count} requests outstanding at {server}, and awaits {awaited[server]}"
                raise Violation("outstanding counted", (step.node, server), what)


class ReportsInOrder(Invariant[Dispatcher]):
    """Checks reports in order."""

    def __init__(self) -> None:
        self.stamps: dict[NodeId, dict[NodeId, tuple[int, int]]] = {}

    def observe(self, step: Step, node: Dispatcher) -> None:
        if step.started:
            self.stamps[step.node] = {}
        known = self.stamps[step.node]
        for server, report in node.table.reports.items():
            if report.stamp < known.get(server, report.stamp):
                what = f"{step.node} takes report {report.stamp} of {server} for newer than {known[server]}"
                raise Violation("reports in order", (step.node, server), what)
            known[server] = report.stamp


INVARIANTS: tuple[type[Invariant[Any]], ...] = (
    FirstInFirstOut,
    AnsweredOnce,
    ServedAsNamed,
    OutstandingCounted,
    ReportsInOrder,
)
