"""How every command ends: 1 means invalid and nothing else, whatever is raised and whatever becomes of stdout and stderr."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.test_imports import ROOT

pytestmark = pytest.mark.long

ENDS_S = 60
"""A bound and no measurement."""

FILES = sorted(file for folder in ("framework", "experiments") for file in (ROOT / folder).rglob("*.py"))
COMMANDS = {
    str(file.relative_to(ROOT).with_suffix("")).replace("/", "."): file
    for file in FILES
    if '__name__ == "__main__"' in file.read_text().split('"""', 2)[2]
}
"""Every module that can be run, by its full name: in its docstring it may speak of it."""

WORDS = {"framework.replay.second_run": ("RUN", "INTO")}
"""What a command needs to come as far as its own code."""

SITE = """
import os, sys

broken = os.environ.get("BROKEN_MODULE")
if broken:
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == broken:
                raise ImportError(f"{name} is broken")

    sys.meta_path.insert(0, Broken())

module, _, function = os.environ.get("RAISES_IN", "").partition(":")
if module:
    def look(frame, event, argument):
        name = frame.f_code.co_name
        meant = name == function or (function == "_" and name[0] == "_" and name[1] != "_")
        if event == "call" and meant and frame.f_globals.get("__name__") == module:
            raise KeyError("planted")

    sys.setprofile(look)
"""
"""A sitecustomize.py: makes an import fail, or a function raise when it is called (`_`: the first that has such a name)."""

KEPT = re.compile(r"; its traceback is in (?P<file>\S+)\n")
HELLO = ("framework.run", "experiment=hello", "engine=sim", "duration=100ms", "run.dir=RUN")
CHECK = ("framework.check", "linearizability", "--model", "register", "history.json")
HISTORY = (
    '{"process": 0, "type": "invoke", "f": "write", "key": "x", "value": 1}\n'
    '{"process": 0, "type": "ok", "f": "write", "key": "x", "value": null}\n'
)
STALE = HISTORY + (
    '{"process": 0, "type": "invoke", "f": "read", "key": "x", "value": null}\n'
    '{"process": 0, "type": "ok", "f": "read", "key": "x", "value": 2}\n'
)
LIAR = """
from framework import CheckerSpec, CheckResult, Verdict, hookimpl

def check(run, config):
    return CheckResult(name="liar", verdict=Verdict.INVALID, reason="caf\\u00e9 \\u2603 \\U0001d11e", story=("\\u2192 \\ud800",))

@hookimpl
def register_checkers():
    return [CheckerSpec(name="liar", summary="Finds fault.", check=check)]
"""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a history, and the folder of temporary files within it."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    (tmp_path / "history.json").write_text(HISTORY)
    (tmp_path / "stale.json").write_text(STALE)
    (tmp_path / "liar.py").write_text(LIAR)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ended(
    words: Sequence[str], redirected: str = "", encoding: str = "utf-8", **environment: str
) -> subprocess.CompletedProcess[str]:
    """What `python -m WORDS` does, with the shell's redirections; $? of a pipe is the command's own."""
    script = f'"$@" {redirected}; exit ${{PIPESTATUS[0]}}'
    paths = os.pathsep.join((str(Path.cwd() / "site"), str(ROOT)))
    return subprocess.run(
        ["bash", "-c", script, "bash", sys.executable, "-m", *words],
        env={**os.environ, "PYTHONPATH": paths, "TMPDIR": str(Path.cwd() / "tmp"), **environment},
        capture_output=True, encoding=encoding, timeout=ENDS_S, check=False,
    )  # fmt: skip


def traceback_of(run: subprocess.CompletedProcess[str]) -> str:
    """The traceback in the file that the one line on stderr names; the command ended with 2 and printed nothing else."""
    assert (run.returncode, run.stdout) == (2, ""), run
    assert run.stderr.count("\n") == 1, run.stderr
    found = KEPT.search(run.stderr)
    assert found is not None, run.stderr
    return Path(found["file"]).read_text()


