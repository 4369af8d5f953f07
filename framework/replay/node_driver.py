"""Replays one node of a run on Ray from its recorded inputs.

A worker feeds a node batch by batch: steps, then the early outputs, the commit, all other outputs. The trace has them
in that order. Each sequence of input rows is therefore one batch (or several without outputs), and the output rows that
follow it are compared with the outputs of the replayed node. If they differ, the node diverges from its record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from framework.core.client import Client, Operation
from framework.core.clock import Clock
from framework.core.durable import Stored
from framework.core.errors import RAISED
from framework.core.message import Message, NodeId
from framework.core.node import TimerKey
from framework.core.node_runtime import Deliver, Fire, Invoke, NodeRuntime, Start
from framework.core.random_streams import stream
from framework.core.replica import replica_states
from framework.engine.base import Experiment
from framework.engine.ray.worker.trace_rows import process_of
from framework.replay.node_trace import INPUTS, OUTPUTS, NodeTrace, TraceRow
from framework.replay.outputs import RAISE, Output, OutputCollector, recorded

Watch: TypeAlias = Callable[[NodeRuntime, int, int], None]
"""`watch(runtime, time, seq)`: the node after a batch, and the time and event of the batch's last step."""


class CannotDrive(Exception):
    """The record is too incomplete to replay this node any further. The message names the missing part."""


@dataclass(frozen=True)
class Divergence:
    """A difference between a replayed node and its record: the step (its row, and its number from 1), and both
    outputs."""

    node: NodeId
    step: TraceRow
    number: int
    recorded: Output | str
    replayed: Output | str


class Diverged(Exception):
    """Carries a `Divergence`."""

    def __init__(self, divergence: Divergence) -> None:
        super().__init__(divergence)
        self.divergence = divergence


class _Restored:
    """A storage with the state that a node was started from."""

    typed = False

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    def load(self) -> Stored:
        return self._stored

    def commit(self, changes: Any) -> None:
        raise AssertionError("a node that is driven again commits nothing")


