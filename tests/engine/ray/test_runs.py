"""Whole runs on Ray actors: both transports, crashes asked and unasked, packing, exceptions."""

from __future__ import annotations

import importlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from framework import open_run
from framework.checking.history.calls import calls_from_table
from framework.checking.linearizability.checker import check_linearizable
from framework.checking.models.registers import Register
from framework.checking.verdict import Verdict
from framework.core.errors import ConfigError
from framework.core.time import SECOND
from framework.engine.base import EngineResult, Experiment
from framework.engine.ray.driver.engine import RayEngine
from framework.engine.tally import Tally
from framework.trace.reader import Run
from tests.engine.ray.register import crash, register_run

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_runtime")]

MS = 1_000_000


def ran(experiment: Experiment, progress: Any = lambda now, tally: None) -> tuple[EngineResult, Run]:
    result = RayEngine().run(experiment, progress)
    return result, open_run(experiment.run_dir)


def count(run: Run, kind: str) -> int:
    return sum(1 for value in run.events["kind"].to_pylist() if value == kind)


def is_atomic(run: Run) -> bool:
    return check_linearizable(calls_from_table(run.history), Register()).verdict is Verdict.VALID


def assert_nothing_is_left(folder: Path) -> None:
    """No process of the run, and no durable state."""
    assert not (folder / "storage").exists()
    assert node_processes() == {}


def node_processes() -> dict[str, Any]:
    """The processes of nodes and clients below this one by the name that `ps` shows."""
    import ray  # noqa: F401 - brings psutil along

    psutil = importlib.import_module("psutil")
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            title = " ".join(process.cmdline()).strip()
        except psutil.NoSuchProcess:
            continue
        if title.startswith("ray::"):
            found[title.removeprefix("ray::").rpartition(":")[2].partition(".")[0]] = process
    return {name: process for name, process in found.items() if name[:1] in "nc"}


def test_a_run_over_the_mesh_leaves_an_exact_trace_and_a_history_of_a_register(tmp_path: Path) -> None:
    seen: list[Tally] = []
    result, run = ran(register_run(tmp_path), lambda now, tally: seen.append(tally))
    assert (result.failure, result.crashes, result.interrupted, result.digest) == ("", (), False, None)
    assert result.tally.ok > 50 and result.tally.unknown == 0
    assert [tally.stage for tally in seen if tally.stage] == [
        "placing 3 node actors", "starting 4 actors", "connecting 4 actors", "booting 3 nodes and 3 clients",
        "closing the files of the actors", "stopping the actors",
    ]  # fmt: skip
    assert 0 < [tally for tally in seen if not tally.stage][-1].ok <= result.tally.ok
    assert run.history.num_rows == result.tally.ok
    assert is_atomic(run)
    rows = {row["seq"]: row for row in run.events.to_pylist()}
    assert len(rows) == run.events.num_rows, "no two events share a seq"
    for row in rows.values():
        if row["kind"] == "deliver":
            send = rows[row["cause"]]
            assert (send["kind"], send["node"], send["peer"]) == ("send", row["peer"], row["node"])
            assert send["time"] <= row["time"]
        elif row["kind"] in ("send", "complete", "note", "commit"):
            assert rows[row["cause"]]["node"] == row["node"]
    kinds = run.events["kind"].to_pylist()
    assert sum(kinds.count(kind) for kind in ("start", "deliver", "timer", "invoke")) == result.tally.steps
    assert kinds.count("commit") == result.tally.fsyncs > 0
    assert kinds.count("deliver") == sum(result.tally.messages.values())
    assert next(run.messages("send"))["payload"] is not None
    assert result.details["machines"] == 1
    assert_nothing_is_left(tmp_path)


def test_a_run_over_actor_calls_with_clients_in_two_actors_has_one_history(tmp_path: Path) -> None:
    engine = {"transport": "actor_calls", "clients_per_actor": 2, "storage": "memory"}
    result, run = ran(register_run(tmp_path, engine=engine, trace="history", clients=4))
    assert result.failure == "" and result.tally.ok > 20
    operations = run.history.to_pylist()
    assert len(operations) == result.tally.ok + result.tally.unknown
    assert {row["client"] for row in operations} == {"c1", "c2", "c3", "c4"}
    assert len({row["operation"] for row in operations}) == len(operations)
    assert is_atomic(run)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.arrow"]
    assert_nothing_is_left(tmp_path)


