"""Nodes driven again from the inputs that a worker recorded: to the same outputs, or to the step where they part."""

from __future__ import annotations

import dataclasses
import random
import time
from pathlib import Path
from typing import Any

import pytest

from framework import ConfigError, NodeId, handles, on_timer
from framework.checking.monitors import Monitors, Watcher
from framework.core.client import Operation
from framework.core.node import Node
from framework.core.node_runtime import NodeRuntime
from framework.engine.base import Experiment
from framework.engine.ray.worker.trace_rows import start_payload
from framework.engine.ray.worker.worker import Worker
from framework.engine.wire_codec import Wire
from framework.replay.node_driver import CannotDrive, Divergence, NodeDriver
from framework.replay.node_trace import TraceRow
from framework.replay.outputs import Output, OutputCollector
from framework.replay.ray_replay import NodeReport, RayReplay
from framework.trace.reader import open_run
from tests.engine.ray.register import Ask, RegisterClient, RegisterNode, Stamp, Store, Stored, Told
from tests.replay.local_workers import EPOCH, register_on, run_on_workers


def answered(count: int) -> Any:
    return lambda workers: workers[1].tally.ok >= count


def recorded(
    folder: Path, node: type[Node] | None = None, *, until: Any, meanwhile: Any = None, **options: Any
) -> Experiment:
    """A run of the register, `node` its class, up to `until`."""
    experiment = register_on(folder, node, **options)
    run_on_workers(experiment, until=until, meanwhile=meanwhile)
    return experiment


def driven(folder: Path, experiment: Experiment, node: type[Node] | None = None) -> dict[NodeId, NodeReport]:
    """How each node fares, `node` in place of the class that ran."""
    if node is not None:
        experiment = dataclasses.replace(experiment, protocol=dataclasses.replace(experiment.protocol, node=node))
    replay = RayReplay(open_run(folder), experiment=experiment)
    replay.drive()
    return {report.node: report for report in replay.reports()}


class ClockedClient(RegisterClient):
    """Shows the time of each operation."""

    def invoke(self, operation: Operation) -> None:
        self.note("invoked", now=self.now, wall=self.wall_clock)
        super().invoke(operation)


def test_a_client_sees_the_time_of_its_operation_again(tmp_path: Path) -> None:
    experiment = register_on(tmp_path)
    experiment = dataclasses.replace(
        experiment, protocol=dataclasses.replace(experiment.protocol, client=ClockedClient)
    )
    run_on_workers(experiment, until=answered(10))
    found = driven(tmp_path, experiment)
    assert {report.divergence for report in found.values()} == {None}
    assert len(list(open_run(tmp_path).messages("note"))) >= 10


class Busy(RegisterNode):
    """Uses all that a node can: timers at once and later, early messages, randomness, both clocks."""

    def on_start(self) -> None:
        super().on_start()
        self.asked = 0
        self.set_timer(self.tick, self.rng.randrange(5), after=2_000_000)

    @on_timer
    def tick(self, round: int) -> None:
        self.note("tick", round=round, draw=self.rng.random(), now=self.now, wall=self.wall_clock)
        self.set_timer(self.tick, round + 1, after=1_000_000 + self.rng.randrange(1_000_000))

    @on_timer
    def settle(self) -> None:
        self.note("settled", asked=self.asked)

    @handles(Ask)
    def on_ask(self, sender: NodeId, ask: Ask) -> None:
        self.asked += 1
        self.set_timer(self.settle, after=0)
        self.send(sender, Told(ask.operation, self.stamp, self.value), before_commit=True)


def test_every_node_and_client_comes_to_the_same_outputs(tmp_path: Path) -> None:
    experiment = recorded(tmp_path, Busy, until=answered(60))

    reports = driven(tmp_path, experiment)

    assert {node: (report.divergence, report.lacking) for node, report in reports.items()} == dict.fromkeys(
        ("n1", "n2", "n3", "c1", "c2", "c3"), (None, "")
    )
    assert reports["n1"].steps > 100 and reports["n1"].compared > 100
    walls = [row["payload"]["wall"] for row in open_run(tmp_path).messages("note") if row["message"] == "tick"]
    assert min(walls) > EPOCH


def test_the_events_of_an_operation_bear_its_number(tmp_path: Path) -> None:
    recorded(tmp_path, Busy, until=answered(20))
    run = open_run(tmp_path)
    for row in run.events.to_pylist():
        carried = run.decode(row) if row["kind"] in ("invoke", "complete", "send", "deliver", "drop") else None
        assert row["operation"] == (carried or {}).get("operation"), row


