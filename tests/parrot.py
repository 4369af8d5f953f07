"""A protocol of somebody else's, with its workload and its checker, as texts for tests to lay down where they like."""

from __future__ import annotations

from pathlib import Path

PROTOCOL = '''"""Parrot: a node hears a text, and its neighbour says it back several times."""

from framework import Client, Config, Message, Node, NodeId, Ok, Operation, OperationId, ProtocolSpec
from framework import durable, handles, hookimpl


class ParrotConfig(Config):
    times: int = 2


class Say(Message):
    operation: OperationId
    text: str


class Relay(Message):
    operation: OperationId
    client: NodeId
    text: str


class Said(Message):
    operation: OperationId
    text: str


class Parrot(Node):
    config: ParrotConfig
    heard: int = durable(0)

    @handles(Say)
    def on_say(self, sender: NodeId, say: Say) -> None:
        self.heard += 1
        neighbour = min(self.peers, default=self.id)
        self.send(neighbour, Relay(operation=say.operation, client=sender, text=say.text))

    @handles(Relay)
    def on_relay(self, sender: NodeId, relay: Relay) -> None:
        text = " ".join([relay.text] * self.config.times)
        self.send(relay.client, Said(operation=relay.operation, text=text))


class Listener(Client):
    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[-1], Say(operation=operation.id, text=operation.argument))

    @handles(Said)
    def on_said(self, sender: NodeId, said: Said) -> None:
        self.complete(said.operation, Ok(said.text))


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="parrot", summary="Says it twice.", node=Parrot, client=Listener, config=ParrotConfig,
            operations=("say",), checkers=("twice",),
        )
    ]
'''

WORKLOAD = '''"""Words for a parrot."""

import random

from framework import NodeId, Value, Workload, WorkloadConfig, WorkloadSpec, hookimpl


class WordsConfig(WorkloadConfig):
    words: tuple[str, ...] = ("pretty", "polly")


class Words(Workload):
    config: WordsConfig

    def functions(self) -> tuple[str, ...]:
        return ("say",)

    def next(self, client: NodeId, now: int, rng: random.Random) -> tuple[str, str | None, Value]:
        return "say", None, rng.choice(self.config.words)


@hookimpl
def register_workloads() -> list[WorkloadSpec]:
    return [WorkloadSpec(name="words", summary="Words for a parrot.", workload=Words, config=WordsConfig)]
'''

CHECKER = '''"""Every word was said twice."""

from framework import CheckerSpec, CheckResult, Config, FinishedRun, Verdict, hookimpl


def check(run: FinishedRun, config: Config | None) -> CheckResult:
    calls = run.history
    wrong = [call for call in calls if call.known and call.result != f"{call.argument} {call.argument}"]
    verdict = Verdict.INVALID if wrong else Verdict.VALID
    reason = f"{len(wrong)} of {len(calls)} words were not said twice"
    return CheckResult(name="twice", verdict=verdict, reason=reason, operations=len(calls), steps=len(calls))


@hookimpl
def register_checkers() -> list[CheckerSpec]:
    return [CheckerSpec(name="twice", summary="Every word was said twice.", check=check)]
'''

CONFIGS = '''"""The experiments of the package."""

from pathlib import Path

from framework import hookimpl


@hookimpl
def register_config_folders() -> list[Path]:
    return [Path(__file__).parent / "conf"]
'''

EXPERIMENT = """# @package _global_
# Two words, said twice.
defaults:
  - override /protocol: parrot
  - override /workload: words

nodes: 3
clients: 2
"""

PARTS = {"bird": PROTOCOL, "words": WORKLOAD, "twice": CHECKER}
CHOICES = ("protocol=parrot", "workload=words", "nodes=3", "clients=2")


def lay_package(folder: Path) -> Path:
    """A package to be installed with pip: one module for each plugin, each an entry point, and `experiment=pirate`."""
    code = folder / "synod_parrot"
    code.mkdir(parents=True)
    (code / "__init__.py").write_text("")
    modules = {**PARTS, "configs": CONFIGS}
    for name, text in modules.items():
        (code / f"{name}.py").write_text(text)
    (code / "conf" / "experiment").mkdir(parents=True)
    (code / "conf" / "experiment" / "pirate.yaml").write_text(EXPERIMENT)
    points = "\n".join(f'{name} = "synod_parrot.{name}"' for name in modules)
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n\n'
        f'[project]\nname = "synod-parrot"\nversion = "1.0"\n\n[project.entry-points.synod]\n{points}\n\n'
        f'[tool.setuptools.package-data]\nsynod_parrot = ["conf/**/*.yaml"]\n'
    )
    return folder


def lay_file(folder: Path) -> Path:
    """One loose file that holds all three."""
    folder.mkdir(parents=True)
    file = folder / "loose_parrot.py"
    file.write_text("\n\n".join(PARTS.values()))
    return file


def lay_folder(folder: Path) -> Path:
    """A loose folder: a package with the protocol, and a module with each of the others."""
    (folder / "loose_bird").mkdir(parents=True)
    (folder / "loose_bird" / "__init__.py").write_text("from loose_bird.bird import register_protocols\n")
    (folder / "loose_bird" / "bird.py").write_text(PROTOCOL)
    (folder / "loose_words.py").write_text(WORKLOAD)
    (folder / "loose_twice.py").write_text(CHECKER)
    return folder
