"""The end of a run whose protocol converges: after the last operation it goes on until all replicas are equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from framework.checking.convergence import Settled, look
from framework.core.errors import RAISED
from framework.core.message import NodeId
from framework.core.replica import ReplicaState, replica_state
from framework.core.time import MILLISECOND

if TYPE_CHECKING:
    from framework.engine.sim.batches import Batches

LOOK_EVERY = 10 * MILLISECOND


class Settling:
    """Looks at the replicas of `run` every 10 ms, from `begin` on; calls `over` when they are equal or it has taken too long.

    `settled` then says how they stand.
    """

    def __init__(self, run: Batches, over: Callable[[], None]) -> None:
        self.settled: Settled | None = None
        self._run, self._over = run, over
        self._servers = [run.hosted_nodes[node] for node in run.experiment.nodes]
        self._began: int | None = None

    def begin(self) -> None:
        """Clients are quiet from now on; only the first time counts."""
        if self._began is None:
            self._began = self._run.now
            self._run.call_at(self._run.now, self._look)

    def _look(self) -> None:
        run, began = self._run, self._began
        assert began is not None
        end = began + run.experiment.settle
        replica_states = look(self._ask, last=run.now >= end)
        if replica_states is None:
            run.call_at(min(run.now + LOOK_EVERY, end), self._look)
            return
        called = [hosted for hosted in self._servers if not hosted.stands_by]
        down = tuple(hosted.id for hosted in called if hosted.runtime is None)
        running = [hosted.id for hosted in called if hosted.runtime is not None]
        self.settled = Settled(
            nodes=len(called),
            replica_states=replica_states,
            down=down,
            took=run.now - began,
            can_serve=run.can_serve(running),
        )
        self._over()

    def _ask(self, whole: bool) -> dict[NodeId, ReplicaState]:
        found: dict[NodeId, ReplicaState] = {}
        for hosted in self._servers:
            if hosted.runtime is None:
                continue
            try:
                stands = replica_state(hosted.runtime.root.replica, whole=whole)
            except RAISED as error:  # an author's mistake, as in a handler
                self._run.raised(hosted, error)
                continue
            if stands is not None:
                found[hosted.id] = stands
        return found
