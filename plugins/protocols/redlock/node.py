"""A lock server: as much of Redis as Redlock needs, keys with a value and an expiry.

Expiry is by wall clock, as in Redis: a clock that steps forward lets keys expire early. A key that has expired is as
good as deleted, and is replaced by the next one.
"""

from __future__ import annotations

from collections.abc import Collection

from framework import DurableMap, Node, NodeId, Record, Status, durable, durable_map, handles, on_timer
from plugins.protocols.redlock.config import RedlockConfig
from plugins.protocols.redlock.messages import (
    DeleteIfEqual,
    DeleteReply,
    ExpireIfEqual,
    ExpireReply,
    SetIfAbsent,
    SetReply,
)


class Entry(Record):
    """The value of a key, and when it expires, by the server's wall clock."""

    value: str
    expires: int


class LockServerStatus(Status):
    """Status of a server: the number of its keys, those included that have expired and have not been replaced."""

    keys: int = 0


class LockServer(Node):
    """One of N independent servers. It knows nothing of the others."""

    config: RedlockConfig

    has_started: bool = durable(False)
    """Whether this is not the first start."""
    synced: DurableMap[str, Entry] = durable_map(str, Entry)
    """The keys with fsync=true."""

    def on_start(self) -> None:
        self.unsynced: dict[str, Entry] = {}
        """The keys with fsync=false: none after a crash."""
        self.takes_part = not (self.has_started and self.config.restart_delay)
        self.has_started = True
        if not self.takes_part:
            self.set_timer(self.take_part, after=int(self.config.restart_delay))

    @on_timer
    def take_part(self) -> None:
        """Every key that a crash may have lost has expired by now."""
        self.takes_part = True
        self.note("takes_part")

    @handles(SetIfAbsent)
    def on_set_if_absent(self, sender: NodeId, request: SetIfAbsent) -> None:
        if not self.takes_part:
            return  # restarted a short time ago
        entry = self.entries.get(request.key)
        is_absent = entry is None or self.is_expired(entry)
        if is_absent:
            if entry is not None:
                self.note("expired", key=request.key, value=entry.value)
            self.entries[request.key] = Entry(request.value, self.wall_clock + request.ttl)
        self.send(sender, SetReply(request.value, is_absent))

    @handles(ExpireIfEqual)
    def on_expire_if_equal(self, sender: NodeId, request: ExpireIfEqual) -> None:
        if not self.takes_part:
            return  # restarted a short time ago
        is_equal = self.holds(request.key, request.value)
        if is_equal:
            self.entries[request.key] = Entry(request.value, self.wall_clock + request.ttl)
        self.send(sender, ExpireReply(request.operation, is_equal))

    @handles(DeleteIfEqual)
    def on_delete_if_equal(self, sender: NodeId, request: DeleteIfEqual) -> None:
        if not self.takes_part:
            return  # restarted a short time ago
        is_equal = self.holds(request.key, request.value)
        if is_equal:
            del self.entries[request.key]
        self.send(sender, DeleteReply(request.operation, is_equal))

    @property
    def entries(self) -> DurableMap[str, Entry] | dict[str, Entry]:
        """The keys."""
        return self.synced if self.config.fsync else self.unsynced

    def holds(self, key: str, value: str) -> bool:
        """Returns whether the key has this value, and has not expired."""
        entry = self.entries.get(key)
        return entry is not None and entry.value == value and not self.is_expired(entry)

    def is_expired(self, entry: Entry) -> bool:
        return entry.expires <= self.wall_clock

    @property
    def status(self) -> LockServerStatus:
        return LockServerStatus((), "" if self.takes_part else "waiting", keys=len(self.entries))

    def can_serve(self, running: Collection[NodeId]) -> bool:
        """A lock needs a majority."""
        servers = (self.id, *self.peers)
        return 2 * sum(server in running for server in servers) > len(servers)
