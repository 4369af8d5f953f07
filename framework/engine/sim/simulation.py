"""The event loop: a heap of things to come, one batch after another, true time in integer nanoseconds.

Heap entries are flat tuples `(time, order, seat, message, sender, path, message index, cause, size)`. A message of
None is a wake-up of the seat, valid only if `order` is the seat's current one; a seat of None is a call of
`message()`. `order` is drawn from the same counter as `seq`, at every trace level alike, so equal times are broken
in the order of causes and the trace level changes nothing in the run.

A seat without service time and disk latency runs each input as a batch of its own, at once (`_finish`). A slow seat
collects inputs while a batch is in flight (`_run_batch`).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from framework.core.client import Client, Ok, Unknown
from framework.core.errors import PluginError, SynodError
from framework.core.host import COMPLETE, MULTICAST, NOTE, SEND, Effect, Host
from framework.core.message import Message, NodeId
from framework.core.network import Link, NetworkModel
from framework.core.streams import stream
from framework.core.time import NEVER, format_duration
from framework.core.workload import Load
from framework.engine.base import Crash, Experiment, Tally
from framework.engine.sim.recording import Pulse, Recording, json
from framework.engine.sim.seat import WALL_EPOCH, Clock, Envelope, Flight, Seat
from framework.engine.wire import Wire
from framework.trace.schema import EVENT_ROW, Kind

SOON_LIMIT = 10_000
"""Timers with after=0 in one batch; more is a node that never comes to an end."""

STEPS_PER_PULSE = 2_048
STALLED_PULSES = 100
"""Pulses without any progress of virtual time before the run is given up."""

_pack = EVENT_ROW.pack
_SEND, _DELIVER = int(Kind.SEND), int(Kind.DELIVER)


class Stalled(SynodError):
    """Virtual time stands still: nodes send to themselves, or set timers, without end."""


class Simulation:
    """One run. `run` drives it to its end; the attributes say how it went."""

    def __init__(self, experiment: Experiment, recording: Recording, wire: Wire, pulse: Pulse, tally: Tally) -> None:
        self.experiment = experiment
        self.recording = recording
        self.wire = wire
        self.pulse = pulse
        self.tally = tally
        self.crashes: list[Crash] = []
        self.now = 0
        self.seq = 0
        self.steps = 0
        self.delivered = [0] * len(wire.names)
        self._heap: list[tuple[int, int, Seat | None, Any, Any, str, int, int, int]] = []
        self._rows = recording.events.rows if recording.events is not None else None
        self._payloads = recording.events.payloads if recording.events is not None else []
        self._codes = {message: (index, recording.message_names[index]) for message, index in wire.index.items()}
        self._mount_names: dict[tuple[NodeId, str], int] = {}
        self._disk = stream(experiment.seed, "disk")
        self._disk_latency = int(experiment.engine_config.disk_latency)
        self._service_time = int(experiment.engine_config.service_time)
        self._network: NetworkModel = experiment.make_network()
        self._sized = self._network.needs_size or self._rows is not None
        self._seats: dict[NodeId, Seat] = {}
        self._outstanding = 0
        self._timeout = int(experiment.workload_config.timeout)
        self._end = experiment.duration + self._timeout + 1
        self._load_at = NEVER
        self._make_seats()
        self.load = Load(
            experiment.make_workload(), experiment.clients, lambda purpose, entity: stream(experiment.seed, purpose, entity),
            stop=experiment.duration,
        )  # fmt: skip

    # Set-up.

    def _make_seats(self) -> None:
        experiment, spec = self.experiment, self.experiment.protocol
        for node in experiment.nodes:
            peers = tuple(peer for peer in experiment.nodes if peer != node)
            self._seats[node] = self._make_seat(node, spec.node, peers)
        for number, client in enumerate(experiment.clients):
            seat = self._seats[client] = self._make_seat(client, spec.client, experiment.nodes)
            seat.client = number
            seat.slow = False

    def _make_seat(self, node: NodeId, class_: Any, peers: tuple[NodeId, ...]) -> Seat:
        experiment, config = self.experiment, self.experiment.engine_config
        seat = Seat(self.recording.names.index(node), node, class_, experiment.protocol_config, peers)
        seat.rng = stream(experiment.seed, "node", node)
        seat.slow = self._disk_latency > 0 or self._service_time > 0
        drift, offset = int(config.clock_drift_ppm), int(config.clock_offset)
        if drift or offset:
            rng = stream(experiment.seed, "clock", node)
            seat.clock = Clock(rng.randint(-drift, drift), rng.randint(-offset, offset))
        return seat

    def run(self) -> None:
        """Runs to the end of the load and of the operations under way; Stalled if virtual time stands still."""
        for seat in self._seats.values():
            self._boot(seat, cause=-1)
        self._call_at(self.experiment.duration, self._load_ended)
        self._schedule_faults()
        self._schedule_load()
        try:
            self._loop()
        finally:
            self._settle_tally()
        self._abandon_operations()

    def _loop(self) -> None:
        heap, delivered, codes, rows = self._heap, self.delivered, self.recording.message_names, self._rows
        countdown, seen, still = STEPS_PER_PULSE, -1, 0
        while heap:
            time, order, seat, message, sender, path, index, cause, size = heappop(heap)
            if time > self._end:
                break
            self.now = time
            if seat is None:
                message()
                continue
            countdown -= 1
            if not countdown:
                countdown = STEPS_PER_PULSE
                self.pulse.beat(time)
                still = still + 1 if time == seen else 0
                seen = time
                if still > STALLED_PULSES:
                    raise Stalled(
                        f"virtual time stands still at {format_duration(time)}: {seat.id} and its peers never rest"
                    )
            if message is None:
                if order == seat.wake_order:
                    seat.wake_at = NEVER
                    self._wake(seat)
                continue
            host = seat.host
            if host is None:
                self._drop(seat, (message, sender, path, index, cause, size), f"{seat.id} is down")
                continue
            if seat.slow:
                seat.mailbox.append((message, sender, path, index, cause, size))
                if not seat.busy:
                    self._run_batch(seat)
                continue
            clock = seat.clock
            if clock is None:
                host.now = time
                host.wall_clock = WALL_EPOCH + time
            else:
                host.now = local = clock.local(time)
                host.wall_clock = WALL_EPOCH + local + clock.offset
            self.seq = seq = self.seq + 1
            host.step = seq
            self.steps += 1
            delivered[index] += 1
            if rows is not None:
                if path:
                    self._deliver_row(seat, (message, sender, path, index, cause, size), seq)
                else:
                    rows.append(_pack(time, seq, cause, size, -1, seat.index, sender.index, codes[index], _DELIVER))
            try:
                if host.deliver(path, sender.id, message):
                    self._finish(seat, host, seq)
                else:
                    self._mount_gone(seat, (message, sender, path, index, cause, size))
            except Exception as error:
                self._raised(seat, error)

    # A batch of one input, at once.

    def _finish(self, seat: Seat, host: Host, seq: int) -> None:
        """Ends a batch: timers with after=0, the commit, then the effects."""
        effects = host.effects
        if host.soon:
            marks = [(len(effects), seq)]
            self._run_soon(seat, host, marks)
        else:
            marks = None
        if host.early:
            early, host.early = host.early, []
            self._release(seat, early, host.step)
        if seat.durable:
            changes = host.changes()
            if changes:
                seat.storage.commit(changes)
                self._committed(seat, len(changes), host.step)
        if effects:
            if marks is None:
                self._release(seat, effects, seq)
            else:
                self._release_marked(seat, effects, marks)
            effects.clear()
        if host.wake < seat.wake_at:
            self._rearm(seat, host)

    def _run_soon(self, seat: Seat, host: Host, marks: list[tuple[int, int]]) -> None:
        rounds = 0
        while (soon := host.take_soon()) is not None:
            self._step_timer(seat, host, soon[0], soon[1])
            marks.append((len(host.effects), host.step))
            rounds += 1
            if rounds > SOON_LIMIT:
                raise PluginError(
                    seat.class_.__qualname__,
                    f"{soon[0][1]} is set with after=0 without end",
                    "Set it once a batch, or with a delay.",
                )

    def _step_timer(self, seat: Seat, host: Host, key: tuple[str, str, tuple[Any, ...]], cause: int) -> None:
        self.seq = host.step = self.seq + 1
        self.steps += 1
        if self._rows is not None:
            names = self.recording.names
            self.recording.row(
                Kind.TIMER, self.now, self.seq, cause, self._place(seat, key[0]), message=names.index(key[1])
            )
        host.fire(key)

    def _wake(self, seat: Seat) -> None:
        """The seat's wake-up has come: one overdue timer, or none if it was moved meanwhile."""
        host = seat.host
        if host is None:
            return
        if seat.slow:
            if not seat.busy:
                self._run_batch(seat)
            return
        self._set_clocks(seat, host)
        key = host.due()
        if key is None:
            self._rearm(seat, host)
            return
        try:
            self._step_timer(seat, host, key, host.timers[key][1])
            self._finish(seat, host, host.step)
        except Exception as error:
            self._raised(seat, error)

    def _rearm(self, seat: Seat, host: Host) -> None:
        """Sees to it that a wake-up stands in the heap no later than the earliest deadline."""
        wake = host.wake
        if wake < seat.wake_at:
            seat.wake_at = wake
            self.seq = seat.wake_order = self.seq + 1
            at = wake if seat.clock is None else seat.clock.true(wake)
            heappush(self._heap, (max(at, self.now), self.seq, seat, None, None, "", 0, 0, 0))

    def _set_clocks(self, seat: Seat, host: Host) -> None:
        clock = seat.clock
        host.now = local = self.now if clock is None else clock.local(self.now)
        host.wall_clock = WALL_EPOCH + local + (0 if clock is None else clock.offset)

    # Effects leave.

    def _release_marked(self, seat: Seat, effects: list[Effect], marks: list[tuple[int, int]]) -> None:
        """Lets the effects of several steps leave, each with its own step as the cause."""
        start = 0
        for stop, seq in marks:
            if stop > start:
                self._release(seat, effects[start:stop], seq)
                start = stop

    def _release(self, seat: Seat, effects: list[Effect], cause: int) -> None:
        links = seat.links
        for kind, first, second, third in effects:
            if kind == SEND:
                entry = links.get(first)
                if entry is None:
                    entry = self._connect(seat, first)
                index, name = self._code(seat, third)
                payload = self.wire.encode(third) if self._sized else b""
                self._send(seat, entry, third, second, index, name, cause, payload)
            elif kind == MULTICAST:
                index, name = self._code(seat, third)
                payload = self.wire.encode(third) if self._sized else b""
                for to in first:
                    entry = links.get(to)
                    if entry is None:
                        entry = self._connect(seat, to)
                    self._send(seat, entry, third, second, index, name, cause, payload)
            elif kind == NOTE:
                self.seq += 1
                if self._rows is not None:
                    name = self.recording.names.index(first)
                    self.recording.row(
                        Kind.NOTE,
                        self.now,
                        self.seq,
                        cause,
                        self._place(seat, third),
                        message=name,
                        payload=json(second),
                    )
            else:
                assert kind == COMPLETE
                self._complete(seat, first, second, cause)

    def _send(
        self, seat: Seat, entry: tuple[Link, Seat], message: Message, path: str, index: int, name: int, cause: int, payload: bytes
    ) -> None:  # fmt: skip
        link, target = entry
        self.seq = seq = self.seq + 1
        now = self.now
        size = len(payload)
        rows = self._rows
        if rows is not None:
            if path:
                self.recording.row(
                    Kind.SEND, now, seq, cause, self._place(seat, path), peer=self._place(target, path), message=name,
                    size=size, payload=payload,
                )  # fmt: skip
            else:
                rows.append(_pack(now, seq, cause, size, size, seat.index, target.index, name, _SEND))
                self._payloads.append(payload)
        delay = link.constant
        if delay >= 0:
            heappush(self._heap, (now + delay, seq, target, message, seat, path, index, seq, size))
            return
        arrivals = link.transmit(now, size)
        if not arrivals:
            self._drop(target, (message, seat, path, index, seq, size), "lost")
        for at in arrivals:
            self.seq += 1
            heappush(self._heap, (at, self.seq, target, message, seat, path, index, seq, size))

    def _code(self, seat: Seat, message: Message) -> tuple[int, int]:
        code = self._codes.get(type(message))
        if code is None:
            raise PluginError(
                seat.class_.__qualname__, f"sends {type(message).__qualname__}, which no node or client handles",
                f"Write @handles({type(message).__name__}) where it is received.",
            )  # fmt: skip
        return code

    def _connect(self, seat: Seat, to: NodeId) -> tuple[Link, Seat]:
        target = self._seats.get(to)
        if target is None:
            raise PluginError(
                seat.class_.__qualname__,
                f"{seat.id} sends to {to!r}, which is not a node of this run",
                "Send to self.peers.",
            )
        if target is seat:
            link: Link = _Loopback(0)
        else:
            link = self._network.link(seat.id, to, stream(self.experiment.seed, "link", f"{seat.id}->{to}"))
        seat.links[to] = entry = (link, target)
        return entry

    def _drop(self, target: Seat, envelope: Envelope, why: str) -> None:
        _, sender, path, index, cause, size = envelope
        self.seq += 1
        name = self.wire.names[index]
        self.tally.dropped[name] = self.tally.dropped.get(name, 0) + 1
        if self._rows is not None:
            self.recording.row(
                Kind.DROP, self.now, self.seq, cause, self._place(sender, path), peer=self._place(target, path),
                message=self.recording.message_names[index], size=size, payload=why.encode(),
            )  # fmt: skip

    def _mount_gone(self, seat: Seat, envelope: Envelope) -> None:
        self.steps -= 1
        self.delivered[envelope[3]] -= 1
        self._drop(seat, envelope, f"{seat.id} has no mount {envelope[2]!r}")

    def _deliver_row(self, seat: Seat, envelope: Envelope, seq: int) -> None:
        _, sender, path, index, cause, size = envelope
        self.recording.row(
            Kind.DELIVER, self.now, seq, cause, self._place(seat, path), peer=self._place(sender, path),
            message=self.recording.message_names[index], size=size,
        )  # fmt: skip

    def _place(self, seat: Seat, path: str) -> int:
        """The index of a node's, or a mount's, name in the trace."""
        if not path:
            return seat.index
        place = self._mount_names.get((seat.id, path))
        if place is None:
            place = self._mount_names[(seat.id, path)] = self.recording.names.index(f"{seat.id}/{path}")
        return place

    def _committed(self, seat: Seat, changes: int, cause: int) -> None:
        self.tally.fsyncs += 1
        self.seq += 1
        if self._rows is not None:
            self.recording.row(Kind.COMMIT, self.now, self.seq, cause, seat.index, size=changes)

    # Batches that take time.

    def _run_batch(self, seat: Seat) -> None:
        """Runs all that waits at a slow seat as one batch; its effects leave after service time and commit."""
        host = seat.host
        assert host is not None and not seat.busy
        self._set_clocks(seat, host)
        mailbox, seat.mailbox = seat.mailbox, []
        marks: list[tuple[int, int]] = []
        before = self.steps
        try:
            for envelope in mailbox:
                self._step_delivery(seat, host, envelope, marks)
            while (key := host.due()) is not None:
                self._step_timer(seat, host, key, host.timers[key][1])
                marks.append((len(host.effects), host.step))
            inputs = self.steps - before
            self._run_soon(seat, host, marks)
            changes = host.changes()
        except Exception as error:
            self._raised(seat, error)
            return
        if host.early:
            early, host.early = host.early, []
            self._release(seat, early, host.step)
        effects, host.effects = host.effects, []
        self._take_off(seat, Flight(changes, effects, marks), inputs * self._service_time)

    def _step_delivery(self, seat: Seat, host: Host, envelope: Envelope, marks: list[tuple[int, int]]) -> None:
        message, sender, path, index, _, _ = envelope
        self.seq = host.step = self.seq + 1
        self.steps += 1
        self.delivered[index] += 1
        if self._rows is not None:
            self._deliver_row(seat, envelope, self.seq)
        if not host.deliver(path, sender.id, message):
            self._mount_gone(seat, envelope)
        marks.append((len(host.effects), host.step))

    def _take_off(self, seat: Seat, flight: Flight, service: int) -> None:
        """Commits a batch after `service` nanoseconds of work; nothing else happens at the seat meanwhile."""
        delay = service + (self._disk_latency if flight.changes else 0)
        if not delay:
            self._land(seat, flight)
            return
        seat.busy, seat.flight = True, flight
        self._call_at(self.now + delay, lambda: self._land(seat, flight) if seat.flight is flight else None)

    def _land(self, seat: Seat, flight: Flight) -> None:
        host = seat.host
        assert host is not None
        seat.busy, seat.flight = False, None
        cause = flight.marks[-1][1] if flight.marks else -1
        if flight.changes:
            seat.storage.commit(flight.changes)
            self._committed(seat, len(flight.changes), cause)
        try:
            self._release_marked(seat, flight.effects, flight.marks)
        except Exception as error:
            self._raised(seat, error)
            return
        self._set_clocks(seat, host)
        overdue = host.due() is not None
        if seat.mailbox or overdue:
            self._call_at(self.now, lambda: self._run_batch(seat) if seat.host is host and not seat.busy else None)
        self._rearm(seat, host)

    # Life and death.

    def _boot(self, seat: Seat, cause: int) -> None:
        """Makes the seat's node from its storage and runs `on_start`."""
        host = Host(seat.id, seat.rng, seat.storage)
        self._set_clocks(seat, host)
        seat.host, seat.busy, seat.flight, seat.mailbox = host, False, None, []
        seat.wake_at, seat.wake_order = NEVER, -1
        self.seq = host.step = self.seq + 1
        self.steps += 1
        self.recording.row(Kind.START, self.now, self.seq, cause, seat.index)
        try:
            host.boot(seat.class_, seat.config, seat.peers)
            if seat.slow:
                marks = [(len(host.effects), host.step)]
                self._run_soon(seat, host, marks)
                effects, host.effects = host.effects, []
                self._take_off(seat, Flight(host.changes(), effects, marks), self._service_time)
                self._rearm(seat, host)
            else:
                self._finish(seat, host, host.step)
        except Exception as error:
            self._raised(seat, error)

    def _raised(self, seat: Seat, error: Exception) -> None:
        """An exception in a step is a crash: the whole batch is lost, and the node stays down."""
        text = "".join(traceback.format_exception(error))
        seat.raised = True
        self._stop(
            seat, f"{type(error).__name__}: {error}", text, cause=seat.host.step if seat.host is not None else -1
        )

    def _stop(self, seat: Seat, why: str, text: str, cause: int) -> None:
        self.crashes.append(Crash(seat.id, self.now, why, text))
        self.seq += 1
        payload = f"{why}\n{text}".rstrip().encode()
        self.recording.row(Kind.CRASH, self.now, self.seq, cause, seat.index, payload=payload)
        seat.host, seat.busy, seat.flight = None, False, None
        for envelope in seat.mailbox:
            self._drop(seat, envelope, f"{seat.id} crashed")
        seat.mailbox = []
        if seat.open is not None:
            self._end_operation(seat, Unknown(f"{seat.id} crashed"), retired=True)

    def crash(self, node: NodeId, why: str, cause: int = -1) -> None:
        """Crashes a node that is up; a commit in flight is kept or lost, by the seed."""
        seat = self._seats[node]
        flight = seat.flight
        if flight is not None and flight.changes and self._disk.random() < 0.5:
            seat.storage.commit(flight.changes)
            self._committed(seat, len(flight.changes), cause)
        self._stop(seat, why, "", cause)

    def restart(self, node: NodeId, cause: int = -1) -> None:
        """Boots a node that is down: a new instance over its storage."""
        seat = self._seats[node]
        seat.incarnation += 1
        self.seq += 1
        self.recording.row(Kind.RESTART, self.now, self.seq, cause, seat.index)
        self._boot(seat, cause=self.seq)

    # Faults.

    def _schedule_faults(self) -> None:
        from framework.engine.sim.injection import Injection

        Injection(self, self._seats).schedule()

    # Clients.

    def _schedule_load(self) -> None:
        at = self.load.next_at
        if at < self._load_at:
            self._load_at = at
            self._call_at(max(at, self.now), self._load_turn)

    def _load_turn(self) -> None:
        if self.now < self._load_at:
            return
        self._load_at = NEVER
        for assignment in self.load.due(self.now):
            seat = self._seats[assignment.client]
            if seat.host is None:  # its client class raised
                continue
            self._outstanding += 1
            seat.open = (assignment, self.now)
            self._invoke(seat, seat.host)
        self._schedule_load()

    def _invoke(self, seat: Seat, host: Host) -> None:
        assert seat.open is not None
        assignment = seat.open[0]
        operation = assignment.operation
        self._set_clocks(seat, host)
        self.seq = host.step = seq = self.seq + 1
        self.steps += 1
        if self._rows is not None:
            payload = json(
                {
                    "operation": operation.id, "process": assignment.process, "key": operation.key,
                    "argument": operation.argument, "scheduled": assignment.scheduled,
                }
            )  # fmt: skip
            name = self.recording.names.index(operation.function)
            self.recording.row(Kind.INVOKE, self.now, seq, -1, seat.index, message=name, payload=payload)
        client = host.root
        assert isinstance(client, Client)
        try:
            client._begin(operation, self._timeout)
            self._finish(seat, host, seq)
        except Exception as error:
            self._raised(seat, error)

    def _complete(self, seat: Seat, operation: int, outcome: Any, cause: int) -> None:
        assert seat.open is not None and seat.open[0].operation.id == operation
        self.seq += 1
        if self._rows is not None:
            name = self.recording.names.index(type(outcome).__name__.lower())
            fields = (
                {"operation": operation, "value": outcome.value}
                if type(outcome) is Ok
                else {"operation": operation, "why": outcome.why}
            )
            self.recording.row(Kind.COMPLETE, self.now, self.seq, cause, seat.index, message=name, payload=json(fields))
        retired = type(outcome) is Unknown
        if retired:  # a new process starts before its first operation
            order = self.seq
            self._call_at(self.now, lambda: self._boot(seat, cause=order) if seat.host is not None else None)
        self._end_operation(seat, outcome, retired)

    def _end_operation(self, seat: Seat, outcome: Any, retired: bool) -> None:
        assert seat.open is not None
        (assignment, invoked), seat.open = seat.open, None
        self._outstanding -= 1
        self.tally.completed(outcome, assignment.scheduled, self.now, self.experiment.warmup)
        self.recording.operation(assignment, outcome, invoked, self.now)
        if seat.host is not None:
            self.load.completed(seat.client, self.now, retired=retired)
            self._schedule_load()
        if not self._outstanding and self.now >= self.experiment.duration and self.load.next_at == NEVER:
            self._end = self.now

    def _load_ended(self) -> None:
        if not self._outstanding and self.load.next_at == NEVER:
            self._end = self.now

    def _abandon_operations(self) -> None:
        """Operations that are still open: nobody knows what becomes of them."""
        for seat in self._seats.values():
            if seat.open is not None:
                assignment, invoked = seat.open
                outcome = Unknown("the run ended")
                self.tally.completed(outcome, assignment.scheduled, self.now, self.experiment.warmup)
                self.recording.operation(assignment, outcome, invoked, None)

    # The rest.

    def _call_at(self, at: int, call: Callable[[], None]) -> None:
        self.seq += 1
        heappush(self._heap, (at, self.seq, None, call, None, "", 0, 0, 0))

    def _settle_tally(self) -> None:
        self.tally.steps = self.steps
        self.tally.messages = {
            name: count for name, count in zip(self.wire.names, self.delivered, strict=True) if count
        }


class _Loopback(Link):
    """A node's link to itself: the next thing that happens."""

    __slots__ = ()

    def transmit(self, now: int, size: int) -> tuple[int, ...]:
        return (now,)
