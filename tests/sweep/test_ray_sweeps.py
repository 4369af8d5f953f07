"""Sweeps on Ray: simulated runs on pooled actors, and runs of the Ray engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from framework.registry.discovery import ROOT
from framework.run.__main__ import main
from framework.sweep.reader import open_sweep
from framework.trace.reader import open_run
from tests.sweep.clustered_sweep import BOUND_S, LOST
from tests.sweep.troubled import write_troubled

pytestmark = [pytest.mark.ray]

SHORT = ("duration=1s", "quiet=200ms", "clients=3")


@pytest.mark.usefixtures("ray_runtime")
def test_runs_of_the_ray_engine_are_rows_and_only_invalid_ones_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = write_troubled(tmp_path, "synod_test_ray_sweep")
    words = ["experiment=hello", "engine=ray", f"plugins.path={plugin}", "protocol=troubled", "workload=echo", *SHORT]
    folder = tmp_path / "s"
    assert main(["-m", *words, "protocol.trouble=none,lying", "nodes=1", "seed=3", f"sweep.dir={folder}"]) == 1
    rows = {row["protocol.trouble"]: row for row in open_sweep(folder).rows.to_pylist()}
    assert {name: row["verdict"] for name, row in rows.items()} == {"none": "valid", "lying": "invalid"}
    assert rows["none"]["kept"] == "" and len(list((folder / "kept").iterdir())) == 1
    run = open_run(folder / rows["lying"]["kept"])
    assert run.result["engine"] == "ray" and run.result["seed"] == 3 and len(run.events)
    assert "again: python -m framework.run experiment=hello engine=ray" in capsys.readouterr().out


@pytest.mark.usefixtures("ray_runtime")
def test_a_run_that_finds_no_place_is_a_row(tmp_path: Path) -> None:
    words = ["experiment=hello", "engine=ray", *SHORT, "scheduling.timeout=1s", "sweep.cpus_per_run=1000"]
    assert main(["-m", *words, "seed=0", f"sweep.dir={tmp_path}"]) == 2
    (row,) = open_sweep(tmp_path).rows.to_pylist()
    assert row["status"] == "failed" and "node actors cannot be placed" in row["reason"]
    assert main(["-m", *words[:-1], "seed=0", f"sweep.dir={tmp_path}", "--rerun", "failed"]) == 0


@pytest.mark.usefixtures("ray_runtime")
def test_a_run_that_takes_too_long_is_a_row_and_the_next_one_runs(tmp_path: Path) -> None:
    words = ["experiment=hello", "engine=ray", "duration=1s,60s", "quiet=200ms", "clients=3", "sweep.timeout=12s"]
    assert main(["-m", *words, "seed=0", f"sweep.dir={tmp_path}"]) == 2
    rows = {row["duration"]: row for row in open_sweep(tmp_path).rows.to_pylist()}
    assert rows["1s"]["verdict"] == "valid"
    assert (rows["60s"]["status"], rows["60s"]["reason"]) == ("timeout", "took longer than 12s")


def test_a_sweep_on_a_cluster_outlives_a_machine(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.sweep.clustered_sweep", str(tmp_path / "s")], cwd=ROOT, check=False, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=BOUND_S + 30,
    )  # fmt: skip
    assert ended.returncode == 0, f"it failed, or had not ended after {BOUND_S} s:\n{ended.stdout}"
    assert LOST in ended.stdout and "60 runs: 60 valid, 0 unknown, 0 invalid" in ended.stdout
    keys = open_sweep(tmp_path / "s").rows["key"].to_pylist()
    assert len(keys) == len(set(keys)) == 60
