"""A cache: the entries of the shards that the placement gives to this node, as long as there is room."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from framework import Node, NodeId, Status, handles, on_timer
from plugins.protocols.cache.config import DIRECTORY, CacheConfig, shards_of
from plugins.protocols.cache.messages import (
    Found,
    Get,
    HandedOff,
    Handoff,
    Heartbeat,
    Put,
    Stored,
    View,
    ViewRequest,
)


class CacheStatus(Status):
    """Status of a cache: the epoch that it knows, its entries, and how many requests it has answered."""

    epoch: int = 0
    entries: int = 0
    answered: int = 0


class Cache(Node):
    """Serves the clients that know the same list of caches. Nothing is durable: a cache that restarts is empty."""

    config: CacheConfig

    def on_start(self) -> None:
        (self.directory,) = self.roles[DIRECTORY]
        self.view: View | None = None
        self.shards: tuple[NodeId, ...] = ()
        self.entries: dict[str, str] = {}  # the longest unused one first
        self.early: list[tuple[NodeId, Handoff]] = []  # of the epoch after this one
        self.answered = 0
        self.beat()

    @on_timer
    def beat(self) -> None:
        self.send(self.directory, Heartbeat(0 if self.view is None else self.view.epoch, len(self.entries)))
        self.set_timer(self.beat, after=self.config.heartbeat)

    # The list of caches.

    @handles(View)
    def on_view(self, sender: NodeId, view: View) -> None:
        """Adopts the next list, and hands off what it loses with it. After a gap the entries are out of date."""
        before = self.view
        if before is not None and view.epoch <= before.epoch:
            return  # repeated
        follows = before is not None and view.epoch == before.epoch + 1
        admitted = view.admitted_in(self.id)
        stays = follows and admitted is not None and admitted < view.epoch
        self.view, self.shards = view, shards_of(self.config, view.caches)
        if follows and (stays or self.id in view.left):
            self.hand_off(view)
        if not stays:
            self.entries.clear()
        early, self.early = self.early, []
        for cache, handoff in early:
            self.on_handoff(cache, handoff)

    def owner(self, key: str) -> NodeId | None:
        return self.shards[self.config.partitioner.shard_of(key)] if self.shards else None

    def hand_off(self, view: View) -> None:
        """Sends away the entries that are another cache's from now on."""
        leaving: dict[NodeId, list[tuple[str, str]]] = defaultdict(list)
        for key, value in self.entries.items():
            owner = self.owner(key)
            if owner is not None and owner != self.id:
                leaving[owner].append((key, value))
        moved = 0
        for owner, entries in leaving.items():
            moved += len(entries)
            for key, _ in entries:
                del self.entries[key]
            for start in range(0, len(entries) if self.config.handoff else 0, self.config.chunk):
                self.send(owner, Handoff(view.epoch, tuple(entries[start : start + self.config.chunk])))
        self.send(self.directory, HandedOff(view.epoch, moved, len(self.entries)))
        self.note("handed_off", epoch=view.epoch, moved=moved, stayed=len(self.entries))

    @handles(Handoff)
    def on_handoff(self, sender: NodeId, handoff: Handoff) -> None:
        """Takes entries over, unless it has been given newer ones."""
        epoch = 0 if self.view is None else self.view.epoch
        if handoff.epoch > epoch:
            self.early.append((sender, handoff))
        elif handoff.epoch == epoch:
            for key, value in handoff.entries:
                if key not in self.entries and self.owner(key) == self.id:
                    self.keep(key, value)

    @handles(ViewRequest)
    def on_view_request(self, sender: NodeId, request: ViewRequest) -> None:
        if self.view is not None:
            self.send(sender, self.view)

    # Clients.

    @handles(Get)
    def on_get(self, sender: NodeId, get: Get) -> None:
        if self.is_of_this_epoch(sender, get.epoch):
            value = self.entries.pop(get.key, None)
            if value is not None:
                self.entries[get.key] = value  # the latest used
            self.answered += 1
            self.send(sender, Found(get.operation, value))

    @handles(Put)
    def on_put(self, sender: NodeId, put: Put) -> None:
        if self.is_of_this_epoch(sender, put.epoch):
            self.keep(put.key, put.value)
            self.answered += 1
            self.send(sender, Stored(put.operation))

    def is_of_this_epoch(self, client: NodeId, epoch: int) -> bool:
        """Returns whether client and cache know the same list; otherwise whoever is behind is brought up to date."""
        if self.view is None or epoch > self.view.epoch:
            self.beat()
            return False
        if epoch < self.view.epoch:
            self.send(client, self.view)
            return False
        return True

    def keep(self, key: str, value: str) -> None:
        self.entries.pop(key, None)
        self.entries[key] = value
        if len(self.entries) > self.config.capacity:
            del self.entries[next(iter(self.entries))]
            self.note("evicted")

    # Observable state.

    @property
    def status(self) -> CacheStatus:
        roles = ("cache",) if self.view is not None and self.id in self.view.caches else ()
        epoch = 0 if self.view is None else self.view.epoch
        return CacheStatus(roles, epoch=epoch, entries=len(self.entries), answered=self.answered)

    def can_serve(self, running: Collection[NodeId]) -> bool:
        return self.directory in running and len(set(running) - {self.directory}) > 0
