"""The tail beside a trace file: what was written through is read after a kill, once, and nothing half-written is."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from pyarrow import feather

from framework.core.errors import ConfigError
from framework.trace.ipc_format import Damaged
from framework.trace.reader import open_run
from framework.trace.recorder import EventWriter
from framework.trace.schema import EventKind, NameTable
from framework.trace.stream import StreamWriter
from framework.trace.tail import complete, tail_of
from tests.trace.rows import Event, record

EVENTS = [
    Event(
        10 * i,
        i,
        f"n{i % 3}",
        EventKind.SEND,
        f"n{i // 2}",
        f"echo.M{i}",
        i - 1 if i else None,
        i,
        bytes(range(i)),
        operation=None if i % 3 else 100 + i,
    )
    for i in range(9)
]


class Killed:
    """A writer that is killed in the end: what it has neither flushed nor written through is gone."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "trace" / "n1.arrow"
        self.names = NameTable()
        self.writer = EventWriter(self.path, self.names, {}, tail=True)

    def write(self, *events: Event) -> None:
        for event in events:
            record(self.writer, self.names, event)

    def read(self) -> list[Event]:
        rows = open_run(self.folder).events.to_pylist()
        by_row = {event.seq: event for event in EVENTS}
        assert rows == [by_row[row["seq"]].row() for row in rows], "what is read is what was written"
        return [by_row[row["seq"]] for row in rows]


def test_rows_that_were_written_through_are_read_and_the_others_are_not(tmp_path: Path) -> None:
    killed = Killed(tmp_path)
    killed.write(*EVENTS[:2])
    assert killed.read() == []
    killed.writer.write_through()
    killed.write(*EVENTS[2:4])
    assert killed.read() == EVENTS[:2]
    killed.writer.write_through()
    killed.writer.write_through()  # nothing waits
    assert killed.read() == EVENTS[:4]


def test_rows_become_a_batch_and_the_tail_starts_anew_with_all_names(tmp_path: Path) -> None:
    killed = Killed(tmp_path)
    killed.write(*EVENTS[:3])
    killed.writer.write_through()
    killed.write(*EVENTS[3:5])
    killed.writer.flush()
    assert tail_of(killed.path).read_bytes() == b""
    assert killed.read() == EVENTS[:5]
    killed.write(*EVENTS[5:])
    killed.writer.write_through()
    assert killed.read() == EVENTS


def test_rows_that_the_file_has_are_not_read_again(tmp_path: Path) -> None:
    killed = Killed(tmp_path)
    killed.write(*EVENTS[:6])
    killed.writer.write_through()
    tail = tail_of(killed.path).read_bytes()
    killed.writer.flush()
    tail_of(killed.path).write_bytes(tail)  # killed between the two
    assert killed.read() == EVENTS[:6]


def test_a_tail_cut_at_any_byte_gives_its_whole_records(tmp_path: Path) -> None:
    killed = Killed(tmp_path)
    for event in EVENTS[:4]:
        killed.write(event)
        killed.writer.write_through()
    whole = tail_of(killed.path).read_bytes()
    counts = []
    for length in range(len(whole), -1, -1):
        os.truncate(tail_of(killed.path), length)
        read = killed.read()
        assert read == EVENTS[: len(read)]
        counts.append(len(read))
    assert counts == sorted(counts, reverse=True) and set(counts) == {0, 1, 2, 3, 4}


def test_a_tail_that_was_overwritten_is_refused(tmp_path: Path) -> None:
    killed = Killed(tmp_path)
    for event in EVENTS[:3]:
        killed.write(event)
        killed.writer.write_through()
    whole = tail_of(killed.path).read_bytes()
    spoilt = whole[:20] + bytes((whole[20] ^ 1,)) + whole[21:]
    tail_of(killed.path).write_bytes(spoilt)
    with pytest.raises(ConfigError, match=r"n1.arrow: cannot be read: its tail was overwritten \(byte 0\)"):
        killed.read()
    tail_of(killed.path).write_bytes(whole + bytes(100))
    assert killed.read() == EVENTS[:3]


