"""`python -m framework.run -m`, from what is typed to the rows that are kept."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from framework.config.compose import compose
from framework.core.errors import ConfigError
from framework.run.__main__ import main
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.sweep.point import RunRequest, plan_of, run_point
from framework.sweep.reader import open_sweep
from framework.sweep.sweep_run import ALIKE
from framework.sweep.tasks import Exhausted
from framework.trace.reader import open_run
from tests.sweep.troubled import write_troubled

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent.parent
HELLO = ("experiment=hello", "engine=sim", "duration=100ms", "sweep.workers=1")


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = open_sweep(folder).rows.to_pylist()
    return found


def sweep(folder: Path, *words: str) -> int:
    return main(["-m", *HELLO, f"sweep.dir={folder}", *words])


def troubled(folder: Path, module: str, *words: str) -> tuple[str, ...]:
    return (
        f"plugins.path={write_troubled(folder, module)}",
        "protocol=troubled",
        "workload=echo",
        *words,
    )


def test_a_sweep_keeps_a_row_of_each_run_and_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(tmp_path, "nodes=1,3", "clients=2,4", "seed=range(0,5)") == 0
    shown = capsys.readouterr()
    assert f"20 points, 20 to run; folder {tmp_path}" in shown.err
    assert re.search(r"nodes +clients +runs +valid +operations/s +p50 +p99\n1 +2 +5 +5 ", shown.out)
    assert "20 runs: 20 valid, 0 unknown, 0 invalid" in shown.out
    assert shown.out.splitlines()[-2:] == ["verdict: valid", f"sweep: {tmp_path}"]
    found = rows(tmp_path)
    assert sorted((row["nodes"], row["clients"], row["seed"]) for row in found) == [
        (nodes, clients, seed) for nodes in (1, 3) for clients in (2, 4) for seed in range(5)
    ]
    assert len({row["key"] for row in found}) == 20 and {row["status"] for row in found} == {"ok"}
    assert all(dict(row["messages"])["echo.Echo"] > 0 and row["operations_ok"] > 0 for row in found)
    configs = open_sweep(tmp_path).configs
    assert {configs[row["config"]]["nodes"] for row in found if row["nodes"] == 3} == {3} and len(configs) == 4


def test_the_same_command_runs_only_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(tmp_path, "seed=range(0,3)") == 0
    before = rows(tmp_path)
    assert sweep(tmp_path, "seed=range(0,6)") == 0
    assert "6 points, 3 to run, 3 already done" in capsys.readouterr().err
    assert rows(tmp_path)[:3] == before and [row["seed"] for row in rows(tmp_path)][:3] == [
        row["seed"] for row in before
    ]
    assert sweep(tmp_path, "seed=range(0,6)") == 0
    assert main(["--resume", str(tmp_path)]) == 0
    assert "6 points, 0 to run, 6 already done" in capsys.readouterr().err and len(rows(tmp_path)) == 6


def test_rows_by_other_code_stay_and_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(tmp_path, "seed=0,1") == 0
    monkeypatch.setattr("framework.sweep.identity._versions", lambda engine: ["another Python"])
    assert main(["-m", *HELLO, f"sweep.dir={tmp_path}", "seed=0,1,2", "--code", "any"]) == 0
    assert "3 points, 1 to run, 2 already done" in capsys.readouterr().err
    assert sweep(tmp_path, "seed=0,1,2") == 0
    assert "3 points, 2 to run, 1 already done, 2 of them have rows of other code or configs" in capsys.readouterr().err
    everything = open_sweep(tmp_path).all_rows["key"].to_pylist()
    assert len(everything) == len(set(everything)) == 5 and sorted(row["seed"] for row in rows(tmp_path)) == [0, 1, 2]


def test_a_run_of_a_sweep_is_the_run_that_its_command_takes(tmp_path: Path) -> None:
    """Composed once, with the seed replaced; or composed with the seed."""
    words = ["experiment=raft_chaos", "duration=1300ms", "quiet=300ms", "trace=history"]
    for seed in (3, 4):
        request = RunRequest(number=0, overrides=tuple(words), config_dir=None, seed=seed, command="")
        finished = run_point(request)
        assert not isinstance(finished, Exhausted)
        composed = compose([*words, f"seed={seed}", f"run.dir={tmp_path / str(seed)}"])
        composed.experiment.run_dir.mkdir()
        plan = Plan(
            experiment=composed.experiment, config=composed.config, engine="sim",
            checkers=composed.checkers, models=composed.models,
        )  # fmt: skip
        result = execute(plan, engine_named("sim"), lambda now, tally: None)
        assert (finished.outcome.digest, finished.outcome.verdict) == (result.digest, str(result.verdict))
        once = plan_of(compose(words), request, tmp_path / str(seed))
        assert once.experiment.make_workload().__class__ is plan.experiment.make_workload().__class__
        assert {**once.config, "run": None} == {**plan.config, "run": None}


def test_each_trouble_is_a_row_with_its_reason_and_all_others_are_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    troubles = "none,hanging,matching,raising,eating,eating_quietly,exiting,killed"
    words = troubled(tmp_path, "synod_test_troubles", f"protocol.trouble={troubles}", "seed=0")
    assert sweep(tmp_path / "s", *words, "sweep.timeout=3s", "sweep.memory=200MiB") == 1
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows(tmp_path / "s"):
        found.setdefault(row["protocol.trouble"], []).append(row)
    assert {name: {(row["status"], row["verdict"]) for row in group} for name, group in found.items()} == {
        "none": {("ok", "valid")},
        "hanging": {("timeout", None)},
        "matching": {("timeout", None)},
        "raising": {("ok", "invalid")},
        "eating": {("memory", None)},
        "eating_quietly": {("memory", None)},
        "exiting": {("died", None)},
        "killed": {("died", None)},
    }
    assert all(len(group) == 1 for group in found.values())
    assert "be_hanging (" in found["hanging"][0]["reason"] and "be_hanging" in found["hanging"][0]["traceback"]
    assert "be_matching" in found["matching"][0]["traceback"]
    assert "KeyError" in found["raising"][0]["reason"] and "MemoryError" in found["eating"][0]["reason"]
    assert "exit code 3" in found["exiting"][0]["reason"] and "SIGKILL" in found["killed"][0]["reason"]
    assert "8 runs: 1 valid, 0 unknown, 1 invalid, 2 timeout, 2 memory, 2 died" in capsys.readouterr().out.replace(
        "0 failed, ", ""
    )


def test_an_invalid_run_is_taken_again_and_kept_with_its_full_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = troubled(tmp_path, "synod_test_kept", "protocol.trouble=none,lying", "seed=range(0,3)", "sweep.kept=2")
    assert sweep(tmp_path / "s", *words) == 1
    bad = [row for row in rows(tmp_path / "s") if row["verdict"] == "invalid"]
    assert len(bad) == 3 and sum(bool(row["kept"]) for row in bad) == 2
    for row in bad:
        if row["kept"]:
            run = open_run(tmp_path / "s" / row["kept"])
            assert len(run.events) and run.result["verdict"] == "invalid" and run.result["seed"] == row["seed"]
    shown = capsys.readouterr().out
    commands = [line.partition("again: ")[2] for line in shown.splitlines() if "again: " in line]
    assert len(commands) == 3 and shown.count("  kept: ") == 2 and "\ninvalid, 3 times: echo: " in shown
    (tmp_path / "again").mkdir()
    assert main([*shlex.split(commands[0])[3:], f"run.dir={tmp_path / 'again'}"]) == 1


def test_keeping_all_and_keeping_none(tmp_path: Path) -> None:
    assert sweep(tmp_path / "all", "seed=0,1", "sweep.keep=all") == 0
    kept = [tmp_path / "all" / row["kept"] for row in rows(tmp_path / "all")]
    assert len(kept) == 2 and all(len(open_run(folder).events) for folder in kept)
    words = troubled(tmp_path, "synod_test_none", "protocol.trouble=lying", "seed=0,1", "sweep.keep=none")
    assert sweep(tmp_path / "none", *words) == 1
    assert not (tmp_path / "none" / "kept").exists() and len(rows(tmp_path / "none")) == 2


def test_runs_that_depend_on_those_before_them_do_not_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = troubled(tmp_path, "synod_test_remembers", "protocol.trouble=remembering", "seed=range(0,10)")
    assert sweep(tmp_path / "s", *words, "sweep.workers=1") == 2
    shown = capsys.readouterr().out
    assert "No verdict counts: a run came out differently in a process of its own (invalid and then valid)" in shown
    assert "Runs of one process share synod_test_remembers.SEEN, which a run changes" in shown
    assert "verdict: unknown — runs depend on earlier runs in the same process" in shown
    assert sweep(tmp_path / "s", *words, "sweep.workers=1") == 2, "also when there is nothing left to run"


@pytest.mark.parametrize("words", [("sweep.kept=0",), ("sweep.keep=all", "sweep.kept=1")])
def test_no_setting_of_what_is_kept_lets_an_unconfirmed_verdict_pass(tmp_path: Path, words: tuple[str, ...]) -> None:
    module = f"synod_test_unconfirmed_{len(words)}_{words[0][-1]}"
    asked = troubled(tmp_path, module, "protocol.trouble=remembering", "sweep.workers=1", *words)
    assert sweep(tmp_path / "s", *asked, "seed=range(0,2)") == 2
    assert sweep(tmp_path / "s", *asked, "seed=range(0,4)") == 2
    assert "invalid" not in {row["verdict"] for row in rows(tmp_path / "s")}


def test_a_valid_run_that_depends_on_those_before_it_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It answers later, so that only the history tells the runs apart."""
    words = troubled(tmp_path, "synod_test_lags", "protocol.trouble=lagging", "seed=range(0,10)", "sweep.workers=1")
    assert sweep(tmp_path / "s", *words) == 2
    assert "a run came out differently in a process of its own (valid with another history)" in capsys.readouterr().out


