"""One simulated run of a study, judged like any other: a figure counts only if the run was valid."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from framework.checking.verdict import Verdict
from framework.config.compose import compose
from framework.config.resolve import Composed
from framework.core.message import NodeId
from framework.core.time import MILLISECOND
from framework.engine.sim.engine import SimEngine
from framework.engine.sim.simulation import Simulation
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult
from framework.trace.reader import Run, open_run


@dataclass(frozen=True)
class Simulated:
    """A run that was valid, unless it was allowed to fail. `run` reads its files as long as `simulated` lasts."""

    result: RunResult
    run: Run
    simulation: Simulation
    warmup: int

    @property
    def leader(self) -> NodeId | None:
        """Who leads at the end."""
        leading = [
            hosted.id
            for hosted in self.simulation.nodes.values()
            if hosted.runtime is not None and "leader" in hosted.runtime.root.status.roles
        ]
        return leading[0] if len(leading) == 1 else None

    def latencies_ms(self, client: NodeId | None = None, function: str | None = None) -> list[float]:
        """Of the operations that began after the warm-up and succeeded: of all, of one client's, of one kind."""
        return [
            (row["completed"] - row["scheduled"]) / MILLISECOND
            for row in self._operations
            if client in (None, row["client"]) and function in (None, row["function"])
        ]

    @cached_property
    def _operations(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.run.history.to_pylist()
        return [row for row in rows if row["scheduled"] >= self.warmup and row["outcome"] == "ok"]


@contextmanager
def simulated(settings: Sequence[str], seed: int = 0, *, may_fail: bool = False) -> Iterator[Simulated]:
    """The run that `framework.run` would take with these settings, in a folder that is gone afterwards. With `may_fail`
    it need not be valid."""
    composed = _composed(tuple(settings))
    with tempfile.TemporaryDirectory(prefix="synod-study-") as folder:
        engine = SimEngine()
        experiment = replace(composed.experiment, seed=seed, run_dir=Path(folder))
        plan = Plan(
            experiment=experiment,
            config=composed.config,
            engine="sim",
            checkers=composed.checkers,
            models=composed.models,
        )
        result = execute(plan, engine, lambda now, tally: None)
        assert may_fail or result.verdict is Verdict.VALID, f"{' '.join(settings)} seed={seed}: {result.summary}"
        assert engine.simulation is not None
        yield Simulated(result, open_run(folder), engine.simulation, experiment.warmup)


@lru_cache(maxsize=64)
def _composed(settings: tuple[str, ...]) -> Composed:
    return compose(["engine=sim", *settings])