def test_a_file_that_is_closed_has_no_tail_and_the_same_digest(tmp_path: Path) -> None:
    digests = []
    for name, through in (("a", {1, 4}), ("b", set[int]())):
        killed = Killed(tmp_path / name)
        for number, event in enumerate(EVENTS):
            killed.write(event)
            if number in through:
                killed.writer.write_through()
        digests.append(killed.writer.digest)
        killed.writer.close()
        assert not tail_of(killed.path).exists()
        assert killed.read() == EVENTS
        digests.append(killed.writer.digest)
    assert len(set(digests)) == 1


@pytest.mark.parametrize("flushed", [0, 3, 6, 8])
@pytest.mark.parametrize("torn", [False, True])
def test_the_file_of_a_killed_process_can_be_completed(tmp_path: Path, flushed: int, torn: bool) -> None:
    killed = Killed(tmp_path)
    killed.write(*EVENTS[:flushed])
    killed.writer.flush()
    killed.write(*EVENTS[flushed:8])
    killed.writer.write_through()
    if torn:  # killed while it made a batch of them
        tail, size = tail_of(killed.path).read_bytes(), killed.path.stat().st_size
        killed.writer.flush()
        os.truncate(killed.path, (size + killed.path.stat().st_size) // 2)
        tail_of(killed.path).write_bytes(tail)
    complete(killed.path)
    assert not tail_of(killed.path).exists()
    assert killed.read() == EVENTS[:8]
    assert feather.read_table(killed.path).to_pylist() == [event.row() for event in EVENTS[:8]]
    content = killed.path.read_bytes()
    complete(killed.path)
    assert killed.path.read_bytes() == content, "what is complete stays as it is"
    with pytest.raises(Damaged, match="it was closed"):
        StreamWriter(killed.path, open_run(tmp_path).events.schema, resume=True)


def test_a_file_without_anything_is_completed_to_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "trace").mkdir()
    for content in (b"", b"ARROW1\0", b"ARROW1\0\0\xff"):
        (tmp_path / "trace" / "n1.arrow").write_bytes(content)
        complete(tmp_path / "trace" / "n1.arrow")
        assert feather.read_table(tmp_path / "trace" / "n1.arrow").num_rows == 0


WRITER = """
import sys
from pathlib import Path
from framework.trace.recorder import EventWriter
from framework.trace.schema import NameTable
from tests.trace.rows import Event, record

names = NameTable()
events = EventWriter(Path(sys.argv[1]) / "trace" / "n1.arrow", names, {}, tail=True)
number = 0
while True:
    for _ in range(7):
        record(events, names, Event(number, number, "n1", message=f"note-{number % 90}", payload=b'{"term": 3}'))
        number += 1
    events.write_through()
    print(number, flush=True)
    if number % 700 == 0:
        events.flush()
"""


def test_a_process_that_is_killed_loses_nothing_that_it_let_anyone_know(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        while int(child.stdout.readline()) < 3_000:
            pass
        child.send_signal(signal.SIGKILL)
        known = max((int(line) for line in child.stdout.read().split("\n")[:-1]), default=3_000)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    seqs = open_run(tmp_path).events["seq"].to_pylist()
    assert seqs == list(range(len(seqs))) and len(seqs) >= known


def test_a_record_that_does_not_fit_on_the_disk_leaves_nothing_and_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, parts: Sequence[bytes]) -> int:
        os.write(file, b"".join(parts)[:30])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    killed = Killed(tmp_path)
    killed.write(*EVENTS[:2])
    killed.writer.write_through()
    killed.write(*EVENTS[2:5])
    with monkeypatch.context() as patched:
        patched.setattr(os, "writev", full)
        with pytest.raises(OSError, match="No space left"):
            killed.writer.write_through()
    assert killed.read() == EVENTS[:2]
    killed.writer.write_through()
    assert killed.read() == EVENTS[:5]


def test_a_writer_that_cannot_flush_keeps_its_tail_and_releases_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = Killed(tmp_path)
    killed.write(*EVENTS[:3])
    killed.writer.write_through()
    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(killed.writer, "flush", lambda: (_ for _ in ()).throw(OSError("no space")))
        with pytest.raises(OSError, match="no space"):
            killed.writer.close()
    assert len(os.listdir("/proc/self/fd")) == before - 2
    assert killed.read() == EVENTS[:3]
