"""A run folder opens whole, in part, or with one clear line; payloads read as fields and values."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

import framework.trace.reader as reader
from framework.core.errors import ConfigError
from framework.core.message import Message
from framework.run.__main__ import main as run_command
from framework.trace.reader import open_run
from framework.trace.recorder import HistoryWriter
from framework.trace.schema import EVENTS, HISTORY, EventKind, message_shape
from tests.trace.rows import Event, write_events


class Echo(Message):
    text: str
    count: int


SHAPES = json.dumps({"echo.Echo": message_shape(Echo)})
ECHO = msgspec.msgpack.encode(Echo("hi", 2))


def echo_run(folder: Path) -> Path:
    """Two nodes, a file each: n1 sends, n2 hears it twice and notes it, n1's other message is lost."""
    n1 = [
        Event(10, 100, "n1", EventKind.START),
        Event(20, 101, "n1", EventKind.SEND, "n2", "echo.Echo", 100, 40, ECHO),
        Event(20, 102, "n1", EventKind.SEND, "n3", "echo.Echo", 100, 40, ECHO),
        Event(25, 103, "n1", EventKind.DROP, "n3", "echo.Echo", 102, 40, b"lost"),
        Event(90, 104, "n1", EventKind.CRASH, payload="Traceback: é".encode()),
    ]
    n2 = [
        Event(10, 200, "n2", EventKind.START),
        Event(30, 201, "n2", EventKind.DELIVER, "n1", "echo.Echo", 101, 40),
        Event(30, 202, "n2", EventKind.NOTE, None, "heard", 201, None, b'{"term":3}'),
        Event(31, 203, "n2", EventKind.DELIVER, "n1", "echo.Echo", 101, 40),
        Event(31, 204, "n2", EventKind.DELIVER, "n1", "echo.Echo", 999, 40),
        Event(40, 205, "n2", EventKind.COMPLETE, None, None, 203, None, b'"done"'),
    ]
    write_events(folder / "trace" / "n1.arrow", n1, {1}, messages=SHAPES, engine="sim")
    write_events(folder / "trace" / "n2.arrow", n2, messages=json.dumps({"echo.Other": None}))
    return folder


def test_events_of_all_files_come_in_one_order(tmp_path: Path) -> None:
    events = open_run(echo_run(tmp_path)).events
    assert events["seq"].to_pylist() == [100, 200, 101, 102, 103, 201, 202, 203, 204, 205, 104]
    assert events["node"].to_pylist()[:3] == ["n1", "n2", "n1"]
    assert events.schema.equals(EVENTS)
    assert events.schema.metadata[b"engine"] == b"sim"


def test_a_send_and_its_deliveries_show_the_same_message(tmp_path: Path) -> None:
    run = open_run(echo_run(tmp_path))
    fields = {"text": "hi", "count": 2}
    assert [row["payload"] for row in run.messages()] == [fields, fields]
    assert [row["payload"] for row in run.messages("deliver")] == [fields, fields, None], "the last cause dangles"
    assert [row["payload"] for row in run.messages("drop")] == [fields]
    (send, _) = run.messages("send")
    assert (send["seq"], send["node"], send["peer"], send["size"]) == (101, "n1", "n2", 40)


def test_notes_completions_and_crashes_decode(tmp_path: Path) -> None:
    run = open_run(echo_run(tmp_path))
    assert [row["payload"] for row in run.messages("note")] == [{"term": 3}]
    assert [row["payload"] for row in run.messages("complete")] == [{"value": "done"}]
    assert [row["payload"] for row in run.messages("crash")] == [{"traceback": "Traceback: é"}]
    assert [row["payload"] for row in run.messages("start")] == [None, None]


def test_a_refused_connection_says_why(tmp_path: Path) -> None:
    refused = Event(5, -1, "n1", EventKind.REJECT, payload=b"a stranger closed")
    write_events(tmp_path / "trace" / "n1.arrow", [refused], messages=SHAPES)
    assert [row["payload"] for row in open_run(tmp_path).messages("reject")] == [{"why": "a stranger closed"}]


def test_past_two_gigabytes_of_payload_offsets_are_wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_BINARY_BYTES", 10)
    run = open_run(echo_run(tmp_path))
    assert str(run.events.schema.field("payload").type) == "large_binary"
    assert [row["payload"]["text"] for row in run.messages()] == ["hi", "hi"]


def test_a_message_of_unknown_shape_or_with_broken_bytes_is_one_line(tmp_path: Path) -> None:
    sends = [Event(1, 1, "n1", EventKind.SEND, "n2", name, None, 1, b"\x91\x01") for name in ("echo.Echo", "echo.Lost")]
    write_events(tmp_path / "trace" / "n1.arrow", sends, messages=SHAPES)
    run = open_run(tmp_path)
    broken, unknown = run.events.to_pylist()
    with pytest.raises(ConfigError, match=r"event 1: its payload cannot be decoded .*2 fields, 1 values"):
        run.decode(broken)
    with pytest.raises(ConfigError, match=r"no shape of message 'echo.Lost'. Known: echo.Echo."):
        run.decode(unknown)


