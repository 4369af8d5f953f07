"""Snapshots in chunks (Ongaro's thesis, Figure 5.3)."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from framework import IncomingTransfer, OutgoingTransfer


class Image(NamedTuple):
    state: bytes


def test_each_answer_asks_for_the_next_chunk() -> None:
    out = OutgoingTransfer(Image(b"abcdefg"), progressed_at=0)
    assert (out.chunk(3), out.is_last(out.chunk(3))) == (b"abc", False)
    assert out.acknowledge(3, now=10) and out.chunk(3) == b"def"
    assert not out.acknowledge(3, now=20), "answers the chunk before"
    assert out.acknowledge(6, now=30) and out.is_last(out.chunk(3))
    assert (out.offset, out.progressed_at) == (6, 30)


def test_a_receiver_that_restarts_is_sent_it_from_the_start_and_that_is_no_progress() -> None:
    out = OutgoingTransfer(Image(b"abcdefg"), progressed_at=0)
    out.acknowledge(6, now=30)
    assert out.acknowledge(0, now=40) and out.chunk(3) == b"abc"
    assert out.acknowledge(3, now=50)
    assert (out.progressed_at, out.is_stalled(since=30), out.is_stalled(since=31)) == (30, False, True)


def test_an_empty_snapshot_is_one_empty_chunk() -> None:
    out = OutgoingTransfer(Image(b""), progressed_at=0)
    assert out.chunk(3) == b"" and out.is_last(b"")


def test_chunks_of_another_snapshot_or_leader_begin_anew() -> None:
    first = IncomingTransfer.of((1, 7), None)
    first.take(0, b"ab")
    assert IncomingTransfer.of((1, 7), first) is first
    assert IncomingTransfer.of((2, 7), first) == IncomingTransfer((2, 7)) == IncomingTransfer.of((2, 7), None)


@given(st.binary(max_size=40), st.integers(1, 7), st.lists(st.sampled_from(["arrives", "lost", "twice", "late"])))
def test_whatever_is_lost_doubled_or_late_the_whole_arrives_in_order(state: bytes, size: int, fates: list[str]) -> None:
    out, into = OutgoingTransfer(Image(state), 0), IncomingTransfer((1, 1))
    earlier = (0, b"")
    fate = iter(fates)
    for _ in range(len(state) + len(fates) + 1):
        chunk = (out.offset, out.chunk(size))
        happens = next(fate, "arrives")
        arriving = {"arrives": [chunk], "lost": [], "twice": [chunk, chunk], "late": [earlier, chunk]}[happens]
        for offset, data in arriving:
            into.take(offset, data)
        earlier = chunk
        if into.size:
            out.acknowledge(into.size, now=0)
    assert into.content() == state