def test_a_crashed_node_comes_back_with_what_it_had_promised(tmp_path: Path) -> None:
    """n2 by the schedule; n3 by a stranger's `kill -9`, which the driver finds out and mends."""
    killed: list[int] = []

    def kill_n3(now: int, tally: Tally) -> None:
        if now > 300 * MS and not killed:
            process = node_processes()["n3"]
            killed.append(process.pid)
            os.kill(process.pid, signal.SIGKILL)

    script = (crash(1500 * MS, "n2", lasts=400 * MS),)
    result, run = ran(register_run(tmp_path, nodes=5, script=script, duration=4 * SECOND), kill_n3)
    assert result.failure == ""
    assert [(fallen.node, fallen.why, fallen.traceback) for fallen in result.crashes] == [
        ("n3", "killed unasked (its process is gone)", ""), ("n2", "fault", ""),
    ]  # fmt: skip
    assert [(fallen.asked, fallen.restarted) for fallen in result.crashes] == [(False, True), (True, True)]
    assert result.tally.faults == {"script/crash": 1}
    assert is_atomic(run)
    events = run.events.to_pylist()
    assert [(row["node"], row["message"]) for row in events if row["kind"] == "fault"] == [
        ("n2", "crash"),
        ("n2", "restart"),
    ]
    starts = {node: [row for row in events if row["kind"] == "start" and row["node"] == node] for node in ("n2", "n3")}
    restarts = {row["node"]: row["seq"] for row in events if row["kind"] == "restart"}
    for node in ("n2", "n3"):
        assert len(starts[node]) == 2 and starts[node][1]["cause"] == restarts[node]
    started = [row for row in run.messages("note") if row["node"] == "n2"]
    assert started[1]["payload"]["accepted"] > 0, "its log was there again"
    after = [
        row
        for row in events
        if row["node"] == "n2" and row["kind"] == "deliver" and row["time"] > starts["n2"][1]["time"]
    ]
    assert after, "the others found it at its new address"
    assert any(row["kind"] == "drop" and row["peer"] == "n2" for row in events)
    assert_nothing_is_left(tmp_path)


def test_an_exception_in_a_handler_is_a_crash_with_its_traceback_and_no_hang(tmp_path: Path) -> None:
    result, run = ran(register_run(tmp_path, boom_after=30, clients=1))
    (fallen,) = result.crashes
    assert (fallen.node, fallen.why) == ("n1", "ZeroDivisionError: as asked")
    assert "on_boom" in fallen.traceback
    assert result.tally.ok > 31, "two of three are a majority"
    (row,) = list(run.messages("crash"))
    assert "on_boom" in row["payload"]["traceback"]
    assert_nothing_is_left(tmp_path)


def test_packed_nodes_crash_and_restart_within_their_process(tmp_path: Path) -> None:
    script = (crash(300 * MS, "n2", lasts=300 * MS),)
    engine = {"nodes_per_actor": 3}
    result, run = ran(register_run(tmp_path, engine=engine, script=script))
    assert result.failure == ""
    assert [fallen.why for fallen in result.crashes] == ["fault (emulated: the node shares its process)"]
    assert is_atomic(run)
    started = [row["payload"]["accepted"] for row in run.messages("note") if row["node"] == "n2"]
    assert len(started) == 2 and started[1] > 0
    assert count(run, "restart") == 1
    assert_nothing_is_left(tmp_path)


def test_a_stopped_node_neither_holds_up_the_run_nor_survives_it(tmp_path: Path) -> None:
    stopped: list[Any] = []

    def stop_n1(now: int, tally: Tally) -> None:
        if now > 200 * MS and not stopped:
            stopped.append(node_processes()["n1"])
            stopped[0].suspend()

    result, run = ran(register_run(tmp_path), stop_n1)
    assert result.failure == "" and result.crashes == ()
    assert is_atomic(run)
    assert run.history.to_pylist()[-1]["invoked"] > 800 * MS
    assert_nothing_is_left(tmp_path)


def test_a_node_whose_storage_is_gone_does_not_start_empty(tmp_path: Path) -> None:
    """It would have forgotten what it promised: the run ends, and says why."""

    def lose_it(now: int, tally: Tally) -> None:
        if tally.faults.get("script/crash"):
            (tmp_path / "storage" / "n2.db").unlink(missing_ok=True)

    script = (crash(300 * MS, "n2", lasts=900 * MS),)
    result, run = ran(register_run(tmp_path, script=script, duration=20 * SECOND), lose_it)
    assert "n2.db: the durable state is gone; a node that lost it must not start empty" in result.failure
    assert result.wall_s < 15
    assert [fallen.node for fallen in result.crashes] == ["n2", "n2"]
    assert is_atomic(run)
    assert_nothing_is_left(tmp_path)


def test_memory_for_storage_and_faults_that_kill_do_not_go_together(tmp_path: Path) -> None:
    run = register_run(tmp_path, engine={"storage": "memory"}, script=(crash(1, "n1"),))
    with pytest.raises(ConfigError, match=r"engine.storage: memory forgets everything when a process is killed"):
        RayEngine().run(run, lambda now, tally: None)
