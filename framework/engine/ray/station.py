"""A station: one process's share of a run. It owns the hosts, and everything happens in the thread of its loop.

What arrives waits in the seats' inboxes. A tick, once per turn of the loop, makes one batch for each seat that something
waits for: a step for each input, overdue timers, timers with after=0. Then effects marked `before_commit` leave; one
commit makes the changes of all seats durable; then all other effects leave, with one write for each connection. While
the commit is in flight the loop receives, and no node takes input.
"""

from __future__ import annotations

import sqlite3
from heapq import heappop
from typing import Any

import msgspec

from framework.core.durable import Change
from framework.core.errors import RAISED, PluginError
from framework.core.host import COMPLETE, MULTICAST, NOTE, SEND, Effect, Host
from framework.core.message import Message, NodeId
from framework.core.time import NEVER, SECOND
from framework.engine.base import Tally, check_nodes_own
from framework.engine.ray.frames import (
    HEADER,
    HEADER_SIZE,
    LENGTH_SIZE,
    MAX_FRAME,
    FrameError,
    check_length,
    whole_frames,
)
from framework.engine.ray.residents import Residents
from framework.engine.ray.seat import Seat
from framework.trace.schema import Kind, as_json

SOON_LIMIT = 10_000
"""Timers with after=0 in one batch; more is a node that never comes to an end."""

REJECT_ROWS = 1_000
"""Refused connections that a station records one by one; beyond, they are only counted."""

INBOX_BYTES = 64 << 20
"""What may wait for the nodes of a station before it stops reading from its connections."""

_unpack = HEADER.unpack_from