def test_a_sweep_has_one_engine_whatever_chooses_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", "experiment=raft_chaos,raft_3nodes", "duration=2s", "quiet=500ms", f"sweep.dir={tmp_path}"]) == 2
    assert "experiment=raft_3nodes has engine=ray, the points before it engine=sim" in capsys.readouterr().err


def test_a_row_that_comes_out_differently_when_it_is_run_again_has_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = troubled(tmp_path, "synod_test_flagged", "protocol.trouble=flagged", "seed=0,1")
    (tmp_path / "flag").touch()
    assert sweep(tmp_path / "s", *words) == 1
    (tmp_path / "flag").unlink()
    assert sweep(tmp_path / "s", *words, "--rerun", "invalid") == 2
    assert sorted((row["seed"], row["status"], row["attempt"]) for row in rows(tmp_path / "s")) == [
        (0, "failed", 1), (1, "failed", 1),
    ]  # fmt: skip
    assert "came out differently a second time: digest" in capsys.readouterr().out


def test_the_first_invalid_run_can_end_the_sweep_with_its_story(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = troubled(tmp_path, "synod_test_first", "protocol.trouble=lying", "seed=range(0,1000)")
    assert sweep(tmp_path / "s", *words, "sweep.stop=first_invalid") == 1
    told = capsys.readouterr().err
    assert re.search(r"invalid: seed=\d+: echo: ", told) and "  again: python -m framework.run experiment=hello" in told
    assert len(rows(tmp_path / "s")) < 100


def test_failures_of_one_kind_from_the_beginning_end_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ALIKE == 20
    monkeypatch.setattr("framework.sweep.sweep_run.ALIKE", 4)
    words = troubled(
        tmp_path, "synod_test_alike", "protocol.trouble=eating", "seed=range(0,1000)", "sweep.memory=20MiB"
    )
    assert sweep(tmp_path / "s", *words) == 2
    assert "verdict: unknown — the first 4 points all failed in one way: " in capsys.readouterr().out
    assert 4 <= len(rows(tmp_path / "s")) < 10


def test_failures_can_be_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = troubled(tmp_path, "synod_test_again", "protocol.trouble=none,eating", "seed=0,1")
    assert sweep(tmp_path / "s", *words, "sweep.memory=20MiB") == 2
    assert sweep(tmp_path / "s", *words, "sweep.memory=20MiB", "--rerun", "failed") == 2
    assert "4 points, 2 to run, 2 already done" in capsys.readouterr().err
    found = rows(tmp_path / "s")
    assert sorted((row["status"], row["attempt"]) for row in found) == [
        ("memory", 1),
        ("memory", 1),
        ("ok", 0),
        ("ok", 0),
    ]
    files = sorted((tmp_path / "s" / "rows").iterdir())
    assert sum(len(pq.read_table(file)) for file in files) == 4, "no reader of the files meets a row twice"


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "framework.run", "-m", *HELLO, f"sweep.dir={folder}", *words]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def journal_lines(folder: Path) -> int:
    file = folder / "journal.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def children(parent: int) -> list[int]:
    """The processes that a process has started and that run still."""
    shown = subprocess.run(
        ["ps", "-o", "pid=,stat=", "--ppid", str(parent)], capture_output=True, text=True, check=False
    )
    return [int(line.split()[0]) for line in shown.stdout.splitlines() if "Z" not in line.split()[1]]