def test_history_config_and_result_open(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path / "history.arrow")
    writer.rows.append((2, "c1", 7, "write", "x", '"1"', None, "unknown", 5, 6, None))
    writer.close()
    (tmp_path / "config.yaml").write_text("nodes: 3\nseed: 4\nnetwork: {delay: 1ms, copies: '${nodes}'}\n")
    (tmp_path / "result.json").write_text('{"verdict": "valid"}')
    run = open_run(tmp_path)
    assert run.history.schema.equals(HISTORY)
    (operation,) = run.history.to_pylist()
    assert (operation["client"], operation["outcome"], operation["completed"]) == ("c1", "unknown", None)
    assert run.config == {"nodes": 3, "seed": 4, "network": {"delay": "1ms", "copies": 3}}
    assert run.result == {"verdict": "valid"}


def test_a_run_that_was_cut_off_opens_with_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "trace").mkdir()
    (tmp_path / "trace" / "n1.arrow").touch()
    run = open_run(tmp_path)
    assert run.result == {}
    assert (run.events.num_rows, run.history.num_rows) == (0, 0)
    assert run.events.schema.equals(EVENTS) and list(run.messages()) == []
    with pytest.raises(ConfigError, match=r"config.yaml: missing"):
        _ = run.config


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere: no such run folder") as caught:
        open_run(tmp_path / "nowhere")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("trace/n7.arrow", "this is no Arrow file", "events"),
        ("history.arrow", "this is no Arrow file", "history"),
        ("result.json", '{"verdict": ', "result"),
        ("result.json", "[]", "result"),
        ("config.yaml", "a: [1", "config"),
        ("config.yaml", "- 1", "config"),
        ("config.yaml", "a: ${b}", "config"),
    ],
)
def test_a_damaged_part_is_one_line_that_names_the_file(tmp_path: Path, name: str, content: str, part: str) -> None:
    (tmp_path / "trace").mkdir()
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=name) as caught:
        getattr(open_run(tmp_path), part)
    assert "\n" not in str(caught.value)


def test_events_are_read_batch_by_batch_from_all_files_or_one(tmp_path: Path) -> None:
    for number, name in enumerate(("n1", "n2")):
        write_events(tmp_path / "trace" / f"{name}.arrow", [Event(seq, seq) for seq in (number, number + 10)], {0})
    run = open_run(tmp_path)
    assert [file.name for file in run.event_files] == ["n1.arrow", "n2.arrow"]
    seqs = [batch["seq"].to_pylist() for batch in run.event_batches() if batch.num_rows]
    assert seqs == [[0], [10], [1], [11]]
    second = [batch["seq"].to_pylist() for batch in run.event_batches(run.event_files[1]) if batch.num_rows]
    assert second == [[1], [11]]


def test_a_history_is_read_batch_by_batch_or_whole(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path / "history.arrow")
    for operation in range(6):
        writer.rows.append((operation, "c1", 7, "write", "x", '"1"', None, "unknown", 5, 6, None))
        if operation % 2:
            writer.flush()
    writer.close()
    run = open_run(tmp_path)
    assert [batch.num_rows for batch in run.history_batches() if batch.num_rows] == [2, 2, 2]
    rows = [row for batch in run.history_batches() for row in batch.to_pylist()]
    assert rows == run.history.to_pylist()


def test_damage_in_a_later_batch_is_found_when_the_walk_gets_there(tmp_path: Path) -> None:
    path = tmp_path / "history.arrow"
    with pytest.raises(StopIteration):
        next(open_run(tmp_path).history_batches())
    writer = HistoryWriter(path)
    lengths = []
    for operation in range(2):
        writer.rows.append((operation, "c1", 7, "write", "x", '"1"', None, "unknown", 5, 6, None))
        writer.flush()
        lengths.append(path.stat().st_size)
    writer.close()
    content = path.read_bytes()
    path.write_bytes(content[: lengths[1] - 8] + bytes([255]) * 8 + content[lengths[1] :])
    batches = open_run(tmp_path).history_batches()
    assert next(batches)["operation"].to_pylist() == [0]
    with pytest.raises(ConfigError, match=r"history.arrow: cannot be read: "):
        list(batches)


def test_the_events_of_an_operation_bear_its_number_in_every_kind_of_row(tmp_path: Path) -> None:
    words = ["experiment=raft_3nodes", "engine=sim", "duration=2s", "network=lossy", "network.loss=0.1"]
    assert run_command([*words, f"run.dir={tmp_path / 'run'}", "--quiet"]) in (0, 2)
    run = open_run(tmp_path / "run")
    seen: dict[str, int] = {}
    for row in run.events.to_pylist():
        carried = run.decode(row) if row["kind"] in ("invoke", "complete", "send", "deliver", "drop") else None
        assert row["operation"] == (carried or {}).get("operation"), row
        seen[row["kind"]] = seen.get(row["kind"], 0) + (row["operation"] is not None)
    assert {kind for kind, count in seen.items() if count} == {"invoke", "complete", "send", "deliver", "drop"}
