"""Status rows: what a node shows of itself, as it changes, and never more than the run can bear."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from framework.core.client import Operation
from framework.core.node import handles, on_timer
from framework.core.status import Status
from framework.core.time import MILLISECOND, Duration
from framework.engine.shared.status_rows import EVERY
from framework.load.workload import WorkloadConfig
from framework.registry.specs import ProtocolSpec
from framework.trace.reader import open_run
from tests.engine.sim.journal import Append, Appended, Engine, Journal, Writer, crash, experiment, moody, simulate

Row = tuple[int, str, dict[str, Any]]


class Counted(Status):
    appended: int = 0
    last: str | None = None


class Showing(Journal):
    """Shows how many lines it was asked to append; a timer takes its role away, and gives it another one."""

    def on_start(self) -> None:
        super().on_start()
        self.count, self.role = 0, "fresh"
        self.set_timer(self.turn, after=123_456_789)

    @handles(Append)
    def on_append(self, sender: str, append: Append) -> None:
        self.count += 1
        super().on_append(sender, append)

    @on_timer
    def turn(self) -> None:
        self.role = "" if self.role else "old"
        self.set_timer(self.turn, after=123_456_789)

    @property
    def status(self) -> Counted:
        return Counted((self.role,) if self.role else (), "", None, self.count, self.role or None)


class Busy(Writer):
    """A client that shows that it waits, and notes when it begins."""

    waits = False

    def invoke(self, operation: Operation) -> None:
        self.waits = True
        self.note("began")
        super().invoke(operation)

    @property
    def status(self) -> Status:
        return Status(("waiting",) if self.waits else ())


def status_rows(
    folder: Path, node: type[Journal] = Showing, client: type[Writer] = Writer, **changes: Any
) -> list[Row]:
    protocol = ProtocolSpec(name="journal", summary="", node=node, client=client)
    simulate(experiment(folder, protocol=protocol, **changes))
    rows = [row for row in open_run(folder).events.to_pylist() if row["kind"] == "status"]
    return [(row["time"], row["node"], json.loads(row["payload"])) for row in rows]


def test_an_incarnation_begins_with_all_that_is_set_and_goes_on_with_changes(tmp_path: Path) -> None:
    rows = [row for row in status_rows(tmp_path) if row[1] == "n1"]

    assert rows[0] == (0, "n1", {"roles": ["fresh"], "appended": 0, "last": "fresh"})
    (turned, _, gone), *_ = [row for row in rows if "roles" in row[2] and row[0]]
    assert (turned, gone["roles"], gone["last"]) == (123_456_789, None, None), "at the step of its timer"
    counts = [row[2]["appended"] for row in rows if "appended" in row[2]]
    assert counts == sorted(set(counts)) and len(counts) > 5
    assert all(fields for _, _, fields in rows), "a row has changes"


def test_higher_numbers_alone_make_a_row_every_ten_milliseconds(tmp_path: Path) -> None:
    rows = [row for row in status_rows(tmp_path) if row[1] == "n1"]

    grown = [at for at, _, fields in rows[:-1] if set(fields) == {"appended"}]  # the last one is of the end
    before = {at: rows[place - 1][0] for place, (at, _, _) in enumerate(rows)}
    assert grown and all(at - before[at] >= EVERY for at in grown)


def test_a_restart_begins_anew(tmp_path: Path) -> None:
    rows = status_rows(tmp_path, faults=crash("300ms"))

    firsts = [(at, node) for at, node, fields in rows if "last" in fields and fields["last"] == "fresh" and at]
    assert firsts == [(400 * MILLISECOND, "n1")]


def test_nodes_that_show_nothing_make_no_rows_and_clients_show_what_they_note(tmp_path: Path) -> None:
    assert status_rows(tmp_path / "nothing", Journal) == []
    rows = status_rows(tmp_path / "client", Journal, Busy)
    assert {(node[0], tuple(fields["roles"])) for _, node, fields in rows} == {("c", ("waiting",))}


def test_statuses_are_read_alike_at_every_trace_level(tmp_path: Path) -> None:
    protocol = ProtocolSpec(name="journal", summary="", node=Showing, client=Writer)
    found = []
    for level in ("full", "history"):
        changes = {"trace": level, "network": moody(), "faults": crash("300ms"), "protocol": protocol}
        simulate(experiment(tmp_path / level, **changes))
        found.append(open_run(tmp_path / level).history.to_pylist())
    assert found[0] == found[1]


class Failing(Showing):
    """Its status raises once it has been asked to append something."""

    @property
    def status(self) -> Counted:
        if self.count:
            raise ValueError("no status")
        return super().status


def test_a_status_that_raises_stops_its_node_at_every_trace_level(tmp_path: Path) -> None:
    protocol = ProtocolSpec(name="journal", summary="", node=Failing, client=Writer)
    for level in ("full", "none"):
        result = simulate(experiment(tmp_path / level, protocol=protocol, trace=level))
        assert {crash.node for crash in result.crashes} == {"n1"}
        assert all("no status" in crash.why and crash.traceback for crash in result.crashes)


def pausing(pause: str) -> WorkloadConfig:
    return WorkloadConfig(timeout=Duration("200ms"), think_time=Duration(pause))


class Alternating(Journal):
    """Its role changes with each message; it makes no notes and sets no timers."""

    role, seen, other = "a", 0, 0

    def on_start(self) -> None:
        pass

    @handles(Append)
    def on_append(self, sender: str, append: Append) -> None:
        self.role, self.seen = ("b" if self.role == "a" else "a"), self.seen + 1
        self.send(sender, Appended(append.operation, self.seen))

    @property
    def status(self) -> Counted:
        return Counted((self.role,), "", None, self.seen)


def test_a_change_by_a_message_alone_is_recorded_ten_milliseconds_later_at_most(tmp_path: Path) -> None:
    rows = status_rows(tmp_path, Alternating, clients=("c1",), workload_config=pausing("100ms"))

    roles = [(at, fields["roles"]) for at, _, fields in rows if "roles" in fields]
    assert [role for _, role in roles] == [["a" if place % 2 == 0 else "b"] for place in range(len(roles))]
    delivered = [
        row["time"] for row in open_run(tmp_path).events.to_pylist() if (row["kind"], row["node"]) == ("deliver", "n1")
    ]
    assert len(roles) == 1 + len(delivered) > 5
    assert all(0 <= at - since <= EVERY for (at, _), since in zip(roles[1:], delivered, strict=True))


def test_the_last_values_are_recorded_at_the_end(tmp_path: Path) -> None:
    rows = status_rows(tmp_path, Alternating)
    answered = sum(row["outcome"] == "ok" for row in open_run(tmp_path).history.to_pylist())
    assert [fields["appended"] for _, _, fields in rows if "appended" in fields][-1] >= answered > 100


def test_timers_that_fire_between_commits_are_looked_at(tmp_path: Path) -> None:
    rows = status_rows(tmp_path, engine_config=Engine(disk_latency=Duration("2ms"), service_time=Duration("50us")))
    turned = [at for at, _, fields in rows if "roles" in fields and at]
    assert turned and all(at % 123_456_789 <= 5 * MILLISECOND * (1 + at // 123_456_789) for at in turned)


class Listing(Alternating):
    """Shows one and the same list, as it grows, and a set of texts."""

    def on_start(self) -> None:
        self.known: list[int] = []

    @handles(Append)
    def on_append(self, sender: str, append: Append) -> None:
        self.known.append(append.operation)
        super().on_append(sender, append)

    @property
    def status(self) -> Status:
        return Listed((), "", None, self.known, {"x", "a", "m", "zz", "q"})


class Listed(Status):
    known: list[int] = []
    words: set[str] = set()


def test_a_value_that_changes_in_place_is_a_change_and_sets_are_in_order(tmp_path: Path) -> None:
    rows = status_rows(tmp_path, Listing, workload_config=pausing("20ms"))
    known = [fields["known"] for _, _, fields in rows if "known" in fields]
    assert len(known) > 5 and known == sorted(known, key=len)
    assert rows[0][2]["words"] == ["a", "m", "q", "x", "zz"]


class Unshowable(Alternating):
    @property
    def status(self) -> Status:
        return Listed((), "", None, [object()] if self.seen else [])  # type: ignore[list-item]


def test_a_status_that_cannot_be_recorded_stops_its_node_at_every_trace_level(tmp_path: Path) -> None:
    protocol = ProtocolSpec(name="journal", summary="", node=Unshowable, client=Writer)
    for level in ("full", "none"):
        result = simulate(experiment(tmp_path / level, protocol=protocol, trace=level))
        assert [(crash.node, "Unshowable.status" in crash.why) for crash in result.crashes] == [("n1", True)]
