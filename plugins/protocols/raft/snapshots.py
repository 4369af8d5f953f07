"""Snapshots and log compaction (thesis, chapter 5; §7).

    log     1 2 3 4 5 6 7 8 9 10 11
            |-------------|          in the snapshot (index 7): state machine and session table
            |-------|                compacted; what trails the snapshot stays for followers that lag a little
                     5 6 7 8 9 10 11 held

Every `snapshot_every` applied entries a server takes a snapshot of its own. Snapshot and compaction are one commit. A
restart begins with the snapshot and goes on with the log.

A follower that lacks what its leader has compacted is sent the snapshot, one chunk at a time (Figure 5.3): each answer
asks for the next. Meanwhile heartbeats go on, with nothing before them that could be refused; an answer to one that was
sent after a chunk, with the chunk unanswered, says that this was lost. A follower that is down is thus sent nothing but
heartbeats. What has arrived of a snapshot is not durable: after a restart it begins anew, as under a new leader.

A leader finishes sending the snapshot that it began with, and keeps the entries after it; otherwise one that takes
snapshots faster than it sends them would never come to an end. Only a shipment without progress from one snapshot
to the next begins anew, with the newer one.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from framework import NodeId, durable, handles
from plugins.protocols.raft.clients import Serving
from plugins.protocols.raft.messages import (
    Appended,
    AppendEntries,
    Configuration,
    InstallSnapshot,
    Snapshot,
    SnapshotReceived,
)


@dataclass
class Shipment:
    """A snapshot on its way to a follower, which holds the bytes before `offset`."""

    snapshot: Snapshot
    offset: int = 0
    round: int = 0  # of heartbeats, when the chunk at `offset` was sent
    offset_before: int = -1  # when the leader took its latest snapshot


@dataclass
class Arrival:
    """What has come of the snapshot up to `index` that the leader of `term` sends."""

    term: int
    index: int
    chunks: list[bytes]
    size: int = 0


class Snapshotting(Serving):
    """Forgets the entries that a snapshot covers, and sends that to those who lack them."""

    snapshot: Snapshot | None = durable(None)

    def on_start(self) -> None:
        super().on_start()
        self.shipments: dict[NodeId, Shipment] = {}
        self.arrival: Arrival | None = None
        if self.snapshot is not None:
            self._stand_on(self.snapshot)

    @property
    def status(self) -> dict[str, str | int | bool | None]:
        snapshot = {"first": self.log.first, "snapshot": self.base_index} if self.base_index else {}
        return super().status | snapshot

    def _stand_on(self, snapshot: Snapshot) -> None:
        """Takes over the state that the snapshot holds."""
        self.machine.restore(snapshot.state)
        self.commit = self.base_index = snapshot.index
        self.base_term = snapshot.term

    # Taking one.

    def _apply(self, commit: int) -> None:
        super()._apply(commit)
        every = self.config.snapshot_every
        if every and self.commit - self.base_index >= every:
            self.take_snapshot()

    def take_snapshot(self) -> None:
        index = self.commit
        self.snapshot = Snapshot(index, self.term_at(index), self.machine.snapshot(), self.configuration_at(index))
        self.base_index, self.base_term = index, self.snapshot.term
        self.note("snapshot_taken", index=index)
        for follower, shipment in self.shipments.items():
            if shipment.offset == shipment.offset_before:
                self.shipments[follower] = shipment = Shipment(self.snapshot)
            shipment.offset_before = shipment.offset
        self.compact(index)

    def configuration_at(self, index: int) -> Configuration | None:
        """Who the servers are by the log up to `index`, if it says."""
        return None

    def compact(self, index: int) -> None:
        """Forgets entries up to `index`, but for those that trail it, and those from where a snapshot on its way ends."""
        ends = [shipment.snapshot.index - 1 for shipment in self.shipments.values()]
        self.log.compact(min([index - self.config.snapshot_trailing, *ends]))

    # Sending one.

    def on_elected(self) -> None:
        self.shipments = {}
        super().on_elected()

    def on_deposed(self) -> None:
        super().on_deposed()
        self.shipments = {}

    def is_compacted(self, start: int) -> bool:
        """Whether a follower that is to be sent entries from `start` on needs some that the log has forgotten."""
        return start <= self.base_index and (start < self.log.first or self.term_at(start - 1) < 0)

    def beat(self) -> None:
        for peer in self.peers:
            held = self.match_index[peer]
            if held + 1 < self.next_index[peer] and self.is_compacted(self.next_index[peer]):
                self.next_index[peer] = held + 1  # this heartbeat cannot be refused if what was sent has been lost
                self.probing.add(peer)
        super().beat()

    def standpoint(self, next_index: int) -> int:
        return 0 if self.is_compacted(next_index) else super().standpoint(next_index)

    def _send_entries(self, followers: list[NodeId], start: int) -> int:
        if start > self.base_index or not self.is_compacted(start):
            return super()._send_entries(followers, start)
        assert self.snapshot is not None, f"{self.id} compacted its log without a snapshot"
        for follower in followers:
            self.probing.add(follower)
            shipment = self.shipments.get(follower)
            if shipment is None or self.match_index[follower] >= shipment.snapshot.index:
                self.shipments[follower] = Shipment(self.snapshot)
                self._send_chunk(follower)
        return start

    def _send_chunk(self, follower: NodeId) -> None:
        shipment = self.shipments[follower]
        snapshot, offset = shipment.snapshot, shipment.offset
        shipment.round = self.round
        data = snapshot.state[offset : offset + self.config.snapshot_chunk]
        done = offset + len(data) == len(snapshot.state)
        self.send(
            follower,
            InstallSnapshot(self.term, snapshot.index, snapshot.term, offset, data, done, snapshot.configuration),
        )

    @handles(SnapshotReceived)
    def on_snapshot_received(self, sender: NodeId, reply: SnapshotReceived) -> None:
        if reply.term > self.term:
            self.enter_term(reply.term)
            return
        shipment = self.shipments.get(sender)
        if shipment is None or reply.term < self.term or reply.last_index != shipment.snapshot.index:
            return  # to a leader that was, or about a snapshot that is sent no more
        if reply.offset > shipment.offset or reply.offset == 0:  # 0: it has lost what it held
            shipment.offset = reply.offset
            self._send_chunk(sender)

    def on_answered(self, peer: NodeId, round: int) -> None:
        super().on_answered(peer, round)
        shipment = self.shipments.get(peer)
        if shipment is None:
            return
        if self.match_index[peer] >= shipment.snapshot.index:
            del self.shipments[peer]
        elif round > shipment.round:
            self._send_chunk(peer)

    # Receiving one.

    @handles(AppendEntries)
    def on_append_entries(self, sender: NodeId, append: AppendEntries) -> None:
        known = self.base_index - append.previous_index
        if known > 0:  # what the snapshot covers is committed: there the logs agree
            append = msgspec.structs.replace(
                append,
                previous_index=self.base_index,
                previous_term=self.base_term,
                entries=append.entries[known:],
            )
        super().on_append_entries(sender, append)

    @handles(InstallSnapshot)
    def on_install_snapshot(self, sender: NodeId, chunk: InstallSnapshot) -> None:
        index = chunk.last_index
        if chunk.term < self.term:  # from a deposed leader, which learns so
            self.send(sender, SnapshotReceived(self.term, index, 0))
            return
        if chunk.term > self.term:
            self.enter_term(chunk.term)
        self.follow(sender)
        if self.holds(chunk):
            self.arrival = None
            self._apply(index)
            self.send(sender, Appended(self.term, True, index))
            return
        arrival = self.receive(chunk)
        if chunk.done and arrival.size == chunk.offset + len(chunk.data):
            self.arrival = None
            self.install(Snapshot(index, chunk.last_term, b"".join(arrival.chunks), chunk.configuration))
            self.send(sender, Appended(self.term, True, index))
        else:
            self.send(sender, SnapshotReceived(self.term, index, arrival.size))

    def holds(self, chunk: InstallSnapshot) -> bool:
        """Whether it has no need of this snapshot: it has applied as much, or its log has the entry that ends it."""
        return chunk.last_index <= self.commit or self.term_at(chunk.last_index) == chunk.last_term

    def receive(self, chunk: InstallSnapshot) -> Arrival:
        """Takes the chunk if it is the next one of its snapshot; the first begins anew what another leader sent."""
        arrival = self.arrival
        if arrival is None or (arrival.term, arrival.index) != (chunk.term, chunk.last_index):
            self.arrival = arrival = Arrival(chunk.term, chunk.last_index, [])
        if chunk.offset == arrival.size:
            arrival.chunks.append(chunk.data)
            arrival.size += len(chunk.data)
        return arrival

    def install(self, snapshot: Snapshot) -> None:
        """Figure 5.3: the snapshot takes the place of state machine and log, none of which goes on from it."""
        self.snapshot = snapshot
        self._stand_on(snapshot)
        self.log.truncate(self.log.first)
        self.log.compact(snapshot.index)
        self.note("snapshot_installed", index=snapshot.index)
