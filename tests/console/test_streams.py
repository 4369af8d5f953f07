"""The raw end of a standard stream takes everything, and remembers what scripts would have read."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from framework.console.streams import GuardedStream


@pytest.fixture
def full() -> int:
    """A descriptor to which nothing can be written."""
    return os.open("/dev/full", os.O_WRONLY)


def test_what_can_be_written_is_written(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "out", os.O_CREAT | os.O_WRONLY)
    outlet = GuardedStream(descriptor)
    assert outlet.write(b"one\n") == 4
    assert outlet.write(memoryview(b"two\n")) == 4
    assert (tmp_path / "out").read_bytes() == b"one\ntwo\n"
    assert (outlet.failure, outlet.verdicts) == ("", [])
    os.close(descriptor)


def test_a_full_disk_is_remembered_with_the_lines_that_scripts_read(full: int) -> None:
    outlet = GuardedStream(full)
    for text in (b"numbers\nverd", b"ict: valid\nrun: runs/mine\n", b"verdict: unknown"):
        assert outlet.write(text) == len(text)
    assert outlet.failure == "No space left on device"
    assert outlet.verdicts == ["verdict: valid", "run: runs/mine", "verdict: unknown"]
    os.close(full)


def test_only_the_end_of_what_was_lost_is_kept(full: int) -> None:
    outlet = GuardedStream(full)
    outlet.write(b"verdict: valid\n")
    for _ in range(100):
        outlet.write(b"x" * 1_000 + b"\n")
    assert outlet.verdicts == []
    os.close(full)


def test_a_reader_that_has_gone_is_no_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    outlet = GuardedStream(writing)
    assert [outlet.write(b"verdict: valid\n") for _ in range(2)] == [15, 15]
    assert outlet.failure == ""
    os.close(writing)


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.extend(iter(lambda: os.read(reading, 65_536), b"")))
    outlet, text = GuardedStream(writing), b"0123456789" * 100_000  # more than any pipe holds
    reader.start()
    assert outlet.write(text) == len(text)
    os.close(writing)
    reader.join()
    assert b"".join(read) == text
    os.close(reading)
