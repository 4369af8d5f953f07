"""The console command `synod`: every command under one name, wherever one stands."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from framework.console.synod import COMMANDS
from framework.registry.discovery import ROOT
from tests.installing import RUN_S, lay_synod
from tests.test_run import LIAR

pytestmark = pytest.mark.long

RAISES = 'raise RuntimeError("this is the folder of somebody else")\n'
HELLO = ("experiment=hello", "engine=sim", "duration=200ms")
LYING = ("plugins.path=liar.py", "protocol=liar", "workload=echo", *HELLO[1:])


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_synod(tmp_path_factory.mktemp("bin"))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a project with folders that have the names of ours, and a protocol that lies."""
    place = tmp_path / "project"
    for name in ("framework", "experiments"):
        (place / name).mkdir(parents=True)
        (place / name / "__init__.py").write_text(RAISES)
    (place / "liar.py").write_text(LIAR)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.chdir(place)
    return place


def typed(script: Path, *words: str, timeout: float = RUN_S, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `synod WORDS` does in the current folder."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, script, *words], env=env, capture_output=True, text=True, timeout=timeout, check=False
    )


def ran(script: Path, *words: str, code: int = 0) -> list[str]:
    """The lines on stdout of a command that ends with `code`."""
    ended = typed(script, *words)
    assert ended.returncode == code, ended
    return ended.stdout.splitlines()


