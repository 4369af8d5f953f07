"""`python -m framework.shrink`: from a run that failed to a smaller experiment that fails in the same way."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.registry.discovery import ROOT
from framework.run.__main__ import main as run
from framework.shrink.__main__ import main as shrink

FORGETFUL = '''
"""A register on one of several nodes that forgets what it was told when it has crashed."""

from framework import Client, Config, Message, Node, NodeId, Ok, Operation, OperationId, ProtocolSpec, durable, handles
from framework import hookimpl, on_timer


class ForgetfulConfig(Config):
    asks_again: str = "20ms"
    raises: bool = False


class Ask(Message):
    operation: OperationId
    key: str
    value: str | None


class Told(Message):
    operation: OperationId
    value: str | None


class Forgetful(Node):
    config: ForgetfulConfig
    starts: int = durable(0)

    def on_start(self) -> None:
        self.values: dict[str, str] = {}
        self.starts += 1

    @handles(Ask)
    def on_ask(self, sender: NodeId, ask: Ask) -> None:
        if self.config.raises and self.starts > 1:
            raise KeyError(f"{self.id} lost {ask.key}")
        if ask.value is not None:
            self.values[ask.key] = ask.value
        self.send(sender, Told(ask.operation, self.values.get(ask.key)))


class Asker(Client):
    def invoke(self, operation: Operation) -> None:
        self.ask = Ask(operation.id, operation.key, operation.argument)
        self.again()

    @on_timer
    def again(self) -> None:
        if self.current is not None:
            self.send(self.servers[0], self.ask)
            self.set_timer(self.again, after=20_000_000)

    @handles(Told)
    def on_told(self, sender: NodeId, told: Told) -> None:
        if told.operation == self.current:
            self.complete(told.operation, Ok(told.value if self.ask.value is None else None))


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="forgetful", summary="Forgets.", node=Forgetful, client=Asker, config=ForgetfulConfig,
            operations=("read", "write"), model="register", checkers=("linearizability",),
        )
    ]
'''


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    file = tmp_path_factory.mktemp("plugged") / "synod_test_forgetful.py"
    file.write_text(FORGETFUL)
    return [
        f"plugins.path={file}", "protocol=forgetful", "workload=kv", "engine=sim", "network=lan", "nodes=3", "clients=5",
        "duration=1s", "quiet=200ms", "workload.think_time=5ms", "faults=crash", "protocol.asks_again=30ms",
        "faults.crash={target: n1, at: 200ms, every: 300ms, for: 30ms}", "engine.disk_latency=1ms", "--quiet",
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_left_is_smaller_everywhere_and_fails_as_an_experiment_of_its_own(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "run.dir=big"]) == 1
    capsys.readouterr()

    assert shrink(["big", "--budget", "150", "--seeds", "3"]) == 0

    lines = capsys.readouterr().out.splitlines()
    table = {line[:19].strip(): line[19:].split() for line in lines[1:8]}
    assert table["nodes"] == ["3", "1"]
    assert int(table["clients"][1]) <= 2
    assert int(table["operations"][1]) < int(table["operations"][0]) / 10
    assert lines[0].split() == ["before", "after"]
    assert any(line.startswith("linearizability: key 'k") for line in lines)
    content = yaml.safe_load(Path("big/shrunk/experiment/forgetful_shrunk.yaml").read_text())
    assert {"override /protocol": "forgetful"} in content["defaults"]
    assert content["nodes"] == 1
    assert "protocol" not in content and "engine" not in content
    assert list(content["faults"]) == ["crash"]

    command = shlex.split(lines[-1].removeprefix("to see it:  "))
    assert command[:3] == ["python", "-m", "framework.run"]
    assert run([*command[3:], "--quiet", "run.dir=small"]) == 1
    assert "verdict: invalid — linearizability: key 'k" in capsys.readouterr().out


SIZE = re.compile(r"nodes (\d+), clients (\d+), duration \S+, operations [\d,]+, steps ([\d,]+)")


def sizes(said: str) -> list[tuple[int, ...]]:
    """Nodes, clients and steps of each run that was smaller."""
    found = [SIZE.search(line) for line in said.splitlines() if line.startswith("smaller: ")]
    return [tuple(int(one[part].replace(",", "")) for part in (1, 2, 3)) for one in found if one is not None]


def test_nothing_of_it_ever_becomes_larger_again(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A perfect network carries more operations in the same time than a lossy one does."""
    lossy = ["network=lossy", "network.loss=0.3", "workload.think_time=0", "duration=600ms", "run.dir=big"]
    assert run([*words, *lossy]) == 1
    capsys.readouterr()

    assert shrink(["big", "--budget", "60", "--seeds", "1"]) == 0

    shown = capsys.readouterr()
    smaller = sizes(shown.err)
    assert len(smaller) > 5
    for before, after in itertools.pairwise(smaller):
        assert all(now <= then for then, now in zip(before, after, strict=True)), (before, after)
    assert steps(shown.out) == smaller[-1][-1]


