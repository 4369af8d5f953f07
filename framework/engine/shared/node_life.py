"""The life cycle of a node: its states, and the code that starts, stops and inspects it.

A worker of the Ray engine uses STANDBY, DOWN, BOOTING, IDLE, FAILED and LOST: a commit is in flight for all its nodes
at once, and a paused process cannot observe its own pause. The simulator uses all states.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from functools import partial
from typing import Any, Literal, Protocol, TypeAlias

from framework.core.clock import Clock
from framework.core.errors import RAISED, PluginFailed, Unrecordable
from framework.core.message import NodeId
from framework.core.node import TimerKey
from framework.core.node_runtime import NodeRuntime
from framework.core.part_failures import failed_part
from framework.core.replica import ReplicaState, replica_states
from framework.core.status import Status, status_of
from framework.core.storage import Storage, StorageDamaged, StorageFailure
from framework.core.tracebacks import error_line, plugin_raised, printable
from framework.engine.base import EndpointSpec, NodeCrash, agreed
from framework.load.generator import Assignment
from framework.trace.schema import EventKind


class NodeState(Enum):
    """The state of a node in its life cycle."""

    __hash__ = object.__hash__  # Enum's own is written in Python, and states are looked up for each commit

    STANDBY = "a spare that has never run"
    DOWN = "crashed; a restart brings it back"
    BOOTING = "made from its storage; `on_start` runs"
    IDLE = "takes its next batch as soon as there is one"
    COMMITTING = "a batch is being served or committed; inputs wait"
    PAUSED = "paused; inputs and timers wait"
    PAUSED_COMMITTING = "paused while a commit is in flight"
    PAUSED_COMMITTED = "paused; its commit is over, and the effects wait"
    FAILED = "a handler raised; nothing brings it back"
    LOST = "its storage is damaged; nothing brings it back"


NodeEvent: TypeAlias = Literal["boot", "booted", "commit", "committed", "pause", "resume", "crash", "fail", "damage"]

_RUNNING = (
    NodeState.BOOTING, NodeState.IDLE, NodeState.COMMITTING, NodeState.PAUSED, NodeState.PAUSED_COMMITTING,
    NodeState.PAUSED_COMMITTED,
)  # fmt: skip

TRANSITIONS: Mapping[tuple[NodeState, NodeEvent], NodeState] = {
    (NodeState.STANDBY, "boot"): NodeState.BOOTING,
    (NodeState.DOWN, "boot"): NodeState.BOOTING,
    (NodeState.IDLE, "boot"): NodeState.BOOTING,  # a client's next process
    (NodeState.BOOTING, "booted"): NodeState.IDLE,
    (NodeState.BOOTING, "commit"): NodeState.COMMITTING,
    (NodeState.BOOTING, "damage"): NodeState.LOST,
    (NodeState.IDLE, "commit"): NodeState.COMMITTING,
    (NodeState.COMMITTING, "committed"): NodeState.IDLE,
    (NodeState.IDLE, "pause"): NodeState.PAUSED,
    (NodeState.COMMITTING, "pause"): NodeState.PAUSED_COMMITTING,
    (NodeState.PAUSED_COMMITTING, "committed"): NodeState.PAUSED_COMMITTED,
    (NodeState.PAUSED, "resume"): NodeState.IDLE,
    (NodeState.PAUSED_COMMITTING, "resume"): NodeState.COMMITTING,
    (NodeState.PAUSED_COMMITTED, "resume"): NodeState.COMMITTING,  # which is over at once
    **{(state, "crash"): NodeState.DOWN for state in _RUNNING},
    **{(state, "fail"): NodeState.FAILED for state in _RUNNING},
}
"""The events possible in each state, and the state that each leads to. Any other event is a bug in the engine."""

GONE = frozenset({NodeState.FAILED, NodeState.LOST})
PAUSES = (NodeState.PAUSED, NodeState.PAUSED_COMMITTING, NodeState.PAUSED_COMMITTED)


class HostedNode:
    """A node or client of one process, through all its incarnations. Engines add slots of their own."""

    __slots__ = (
        "client", "clock", "config", "durable", "id", "incarnation", "index", "look_at", "look_is_due", "node_class",
        "open", "peers", "plugin", "roles", "runtime", "shown", "shown_at", "spare", "state",
    )  # fmt: skip

    def __init__(self, index: int, node_id: NodeId, endpoint: EndpointSpec) -> None:
        self.index = index
        self.id = node_id
        self.node_class = endpoint.node_class
        self.config = endpoint.config
        self.peers = endpoint.peers
        self.roles = endpoint.roles
        self.plugin = endpoint.plugin
        self.spare = endpoint.spare
        self.durable = endpoint.is_durable
        self.incarnation = 0
        self.clock: Clock | None = None  # None: true time
        self.runtime: NodeRuntime | None = None  # None: not running
        self.state = NodeState.STANDBY if endpoint.spare else NodeState.DOWN
        self.client = -1  # its number among the clients of the process; -1: a server
        self.open: tuple[Assignment, int] | None = None  # the operation under way, and the time of its invocation
        self.look_at = 0  # when to look at its status next
        self.look_is_due = False  # whether the engine is to look at it then
        self.shown: dict[str, object] = {}  # the status as recorded
        self.shown_at = 0  # when it was recorded

    def on(self, event: NodeEvent) -> None:
        """Moves to the state that `event` leads to. `TRANSITIONS` must allow it."""
        after = TRANSITIONS.get((self.state, event))
        assert after is not None, f"{self.id}: {event} while {self.state.name}"
        self.state = after

    def set_clocks(self, runtime: NodeRuntime, now: int, epoch: int) -> None:
        """Sets the node's clocks for the true time `now`; `epoch` is the wall clock's zero."""
        clock = self.clock
        if clock is None:
            runtime.now, runtime.wall_clock = now, now + epoch
        else:
            runtime.now = local = clock.local(now)
            runtime.wall_clock = local + epoch + clock.wall_offset

    def lasted(self, since: int, until: int) -> int:
        """Returns the time that passed between two true times by the node's clock."""
        return until - since if self.clock is None else self.clock.local(until) - self.clock.local(since)


