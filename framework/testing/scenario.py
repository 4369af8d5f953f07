"""Scenario scripts: a text file of commands that drive a cluster, with golden output.

    # Ongaro & Ousterhout, §5.2: a majority of votes makes a leader.
    cluster protocol=raft nodes=3
    ----
    n1 started
    n2 started
    n3 started

    fire n1 start_election
    ----
    n1 fires start_election
      commits term=1, voted_for=n1
      → n2, n3: RequestVote(term=1, last_index=0, last_term=0)
    …

A block is some lines of commands, `----`, the output, and an empty line. The output names a node with the input that it
took, and indented below the effects: messages, durable changes, notes, completions. `framework.testing.describe` says
how values are written. Commands:

    cluster KEY=VALUE …            a new cluster, composed like a run (`protocol=… nodes=3 clients=1 state_machine=kv`)
    deliver [MESSAGE] [from NODE] [to NODE]    delivers the oldest envelope that matches
    deliver …, …, …                delivers several envelopes to the same node as one batch
    drop … · duplicate …           loses an envelope; delivers it and puts a copy on its way
    deliver_all … · drop_all …     the same for all that match now
    stabilize                      delivers everything until nothing is on its way
    fire NODE TIMER [ARGUMENT …]   fires a timer that is set, and moves no clock
    time_out NODE [TIMER]          moves the clock to the deadline of a timer (the earliest), and fires it
    advance 100ms                  moves the clock, and fires the timers that fall due
    invoke CLIENT FUNCTION [KEY [VALUE]]    starts an operation; VALUE is JSON
    administer OPERATION NODE      asks for an operation as an administrator: add_node, transfer_leader
    crash NODE · restart NODE      a spare (`cluster … spares=1`) waits for its restart
    crash NODE keep_commit         keeps the commit under way, which a crash loses otherwise; its effects never leave
    pause NODE · resume NODE       a paused node takes no input and fires no timer; its messages wait
    slow_disk NODE                 makes each commit last until finish_commit or a crash
    finish_commit NODE             ends the commit under way: its effects leave
    fast_disk NODE                 ends slow_disk, and the commit under way
    partition NODE … | NODE … · heal    cuts the links between the sides; restores them
    status [NODE …]                prints what nodes report of themselves
    state NODE · stored NODE       prints all attributes of a node; its durable state
    envelopes                      prints the messages on their way
    quiet COMMAND …                hides the output of one command

pytest collects files called `*.scenario` by itself (`framework.testing.pytest_plugin`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from framework.config.compose import compose
from framework.core.errors import ConfigError, SynodError, did_you_mean
from framework.core.status import reported_status, shown
from framework.core.time import parse_duration
from framework.testing.cluster import Cluster, Envelope
from framework.testing.describe import describe
from framework.testing.golden import Block, check_golden
from framework.testing.overrides import with_plugins


def check_scenario(path: Path, *, plugins: Sequence[str] = (), rewrite: bool = False) -> None:
    """Runs the script and compares every block: OutputDiffers for the first difference. With `rewrite`, writes the
    output into the script instead.

    `plugins` are files or folders of plugins, for each cluster that names none with `plugins.path`.
    """
    check_golden(path, Script(path.name, plugins).run, rewrite=rewrite)


class Script:
    """One script's cluster and its commands."""

    def __init__(self, name: str, plugins: Sequence[str] = ()) -> None:
        self.name = name
        self._plugins = plugins
        self._cluster: Cluster | None = None
        self._commands: dict[str, Callable[[list[str]], list[str]]] = {
            "cluster": self._new_cluster,
            "deliver": self._deliver,
            "drop": self._drop,
            "duplicate": self._duplicate,
            "deliver_all": self._deliver_all,
            "drop_all": self._drop_all,
            "stabilize": self._stabilize,
            "fire": self._fire,
            "time_out": self._time_out,
            "advance": self._advance,
            "invoke": self._invoke,
            "administer": self._administer,
            "crash": self._crash,
            "restart": self._at_node(Cluster.restart),
            "pause": self._at_node(Cluster.pause),
            "resume": self._at_node(Cluster.resume),
            "slow_disk": self._at_node(Cluster.slow_disk),
            "finish_commit": self._at_node(Cluster.finish_commit),
            "fast_disk": self._at_node(Cluster.fast_disk),
            "partition": self._partition,
            "heal": self._heal,
            "status": self._status,
            "envelopes": self._envelopes,
            "state": self._state,
            "stored": self._stored,
            "quiet": self._quiet,
        }

    def run(self, block: Block) -> str:
        """The output of the block's commands. A mistake in a script is part of its output, so that it can be tested."""
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
        lines = self.cluster.log
        self.cluster.clear_log()
        return lines

    def _new_cluster(self, words: list[str]) -> list[str]:
        experiment = compose([*with_plugins(words, self._plugins), "engine=sim"]).experiment
        self._cluster = Cluster.of(experiment)
        return []

    # Messages.

    def _deliver(self, words: list[str]) -> list[str]:
        first, *others = (selection.split() for selection in " ".join(words).split(","))
        if not others:
            self.cluster.deliver(*_selection("deliver", first))
            return []
        batch: list[Envelope] = []
        for selection in (first, *others):
            found = self.cluster.waiting(*_selection("deliver", selection))
            left = [envelope for envelope in found if not any(envelope is each for each in batch)]
            if not left:
                what = f"no {' '.join(selection)} is on its way besides the {len(batch)} before it"
                raise ConfigError("deliver", what, "Look at envelopes.")
            batch.append(left[0])
        self.cluster.deliver_batch(*batch)
        return []

    def _drop(self, words: list[str]) -> list[str]:
        return [f"dropped {self.cluster.drop(*_selection('drop', words))}"]

    def _duplicate(self, words: list[str]) -> list[str]:
        self.cluster.duplicate(*_selection("duplicate", words))
        return []

    def _deliver_all(self, words: list[str]) -> list[str]:
        self.cluster.deliver_all(*_selection("deliver_all", words))
        return []

    def _drop_all(self, words: list[str]) -> list[str]:
        return [f"dropped {envelope}" for envelope in self.cluster.drop_all(*_selection("drop_all", words))]

    def _stabilize(self, words: list[str]) -> list[str]:
        _exactly(words, "stabilize", 0)
        self.cluster.stabilize()
        return []

    def _envelopes(self, words: list[str]) -> list[str]:
        _exactly(words, "envelopes", 0)
        return [str(envelope) for envelope in self.cluster.envelopes] or ["none"]

    # Timers and time.

    def _fire(self, words: list[str]) -> list[str]:
        if len(words) < 2:
            raise ConfigError("fire", "lacks a node or a timer", "Write fire NODE TIMER [ARGUMENT …].")
        self.cluster.fire(*words)
        return []

    def _time_out(self, words: list[str]) -> list[str]:
        if len(words) not in (1, 2):
            raise ConfigError("time_out", "takes a node, and maybe a timer", "Write time_out NODE [TIMER].")
        self.cluster.time_out(*words)
        return []

    def _advance(self, words: list[str]) -> list[str]:
        (span,) = _exactly(words, "advance 100ms", 1)
        try:
            self.cluster.advance(parse_duration(span))
        except ValueError as error:
            raise ConfigError("advance", str(error)) from error
        return []

    # Clients.

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

    # Faults.

    def _at_node(self, verb: Callable[[Cluster, str], None]) -> Callable[[list[str]], list[str]]:
        def run(words: list[str]) -> list[str]:
            (node,) = _exactly(words, f"{verb.__name__} NODE", 1)
            verb(self.cluster, node)
            return []

        return run

    def _crash(self, words: list[str]) -> list[str]:
        keep = words[1:] == ["keep_commit"]
        (node,) = _exactly(words[:1] if keep else words, "crash NODE [keep_commit]", 1)
        self.cluster.crash(node, keep_commit=keep)
        return []

    def _partition(self, words: list[str]) -> list[str]:
        self.cluster.partition(*(side.split() for side in " ".join(words).split("|")))
        return []

    def _heal(self, words: list[str]) -> list[str]:
        _exactly(words, "heal", 0)
        self.cluster.heal()
        return []

    # State.

    def _status(self, words: list[str]) -> list[str]:
        statuses = [(node, shown(reported_status(self.cluster.node(node)))) for node in words or self.cluster.up]
        return [f"{node}: {_fields(fields)}" for node, fields in statuses if fields or words]

    def _state(self, words: list[str]) -> list[str]:
        (node,) = _exactly(words, "state NODE", 1)
        return [f"{name} = {describe(value)}" for name, value in sorted(self.cluster.node(node).state().items())]

    def _stored(self, words: list[str]) -> list[str]:
        (node,) = _exactly(words, "stored NODE", 1)
        lines = []
        for path, fields in sorted(self.cluster.stored(node).items()):
            for name, value in sorted(fields.items()):
                is_log = isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], list)
                first, shown = (f"[{value[0]}:]", value[1]) if is_log else ("", value)
                lines.append(f"{path}/{name}{first} = {describe(shown)}".lstrip("/"))
        return lines or ["nothing"]

    def _quiet(self, words: list[str]) -> list[str]:
        self._run(" ".join(words), self.name)
        return []


def _selection(verb: str, words: list[str]) -> tuple[str | None, str | None, str | None]:
    """Kind, sender and receiver of `[MESSAGE] [from NODE] [to NODE]`."""
    found: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        place = word if word in ("from", "to") else "kind"
        if place in found or (place != "kind" and not rest):
            raise ConfigError(
                verb, f"cannot read {' '.join(words)!r}", f"Write {verb} [MESSAGE] [from NODE] [to NODE]."
            )
        found[place] = word if place == "kind" else rest.pop(0)
    return found.get("kind"), found.get("from"), found.get("to")


def _exactly(words: list[str], form: str, count: int) -> list[str]:
    if len(words) != count:
        raise ConfigError(form.split()[0], f"takes {count} words, not {len(words)}", f"Write {form}.")
    return words


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError("invoke", f"{text} is not JSON ({error.msg})", 'Write a string as "text".') from error


def _fields(fields: dict[str, object]) -> str:
    spelled = {name: " ".join(value) if isinstance(value, tuple) else value for name, value in fields.items()}
    return " ".join(f"{name}={value}" for name, value in spelled.items())
