"""The list of runs: whatever is in a folder, it is a row."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from framework.core.errors import ConfigError
from framework.registry.registry import Registry, load
from framework.report.run_list import NO_VERDICT, ListedRun, is_run, is_sweep, listed_runs
from tests.report.folders import lay_run, lay_sweep


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load([])


def only(folder: Path, registry: Registry | None = None) -> ListedRun:
    (run,) = listed_runs(folder, registry)
    return run


def test_a_run_has_its_numbers_and_what_differs_from_the_defaults(tmp_path: Path, registry: Registry) -> None:
    protocol = {"name": "raft", "heartbeat_interval": "70ms"}
    folder = lay_run(tmp_path / "one", {"verdict": "invalid", "reasons": ["first\nline", "second"]}, nodes=5, protocol=protocol)  # fmt: skip

    run = only(tmp_path, registry)

    assert (run.folder, run.kind, run.experiment, run.engine, run.seed) == (folder, "run", "raft_5nodes", "sim", 0)
    assert (run.verdict, run.reasons, run.reason) == ("invalid", ("first\nline", "second"), "first line")
    assert (run.throughput_ops_s, run.latency_ms["p99"], run.operations["ok"]) == (250.5, 8.0, 100)
    assert run.differing == ("nodes=5", "protocol.heartbeat_interval=70ms")
    assert run.settings["protocol.heartbeat_interval"] == "70ms" and run.settings["engine.name"] == "sim"


def test_the_seed_and_the_folder_are_no_differences(tmp_path: Path, registry: Registry) -> None:
    lay_run(tmp_path / "one", seed=7, run={"dir": "elsewhere"})
    assert only(tmp_path, registry).differing == ()


def test_the_newest_is_first_and_equal_times_are_in_the_order_of_folders(tmp_path: Path) -> None:
    for name, started in (("b", "2026-01-02"), ("a", "2026-01-02"), ("c", "2026-01-03")):
        lay_run(tmp_path / name, {"started": f"{started}T00:00:00Z"})
    assert [run.folder.name for run in listed_runs(tmp_path)] == ["c", "a", "b"]


def test_runs_are_found_two_levels_deep_and_not_within_runs(tmp_path: Path) -> None:
    lay_run(tmp_path / "near")
    lay_run(tmp_path / "study" / "deep")
    lay_run(tmp_path / "near" / "within")
    lay_run(tmp_path / "too" / "far" / "below")
    lay_run(tmp_path / ".hidden")
    (tmp_path / "notes").mkdir()
    (tmp_path / "file.txt").write_text("")
    assert {run.folder.name for run in listed_runs(tmp_path)} == {"near", "deep"}


def test_a_run_that_is_reached_by_several_paths_is_listed_once(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    lay_run(folder / "real")
    lay_run(folder / "study" / "deep")
    lay_run(elsewhere)
    links = {
        "a_link": "real",
        "loop": ".",
        "study/again": "../real",
        "study/up": "..",
        "b_study": "study",
        "z": str(elsewhere),
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    (tmp_path / "linked").symlink_to(folder)

    for base in (folder, tmp_path / "linked"):
        assert sorted(str(run.folder.relative_to(base)) for run in listed_runs(base)) == ["real", "study/deep", "z"]


def test_a_run_that_was_cut_off_has_no_verdict_and_says_since_when(tmp_path: Path) -> None:
    folder = lay_run(tmp_path / "cut", seed=4)
    (folder / "result.json").unlink()
    os.utime(folder / "config.yaml", (0, 0))
    run = only(tmp_path)
    assert (run.verdict, run.seed, run.experiment, run.engine) == (NO_VERDICT, 4, "raft_5nodes", "sim")
    assert run.reasons == ("was cut off, or has not ended yet (last written 1970-01-01T00:00:00Z)",)
    assert run.started == "1970-01-01T00:00:00Z" and run.throughput_ops_s is None

    (folder / "traceback.txt").write_text("…")
    assert only(tmp_path).reason == "the command failed: its traceback is in traceback.txt"


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"verdict": "valid"}', b'{"verdict": "fine"}', b"\xff", b"[" * 100_000, b"null"],
    ids=["empty", "list", "cut", "too little", "other verdict", "no text", "deep", "null"],
)
def test_a_damaged_result_is_a_row_without_a_verdict(content: bytes, tmp_path: Path) -> None:
    (lay_run(tmp_path / "damaged") / "result.json").write_bytes(content)
    run = only(tmp_path)
    assert run.verdict == NO_VERDICT and run.experiment == "raft_5nodes"
    assert run.reason.startswith("result.json cannot be read (")


@pytest.mark.parametrize("content", [b"a: [", b"- 1", b"\xff\xfe\x00", b"[" * 3_000, b"!!python/object:os.system {}"])
def test_a_damaged_config_leaves_the_result(content: bytes, tmp_path: Path, registry: Registry) -> None:
    (lay_run(tmp_path / "damaged") / "config.yaml").write_bytes(content)
    run = only(tmp_path, registry)
    assert (run.verdict, run.settings, run.differing) == ("valid", {}, ())
    assert run.reason.startswith("config.yaml ")


@pytest.mark.parametrize(
    "config", [{"engine": 3}, {"protocol": {"name": "unknown"}}, {"seed": "x"}, {"faults": [1, {}]}]
)
def test_a_config_that_no_run_has_written_is_no_error(config: dict[str, object], tmp_path: Path, registry: Registry) -> None:  # fmt: skip
    lay_run(tmp_path / "odd", **config)
    (tmp_path / "odd" / "result.json").unlink()
    assert only(tmp_path, registry).verdict == NO_VERDICT


def test_a_date_in_a_config_stays_text(tmp_path: Path, registry: Registry) -> None:
    (lay_run(tmp_path / "dated") / "config.yaml").write_text("experiment: 2026-01-02\nnodes: 3\n")
    assert only(tmp_path, registry).settings["experiment"] == "2026-01-02"


def test_a_sweep_is_a_row_of_its_own_with_its_runs_by_verdict(tmp_path: Path, registry: Registry) -> None:
    outcomes = ({}, {"verdict": "invalid", "reason": "bad"}, {"status": "timeout", "verdict": None})
    rows = [({"nodes": 3}, seed, outcome) for seed, outcome in enumerate(outcomes)]
    lay_sweep(tmp_path / "swept", rows, {"nodes": "integer"}, fixed=('experiment="hello"', 'duration="1s"'))

    run = only(tmp_path, registry)

    assert (run.kind, run.experiment, run.verdict, run.started) == ("sweep", "hello", "invalid", "2026-01-02T00:00:00Z")
    assert run.reason == "3 rows: 1 invalid, 1 timeout, 1 valid"
    assert run.differing == ("varies: nodes, seed", "duration=1s")


@pytest.mark.parametrize(
    ("outcomes", "verdict", "reason"),
    [
        ([{}, {}], "valid", "2 rows: 2 valid"),
        ([{}, {"verdict": "unknown"}], "unknown", "2 rows: 1 unknown, 1 valid"),
        ([{"status": "died", "verdict": None}], "unknown", "1 row: 1 died"),
        ([], NO_VERDICT, "no run has ended yet"),
    ],
)
def test_the_verdict_of_a_sweep(outcomes: list[dict[str, object]], verdict: str, reason: str, tmp_path: Path) -> None:
    lay_sweep(tmp_path / "swept", [({}, seed, outcome) for seed, outcome in enumerate(outcomes)], {})
    run = only(tmp_path)
    assert (run.verdict, run.reason) == (verdict, reason)


def test_a_damaged_sweep_is_a_row(tmp_path: Path) -> None:
    folder = lay_sweep(tmp_path / "swept", [({}, 1, {})], {})
    (folder / "rows" / "part-000000.parquet").write_bytes(b"no parquet")
    run = only(tmp_path)
    assert run.kind == "sweep" and run.verdict == NO_VERDICT and "part-000000.parquet: cannot be read" in run.reason
    (folder / "sweep.json").write_text("{}")
    assert "sweep.json: cannot be read" in only(tmp_path).reason


def test_what_a_folder_is(tmp_path: Path) -> None:
    run, sweep = lay_run(tmp_path / "run"), lay_sweep(tmp_path / "sweep", [], {})
    assert (is_run(run), is_sweep(run)) == (True, False)
    assert (is_run(sweep), is_sweep(sweep)) == (False, True)
    assert (is_run(tmp_path), is_sweep(tmp_path)) == (False, False)


def test_a_folder_that_is_none_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone: cannot be read \(No such file or directory\)"):
        listed_runs(tmp_path / "gone")


@pytest.mark.parametrize(
    ("overrides", "verdict", "reason"),
    [
        (("nodes=3,5", "seed=range(0,2)"), "unknown", "2 of 4 points: 2 valid"),
        (("nodes=3,5", "clients=9", "sweep.timeout=9s"), "valid", "2 rows: 2 valid"),
        (("sweep=raft_chaos",), "valid", "2 rows: 2 valid"),
        (("network=glob(wan_*)",), "valid", "2 rows: 2 valid"),
        (("nodes=int(interval(3,9))", "sweep.sampler=random"), "valid", "2 rows: 2 valid"),
        (("nodes=(",), "valid", "2 rows: 2 valid"),
    ],
)
def test_a_sweep_that_lacks_points_is_unknown(
    overrides: tuple[str, ...], verdict: str, reason: str, tmp_path: Path
) -> None:
    lay_sweep(tmp_path / "swept", [({}, seed, {}) for seed in (0, 1)], {}, overrides=overrides)
    run = only(tmp_path)
    assert (run.verdict, run.reason) == (verdict, reason)