def check_own(node: HostedNode, error: BaseException) -> None:
    """Raises `error` again, as a PluginFailed or MemoryError, if it arose in a step of this node but its cause lies
    elsewhere: in another plugin, the trace or the machine."""
    if isinstance(error, (PluginFailed, MemoryError)):
        raise error
    if isinstance(error, Unrecordable):
        raise PluginFailed(node.node_class.__qualname__, f"{node.id} {error}") from error
    if node.plugin and not isinstance(error, StorageFailure):
        raise plugin_raised(node.plugin, f"its service {node.id}", error, node.node_class) from error
    failed = failed_part(error, node.config)
    if failed is not None:
        raise failed from error


class RecordingPorts(Protocol):
    """The time and the trace of an engine."""

    def now(self) -> int:
        """True time, nanoseconds of the run."""

    def record(
        self, kind: EventKind, at: int, cause: int, node: Any, path: str = "", *, name: str | None = None,
        fields: Mapping[str, Any] | None = None, payload: bytes | None = None, size: int = -1, operation: int | None = None,
    ) -> int:  # fmt: skip
        """Writes a row at the time `at`, if there is a trace, and returns its `seq`. `fields` become its payload as
        JSON."""


class NodePorts(RecordingPorts, Protocol):
    """The engine as `NodeLife` uses it."""

    def timer_step(self, node: Any, key: TimerKey, cause: int) -> int:
        """Records a timer that fires; returns the number of its step."""

    def start(self, node: Any, runtime: NodeRuntime, cause: int) -> None:
        """Takes the first step of an incarnation."""

    def stopped(self, node: Any) -> None:
        """Drops all that waits for a node that has stopped."""

    def disk_fault_met(self, node: Any) -> None:
        """Called when a commit or a restart has met the node's faulty disk."""

    def storage_failed(self, node: Any, crash: NodeCrash) -> None:
        """Called when a node has stopped because of its storage."""


