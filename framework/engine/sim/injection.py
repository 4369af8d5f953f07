"""Carries out the faults of an experiment in the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framework.core.faults import Action, resolve
from framework.core.message import NodeId
from framework.core.streams import stream
from framework.trace.schema import Kind

if TYPE_CHECKING:
    import random

    from framework.engine.sim.seat import Seat
    from framework.engine.sim.simulation import Simulation


class Injection:
    """Schedules each fault's actions from its own random stream, and counts those that fired."""

    def __init__(self, simulation: Simulation, seats: dict[NodeId, Seat]) -> None:
        self._simulation = simulation
        self._servers = {node: seats[node] for node in simulation.experiment.nodes}

    def schedule(self) -> None:
        experiment = self._simulation.experiment
        for spec, config in experiment.faults:
            rng = stream(experiment.seed, "fault", spec.name)
            for action in spec.fault(config).schedule(experiment.nodes, experiment.duration, rng):
                self._simulation._call_at(action.at, self._call(action, rng))

    def _call(self, action: Action, rng: random.Random):  # type: ignore[no-untyped-def]
        return lambda: self._carry_out(action, rng)

    def _carry_out(self, action: Action, rng: random.Random) -> None:
        simulation = self._simulation
        wanted_up = action.name != "restart"
        statuses = {
            node: seat.host.root.status if seat.host is not None else None
            for node, seat in self._servers.items()
            if (seat.host is not None) == wanted_up and not seat.raised
        }
        for node in resolve(action.target, statuses, rng):
            simulation.seq += 1
            cause = simulation.seq
            name = simulation.recording.names.index(action.name)
            simulation.recording.row(Kind.FAULT, simulation.now, cause, -1, self._servers[node].index, message=name)
            simulation.tally.faults[action.name] = simulation.tally.faults.get(action.name, 0) + 1
            if action.name == "crash":
                simulation.crash(node, "fault", cause)
            else:
                simulation.restart(node, cause)
