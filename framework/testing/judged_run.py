"""A run that a test takes: judged by its checkers, and described as the command line describes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from framework.checking.verdict import Verdict
from framework.config.resolve import Composed
from framework.console.formatting import shortened
from framework.runs import folder
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult
from framework.trace.reader import Run

_TRACEBACKS_SHOWN = 3


class JudgedRun(Run):
    """A finished run: its files, as `open_run` gives them, and what was concluded.

    `verdict` is `"valid"`, `"invalid"` or `"unknown"`, and `reasons` has everything that speaks against `valid`.
    `events` and `history` are Arrow tables, `config` and `result` dicts, `folder` is where the files are. `command`
    takes the run again.
    """

    def __init__(self, run_dir: Path, seed: int, title: str, judged: RunResult) -> None:
        super().__init__(run_dir)
        self.seed = seed
        self.verdict = judged.verdict
        self.reasons = judged.reasons
        self.command = judged.command
        self._title, self._judged = title, judged

    def __repr__(self) -> str:
        return f"<run of {self._title}, seed {self.seed}: {self.verdict}>"

    @property
    def story(self) -> str:
        """A run with its verdict, and the evidence unless that is `valid`."""
        heading = f"{self._title} on {self._judged.engine}, seed {self.seed}: {self._judged.summary}"
        return "\n".join([heading, *evidence(self._judged)])


def evidence(result: RunResult) -> list[str]:
    """The lines that show why a run is not valid: all reasons if there are several, what handlers raised, the checkers'
    stories."""
    lines: list[str] = []
    if len(result.reasons) > 1:
        lines += ["", "reasons:", *(f"  {reason}" for reason in result.reasons)]
    for crash in [crash for crash in result.crashes if crash.traceback][:_TRACEBACKS_SHOWN]:
        lines += ["", f"{crash.node} at {crash.time_s:.3f} s:"]
        lines += [f"  {line}" for line in shortened(crash.traceback).splitlines()]
    for check in result.checks:
        if check.verdict is Verdict.INVALID and check.story:
            lines += ["", f"{check.name}:", *(f"  {line}" for line in check.story)]
    return lines


def to_see_it_again(*commands: str) -> list[str]:
    """The lines with the commands that take a run again."""
    return ["", "to run it again:", *(f"  {command}" for command in commands)]


def take(composed: Composed, seed: int, run_dir: Path, command: str) -> JudgedRun:
    """Takes the run of a composed experiment with this seed into the empty folder `run_dir`: the same run as if it had
    been composed with the seed.

    ConfigError or PluginError if the engine refuses it, KeyboardInterrupt if it was interrupted.
    """
    config = {**composed.config, "seed": seed, "run": {"dir": str(run_dir)}}
    folder.write_config(folder.claim(run_dir), config)
    plan = Plan(
        experiment=replace(composed.experiment, seed=seed, run_dir=run_dir),
        config=config,
        engine=composed.engine,
        checkers=composed.checkers,
        models=composed.models,
        hook=composed.registry.hook,
        command=command,
    )
    result = execute(plan, engine_named(plan.engine), lambda now, tally: None)
    if result.interrupted:
        raise KeyboardInterrupt
    return JudgedRun(run_dir, seed, composed.title, result)