class NodeLife:
    """Starts, stops and inspects the nodes of one process."""

    def __init__(self, ports: NodePorts) -> None:
        self.crashes: list[NodeCrash] = []
        self._ports = ports

    def boot(self, node: HostedNode, storage: Storage | None, rng: random.Random, cause: int) -> None:
        """Creates the node from its storage and runs `on_start`."""
        ports = self._ports
        node.on("boot")
        try:
            runtime = NodeRuntime(
                node.id, rng, storage, on_timer_step=partial(ports.timer_step, node), is_durable=node.durable,
                roles=node.roles,
            )  # fmt: skip
        except StorageDamaged as damaged:
            self.storage_failed(node, damaged, cause)
            return
        node.runtime = runtime
        node.look_at, node.look_is_due, node.shown, node.shown_at = 0, False, {}, 0
        try:
            ports.start(node, runtime, cause)
        except RAISED as error:
            self.raised(node, error)
        if node.state is NodeState.BOOTING:
            node.on("booted")

    def raised(self, node: HostedNode, error: BaseException) -> None:
        """Stops a node that raised: its batch is lost and it stays down. Raises an error again that the node did not
        cause (see `check_own`)."""
        check_own(node, error)
        cause = node.runtime.step if node.runtime is not None else -1
        if isinstance(error, StorageFailure):  # caused by the disk, not by the protocol
            self.storage_failed(node, error, cause)
            return
        text = printable("".join(traceback.format_exception(error)))
        self.stop(node, "fail", error_line(error), cause, text=text)

    def storage_failed(self, node: HostedNode, failure: StorageFailure, cause: int) -> None:
        """Stops a node whose storage failed; for good if the storage is damaged."""
        if failure.asked:
            self._ports.disk_fault_met(node)
        event: NodeEvent = "damage" if isinstance(failure, StorageDamaged) else "crash"
        crash = self.stop(node, event, str(failure), cause, asked=failure.asked, storage=True)
        self._ports.storage_failed(node, crash)

    def stop(
        self, node: HostedNode, event: NodeEvent, why: str, cause: int, *, text: str = "", asked: bool = False,
        storage: bool = False,
    ) -> NodeCrash:  # fmt: skip
        """Crashes a node: its memory is lost, and all that waits for it is dropped."""
        node.on(event)
        now = self._ports.now()
        crash = NodeCrash(node.id, now, why, text, asked, storage)
        self.crashes.append(crash)
        self._ports.record(EventKind.CRASH, now, cause, node, payload=f"{why}\n{text}".rstrip().encode())
        node.runtime = None
        self._ports.stopped(node)
        return crash

    # Reports by the nodes themselves. An exception there is the author's mistake, as in a handler.

    def status(self, node: HostedNode) -> Status | None:
        """Returns the node's status; None if it is down, or goes down because its `status` raises or is no Status."""
        try:
            return None if node.runtime is None else status_of(node.runtime.nodes)
        except RAISED as error:
            self.raised(node, error)
            return None

    def can_serve(self, nodes: Iterable[HostedNode], running: Collection[NodeId]) -> bool | None:
        """Returns whether the nodes `running` are enough to serve, in the view of the `nodes` that run and of their
        mounts; None if none says."""
        answers: list[bool | None] = []
        for node in nodes:
            try:
                mounted = () if node.runtime is None else node.runtime.nodes.values()
                answers += [each.can_serve(running) for each in mounted]
            except RAISED as error:
                self.raised(node, error)
        return agreed(answers)

    def replica_states(self, nodes: Iterable[HostedNode], *, whole: bool) -> dict[NodeId, dict[str, ReplicaState]]:
        """Returns the progress of the replicas on the `nodes` that run, by name, with their states if `whole`. A node
        that keeps none is left out."""
        found: dict[NodeId, dict[str, ReplicaState]] = {}
        for node in nodes:
            try:
                states = {} if node.runtime is None else replica_states(node.runtime.nodes, whole=whole)
            except RAISED as error:
                self.raised(node, error)
                continue
            if states:
                found[node.id] = states
        return found
