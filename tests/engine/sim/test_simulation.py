"""The simulator keeps the node model's promises: batches, durability, time, causes, and the same run every time."""

from __future__ import annotations

import itertools
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from framework.core.client import Operation
from framework.core.message import NodeId
from framework.core.node import handles, on_timer
from framework.core.time import MILLISECOND, SECOND, Duration
from framework.engine.base import EngineResult
from framework.engine.sim.engine import SimEngine
from framework.load.workload import WorkloadConfig
from framework.registry.specs import ProtocolSpec
from framework.trace.reader import open_run
from tests.engine.sim.journal import Append, Appended, Engine, Journal, Writer, crash, experiment, moody, simulate


def events(folder: Path, **wanted: str) -> list[dict[str, Any]]:
    rows = open_run(folder).events.to_pylist()
    return [row for row in rows if all(row[column] == value for column, value in wanted.items())]


def spec(node: type[Journal] = Journal, client: type[Writer] = Writer) -> ProtocolSpec:
    return ProtocolSpec(name="journal", summary="", node=node, client=client)


def run(folder: Path, **changes: Any) -> EngineResult:
    return simulate(experiment(folder, **changes))


# The same run every time.


def test_one_seed_gives_one_digest_and_another_seed_another(tmp_path: Path) -> None:
    slow = {"network": moody(), "engine_config": Engine(disk_latency=Duration("1ms"), clock_drift_ppm=100)}
    digests = [run(tmp_path / str(number), seed=seed, **slow).digest for number, seed in enumerate((7, 7, 8))]
    assert digests[0] == digests[1] != digests[2]


def test_the_trace_level_changes_nothing_in_the_run(tmp_path: Path) -> None:
    histories, steps = [], []
    for level in ("full", "history"):
        result = run(tmp_path / level, trace=level, network=moody(), faults=crash("300ms"))
        histories.append(open_run(tmp_path / level).history.to_pylist())
        steps.append(result.tally.steps)
    nothing = run(tmp_path / "none", trace="none", network=moody(), faults=crash("300ms"))
    assert histories[0] == histories[1]
    assert steps == [nothing.tally.steps] * 2
    assert nothing.digest is None and not (tmp_path / "none" / "history.arrow").exists()


def test_taking_a_fault_away_leaves_the_workload_alone(tmp_path: Path) -> None:
    run(tmp_path / "faulty", faults=crash("500ms"))
    run(tmp_path / "calm")
    faulty, calm = (
        [row["argument"] for row in open_run(tmp_path / name).history.to_pylist() if row["client"] == "c1"]
        for name in ("faulty", "calm")
    )
    assert len(faulty) < len(calm) and faulty == calm[: len(faulty)]


# Batches and durability.