def steps(shown: str) -> int:
    """Of the smaller run, in the table."""
    return next(int(line.split()[2].replace(",", "")) for line in shown.splitlines() if line.startswith("steps"))


def under_way(folder: Path) -> subprocess.Popen[str]:
    """A search that would take long, and has found something smaller twice."""
    command = [sys.executable, "-m", "framework.shrink", "big", "--budget", "10m"]
    return subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def heard(program: subprocess.Popen[str], times: int) -> Iterator[str]:
    """What it says of so many smaller runs."""
    assert program.stderr is not None
    for _ in range(times):
        yield program.stderr.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_interrupts_it_has_the_smallest_that_was_found(
    words: list[str], number: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "run.dir=big"]) == 1
    program = under_way(tmp_path)
    early = "".join(heard(program, 3))
    program.send_signal(number)
    out, late = program.communicate(timeout=60)

    smallest = sizes(early + late)[-1]
    assert program.returncode == 0
    assert "; interrupted\n" in out
    assert steps(out) == smallest[-1]
    capsys.readouterr()
    assert run(["experiment=forgetful_shrunk", "--config-dir", "big/shrunk", "--quiet", "run.dir=small"]) == 1
    assert json.loads(Path("small/result.json").read_bytes())["steps"] == smallest[-1]


def test_a_search_that_is_killed_leaves_what_it_had_found(words: list[str], tmp_path: Path) -> None:
    assert run([*words, "run.dir=big"]) == 1
    program = under_way(tmp_path)
    smallest = sizes("".join(heard(program, 3)))[-1]
    program.kill()
    program.communicate()

    assert run(["experiment=forgetful_shrunk", "--config-dir", "big/shrunk", "--quiet", "run.dir=small"]) == 1
    assert json.loads(Path("small/result.json").read_bytes())["steps"] <= smallest[-1]


def test_a_budget_too_small_for_anything_is_no_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "run.dir=big"]) == 1
    assert shrink(["big", "--budget", "1ns"]) == 0
    assert "the budget is spent\n" in capsys.readouterr().out
    assert shrink(["big", "--budget", "1ns"]) == 0
    assert "(as it was: nothing smaller was found)" in capsys.readouterr().out


SHARED = "Runs of one process share {}.SEEN, which a run changes: keep state in attributes of the node, self.NAME."


def leaky(words: list[str], name: str, after: int) -> list[str]:
    """The same, but a list of the module counts what all runs have asked for, and nothing works after so many."""
    raises = "if self.config.raises and self.starts > 1:"
    text = FORGETFUL.replace("class Forgetful(Node):", "SEEN: list[str] = []\n\n\nclass Forgetful(Node):")
    assert raises in text
    text = text.replace(
        raises, f"SEEN.append(ask.key)\n        if len(SEEN) > {after} or (self.config.raises and self.starts > 1):"
    )
    Path(f"{name}.py").write_text(text)
    return [f"plugins.path={name}.py", *(word for word in words if not word.startswith("plugins.path="))]


def test_runs_that_share_state_are_told_apart_at_once(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*leaky(words, "synod_test_leaky", 500), "run.dir=big"]) == 1
    capsys.readouterr()
    sys.modules.pop("synod_test_leaky")

    assert shrink(["big", "--budget", "50"]) == 2

    says = f"big: is another run when one process takes it a second time. {SHARED.format('synod_test_leaky')}\n"
    assert capsys.readouterr() == ("", says)