def test_nodes_that_crash_and_come_back_go_on_from_what_they_had_committed(tmp_path: Path) -> None:
    done: list[str] = []

    def trouble(workers: list[Worker]) -> None:
        servers, ok = workers[0], workers[1].tally.ok
        if ok >= 20 and not done:
            done.append("crash")
            servers.crash("n1", "fault")
        if ok >= 40 and len(done) == 1:
            done.append("restart")
            servers.restart("n1")

    experiment = recorded(tmp_path, Busy, until=answered(80), meanwhile=trouble)
    reports = driven(tmp_path, experiment)

    assert [(report.divergence, report.lacking) for report in reports.values()] == [(None, "")] * 6
    notes = [row["payload"] for row in open_run(tmp_path).messages("note") if row["message"] == "started"]
    assert any(note["accepted"] > 0 for note in notes)


def test_operations_that_time_out_retire_their_process_and_a_node_that_raises_stays_the_same(
    tmp_path: Path,
) -> None:
    experiment = recorded(
        tmp_path, until=lambda workers: workers[0].crashes and workers[1].tally.ok >= 60, boom_after=8
    )

    reports = driven(tmp_path, experiment)

    assert [(report.divergence, report.lacking) for report in reports.values()] == [(None, "")] * 6


class ReadsTheClock(RegisterNode):
    """Stamps with the host's clock instead of its own."""

    @handles(Store)
    def on_store(self, sender: NodeId, store: Store) -> None:
        if self.accepted.last >= 5:
            self.note("stored", at=time.monotonic_ns())
        super().on_store(sender, store)


class DrawsFromTheGlobalRandom(RegisterNode):
    @handles(Ask)
    def on_ask(self, sender: NodeId, ask: Ask) -> None:
        self.send(sender, Told(ask.operation, Stamp(random.getrandbits(40), "x"), self.value))


@pytest.mark.parametrize(
    ("node", "kind", "takes"), [(ReadsTheClock, "note", "Store"), (DrawsFromTheGlobalRandom, "send", "Ask")]
)
def test_what_is_not_deterministic_is_named_with_its_step(
    tmp_path: Path, node: type[Node], kind: str, takes: str
) -> None:
    experiment = recorded(tmp_path, node, until=answered(40))

    reports = driven(tmp_path, experiment)

    for server in ("n1", "n2", "n3"):
        divergence = reports[server].divergence
        assert divergence is not None
        assert isinstance(divergence.recorded, Output) and isinstance(divergence.replayed, Output)
        assert (divergence.recorded.kind, divergence.replayed.kind) == (kind, kind)
        assert divergence.recorded.payload != divergence.replayed.payload
        assert divergence.step.message == f"register.{takes}"
        assert divergence.number <= reports[server].steps
    assert all(reports[client].divergence is None for client in ("c1", "c2", "c3"))


class SaysMore(RegisterNode):
    def on_start(self) -> None:
        super().on_start()
        self.note("hello")


class WritesNothing(RegisterNode):
    @handles(Store)
    def on_store(self, sender: NodeId, store: Store) -> None:
        self.send(sender, Stored(store.operation))


class SetsATimer(RegisterNode):
    def on_start(self) -> None:
        super().on_start()
        self.set_timer(self.later, after=0)

    @on_timer
    def later(self) -> None:
        """Nothing."""


class Raises(RegisterNode):
    @handles(Ask)
    def on_ask(self, sender: NodeId, ask: Ask) -> None:
        raise ZeroDivisionError("as planned")


@pytest.mark.parametrize(
    ("changed", "was", "now"),
    [
        (SaysMore, "nothing more", "note"),
        (WritesNothing, "commit", "send"),
        (SetsATimer, "goes on", "timer later fires at the end of its batch"),
        (Raises, "goes on", "raises ZeroDivisionError: as planned"),
    ],
)
def test_a_class_that_was_changed_departs_from_the_record(
    tmp_path: Path, changed: type[Node], was: str, now: str
) -> None:
    experiment = recorded(tmp_path, until=answered(30))

    divergence = driven(tmp_path, experiment, changed)["n2"].divergence

    assert divergence is not None
    assert (_side(divergence.recorded), _side(divergence.replayed)) == (was, now)


def _side(side: Output | str) -> str:
    return side.kind if isinstance(side, Output) else side


def test_a_message_whose_send_is_lost_ends_the_driving_there(tmp_path: Path) -> None:
    experiment = recorded(tmp_path, until=answered(30))
    (tmp_path / "trace" / "c1-0.arrow").unlink()  # the record of all clients

    reports = driven(tmp_path, experiment)

    assert reports["c1"].steps == 0
    assert reports["n1"].divergence is None
    assert "takes register.Ask from c" in reports["n1"].lacking
    assert "is lost" in reports["n1"].lacking
    assert reports["n1"].unseen > 0 == reports["c1"].unseen


def test_steps_come_in_the_order_of_time_with_the_live_nodes(tmp_path: Path) -> None:
    experiment = recorded(tmp_path, until=answered(20))
    replay = RayReplay(open_run(tmp_path), ("n1", "n2"), experiment)

    seen = [(step.row.time, step.row.node, step.root, step.mounted) for step in replay.steps()]

    assert [time for time, *_ in seen] == sorted(time for time, *_ in seen)
    assert {node for _, node, *_ in seen} == {"n1", "n2"}
    assert all(
        isinstance(root, RegisterNode) and root is mounted and root.id == node for _, node, root, mounted in seen
    )
    assert replay.root("n1") is not None


