"""A log for ShiViz: one event a line, and clocks that know exactly what an event can know."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from framework.export.shiviz import PATTERN
from tests.export.runs import exported, recorded, rows_of
from tests.export.test_perfetto import by_hand
from tests.trace.rows import Event

Line = tuple[str, dict[str, int], str, str]


def read(path: Path) -> list[Line]:
    """Reads a log as ShiViz does: the first line is the pattern, the second separates executions."""
    pattern, separator, *lines = path.read_text(encoding="utf-8").split("\n")
    assert (pattern, separator, lines.pop()) == (PATTERN, "", "")
    in_python = re.compile(pattern.replace("(?<", "(?P<"))
    found = [in_python.fullmatch(line) for line in lines]
    assert all(found)
    return [(one["host"], json.loads(one["clock"]), one["time"], one["event"]) for one in found if one]


def host(row: dict[str, Any]) -> str:
    return "faults" if row["node"] is None else str(row["node"]).partition("/")[0]


def test_every_event_is_a_line_of_its_host_whose_own_clock_counts(chaos: Path, tmp_path: Path) -> None:
    rows, lines = rows_of(chaos), read(exported(chaos, "shiviz", tmp_path / "log"))
    assert [name for name, *_ in lines] == [host(row) for row in rows]
    counted: dict[str, int] = {}
    for name, clock, _, _ in lines:
        counted[name] = counted.get(name, 0) + 1
        assert clock[name] == counted[name]


def test_a_clock_is_all_that_happened_before(chaos: Path, tmp_path: Path) -> None:
    """The naive twin: the set of events that lead to an event, by host."""
    rows, lines = rows_of(chaos)[:3000], read(exported(chaos, "shiviz", tmp_path / "log"))[:3000]
    past: dict[int, frozenset[int]] = {}
    last: dict[str, int] = {}
    hosts = {row["seq"]: host(row) for row in rows}
    for row, (name, clock, _, _) in zip(rows, lines, strict=True):
        seq = row["seq"]
        known = past[last[name]] if name in last else frozenset()
        if row["kind"] in ("deliver", "drop", "crash", "restart"):
            known |= past[row["cause"]]
        past[seq] = known | {seq}
        last[name] = seq
        if seq % 7 == 0:
            expected: dict[str, int] = {}
            for event in past[seq]:
                expected[hosts[event]] = expected.get(hosts[event], 0) + 1
            assert clock == expected


def test_the_lines_read_well(tmp_path: Path) -> None:
    lines = read(exported(by_hand(tmp_path / "run"), "shiviz", tmp_path / "log"))
    told = [(name, clock, time, event[:40]) for name, clock, time, event in lines]
    assert told[:4] == [
        ("n1", {"n1": 1}, "0.000010 ms", "timer tick at n1/shard"),
        ("n1", {"n1": 2}, "0.000010 ms", "timer tock"),
        ("n1", {"n1": 3}, "0.000015 ms", 'send p.Ping to n2/shard at n1/shard {"te'),
        ("n2", {"n1": 3, "n2": 1}, "0.000030 ms", "deliver p.Ping from n1/shard at n2/shard"),
    ]
    assert lines[-1] == ("n1", {"n1": 5}, "0.000060 ms", 'drop p.Ping to n2 {"why":"cut"}')


def test_a_payload_with_a_line_break_stays_on_its_line(tmp_path: Path) -> None:
    note = Event(1, 1, message="said", payload=b'{"text":"a\\nb}"}')
    (line,) = read(exported(recorded(tmp_path / "run", {"n1": [note]}), "shiviz", tmp_path / "log"))
    assert line == ("n1", {"n1": 1}, "0.000001 ms", r'note said {"text":"a\nb}"}')
