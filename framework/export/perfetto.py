"""A run as a Perfetto trace: protobuf messages of type `TrackEvent`, for https://ui.perfetto.dev and its SQL.

| in the trace             | in Perfetto                                                                               |
| ------------------------ | ----------------------------------------------------------------------------------------- |
| a node, `n1`             | a process; its tracks are `n1 roles`, `n1` (steps), `n1 events`, and the same for mounts   |
| clients, the administrator | the process `clients`; its tracks are `c1 operations`, `c1` (steps), `c1 events`         |
| a fault                  | an instant in the process `faults`, and a slice for as long as it lasts                    |
| a step                   | a slice, named by its message, timer or function; its category is the kind of its input   |
| a delivery               | a flow from the slice of the step that sent the message to the slice of the delivery      |
| a dropped message        | a flow to an instant among the events of its receiver, `drop MESSAGE`, with the reason     |
| any other event          | an instant among the events of its node                                                   |
| an operation             | a slice from its invocation to its completion                                             |
| a change of roles        | a slice for as long as the node reports them                                              |

The steps of a trace have no duration. So that slices can be seen and chosen, a step is drawn up to 20 µs wide, and ends
when the next step of the node begins. Steps of a node at one instant are drawn one after another in the order of their
`seq`, the first at their time, and events at that instant follow their step. They share what there is until the next
step, and less than the shortest delay of a message, so that no message arrives before the slice that sent it. The exact
time of each event is its argument `time`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from framework.core.errors import abbreviated
from framework.core.time import SECOND
from framework.export.message_index import ARRIVALS, Integers, MessageIndex, base_of, causes_of
from framework.export.protobuf import double, fixed64, integer, message, text, varint, varints
from framework.export.recorded_run import Payloads, RecordedRun, as_text, no_events
from framework.replication.administration import ADMINISTRATOR
from framework.trace.columns import words

STEPS = ("start", "deliver", "timer", "invoke")
STEP_NS = 20_000
"""The largest width of a step, in nanoseconds."""

CLIENTS, FAULTS = "clients", "faults"
_IS_CLIENT = re.compile(rf"c\d+|{ADMINISTRATOR}")
_NUMBERED = re.compile(r"(\D*)(\d+)")
_LAST_RANK = 1 << 20
_FOREVER = 1 << 62

# https://github.com/google/perfetto/tree/main/protos/perfetto/trace: the numbers of fields and enum values.
_PACKET = 1  # of Trace
_TIMESTAMP, _SEQUENCE_ID, _TRACK_EVENT, _INTERNED_DATA, _SEQUENCE_FLAGS, _TRACK_DESCRIPTOR = 8, 10, 11, 12, 13, 60
_STATE_CLEARED, _NEEDS_STATE = 1, 2
_CATEGORY_IID, _ANNOTATION, _TYPE, _NAME_IID, _TRACK, _FLOW_IDS = 3, 4, 9, 10, 11, 47  # of TrackEvent
_BEGIN, _END, _INSTANT = 1, 2, 3
_CATEGORIES, _EVENT_NAMES, _ANNOTATION_NAMES = 1, 2, 3  # of InternedData, each with `iid` and `name`
_IID, _NAME = 1, 2
_UUID, _TRACK_NAME, _PROCESS, _PARENT, _CHILD_ORDERING, _RANK, _PROCESS_ORDERING = 1, 2, 3, 5, 11, 12, 19
_PID, _PROCESS_NAME = 1, 6
_EXPLICIT_CHILDREN, _EXPLICIT_PROCESSES = 3, 1
_BOOL, _INT, _DOUBLE, _STRING, _ENTRIES = 2, 4, 5, 6, 11  # of DebugAnnotation, whose field 1 is the iid of its name

_SEQUENCE = integer(_SEQUENCE_ID, 1) + integer(_SEQUENCE_FLAGS, _NEEDS_STATE)
_TIMESTAMP_TAG, _EVENT_TAG = varint(_TIMESTAMP << 3), varint(_TRACK_EVENT << 3 | 2)
_PACKET_TAG, _ANNOTATION_TAG = varint(_PACKET << 3 | 2), varint(_ANNOTATION << 3 | 2)
_TYPES = {kind: integer(_TYPE, kind) for kind in (_BEGIN, _END, _INSTANT)}
_PAYLOADS_KEPT = 1 << 14
_MOST_FIELDS = 64


def write_perfetto(recorded: RecordedRun, path: Path) -> str:
    """Writes the trace of a run to `path`. Returns a summary.

    Raises ConfigError if the run has no events; OSError.
    """
    index = MessageIndex(recorded.events())
    with path.open("wb") as file:
        timeline = _Timeline(file, index, Payloads(recorded.shapes))
        for batch in recorded.events():
            timeline.add(batch)
        if not timeline.steps + timeline.instants:
            raise no_events(recorded)
        timeline.add_operations(recorded.history())
        timeline.add_faults(recorded.ledger())
        timeline.close()
    return (
        f"{timeline.steps:,} steps, {index.count:,} flows of messages, {timeline.instants:,} instants,"
        f" {timeline.operations:,} operations"
    )


class PacketWriter:
    """Writes packets. Names are interned; their packet comes before the first one that refers to them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: list[bytes] = []
        self._interned: dict[tuple[int, str], int] = {}
        cleared = integer(_SEQUENCE_ID, 1) + integer(_SEQUENCE_FLAGS, _STATE_CLEARED)
        root = integer(_UUID, 0) + integer(_PROCESS_ORDERING, _EXPLICIT_PROCESSES)
        self._packet(cleared + message(_TRACK_DESCRIPTOR, root))

    def event(self, time: int, event: bytes) -> None:
        """Writes a `TrackEvent`."""
        self._packet(b"".join((_TIMESTAMP_TAG, varint(time), _EVENT_TAG, varint(len(event)), event, _SEQUENCE)))

    def descriptor(self, descriptor: bytes) -> None:
        """Writes a `TrackDescriptor`."""
        self._packet(message(_TRACK_DESCRIPTOR, descriptor) + _SEQUENCE)

    def interned(self, table: int, name: str) -> int:
        """Returns the number of a name in one of the tables of `InternedData`."""
        iid = self._interned.get((table, name))
        if iid is None:
            iid = self._interned[table, name] = len(self._interned) + 1
            entry = message(table, integer(_IID, iid) + text(_NAME, name))
            self._packet(message(_INTERNED_DATA, entry) + _SEQUENCE)
        return iid

    def flush(self) -> None:
        """Writes what waits to the file."""
        self._file.write(b"".join(self._waiting))
        self._waiting.clear()

    def _packet(self, content: bytes) -> None:
        self._waiting.append(_PACKET_TAG + varint(len(content)) + content)