def test_what_fails_only_among_others_is_not_kept(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Until the list is long, all is well: the first runs are the same, and only then do others fail without a fault."""
    assert run([*leaky(words, "synod_test_slow_leak", 2_000), "protocol.raises=true", "run.dir=big"]) == 1
    sys.modules.pop("synod_test_slow_leak")
    capsys.readouterr()

    assert shrink(["big", "--budget", "150", "--seeds", "3"]) == 2

    says = f"big: what was found is another run in a process of its own. {SHARED.format('synod_test_slow_leak')}\n"
    assert capsys.readouterr().err.endswith(says)
    assert list(Path("big/shrunk/experiment").iterdir()) == []


def test_a_second_time_goes_on_from_the_first_and_spoils_nothing(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "run.dir=big"]) == 1
    assert shrink(["big", "--budget", "3", "--seeds", "1"]) == 0
    found = Path("big/shrunk/experiment/forgetful_shrunk.yaml")
    first = capsys.readouterr().out

    assert shrink(["big", "--budget", "60", "--seeds", "2"]) == 0
    shown, second = capsys.readouterr(), found.read_text()
    assert shown.err.startswith(f"continues from {found}\n")
    assert f"experiment: {found} (smaller than it was)" in shown.out
    assert steps(shown.out) < steps(first)

    assert shrink(["big", "--budget", "2", "--seeds", "1"]) == 0
    assert f"experiment: {found} (as it was: nothing smaller was found)" in capsys.readouterr().out
    assert found.read_text() == second


def test_what_does_not_fail_any_more_is_left_where_it_is(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "run.dir=big"]) == 1
    found = Path("big/shrunk/experiment/forgetful_shrunk.yaml")
    found.parent.mkdir(parents=True)
    found.write_text("# @package _global_\ndefaults:\n  - override /protocol: echo\n  - override /workload: echo\n")
    before = found.read_text()
    capsys.readouterr()

    assert shrink(["big", "--budget", "20"]) == 2
    assert capsys.readouterr().err == (
        f"{found}: exists, but does not fail as the run does. Move it away to start over.\n"
    )
    assert found.read_text() == before


def test_a_handler_that_raises_is_kept_as_that(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "protocol.raises=true", "run.dir=big"]) == 1

    assert shrink(["big", "--budget", "60", "--seeds", "1"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("n1 crashed: KeyError: 'n1 lost k") for line in lines)
    content = yaml.safe_load(Path("big/shrunk/experiment/forgetful_shrunk.yaml").read_text())
    assert content["protocol"] == {"raises": True}


def test_what_cannot_be_shrunk_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["experiment=hello", "engine=sim", "duration=50ms", "--quiet", "run.dir=valid"]) == 0
    assert run([*words, "run.dir=big"]) == 1
    config, result = Path("big/config.yaml").read_text(), json.loads(Path("big/result.json").read_bytes())
    _folder("ray", config.replace("name: sim", "name: ray"), result)
    capsys.readouterr()

    for asked, says in (
        (["valid"], "its verdict is valid: there is no failure to keep"),
        (["ray"], "was no simulated run, and only these can be shrunk. Find it with engine=sim."),
        (["nowhere"], "no such run folder"),
        (["big", "--budget", "soon"], "--budget: 'soon' is not a duration"),
        (["big", "--budget", "0"], "nothing can be found in no time"),
        (["big", "--seeds", "x"], "--seeds: 'x' is not a whole number. See python -m framework.shrink --help."),
    ):
        assert shrink(asked) == 2
        shown = capsys.readouterr()
        assert shown.out == "" and len(shown.err.splitlines()) == 1
        assert says in shown.err


def _folder(name: str, config: str, result: dict[str, Any]) -> None:
    Path(name).mkdir()
    Path(name, "config.yaml").write_text(config)
    Path(name, "result.json").write_text(json.dumps(result))


def test_a_run_that_does_not_fail_again_is_no_start(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "run.dir=big"]) == 1
    result = json.loads(Path("big/result.json").read_bytes())
    assert run([*(word for word in words if not word.startswith("faults")), "run.dir=well"]) == 0
    Path("well/result.json").write_text(json.dumps(result))
    capsys.readouterr()

    assert shrink(["well"]) == 2
    assert "well: is valid when it is run again. See where it differs: python -m framework.replay well." in (
        capsys.readouterr().err
    )
