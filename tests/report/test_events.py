"""States of nodes, leaders and links, from events written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from framework.core.time import MILLISECOND, SECOND
from framework.report.events import BOOTING, MOST_ENDPOINTS, MOST_MOUNTS, Events, leader_marks, link_data, node_data
from framework.trace.reader import open_run
from framework.trace.schema import EventKind
from tests.trace.rows import Event, write_events

SERVERS = ["n1", "n2", "n3"]


class Trace:
    """Writes events, and reads them as a report does."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.events = folder, []

    def add(self, at: float, node: str, kind: EventKind, payload: bytes | None = None, **more: Any) -> None:
        """`at` is in milliseconds."""
        seq = len(self.events) + 1
        self.events.append(Event(int(at * MILLISECOND), seq, node, kind, payload=payload, **more))

    def status(self, at: float, node: str, **fields: Any) -> None:
        self.add(at, node, EventKind.STATUS, json.dumps(fields).encode())

    def read(self) -> Events:
        write_events(self.folder / "trace" / "events.arrow", self.events)
        events = Events()
        events.read(open_run(self.folder).event_batches())
        return events


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    return Trace(tmp_path)


def states(data: dict[str, Any] | None, name: str) -> list[tuple[float, float, str, str]]:
    assert data is not None
    (row,) = [row for row in data["rows"] if row["name"] == name]
    return [(span["from"], span["to"], span["state"], span["detail"]) for span in row["spans"]]


def test_a_nodes_states_follow_its_starts_crashes_and_statuses(trace: Trace) -> None:
    trace.add(0, "n1", EventKind.START)
    trace.status(0, "n1", roles=["follower"], term=1)
    trace.status(500, "n1", roles=["leader"], term=2)
    trace.status(600, "n1", commit=9)
    trace.add(700, "n1", EventKind.CRASH, b"fault")
    trace.add(900, "n1", EventKind.START)
    trace.status(900, "n1", roles=["follower"], term=2)

    data = node_data(trace.read(), SERVERS, SECOND)

    assert states(data, "n1") == [
        (0, 0.5, "follower", "term 1"),
        (0.5, 0.7, "leader", "term 2"),
        (0.7, 0.9, "down", ""),
        (0.9, 1.0, "follower", "term 2"),
    ]
    assert data is not None and data["states"] == ["follower", "leader", "down"], "the longest first, down last"


def test_what_is_shown_soon_after_a_start_was_so_from_the_start(trace: Trace) -> None:
    trace.add(0, "n1", EventKind.START)
    trace.status(BOOTING / MILLISECOND - 1, "n1", roles=["follower"])
    trace.add(0, "n2", EventKind.START)
    trace.status(500, "n2", roles=["follower"])

    data = node_data(trace.read(), SERVERS, SECOND)

    assert [span[2] for span in states(data, "n1")] == ["follower"]
    assert [span[2] for span in states(data, "n2")] == ["up", "follower"]


def test_phases_that_change_with_each_operation_are_left_out(trace: Trace) -> None:
    for node, changes in (("n1", 3), ("n2", 100)):
        trace.add(0, node, EventKind.START)
        for number in range(changes):
            trace.status(number * 5, node, phase=f"phase {number}")

    data = node_data(trace.read(), SERVERS, SECOND)

    assert [span[3] for span in states(data, "n1")] == ["phase 0", "phase 1", "phase 2"]
    assert [span[3] for span in states(data, "n2")] == [""]


def test_progress_is_the_best_known_number_and_breaks_off_at_a_crash(trace: Trace) -> None:
    trace.add(0, "n1", EventKind.START)
    trace.status(0, "n1", term=1, last=7, commit=0, zeal=5)
    trace.add(0, "c1", EventKind.START)
    trace.status(0, "c1", roles=["holder"])
    trace.status(400, "n1", commit=40)
    trace.add(800, "n1", EventKind.CRASH, b"fault")

    data = node_data(trace.read(), SERVERS, SECOND)

    assert data is not None and data["progress"]["field"] == "commit"
    (node,) = data["progress"]["nodes"]
    at = dict(zip(data["progress"]["at"], node["values"], strict=True))
    assert (at[0.2], at[0.4], at[0.795], at[0.9]) == (0, 40, 40, None)


