"""One simulated run: the event loop, batches and commits, messages in transit, crashes and restarts.

A node without service time and disk latency runs each input as a batch of its own, at once (`_finish`). At any other
node, inputs wait while a batch is under way (`_run_batch`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from framework.core.address import Address, is_mount_path, route_to, sender_of, split_address, split_route
from framework.core.clock import Clock
from framework.core.effects import Complete, Effect, Multicast, Note, Send
from framework.core.errors import RAISED, PluginError, SynodError
from framework.core.message import Message, NodeId
from framework.core.node import TimerKey
from framework.core.node_runtime import Batch, Deliver, Invoke, NodeRuntime, Start
from framework.core.random_streams import stream
from framework.core.time import NEVER, format_duration
from framework.engine.base import Aftermath, Experiment, NodeCrash, Progress
from framework.engine.shared.client_driver import ClientDriver
from framework.engine.shared.fault_executor import FaultExecutor
from framework.engine.shared.network_path import NetworkPath
from framework.engine.shared.node_life import NodeLife, NodeState
from framework.engine.shared.status_rows import StatusRows
from framework.engine.sim.recording import Heartbeat, Recording
from framework.engine.sim.settling import Settling
from framework.engine.sim.sim_faults import SimFaults
from framework.engine.sim.sim_node import Envelope, SimNode, Way
from framework.engine.tally import Tally
from framework.engine.wire_codec import Wire
from framework.faults.commit_fate import TORN_COMMIT_CUT, CommitFate, commit_fate
from framework.faults.disk_faults import FaultyStorage
from framework.faults.ledger import LedgerEntry
from framework.faults.link_faults import LinkFaults
from framework.network.model import Link, Links
from framework.trace.schema import EVENT_ROW, NO_NAME, OPERATION, EventKind, as_json

WALL_EPOCH = 1_577_836_800_000_000_000
"""Virtual wall clocks start at 2020-01-01T00:00:00Z."""

STEPS_PER_BEAT = 2_048
STALLED_BEATS = 100
"""Number of heartbeats without progress of virtual time before the run is given up."""

_pack = EVENT_ROW.pack
_pack_operation = OPERATION.pack
_SEND, _DELIVER, _TIMER, _COMMIT = map(int, (EventKind.SEND, EventKind.DELIVER, EventKind.TIMER, EventKind.COMMIT))


class Stalled(SynodError):
    """Virtual time does not advance: nodes send to themselves or set timers without end, or links have no delay."""


class Simulation:
    """One run. `run` drives it to its end, or to `stop` (nanoseconds); the attributes then hold its results.

    Heap entries are flat tuples `(time, order, node, message, sender, route, message index, cause, size)`. An entry
    with message None is a wake-up of the node, valid only if `order` is the node's current `wake_order`. An entry with
    node None is a call of `message()`. `order` is drawn from the same counter as the trace's `seq`, at every trace
    level alike: ties in time are broken in the order of causes, and the trace level changes nothing in the run.
    (Messages are encoded only at level `full`, or if the network needs sizes. A value that msgpack cannot encode is
    detected only then, and on Ray.)
    """

    __slots__ = (  # more attributes than a dict with shared keys can hold
        "_codes", "_disk", "_disk_latency", "_end", "_faults_at", "_final", "_has_operation", "_heap", "_is_cut_off",
        "_latest", "_links", "_load_at", "_look", "_mount_names", "_operations", "_path", "_payloads", "_rows",
        "_served", "_service_time", "_sized", "aftermath", "clients", "delivered", "experiment", "faults", "final_at",
        "heartbeat", "life", "link_faults", "nodes", "recording", "seq", "servers", "settling", "steps", "tally",
        "true_time", "wire",
    )  # fmt: skip

    def __init__(
        self, experiment: Experiment, progress: Progress = lambda now, tally: None, stop: int | None = None
    ) -> None:
        self.experiment = experiment
        self.wire = wire = Wire(experiment.protocol)
        self.recording = recording = Recording(experiment, wire)
        self.tally = tally = Tally()
        self.heartbeat = Heartbeat(recording, progress, tally)
        self.true_time = self.seq = self.steps = 0
        self.delivered = [0] * len(wire.names)
        self.aftermath: Aftermath | None = None
        self._heap: list[tuple[int, int, SimNode | None, Any, Any, str, int, int, int]] = []
        events = recording.events
        self._rows = None if events is None else events.rows
        self._payloads = [] if events is None else events.payloads
        self._operations = [] if events is None else events.operations
        self._has_operation = wire.has_operation
        self._codes: dict[type[Message], tuple[int, int]] = {}  # of the types that have been checked often enough
        self._mount_names: dict[tuple[NodeId, str], int] = {}
        self._disk = stream(experiment.seed, "disk")
        self._disk_latency = int(experiment.engine_config.disk_latency)
        self._service_time = int(experiment.engine_config.service_time)
        self._served = 0  # steps with service time in the batch under way: all but timers with after=0
        self._links = Links(experiment.make_network(), experiment.network.name)
        self._sized = self._links.model.needs_size or self._rows is not None
        self.link_faults = LinkFaults(lambda link: stream(experiment.seed, "weather", f"{link[0]}->{link[1]}"))
        self._path = NetworkPath(self._links, self.link_faults, tally, wire.names)
        self.nodes = {endpoint: self._make_node(endpoint) for endpoint in experiment.endpoints}
        self.servers = {node: self.nodes[node] for node in experiment.nodes}  # without the workload's service
        for number, client in enumerate(experiment.callers):
            self.nodes[client].client = number
        self.life = NodeLife(self)
        self._look = StatusRows(self.life, self).look
        self._latest = experiment.load_over_at + 1
        self._final = final = experiment.final_phase
        self.final_at: int | None = None
        timeout = int(experiment.workload_config.timeout)
        rest = experiment.settle + (0 if final is None else final.after + final.limit + timeout + 1)
        self._end = min(self._latest + rest, NEVER if stop is None else stop)
        # Whether the run ends before its time; `_stop_here` says that it did not.
        self._is_cut_off = self._end < self._latest + rest
        self.settling = Settling(self, self._after_settling) if experiment.settle else None
        self._load_at = self._faults_at = NEVER
        self.faults = FaultExecutor(experiment, SimFaults(self))
        callers = [self.nodes[client] for client in experiment.callers]
        self.clients = ClientDriver(experiment, callers, self, tally, recording.history)

    def _make_node(self, name: NodeId) -> SimNode:
        experiment, config = self.experiment, self.experiment.engine_config
        rng = stream(experiment.seed, "node", name)
        has_delays = name in experiment.servers and (self._disk_latency > 0 or self._service_time > 0)
        index, endpoint = self.recording.names.index(name), experiment.endpoint(name)
        node = SimNode(index, name, endpoint, rng, has_delays=has_delays)
        drift, offset = int(config.clock_drift_ppm), int(config.clock_offset)
        if drift or offset:
            rng = stream(experiment.seed, "clock", name)
            node.clock = Clock(rng.randint(-drift, drift), rng.randint(-offset, offset))
        return node

    def run(self) -> None:
        """Runs to the end of the load and its operations. Raises Stalled if virtual time does not advance."""
        until = 0
        try:
            for node in self.nodes.values():
                if node.state is not NodeState.STANDBY:
                    self._boot(node, cause=-1)
            self.call_at(self.experiment.duration, self._end_load)
            if self.settling is not None or self._final is not None:
                self.call_at(self._latest, self._after_load)
            self._schedule_faults()
            self.load_changed(self.clients.next_at)
            self._loop()
            if not self._is_cut_off:
                self._look_at_last()
            until = self._end  # even if the heap ran empty before
        finally:
            self.tally.steps = self.steps
            names = zip(self.wire.names, self.delivered, strict=True)
            self.tally.messages = {name: count for name, count in names if count}
            self.tally.forced_writes = {node.id: node.commits for node in self.nodes.values() if node.commits}
            self.tally.fsyncs = sum(self.tally.forced_writes.values())
            self.clients.close(until)  # in every case: an operation that was invoked may have taken effect

    def ledger(self) -> tuple[LedgerEntry, ...]:
        """Returns the effects of each fault. Called once, when the run is over."""
        counts = self.link_faults.touched_counts.items()
        return self.faults.ledger({token: (count.passed, count.touched) for token, count in counts}, self.tally)

    @property
    def crashes(self) -> list[NodeCrash]:
        return self.life.crashes

    def up(self) -> frozenset[NodeId]:
        """Returns the nodes and clients that run."""
        return frozenset(node.id for node in self.nodes.values() if node.runtime is not None)

    # The event loop.

    def now(self) -> int:
        """True time, nanoseconds of the run."""
        return self.true_time

    def call_at(self, at: int, call: Callable[[], None]) -> None:
        """Schedules `call` at the time `at`."""
        self.seq += 1
        heappush(self._heap, (at, self.seq, None, call, None, "", 0, 0, 0))

    def _loop(self) -> None:
        heap, delivered, codes, rows = self._heap, self.delivered, self.recording.message_names, self._rows
        has_operation, operations = self._has_operation, self._operations
        countdown, seen, still = STEPS_PER_BEAT, -1, 0
        while heap:
            time, order, node, message, sender, route, index, cause, size = heappop(heap)
            if time > self._end:
                break
            self.true_time = time
            if node is None:
                message()
                continue
            countdown -= 1
            if not countdown:
                countdown = STEPS_PER_BEAT
                self.heartbeat.beat(time)
                still = still + 1 if time == seen else 0
                seen = time
                if still > STALLED_BEATS:
                    raise self._stalled(node, sender)
            if message is None:
                if order == node.wake_order:
                    node.wake_at = NEVER
                    self._wake(node)
                continue
            runtime = node.runtime
            if runtime is None:
                self._drop(node, (message, sender, route, index, cause, size), f"{node.id} is down")
                continue
            if node.waits:
                node.mailbox.append((message, sender, route, index, cause, size))
                if node.state is NodeState.IDLE:
                    self._run_batch(node)
                continue
            if route:
                path, origin = split_route(route)
                if not runtime.has_mount(path):
                    self._mount_gone(node, (message, sender, route, index, cause, size))
                    continue
                source = sender_of(sender.id, path, origin)
            else:
                path, source = "", sender.id
            clock = node.clock
            if clock is None:
                runtime.now = time
                runtime.wall_clock = WALL_EPOCH + time
            else:
                runtime.now = local = clock.local(time)
                runtime.wall_clock = WALL_EPOCH + local + clock.wall_offset
            self.seq = seq = self.seq + 1
            self.steps += 1
            delivered[index] += 1
            if rows is not None:
                if route:
                    self._deliver_row(node, (message, sender, route, index, cause, size), seq)
                else:
                    rows.append(_pack(time, seq, cause, size, -1, node.index, sender.index, codes[index], _DELIVER))
                    if has_operation[index]:
                        operations.append(_pack_operation(seq, message.operation))
            try:
                self._finish(node, runtime, runtime.deliver_one(path, source, message, seq))
            except RAISED as error:
                self.life.raised(node, error)

    def _stalled(self, node: SimNode, sender: SimNode | None) -> Stalled:
        """Describes a run that takes step after step at one time. The latest step is that of `node`, which a message of
        `sender` or a timer caused."""
        time = self.true_time
        due = [(node, sender), *((entry[2], entry[4]) for entry in self._heap if entry[0] == time)]
        where = f"virtual time does not advance beyond {format_duration(time)}"
        if any(source is not None and target is not None and source is not target for target, source in due):
            network = f"network={self.experiment.network.name}"
            return Stalled(f"{where}: {network} delivers messages without delay. Make all its delays positive")
        return Stalled(f"{where}: {node.id} never rests")

    def rearm(self, node: SimNode, runtime: NodeRuntime) -> None:
        """Ensures that a wake-up is in the heap no later than the earliest deadline."""
        wake = runtime.wake
        if wake < node.wake_at:
            node.wake_at = wake
            self.seq = node.wake_order = self.seq + 1
            at = wake if node.clock is None else node.clock.true(wake)
            heappush(self._heap, (max(at, self.true_time), self.seq, node, None, None, "", 0, 0, 0))

    # A batch of one input, at once.

    def _finish(self, node: SimNode, runtime: NodeRuntime, batch: Batch) -> None:
        """Ends a batch that takes no time: releases early effects, commits, then releases the other effects."""
        if batch.early:
            self._release(node, batch.early)
        if batch.changes:
            node.storage.commit(batch.changes)
            self._committed(node, len(batch.changes), batch.last)
        if batch.effects:
            self._release(node, batch.effects)
        if runtime.wake < node.wake_at:
            self.rearm(node, runtime)
        if self.true_time >= node.look_at:
            self._look_now(node, runtime)
        elif not node.look_is_due and node.look_at < NEVER:
            self._look_later(node, runtime)
        if node.watch is not None:
            node.watch(runtime, self.true_time, batch.last)

    def _look_now(self, node: SimNode, runtime: NodeRuntime) -> None:
        if self._look(node, self.true_time, runtime.step):
            self._look_later(node, runtime)

    def _look_later(self, node: SimNode, runtime: NodeRuntime) -> None:
        """Has the node's status looked at once its time has come, unless that happens before."""
        node.look_is_due = True
        self.call_at(
            node.look_at,
            lambda: self._look_now(node, runtime) if node.runtime is runtime and node.look_is_due else None,
        )

    def _look_at_last(self) -> None:
        """Looks at the status of every node that runs, at the end."""
        for node in self.nodes.values():
            if node.runtime is not None and node.shown:
                self._look(node, self.true_time, node.runtime.step, last=True)

    def timer_step(self, node: SimNode, key: TimerKey, cause: int) -> int:
        """Records a timer that fires; returns the number of its step."""
        self.steps += 1
        if key in node.runtime.timers:  # type: ignore[union-attr]
            self._served += 1
            node.look_at = 0
        self.seq = seq = self.seq + 1
        rows = self._rows
        if rows is not None:
            place, name = self._place(node, key[0]), self.recording.names.index(key[1])
            rows.append(_pack(self.true_time, seq, cause, -1, -1, place, NO_NAME, name, _TIMER))
        return seq

    def _wake(self, node: SimNode) -> None:
        """Wakes the node: runs its overdue timers as a batch. There are none if they were rescheduled meanwhile."""
        runtime = node.runtime
        if runtime is None:
            return
        if node.waits:
            if node.state is NodeState.IDLE:
                self._run_batch(node)
            return
        node.set_clocks(runtime, self.true_time, WALL_EPOCH)
        before = runtime.step
        try:
            batch = runtime.run()
            if batch.last == before:
                self.rearm(node, runtime)
            else:
                self._finish(node, runtime, batch)
        except RAISED as error:
            self.life.raised(node, error)

    # A batch that takes time.

    def _run_batch(self, node: SimNode) -> None:
        """Runs all waiting inputs as one batch; its effects leave after service time and commit."""
        runtime = node.runtime
        assert runtime is not None and node.state is NodeState.IDLE
        node.set_clocks(runtime, self.true_time, WALL_EPOCH)
        mailbox, node.mailbox = node.mailbox, []
        self._served = 0
        try:
            batch = runtime.run(self._inputs(node, runtime, mailbox))
            self._begin_commit(node, batch, self._served * self._service_time)
        except RAISED as error:
            self.life.raised(node, error)

    def _inputs(self, node: SimNode, runtime: NodeRuntime, mailbox: list[Envelope]) -> Iterator[Deliver]:
        for envelope in mailbox:
            message, sender, route, index, _, _ = envelope
            path, origin = split_route(route)
            if not runtime.has_mount(path):
                self._mount_gone(node, envelope)
                continue
            self.seq = seq = self.seq + 1
            self.steps += 1
            self._served += 1
            self.delivered[index] += 1
            if self._rows is not None:
                self._deliver_row(node, envelope, seq)
            yield Deliver(path, sender_of(sender.id, path, origin), message, seq)

    def _begin_commit(self, node: SimNode, batch: Batch, service: int) -> None:
        """Commits a batch after `service` nanoseconds of work; the node does nothing else until then."""
        if batch.early:
            self._release(node, batch.early)
        delay = service
        if batch.changes:
            delay += self._disk_latency + node.disk_delay
            if node.disk_delay:
                self.faults.injector.on_disk_fault_met(node.id)
        if not delay:
            self._end_commit(node, batch)
            return
        node.on("commit")
        node.in_flight = batch
        self.call_at(self.true_time + delay, lambda: self._end_commit(node, batch) if node.in_flight is batch else None)

    def _end_commit(self, node: SimNode, batch: Batch) -> None:
        if node.in_flight is not None:
            node.on("committed")
            if node.is_paused:
                return
        runtime = node.runtime
        assert runtime is not None
        node.in_flight = None
        try:
            if batch.changes:
                node.storage.commit(batch.changes)
                self._committed(node, len(batch.changes), batch.last)
            if batch.effects:
                self._release(node, batch.effects)
        except RAISED as error:
            self.life.raised(node, error)
            return
        node.set_clocks(runtime, self.true_time, WALL_EPOCH)
        is_overdue = runtime.overdue() is not None
        if node.mailbox or is_overdue:
            self.call_at(self.true_time, lambda: self._go_on(node, runtime))
        if not is_overdue:
            self.rearm(node, runtime)
        if self.true_time >= node.look_at:
            self._look_now(node, runtime)
        elif not node.look_is_due and node.look_at < NEVER:
            self._look_later(node, runtime)
        if node.watch is not None:
            node.watch(runtime, self.true_time, batch.last)

    def _go_on(self, node: SimNode, runtime: NodeRuntime) -> None:
        """Runs the next batch, unless the node has crashed or has begun one meanwhile."""
        if node.runtime is runtime and node.state is NodeState.IDLE:
            self._run_batch(node)

    def _committed(self, node: SimNode, changes: int, cause: int) -> None:
        node.commits += 1
        self.seq = seq = self.seq + 1
        rows = self._rows
        if rows is not None:
            rows.append(_pack(self.true_time, seq, cause, changes, -1, node.index, NO_NAME, NO_NAME, _COMMIT))

    # Start, crash, restart, pause.

    def _boot(self, node: SimNode, cause: int) -> None:
        self.life.boot(node, node.storage, node.rng, cause)

    def start(self, node: SimNode, runtime: NodeRuntime, cause: int) -> None:
        """Takes the first step of an incarnation."""
        node.set_clocks(runtime, self.true_time, WALL_EPOCH)
        node.reset()
        self.steps += 1
        step = self.record(EventKind.START, self.true_time, cause, node)
        batch = runtime.run_one(Start(node.node_class, node.config, node.peers, node.spare, step))
        if node.waits:
            self._begin_commit(node, batch, self._service_time)
            self.rearm(node, runtime)
        else:
            self._finish(node, runtime, batch)

    def stopped(self, node: SimNode) -> None:
        """Drops all that waits for a node that has stopped."""
        node.in_flight = None
        node.update_waits()
        self.tally.stopped(node.id, self.true_time)
        mailbox, node.mailbox = node.mailbox, []
        for envelope in mailbox:
            self._drop(node, envelope, f"{node.id} crashed")
        if node.on_crash is not None:
            node.on_crash()
        if node.client >= 0:
            self.clients.stopped(node)

    def disk_fault_met(self, node: SimNode) -> None:
        """Reports that a commit or a restart has met the node's faulty disk."""
        self.faults.injector.on_disk_fault_met(node.id)

    def storage_failed(self, node: SimNode, crash: NodeCrash) -> None:
        """Called when a node has stopped because of its storage."""
        if isinstance(node.storage, FaultyStorage) and node.storage.trouble == "none":
            node.storage = node.storage.storage  # it fails once, and works again afterwards

    def crash(self, node: SimNode, why: str, cause: int = -1) -> CommitFate | None:
        """Crashes a node that is up. Returns the fate of its commit in flight, drawn from the seed; None if there was
        none."""
        batch = node.in_flight
        fate = commit_fate(self._disk) if batch is not None and batch.changes else None
        if fate == "kept" and isinstance(node.storage, FaultyStorage):
            fate = "lost"
        if batch is not None and fate == "kept":
            node.storage.commit(batch.changes)
            self._committed(node, len(batch.changes), cause)
        node.torn = fate == "torn"
        self.life.stop(node, "crash", why, cause, asked=True)
        if node.client >= 0:
            self.clients.crashed(node)
        return fate

    def restart(self, node: SimNode, cause: int = -1) -> None:
        """Boots a node that is down: a new instance on the old storage."""
        node.incarnation += 1
        self._boot(node, self.record(EventKind.RESTART, self.true_time, cause, node))
        if node.torn and node.state is not NodeState.LOST:
            node.torn = False
            self.faults.injector.on_crash_outcome(node.id, TORN_COMMIT_CUT)
        if node.client >= 0:
            self.clients.restarted(node)

    def pause(self, node: SimNode) -> None:
        """Pauses the node: arriving messages wait, timers fire late, a commit under way ends but its effects wait."""
        node.on("pause")
        node.update_waits()

    def resume(self, node: SimNode) -> None:
        """Resumes the node: all waiting inputs become its next batch."""
        is_over = node.state is NodeState.PAUSED_COMMITTED
        node.on("resume")
        node.update_waits()
        if node.in_flight is None:
            self._run_batch(node)
        elif is_over:
            self._end_commit(node, node.in_flight)
        if node.client >= 0:
            self.clients.resumed(node)

    # Effects: messages leave through links; notes and completions are recorded.

    def _release(self, node: SimNode, effects: Sequence[Effect]) -> None:
        links = node.links
        for effect in effects:
            if type(effect) is Send:
                message = effect.message
                entry = links.get(effect.to)
                if entry is None:
                    entry = self._connect(node, effect.to)
                index, name = self._codes.get(type(message)) or self._code(node, message)
                payload = self.wire.pack(message, node.node_class) if self._sized else b""
                self._send(node, entry, message, effect.path, index, name, effect.step, payload)
            elif type(effect) is Complete:
                self.clients.complete(node, effect.operation, effect.outcome, effect.step, self.true_time)
            elif type(effect) is Multicast:
                message, path, cause = effect.message, effect.path, effect.step
                index, name = self._codes.get(type(message)) or self._code(node, message)
                payload = self.wire.pack(message, node.node_class) if self._sized else b""
                for to in effect.to:
                    entry = links.get(to)
                    if entry is None:
                        entry = self._connect(node, to)
                    self._send(node, entry, message, path, index, name, cause, payload)
            else:
                assert type(effect) is Note
                self.tally.note(node.id, effect, self.true_time)
                node.look_at = 0
                self.record(
                    EventKind.NOTE,
                    self.true_time,
                    effect.step,
                    node,
                    effect.path,
                    name=effect.name,
                    fields=effect.fields,
                )

    def _send(
        self, node: SimNode, entry: Way, message: Message, path: str, index: int, name: int, cause: int, payload: bytes
    ) -> None:  # fmt: skip
        link, target, mount = entry
        route = path if mount is None else route_to(mount, path)
        self.seq = seq = self.seq + 1
        now = self.true_time
        size = len(payload)
        rows = self._rows
        if rows is not None:
            if route:
                self.recording.row(
                    EventKind.SEND, now, seq, cause, self._place(node, path),
                    peer=self._place(target, path if mount is None else mount), message=name,
                    size=size, payload=payload, operation=self.wire.operation_of(index, message),
                )  # fmt: skip
            else:
                rows.append(_pack(now, seq, cause, size, size, node.index, target.index, name, _SEND))
                self._payloads.append(payload)
                if self._has_operation[index]:
                    self._operations.append(_pack_operation(seq, message.operation))  # type: ignore[attr-defined]
        delay = link.constant
        if delay >= 0 and (not self.link_faults.active or target is node):
            heappush(self._heap, (now + delay, seq, target, message, node, route, index, seq, size))
            return
        arrivals, why = self._path.arrivals(link, node.id, target.id, now, size, index)
        if not arrivals:
            self._drop(target, (message, node, route, index, seq, size), why)
        for at in arrivals:
            self.seq += 1
            heappush(self._heap, (at, self.seq, target, message, node, route, index, seq, size))

    def _code(self, node: SimNode, message: Message) -> tuple[int, int]:
        index = self.wire.index_of(message, node.node_class)
        code = index, self.recording.message_names[index]
        if type(message) in self.wire.tried:
            self._codes[type(message)] = code
        return code

    def _connect(self, node: SimNode, to: Address) -> Way:
        name, mount = split_address(to)
        target = self.nodes.get(name)
        if target is None or (mount is not None and not is_mount_path(mount)):
            raise PluginError(
                node.node_class.__qualname__,
                f"{node.id} sends to {to!r:.80}, which is not a node of this run, or a mount of one",
                "Send to self.peers.",
            )
        if mount is not None:  # by the same link as messages to the sender's own mount
            link, _, _ = node.links.get(name) or self._connect(node, name)
        elif target is node:
            link = _Loopback(0)
        else:
            link = self._links.link(node.id, name, stream(self.experiment.seed, "link", f"{node.id}->{name}"))
        node.links[to] = way = (link, target, mount)
        return way

    def _drop(self, target: SimNode, envelope: Envelope, why: str) -> None:
        message, sender, route, index, cause, size = envelope
        path, origin = split_route(route)
        self.seq += 1
        self.tally.drop(self.wire.names[index])
        if self._rows is not None:
            self.recording.row(
                EventKind.DROP, self.true_time, self.seq, cause, self._place(sender, origin),
                peer=self._place(target, path), message=self.recording.message_names[index], size=size,
                payload=why.encode(), operation=self.wire.operation_of(index, message),
            )  # fmt: skip

    def _mount_gone(self, node: SimNode, envelope: Envelope) -> None:
        self._drop(node, envelope, f"{node.id} has no mount {split_route(envelope[2])[0]!r}")

    # Rows of the trace.

    def record(
        self, kind: EventKind, at: int, cause: int, node: SimNode | None, path: str = "", *, name: str | None = None,
        fields: Mapping[str, Any] | None = None, payload: bytes | None = None, size: int = -1, operation: int | None = None,
    ) -> int:  # fmt: skip
        """Writes a row, if the trace is full, and returns its `seq`, which every trace level uses up alike."""
        self.seq = seq = self.seq + 1
        if self._rows is not None:
            message = NO_NAME if name is None else self.recording.names.index(name)
            place = NO_NAME if node is None else self._place(node, path)
            told = payload if fields is None else as_json(fields)
            self.recording.row(
                kind, at, seq, cause, place, message=message, size=size, payload=told, operation=operation
            )
        return seq

    def _deliver_row(self, node: SimNode, envelope: Envelope, seq: int) -> None:
        message, sender, route, index, cause, size = envelope
        path, origin = split_route(route)
        self.recording.row(
            EventKind.DELIVER, self.true_time, seq, cause, self._place(node, path), peer=self._place(sender, origin),
            message=self.recording.message_names[index], size=size, operation=self.wire.operation_of(index, message),
        )  # fmt: skip

    def _place(self, node: SimNode, path: str) -> int:
        """Returns the index in the trace of the name of a node or mount."""
        if not path:
            return node.index
        place = self._mount_names.get((node.id, path))
        if place is None:
            place = self._mount_names[(node.id, path)] = self.recording.names.index(f"{node.id}/{path}")
        return place

    # Clients and faults.

    def load_changed(self, at: int) -> None:
        """Schedules `begin_due` for the time at which the next operation is due."""
        if at < self._load_at:
            self._load_at = at
            self.call_at(max(at, self.true_time), self._load_turn)

    def _load_turn(self) -> None:
        if self.true_time >= self._load_at:
            self._load_at = NEVER
            self.clients.begin_due()
            if self.clients.is_final:
                self.operation_ended()  # the clients may have given their last operation before

    def invoke(self, node: SimNode, runtime: NodeRuntime, given: Invoke, now: int) -> None:
        """Has a client take its operation."""
        node.set_clocks(runtime, now, WALL_EPOCH)
        self.steps += 1
        try:
            self._finish(node, runtime, runtime.run_one(given))
        except RAISED as error:
            self.life.raised(node, error)

    def reboot(self, node: SimNode, cause: int) -> None:
        """Starts a client's next process."""
        self._boot(node, cause)

    def soon(self, call: Callable[[], None]) -> None:
        """Schedules `call` as the next event at the present time."""
        self.call_at(self.true_time, call)

    def operation_ended(self) -> None:
        """After the last operation of a load that is over, begins the next phase of the run."""
        if (
            not self.clients.outstanding
            and self.true_time >= self.experiment.duration
            and self.clients.next_at == NEVER
        ):
            if self.clients.is_final:
                self._stop_here()
            else:
                self._after_load()

    def _after_load(self) -> None:
        """Clients are quiet: begins settling, if it is configured, else the phase after it."""
        if self.settling is not None:
            self.settling.begin()
        elif self._final is not None:
            self._after_settling()
        else:
            self._stop_here()

    def _after_settling(self) -> None:
        """Schedules the final phase; without one, ends the run. Only the first call counts."""
        if self._final is None:
            self._stop_here()
        elif self.final_at is None:
            self.final_at = self.true_time + self._final.after
            self.call_at(self.final_at, self._begin_final)

    def _begin_final(self) -> None:
        self.clients.begin_final()

    def _end_load(self) -> None:
        if self.tally.healed_at is not None:
            self.aftermath = self._aftermath()
        self.operation_ended()

    def _aftermath(self) -> Aftermath:
        """Returns the state of the servers, and the operations that are open."""
        sight = self.faults.look()
        down = [node for node, status in sight.statuses.items() if status is None]
        running = [node for node in sight.statuses if node not in down]
        can_serve = self.life.can_serve([self.nodes[node] for node in running], running)
        waiting, is_open = self.clients.open_operations()
        return Aftermath(
            statuses=sight.statuses,
            for_good=sight.lost.intersection(down),
            damaged=frozenset(node for node in down if self.nodes[node].is_damaged),
            can_serve=can_serve,
            waiting=waiting,
            open=is_open,
        )

    def _schedule_faults(self) -> None:
        at = self.faults.injector.next_at
        if at < self._faults_at:
            self._faults_at = at
            self.call_at(max(at, self.true_time), self._fault_turn)

    def _fault_turn(self) -> None:
        if self.true_time < self._faults_at:
            return
        self._faults_at = NEVER
        self.faults.carry_out_due(self.true_time)
        self.tally.faults = self.faults.fired
        self.tally.healed_at = self.faults.injector.healed_at
        self._schedule_faults()

    def _stop_here(self) -> None:
        self._end = self.true_time
        self._is_cut_off = False


class _Loopback(Link):
    """A node's link to itself, without delay."""

    __slots__ = ()

    def transmit(self, now: int, size: int) -> tuple[int, ...]:
        return (now,)
