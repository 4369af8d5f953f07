"""Carries out the faults of an experiment in the simulator."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING

from framework.core.faults import Action, resolve
from framework.core.streams import stream
from framework.trace.schema import Kind

if TYPE_CHECKING:
    from framework.engine.sim.batches import Batches


class Injection:
    """Schedules each fault's actions from its own random stream, and counts those that fired."""

    def __init__(self, run: Batches) -> None:
        self._run = run

    def schedule(self) -> None:
        experiment = self._run.experiment
        for spec, config in experiment.faults:
            rng = stream(experiment.seed, "fault", spec.name)
            for action in spec.fault(config).schedule(experiment.nodes, experiment.duration, rng):
                self._run.call_at(action.at, partial(self._carry_out, action, rng))

    def _carry_out(self, action: Action, rng: random.Random) -> None:
        run = self._run
        up = action.name != "restart"  # what it is aimed at: nodes that are up, or down
        seats = [run.seats[node] for node in run.experiment.nodes]
        aims = [seat for seat in seats if (seat.host is not None) == up and not seat.raised]
        statuses = {seat.id: None if seat.host is None else seat.host.root.status for seat in aims}
        for node in resolve(action.target, statuses, rng):
            run.seq = cause = run.seq + 1
            name = run.recording.names.index(action.name)
            run.recording.row(Kind.FAULT, run.now, cause, -1, run.seats[node].index, message=name)
            run.tally.faults[action.name] = run.tally.faults.get(action.name, 0) + 1
            if up:
                run.crash(node, "fault", cause)
            else:
                run.restart(node, cause)