def test_a_run_whose_nodes_show_no_numbers_has_no_progress(trace: Trace) -> None:
    trace.add(0, "n1", EventKind.START)
    trace.status(0, "n1", roles=["a"], term=3, keys=2)
    data = node_data(trace.read(), SERVERS, SECOND)
    assert data is not None and data["progress"] is None


def test_clients_are_rows_only_if_they_show_something(trace: Trace) -> None:
    for name in ("n1", "c1", "c2"):
        trace.add(0, name, EventKind.START)
    trace.status(0, "c2", roles=["holder"])
    data = node_data(trace.read(), SERVERS, SECOND)
    assert data is not None and [row["name"] for row in data["rows"]] == ["n1", "c2"]


def test_each_beginning_of_a_leadership_is_a_mark(trace: Trace) -> None:
    trace.status(10, "n1", roles=["leader"], term=1)
    trace.status(20, "n1", roles=["leader"], commit=5)
    trace.status(30, "n2", roles=["leader", "member"], term=2)
    trace.status(40, "n2", roles=None)
    trace.status(50, "n2", roles=["leader"])
    trace.add(60, "n2", EventKind.CRASH, b"")
    trace.add(70, "n2", EventKind.START)
    trace.status(80, "n2", roles=["leader"], term=3)

    marks = [(mark["at"], mark["node"], mark["term"]) for mark in leader_marks(trace.read())]

    assert marks == [(0.01, "n1", 1), (0.03, "n2", 2), (0.05, "n2", 2), (0.08, "n2", 3)]


def test_a_status_that_is_no_json_object_shows_nothing(trace: Trace) -> None:
    trace.add(0, "n1", EventKind.START)
    for payload in (b"[1]", b"{", b"7"):
        trace.add(0, "n1", EventKind.STATUS, payload)
    assert [span[2] for span in states(node_data(trace.read(), SERVERS, SECOND), "n1")] == ["up"]


def test_messages_count_by_link_with_the_reasons_of_losses(trace: Trace) -> None:
    for _ in range(3):
        trace.add(1, "n2", EventKind.DELIVER, peer="n1", message="Ping")
    trace.add(1, "n2/shard-1", EventKind.DELIVER, peer="n1/shard-1", message="Ping")
    trace.add(1, "n1", EventKind.DROP, b"cut", peer="n2", message="Ping")
    trace.add(1, "n1", EventKind.DROP, b"n2 is down", peer="n2", message="Ping")
    trace.add(1, "n1", EventKind.DELIVER, peer="c1", message="Ask")

    events = trace.read()
    links = link_data(events, SERVERS)

    assert links is not None and links["names"] == ["n1", "n2", "c1"]
    assert links["delivered"] == [[0, 4, 0], [0, 0, 0], [1, 0, 0]]
    assert links["lost"][0][1] == 2 and links["why"][0][1] == "cut 1, n2 is down 1"
    assert events.types == {"delivered": {"Ping": 4, "Ask": 1}, "lost": {"Ping": 2}}


def test_many_endpoints_become_few_rows(trace: Trace) -> None:
    servers = [f"n{number}" for number in range(1, 31)]
    for name in servers:
        trace.add(1, "n1", EventKind.DELIVER, peer=name, message="Ping")
    for number in range(1, 200):
        trace.add(1, "n1", EventKind.DELIVER, peer=f"c{number}", message="Ask")

    links = link_data(trace.read(), servers)

    assert links is not None and len(links["names"]) <= MOST_ENDPOINTS + 1
    assert links["names"][-2:] == ["19 more nodes", "199 clients"]
    assert sum(map(sum, links["delivered"])) == 30 + 199


def test_of_many_nodes_those_that_led_or_crashed_are_shown(trace: Trace) -> None:
    servers = [f"n{number}" for number in range(1, 101)]
    for name in servers:
        trace.add(0, name, EventKind.START)
        trace.status(0, name, roles=["follower"])
    trace.status(100, "n90", roles=["leader"])
    trace.add(200, "n95", EventKind.CRASH, b"fault")

    data = node_data(trace.read(), servers, SECOND)

    assert data is not None and data["left_out"] == 60
    assert [row["name"] for row in data["rows"]] == [*servers[:38], "n90", "n95"]