class _Annotations:
    """Encodes arguments: fields of type `DebugAnnotation`."""

    def __init__(self, packets: PacketWriter) -> None:
        self._packets = packets
        self._names: dict[str, bytes] = {}

    def numbers(self, name: str, values: Integers) -> list[bytes]:
        """Encodes a column of integers; a negative one is left out."""
        head = self._named(name) + varint(_INT << 3)
        heads = [b"", *(_ANNOTATION_TAG + varint(len(head) + length) + head for length in range(1, 10))]
        return [heads[len(encoded)] + encoded for encoded in varints(values)]

    def value(self, name: str, value: Any) -> bytes:
        """Encodes a value; a dict as one argument for each of its fields, anything deeper as abbreviated JSON."""
        if isinstance(value, dict) and len(value) <= _MOST_FIELDS:
            entries = [message(_ENTRIES, self._named(str(key)) + _scalar(item)) for key, item in value.items()]
            return message(_ANNOTATION, self._named(name) + b"".join(entries))
        return message(_ANNOTATION, self._named(name) + _scalar(value))

    def _named(self, name: str) -> bytes:
        known = self._names.get(name)
        if known is None:
            known = self._names[name] = integer(1, self._packets.interned(_ANNOTATION_NAMES, name))
        return known


def _scalar(value: Any) -> bytes:
    if isinstance(value, bool):
        return integer(_BOOL, value)
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return integer(_INT, value)
    if isinstance(value, float):
        return double(_DOUBLE, value)
    if isinstance(value, str | bytes):
        return text(_STRING, abbreviated(_legible(value)))
    return text(_STRING, abbreviated(as_text(_legible(value))))


def _legible(value: Any) -> Any:
    """Returns a value with bytes as text; those that are not UTF-8 are escaped."""
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, dict):
        return {_legible(key): _legible(item) for key, item in value.items()}
    return [_legible(item) for item in value] if isinstance(value, list | tuple) else value