class NodeDriver:
    """Takes the rows of one node in order, through `take`. `runtime` is the live node, None while it is down."""

    watch: Watch | None = None
    """Called at the end of a batch, when all its outputs are in the record and its changes are durable."""

    on_crash: Callable[[], None] | None = None
    """Called after a crash of the node."""

    def __init__(
        self, experiment: Experiment, node: NodeId, record: NodeTrace, outlet: OutputCollector, wire: Any
    ) -> None:
        self._endpoint = experiment.endpoint(node)
        self.node, self.steps, self.compared = node, 0, 0
        self.runtime: NodeRuntime | None = None
        self._experiment, self._record, self._outlet, self._wire = experiment, record, outlet, wire
        self._class = self._endpoint.node_class
        self._durable = self._endpoint.is_durable
        self._clock, self._epoch = Clock(), 0
        self._batch: list[TraceRow] = []  # the steps whose outputs have not been collected
        self._due: list[Output] = []  # outputs that must follow in the record
        self._origin: dict[int, tuple[TraceRow, int]] = {}  # the steps that made them, with their numbers
        self._raised = ""
        self._last: TraceRow | None = None  # the last step of the batch whose outputs are due
        self._process = -1  # the process whose rows are being taken

    def take(self, row: TraceRow) -> bool:
        """Processes one row; returns True if it was a step. Raises Diverged, CannotDrive."""
        if row.kind == "start":
            self._process = process_of(row.seq)
        elif process_of(row.seq) != self._process:  # a row by the driver of the run
            if row.kind == "crash":
                self._killed()
            return False
        if row.kind in INPUTS:
            self._step(row)
            return True
        if row.kind in OUTPUTS:
            self._compare(row)
        elif row.kind == "crash":
            self._crashed(row)
        elif row.kind == "fault" and row.message == "set_clock" and row.payload and self.runtime is not None:
            self._set_clock(row)
        return False

    # Inputs.

    def _step(self, row: TraceRow) -> None:
        if row.kind == "start":
            self._boot(row)
            return
        if self.runtime is None:
            raise CannotDrive(f"it takes a step at {row.time / 1e6:,.3f} ms, but its start was not recorded")
        if self._raised:
            raise self._diverged("goes on", f"raises {self._raised}")
        self.close_batch(row.time)
        if self._due:
            raise self._diverged("nothing more", self._due[0])
        self._begin(row)
        given = self._input(self.runtime, row)
        try:
            self.runtime.take(given)
        except RAISED as error:
            self._raised = f"{type(error).__name__}: {error}"

    def _boot(self, row: TraceRow) -> None:
        if row.payload is None:
            raise CannotDrive("its start was recorded without the state that it started from")
        told = msgspec.msgpack.decode(row.payload)
        incarnation: int = told["incarnation"]
        name = self.node if not incarnation else f"{self.node}#{incarnation}"
        self._epoch, self._clock = told["epoch"], Clock.of(told["clock"]) if "clock" in told else Clock()
        self._batch, self._due, self._raised = [], [], ""
        rng = stream(self._experiment.seed, "node", name)
        endpoint = self._endpoint
        self.runtime = NodeRuntime(
            self.node, rng, _Restored(told["stored"]), is_durable=self._durable, roles=endpoint.roles
        )
        self._begin(row)
        try:
            self.runtime.take(Start(self._class, endpoint.config, endpoint.peers, endpoint.spare, row.seq))
        except RAISED as error:
            self._raised = f"{type(error).__name__}: {error}"

    def _begin(self, row: TraceRow) -> None:
        runtime = self.runtime
        assert runtime is not None
        self.steps += 1
        self._batch.append(row)
        self._origin[row.seq] = (row, self.steps)
        runtime.now = local = self._clock.local(row.time)
        runtime.wall_clock = local + self._epoch + self._clock.wall_offset

    def _input(self, runtime: NodeRuntime, row: TraceRow) -> Deliver | Fire | Invoke:
        if row.kind == "deliver":
            if not runtime.has_mount(row.path):
                raise self._diverged(f"takes {row.message}", f"there is no mount {row.path!r}")
            return Deliver(row.path, row.peer, self._message(row), row.seq)
        if row.kind == "timer":
            return Fire(self._timer(runtime, row), row.seq)
        assert isinstance(runtime.root, Client)
        return Invoke(_operation(row), int(self._experiment.workload_config.timeout), row.seq)

    def _message(self, row: TraceRow) -> Message:
        payload = self._record.sent(row.cause)
        if payload is None:
            raise CannotDrive(
                f"at {row.time / 1e6:,.3f} ms it takes {row.message} from {row.peer}, whose record of the send (event"
                f" {row.cause}) is lost"
            )
        try:
            message: Message = self._wire.decode[self._wire.names.index(row.message)](payload)
        except (ValueError, msgspec.MsgspecError) as error:
            raise CannotDrive(f"{row.message} cannot be decoded by the protocol as it is now: {error}") from error
        return message

    def _timer(self, runtime: NodeRuntime, row: TraceRow) -> TimerKey:
        """Returns the timer that the worker would fire now. Raises Diverged if the record shows another one."""
        key, step = runtime.next_timer() or (None, -1)
        if key is None:
            raise self._diverged(f"timer {row.message} fires", "that timer is not due")
        if key[:2] != (row.path, row.message) or step != row.cause:
            raise self._diverged(f"timer {row.message} fires", f"timer {key[1]} is due first")
        return key

    # Outputs.

    def close_batch(self, now: int) -> None:
        """Ends the batch under way if none of its inputs can follow at `now`: all inputs of a batch have one time.

        A start and an invocation precede their batch. Raises Diverged.
        """
        if self._batch and not self._raised:
            last = self._batch[-1]
            if last.time < now and last.kind not in ("invoke", "start"):
                self._gather()

    @property
    def in_batch(self) -> bool:
        """True if the outputs of the last step have yet to be collected."""
        return bool(self._batch)

    def _gather(self) -> None:
        """Ends the batch; its outputs become due."""
        runtime = self.runtime
        assert runtime is not None
        if self._raised:
            raise self._diverged("goes on", f"raises {self._raised}")
        if runtime.soon:
            raise self._diverged("goes on", f"timer {next(iter(runtime.soon))[1]} fires at the end of its batch")
        batch = runtime.end_batch()
        self._due += self._outlet.outputs(batch.early)
        if batch.changes:
            self._due.append(Output("commit", batch.last, size=len(batch.changes)))
        self._due += self._outlet.outputs(batch.effects)
        kept = {row.seq for row in self._batch}
        self._origin = {seq: origin for seq, origin in self._origin.items() if seq in kept}
        self._last, self._batch = self._batch[-1], []
        self._landed()

    def _landed(self) -> None:
        """Calls `watch` if no more outputs of the batch are due."""
        if self.watch is not None and not self._due and self._last is not None and self.runtime is not None:
            self.watch(self.runtime, self._last.time, self._last.seq)
            self._last = None

    def _compare(self, row: TraceRow) -> None:
        if self.runtime is None and row.kind == "commit":
            return  # in flight at a crash, together with other nodes' changes, and kept
        if self.runtime is None:
            raise CannotDrive(f"it lets {row.kind} {row.message} out while its record says that it is down")
        if self._batch:
            if self._due:
                raise self._diverged("nothing more", self._due[0])
            self._gather()
        shown = recorded(row)
        if not self._due:
            raise self._diverged(shown, "nothing more")
        due = self._due.pop(0)
        if due != shown:
            raise self._diverged(shown, due)
        self.compared += 1
        self._landed()

    def _crashed(self, row: TraceRow) -> None:
        own_fault = b"\n" in (row.payload or b"")
        if own_fault and self.runtime is not None and not self._would_raise():
            raise self._diverged("crashes by an exception", "raises nothing")
        self.runtime = None
        self._killed()

    def _killed(self) -> None:
        """Drops the batch under way."""
        self._batch, self._due, self._raised = [], [], ""
        if self.on_crash is not None:
            self.on_crash()

    def _would_raise(self) -> bool:
        if self._raised or any(output.kind == RAISE for output in self._due[:1]):
            return True
        assert self.runtime is not None
        try:
            if self._batch:
                self._gather()
            _ = self.runtime.root.status
            replica_states(self.runtime.nodes, whole=True)
        except Diverged:
            return False
        except RAISED:
            return True
        return any(output.kind == RAISE for output in self._due)

    def _set_clock(self, row: TraceRow) -> None:
        told = msgspec.json.decode(row.payload or b"{}")
        self._clock.set(row.time, told["drift_ppm"], told.get("step", 0))

    def _diverged(self, was: Output | str, now: Output | str) -> Diverged:
        """Returns a Diverged at the step that made the output in question, else at the last step."""
        last = self._batch[-1].seq if self._batch else max(self._origin, default=-1)
        sides = [side.step for side in (now, was) if isinstance(side, Output)]
        seq = next((step for step in sides if step in self._origin), last)
        row, number = self._origin[seq]
        return Diverged(Divergence(self.node, row, number, was, now))


def _operation(row: TraceRow) -> Operation:
    told = msgspec.json.decode(row.payload or b"{}")
    return Operation(told["operation"], row.message, told["key"], _value(told["argument"]))


def _value(argument: Any) -> Any:
    """Returns an argument as the workload gave it: a JSON list was a tuple."""
    return tuple(_value(item) for item in argument) if isinstance(argument, list) else argument
