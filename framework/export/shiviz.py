"""A run as a log for ShiViz, https://bestchai.bitbucket.io/shiviz/: one line per event, with its vector clock.

A host is a node with its mounts, a client, or `faults` for events without a node. An event increments the clock of its
host, after it has taken over the clock of its cause, if that happened at another host: the send of a delivery, or the
fault behind a crash or a restart. ShiViz draws a line where a clock has taken over another.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from framework.core.errors import abbreviated
from framework.export.message_index import ARRIVALS, MessageIndex, base_of, causes_of
from framework.export.recorded_run import Payloads, RecordedRun, no_events
from framework.trace.columns import words

PATTERN = r"(?<host>\S+) (?<clock>\{[^}]*\}) (?<time>\S+ ms) (?<event>.*)"
"""The regular expression for ShiViz that takes a line apart. It is the first line of the log."""

FAULTS = "faults"
Clock: TypeAlias = dict[str, int]
_PAYLOAD_CHARACTERS = 120
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\n\r\u2028\u2029"}
"""What ends a line in JavaScript, with its escape in JSON."""


def write_shiviz(recorded: RecordedRun, path: Path) -> str:
    """Writes the log of a run to `path`. Returns a summary. Raises ConfigError if the run has no events; OSError."""
    index = MessageIndex(recorded.events())
    log = _Log(index, Payloads(recorded.shapes))
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.write(f"{PATTERN}\n\n")  # the second line separates several executions: there is one
        for batch in recorded.events():
            file.writelines(log.lines(batch))
    if not log.count:
        raise no_events(recorded)
    return f"{log.count:,} events of {len(log.clocks):,} hosts"


class _Log:
    """Writes events as lines. `clocks` are the vector clocks of the hosts after the last event."""

    def __init__(self, index: MessageIndex, payloads: Payloads) -> None:
        self.count = 0
        self.clocks: dict[str, Clock] = {}
        self._index = index
        self._payloads = payloads
        self._under_way: dict[int, list[Any]] = {}  # by send: its clock, and the arrivals to come
        self._faults: dict[int, Clock] = {}  # by seq

    def lines(self, batch: pa.RecordBatch) -> Iterator[str]:
        """Yields the lines of events; those of an earlier call came before them."""
        seqs, causes = batch["seq"].to_numpy(), causes_of(batch)
        rows = zip(
            batch["time"].to_pylist(), seqs.tolist(), words(batch["kind"]), words(batch["node"]), words(batch["peer"]),
            words(batch["message"]), causes.tolist(), batch["payload"].to_pylist(), self._index.copies(seqs),
            strict=True,
        )  # fmt: skip
        for time, seq, kind, node, peer, message, cause, payload, copies in rows:
            host = FAULTS if node is None else base_of(node)
            clock = self.clocks.setdefault(host, {host: 0})
            self._take_over(clock, cause, kind)
            clock[host] += 1
            if copies:
                self._under_way[seq] = [dict(clock), copies]
            if kind == "fault":
                self._faults[seq] = dict(clock)
            content = None if payload is None else self._payloads.text(str(kind), message, payload)
            text = _described(str(kind), node, peer, message, content)
            known = ",".join([f'"{name}":{count}' for name, count in sorted(clock.items(), key=itemgetter(0))])
            yield f"{host} {{{known}}} {time / 1e6:.6f} ms {text}\n"
        self.count += batch.num_rows

    def _take_over(self, clock: Clock, cause: int, kind: str | None) -> None:
        """Merges the clock of the cause of an event into that of its host."""
        other = None
        if kind in ARRIVALS and (sent := self._under_way.get(cause)) is not None:
            other = sent[0]
            sent[1] -= 1
            if not sent[1]:
                del self._under_way[cause]
        elif kind in ("crash", "restart"):
            other = self._faults.get(cause)
        for name, count in () if other is None else other.items():
            if clock.get(name, 0) < count:
                clock[name] = count


def _described(kind: str, node: str | None, peer: str | None, message: str | None, content: str | None) -> str:
    way = {"deliver": "from"}.get(kind, "to")
    parts = [
        kind,
        message or "",
        f"{way} {peer}" if peer else "",
        f"at {node}" if node is not None and "/" in node else "",
        abbreviated(content, _PAYLOAD_CHARACTERS) if content is not None else "",
    ]
    return " ".join(filter(None, parts)).translate(_LINE_ENDS)