def test_there_are_the_commands_that_the_readme_names() -> None:
    named = set(re.findall(r"python -m ((?:framework|experiments)\.\w+)", (ROOT / "README.md").read_text()))
    known = {name.removesuffix(".__main__") for name in COMMANDS}
    assert named <= known and len(COMMANDS) > 20


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_begins_where_nothing_is_imported_yet(name: str) -> None:
    docstring, future, guard, *rest = ast.parse(COMMANDS[name].read_text()).body
    assert isinstance(docstring, ast.Expr)
    assert ast.unparse(future) == "from __future__ import annotations"
    assert ast.unparse(guard) == (
        "if __name__ == '__main__':\n    from framework.console.entry import run_as_command\n"
        f"    run_as_command('{name}')"
    )
    (main,) = [one for one in rest if isinstance(one, ast.FunctionDef) and one.name == "main"]
    assert len(main.args.args) == 1 or (name == "framework.run.__main__" and len(main.args.args) == 2)
    assert not [one for one in rest if isinstance(one, ast.If) and "__main__" in ast.unparse(one.test)]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_whose_imports_fail_says_so_in_one_line(name: str, scratch: Path) -> None:
    broken = "subprocess" if name.endswith("apart") else "framework.core.errors"
    run = ended((name, *WORDS.get(name, ())), BROKEN_MODULE=broken)
    assert run.stderr.startswith(f"unexpected ImportError: {broken} is broken")
    assert traceback_of(run).endswith(f"ImportError: {broken} is broken\n")


@pytest.mark.parametrize(
    "name", [*(name for name in COMMANDS if name.startswith("framework.")), "experiments.flat_memory.apart"]
)
def test_an_exception_that_nobody_expected_is_one_line(name: str, scratch: Path) -> None:
    inner = "main" if name.endswith("apart") else "_"
    run = ended((name, *WORDS.get(name, ())), RAISES_IN=f"{name}:{inner}")
    assert run.stderr.startswith("unexpected KeyError: 'planted' (")
    assert traceback_of(run).endswith("KeyError: 'planted'\n")


@pytest.mark.parametrize("broken", ["pyarrow", "hydra", "msgspec", "argparse", "framework.core.tracebacks"])
def test_whichever_import_fails_a_run_ends_with_2(broken: str, scratch: Path) -> None:
    run = ended(HELLO, BROKEN_MODULE=broken)
    assert f"ImportError: {broken} is broken" in run.stderr
    assert "ImportError" in traceback_of(run)


def test_where_no_traceback_can_be_kept_the_line_says_so(scratch: Path) -> None:
    run = ended(("framework.new",), BROKEN_MODULE="tempfile")
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    assert run.stderr.startswith("unexpected ImportError: tempfile is broken")
    assert run.stderr.endswith("; its traceback cannot be kept (ImportError: tempfile is broken)\n")


def test_a_package_that_stands_before_ours_is_one_line(scratch: Path) -> None:
    (scratch / "plugins").mkdir()
    (scratch / "plugins" / "__init__.py").write_text("")
    run = ended(HELLO)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    assert "is found before Synod's own" in run.stderr
    study = ended(("experiments.wan_latency", "--trials", "1"))
    assert study.stderr.startswith("unexpected ModuleNotFoundError: No module named 'plugins.")
    assert "ModuleNotFoundError" in traceback_of(study)


def test_the_traceback_of_a_run_is_in_its_folder_and_so_is_its_result(scratch: Path) -> None:
    run = ended(HELLO, RAISES_IN="framework.console.summary:print_verdict")
    assert run.returncode == 2
    assert run.stderr.endswith("; its traceback is in RUN/traceback.txt\n") and run.stderr.count("\n") == 1
    assert (scratch / "RUN" / "traceback.txt").read_text().endswith("KeyError: 'planted'\n")
    assert '"verdict": "valid"' in (scratch / "RUN" / "result.json").read_text()


def test_a_run_that_breaks_before_its_end_leaves_what_it_has(scratch: Path) -> None:
    run = ended(HELLO, RAISES_IN="framework.runs.result:build_result")
    assert traceback_of(run).endswith("KeyError: 'planted'\n")
    assert sorted(file.name for file in (scratch / "RUN").iterdir()) == [
        "config.yaml", "history.arrow", "trace", "traceback.txt",
    ]  # fmt: skip


