"""`python -m framework.run`, from what is typed to what is printed, kept and returned."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.run.__main__ import main

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent
HELLO = ["experiment=hello", "engine=sim", "duration=200ms"]

LIAR = '''
"""An echo that mishears one word in ten, and breaks when it is told to."""

from framework import Client, Config, Message, Node, NodeId, Ok, Operation, OperationId, ProtocolSpec, handles, hookimpl


class LiarConfig(Config):
    breaks: bool = False


class Say(Message):
    operation: OperationId
    text: str


class Said(Message):
    operation: OperationId
    text: str


class Liar(Node):
    config: LiarConfig

    def on_start(self) -> None:
        self.heard = 0

    @handles(Say)
    def on_say(self, sender: NodeId, say: Say) -> None:
        self.heard += 1
        if self.config.breaks and self.heard == 10:
            self.heard //= 0
        self.send(sender, Said(operation=say.operation, text="?" if self.heard == 10 else say.text))


class Listener(Client):
    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[0], Say(operation=operation.id, text=operation.argument))

    @handles(Said)
    def on_said(self, sender: NodeId, said: Said) -> None:
        self.complete(said.operation, Ok(said.text))


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="liar", summary="Mishears.", node=Liar, client=Listener, config=LiarConfig,
            operations=("echo",), checkers=("echo",),
        )
    ]
'''


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def liar(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The words that run a protocol with a planted bug."""
    file = tmp_path_factory.mktemp("plugged") / "synod_test_liar.py"
    file.write_text(LIAR)
    return [f"plugins.path={file}", "protocol=liar", "workload=echo", *HELLO[1:], "seed=3"]


def result(folder: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((Path(folder) / "result.json").read_bytes())
    return loaded


def test_a_valid_run_ends_with_its_verdict_and_its_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*HELLO, "seed=5", "run.dir=runs/mine"]) == 0

    shown = capsys.readouterr()
    assert shown.out.splitlines()[-2:] == ["verdict: valid", "run: runs/mine"]
    assert shown.err == ""
    kept = result("runs/mine")
    assert (kept["verdict"], kept["engine"], kept["seed"]) == ("valid", "sim", 5)
    assert kept["operations"]["ok"] > 100
    assert len(kept["digest"]) == 64
    config = yaml.safe_load(Path("runs/mine/config.yaml").read_text())
    assert (config["duration"], config["seed"], config["run"]["dir"]) == ("200ms", 5, "runs/mine")


def test_quiet_prints_two_lines_and_a_run_gets_a_folder_of_its_own_each_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [main([*HELLO, "--quiet"]) for _ in range(2)] == [0, 0]

    lines = capsys.readouterr().out.splitlines()
    assert lines[0::2] == ["verdict: valid"] * 2
    folders = [line.removeprefix("run: ") for line in lines[1::2]]
    assert len(set(folders)) == 2
    assert [result(folder)["verdict"] for folder in folders] == ["valid"] * 2


def test_a_planted_lie_is_found_told_and_seen_again_by_the_command_that_is_printed(
    liar: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*liar, "run.dir=first"]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["verdict: invalid — echo: an answer is not what was said", "run: first"]
    assert any("heard '?'" in line for line in lines)
    replay = shlex.split(lines[lines.index("to run it again:") + 1])
    assert replay[:3] == ["python", "-m", "framework.run"]
    assert main([*replay[3:], "run.dir=second"]) == 1
    assert result("first")["digest"] == result("second")["digest"]


def test_a_handler_that_raises_makes_the_run_invalid(liar: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*liar, "protocol.breaks=true", "workload.timeout=50ms", "run.dir=broken"]) == 1

    reason = "n1 crashed: ZeroDivisionError: integer division or modulo by zero in on_say"
    shown = capsys.readouterr()
    verdict = shown.out.splitlines()[-2]
    assert verdict.startswith(f"verdict: invalid — {reason} (") and verdict.endswith("synod_test_liar.py:31)")
    assert "self.heard //= 0" in shown.out
    assert shown.err == ""
    (crash,) = result("broken")["crashes"]
    assert crash["node"] == "n1"
    assert "Traceback" in crash["traceback"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["trace=none"], "trace=none keeps no history to check"),
        (["checker=none"], "no checker ran"),
        (
            ["faults=crash", "faults.crash.target=leader", "faults.crash.at=20ms", "quiet=50ms"],
            "fault crash never fired: no node was ever 'leader' when it was due; no node reported a role",
        ),
    ],
)
def test_a_run_in_doubt_is_unknown(words: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*HELLO, *words, "run.dir=doubtful"]) == 2

    assert capsys.readouterr().out.splitlines()[-2] == f"verdict: unknown — {reason}"
    assert result("doubtful")["reasons"] == [reason]


