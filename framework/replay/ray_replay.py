"""Replays the nodes of a run on Ray side by side, in the order of their times."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from framework.checking.monitors import Watcher
from framework.config.saved import recompose
from framework.core.errors import ConfigError, did_you_mean
from framework.core.message import NodeId
from framework.core.node import Node
from framework.core.time import NEVER
from framework.engine.base import Experiment
from framework.engine.wire_codec import Wire
from framework.replay.node_driver import CannotDrive, Diverged, Divergence, NodeDriver
from framework.replay.node_trace import LIFE, NodeTrace, TraceRow
from framework.replay.outputs import OutputCollector
from framework.trace.reader import Run


@dataclass(frozen=True)
class ReplayedStep:
    """One replayed step: its row of the trace, and the node after it.

    `mounted` is the node that took the input: `root`, or the node mounted at `row.path` (None if the step ended it).
    """

    row: TraceRow
    root: Node
    mounted: Node | None


@dataclass(frozen=True)
class NodeReport:
    """The extent of a node's replay. `divergence`: the difference at which it ended. `lacking`: the missing record that
    stopped it, at least until the next start. `unseen`: the time for which the node then went on, in nanoseconds."""

    node: NodeId
    steps: int
    compared: int
    divergence: Divergence | None
    lacking: str
    unseen: int = 0


class RayReplay:
    """Replays nodes of a traced run: `steps` drives them, `reports` returns the results.

        replay = RayReplay(open_run(folder))
        for step in replay.steps():
            look_at(step.row.time, step.row.node, step.root)
        assert all(report.divergence is None for report in replay.reports())

    A step may belong to a batch that a crash then undid. `watcher(node)`, if given, returns an object whose
    `observe(host, time, seq)` is called after each batch that was not undone, and `on_crash()` after a crash.

    Raises ConfigError if the trace has no inputs to replay, or `nodes` names a node that is not in the run.
    """

    def __init__(
        self,
        run: Run,
        nodes: Collection[NodeId] | None = None,
        experiment: Experiment | None = None,
        watcher: Callable[[NodeId], Watcher] | None = None,
    ) -> None:
        if experiment is None:
            experiment = recompose(run.config, str(run.folder / "config.yaml")).experiment
        if experiment.trace != "full":
            raise ConfigError(
                str(run.folder), f"was traced at level {experiment.trace}: its nodes' inputs were not recorded",
                "Run it with trace=full.",
            )  # fmt: skip
        endpoints = experiment.endpoints
        for node in nodes or ():
            if node not in endpoints:
                raise ConfigError(f"node {node}", "is not in this run", did_you_mean(node, endpoints))
        self.nodes = tuple(host for host in endpoints if nodes is None or host in nodes)
        self._record = NodeTrace(run)
        wire = Wire(experiment.protocol)
        outlet = OutputCollector(wire, endpoints)
        self._drivers = {node: NodeDriver(experiment, node, self._record, outlet, wire) for node in self.nodes}
        if watcher is not None:
            for node, driver in self._drivers.items():
                watching = watcher(node)
                driver.watch, driver.on_crash = watching.observe, watching.on_crash
        self._in_batch: dict[NodeId, NodeDriver] = {}
        self._departures: dict[NodeId, Divergence] = {}
        self._lacking: dict[NodeId, str] = {}
        self._left: dict[NodeId, int] = {}  # nodes not followed at present: the time that their record has reached
        self._unseen: dict[NodeId, int] = {}

    def steps(self, stop: int | None = None) -> Iterator[ReplayedStep]:
        """Yields every step of the nodes by time, up to `stop` nanoseconds. A node that diverges ends there; one
        with an incomplete record goes on at its next start."""
        for row in self._record.rows(self.nodes):
            if stop is not None and row.time > stop:
                return
            node = row.node
            if self._in_batch:
                self._close_batches(row.time)
            if node in self._left:
                if row.kind not in LIFE and row.kind != "start":
                    self._unseen[node] = self._unseen.get(node, 0) + row.time - self._left[node]
                self._left[node] = row.time
                if node in self._departures or row.kind != "start":
                    continue
                del self._left[node]
            driver = self._drivers[node]
            try:
                stepped = driver.take(row)
            except Diverged as diverged:
                self._diverge(diverged, row.time)
            except CannotDrive as lacking:
                self._lacking.setdefault(node, str(lacking))
                self._left[node] = row.time
            else:
                if driver.in_batch:
                    self._in_batch[node] = driver
                if stepped and driver.runtime is not None and "" in driver.runtime.nodes:
                    yield ReplayedStep(row, driver.runtime.root, driver.runtime.nodes.get(row.path))
        self._close_batches(NEVER)

    def _close_batches(self, now: int) -> None:
        """Ends batches that are over, so that watchers see each node before anything happens elsewhere: a batch may
        have no outputs."""
        for node, driver in list(self._in_batch.items()):
            try:
                driver.close_batch(now)
            except Diverged as diverged:
                self._diverge(diverged, now)
            if not driver.in_batch or node in self._left:
                del self._in_batch[node]

    def _diverge(self, diverged: Diverged, at: int) -> None:
        node = diverged.divergence.node
        self._departures[node] = diverged.divergence
        self._left[node] = at

    def drive(self, stop: int | None = None) -> None:
        """Replays all steps up to `stop`."""
        for _ in self.steps(stop):
            pass

    def root(self, node: NodeId) -> Node | None:
        """Returns the node in its present state; None if it is down."""
        host = self._drivers[node].runtime
        return None if host is None else host.nodes.get("")

    def reports(self) -> list[NodeReport]:
        """Returns the report of each node so far."""
        return [
            NodeReport(
                node,
                driver.steps,
                driver.compared,
                self._departures.get(node),
                self._lacking.get(node, ""),
                self._unseen.get(node, 0),
            )
            for node, driver in self._drivers.items()
        ]