def test_a_long_role_is_abbreviated(trace: Trace) -> None:
    trace.add(0, "n1", EventKind.START)
    trace.status(0, "n1", roles=["r" * 10_000])
    (span,) = states(node_data(trace.read(), SERVERS, SECOND), "n1")
    assert len(span[2]) < 100


def test_the_mounts_that_take_part_in_a_group_have_rows_of_their_own(trace: Trace) -> None:
    for node in ("n1", "n2"):
        trace.add(0, node, EventKind.START)
    trace.status(1, "n1", roles=["router"], hosts=["shard-1", "shard-2"])
    trace.status(1, "n2", hosts=["shard-1"], leads=["shard-1"])
    trace.status(300, "n1", leads=["shard-2"])
    trace.add(400, "n2", EventKind.CRASH, b"fault")
    trace.status(500, "n1", hosts=["shard-1"], leads=["shard-1"])
    trace.add(600, "n2", EventKind.START)
    trace.status(900, "n2", hosts=["shard-1"])

    events = trace.read()
    data = node_data(events, SERVERS, SECOND)

    assert data is not None
    assert [row["name"] for row in data["rows"]] == ["n1", "n2", "n1/shard-1", "n2/shard-1", "n1/shard-2"]
    assert states(data, "n1/shard-1") == [(0, 0.5, "member", ""), (0.5, 1, "leader", "")]
    assert states(data, "n1/shard-2") == [(0, 0.3, "member", ""), (0.3, 0.5, "leader", "")], "then it was unmounted"
    assert states(data, "n2/shard-1") == [
        (0, 0.4, "leader", ""), (0.4, 0.6, "down", ""), (0.9, 1, "member", ""),
    ]  # fmt: skip
    led = [(mark["at"], mark["node"]) for mark in leader_marks(events)]
    assert led == [(0.001, "n2/shard-1"), (0.3, "n1/shard-2"), (0.5, "n1/shard-1")]


def test_of_many_mounts_the_first_are_shown(trace: Trace) -> None:
    trace.add(0, "n1", EventKind.START)
    trace.status(0, "n1", hosts=[f"shard-{number:03}" for number in range(MOST_MOUNTS + 7)])
    data = node_data(trace.read(), SERVERS, SECOND)
    assert data is not None and len(data["rows"]) == 1 + MOST_MOUNTS and data["left_out"] == 7


def test_a_node_without_roles_shows_its_other_values_unless_they_change_with_each_operation(trace: Trace) -> None:
    trace.add(0, "n1", EventKind.START)
    trace.status(0, "n1", incarnation=1, suspects=0, load=0, watched=["n2"])
    trace.status(400, "n1", suspects=2)
    for number in range(100):
        trace.status(500 + number, "n1", load=number + 1)
    trace.add(0, "n2", EventKind.START)
    trace.status(0, "n2", roles=["voter"], votes=7)

    data = node_data(trace.read(), SERVERS, SECOND)

    assert states(data, "n1") == [
        (0, 0.4, "up", ""),
        (0.4, 1, "up", "suspects 2"),
    ]
    assert [span[3] for span in states(data, "n2")] == [""]


def test_without_a_number_of_progress_the_one_that_changes_most_is_shown(trace: Trace) -> None:
    trace.add(0, "n1", EventKind.START)
    trace.status(0, "n1", incarnation=1, suspects=0, unconfirmed=0)
    trace.status(300, "n1", suspects=1, unconfirmed=1)
    trace.status(600, "n1", suspects=2)

    data = node_data(trace.read(), SERVERS, SECOND)

    assert data is not None and (data["progress"]["field"], data["progress"]["grows"]) == ("suspects", False)
    assert set(data["progress"]["nodes"][0]["values"]) == {0, 1, 2}


def test_a_node_without_a_status_has_a_row_if_a_fault_hits_it(trace: Trace) -> None:
    for name in ("n1", "c1", "c2"):
        trace.add(0, name, EventKind.START)
    data = node_data(trace.read(), SERVERS, SECOND, {"c2": 1, "c9": 1})
    assert data is not None and [row["name"] for row in data["rows"]] == ["n1", "c2"]
    assert states(data, "c2") == [(0, 1, "up", "")]