class Station(Residents):
    """Drives the nodes or clients of one process."""

    # What comes in.

    def take(self, data: bytes) -> int:
        """Takes the whole frames at the start of `data`; returns how many bytes they are. Raises FrameError."""
        at, end = 0, len(data)
        seats, decode, hosts = self.seats, self.wire.decode, len(self._names)
        try:
            while end - at >= HEADER_SIZE:
                length, index, source, target, path_length, seq = _unpack(data, at)
                if length > MAX_FRAME or length < HEADER_SIZE:
                    check_length(length, path_length)
                if source >= hosts:
                    raise FrameError(f"a frame from host {source}; there are {hosts}")
                stop = at + LENGTH_SIZE + length
                if stop > end:
                    break
                body = at + HEADER_SIZE
                path = ""
                if path_length:
                    path = data[body : body + path_length].decode()
                    body += path_length
                seat = seats[target]
                payload = data[body:stop]
                message = decode[index](payload)
                at = stop
                if seat.deaf:
                    self.outgoing.drop(source, target, path, message, index, seq, stop - body, f"{seat.id} is down")
                    continue
                seat.inbox.append((path, source, message, index, seq, stop - body))
                if not seat.dirty:
                    seat.dirty = True
                    self._dirty.append(seat)
        except msgspec.ValidationError as error:
            raise FrameError(f"{self._names[source]} sent {self.wire.misfit(index, error)}") from error
        except (LookupError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise FrameError(f"a frame that is not of this run: {type(error).__name__}: {error}") from error
        finally:
            self._inbox_bytes += at
            if self._dirty:
                self._schedule()
        return at

    @property
    def flooded(self) -> bool:
        """Whether so much waits for the nodes that nothing more should be read."""
        return self._inbox_bytes > INBOX_BYTES

    def lost(self, peer: str, frames: bytes) -> None:
        """Frames that will never reach a station."""
        for index, source, target, path, seq, payload in whole_frames(frames):
            message, why = self._decoded(index, payload), f"{self._names[target]} is down"
            self.outgoing.drop(source, target, path, message, index, seq, len(payload), why)

    def _decoded(self, index: int, payload: bytes) -> Message | None:
        """A message whose operation is to be recorded; None of another, and of one that does not fit its class, which its
        receiver would have refused."""
        if self.rows is None or not self.wire.has_operation[index]:
            return None
        try:
            return self.wire.decode[index](payload)
        except msgspec.ValidationError:
            return None

    def rejected(self, why: str) -> None:
        """A connection was refused or closed for what came over it."""
        self.rejected_count += 1
        if self.rows is not None and self.rejected_count <= REJECT_ROWS:
            first = next(iter(self.seats))
            self.rows.row(Kind.REJECT, self.now(), -1, first, payload=why.encode())

    def end(self) -> None:
        """Nothing happens any more after this."""
        self._ended = True
        self._alarm.close()
        if self.transport is not None:
            self.transport.close()

    def snapshot(self) -> Tally:
        """The tally so far, with the messages by name."""
        names = zip(self.wire.names, self._delivered, strict=True)
        self.tally.messages = {name: count for name, count in names if count}
        return self.tally

    # The tick.

    def _tick(self) -> None:
        self._scheduled = False
        if self._flying or self._ended:
            return
        dirty, self._dirty = self._dirty, []
        if self.flooded and self.transport is not None:
            self.transport.resume()
        self._inbox_bytes = 0
        ran: list[tuple[Seat, Host]] = []
        self._now = now = self.now()
        for seat in dirty:
            seat.dirty = False
            host = seat.host
            if host is not None:
                self.set_clocks(seat, host, now)
                self._batch(seat, host, now)
                if seat.host is host:
                    ran.append((seat, host))
        commit = self._collect(ran)
        refused, latency = self.troubles.refuse(commit)
        if refused:
            commit = [(node, changes) for node, changes in commit if node not in refused]
            for seat, host in ran:
                if seat.id in refused:
                    self._storage_failed(seat, refused[seat.id], host.step, asked=True)
        if not commit:
            self._land(ran, commit)
            return
        if self.rows is not None:
            self.rows.write_through()  # what becomes durable is seen by the node itself when it is started again
        self._flush()
        self._flying = commit
        self._arm()  # for what the links hold back
        if latency:
            self.loop.call_later(latency / SECOND, self._commit, ran, commit)
        else:
            self._commit(ran, commit)

    def _commit(self, ran: list[tuple[Seat, Host]], commit: list[tuple[NodeId, list[Change]]]) -> None:
        if not self._ended:
            self.commits.commit(commit, lambda why: self._landed(ran, commit, why))

    def _batch(self, seat: Seat, host: Host, now: int) -> None:
        inbox, seat.inbox = seat.inbox, []
        rows, delivered, names, has_operation = self.rows, self._delivered, self._names, self.wire.has_operation
        try:
            for path, source, message, index, seq, size in inbox:
                if path and path not in host.nodes:
                    why = f"{seat.id} has no mount {path!r}"
                    self.outgoing.drop(source, seat.index, path, message, index, seq, size, why)
                    continue
                delivered[index] += 1
                if rows is not None:
                    operation = message.operation if has_operation[index] else None  # type: ignore[attr-defined]
                    host.step = rows.deliver(now, seq, seat.index, source, path, index, size, operation)
                    host.deliver(path, names[source], message)
                    seat.marks.append((len(host.effects), host.step))
                else:
                    host.deliver(path, names[source], message)
            self.tally.steps += len(inbox)
            while host.wake <= host.now and (key := host.due()) is not None:
                self._timer(seat, host, key, host.timers[key][1])
            if host.soon:
                self._run_soon(seat, host)
        except RAISED as error:
            self.raised(seat, error)
            return
        if host.wake < NEVER:
            self.queue(seat)

    def _run_soon(self, seat: Seat, host: Host) -> None:
        rounds = 0
        while (soon := host.take_soon()) is not None:
            self._timer(seat, host, soon[0], soon[1])
            rounds += 1
            if rounds > SOON_LIMIT:
                raise PluginError(
                    seat.class_.__qualname__, f"{soon[0][1]} is set with after=0 without end",
                    "Set it once a batch, or with a delay.",
                )  # fmt: skip

    def _timer(self, seat: Seat, host: Host, key: Any, cause: int) -> None:
        self.tally.steps += 1
        if self.rows is not None:
            host.step = self.rows.row(Kind.TIMER, self._now, cause, seat.index, key[0], name=key[1])
        host.fire(key)
        if self.rows is not None:
            seat.marks.append((len(host.effects), host.step))

    def _collect(self, ran: list[tuple[Seat, Host]]) -> list[tuple[NodeId, list[Change]]]:
        """Lets go what need not wait, and gathers what is to be made durable."""
        commit: list[tuple[NodeId, list[Change]]] = []
        for seat, host in ran:
            if seat.durable:
                try:
                    if changes := host.changes():
                        self.commits.encode(seat.id, changes)
                except RAISED as error:
                    self.raised(seat, error)
                    continue
                if changes:
                    commit.append((seat.id, changes))
            if host.early:
                early, host.early = host.early, []
                self._leave(seat, host, early, host.step)
        return commit

    def _landed(self, ran: list[tuple[Seat, Host]], commit: list[tuple[NodeId, list[Change]]], why: str) -> None:
        """The commit is over; `why` it failed, or nothing. A failed one is never tried again: the nodes crash."""
        self._flying, undone, self._undone = [], self._undone, set()
        if self._ended:
            return
        why = why or self._take_back(undone)
        if why:
            for seat, host in ran:
                if seat.host is host:
                    self._storage_failed(seat, f"storage failed: {why}", host.step)
            self._land([], [])  # the others of the station go on
        else:
            self._land(ran, [part for part in commit if part[0] not in undone])
        waiting, self._when_landed = self._when_landed, []
        for work in waiting:
            work()

    def _take_back(self, nodes: set[NodeId]) -> str:
        """Undoes the part that nodes have in the commit which has just landed; why that failed, or nothing."""
        try:
            if nodes:
                self.commits.undo(nodes)
        except sqlite3.Error as error:
            return str(error)
        return ""

    def _land(self, ran: list[tuple[Seat, Host]], commit: list[tuple[NodeId, list[Change]]]) -> None:
        if commit:
            self.tally.fsyncs += 1
            if self.rows is not None:
                self._commit_rows(commit)
        for seat, host in ran:
            if seat.host is host and host.effects:
                effects, host.effects = host.effects, []
                if self.rows is None:
                    self._leave(seat, host, effects, -1)
                else:
                    self._leave_marked(seat, host, effects)
        if self.crew is not None:
            self.crew.begin_due()
        self._flush()
        if self.rows is not None:
            self.rows.flush_if_due()
        if self._dirty:
            self._schedule()
        self._arm()

    def _flush(self) -> None:
        """Writes the waiting rows to the tail, then sends what waits for other stations: what anyone has seen of this process
        can be read after its death."""
        transport = self.transport
        assert transport is not None
        if transport.waiting:
            if self.rows is not None:
                self.rows.write_through()
            transport.flush()

    def _commit_rows(self, commit: list[tuple[NodeId, list[Change]]]) -> None:
        assert self.rows is not None
        now = self.now()
        for node, changes in commit:
            index = self._index[node]
            host = self.seats[index].host
            self.rows.row(Kind.COMMIT, now, host.step if host is not None else -1, index, size=len(changes))

    # What goes out.

    def _leave_marked(self, seat: Seat, host: Host, effects: list[Effect]) -> None:
        """Lets the effects of several steps leave, each with its own step as the cause."""
        marks, seat.marks = seat.marks, []
        start = 0
        for stop, step in marks:
            if stop > start and seat.host is host:
                self._leave(seat, host, effects[start:stop], step)
                start = stop

    def _leave(self, seat: Seat, host: Host, effects: list[Effect], cause: int) -> None:
        try:
            for kind, first, second, third in effects:
                if kind == SEND:
                    self.outgoing.send(seat, (first,), second, third, cause)
                elif kind == MULTICAST:
                    self.outgoing.send(seat, first, second, third, cause)
                elif kind == COMPLETE:
                    assert self.crew is not None
                    self.crew.complete(seat, first, second, cause)
                elif kind == NOTE:
                    self.tally.notes[first] = self.tally.notes.get(first, 0) + 1
                    if self.rows is not None:
                        self.rows.row(
                            Kind.NOTE, self.now(), cause, seat.index, third, name=first, payload=as_json(second)
                        )
        except RAISED as error:
            check_nodes_own(error, seat.id, seat.class_)
            if seat.host is host:
                self.raised(seat, error)

    # Time.

    def _arm(self) -> None:
        """Sets the alarm for whatever comes next."""
        at = self._wakes[0][0] if self._wakes else NEVER
        at = min(at, self.outgoing.next_at)
        if self.crew is not None and self.crew.next_at < at:
            at = self.crew.next_at
        if at < self._alarm.at:
            self._alarm.set(at)

    def _ring(self) -> None:
        if self._ended:
            return
        now = self.now()
        while self._wakes and self._wakes[0][0] <= now:
            at, index = heappop(self._wakes)
            seat = self.seats[index]
            if seat.queued == at:
                seat.queued = NEVER
                if seat.host is not None:
                    self.wake(seat)
        self.outgoing.release(now)
        if self._flying:
            self._flush()  # these left their node before
            self._arm()
        else:
            self._scheduled = True
            self._tick()