class _Tracks:
    """The tracks so far: a process for each node, for the clients, and for the faults."""

    def __init__(self, packets: PacketWriter) -> None:
        self._packets = packets
        self._processes: dict[str, int] = {}
        self._tracks: dict[tuple[str, str], int] = {}
        self._ranks: dict[str, int] = {}
        self._count = 0

    def of(self, name: str | None, kind: str = "") -> int:
        """Returns the track of a node or client: its steps, or its `roles`, `events` or `operations`; of None, the
        faults: their `events`, or the spans of the fault of that name."""
        known = self._tracks.get((name or "", kind))
        if known is None:
            known = self._tracks[name or "", kind] = self.another(name, kind)
        return known

    def another(self, name: str | None, kind: str) -> int:
        """Adds a track, perhaps one more of the same name: those are shown as one."""
        if name is None:
            is_fault = kind != "events"
            return self._add(self._process(FAULTS), kind if is_fault else FAULTS, int(is_fault))
        base = base_of(name)
        is_client = _IS_CLIENT.fullmatch(base) is not None
        first = _number(base) * 8 if is_client else 8 * self._ranks.setdefault(name, len(self._ranks))
        rank = first + ("roles", "operations", "", "events").index(kind)
        return self._add(self._process(CLIENTS if is_client else base), f"{name} {kind}".rstrip(), rank)

    def _process(self, name: str) -> int:
        uuid = self._processes.get(name)
        if uuid is None:
            self._count += 1
            uuid = self._processes[name] = self._count
            process = integer(_PID, len(self._processes)) + text(_PROCESS_NAME, name)
            rank = {FAULTS: 0, CLIENTS: _LAST_RANK}.get(name, 1 + _number(name))
            self._packets.descriptor(
                integer(_UUID, uuid)
                + message(_PROCESS, process)
                + integer(_CHILD_ORDERING, _EXPLICIT_CHILDREN)
                + integer(_RANK, rank)
            )
        return uuid

    def _add(self, parent: int, name: str, rank: int) -> int:
        self._count += 1
        self._packets.descriptor(
            integer(_UUID, self._count) + integer(_PARENT, parent) + text(_TRACK_NAME, name) + integer(_RANK, rank)
        )
        return self._count


