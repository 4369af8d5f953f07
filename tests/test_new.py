"""`framework.new` and `framework.plugins`: what an author types first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import framework.new.__main__ as new
import framework.plugins.__main__ as plugins
import framework.run.__main__ as run
from framework.registry.discovery import ROOT

pytestmark = pytest.mark.long


def test_a_new_protocol_runs_and_passes_its_test_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert new.main(["protocol", "first_steps", "--dir", str(tmp_path)]) == 0
    written = [
        tmp_path / "plugins/protocols/first_steps.py",
        tmp_path / "conf/experiment/first_steps.yaml",
        tmp_path / "tests/plugins/test_first_steps.py",
    ]
    assert capsys.readouterr().out.splitlines()[:3] == [f"wrote {file}" for file in written]
    assert sorted(file for file in tmp_path.rglob("*") if file.is_file()) == sorted(written)
    arguments = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(written[-1])]
    child = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert child.returncode == 0, child.stdout


def test_a_protocol_of_our_own_is_imported_as_a_built_in() -> None:
    contents = new._contents("first_steps", ROOT)
    assert list(contents) == [
        ROOT / "plugins/protocols/first_steps.py",
        ROOT / "conf/experiment/first_steps.yaml",
        ROOT / "tests/plugins/test_first_steps.py",
    ]
    test = contents[ROOT / "tests/plugins/test_first_steps.py"]
    assert "from plugins.protocols.first_steps import Answer, FirstStepsClient, FirstStepsNode, Read, Write" in test
    assert "plugins:" not in contents[ROOT / "conf/experiment/first_steps.yaml"]


def test_it_writes_into_the_project_that_one_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = tmp_path / "mine" / "src" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "mine" / "pyproject.toml").write_text("")
    monkeypatch.chdir(deep)
    assert new.main(["protocol", "third"]) == 0
    wrote = tmp_path / "mine/plugins/protocols/third.py"
    assert wrote.exists() and f"wrote {wrote}\n" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert new.main(["protocol", "fourth"]) == 0
    assert (tmp_path / "plugins/protocols/fourth.py").exists()
    assert new.project(ROOT / "framework") == ROOT


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = tmp_path / "conf/experiment/second.yaml"
    experiment.parent.mkdir(parents=True)
    experiment.write_text("mine")
    assert new.main(["protocol", "second", "--dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"{experiment}: exists already.")
    assert experiment.read_text() == "mine"
    assert not (tmp_path / "plugins").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["protcol", "mine"], "Did you mean 'protocol'?"),
        (["protocol", "MultiPaxos"], "Write 'multi_paxos'."),
        (["protocol", "../escape"], "Write 'escape'."),
        (["protocol", "class"], "Write 'my_class'."),
        (["protocol", "queue"], "Write 'my_queue'."),
        (["protocol", "raft"], "exists already"),
        (["protocol"], "usage: "),
        (["checker", "x"], "There are: protocol."),
        (["protocol", "x", "--dir"], "names no folder"),
    ],
)
def test_a_bad_request_is_one_line(
    tmp_path: Path, arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = [] if "--dir" in arguments else ["--dir", str(tmp_path)]
    assert new.main([*arguments, *folder]) == 2
    captured = capsys.readouterr()
    assert error in captured.err and captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_list_shows_every_plugin_with_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert plugins.main([]) == 0
    text = capsys.readouterr().out
    for line in (
        "protocol (",
        "from plugins.protocols.echo",
        "protocol.heartbeat_interval=50ms",
        "faults.crash.for=1s",
    ):
        assert line in text


def test_one_kind_or_one_plugin_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert plugins.main(["protocols", "raft"]) == 0
    text = capsys.readouterr().out
    assert "  protocol.heartbeat_interval=50ms     duration\n      How often a leader says that it is there.\n" in text
    assert "  protocol.read_mode=log               log | read_index | lease\n      `log`: a read is" in text
    assert "echo" not in text


def test_one_plugin_is_told_as_the_help_of_a_run_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert plugins.main(["faults", "crash"]) == 0
    told = capsys.readouterr().out
    assert run.main(["faults=crash", "--help"]) == 0
    assert capsys.readouterr().out.startswith(told)


def test_what_settings_mean_is_left_out_of_longer_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert plugins.main(["protocols"]) == 0
    text = capsys.readouterr().out
    assert "protocol.read_mode=log\n" in text and "How often a leader says" not in text


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["protcol"], "Did you mean 'protocol'?"),
        (["protocol", "rafd"], "Did you mean 'raft'?"),
        (["a", "b", "c"], "usage: "),
        (["plugins.path=/nowhere"], "there is no plugin at"),
    ],
)
def test_a_kind_or_name_that_nothing_has(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert plugins.main(arguments) == 2
    assert error in capsys.readouterr().err