def test_a_watch_sees_the_nodes_after_each_batch_with_what_is_durable(tmp_path: Path) -> None:
    experiment = recorded(tmp_path, until=answered(20))
    seen: dict[NodeId, list[tuple[int, int]]] = {node: [] for node in experiment.nodes}

    class Watching(Watcher):
        def observe(self, host: NodeRuntime, time: int, seq: int) -> None:
            assert isinstance(host.root, RegisterNode)
            seen[host.id].append((seq, host.root.accepted.last))

    replay = RayReplay(open_run(tmp_path), experiment.nodes, experiment, lambda node: Watching(node, Monitors(())))
    steps = sum(1 for _ in replay.steps())

    assert 3 * 10 < sum(map(len, seen.values())) <= steps
    for batches in seen.values():
        assert batches == sorted(batches) and batches[-1][1] > 0


def test_a_node_that_is_not_there_and_a_trace_that_is_not_full_are_mistakes(tmp_path: Path) -> None:
    experiment = recorded(tmp_path, until=answered(5))
    run = open_run(tmp_path)

    with pytest.raises(ConfigError, match=r"node n9: is not in this run. Did you mean 'n1'\?|is not in this run"):
        RayReplay(run, ("n9",), experiment)
    with pytest.raises(ConfigError, match="traced at level history"):
        RayReplay(run, None, dataclasses.replace(experiment, trace="history"))


def test_a_departure_tells_the_step_and_both_sides(tmp_path: Path) -> None:
    from framework.console.replay_report import of_node

    experiment = recorded(tmp_path, ReadsTheClock, until=answered(30))
    report = driven(tmp_path, experiment)["n1"]
    lines = list(of_node(open_run(tmp_path), report))

    assert isinstance(report.divergence, Divergence)
    assert lines[0].startswith(f"n1: differs at step {report.divergence.number:,}")
    assert "n1 takes register.Store(operation=" in lines[1]
    assert lines[2].startswith("  recorded: notes stored at=")
    assert lines[3].startswith("  replayed: notes stored at=")


class Clocks(RegisterNode):
    @on_timer
    def tick(self) -> None:
        self.note("clocks", now=self.now, wall=self.wall_clock)
        self.set_timer(self.tick, after=1_000_000_000)

    def on_start(self) -> None:
        self.set_timer(self.tick, after=1_000_000_000)


def test_a_clock_that_was_set_runs_on_as_it_did(tmp_path: Path) -> None:
    """A drift of +10% from 1 s on, and a step of the wall clock: the second tick comes at 1.909... s of true time."""
    experiment = register_on(tmp_path, Clocks)
    wire = Wire(experiment.protocol)
    nothing: Any = None
    driver = NodeDriver(experiment, "n1", nothing, OutputCollector(wire, experiment.nodes), wire)

    def row(
        seq: int, time: int, kind: str, message: str = "", cause: int = -1, payload: bytes | None = None
    ) -> TraceRow:
        return TraceRow(time, seq, "n1", "", kind, "", message, cause, -1, payload)

    def note(now: int, wall: int) -> bytes:
        return f'{{"now":{now},"wall":{wall}}}'.encode()

    driver.take(row(1, 0, "start", payload=start_payload(0, EPOCH, {})))
    driver.take(row(2, 1_000_000_000, "timer", "tick", cause=1))
    driver.take(row(3, 1_000_000_000, "note", "clocks", 2, note(1_000_000_000, EPOCH + 1_000_000_000)))
    driver.take(row(4, 1_000_000_000, "fault", "set_clock", payload=b'{"drift_ppm": 100000, "step": 500}'))
    driver.take(row(5, 1_909_090_910, "timer", "tick", cause=2))
    driver.take(row(6, 1_909_090_910, "note", "clocks", 5, note(2_000_000_001, EPOCH + 2_000_000_501)))

    assert (driver.steps, driver.compared) == (3, 2)


def test_a_commit_that_outlives_its_node_beside_its_neighbours_is_no_gap_in_the_record(tmp_path: Path) -> None:
    experiment = register_on(tmp_path, Clocks)
    wire = Wire(experiment.protocol)
    nothing: Any = None
    driver = NodeDriver(experiment, "n1", nothing, OutputCollector(wire, experiment.nodes), wire)

    def row(seq: int, kind: str, payload: bytes | None = None) -> TraceRow:
        return TraceRow(seq, seq, "n1", "", kind, "", "", -1, -1, payload)

    driver.take(row(1, "start", start_payload(0, EPOCH, {})))
    driver.take(row(2, "crash"))
    driver.take(row(3, "commit"))
    with pytest.raises(CannotDrive, match="its record says that it is down"):
        driver.take(row(4, "note"))
    driver.take(row(5, "start", start_payload(1, EPOCH, {})))
    assert driver.steps == 2
