"""A Perfetto trace has the steps, messages, operations and faults of the run, counted here from its rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

from framework import open_run
from framework.export.perfetto import STEP_NS, STEPS
from framework.trace.schema import EventKind, message_shape
from tests.export.runs import exported, recorded, rows_of
from tests.trace.rows import Event

DELIVER, SEND, TIMER, DROP, NOTE = (
    EventKind.DELIVER, EventKind.SEND, EventKind.TIMER, EventKind.DROP, EventKind.NOTE,
)  # fmt: skip


class Slice(NamedTuple):
    """A slice or an instant as the UI would show it; `end` is None for an instant and an open slice."""

    process: str
    track: str
    category: str
    name: str
    begin: int
    end: int | None
    arguments: dict[str, Any]
    flows: tuple[int, ...]


def read(path: Path) -> list[Slice]:
    """Reads a trace as Perfetto does: packets in the order of time, slices of a track nested, names by number."""
    trace = Trace()
    trace.ParseFromString(path.read_bytes())
    assert trace.packet[0].sequence_flags == 1 and {packet.trusted_packet_sequence_id for packet in trace.packet} == {1}
    names: dict[str, dict[int, str]] = defaultdict(dict)
    tracks: dict[int, tuple[str, str]] = {}
    for packet in trace.packet:
        for table in ("event_categories", "event_names", "debug_annotation_names"):
            for entry in getattr(packet.interned_data, table):
                names[table][entry.iid] = entry.name
        described = packet.track_descriptor
        if described.HasField("process"):
            tracks[described.uuid] = (described.process.process_name, "")
        elif described.uuid:
            tracks[described.uuid] = (tracks[described.parent_uuid][0], described.name)
    slices: list[Slice] = []
    stacks: dict[int, list[int]] = defaultdict(list)
    events = [packet for packet in trace.packet if packet.HasField("track_event")]
    for packet in sorted(events, key=lambda packet: packet.timestamp):  # stable, as Perfetto's sorter is
        event = packet.track_event
        stack = stacks[event.track_uuid]
        if event.type == TrackEvent.TYPE_SLICE_END:
            place = stack.pop()
            slices[place] = slices[place]._replace(end=packet.timestamp)
            continue
        assert not stack, f"{slices[stack[-1]]} is still open"
        if event.type == TrackEvent.TYPE_SLICE_BEGIN:
            stack.append(len(slices))
        arguments = {
            names["debug_annotation_names"][one.name_iid]: value(one, names) for one in event.debug_annotations
        }
        category = names["event_categories"][event.category_iids[0]]
        name = names["event_names"][event.name_iid]
        process, track = tracks[event.track_uuid]
        flows = tuple(event.flow_ids)
        slices.append(Slice(process, track, category, name, packet.timestamp, None, arguments, flows))
    return slices


def value(annotation: Any, names: dict[str, dict[int, str]]) -> Any:
    if annotation.dict_entries:
        return {
            names["debug_annotation_names"][entry.name_iid]: value(entry, names) for entry in annotation.dict_entries
        }
    field = annotation.WhichOneof("value")
    return getattr(annotation, field) if field else None


@pytest.fixture(scope="module")
def shown(chaos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Slice]:
    return read(exported(chaos, "perfetto", tmp_path_factory.mktemp("perfetto") / "trace"))


def test_each_step_is_a_slice_on_the_track_of_its_node(chaos: Path, shown: list[Slice]) -> None:
    steps = {row["seq"]: row for row in rows_of(chaos) if row["kind"] in STEPS}
    slices = {one.arguments["seq"]: one for one in shown if one.category in STEPS}
    assert slices.keys() == steps.keys()
    for seq, row in steps.items():
        one = slices[seq]
        assert (one.track, one.category, one.name) == (row["node"], row["kind"], row["message"] or row["kind"])
        assert one.process == ("clients" if row["node"][0] in "ca" else row["node"])
        told = {name: row[name] for name in ("time", "cause", "operation", "peer", "size") if row[name] is not None}
        assert told.items() <= one.arguments.items()
        assert one.end is not None and one.begin <= one.end <= one.begin + STEP_NS


def test_steps_of_a_node_follow_each_other_in_the_order_of_seq_and_end_before_the_next_instant(
    shown: list[Slice],
) -> None:
    by_node: dict[str, list[Slice]] = defaultdict(list)
    for one in shown:
        if one.category in STEPS:
            by_node[one.track].append(one)
    together = 0
    for slices in by_node.values():
        slices.sort(key=lambda one: one.arguments["seq"])
        for one, following in pairwise(slices):
            assert one.end is not None and one.end <= following.begin
            assert one.arguments["time"] <= one.begin and one.end <= max(one.begin, following.begin)
            together += one.arguments["time"] == following.arguments["time"]
    assert together > 50  # else the test has not seen what it is about


def test_each_delivery_is_a_flow_from_the_step_that_sent_it(chaos: Path, shown: list[Slice]) -> None:
    rows = {row["seq"]: row for row in rows_of(chaos)}
    ends: dict[int, list[Slice]] = defaultdict(list)
    for one in shown:
        for flow in one.flows:
            ends[flow].append(one)
    flows: Counter[tuple[int, int]] = Counter()
    for pair in ends.values():
        ((sender, receiver),) = [
            (one, other)
            for one, other in permutations(pair, 2)
            if other.category in ("deliver", "drop") and rows[other.arguments["cause"]]["cause"] == one.arguments["seq"]
        ]
        assert len(pair) == 2 and sender.begin <= receiver.begin
        flows[sender.arguments["seq"], receiver.arguments["seq"]] += 1
    expected = Counter(
        (rows[row["cause"]]["cause"], row["seq"]) for row in rows.values() if row["kind"] in ("deliver", "drop")
    )
    assert flows == expected
    copies = Counter(row["cause"] for row in rows.values() if row["kind"] == "deliver")
    assert 2 in copies.values(), "nothing was duplicated"


def test_a_dropped_message_ends_at_its_receiver_with_the_reason(chaos: Path, shown: list[Slice]) -> None:
    drops = {row["seq"]: row for row in rows_of(chaos) if row["kind"] == "drop"}
    instants = {one.arguments["seq"]: one for one in shown if one.category == "drop"}
    assert instants.keys() == drops.keys()
    for seq, row in drops.items():
        one = instants[seq]
        assert (one.track, one.name) == (f"{row['peer']} events", f"drop {row['message']}")
        assert (one.arguments["node"], one.arguments["peer"]) == (row["node"], row["peer"])
        assert one.arguments["reason"] == row["payload"].decode() and len(one.flows) == 1 and one.end is None
    assert {"lost", "cut"} < {one.arguments["reason"] for one in instants.values()}


def test_a_message_is_an_argument_at_both_its_ends(chaos: Path, shown: list[Slice]) -> None:
    run = open_run(chaos)
    votes = [row for row in run.messages("deliver") if row["message"] == "raft.Vote"]
    slices = {one.arguments["seq"]: one for one in shown if "seq" in one.arguments}
    assert votes
    for row in votes:
        assert slices[row["seq"]].arguments["payload"] == row["payload"]


def test_all_other_events_are_instants(chaos: Path, shown: list[Slice]) -> None:
    instants = Counter(one.category for one in shown if one.end is None and one.category != "operation")
    others = Counter(row["kind"] for row in rows_of(chaos) if row["kind"] not in (*STEPS, "send"))
    assert instants == others
    assert {"note", "commit", "crash", "restart", "fault", "drop", "status", "complete"} <= others.keys()
    (crash,) = [one for one in shown if one.category == "crash"]
    assert (crash.track, crash.name) == (f"{crash.process} events", "crash")
    assert {one.track for one in shown if one.category == "fault" and one.end is None} == {"faults"}


def test_each_operation_is_a_slice_from_its_invocation_to_its_completion(chaos: Path, shown: list[Slice]) -> None:
    history = {row["operation"]: row for row in open_run(chaos).history.to_pylist()}
    slices = {one.arguments["operation"]: one for one in shown if one.category == "operation"}
    assert slices.keys() == history.keys()
    for number, row in history.items():
        one = slices[number]
        assert (one.process, one.track) == ("clients", f"{row['client']} operations")
        assert (one.begin, one.end) == (row["invoked"], row["completed"])
        assert one.name == (row["function"] if row["outcome"] == "ok" else f"{row['function']} ({row['outcome']})")
    assert "unknown" in {row["outcome"] for row in history.values()}


def test_roles_are_slices_until_they_change_or_the_node_stops(chaos: Path, shown: list[Slice]) -> None:
    expected: list[tuple[str, str, int]] = []
    for row in rows_of(chaos):
        if row["kind"] == "status" and (roles := msgspec.json.decode(row["payload"]).get("roles")) is not None:
            expected.append((row["node"], ", ".join(roles), row["time"]))
    slices = [one for one in shown if one.category == "roles"]
    assert sorted((one.process, one.name, one.begin) for one in slices) == sorted(expected)
    assert "leader" in {one.name for one in slices} and all(one.end is not None for one in slices)
    (crash,) = [one for one in shown if one.category == "crash"]
    assert crash.arguments["time"] in {one.end for one in slices if one.process == crash.process}


def test_faults_last_as_long_as_in_the_ledger(chaos: Path, shown: list[Slice]) -> None:
    spans = Counter(
        (entry["fault"], round(since * 1e9), round(until * 1e9))
        for entry in open_run(chaos).result["ledger"]
        for since, until in entry["spans"]
    )
    slices = [one for one in shown if one.category == "fault" and one.end is not None]
    assert Counter((one.track, one.begin, one.end) for one in slices) == spans
    assert {one.process for one in slices} == {"faults"} and len(spans) >= 4


class Ping(msgspec.Struct, array_like=True):
    """A message for traces that are written by hand."""

    text: str
    data: bytes


SHAPES = msgspec.json.encode({"p.Ping": message_shape(Ping)}).decode()
PING = msgspec.msgpack.encode(Ping("x" * 1000, b"\xff1"))


def by_hand(folder: Path) -> Path:
    """Three processes as on Ray, with a mount, and a delivery whose send is lost."""
    return recorded(
        folder,
        {
            "n1": [
                Event(10, 1, "n1/shard", TIMER, message="tick"),
                Event(10, 2, "n1", TIMER, message="tock"),
                Event(15, 3, "n1/shard", SEND, "n2/shard", "p.Ping", cause=1, size=9, payload=PING),
                Event(40, 4, "n1", SEND, "n2", "p.Ping", cause=2, size=9, payload=PING),
            ],
            "n2": [
                Event(30, 101, "n2/shard", DELIVER, "n1/shard", "p.Ping", cause=3, size=9),
                Event(31, 102, "n2/shard", DELIVER, "n1/shard", "p.Ping", cause=3, size=9),
                Event(50, 103, "n2", DELIVER, "n3", "p.Ping", cause=999, size=9),
                Event(51, 104, "n2", NOTE, message="heard", payload=b"[1]", cause=103),
            ],
            "n3": [Event(60, 205, "n1", DROP, "n2", "p.Ping", cause=4, payload=b"cut")],
        },
        [(0, "c1", 0, "read", None, "null", None, "unknown", 0, 5, None)],
        messages=SHAPES,
    )


def test_a_run_on_ray_with_mounts(tmp_path: Path) -> None:
    slices = read(exported(by_hand(tmp_path / "run"), "perfetto", tmp_path / "trace"))
    first, second, copy, other, lost, note, drop, read_ = (
        next(one for one in slices if one.arguments.get("seq", -1) == seq) for seq in (1, 101, 102, 2, 103, 104, 205, -1)
    )  # fmt: skip
    assert [one.track for one in (first, second, copy)] == ["n1/shard", "n2/shard", "n2/shard"]
    assert [one.process for one in (first, second, other)] == ["n1", "n2", "n1"]
    assert sorted(first.flows) == sorted(second.flows + copy.flows) and len(set(first.flows)) == 2
    assert other.flows == drop.flows and len(drop.flows) == 1 and lost.flows == ()
    assert second.arguments["payload"] == copy.arguments["payload"] == drop.arguments["payload"]
    assert second.arguments["payload"]["data"] == r"\xff1" and len(second.arguments["payload"]["text"]) < 250
    assert "payload" not in lost.arguments and note.arguments["payload"] == "[1]"
    assert (first.begin, first.end, other.begin) == (10, 17, 17)  # 15 ns is the shortest delay: two steps share it
    assert (read_.name, read_.begin, read_.end) == ("read (unknown)", 5, None)


def test_the_same_run_is_the_same_file(chaos: Path, tmp_path: Path) -> None:
    one, other = (exported(chaos, "perfetto", tmp_path / name).read_bytes() for name in ("a", "b"))
    assert one == other
