"""Scenario scripts: steps in a text file, each followed by all that it caused. A flag rewrites the answers.

    # Ongaro & Ousterhout, §5.2: a majority of votes makes a leader.
    cluster protocol=raft nodes=3
    ----
    n1 started
    n2 started
    n3 started

    fire n1 start_election
    ----
    n1 → n2: RequestVote(term=1, last_index=0, last_term=0)
    …

A block is some lines of commands, `----`, the output, and an empty line. Commands:

    cluster KEY=VALUE …                    a new cluster, composed like a run (`protocol=… nodes=3 clients=1 state_machine=kv`)
    fire NODE TIMER [ARGUMENT …]           fires a timer that is set
    deliver [MESSAGE] [from NODE] [to NODE]    the oldest letter that matches; also: drop …, duplicate …
    stabilize                              delivers everything until nothing is on its way
    advance 100ms                          moves time, firing what falls due
    invoke CLIENT FUNCTION [KEY [VALUE]]   VALUE is JSON
    crash NODE · restart NODE              a spare (`cluster … spares=1`) waits for its restart
    administer OPERATION NODE              as an operator asks: add_node, transfer_leader
    status [NODE …] · letters · state NODE · quiet COMMAND…   (quiet hides the output)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.config.compose import compose
from framework.core.errors import ConfigError, SynodError, did_you_mean
from framework.core.time import parse_duration
from framework.testing.cluster import Cluster

RULE = "----"


@dataclass(frozen=True)
class Block:
    """Commands with their expected output; `line` is where it starts, `lead` the comments before it."""

    line: int
    lead: tuple[str, ...]
    commands: tuple[str, ...]
    expected: str


def check_scenario(path: Path, *, rewrite: bool = False) -> None:
    """Runs the script and compares every block: AssertionError with the first difference. `rewrite` writes what came out."""
    blocks = parse(path.read_text(), path.name)
    script = Script(path.name)
    answered = [(block, script.run(block)) for block in blocks]
    if rewrite:
        path.write_text("\n".join(_print(block, output) for block, output in answered))
        return
    for block, output in answered:
        assert output == block.expected, (
            f"{path.name}:{block.line}: {' ; '.join(block.commands)}\n--- expected\n{block.expected}\n--- came\n{output}"
        )


def parse(text: str, name: str) -> list[Block]:
    """The blocks of a script; ConfigError naming the line of a block without its rule."""
    blocks: list[Block] = []
    lead: list[str] = []
    commands: list[str] = []
    expected: list[str] | None = None
    start = 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if expected is not None:
            if line.strip():
                expected.append(line)
                continue
            blocks.append(Block(start, tuple(lead), tuple(commands), "\n".join(expected)))
            lead, commands, expected = [], [], None
        elif line.strip() == RULE:
            expected = []
        elif line.startswith("#") or (not line.strip() and not commands):
            lead.append(line)
        elif line.strip():
            start = start if commands else number
            commands.append(line.strip())
        else:
            raise ConfigError(f"{name}:{start}", f"{commands[-1]!r} has no answer", f"Write {RULE} under the commands.")
    return blocks


def _print(block: Block, output: str) -> str:
    return "\n".join([*block.lead, *block.commands, RULE, *([output] if output else [])]) + "\n"


class Script:
    """One script's cluster and its commands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._cluster: Cluster | None = None
        self._commands: dict[str, Callable[[list[str]], list[str]]] = {
            "cluster": self._new_cluster,
            "fire": self._fire,
            "deliver": lambda words: self._letter("deliver", words),
            "drop": lambda words: self._letter("drop", words),
            "duplicate": lambda words: self._letter("duplicate", words),
            "stabilize": self._stabilize,
            "advance": self._advance,
            "invoke": self._invoke,
            "administer": self._administer,
            "crash": lambda words: self._life("crash", words),
            "restart": lambda words: self._life("restart", words),
            "status": self._status,
            "letters": self._letters,
            "state": self._state,
            "quiet": self._quiet,
        }

    def run(self, block: Block) -> str:
        """All that the block's commands caused; a mistake in a script is part of its output, so that it can be tested."""
        lines: list[str] = []
        for command in block.commands:
            try:
                lines += self._run(command, f"{self.name}:{block.line}")
            except SynodError as error:
                lines.append(f"error: {error}")
        return "\n".join(lines)

    def _run(self, command: str, where: str) -> list[str]:
        verb, *words = command.split()
        if verb not in self._commands:
            raise ConfigError(where, f"no command {verb!r}", did_you_mean(verb, self._commands))
        if verb != "cluster" and self._cluster is None:
            raise ConfigError(where, "there is no cluster yet", "Start with: cluster protocol=NAME nodes=3.")
        said = self._commands[verb](words)
        return self._drain() + said

    @property
    def cluster(self) -> Cluster:
        assert self._cluster is not None
        return self._cluster

    def _drain(self) -> list[str]:
        lines, self.cluster.log[:] = list(self.cluster.log), []
        return lines

    def _new_cluster(self, words: list[str]) -> list[str]:
        experiment = compose([*words, "engine=sim"]).experiment
        self._cluster = Cluster(
            experiment.protocol.node, experiment.protocol_config, experiment.members, client=experiment.protocol.client,
            clients=experiment.clients, spares=experiment.spares, seed=experiment.seed,
        )  # fmt: skip
        return []

    def _fire(self, words: list[str]) -> list[str]:
        if len(words) < 2:
            raise ConfigError("fire", "lacks a node or a timer", "Write fire NODE TIMER [ARGUMENT …].")
        self.cluster.fire(*words)
        return []

    def _letter(self, verb: str, words: list[str]) -> list[str]:
        given: dict[str, str] = {}
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word in ("from", "to") and rest:
                given["sender" if word == "from" else "to"] = rest.pop(0)
            else:
                given["kind"] = word
        letter = getattr(self.cluster, verb)(**given)
        return [f"dropped {letter}"] if verb == "drop" else []

    def _stabilize(self, words: list[str]) -> list[str]:
        _exactly(words, "stabilize", 0)
        self.cluster.stabilize()
        return []

    def _advance(self, words: list[str]) -> list[str]:
        (span,) = _exactly(words, "advance 100ms", 1)
        try:
            self.cluster.advance(parse_duration(span))
        except ValueError as error:
            raise ConfigError("advance", str(error)) from error
        return []

    def _invoke(self, words: list[str]) -> list[str]:
        if len(words) < 2:
            raise ConfigError("invoke", "lacks a client or a function", "Write invoke CLIENT FUNCTION [KEY [VALUE]].")
        client, function, *rest = words
        value = _json(" ".join(rest[1:])) if len(rest) > 1 else None
        self.cluster.invoke(
            client, function, rest[0] if rest else None, tuple(value) if isinstance(value, list) else value
        )
        return []

    def _administer(self, words: list[str]) -> list[str]:
        function, node = _exactly(words, "administer OPERATION NODE", 2)
        self.cluster.administer(function, node)
        return []

    def _life(self, verb: str, words: list[str]) -> list[str]:
        (node,) = _exactly(words, f"{verb} NODE", 1)
        getattr(self.cluster, verb)(node)
        return []

    def _status(self, words: list[str]) -> list[str]:
        statuses = [(node, self.cluster.node(node).status) for node in words or self.cluster.up]
        return [f"{node}: {_fields(status)}" for node, status in statuses if status or words]

    def _letters(self, words: list[str]) -> list[str]:
        _exactly(words, "letters", 0)
        return [str(letter) for letter in self.cluster.letters] or ["none"]

    def _state(self, words: list[str]) -> list[str]:
        (node,) = _exactly(words, "state NODE", 1)
        return [f"{name} = {value!r}" for name, value in sorted(self.cluster.node(node).state().items())]

    def _quiet(self, words: list[str]) -> list[str]:
        self._run(" ".join(words), self.name)
        return []


def _exactly(words: list[str], form: str, count: int) -> list[str]:
    if len(words) != count:
        raise ConfigError(form.split()[0], f"takes {count} words, not {len(words)}", f"Write {form}.")
    return words


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError("invoke", f"{text} is not JSON ({error.msg})", 'Write a string as "text".') from error


def _fields(status: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in status.items())
