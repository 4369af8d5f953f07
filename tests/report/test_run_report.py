"""The report of a run: all parts of a whole run, and what is readable of any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from framework.console.entry import carried_out
from framework.core.errors import ConfigError
from framework.report.__main__ import main
from framework.report.run_report import run_data, write_run_report
from framework.trace.reader import open_run
from tests.composing import registry
from tests.report.runs import BLOCKED, BROKEN, RAFT, take

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def raft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "raft"
    take(folder, *RAFT)
    return folder


@pytest.fixture
def copied(raft: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(raft, tmp_path / "run"))


def data_of(folder: Path) -> dict[str, Any]:
    data = run_data(open_run(folder), registry())
    json.dumps(data, allow_nan=False)
    return data


def test_a_whole_run_has_every_part(raft: Path) -> None:
    data, result = data_of(raft), json.loads((raft / "result.json").read_text())

    assert (raft / "report.html").exists(), "every run leaves one"
    assert data["verdict"] == "valid" and not data["missing"] and not data["warnings"]
    assert data["command"] == "python -m framework.run experiment=raft_chaos engine=sim seed=3"
    assert [group["name"] for group in data["load"]["groups"]] == ["reads", "writes"]
    width = data["load"]["at"][1] - data["load"]["at"][0]
    answered = sum(sum(group["rate"]) for group in data["load"]["groups"]) * width
    assert answered == pytest.approx(result["operations"]["ok"], rel=0.02)
    assert [row["name"] for row in data["nodes"]["rows"]] == ["n1", "n2", "n3", "n4", "n5"]
    assert {"follower", "leader", "down"} <= set(data["nodes"]["states"])
    assert data["nodes"]["progress"]["field"] == "commit"
    assert data["leaders"] and data["leaders"][0]["term"] == 1
    delivered = sum(map(sum, data["messages"]["links"]["delivered"]))
    assert delivered == sum(result["messages"].values()) == sum(row["delivered"] for row in data["messages"]["types"])
    lost = sum(map(sum, data["messages"]["links"]["lost"]))
    assert lost == sum(result["dropped"].values())


def test_faults_are_bands_with_their_targets(raft: Path) -> None:
    data, result = data_of(raft), json.loads((raft / "result.json").read_text())

    assert len(data["faults"]) == sum(entry["fired"] for entry in result["ledger"]) > 0
    crash = next(band for band in data["faults"] if "crash" in band["label"])
    (down,) = [span for row in data["nodes"]["rows"] for span in row["spans"] if span["state"] == "down"]
    assert crash["name"] == "crash" and crash["label"].startswith("chaos/crash (n4"), "its time is that of the band"
    assert crash["from"] == pytest.approx(down["from"]) and crash["to"] == pytest.approx(down["to"], abs=0.02)


def test_bands_have_the_nodes_that_they_hit_and_the_sides_of_a_partition(raft: Path, copied: Path) -> None:
    data = data_of(raft)
    hit = [(band["name"], band["targets"]) for band in data["faults"]]
    assert hit == [("clock", ["n3"]), ("partition", ["n1", "n2"]), ("clock", ["n1", "n3"]), ("crash", ["n4"])]
    (sides,) = [band["sides"] for band in data["faults"] if band["sides"]]
    assert [[name for name in side if name[0] == "n"] for side in sides] == [["n1", "n2"], ["n3", "n4", "n5"]]
    assert sum(map(len, sides)) == 5 + 20, "each client is on a side"

    result = json.loads((copied / "result.json").read_text())
    for entry in result["ledger"]:
        entry.pop("targets")
    (copied / "result.json").write_text(json.dumps(result))
    assert [band["targets"] for band in data_of(copied)["faults"]] == [[]] * 4, "of a run by an earlier version"


def test_settings_tell_their_defaults(raft: Path) -> None:
    rows = {row["key"]: row for row in data_of(raft)["config"]}

    assert rows["clients"] == {"key": "clients", "value": "20", "usual": "10", "differs": True}
    assert rows["protocol.prevote"]["usual"] == "true" and not rows["protocol.prevote"]["differs"]
    assert rows["workload.loop"]["usual"] == "closed"
    assert "run.dir" not in rows


def test_an_invalid_run_shows_its_evidence(tmp_path: Path) -> None:
    take(tmp_path / "run", *BROKEN, code=1)
    data = data_of(tmp_path / "run")
    assert data["verdict"] == "invalid" and "agreement" in data["reasons"][0]
    assert data["stories"][0]["name"] == "agreement" and "here it broke" in " ".join(data["stories"][0]["lines"])
    assert data["failures"] == [{"at": 2.42, "label": "agreement"}]


def test_the_first_failures_of_an_invalid_run_have_their_times(copied: Path) -> None:
    whole = json.loads((copied / "result.json").read_text())
    check = {"verdict": "invalid", "reason": "", "story": []}
    checks = [
        {**check, "name": "late", "time": 2_000_000_000},
        {**check, "name": "unsure", "time": 5, "verdict": "unknown"},
        {**check, "name": "no time"},
    ]
    crashes = [{"node": "n2", "time_s": 0.5, "why": "KeyError", "traceback": "…"}, {**whole["crashes"][0]}]
    changed = {**whole, "verdict": "invalid", "checks": checks, "crashes": crashes}
    (copied / "result.json").write_text(json.dumps(changed))
    assert data_of(copied)["failures"] == [{"at": 0.5, "label": "n2 raised"}, {"at": 2.0, "label": "late"}]
    (copied / "result.json").write_text(json.dumps({**changed, "verdict": "unknown"}))
    assert data_of(copied)["failures"] == []


def test_blocked_time_is_told(tmp_path: Path) -> None:
    take(tmp_path / "run", *BLOCKED)
    told = {tile["label"]: tile for tile in data_of(tmp_path / "run")["tiles"]}
    assert "interval" in told["blocked"]["more"]


def test_without_events_the_parts_that_need_them_say_so(tmp_path: Path) -> None:
    take(tmp_path / "run", *RAFT, "trace=history")
    data = data_of(tmp_path / "run")
    assert "trace=history" in data["missing"]["nodes"] and "trace=full" in data["missing"]["nodes"]
    assert data["messages"]["links"] == data["missing"]["nodes"]
    assert data["load"] and data["faults"] and data["messages"]["types"]


def test_without_a_trace_there_are_the_numbers_of_the_result(tmp_path: Path) -> None:
    take(tmp_path / "run", *RAFT, "trace=none", code=2)
    data = data_of(tmp_path / "run")
    assert data["verdict"] == "unknown"
    assert "trace=none" in data["missing"]["load"] and "trace=none" in data["missing"]["nodes"]
    assert data["tiles"][0]["value"] != "0"


def test_a_run_that_was_killed_is_shown_as_far_as_it_came(copied: Path) -> None:
    (copied / "result.json").unlink()
    for path in (copied / "trace" / "events.arrow", copied / "history.arrow"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    data = data_of(copied)
    assert data["verdict"] == "no verdict" and "cut off" in data["summary"]
    assert "checked" in data["missing"]["checks"]
    assert data["title"] == "raft_chaos"


@pytest.mark.parametrize(
    ("name", "part"),
    [("result.json", "checks"), ("config.yaml", "config"), ("history.arrow", "load"), ("trace/events.arrow", None)],
)
def test_a_damaged_file_costs_its_own_part_alone(copied: Path, name: str, part: str | None) -> None:
    content = bytearray((copied / name).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = b"\xff{" * 32
    (copied / name).write_bytes(content)

    data = data_of(copied)

    told = data["missing"].get(part, "") if part else " ".join(data["warnings"])
    assert name.rpartition("/")[2] in told
    others = {"checks", "config", "load"} - {part}
    assert not others & data["missing"].keys()


def wrong_values() -> list[tuple[str, Any]]:
    keys = ("verdict", "reasons", "checks", "operations", "latency_ms", "throughput_ops_s", "messages", "ledger", "crashes",
            "virtual_s", "notes", "sometimes", "versions", "blocked", "command", "steps")  # fmt: skip
    return [(key, value) for key in keys for value in (7, "x", [{}], {"x": [1]}, [None], float("nan"), None)]


def test_a_result_with_one_wrong_value_is_shown_as_far_as_it_goes(copied: Path) -> None:
    whole = json.loads((copied / "result.json").read_text())
    run = open_run(copied)
    for key, value in wrong_values():
        run.__dict__["result"] = {**whole, key: value}
        data = run_data(run, registry())
        json.dumps(data, allow_nan=False)
        assert data["load"] and data["nodes"] and data["title"] == "raft_chaos", (key, value)


@pytest.mark.parametrize(
    "text", ["trace: full", "protocol: [1]", "engine: {name: [1]}", "nodes: 99999999", "warmup: soon", "faults: 3"]
)
def test_a_config_that_no_run_writes_costs_its_own_part(copied: Path, text: str) -> None:
    import yaml

    config = {**yaml.safe_load((copied / "config.yaml").read_text()), **yaml.safe_load(text)}
    (copied / "config.yaml").write_text(yaml.safe_dump(config))
    assert data_of(copied)["load"]


def test_the_warm_up_is_named_where_it_is_left_out(tmp_path: Path) -> None:
    take(tmp_path / "run", *RAFT, "warmup=300ms")
    data = data_of(tmp_path / "run")
    assert data["warmup"] == 0.3
    told = {tile["label"]: tile["more"] for tile in data["tiles"]}
    assert all("after the warm-up" in told[label] for label in ("throughput", "latency p50", "latency p99"))


@pytest.mark.parametrize("content", ["{}", "[]", '{"verdict": "valid"}', '{"operations": null, "reasons": ["x"]}'])
def test_a_result_of_another_kind_is_no_failure(copied: Path, content: str) -> None:
    (copied / "result.json").write_text(content)
    assert data_of(copied)["title"]


def test_a_folder_of_something_else_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match="no run"):
        write_run_report(tmp_path)


def test_the_command_writes_where_it_is_told(raft: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "mine.html"
    assert main([str(raft), "--output", str(target)]) == 0
    assert capsys.readouterr().out == f"report: {target}\n"
    assert target.read_bytes().startswith(b"<!DOCTYPE html>")
    assert main([str(raft), "--output", str(tmp_path / "none" / "x.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main([str(tmp_path / "nowhere")]) == 2
    for other in ("", "/dev/null", str(tmp_path)):
        assert main([str(raft), "--output", other]) == 2
        assert "is not a file to write" in capsys.readouterr().err


def test_reports_are_left_out_on_request(tmp_path: Path) -> None:
    take(tmp_path / "never", *RAFT, "run.report=never")
    take(tmp_path / "valid", *RAFT, "run.report=on_failure")
    take(tmp_path / "invalid", *BROKEN, "run.report=on_failure", code=1)
    assert [(tmp_path / name / "report.html").exists() for name in ("never", "valid", "invalid")] == [
        False,
        False,
        True,
    ]


def test_a_report_that_fails_changes_neither_verdict_nor_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from framework.report import run_report
    from framework.run.__main__ import main as run

    def broken(*_: object) -> dict[str, Any]:
        raise ZeroDivisionError("no page")

    monkeypatch.setattr(run_report, "run_data", broken)
    code = carried_out(lambda: run([*RAFT, f"run.dir={tmp_path / 'run'}"]))
    told = capsys.readouterr()
    assert code == 0 and told.out.splitlines()[-2] == "verdict: valid"
    assert "warning: no report" in told.err and "no page" in told.err
    assert not list(tmp_path.glob("run/*.html")) and not list(tmp_path.glob("run/.*"))


def test_two_reports_of_one_run_differ_in_their_date_alone(raft: Path) -> None:
    first, second = data_of(raft), data_of(raft)
    del first["made"], second["made"]
    assert first == second


def test_the_kinds_of_faults_that_blocked_nodes_are_told_in_short(copied: Path) -> None:
    whole = json.loads((copied / "result.json").read_text())
    cause = "chaos/crash + " + " + ".join(["schedule/loss", *(f"schedule/loss-{number}" for number in range(2, 9))])
    blocked = {"intervals": 1, "open": 0, "total_s": 0.38, "longest_s": 0.38, "by_cause": {cause: 0.38}, "by_node": {}}
    (copied / "result.json").write_text(json.dumps({**whole, "blocked": blocked}))
    told = {tile["label"]: tile for tile in data_of(copied)["tiles"]}
    assert told["blocked"]["value"] == "380 ms"
    assert told["blocked"]["more"] == "1 interval: crash + loss ×8 380 ms"
