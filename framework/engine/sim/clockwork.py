"""What everything in a simulation hangs on: the heap of things to come, true time, and the trace."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from heapq import heappush
from typing import Any

from framework.core.client import Outcome
from framework.core.clock import Clock
from framework.core.message import NodeId
from framework.core.node_runtime import NodeRuntime
from framework.core.random_streams import stream
from framework.engine.base import EndpointSpec, Experiment, NodeCrash, Tally
from framework.engine.sim.recording import Recording
from framework.engine.sim.sim_node import WALL_EPOCH, SimNode
from framework.engine.wire_codec import Wire
from framework.faults.link_faults import LinkFaults
from framework.network.model import Links


class Clockwork(ABC):
    """The state of a run, and its heap.

    Heap entries are flat tuples `(time, order, hosted, message, sender, path, message index, cause, size)`. A message of
    None is a wake-up of the hosted, valid only if `order` is the hosted's current one; a hosted of None is a call of
    `message()`. `order` is drawn from the same counter as the trace's `seq`, at every trace level alike, so that equal
    times are broken in the order of causes and the trace level changes nothing in the run. (Only at `full`, and where
    a network asks for sizes, are messages encoded: a value that msgpack cannot carry shows there, and on Ray.)
    """

    def __init__(self, experiment: Experiment, recording: Recording, wire: Wire, tally: Tally) -> None:
        self.experiment = experiment
        self.recording = recording
        self.wire = wire
        self.tally = tally
        self.crashes: list[NodeCrash] = []
        self.now = 0
        self.seq = 0
        self.steps = 0
        self.delivered = [0] * len(wire.names)
        self._heap: list[tuple[int, int, SimNode | None, Any, Any, str, int, int, int]] = []
        self._rows = recording.events.rows if recording.events is not None else None
        self._payloads = recording.events.payloads if recording.events is not None else []
        self._operations = recording.events.operations if recording.events is not None else []
        self._has_operation = wire.has_operation
        self._mount_names: dict[tuple[NodeId, str], int] = {}
        self._disk = stream(experiment.seed, "disk")
        self._disk_latency = int(experiment.engine_config.disk_latency)
        self._service_time = int(experiment.engine_config.service_time)
        self._links = Links(experiment.make_network(), experiment.network.name)
        self._sized = self._links.model.needs_size or self._rows is not None
        self.link_faults = LinkFaults(lambda link: stream(experiment.seed, "weather", f"{link[0]}->{link[1]}"))
        self.hosted_nodes: dict[NodeId, SimNode] = {}
        self._make_nodes()

    def _make_nodes(self) -> None:
        experiment = self.experiment
        for host in experiment.endpoints:
            self.hosted_nodes[host] = self._make_node(host, experiment.endpoint(host))
        for number, client in enumerate(experiment.callers):
            hosted = self.hosted_nodes[client]
            hosted.client = number
            hosted.slow = hosted.slow_by_nature = False

    def _make_node(self, node: NodeId, endpoint: EndpointSpec) -> SimNode:
        experiment, config = self.experiment, self.experiment.engine_config
        hosted = SimNode(self.recording.names.index(node), node, endpoint, experiment.protocol_config)
        hosted.rng = stream(experiment.seed, "node", node)
        hosted.slow = hosted.slow_by_nature = self._disk_latency > 0 or self._service_time > 0
        drift, offset = int(config.clock_drift_ppm), int(config.clock_offset)
        if drift or offset:
            rng = stream(experiment.seed, "clock", node)
            hosted.clock = Clock(rng.randint(-drift, drift), rng.randint(-offset, offset))
        return hosted

    @abstractmethod
    def _complete(self, hosted: SimNode, operation: int, outcome: Outcome, cause: int) -> None:
        """A client has completed its operation."""

    @abstractmethod
    def _end_operation(self, hosted: SimNode, outcome: Outcome) -> None:
        """The operation of a client is over."""

    def call_at(self, at: int, call: Callable[[], None]) -> None:
        self.seq += 1
        heappush(self._heap, (at, self.seq, None, call, None, "", 0, 0, 0))

    def rearm(self, hosted: SimNode, runtime: NodeRuntime) -> None:
        """Sees to it that a wake-up stands in the heap no later than the earliest deadline."""
        wake = runtime.wake
        if wake < hosted.wake_at:
            hosted.wake_at = wake
            self.seq = hosted.wake_order = self.seq + 1
            at = wake if hosted.clock is None else hosted.clock.true(wake)
            heappush(self._heap, (max(at, self.now), self.seq, hosted, None, None, "", 0, 0, 0))

    def _set_clocks(self, hosted: SimNode, runtime: NodeRuntime) -> None:
        clock = hosted.clock
        runtime.now = local = self.now if clock is None else clock.local(self.now)
        runtime.wall_clock = WALL_EPOCH + local + (0 if clock is None else clock.wall_offset)

    def _place(self, hosted: SimNode, path: str) -> int:
        """The index of a node's, or a mount's, name in the trace."""
        if not path:
            return hosted.index
        place = self._mount_names.get((hosted.id, path))
        if place is None:
            place = self._mount_names[(hosted.id, path)] = self.recording.names.index(f"{hosted.id}/{path}")
        return place
