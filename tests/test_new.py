"""`framework.new` and `framework.plugins`: what an author types first."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import framework.new.__main__ as new
import framework.plugins.__main__ as plugins
import framework.run.__main__ as run
from framework.new import files, pyproject
from framework.new.names import KIND_NAMES
from framework.registry.discovery import ROOT
from tests.installing import install, python

pytestmark = pytest.mark.long


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that one stands in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def relative(folder: Path) -> set[str]:
    """The files below a folder."""
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def commands(printed: str) -> dict[str, list[str]]:
    """The commands that were printed, without their `python`: `run it`, `test it`."""
    lines = [line.partition(": python ") for line in printed.splitlines()]
    return {name: shlex.split(command) for name, _, command in lines if command}


# What it writes.


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_new_plugin_runs_and_passes_its_tests_at_once(
    kind: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new.main([kind, "first_steps"]) == 0
    printed = capsys.readouterr().out
    written = [line.removeprefix("wrote ") for line in printed.splitlines() if line.startswith("wrote ")]
    assert (
        set(written)
        == relative(home)
        >= {
            "first_steps/__init__.py",
            "first_steps/conf/experiment/first_steps.yaml",
            "tests/test_first_steps.py",
            "pyproject.toml",
        }
    )
    assert str(home) not in printed + "".join((home / file).read_text() for file in written)
    typed = commands(printed)
    tested = python(*typed["test it"], "-p", "no:cacheprovider", "-k", "not digest", cwd=home)
    assert tested.returncode == 0, tested.stdout
    ran = python(*typed["run it"], "--quiet", "run.dir=mine", cwd=home)
    assert (ran.returncode, ran.stdout) == (0, "verdict: valid\nrun: mine\n")


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_it_teaches_the_public_names_alone(kind: str) -> None:
    for file, text in files.package(kind, "first_steps").files.items():
        assert not re.findall(r"framework\.(?!new|run|plugins|check|FinishedRun|Crash)[\w.]+", text), file
        if file.endswith("__init__.py"):
            assert re.search(r"\bfirst\b", text)


@pytest.mark.parametrize("kind", KIND_NAMES)
@pytest.mark.parametrize("name", ["tide", "first_steps"])
def test_its_style_is_that_of_the_repository(kind: str, name: str, tmp_path: Path) -> None:
    for file, text in files.built_in(kind, name).files.items():
        place = tmp_path / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    settings = ["--config", str(ROOT / "pyproject.toml"), "--config", 'src=["."]']
    known = ["--config", 'lint.isort.known-first-party=["framework", "plugins"]']
    for words in (["check", *known], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, *settings, "--no-cache", "."]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_plugin_of_our_own_is_a_module_beside_the_others(kind: str) -> None:
    plugin = files.built_in(kind, "first_steps")
    folder = "faults" if kind == "fault" else f"{kind}s"
    assert {
        f"plugins/{folder}/first_steps.py",
        "conf/experiment/first_steps.yaml",
        f"tests/plugins/{folder}/test_first_steps.py",
    } <= set(plugin.files)
    text = plugin.files[f"plugins/{folder}/first_steps.py"]
    assert "register_config_folders" not in text and "Path" not in text
    assert "conformance" not in plugin.files[f"tests/plugins/{folder}/test_first_steps.py"]
    assert plugin.overrides == ()


def test_it_passes_its_tests_as_well_once_it_is_installed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert new.main(["protocol", "first_steps"]) == 0
    typed = commands(capsys.readouterr().out)
    install(home, home.parent / "site")
    elsewhere = home.parent / "elsewhere"
    elsewhere.mkdir()
    path = [ROOT, home.parent / "site"]
    ran = python(*typed["run it"][:-1], "--quiet", "run.dir=mine", cwd=elsewhere, path=path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "verdict: valid\nrun: mine\n", "")
    tested = python(*typed["test it"], "-p", "no:cacheprovider", "-k", "not digest", cwd=home, path=path)
    assert tested.returncode == 0, tested.stdout


# Where it writes.


def test_it_writes_into_the_project_that_one_stands_in(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = home / "mine" / "src" / "deep"
    deep.mkdir(parents=True)
    (home / "mine" / "pyproject.toml").write_text("")
    monkeypatch.chdir(deep)
    assert new.main(["network", "third"]) == 0
    wrote = home / "mine/third/__init__.py"
    assert wrote.exists() and f"wrote {wrote}\n" in capsys.readouterr().out
    monkeypatch.chdir(home)
    assert new.main(["network", "fourth", "--dir", "other"]) == 0
    assert (home / "other/fourth/__init__.py").exists()
    assert "run it: python -m framework.run experiment=fourth engine=sim plugins.path=other/fourth\n" in (
        capsys.readouterr().out
    )
    assert new.project(ROOT / "framework") == ROOT


def test_a_second_plugin_joins_the_first(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert new.main(["network", "tide"]) == 0 == new.main(["checker", "ebb"])
    printed = capsys.readouterr().out
    assert "added the plugin to pyproject.toml\n" in printed
    text = (home / "pyproject.toml").read_text()
    document = tomllib.loads(text)
    assert document["project"]["entry-points"]["synod"] == {"tide": "tide", "ebb": "ebb"}
    assert document["tool"]["pytest"]["ini_options"]["synod_plugins"] == ["tide", "ebb"]
    assert text.count("# What Synod finds") == 1
    collected = python("-m", "pytest", "--collect-only", "-q", cwd=home)
    assert collected.returncode == 0, collected.stdout


OURS = files.pyproject("tide")

FOREIGN = """# Somebody's own.
[project]
name = "harbour"  # a name
version = "1.0"
dependencies = [
    "msgspec",
]

[ project . entry-points."synod" ]
boats = "harbour.boats"

