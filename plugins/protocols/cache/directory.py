"""The directory: which nodes are caches at present. It admits nodes that send heartbeats, and drops those that do
not."""

from __future__ import annotations

from dataclasses import dataclass

from framework import (
    SECOND,
    DurableMap,
    Node,
    NodeId,
    Status,
    durable,
    durable_map,
    handles,
    on_timer,
)
from plugins.protocols.cache.config import CACHE, CacheConfig
from plugins.protocols.cache.messages import (
    Change,
    Changed,
    HandedOff,
    Heartbeat,
    Report,
    ReportRequest,
    View,
    ViewRequest,
)


@dataclass(slots=True)
class Movement:
    """The effects of one change of the caches: its start (nanoseconds), its description, and the reports of caches
    since."""

    began: int
    what: str
    moved: int = 0
    stayed: int = 0
    lost: int = 0
    ended: int = 0


class DirectoryStatus(Status):
    """Status of the directory: the epoch, and the number of caches."""

    epoch: int = 0
    caches: int = 0


class Directory(Node):
    """Numbers the lists of caches. Each differs from the one before by one event."""

    config: CacheConfig

    epoch: int = durable(0)
    """The number of the present list."""
    wanted: DurableMap[NodeId, bool] = durable_map(NodeId, bool)
    """Whether a node is requested to be a cache."""
    admitted: DurableMap[NodeId, int] = durable_map(NodeId, int)
    """The present list, with the epoch in which each cache was admitted."""

    def on_start(self) -> None:
        if not self.epoch:
            first = [node for node in self.roles[CACHE] if node not in self.config.late]
            self.epoch = 1
            for node in first:
                self.wanted[node], self.admitted[node] = True, 1
        # Volatile. After a restart a cache that lags behind gets the present list, and begins empty.
        self.heard: dict[NodeId, int] = dict.fromkeys(self.admitted, self.now)
        self.entries: dict[NodeId, int] = {}
        self.views: dict[int, View] = {self.epoch: View(self.epoch, tuple(self.admitted.items()))}
        self.movements: dict[int, Movement] = {}
        self.started = self.now
        self.look()

    @on_timer
    def look(self) -> None:
        """Drops the caches that are silent."""
        for node in [node for node in self.admitted if self.now - self.heard[node] > self.config.dead_after]:
            del self.admitted[node]
            self.publish(f"{node} is dead", lost=self.entries.get(node, 0))
        self.set_timer(self.look, after=self.config.heartbeat)

    @handles(Heartbeat)
    def on_heartbeat(self, sender: NodeId, heartbeat: Heartbeat) -> None:
        self.heard[sender], self.entries[sender] = self.now, heartbeat.entries
        if self.wanted.get(sender) and sender not in self.admitted:
            self.admitted[sender] = self.epoch + 1
            self.publish(f"{sender} joins")
        elif heartbeat.epoch < self.epoch:
            self.bring_up_to_date(sender, heartbeat.epoch)

    def bring_up_to_date(self, cache: NodeId, epoch: int) -> None:
        """Sends a cache all lists since its own, so that it hands off what it loses with each; a new one gets the
        last."""
        missed = range(epoch + 1, self.epoch + 1)
        admitted = self.admitted.get(cache)
        knows_its_past = admitted is not None and admitted <= epoch and all(each in self.views for each in missed)
        for each in missed if knows_its_past else (self.epoch,):
            self.send(cache, self.views[each])

    def publish(self, what: str, left: tuple[NodeId, ...] = (), lost: int = 0) -> None:
        """Begins an epoch with the present list, and sends it to all concerned."""
        self.epoch += 1
        view = self.views[self.epoch] = View(self.epoch, tuple(self.admitted.items()), left)
        self.movements[self.epoch] = Movement(self.now, what, lost=lost)
        self.note("view", epoch=self.epoch, what=what)
        self.multicast((*view.caches, *left), view)

    @handles(Change)
    def on_change(self, sender: NodeId, change: Change) -> None:
        cache = change.cache
        if cache not in self.roles[CACHE]:
            self.send(sender, Changed(change.operation, self.epoch, f"{cache} is not a cache"))
        elif not change.joins and list(self.admitted) == [cache]:
            self.send(sender, Changed(change.operation, self.epoch, f"{cache} is the last cache"))
        else:
            self.wanted[cache] = change.joins
            if not change.joins and cache in self.admitted:
                del self.admitted[cache]
                self.publish(f"{cache} leaves", (cache,))
            self.send(sender, Changed(change.operation, self.epoch))

    @handles(ViewRequest)
    def on_view_request(self, sender: NodeId, request: ViewRequest) -> None:
        self.send(sender, self.views[self.epoch])

    @handles(HandedOff)
    def on_handed_off(self, sender: NodeId, handed_off: HandedOff) -> None:
        movement = self.movements.get(handed_off.epoch)
        if movement is not None:
            movement.moved += handed_off.moved
            movement.stayed += handed_off.stayed
            movement.ended = self.now

    @handles(ReportRequest)
    def on_report_request(self, sender: NodeId, request: ReportRequest) -> None:
        changes = tuple(
            (
                epoch,
                (each.began - self.started) / SECOND,
                each.what,
                each.moved,
                each.stayed,
                each.lost,
                max(0, each.ended - each.began) / SECOND,
            )
            for epoch, each in self.movements.items()
        )
        self.send(sender, Report(request.operation, changes))

    @property
    def status(self) -> DirectoryStatus:
        return DirectoryStatus(("directory",), epoch=self.epoch, caches=len(self.admitted))