def test_faults_that_fire_are_counted_and_leave_a_run_valid(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "faults=crash",
        "faults.crash={target: n2, at: 50ms, for: 50ms}",
        "quiet=50ms",
        "run.dir=crashed",
    ]
    assert main([*HELLO, *words]) == 0

    assert result("crashed")["faults"] == {"crash": 1}
    assert "crash 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--quite"], "unknown flag --quite. Did you mean '--quiet'?"),
        ([*HELLO, "nodes=1,3"], "For a sweep, write"),
        (["experiment=helo"], "Did you mean 'hello'?"),
        ([*HELLO, "nodes=0"], "nodes"),
        ([*HELLO, "protocol=ekko"], "protocol=ekko"),
        ([*HELLO, "seed=1,2"], "seed=1,2"),
        (["hello"], "Did you mean experiment=hello?"),
        ([*HELLO, "--config-dir", "nowhere"], "no such folder"),
        ([*HELLO, "run.dir=file/run"], "cannot be written"),
        (
            [*HELLO, "run.dir=taken"],
            "holds a run already (result.json). Choose another folder with run.dir=FOLDER.",
        ),
        ([], "experiment=NAME"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    Path("taken").mkdir()
    Path("taken/result.json").write_text("{}")

    assert main(words) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert says in shown.err
    assert sorted(path.name for path in Path().rglob("*")) == ["file", "result.json", "taken"]
    assert Path("taken/result.json").read_text() == "{}"


def test_the_composed_config_is_printed_and_nothing_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*HELLO, "--cfg", "job"]) == 0

    config = yaml.safe_load(capsys.readouterr().out)
    assert (config["protocol"]["name"], config["duration"]) == ("echo", "200ms")
    assert list(Path().iterdir()) == []


def test_help_lists_flags_groups_options_and_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    text = capsys.readouterr().out
    assert all(word in text for word in ("--config-dir", "workload", "raft_5nodes", "wan_aws", "duration", "crash"))


def test_help_of_an_option_is_what_it_can_be_given(capsys: pytest.CaptureFixture[str], liar: list[str]) -> None:
    assert main(["protocol=raft", "--help"]) == 0
    assert "  protocol.heartbeat_interval=50ms     duration\n" in capsys.readouterr().out

    assert main([liar[0], "protocol=liar", "protocol.breaks=true", "-m", "--help"]) == 0
    assert "  protocol.breaks=false  true | false\n" in capsys.readouterr().out

    assert main(["protocol=lair", "--help"]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)


@pytest.mark.parametrize("columns", [40, 80, 120, 300])
def test_help_fits_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    widest = max(60, min(columns, 120))
    long = [line for line in text.splitlines() if len(line) > widest]
    assert all(
        line.startswith(("  python -m framework.run ", "    network.regions=", "  What they mean")) for line in long
    )


def test_a_config_folder_of_ones_own_brings_its_experiments(capsys: pytest.CaptureFixture[str]) -> None:
    own = Path("conf/experiment")
    own.mkdir(parents=True)
    (own / "tiny.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /protocol: echo\n  - override /workload: echo\n"
        "nodes: 1\nclients: 1\nduration: 50ms\n"
    )

    assert main(["experiment=tiny", "engine=sim", "--config-dir", "conf", "--quiet", "run.dir=tiny"]) == 0
    assert capsys.readouterr().out == "verdict: valid\nrun: tiny\n"


def test_a_simulated_run_imports_nothing_slow_that_it_does_not_need() -> None:
    script = (
        "import sys\n"
        "from framework.run.__main__ import main\n"
        f"code = main({[*HELLO, '--quiet']!r})\n"
        "print(code, sorted({'ray', 'uvloop', 'rich', 'pandas'} & set(sys.modules)))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], env=_environment(), capture_output=True, text=True, timeout=60)

    assert ran.stderr == ""
    assert ran.stdout.splitlines()[-1] == "0 []"


def test_a_reader_that_leaves_early_does_not_change_the_exit_code() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "framework.run", *HELLO, "run.dir=unread"]
    ran = subprocess.run(command, env=_environment(), stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert result("unread")["verdict"] == "valid"


def test_ctrl_c_twice_keeps_the_files_and_says_unknown() -> None:
    command = [
        sys.executable,
        "-m",
        "framework.run",
        "experiment=hello",
        "engine=sim",
        "duration=10h",
        "run.dir=cut",
    ]
    with subprocess.Popen(
        command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None and run.stderr is not None
        assert " ops " in run.stderr.readline()  # the first line of progress: the run is under way
        run.send_signal(signal.SIGINT)
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=60)

    assert run.returncode == 2
    assert out.splitlines()[-2].startswith("verdict: unknown — interrupted after ")
    assert result("cut")["interrupted"] is True
    assert result("cut")["operations"]["ok"] > 0
    assert [check["verdict"] for check in result("cut")["checks"]] == ["valid"]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