[tool.setuptools]
packages = ["harbour"]
"""


@pytest.mark.parametrize(
    "text",
    [
        "",
        OURS,
        OURS.replace("\n", "\r\n"),
        OURS.rstrip("\n"),
        OURS.replace('synod_plugins = ["tide"]', 'synod_plugins = [ "tide", ] # and more'),
        OURS.replace('synod_plugins = ["tide"]', "synod_plugins = []"),
        FOREIGN.replace('[ project . entry-points."synod" ]', "[ project . entry-points.synod ] # there"),
        FOREIGN[: FOREIGN.index("[ project")],
    ],
)
def test_a_pyproject_of_somebody_else_is_added_to(text: str) -> None:
    wanted = pyproject.additions(text, "ebb")
    edited = pyproject.with_additions(text, wanted)
    assert edited is not None
    document = tomllib.loads(edited)
    assert document["project"]["entry-points"]["synod"]["ebb"] == "ebb"
    options = document["tool"]["pytest"]["ini_options"]
    assert options["pythonpath"] == ["."] and options["synod_plugins"][-1] == "ebb"
    assert pyproject.additions(edited, "ebb") == []
    was = text.replace("[]", "").replace("]", "").replace("[ ", "[").splitlines()
    now = edited.replace("[]", "").replace("]", "").replace("[ ", "[").splitlines()
    assert [line for line in was if "synod_plugins" not in line and line not in now] == []


@pytest.mark.parametrize(
    "text",
    [
        FOREIGN,
        "[project]\nentry-points.synod.boats = 'harbour.boats'\n",
        OURS.replace('synod_plugins = ["tide"]', 'synod_plugins = [\n    "tide",\n]'),
        OURS.replace('synod_plugins = ["tide"]', 'synod_plugins = "tide"'),
        "[project\n",
    ],
)
def test_what_cannot_be_edited_with_certainty_is_printed(
    text: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "pyproject.toml").write_text(text)
    assert new.main(["network", "ebb"]) == 0
    assert (home / "pyproject.toml").read_text() == text
    printed = capsys.readouterr().out
    shown = 'add to pyproject.toml:\n    [project.entry-points.synod]\n    ebb = "ebb"\n'
    assert shown in printed and '    synod_plugins = ["ebb"]\n' in printed


def test_where_another_file_configures_pytest_that_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "pyproject.toml").write_text("")
    (home / "pytest.ini").write_text("[pytest]\n")
    assert new.main(["network", "ebb"]) == 0
    assert "tool" in tomllib.loads((home / "pyproject.toml").read_text())
    assert "pytest" not in (home / "pyproject.toml").read_text()
    assert "add to pytest.ini:\n    pythonpath = .\n    synod_plugins = ebb\n" in capsys.readouterr().out


# What it refuses.


@pytest.mark.parametrize("there", ["second/conf/experiment/second.yaml", "tests/test_second.py", "second/__init__.py"])
def test_nothing_is_overwritten(there: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / there).parent.mkdir(parents=True)
    (home / there).write_text("mine")
    assert new.main(["protocol", "second"]) == 2
    assert capsys.readouterr().err.startswith(f"{there}: exists already.")
    assert relative(home) == {there}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["protcol", "mine"], "Did you mean 'protocol'?"),
        (["faults", "mine"], "Did you mean 'fault'?"),
        (["protocol", "MultiPaxos"], "Write 'multi_paxos'."),
        (["protocol", "../escape"], "Write 'escape'."),
        (["protocol", "class"], "Write 'my_class'."),
        (["protocol", "queue"], "Write 'my_queue'."),
        (["protocol", "raft"], "protocol 'raft': exists already"),
        (["fault", "crash"], "fault 'crash': exists already"),
        (["model", "register"], "model 'register': exists already"),
        (["checker", "hello"], "experiment 'hello': exists already"),
        (["checker", "pytest"], "'pytest': is a module that is installed. Write 'my_pytest'."),
        (["network", "tests"], "'tests': is the name of a folder beside it. Write 'my_tests'."),
        (["workload", "workload"], "would call a class WorkloadConfig, as framework.WorkloadConfig is"),
        (["protocol"], "framework.new: takes a kind and a name"),
        (["protocol", "x", "--dir"], "names no folder"),
    ],
)
def test_a_bad_request_is_one_line(
    home: Path, arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new.main(arguments) == 2
    captured = capsys.readouterr()
    assert error in captured.err and captured.err.count("\n") == 1
    assert list(home.iterdir()) == []


def test_its_usage_names_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert new.main(["--help"]) == 0
    assert (
        "protocol, state_machine, placement, balancer, workload, network, fault, checker, model."
        in capsys.readouterr().out
    )


# What is installed.


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
    assert "  protocol.heartbeat_interval=50ms     duration\n      Interval of the heartbeats of a leader.\n" in text
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
    assert "protocol.read_mode=log\n" in text and "Interval of the heartbeats" not in text


def test_an_invariant_is_part_of_a_protocols_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    assert new.main(["invariant", "mine"]) == 2
    assert "there is no kind of plugin called 'invariant'." in (shown := capsys.readouterr().err)
    assert "docs/checking.md#invariants" in shown
    assert "\n## Invariants\n" in (ROOT / "docs/checking.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["protcol"], "Did you mean 'protocol'?"),
        (["protocol", "rafd"], "Did you mean 'raft'?"),
        (["a", "b", "c"], "usage: "),
        (["plugins.path=/nowhere"], "there is no plugin at"),
        (["plugins.path=[/nowhere]"], "there is no plugin at /nowhere. Name"),
    ],
)
def test_a_kind_or_name_that_nothing_has(arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert plugins.main(arguments) == 2
    assert error in capsys.readouterr().err
