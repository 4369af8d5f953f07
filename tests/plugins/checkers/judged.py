"""A run that is taken and judged, for tests of checkers."""

from __future__ import annotations

from pathlib import Path

from framework.config.compose import compose
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.folder import claim
from framework.runs.result import RunResult


def judged(folder: Path, *overrides: str) -> RunResult:
    """The result of the run that the overrides describe."""
    composed = compose([*overrides, f"run.dir={folder / 'run'}"])
    claim(composed.experiment.run_dir)
    plan = Plan(
        experiment=composed.experiment, config=composed.config, engine=composed.engine, checkers=composed.checkers,
        models=composed.models,
    )  # fmt: skip
    return execute(plan, engine_named(composed.engine), lambda time, tally: None)