def test_without_disk_latency_an_operation_takes_one_round_trip(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.tally.ok == 2 * 1000 and result.tally.fsyncs == 2000
    assert result.tally.latencies.max == MILLISECOND


def test_a_promise_waits_for_the_disk_and_a_message_before_the_commit_does_not(tmp_path: Path) -> None:
    run(tmp_path, clients=("c1",), engine_config=Engine(disk_latency=Duration("4ms")))
    append = events(tmp_path, kind="deliver", message="journal.Append")[0]
    heard = events(tmp_path, kind="send", message="journal.Heard")[0]
    commit = events(tmp_path, kind="commit")[0]
    appended = events(tmp_path, kind="send", message="journal.Appended")[0]
    assert heard["time"] == append["time"]
    assert commit["time"] == appended["time"] == append["time"] + 4 * MILLISECOND
    assert appended["cause"] == append["seq"]


def test_what_waits_for_a_busy_disk_is_committed_together(tmp_path: Path) -> None:
    clients = tuple(f"c{number}" for number in range(1, 11))
    result = run(tmp_path, clients=clients, engine_config=Engine(disk_latency=Duration("5ms")))
    assert result.tally.ok > 1000
    assert result.tally.fsyncs < result.tally.ok / 4


def test_a_timer_after_0_fires_once_at_the_end_of_its_batch(tmp_path: Path) -> None:
    clients = tuple(f"c{number}" for number in range(1, 11))
    result = run(tmp_path, clients=clients, engine_config=Engine(disk_latency=Duration("5ms")))
    seals = events(tmp_path, kind="timer", message="seal")
    assert len(seals) == result.tally.fsyncs


def test_service_time_bounds_the_throughput_of_a_node(tmp_path: Path) -> None:
    clients = tuple(f"c{number}" for number in range(1, 21))
    result = run(tmp_path, clients=clients, engine_config=Engine(service_time=Duration("1ms")))
    assert 900 <= result.tally.ok <= 1100


def test_a_crash_during_the_commit_keeps_or_loses_the_batch_and_sends_nothing(tmp_path: Path) -> None:
    kept = lost = 0
    for seed in range(12):
        folder = tmp_path / str(seed)
        run(
            folder,
            seed=seed,
            clients=("c1",),
            faults=crash("500ms"),
            engine_config=Engine(disk_latency=Duration("50ms")),
        )
        fault = events(folder, kind="fault", message="crash")[0]["time"]
        acknowledged = len(events(folder, kind="deliver", message="journal.Appended"))
        restored = [json.loads(row["payload"])["lines"] for row in events(folder, kind="note", message="started")][-1]
        before = sum(row["time"] <= fault for row in events(folder, kind="send", message="journal.Appended"))
        assert restored in (before, before + 1)
        assert not [
            row for row in events(folder, kind="send", node="n1") if fault < row["time"] < fault + 100 * MILLISECOND
        ]
        assert acknowledged >= before
        kept, lost = kept + (restored == before + 1), lost + (restored == before)
    assert kept and lost


class Divides(Journal):
    @handles(Append)
    def on_append(self, sender: NodeId, append: Append) -> None:
        super().on_append(sender, append)
        if len(self.lines) == 10:
            raise ZeroDivisionError("the tenth line")


def test_an_exception_is_a_crash_that_loses_the_batch_and_never_a_hang(tmp_path: Path) -> None:
    result = run(tmp_path, protocol=spec(Divides))
    (crashed,) = result.crashes
    assert crashed.node == "n1" and crashed.why == "ZeroDivisionError: the tenth line"
    assert "in on_append" in crashed.traceback
    assert result.tally.ok == 9 and result.tally.unknown > 0
    assert result.tally.fsyncs == 9
    (row,) = events(tmp_path, kind="crash")
    assert b"ZeroDivisionError" in row["payload"]


class Boundless(Journal):
    @handles(Append)
    def on_append(self, sender: NodeId, append: Append) -> None:
        self.send(sender, Appended(append.operation, 1 << 64))


class Confused(Journal):
    @handles(Append)
    def on_append(self, sender: NodeId, append: Append) -> None:
        self.send(sender, Appended(append.operation, "first"))  # type: ignore[arg-type]


@pytest.mark.parametrize("trace", ["full", "history"])
@pytest.mark.parametrize(
    ("node", "why"),
    [
        (Boundless, "sends a message Appended that msgpack cannot carry (can't serialize ints"),
        (Confused, "sends a message Appended whose field index does not fit: expected int, got str"),
    ],
)
def test_what_no_wire_could_carry_crashes_its_sender_whatever_is_traced(
    tmp_path: Path, trace: str, node: type[Journal], why: str
) -> None:
    (crashed,) = run(tmp_path, protocol=spec(node), trace=trace).crashes
    assert crashed.node == "n1" and crashed.traceback
    assert crashed.why.startswith(f"PluginError: {node.__name__}: {why}")


class Forgetful(Writer):
    """Forgets the time-out of every operation that the server does not answer."""

    def invoke(self, operation: Operation) -> None:
        self.cancel_timer(self._time_out)
        if self.id != "c2":
            super().invoke(operation)


def test_an_operation_that_never_ends_is_told_of_at_the_end(tmp_path: Path) -> None:
    assert run(tmp_path / "kept").tally.abandoned == {}
    assert run(tmp_path / "forgotten", protocol=spec(client=Forgetful)).tally.abandoned == {"c2": 1}


@pytest.mark.parametrize("seed", range(5))
def test_a_client_whose_clock_is_slow_has_until_its_own_time_out(tmp_path: Path, seed: int) -> None:
    wrong = Engine(clock_drift_ppm=200_000)
    result = run(tmp_path, seed=seed, engine_config=wrong, protocol=spec(Silent))

    assert result.tally.abandoned == {}


class Silent(Journal):
    @handles(Append)
    def on_append(self, sender: NodeId, append: Append) -> None:
        """Never answers."""


class Sends(Journal):
    @handles(Append)
    def on_append(self, sender: NodeId, append: Append) -> None:
        self.send("n9", append)


def test_a_message_to_a_node_that_does_not_exist_is_a_crash_that_says_so(tmp_path: Path) -> None:
    result = run(tmp_path, protocol=spec(Sends))
    assert "n1 sends to 'n9', which is not a node of this run" in result.crashes[0].why


class Restless(Journal):
    @handles(Append)
    def on_append(self, sender: NodeId, append: Append) -> None:
        self.send(self.id, append)


def test_a_node_that_never_rests_ends_the_run_with_a_reason(tmp_path: Path) -> None:
    result = run(tmp_path, protocol=spec(Restless), trace="none")
    assert "virtual time does not advance" in result.failure
    assert result.failure.endswith(": n1 never rests")
    assert result.stalled


class Rearming(Journal):
    @on_timer
    def seal(self) -> None:
        self.set_timer(self.seal, after=0)


def test_timers_with_after_0_that_never_end_crash_the_node(tmp_path: Path) -> None:
    result = run(tmp_path, protocol=spec(Rearming))
    assert "seal is set with after=0 without end" in result.crashes[0].why


# Time.


class Ticking(Journal):
    def on_start(self) -> None:
        self.ticks = 0
        self.tick()

    @on_timer
    def tick(self) -> None:
        self.ticks += 1
        self.note("tick", now=self.now, wall=self.wall_clock)
        self.set_timer(self.tick, after=100 * MILLISECOND)


def test_timers_follow_a_drifting_clock_which_never_steps(tmp_path: Path) -> None:
    nodes = tuple(f"n{number}" for number in range(1, 6))
    config = Engine(clock_drift_ppm=100_000, clock_offset=Duration("1s"))
    run(tmp_path, nodes=nodes, protocol=spec(Ticking), engine_config=config)
    rates, offsets = set(), set()
    for node in nodes:
        ticks = [
            (row["time"], json.loads(row["payload"]))
            for row in events(tmp_path, kind="note", message="tick", node=node)
        ]
        local = [shown["now"] for _, shown in ticks]
        assert all(later - earlier == 100 * MILLISECOND for earlier, later in itertools.pairwise(local))
        rates.add(round((ticks[-1][0] - ticks[0][0]) / (local[-1] - local[0]), 3))
        offsets.add(ticks[0][1]["wall"] - ticks[0][1]["now"])
    assert len(rates) > 1 and all(0.9 <= rate <= 1.12 for rate in rates)
    assert len(offsets) == len(nodes)


# Clients.


class Deaf(Writer):
    def on_start(self) -> None:
        super().on_start()
        self.note("process")

    def invoke(self, operation: Operation) -> None:
        if operation.id % 4:
            super().invoke(operation)


def test_unknown_retires_the_process_and_a_new_instance_goes_on(tmp_path: Path) -> None:
    result = run(tmp_path, clients=("c1",), protocol=spec(client=Deaf))
    history = open_run(tmp_path).history.to_pylist()
    unknown = [row for row in history if row["outcome"] == "unknown"]
    assert result.tally.unknown == len(unknown) > 2
    assert [row["process"] for row in history] == sorted(row["process"] for row in history)
    assert len({row["process"] for row in history}) >= len(unknown)
    assert len(events(tmp_path, kind="note", message="process")) == 1 + len(unknown)
    assert unknown[0]["completed"] - unknown[0]["invoked"] == 200 * MILLISECOND


def test_open_loop_latency_counts_from_when_the_operation_was_due(tmp_path: Path) -> None:
    load = WorkloadConfig(loop="open", rate=1000, arrivals="fixed", timeout=Duration("5s"))
    result = run(tmp_path, clients=("c1",), workload_config=load, engine_config=Engine(disk_latency=Duration("3ms")))
    assert result.tally.ok == 250  # one session does 250 a second
    assert result.details["never_started"] == 999 - 250
    assert result.tally.latencies.max > 700 * MILLISECOND
    assert all(row["scheduled"] <= row["invoked"] for row in open_run(tmp_path).history.to_pylist())


def test_the_run_waits_for_operations_under_way_and_starts_no_more(tmp_path: Path) -> None:
    result = run(tmp_path, engine_config=Engine(disk_latency=Duration("30ms")))
    history = open_run(tmp_path).history.to_pylist()
    assert max(row["invoked"] for row in history) < SECOND < max(row["completed"] for row in history)
    assert result.virtual_s < 1.1


# Causes.


def test_every_effect_names_its_cause_and_every_delivery_its_send(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        network=moody(),
        faults=crash("500ms"),
        engine_config=Engine(disk_latency=Duration("1ms")),
    )
    rows = events(tmp_path)
    by_seq = {row["seq"]: row for row in rows}
    assert len(by_seq) == len(rows)
    steps = ("start", "deliver", "timer", "invoke")
    for row in rows:
        cause = by_seq.get(row["cause"])
        if row["kind"] in ("deliver", "drop"):
            assert cause is not None and cause["kind"] == "send" and cause["message"] == row["message"]
            here, there = ("peer", "node") if row["kind"] == "deliver" else ("node", "peer")
            assert cause["node"] == row[here] and cause["peer"] == row[there]
        elif row["kind"] in ("send", "note", "complete", "timer", "commit"):
            assert cause is not None and cause["kind"] in steps and cause["node"] == row["node"]
        if cause is not None:
            assert cause["seq"] < row["seq"] and cause["time"] <= row["time"]
    sends = [row["seq"] for row in rows if row["kind"] == "send"]
    fates = [row["cause"] for row in rows if row["kind"] in ("deliver", "drop")]
    assert {fate for fate in fates if fates.count(fate) == 2}, "some message was duplicated"
    assert len(set(sends) - set(fates)) < 10  # still under way at the end
    assert result.tally.dropped
    assert sum(row["kind"] in steps for row in rows) == result.tally.steps


def test_payloads_decode_without_the_protocols_classes(tmp_path: Path) -> None:
    run(tmp_path)
    opened = open_run(tmp_path)
    first = next(
        row for row in opened.events.to_pylist() if row["kind"] == "send" and row["message"] == "journal.Append"
    )
    assert opened.decode(first) == {"operation": 0, "text": opened.history.to_pylist()[0]["argument"].strip('"')}


@pytest.mark.parametrize("level", ["full", "history"])
def test_an_interrupted_run_closes_its_files(tmp_path: Path, level: str) -> None:
    def interrupt(time: int, tally: Any) -> None:
        raise KeyboardInterrupt

    result = SimEngine().run(experiment(tmp_path, duration=100 * SECOND, trace=level), interrupt)
    assert result.interrupted and result.tally.ok > 0
    assert open_run(tmp_path).history.num_rows >= result.tally.ok


def test_a_signal_waits_for_the_end_of_the_step(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    def interrupt(time: int, tally: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    result = SimEngine().run(experiment(tmp_path, duration=100 * SECOND), interrupt)
    assert result.interrupted and signal.getsignal(signal.SIGINT) is before
    events = open_run(tmp_path).events
    assert events.num_rows > 1000


class Mute(Journal):
    @handles(Append)
    def on_append(self, sender: NodeId, append: Append) -> None:
        """Answers nobody."""


def test_clients_that_time_out_at_one_instant_all_go_on(tmp_path: Path) -> None:
    clients = ("c1", "c2", "c3")
    run(tmp_path, clients=clients, protocol=spec(Mute))
    history = open_run(tmp_path).history.to_pylist()
    begun = {client: [row["invoked"] for row in history if row["client"] == client] for client in clients}
    assert begun["c1"] == begun["c2"] == begun["c3"] == [number * 200 * MILLISECOND for number in range(5)]
    assert all(row["completed"] is not None for row in history)
    processes = [row["process"] for row in history]
    assert len(set(processes)) == len(processes)


class Strays(Journal):
    @handles(Append)
    def on_append(self, sender: NodeId, append: Append) -> None:
        self.send("n9", append, before_commit=True)


@pytest.mark.parametrize("latency", ["0", "1ms"])
def test_a_message_before_the_commit_to_nobody_is_a_crash_on_any_disk(tmp_path: Path, latency: str) -> None:
    result = run(tmp_path, protocol=spec(Strays), engine_config=Engine(disk_latency=Duration(latency)))
    assert "which is not a node of this run" in result.crashes[0].why


class Eager(Journal):
    def on_start(self) -> None:
        self.lines.append("began")
        if self.peers:
            self.send(self.peers[0], Append(0, "after"))
            self.send(self.peers[0], Append(1, "before"), before_commit=True)

    @handles(Append)
    def on_append(self, sender: NodeId, append: Append) -> None:
        """Listens."""


def test_what_leaves_before_the_commit_at_the_start_does_so_on_a_slow_disk_too(tmp_path: Path) -> None:
    run(tmp_path, nodes=("n1", "n2"), protocol=spec(Eager), engine_config=Engine(disk_latency=Duration("4ms")))
    opened = open_run(tmp_path)
    sent = {opened.decode(row)["text"]: row for row in events(tmp_path, kind="send", node="n1")}
    start = events(tmp_path, kind="start", node="n1")[0]
    assert (sent["before"]["time"], sent["after"]["time"]) == (0, 4 * MILLISECOND)
    assert sent["before"]["cause"] == sent["after"]["cause"] == start["seq"]


def test_a_signal_in_a_run_too_short_for_another_beat_is_not_lost(tmp_path: Path) -> None:
    def interrupt(time: int, tally: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    result = SimEngine().run(experiment(tmp_path, duration=500 * MILLISECOND), interrupt)
    assert result.interrupted
