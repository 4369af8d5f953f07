"""The client of the cache: it knows the list of caches, and asks the one that the placement names."""

from __future__ import annotations

from framework import Client, Fail, NodeId, Ok, Operation, handles, on_timer
from plugins.protocols.cache.config import DIRECTORY, CacheConfig, shards_of
from plugins.protocols.cache.messages import (
    Change,
    Changed,
    Found,
    Get,
    Put,
    Report,
    ReportRequest,
    Stored,
    View,
    ViewRequest,
)


class CacheClient(Client):
    """Gets and puts keys, lets caches join and leave (key: the cache), and asks for a report of what moved.

    | operation | result |
    | --- | --- |
    | `get` | (value, cache); the value is None if the cache does not have it |
    | `put` | the cache |
    | `join`, `leave` | the epoch since when it is so |
    | `report` | a row for each change: see `Report` |
    """

    config: CacheConfig

    def on_start(self) -> None:
        (self.directory,) = self.roles[DIRECTORY]
        self.view: View | None = None
        self.shards: tuple[NodeId, ...] = ()
        self.operation: Operation | None = None
        self.asked: NodeId | None = None
        self.turn = 0

    def awaited_nodes(self) -> tuple[NodeId, ...]:
        return () if self.asked is None else (self.asked,)

    def invoke(self, operation: Operation) -> None:
        if operation.function in ("get", "put", "join", "leave") and not operation.key:
            self.complete(operation.id, Fail(f"{operation.function} needs a key"))
        elif operation.function == "put" and not isinstance(operation.argument, str):
            self.complete(operation.id, Fail("the value of a put is text"))
        else:
            self.operation, self.turn = operation, 0
            self.transmit()

    @on_timer
    def transmit(self) -> None:
        """Sends the request; if no answer comes, again, after another look at the list of caches."""
        assert self.operation is not None
        operation, key = self.operation, self.operation.key or ""
        self.set_timer(self.transmit, after=self.config.retry)
        if operation.function in ("join", "leave"):
            self.ask(self.directory, Change(operation.id, key, operation.function == "join"))
        elif operation.function == "report":
            self.ask(self.directory, ReportRequest(operation.id))
        else:
            if self.view is None or self.turn:
                others = [node for node in self.servers if node != self.directory]
                nodes = (self.directory, *others)
                self.send(nodes[self.turn % len(nodes)], ViewRequest())
            if self.shards:
                cache = self.shards[self.config.partitioner.shard_of(key)]
                assert self.view is not None
                if operation.function == "get":
                    self.ask(cache, Get(operation.id, key, self.view.epoch))
                else:
                    self.ask(cache, Put(operation.id, key, str(operation.argument), self.view.epoch))
        self.turn += 1

    def ask(self, node: NodeId, message: Change | ReportRequest | Get | Put) -> None:
        self.asked = node
        self.send(node, message)

    @handles(View)
    def on_view(self, sender: NodeId, view: View) -> None:
        if self.view is not None and view.epoch <= self.view.epoch:
            return  # repeated, or of one that is behind
        self.view, self.shards = view, shards_of(self.config, view.caches)
        if self.operation is not None and self.operation.function in ("get", "put"):
            self.turn = 0
            self.transmit()

    @handles(Found)
    def on_found(self, sender: NodeId, found: Found) -> None:
        self.end(found.operation, (found.value, sender))

    @handles(Stored)
    def on_stored(self, sender: NodeId, stored: Stored) -> None:
        self.end(stored.operation, sender)

    @handles(Changed)
    def on_changed(self, sender: NodeId, changed: Changed) -> None:
        if changed.refused and self.is_current(changed.operation):
            self.cancel_timer(self.transmit)
            self.operation, self.asked = None, None
            self.complete(changed.operation, Fail(changed.refused))
        else:
            self.end(changed.operation, changed.epoch)

    @handles(Report)
    def on_report(self, sender: NodeId, report: Report) -> None:
        self.end(report.operation, report.changes)

    def is_current(self, operation: int) -> bool:
        return self.operation is not None and self.operation.id == operation

    def end(self, operation: int, result: object) -> None:
        if self.is_current(operation):
            self.cancel_timer(self.transmit)
            self.operation, self.asked = None, None
            self.complete(operation, Ok(result))
