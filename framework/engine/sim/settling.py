"""The end of a run whose protocol makes a promise about it: it continues after the last operation until all replicas
are equal, and the protocol has finished what it began."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from framework.checking.convergence import Settled, look
from framework.core.message import NodeId
from framework.core.time import MILLISECOND
from framework.engine.base import Experiment, asked_settled
from framework.engine.shared.node_life import NodeLife, NodeState
from framework.engine.sim.sim_node import SimNode

LOOK_EVERY = 10 * MILLISECOND


class SettlingRun(Protocol):
    """A simulation as settling uses it."""

    experiment: Experiment
    servers: dict[NodeId, SimNode]
    life: NodeLife

    def now(self) -> int: ...
    def call_at(self, at: int, call: Callable[[], None]) -> None: ...


class Settling:
    """Checks the nodes of `run` every 10 ms, from `begin` on. Calls `over` when they have settled or time is up.

    `settled` then holds the result.
    """

    def __init__(self, run: SettlingRun, over: Callable[[], None]) -> None:
        self.settled: Settled | None = None
        self._run, self._over = run, over
        self._began: int | None = None

    def begin(self) -> None:
        """Begins to settle: clients are quiet from now on. Only the first call counts."""
        if self._began is None:
            self._began = self._run.now()
            self._run.call_at(self._began, self._look)

    def _look(self) -> None:
        run, began = self._run, self._began
        assert began is not None
        now, end = run.now(), began + run.experiment.settle
        nodes = list(run.servers.values())
        replica_states, unfinished = (
            look(lambda whole: run.life.replica_states(nodes, whole=whole), last=now >= end),
            "",
        )
        if replica_states is not None:
            roots = {node.id: node.runtime.root for node in nodes if node.runtime is not None}
            unfinished = asked_settled(run.experiment.protocol, roots)
        if replica_states is None or (unfinished and now < end):
            run.call_at(min(now + LOOK_EVERY, end), self._look)
            return
        started = [node for node in nodes if node.state is not NodeState.STANDBY]
        running = [node.id for node in started if node.runtime is not None]
        self.settled = Settled(
            nodes=len(started), replica_states=replica_states, took=now - began,
            down=tuple(node.id for node in started if node.runtime is None),
            can_serve=run.life.can_serve([run.servers[name] for name in running], running), unfinished=unfinished,
        )  # fmt: skip
        self._over()
