"""`engine.verify_determinism`: what a class draws from besides seed and config is found, and the first event named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from framework.run.__main__ import main

WANDERER = '''
"""An echo whose nodes gossip: in an order, and with contents, that the config chooses the source of."""

import random
import time

from framework import Client, Config, Message, Node, NodeId, Ok, Operation, OperationId, ProtocolSpec, handles, hookimpl


class WandererConfig(Config):
    source: str = "none"


class Say(Message):
    operation: OperationId
    text: str


class Said(Message):
    operation: OperationId
    text: str


class Gossip(Message):
    number: float


class Wanderer(Node):
    config: WandererConfig

    @handles(Say)
    def on_say(self, sender: NodeId, say: Say) -> None:
        self.send(sender, Said(say.operation, str(random.random()) if self.config.source == "answer" else say.text))
        words = {f"{word}{say.operation}" for word in ("ox", "elk", "cat", "dog", "hen", "ape")}
        order = list(words) if self.config.source == "set" else sorted(words)
        self.note("words", order=" ".join(order))
        numbers = {"random": random.random, "clock": time.time}
        self.broadcast(Gossip(numbers.get(self.config.source, self.rng.random)()))

    @handles(Gossip)
    def on_gossip(self, sender: NodeId, gossip: Gossip) -> None:
        """Takes note of it in silence."""


class Speaker(Client):
    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[0], Say(operation.id, operation.argument))

    @handles(Said)
    def on_said(self, sender: NodeId, said: Said) -> None:
        self.complete(said.operation, Ok(said.text))


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="wanderer", summary="Gossips.", node=Wanderer, client=Speaker, config=WandererConfig,
            operations=("echo",), checkers=("echo",),
        )
    ]
'''


@pytest.fixture(scope="module")
def wanderer(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    file = tmp_path_factory.mktemp("plugged") / "synod_test_wanderer.py"
    file.write_text(WANDERER)
    return [
        f"plugins.path={file}", "protocol=wanderer", "workload=echo", "engine=sim", "nodes=3", "clients=2",
        "duration=50ms", "engine.verify_determinism=true",
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_that_comes_out_the_same_twice_is_valid(wanderer: list[str]) -> None:
    assert main([*wanderer, "--quiet", "run.dir=run"]) == 0
    assert json.loads(Path("run/result.json").read_bytes())["reasons"] == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("source", "shows"),
    [("set", "notes words order="), ("random", "sends wanderer.Gossip("), ("clock", "Gossip(number=")],
)
def test_what_is_not_deterministic_is_unknown_and_the_first_event_that_differs_is_named(
    wanderer: list[str], source: str, shows: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*wanderer, f"protocol.source={source}", "--quiet", "run.dir=run"]) == 2

    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("verdict: unknown — the run is not deterministic: first difference at event ")
    assert line.count(shows) == 2
    assert "; the second time " in line


def test_what_the_history_alone_shows_is_found_in_it(wanderer: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = [*wanderer, "protocol.source=answer", "checker=none", "trace=history", "--quiet"]
    assert main([*words, "run.dir=run"]) == 2

    line = capsys.readouterr().out.splitlines()[0]
    assert "the run is not deterministic: first difference at operation 1 of the history: c1's echo has result" in line


def test_without_a_trace_nothing_is_verified(wanderer: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*wanderer, "trace=none", "--quiet", "run.dir=run"]) == 2
    assert "its determinism cannot be verified at trace=none" in capsys.readouterr().out
