"""Effects leave: messages find their links, notes and completions their places."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappush
from typing import Any

from framework.core.effects import Complete, Effect, Multicast, Note, Send
from framework.core.errors import PluginError
from framework.core.message import Message, NodeId
from framework.core.random_streams import stream
from framework.engine.sim.clockwork import Clockwork
from framework.engine.sim.sim_node import Envelope, SimNode
from framework.network.model import Link
from framework.trace.schema import EVENT_ROW, OPERATION, EventKind, as_json

_pack = EVENT_ROW.pack
_pack_operation = OPERATION.pack
_SEND = int(EventKind.SEND)


class Post(Clockwork):
    """Carries what nodes send."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._codes: dict[type[Message], tuple[int, int]] = {}  # of the types that were tried often enough

    def _release(self, hosted: SimNode, effects: Sequence[Effect]) -> None:
        links = hosted.links
        for effect in effects:
            if type(effect) is Send:
                message = effect.message
                entry = links.get(effect.to)
                if entry is None:
                    entry = self._connect(hosted, effect.to)
                index, name = self._code(hosted, message)
                payload = self.wire.pack(message, hosted.node_class) if self._sized else b""
                self._send(hosted, entry, message, effect.path, index, name, effect.step, payload)
            elif isinstance(effect, Multicast):
                message, path, cause = effect.message, effect.path, effect.step
                index, name = self._code(hosted, message)
                payload = self.wire.pack(message, hosted.node_class) if self._sized else b""
                for to in effect.to:
                    entry = links.get(to)
                    if entry is None:
                        entry = self._connect(hosted, to)
                    self._send(hosted, entry, message, path, index, name, cause, payload)
            elif isinstance(effect, Note):
                self._note(hosted, effect)
            else:
                assert isinstance(effect, Complete)
                self._complete(hosted, effect.operation, effect.outcome, effect.step)

    def _note(self, hosted: SimNode, note: Note) -> None:
        self.seq += 1
        notes = self.tally.notes
        notes[note.name] = notes.get(note.name, 0) + 1
        if self._rows is not None:
            name, payload = self.recording.names.index(note.name), as_json(note.fields)
            place = self._place(hosted, note.path)
            self.recording.row(EventKind.NOTE, self.now, self.seq, note.step, place, message=name, payload=payload)

    def _send(
        self, hosted: SimNode, entry: tuple[Link, SimNode], message: Message, path: str, index: int, name: int, cause: int, payload: bytes
    ) -> None:  # fmt: skip
        link, target = entry
        self.seq = seq = self.seq + 1
        now = self.now
        size = len(payload)
        rows = self._rows
        if rows is not None:
            if path:
                self.recording.row(
                    EventKind.SEND, now, seq, cause, self._place(hosted, path), peer=self._place(target, path), message=name,
                    size=size, payload=payload, operation=self.wire.operation_of(index, message),
                )  # fmt: skip
            else:
                rows.append(_pack(now, seq, cause, size, size, hosted.index, target.index, name, _SEND))
                self._payloads.append(payload)
                if self._has_operation[index]:
                    self._operations.append(_pack_operation(seq, message.operation))  # type: ignore[attr-defined]
        delay, link_faults = link.constant, self.link_faults
        if delay >= 0 and (not link_faults.active or target is hosted):
            heappush(self._heap, (now + delay, seq, target, message, hosted, path, index, seq, size))
            return
        arrivals = (now + delay,) if delay >= 0 else self._links.transmit(link, now, size)
        if link_faults.active and arrivals:
            arrivals = link_faults.transmit((hosted.id, target.id), now, arrivals)
        if not arrivals:
            why = "cut" if link_faults.active and link_faults.cut((hosted.id, target.id)) else "lost"
            self._drop(target, (message, hosted, path, index, seq, size), why)
        elif len(arrivals) > 1:
            self._count_copies(index, len(arrivals) - 1)
        for at in arrivals:
            self.seq += 1
            heappush(self._heap, (at, self.seq, target, message, hosted, path, index, seq, size))

    def _code(self, hosted: SimNode, message: Message) -> tuple[int, int]:
        code = self._codes.get(type(message))
        if code is None:
            index = self.wire.index_of(message, hosted.node_class)
            code = index, self.recording.message_names[index]
            if type(message) in self.wire.tried:
                self._codes[type(message)] = code
        return code

    def _connect(self, hosted: SimNode, to: NodeId) -> tuple[Link, SimNode]:
        target = self.hosted_nodes.get(to)
        if target is None:
            raise PluginError(
                hosted.node_class.__qualname__,
                f"{hosted.id} sends to {to!r}, which is not a node of this run",
                "Send to self.peers.",
            )
        if target is hosted:
            link: Link = _Loopback(0)
        else:
            link = self._links.link(hosted.id, to, stream(self.experiment.seed, "link", f"{hosted.id}->{to}"))
        hosted.links[to] = entry = (link, target)
        return entry

    def _drop(self, target: SimNode, envelope: Envelope, why: str) -> None:
        message, sender, path, index, cause, size = envelope
        self.seq += 1
        name = self.wire.names[index]
        self.tally.dropped[name] = self.tally.dropped.get(name, 0) + 1
        if self._rows is not None:
            self.recording.row(
                EventKind.DROP, self.now, self.seq, cause, self._place(sender, path), peer=self._place(target, path),
                message=self.recording.message_names[index], size=size, payload=why.encode(),
                operation=self.wire.operation_of(index, message),
            )  # fmt: skip

    def _count_copies(self, index: int, copies: int) -> None:
        name = self.wire.names[index]
        self.tally.duplicated[name] = self.tally.duplicated.get(name, 0) + copies

    def _mount_gone(self, hosted: SimNode, envelope: Envelope) -> None:
        self._drop(hosted, envelope, f"{hosted.id} has no mount {envelope[2]!r}")

    def _deliver_row(self, hosted: SimNode, envelope: Envelope, seq: int) -> None:
        message, sender, path, index, cause, size = envelope
        self.recording.row(
            EventKind.DELIVER, self.now, seq, cause, self._place(hosted, path), peer=self._place(sender, path),
            message=self.recording.message_names[index], size=size, operation=self.wire.operation_of(index, message),
        )  # fmt: skip


class _Loopback(Link):
    """A node's link to itself: the next thing that happens."""

    __slots__ = ()

    def transmit(self, now: int, size: int) -> tuple[int, ...]:
        return (now,)