FULL = "stdout cannot be written to (No space left on device)"
PRINTS: dict[str, tuple[Sequence[str], int, str]] = {
    "a valid run": (HELLO, 0, "; verdict: valid; run: RUN"),
    "an invalid run": (
        (*HELLO, "plugins.path=liar.py", "checker=liar"), 1, "; verdict: invalid — liar: café ☃ \U0001d11e; run: RUN",
    ),
    "its help": (("framework.run", "--help"), 0, ""),
    "its config": ((*HELLO, "--cfg", "job"), 0, ""),
    "a valid history": (CHECK, 0, "; verdict: valid — 1 operations on 1 key explained"),
    "an invalid history": ((*CHECK[:-1], "stale.json"), 1, "; verdict: invalid — "),
    "a list": (("framework.plugins",), 0, ""),
    "a usage": (("framework.new", "--help"), 0, ""),
    "flags": (("framework.replay", "--help"), 0, ""),
    "flags of a study": (("experiments.planted_bugs", "--help"), 0, ""),
}  # fmt: skip
"""What prints, the exit code when it can, and which of its lines go to stderr when it cannot."""


@pytest.mark.parametrize("name", PRINTS)
def test_a_stdout_that_is_full_costs_the_exit_code_of_success_and_no_verdict(name: str, scratch: Path) -> None:
    words, code, verdict = PRINTS[name]
    run = ended(words, ">/dev/full")
    assert run.returncode == (code or 2)
    assert run.stderr.startswith(f"{FULL}{verdict}") and run.stderr.count("\n") == 1


@pytest.mark.parametrize("redirected", ["| true", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
@pytest.mark.parametrize("name", ["an invalid run", "an invalid history", "its help", "flags"])
def test_who_reads_it_makes_no_difference(name: str, redirected: str, scratch: Path) -> None:
    words, code, _ = PRINTS[name]
    run = ended(words, redirected)
    assert (run.returncode, run.stderr) == (code, "")


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full"])
def test_a_mistake_that_nobody_hears_of_is_still_one(redirected: str, scratch: Path) -> None:
    run = ended(("framework.run", "experiment=helo"), redirected)
    assert (run.returncode, run.stdout) == (2, "")


@pytest.mark.parametrize(
    ("encoding", "environment"),
    [
        ("latin-1", {"PYTHONIOENCODING": "latin-1"}),
        ("ascii", {"PYTHONIOENCODING": "ascii:strict"}),
        ("ascii", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["an invalid run", "an invalid history", "its help"])
def test_a_character_that_stdout_lacks_is_written_as_its_escape(
    name: str, encoding: str, environment: dict[str, str], scratch: Path
) -> None:
    words, code, _ = PRINTS[name]
    whole = ended(words, PYTHONIOENCODING="utf-8")
    if "RUN" in str(words):
        (scratch / "RUN").rename(scratch / "before")
    run = ended(words, encoding=encoding, **environment)
    assert (run.returncode, run.stderr) == (code, "")
    expected = whole.stdout.encode(encoding, "backslashreplace").decode(encoding)
    assert timeless(run.stdout) == timeless(expected)


def timeless(text: str) -> list[str]:
    """The lines that are the same each time."""
    return [line for line in text.splitlines() if not re.search(r"\btime\b|checked in", line)]


def test_a_command_that_was_interrupted_while_text_was_executed_ends_with_2_and_no_signal(scratch: Path) -> None:
    (scratch / "interrupted.py").write_text(
        'def main(arguments):\n    exec("raise KeyboardInterrupt")\n\n'
        'if __name__ == "__main__":\n    from framework.console.entry import run_as_command\n'
        '    run_as_command("interrupted")\n'
    )
    run = ended(("interrupted",))
    assert (run.returncode, run.stderr) == (2, "interrupted\n")


def test_a_command_without_memory_ends_with_2(scratch: Path) -> None:
    (scratch / "greedy.py").write_text(
        "import resource\n\ndef main(arguments):\n    resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))\n"
        "    kept = []\n    while True:\n        kept.append(bytearray(1 << 16))\n\n"
        'if __name__ == "__main__":\n    from framework.console.entry import run_as_command\n'
        '    run_as_command("greedy")\n'
    )
    run = ended(("greedy",))
    assert run.stderr.startswith("unexpected MemoryError (")
    assert traceback_of(run).endswith("MemoryError\n")
