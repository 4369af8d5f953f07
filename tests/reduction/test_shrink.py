"""`python -m framework.shrink`: from a run that failed to a smaller experiment that fails in the same way."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.run import main as run
from framework.shrink import main as shrink

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


def test_a_second_time_goes_on_from_the_first_and_spoils_nothing(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def steps(shown: str) -> int:
        return next(int(line.split()[2].replace(",", "")) for line in shown.splitlines() if line.startswith("steps"))

    assert run([*words, "run.dir=big"]) == 1
    assert shrink(["big", "--budget", "3", "--seeds", "1"]) == 0
    found = Path("big/shrunk/experiment/forgetful_shrunk.yaml")
    first = capsys.readouterr().out

    assert shrink(["big", "--budget", "60", "--seeds", "2"]) == 0
    shown, second = capsys.readouterr(), found.read_text()
    assert shown.err.startswith(f"goes on from {found}\n")
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
        f"{found}: stands there and does not fail as the run does. Move it away to begin anew.\n"
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
        (["big", "--seeds", "x"], "--seeds: 'x' is no whole number. See python -m framework.shrink --help."),
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