def again(line: str, script: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Types a line that was printed, and more words after it."""
    first, *rest = shlex.split(line)
    assert first == "synod", line
    return typed(script, *rest, *words)


def result(folder: str) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((Path(folder) / "result.json").read_bytes())
    return loaded


def test_it_is_declared_and_has_every_command() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert declared == {"synod": "framework.console.synod:main"}
    assert {file.parent.name for file in (ROOT / "framework").glob("*/__main__.py")} == set(COMMANDS)


def test_a_module_does_not_run_in_such_a_project() -> None:
    """Otherwise the tests below show nothing."""
    command = [sys.executable, "-m", "framework.run", *HELLO]
    ended = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    assert ended.returncode == 1 and b"somebody else" in ended.stderr


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_names_each_command_and_where_its_own_help_is(words: Sequence[str], script: Path) -> None:
    lines = ran(script, *words)
    assert lines[0] == "usage: synod COMMAND …"
    for name, summary in COMMANDS.items():
        assert f"  {name:<9} {summary}" in lines
    assert any("synod COMMAND --help" in line for line in lines)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_its_own_help(name: str, script: Path) -> None:
    first, *_ = ran(script, name, "--help")
    assert first.startswith(f"usage: synod {name} ")


def test_the_version_is_the_packages(script: Path) -> None:
    (line,) = ran(script, "--version")
    assert line.startswith("synod")


def test_help_imports_nothing_heavy(script: Path) -> None:
    code = "import sys; sys.argv = ['synod', '--help']\ntry:\n    import framework.console.synod as s; s.main()\n"
    code += (
        "except SystemExit: print(sorted({'hydra', 'msgspec', 'pyarrow', 'numpy', 'rich', 'ray'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert ended.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("rnu",), "synod: 'rnu' is not a command. Did you mean 'run'? See synod --help."),
        (
            ("experiment=hello", "seed=1"),
            "synod: 'experiment=hello' is not a command. Did you mean synod run experiment=hello seed=1? See synod --help.",
        ),
        (
            ("--verison",),
            "synod: '--verison' is not a flag of synod. Did you mean '--version'? A command comes first. See synod --help.",
        ),
        (("run", "--quite"), "synod run: unknown flag --quite. Did you mean '--quiet'?"),
        (("replay",), "synod replay: the following arguments are required: RUN. See synod replay --help."),
        (("shrink", "x", "y"), "synod shrink: unknown argument y. See synod shrink --help."),
        (("plugins", "knid"), "synod plugins: there is no kind of plugin 'knid'. There are: "),
        (("run", *HELLO, "seed=1,2"), "command line: seed=1,2: has several values, but this is a single run. For a sweep, write "
         "synod run -m … 'seed=1,2'; put a list in brackets."),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_in_the_words_that_were_typed(words: Sequence[str], line: str, script: Path) -> None:
    ended = typed(script, *words)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith(line)


def test_an_exception_that_nobody_expected_leaves_its_traceback_in_a_file(script: Path) -> None:
    Path("site").mkdir()
    Path("site/sitecustomize.py").write_text("import sys; sys.modules['hydra'] = None\n")
    ended = typed(script, "run", *HELLO, PYTHONPATH=os.pathsep.join((str(Path.cwd() / "site"), str(ROOT))))
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert ended.stderr.startswith("unexpected ModuleNotFoundError: ")
    kept = Path(ended.stderr.rpartition("its traceback is in ")[2].strip())
    assert kept.read_text().startswith("Traceback")


def test_a_stdout_that_is_full_is_said(script: Path) -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, script, "--help"], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=full,
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (2, "stdout cannot be written to (No space left on device)\n")


def test_a_run_its_second_run_and_its_replay(script: Path) -> None:
    lines = ran(script, "run", *HELLO, "engine.verify_determinism=true", "run.dir=mine")
    assert lines[-2:] == ["verdict: valid", "run: mine"]
    assert str(result("mine")["command"]).startswith("synod run experiment=hello ")
    assert any(line.startswith("same: ") for line in ran(script, "replay", "mine"))


def test_a_run_that_fails_is_seen_again_and_shrunk_by_the_lines_that_are_printed(script: Path) -> None:
    lines = ran(script, "run", *LYING, "run.dir=mine", code=1)
    line = lines[lines.index("to run it again:") + 1].strip()
    seen = again(line, script, "run.dir=again")
    assert seen.returncode == 1
    assert result("again")["digest"] == result("mine")["digest"]

    shrunk = ran(script, "shrink", "mine", "--budget", "5")
    (line,) = [line.removeprefix("to see it:  ") for line in shrunk if line.startswith("to see it:  ")]
    assert again(line, script).returncode == 1


def test_a_sweep_with_the_lines_that_see_its_runs_again(script: Path) -> None:
    words = ("experiment=hello", "engine=sim", "duration=200ms", "seed=range(0,20)", "sweep.dir=s")
    lines = ran(script, "run", "-m", *words)
    assert lines[-2:] == ["verdict: valid", "sweep: s"]
    assert any(line.startswith("20 runs: 20 valid") for line in lines)

    lines = ran(script, "run", "-m", *LYING, "seed=1,2", "sweep.dir=lies", code=1)
    line = next(line.partition("again: ")[2] for line in lines if "again: " in line)
    assert again(line, script, "--quiet").returncode == 1


def test_a_loose_plugin_imports_what_lies_in_the_current_folder(script: Path) -> None:
    Path("mine").mkdir()
    Path("mine/__init__.py").touch()
    Path("mine/lies.py").write_text(LIAR)
    Path("mine/plugin.py").write_text("from mine.lies import register_protocols as register_protocols\n")
    words = ("protocol=liar", "workload=echo", *HELLO[1:], "--quiet")
    ran(script, "run", "plugins.path=mine/plugin.py", *words, code=1)
    ran(script, "run", "-m", "plugins.path=mine/plugin.py", *words, "seed=1,2", "sweep.dir=s", code=1)


@pytest.mark.parametrize("package", [False, True])
def test_a_plugins_folder_of_ones_own_does_not_stand_before_synods(package: bool, script: Path) -> None:
    Path("plugins").mkdir()
    Path("liar.py").rename("plugins/liar.py")
    if package:
        Path("plugins/__init__.py").write_text(RAISES)
    ran(script, "run", *HELLO, "--quiet")
    words = ("protocol=liar", "workload=echo", *HELLO[1:], "--quiet")
    ran(script, "run", "plugins.path=plugins/liar.py", *words, code=1)
    if package:
        ended = typed(script, "run", "plugins.path=plugins", *words)
        assert ended.returncode == 2 and ended.stderr.endswith("Rename the folder.\n")
    else:
        ran(script, "run", "plugins.path=plugins", *words, code=1)


@pytest.mark.ray
def test_a_run_and_a_sweep_on_ray(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", tempfile.gettempdir())  # Ray's sockets need a short path
    lines = ran(script, "run", "experiment=hello", "engine=ray", "duration=1s", "--quiet", "run.dir=mine")
    assert lines == ["verdict: valid", "run: mine"]
    assert any(": same (" in line for line in ran(script, "replay", "mine"))
    words = ("experiment=hello", "engine=sim", "duration=200ms", "seed=1,2", "sweep.backend=ray", "sweep.dir=s")
    assert ran(script, "run", "-m", *words, "--quiet") == ["verdict: valid", "sweep: s"]
