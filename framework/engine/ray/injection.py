"""Carries out the faults of an experiment when their time has come."""

from __future__ import annotations

import heapq
import random

from framework.core.faults import Action, resolve
from framework.core.message import NodeId
from framework.core.streams import stream
from framework.core.time import NEVER
from framework.engine.base import Experiment
from framework.engine.ray.fleet import Fleet
from framework.trace.schema import Kind


class Injection:
    """The actions of all faults in the order of their times, each fault with its own random stream."""

    def __init__(self, experiment: Experiment) -> None:
        self.fired: dict[str, int] = {}
        self._order = {node: index for index, node in enumerate((*experiment.nodes, *experiment.clients))}
        self._waiting: list[tuple[int, int, Action, random.Random]] = []
        for spec, config in experiment.faults:
            rng = stream(experiment.seed, "fault", spec.name)
            for action in spec.fault(config).schedule(experiment.nodes, experiment.duration, rng):
                self._waiting.append((action.at, len(self._waiting), action, rng))
        self._restarts = any(action.name == "restart" for _, _, action, _ in self._waiting)
        heapq.heapify(self._waiting)

    @property
    def next_at(self) -> int:
        """When the next action is due."""
        return self._waiting[0][0] if self._waiting else NEVER

    def carry_out_due(self, fleet: Fleet) -> None:
        """Does all that is due now."""
        while self.next_at <= fleet.now():
            _, _, action, rng = heapq.heappop(self._waiting)
            self._carry_out(fleet, action, rng)

    def _carry_out(self, fleet: Fleet, action: Action, rng: random.Random) -> None:
        down = action.name == "restart"
        candidates = {node: status for node, status in fleet.statuses().items() if (status is None) == down}
        chosen = {node: self._record(fleet, node, action.name) for node in resolve(action.target, candidates, rng)}
        if fleet.rows is not None:
            fleet.rows.flush()  # the intent stands in the file before the deed
        if down:
            for node, cause in chosen.items():
                fleet.restart(node, cause)
        else:
            fleet.crash(chosen, replaced=self._restarts)

    def _record(self, fleet: Fleet, node: NodeId, name: str) -> int:
        self.fired[name] = self.fired.get(name, 0) + 1
        if fleet.rows is None:
            return -1
        cause = fleet.rows.row(Kind.FAULT, fleet.now(), -1, self._order[node], name=name)
        if name == "restart":
            cause = fleet.rows.row(Kind.RESTART, fleet.now(), cause, self._order[node])
        return cause