def _number(name: str) -> int:
    """Returns the place of a node among its kind: 3 of `n3`; nodes of other kinds come after `n…`."""
    numbered = _NUMBERED.fullmatch(name)
    if numbered is None:
        return _LAST_RANK // 4
    return min(int(numbered[2]), _LAST_RANK // 16) + (0 if numbered[1] in ("n", "c") else _LAST_RANK // 8)


class _Instant:
    """The steps of a node at one instant, and the events that follow each of them; not yet placed."""

    __slots__ = ("count", "events", "time")

    def __init__(self, time: int) -> None:
        self.time, self.count = time, 0
        self.events: list[tuple[int, bytes, bytes]] = []
        """(number of the step at this instant, event, end of the slice or b"")."""


class _Timeline:
    """Turns events into slices, instants and flows. `end` is the time of the last one."""

    def __init__(self, file: BinaryIO, index: MessageIndex, payloads: Payloads) -> None:
        self.steps = self.instants = self.operations = self.end = 0
        self._index = index
        self._packets = PacketWriter(file)
        self._annotations = _Annotations(self._packets)
        self._tracks = _Tracks(self._packets)
        self._payloads = payloads
        self._encoded: dict[tuple[str, str | None, bytes], bytes] = {}
        self._heads: dict[tuple[int, int, str, str], bytes] = {}
        self._names: dict[tuple[str, str], bytes] = {}
        self._under_way: dict[int, list[Any]] = {}  # by send: its encoded message, and the arrivals to come
        self._open: dict[str, _Instant] = {}  # by node
        self._roles: dict[str, int] = {}  # the nodes with a slice that shows their roles, and its track

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds events; those of an earlier call came before them."""
        is_send = pc.equal(batch["kind"].cast(pa.string()), "send")
        self._add_sends(batch.filter(is_send))
        self._add_others(batch.filter(pc.invert(is_send)))
        self.end = batch["time"][-1].as_py()
        self._packets.flush()

    def _add_sends(self, batch: pa.RecordBatch) -> None:
        copies = self._index.copies(batch["seq"].to_numpy())
        columns = batch["seq"].to_pylist(), words(batch["message"]), batch["payload"].to_pylist()
        for seq, name, payload, count in zip(*columns, copies, strict=True):
            if count:
                self._under_way[seq] = [self._payload("send", name, payload), count]

    def _add_others(self, batch: pa.RecordBatch) -> None:
        times, seqs, causes, kinds = batch["time"], batch["seq"].to_numpy(), causes_of(batch), words(batch["kind"])
        numbers = {"time": times.to_numpy(), "seq": seqs, "cause": causes}
        numbers |= {name: batch[name].fill_null(-1).to_numpy().astype("int64") for name in ("operation", "size")}
        encoded = zip(*(self._annotations.numbers(name, values) for name, values in numbers.items()), strict=True)
        arrivals = iter(self._index.arrivals(causes[[kind in ARRIVALS for kind in kinds]]))
        rows = zip(
            times.to_pylist(), kinds, words(batch["node"]), words(batch["peer"]), words(batch["message"]),
            causes.tolist(), batch["payload"].to_pylist(), self._index.departures(seqs), encoded, strict=True,
        )  # fmt: skip
        for time, kind, node, peer, name, cause, payload, departures, columns in rows:
            parts = list(columns)
            if peer is not None:
                parts.append(self._named("peer", peer))
            if node is not None and kind in ("drop", "fault"):  # its track is not that of its node
                parts.append(self._named("node", node))
            if kind in ARRIVALS:
                if arrival := next(arrivals):
                    parts.append(fixed64(_FLOW_IDS, arrival))
                parts.append(self._arrived(cause))
                if payload is not None:
                    parts.append(self._annotations.value("reason", payload))
            elif payload is not None:
                parts.append(self._payload(kind, name, payload))
            if kind in STEPS:
                parts += [fixed64(_FLOW_IDS, departure) for departure in departures]
                self._step(time, node, kind, name or kind, parts)
            else:
                self._instant(time, kind, node, peer, name, parts)
                if kind in ("status", "crash"):
                    self._show_roles(time, node, payload if kind == "status" else None)

    def add_operations(self, history: pa.Table) -> None:
        """Adds the operations of clients, in the order of their completion on each client."""
        lanes: dict[str, list[list[int]]] = {}  # by client: the end of the last slice of each track, and the track
        for batch in history.to_batches(max_chunksize=8192):
            for row in batch.to_pylist():
                self._operation(row, lanes.setdefault(row["client"], []))
            self._packets.flush()
        self.operations = history.num_rows

    def add_faults(self, ledger: Sequence[Mapping[str, Any]]) -> None:
        """Adds the spans of faults, from the run's ledger."""
        lanes: dict[str, list[list[int]]] = {}
        for entry in ledger:
            details = {name: entry[name] for name in ("against", "roles", "details") if entry.get(name)}
            for since, until in entry.get("spans") or ():
                begin, end = round(since * SECOND), self.end if until is None else round(until * SECOND)
                name = str(entry["fault"])
                track = self._lane(lanes.setdefault(name, []), begin, end, None, name)
                arguments = self._annotations.value("ledger", details)
                self._packets.event(begin, self._event(_BEGIN, track, "fault", name) + arguments)
                self._packets.event(max(begin, end), _TYPES[_END] + integer(_TRACK, track))

    def _lane(self, lanes: list[list[int]], begin: int, end: int, node: str | None, kind: str) -> int:
        """Returns a track that is free at `begin`, occupied until `end` from now on; adds one if there is none."""
        lane = next((lane for lane in lanes if lane[0] <= begin), None)
        if lane is None:
            lane = [0, self._tracks.another(node, kind)]
            lanes.append(lane)
        lane[0] = end
        return lane[1]

    def close(self) -> None:
        """Writes what waits for its place, and ends the slices of roles."""
        for instant in self._open.values():
            self._write(instant, None)
        for track in self._roles.values():
            self._packets.event(self.end, _TYPES[_END] + integer(_TRACK, track))
        self._packets.flush()

    def _operation(self, row: dict[str, Any], lanes: list[list[int]]) -> None:
        completed, outcome = row["completed"], row["outcome"]
        track = self._lane(
            lanes, row["invoked"], _FOREVER if completed is None else completed, row["client"], "operations"
        )
        title = row["function"] if outcome == "ok" else f"{row['function']} ({outcome})"
        begin = [self._event(_BEGIN, track, "operation", title)]
        for name in ("operation", "process", "key", "argument", "result", "outcome", "scheduled"):
            if row[name] is not None:
                begin.append(self._annotations.value(name, row[name]))
        self._packets.event(row["invoked"], b"".join(begin))
        if completed is not None:  # else it was under way at the end: the slice stays open
            self._packets.event(completed, _TYPES[_END] + integer(_TRACK, track))

    def _event(self, kind: int, track: int, category: str, name: str) -> bytes:
        """Returns the beginning of a `TrackEvent`."""
        key = (kind, track, category, name)
        known = self._heads.get(key)
        if known is None:
            known = self._heads[key] = b"".join(
                (
                    _TYPES[kind],
                    integer(_TRACK, track),
                    integer(_CATEGORY_IID, self._packets.interned(_CATEGORIES, category)),
                    integer(_NAME_IID, self._packets.interned(_EVENT_NAMES, name)),
                )
            )
        return known

    def _named(self, argument: str, name: str) -> bytes:
        known = self._names.get((argument, name))
        if known is None:
            known = self._names[argument, name] = self._annotations.value(argument, name)
        return known

    def _payload(self, kind: str, name: str | None, payload: bytes | None) -> bytes:
        if payload is None:
            return b""
        key = (kind, name, payload)
        encoded = self._encoded.get(key)
        if encoded is None:
            encoded = self._annotations.value("payload", self._payloads.of_event(kind, name, payload))
            if len(self._encoded) >= _PAYLOADS_KEPT:
                self._encoded.clear()
            self._encoded[key] = encoded
        return encoded

    def _arrived(self, send: int) -> bytes:
        """Returns the encoded message of a send, and forgets it after its last arrival."""
        sent = self._under_way.get(send)
        if sent is None:
            return b""
        sent[1] -= 1
        if not sent[1]:
            del self._under_way[send]
        encoded: bytes = sent[0]
        return encoded

    def _step(self, time: int, node: str, kind: str, name: str, arguments: list[bytes]) -> None:
        self.steps += 1
        base, track = base_of(node), self._tracks.of(node)
        instant = self._open.get(base)
        if instant is None or instant.time != time:
            if instant is not None:
                self._write(instant, time)
            instant = self._open[base] = _Instant(time)
        slice_end = _TYPES[_END] + integer(_TRACK, track)
        instant.events.append(
            (instant.count, b"".join((self._event(_BEGIN, track, kind, name), *arguments)), slice_end)
        )
        instant.count += 1

    def _instant(
        self, time: int, kind: str, node: str | None, peer: str | None, name: str | None, arguments: list[bytes]
    ) -> None:
        """Adds an instant at its time; if its node has steps at that time, with the last one of them."""
        self.instants += 1
        track = self._tracks.of(None if kind == "fault" else (peer or node) if kind == "drop" else node, "events")
        title = name if name and kind in ("fault", "note") else f"{kind} {name or ''}".rstrip()
        event = b"".join((self._event(_INSTANT, track, kind, title), *arguments))
        instant = None if node is None else self._open.get(base_of(node))
        if instant is None or instant.time != time:
            self._packets.event(time, event)
        else:
            instant.events.append((instant.count - 1, event, b""))

    def _write(self, instant: _Instant, until: int | None) -> None:
        """Writes the steps of an instant, one after another; the node's next step is at `until`."""
        ends = [STEP_NS * instant.count, self._index.latency]
        ends.append(None if until is None else max(0, until - instant.time))
        width = min(end for end in ends if end is not None) // instant.count
        for number, event, slice_end in instant.events:
            start = instant.time + number * width
            self._packets.event(start, event)
            if slice_end:
                self._packets.event(start + width, slice_end)

    def _show_roles(self, time: int, node: str, status: bytes | None) -> None:
        """Shows the roles in a status that has changed; None: the node has stopped."""
        if status is None:
            for name in [name for name in self._roles if base_of(name) == base_of(node)]:
                self._packets.event(time, _TYPES[_END] + integer(_TRACK, self._roles.pop(name)))
            return
        roles = _roles_in(status)
        if roles is None:
            return
        track = self._tracks.of(node, "roles")
        if self._roles.pop(node, None) is not None:
            self._packets.event(time, _TYPES[_END] + integer(_TRACK, track))
        if roles:
            self._packets.event(time, self._event(_BEGIN, track, "roles", ", ".join(roles)))
            self._roles[node] = track


def _roles_in(status: bytes) -> Sequence[str] | None:
    """Returns the roles in a record of changed fields; None if they have not changed."""
    try:
        roles = json.loads(status).get("roles")
    except (ValueError, AttributeError):
        return None
    return [str(role) for role in roles] if isinstance(roles, list) else None