def gone(processes: list[int], within_s: float) -> bool:
    """Whether all these processes end within so many seconds."""
    deadline = time.monotonic() + within_s
    while any(Path(f"/proc/{process}").exists() for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def wait_for(rows_wanted: int, folder: Path, running: subprocess.Popen[str]) -> list[int]:
    """Waits until so many rows are there; the processes that the sweep has started."""
    deadline = time.monotonic() + 60
    while journal_lines(folder) < rows_wanted:
        assert running.poll() is None and time.monotonic() < deadline, running.communicate()
        time.sleep(0.01)
    return children(running.pid)


def test_a_driver_that_is_killed_loses_no_row_and_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    running = started(folder, "seed=range(0,300)", "sweep.workers=2")
    workers = wait_for(30, folder, running)
    running.kill()
    running.communicate()
    assert len(workers) == 2 and gone(workers, within_s=5)
    before = {row["key"] for row in rows(folder)}
    assert 30 <= len(before) < 300
    assert sweep(folder, "seed=range(0,300)") == 0
    found = [row["key"] for row in rows(folder)]
    assert len(found) == len(set(found)) == 300 and before < set(found)


def test_ctrl_c_seals_the_journal_and_prints_how_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    running = started(folder, "seed=range(0,3000)")
    workers = wait_for(30, folder, running)
    began = time.monotonic()
    running.send_signal(signal.SIGINT)
    out, told = running.communicate(timeout=20)
    assert time.monotonic() - began < 5 and running.returncode == 2
    assert re.fullmatch(rf"verdict: unknown — [\d,]+ of 3,000 runs are missing\nsweep: {folder}\n", out)
    assert gone(workers, within_s=5)
    assert re.search(
        rf"interrupted: \d+ of 3,000 runs are done; to continue:\n  python -m framework.run --resume {folder}\n", told
    )
    assert "Traceback" not in told and journal_lines(folder) == 0 and len(rows(folder)) >= 30
    assert main(["--resume", str(folder), "seed=range(0,60)"]) == 0


def test_a_worker_that_is_killed_costs_no_point(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    running = started(folder, "seed=range(0,200)")
    for wanted in (20, 60, 100):
        workers = wait_for(wanted, folder, running)
        if workers:
            os.kill(workers[0], signal.SIGKILL)
    out, _ = running.communicate(timeout=120)
    assert running.returncode == 0 and "200 runs: 200 valid, 0 unknown, 0 invalid" in out
    assert len({row["key"] for row in rows(folder)}) == len(rows(folder)) == 200


def test_a_second_sweep_in_the_folder_is_refused_while_one_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "s"
    running = started(folder, "seed=range(0,100000)")
    wait_for(1, folder, running)
    assert sweep(folder, "seed=range(0,100000)") == 2
    assert f"another sweep is writing there (process {running.pid})" in capsys.readouterr().err
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=20)


def test_one_value_of_an_axis_goes_into_the_folder_and_what_differs_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(tmp_path / "s", "nodes=1,3", "seed=0") == 0
    assert main(["--resume", str(tmp_path / "s"), "nodes=5"]) == 0
    assert "1 point, 1 to run, 2 rows of other points or code in the folder" in capsys.readouterr().err
    assert sorted(row["nodes"] for row in rows(tmp_path / "s")) == [1, 3, 5]
    assert sweep(tmp_path / "s", "nodes=1,3", "seed=0", "clients=4") == 2
    assert (
        "belongs to another sweep: only here: clients=4. Name another with sweep.dir=FOLDER." in capsys.readouterr().err
    )


def test_a_runs_folder_is_no_sweeps_and_a_sweep_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*HELLO[:3], f"run.dir={tmp_path / 'r'}"]) == 0
    assert sweep(tmp_path / "r", "seed=0,1") == 2
    assert "but no sweep.json: it is not the folder of a sweep" in capsys.readouterr().err
    assert sweep(tmp_path / "s", "seed=0,1") == 0
    with pytest.raises(ConfigError, match="is a sweep and no run"):
        open_run(tmp_path / "s")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--resume"], "--resume needs a folder"),
        (["--resume", "nowhere"], "nowhere: no such folder"),
        (["--rerun", "invalid"], "--rerun is for sweeps. Add -m, or --resume DIR."),
        (["-m", "--rerun", "invalids"], "--rerun invalids is not known. Did you mean 'invalid'?"),
        (["-m", "--code", "all"], "--code all is not known. Write --code any."),
    ],
)
def test_flags_of_sweeps_are_checked(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*HELLO, *words]) == 2
    assert complaint in capsys.readouterr().err


