"""Runs in processes of their own: Ctrl-C, what is left behind, a cluster of two machines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from framework import open_run

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[3]
BOUND_S = 60


def started(module: str, *arguments: str) -> subprocess.Popen[str]:
    """A program of this folder, in a session of its own so that its children are known."""
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.engine.ray.{module}", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def descendants(parent: int) -> list[int]:
    """The processes below one, at any depth."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    below: dict[int, list[int]] = {}
    for line in listed.splitlines():
        pid, ppid = (int(word) for word in line.split())
        below.setdefault(ppid, []).append(pid)
    found, open_ = [], [parent]
    while open_:
        children = below.get(open_.pop(), [])
        found += children
        open_ += children
    return found


def alive(pids: list[int]) -> list[str]:
    """Of these processes, those that still run, as `ps` shows them."""
    listed = subprocess.run(["ps", "-eo", "pid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [" ".join(row) for row in rows if int(row[0]) in pids and "Z" not in row[1]]


def test_ctrl_c_ends_a_run_in_order_and_leaves_no_process_behind(tmp_path: Path) -> None:
    """One of its nodes is stopped, which no signal but SIGKILL would end."""
    program = started("interrupted", str(tmp_path))
    assert program.stdout is not None and program.stderr is not None
    assert program.stdout.readline() == "running\n"
    children = descendants(program.pid)
    nodes = [int(line.split()[0]) for line in alive(children) if "ray::n" in line or ":n1." in line]
    os.kill(nodes[0], signal.SIGSTOP)
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does
    out, errors = program.communicate(timeout=BOUND_S)
    result = json.loads(out)
    assert result["interrupted"] and result["ok"] > 0 and result["failure"] == ""
    assert errors == ""
    assert alive(children) == []
    run = open_run(tmp_path)
    assert run.history.num_rows >= result["ok"]
    assert set(run.events["kind"].to_pylist()) >= {"start", "send", "deliver", "complete", "commit"}
    assert not (tmp_path / "storage").exists()


def test_nodes_spread_over_two_machines_and_what_cannot_be_placed_is_told_in_one_line(tmp_path: Path) -> None:
    program = started("clustered", str(tmp_path))
    out, errors = program.communicate(timeout=BOUND_S)
    assert program.returncode == 0, errors
    refused, answer = (json.loads(line) for line in out.strip().splitlines()[-2:])
    where = "scheduling=strict_spread: 3 node actors cannot be placed on 2 machine(s) within 2s"
    assert refused["error"].startswith(where)
    assert answer["failure"] == "" and answer["ok"] > 50
    assert answer["details"]["machines"] == 2
    assert 0 < answer["details"]["clock_error_ms"] < 500
    run = open_run(tmp_path / "spread")
    assert set(run.events["node"].to_pylist()) == {"n1", "n2", "n3", "c1", "c2", "c3"}, "every trace came home"
    starts = [row for row in run.events.to_pylist() if row["kind"] == "start" and row["node"] == "n2"]
    assert len(starts) == 2, "it was restarted where its storage is"
    assert not list(Path(tempfile.gettempdir()).glob("synod-????????-????????"))
