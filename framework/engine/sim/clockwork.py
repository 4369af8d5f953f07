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
from framework.engine.base import Experiment, NodeCrash, Seating, Tally
from framework.engine.sim.recording import Recording
from framework.engine.sim.seat import WALL_EPOCH, SimNode
from framework.engine.wire import Wire
from framework.faults.link_faults import LinkFaults
from framework.network.model import Links


class Clockwork(ABC):
    """The state of a run, and its heap.

    Heap entries are flat tuples `(time, order, seat, message, sender, path, message index, cause, size)`. A message of
    None is a wake-up of the seat, valid only if `order` is the seat's current one; a seat of None is a call of
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
        self.weather = LinkFaults(lambda link: stream(experiment.seed, "weather", f"{link[0]}->{link[1]}"))
        self.seats: dict[NodeId, SimNode] = {}
        self._make_seats()

    def _make_seats(self) -> None:
        experiment = self.experiment
        for host in experiment.hosts:
            self.seats[host] = self._make_seat(host, experiment.seating(host))
        for number, client in enumerate(experiment.callers):
            seat = self.seats[client]
            seat.client = number
            seat.slow = seat.slow_by_nature = False

    def _make_seat(self, node: NodeId, seating: Seating) -> SimNode:
        experiment, config = self.experiment, self.experiment.engine_config
        seat = SimNode(self.recording.names.index(node), node, seating, experiment.protocol_config)
        seat.rng = stream(experiment.seed, "node", node)
        seat.slow = seat.slow_by_nature = self._disk_latency > 0 or self._service_time > 0
        drift, offset = int(config.clock_drift_ppm), int(config.clock_offset)
        if drift or offset:
            rng = stream(experiment.seed, "clock", node)
            seat.clock = Clock(rng.randint(-drift, drift), rng.randint(-offset, offset))
        return seat

    @abstractmethod
    def _complete(self, seat: SimNode, operation: int, outcome: Outcome, cause: int) -> None:
        """A client has completed its operation."""

    @abstractmethod
    def _end_operation(self, seat: SimNode, outcome: Outcome) -> None:
        """The operation of a client is over."""

    def call_at(self, at: int, call: Callable[[], None]) -> None:
        self.seq += 1
        heappush(self._heap, (at, self.seq, None, call, None, "", 0, 0, 0))

    def rearm(self, seat: SimNode, runtime: NodeRuntime) -> None:
        """Sees to it that a wake-up stands in the heap no later than the earliest deadline."""
        wake = runtime.wake
        if wake < seat.wake_at:
            seat.wake_at = wake
            self.seq = seat.wake_order = self.seq + 1
            at = wake if seat.clock is None else seat.clock.true(wake)
            heappush(self._heap, (max(at, self.now), self.seq, seat, None, None, "", 0, 0, 0))

    def _set_clocks(self, seat: SimNode, runtime: NodeRuntime) -> None:
        clock = seat.clock
        runtime.now = local = self.now if clock is None else clock.local(self.now)
        runtime.wall_clock = WALL_EPOCH + local + (0 if clock is None else clock.wall_offset)

    def _place(self, seat: SimNode, path: str) -> int:
        """The index of a node's, or a mount's, name in the trace."""
        if not path:
            return seat.index
        place = self._mount_names.get((seat.id, path))
        if place is None:
            place = self._mount_names[(seat.id, path)] = self.recording.names.index(f"{seat.id}/{path}")
        return place
