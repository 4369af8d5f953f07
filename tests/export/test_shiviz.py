"""A log for ShiViz: one event a line, and clocks that know exactly what an event can know."""

from __future__ import annotations

import json
import re
from collections import Counter
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


class AsShiViz:
    """The parser and the graph of ShiViz (js/util/regexp.js, js/model/parser.js, js/model/modelGraph.js), for a file that
    is uploaded. `parents` are the events, each a host with its own time, to which it draws a line from an event."""

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        pattern, separator, log = text.split("\n", 2)
        assert not separator.strip(), "a second line that is not blank separates executions"
        expression = re.compile(f"^{pattern}$".replace("(?<", "(?P<"), re.MULTILINE)
        assert {"clock", "host", "event"} <= expression.groupindex.keys()
        self.events: dict[str, list[dict[str, int]]] = {}
        for match in expression.finditer(log.strip()):
            clock = json.loads(match["clock"])
            assert match["host"] in clock, "the local host is missing from its timestamp"
            self.events.setdefault(match["host"], []).append(clock)
        self.parents: dict[tuple[str, int], set[tuple[str, int]]] = {}
        for host, clocks in self.events.items():
            clocks.sort(key=lambda clock: clock[host])
            assert [clock[host] for clock in clocks] == list(range(1, len(clocks) + 1)), "each host counts from 1"
            self._connect(host, clocks)

    def _connect(self, host: str, clocks: list[dict[str, int]]) -> None:
        latest: dict[str, int] = {}
        for clock in clocks:
            risen = {(name, time) for name, time in clock.items() if name != host and latest.get(name, 0) < time}
            latest |= clock
            for name, time in risen:
                assert name in self.events, "a clock has an entry for an unrecognized host"
                assert 1 <= time <= len(self.events[name]), "a clock is beyond the last event of a host"
            seen = {
                (other, known)
                for name, time in risen
                for other, known in self.events[name][time - 1].items()
                if other != name
            }
            self.parents[host, clock[host]] = risen - seen


def test_shiviz_accepts_the_log_and_draws_a_line_for_each_message_that_tells_something_new(
    chaos: Path, tmp_path: Path
) -> None:
    rows, read_there = rows_of(chaos), AsShiViz(exported(chaos, "shiviz", tmp_path / "log"))
    assert sum(map(len, read_there.events.values())) == len(rows)
    counted: Counter[str] = Counter()
    events: dict[int, tuple[str, int]] = {}
    for row in rows:
        counted[host(row)] += 1
        events[row["seq"]] = (host(row), counted[host(row)])
    causes = {
        events[row["seq"]]: events[row["cause"]]
        for row in rows
        if row["kind"] in ("deliver", "drop", "crash", "restart") and host(row) != events[row["cause"]][0]
    }
    lines = [(event, parent) for event, parents in read_there.parents.items() for parent in parents]
    assert len(lines) > 1000
    assert all(causes[event] == parent for event, parent in lines)
    untold = [event for event, cause in causes.items() if cause not in read_there.parents[event]]
    for name, time in untold:  # a message from which its receiver learnt nothing, as of a duplicate
        sender, sent = causes[name, time]
        assert read_there.events[name][time - 2][sender] >= sent


def test_shiviz_reads_a_line_to_its_end_whatever_a_payload_holds(tmp_path: Path) -> None:
    text = "a\u2028b\u2029c\rd\x85e { } \\ \" '"
    note = Event(1, 1, message="said", payload=json.dumps({"text": text}, ensure_ascii=False).encode())
    log = exported(recorded(tmp_path / "run", {"n1": [note]}), "shiviz", tmp_path / "log")
    (line,) = log.read_text(encoding="utf-8").split("\n")[2:-1]
    assert not re.search("[\r\u2028\u2029]", line), "a dot in JavaScript does not match these"
    (clock,) = AsShiViz(log).events["n1"]
    assert clock == {"n1": 1}