def test_quiet_prints_two_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(tmp_path, "seed=0,1", "--quiet") == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == ["verdict: valid", f"sweep: {tmp_path}"] and told.err == ""


def test_the_config_of_the_first_point_can_be_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(tmp_path, "nodes=1,3", "seed=range(0,5)", "--cfg", "job") == 0
    shown = capsys.readouterr().out
    assert (
        shown.startswith(
            "# 10 points, each combination with 5 seeds, from 0 to 4:\n#   nodes=1\n#   nodes=3\n# The first:\n"
        )
        and "\nnodes: 1\n" in shown
        and not list(tmp_path.iterdir())
    )


def test_draws_of_a_sampler_are_rows(tmp_path: Path) -> None:
    words = ("clients=int(interval(1,9))", "nodes=1,3", "sweep.sampler=latin_hypercube", "sweep.samples=8", "seed=0,1")
    assert sweep(tmp_path, *words) == 0
    found = rows(tmp_path)
    assert len({(row["clients"], row["nodes"]) for row in found}) >= 4 and {row["seed"] for row in found} == {0, 1}


def test_the_journal_is_json_that_anyone_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    running = started(folder, "seed=range(0,100000)")
    wait_for(3, folder, running)
    line = json.loads((folder / "journal.jsonl").read_text().splitlines()[0])
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=20)
    assert line["seed"] >= 0 and line["outcome"]["verdict"] == "valid"
