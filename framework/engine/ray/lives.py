"""The stations of a run through all their incarnations: spawned, watched, killed, stopped, replaced.

Nothing here waits for one station alone: an answer that is due stands in `_due` with what to do about it, so that a
stopped or dead process never holds up the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from framework.core.message import NodeId
from framework.engine.base import Experiment, NodeCrash, Tally
from framework.engine.ray.actor import Booted, Contact, Fall, Where, WorkerReport
from framework.engine.ray.conditions import Conditions
from framework.engine.ray.launch import Launch
from framework.engine.ray.member import Machine, RemoteWorker
from framework.engine.ray.setup import database_of, station_name
from framework.engine.ray.troubles import Birth
from framework.faults.actions import TORN_COMMIT_CUT, Action, CommitFate, Crash, Restart
from framework.trace.schema import EventKind

if TYPE_CHECKING:
    from framework.engine.ray.recording import EventRows
    from framework.engine.ray.runtime import RayRuntime

NODE_PULSE_S, CLIENT_PULSE_S = 0.5, 0.2


class Lives:
    """The life of every station, as the driver sees it. `rows` records what the driver does to them (None: not traced)."""

    def __init__(self, experiment: Experiment, runtime: RayRuntime, rows: EventRows | None) -> None:
        self.experiment, self.rows = experiment, rows
        self.crashes: list[NodeCrash] = []
        self.failure = ""
        self.rejected = 0
        self.zero = 0
        self.epoch = 0
        self.lost: set[NodeId] = set()  # nodes that no restart brings back
        self.standing_by = set(experiment.spares)  # nodes that have never run
        self._tolls: dict[int, tuple[int, int]] = {}  # of stations that have ended
        self.conditions = Conditions()
        self.met: Callable[[NodeId], None] = lambda node: None  # told of each commit that met a disk in trouble
        self.came: Callable[[NodeId, str], None] = lambda node, text: None  # told what came of a node's last crash
        self.launch = Launch(experiment, runtime)
        self.members = self.launch.members
        self._due: dict[Any, Callable[[Any], None]] = {}
        self._ended_tallies: list[Tally] = []
        self._index = {host: index for index, host in enumerate(experiment.hosts)}
        self._ending = False

    def now(self) -> int:
        """Nanoseconds since the run's start."""
        return time.monotonic_ns() - self.zero

    def machine(self, member: RemoteWorker) -> Machine:
        """Where a station lives."""
        return self.launch.machines[member.machine]

    def is_up(self, node: NodeId) -> bool:
        """Whether the node runs, or stands still, as far as is known."""
        member = self.launch.member_of[node]
        return (
            node not in self.standing_by
            and member.up
            and (len(member.hosts) == 1 or member.statuses.get(node) is not None)
            and node not in self.lost
        )

    def tell(self, member: RemoteWorker, action: Action, cause: int = -1) -> None:
        """Has a station that is up carry out a fault within its process, in the order of these calls; one that is yet to
        boot is told of all that is in force when it does."""
        if member.up and member.born:
            self._inflict(member, action, cause)

    # One incarnation.

    def _expect(self, answer: Any, act: Callable[[Any], None]) -> None:
        self._due[answer] = act

    def _row(self, kind: EventKind, at: int, cause: int, host: NodeId, **columns: Any) -> int:
        return -1 if self.rows is None else self.rows.row(kind, at, cause, self._index[host], **columns)

    def _spawn(self, member: RemoteWorker) -> None:
        """Creates the actor of the member's present incarnation and watches it."""
        member.handle = self.launch.create(member)
        member.where = None
        member.up = member.born = member.asked = member.paused = False
        self._watch(member)

    def _watch(self, member: RemoteWorker) -> None:
        incarnation = member.incarnation
        watch = member.handle.watch.options(concurrency_group="watch").remote()
        self._expect(watch, lambda answer: self._ended(member, incarnation, answer))

    def _boot_call(self, member: RemoteWorker, cause: int) -> Any:
        birth = Birth(
            zero=self.zero + self.machine(member).offset, epoch=self.epoch, cause=cause,
            troubles=self.conditions.troubles(member.hosts), clocks=self.conditions.clocks(member.hosts),
            acknowledged=member.acknowledged, standing_by=frozenset(self.standing_by.intersection(member.hosts)),
        )  # fmt: skip
        member.acknowledged, member.born = None, True
        return member.handle.boot.options(concurrency_group="faults").remote(birth)

    def _contacts(self) -> dict[int, Contact]:
        return {member.station: self._contact(member) for member in self.members if member.where is not None}

    def _contact(self, member: RemoteWorker) -> Contact:
        assert member.where is not None
        return station_name(member.station, member.incarnation), member.where.address, member.handle

    # What faults do to them.

    def crash(self, node: NodeId, cause: int, fate: Callable[[], CommitFate]) -> CommitFate | None:
        """Crashes a node that is up: SIGKILL for one that has a process to itself, and its replacement starts at once.

        Returns the fate of the commit in flight; None if there was none, or if the injector will hear of it through `came`.
        """
        member = self.launch.member_of[node]
        if len(member.hosts) > 1:
            self._turn(member, Crash(node), cause, None, fate())
            return None
        in_flight = self._kill(member)
        self._down(member, "fault", cause, asked=True)  # its row comes after the last one of the process
        left = self._leave(member, fate()) if in_flight else None
        self._replace(member)
        return left

    def restart(self, node: NodeId, cause: int) -> None:
        """Starts a node that is down, on the machine that holds its storage."""
        member = self.launch.member_of[node]
        stood_by = node in self.standing_by
        if member.up and member.born:
            self.standing_by.discard(node)
        if len(member.hosts) > 1 or stood_by:
            self._turn(member, Restart(node), cause, {})
            return
        if member.where is None and not member.arriving:
            self._replace(member)
        member.wanted = cause
        self._revive(member)

    def _turn(
        self, member: RemoteWorker, action: Crash | Restart, cause: int, status: dict[str, Any] | None, fate: CommitFate = "kept"
    ) -> None:  # fmt: skip
        """Has a station crash or restart one of its nodes, whose status is `status` until it has."""
        if not (member.up and member.born):
            return
        node = action.node
        member.turns[node] = member.turns.get(node, 0) + 1
        member.statuses[node] = status

        def done(answer: Any) -> None:
            if isinstance(answer, str):
                self.came(node, f"{node}'s commit in flight was {answer}")

        self._expect(self._inflict(member, action, cause, fate), done)

    def _inflict(self, member: RemoteWorker, action: Action, cause: int, fate: CommitFate = "kept") -> Any:
        return member.handle.inflict.options(concurrency_group="faults").remote(action, cause, fate)

    def pause(self, member: RemoteWorker, *, paused: bool) -> None:
        """SIGSTOP, or SIGCONT, for the process of a station that is up."""
        assert member.where is not None
        self.machine(member).signal(member.where.pid, "stop" if paused else "continue")
        member.paused = paused

    def ruin(self, node: NodeId) -> str:
        """Damages the storage of a node that is down; says what a restart will find, "" if there is nothing to damage."""
        member = self.launch.member_of[node]
        machine = self.machine(member)
        path = database_of(machine.folder, member.hosts)
        return machine.ruin(path, member.acknowledged if member.acknowledged is not None else 1 << 62)

    def _kill(self, member: RemoteWorker) -> bool:
        """Ends the process of a station; whether a commit was in flight, of which `member.acknowledged` then is the last before."""
        assert member.where is not None
        member.asked = True
        machine = self.machine(member)
        begun, acknowledged = machine.end(member.where.pid, database_of(machine.folder, member.hosts))
        member.acknowledged = acknowledged if begun > acknowledged else None
        member.torn = False
        return begun > acknowledged

    def _leave(self, member: RemoteWorker, fate: CommitFate) -> CommitFate:
        """Leaves the commit in flight of a process that was killed as `fate` says; what really became of it."""
        assert member.acknowledged is not None
        machine = self.machine(member)
        left = machine.leave(database_of(machine.folder, member.hosts), member.acknowledged + 1, fate)
        if left != "lost":
            member.acknowledged = None  # all that are there count; what is torn, recovery finds by itself
        member.torn = left == "torn"
        return left

    # Death and rebirth.

    def _down(self, member: RemoteWorker, why: str, cause: int, *, asked: bool = False) -> None:
        self._bury(member)
        for host in member.hosts:
            now = self.now()
            self.crashes.append(NodeCrash(host, now, why, asked=asked))
            self._row(EventKind.CRASH, now, cause, host, payload=why.encode())

    def _bury(self, member: RemoteWorker) -> None:
        """What the station has counted stays."""
        member.up = False
        self._ended_tallies.append(member.tally)
        self._tolls = added(self._tolls, member.tolls)
        member.tally, member.tolls, member.met, member.statuses, member.turns = Tally(), {}, {}, {}, {}

    def _crashed(self, crash: NodeCrash) -> None:
        if crash not in self.crashes:
            self.crashes.append(crash)

    def _replace(self, member: RemoteWorker) -> None:
        """The next incarnation's process starts; it boots once it is `wanted`."""
        member.incarnation += 1
        member.wanted, member.arriving = None, True
        self._spawn(member)

        def arrived(answer: Any) -> None:
            member.arriving = False
            if isinstance(answer, Where):
                member.where = answer
                self._revive(member)
            elif not self._ending:
                self.failure = self.failure or f"{member.hosts[0]} could not be started again"

        self._expect(member.handle.listen.remote(self.launch.listen_host()), arrived)

    def _revive(self, member: RemoteWorker) -> None:
        """Boots the next incarnation, when it is there and wanted, and tells the others where it is."""
        if member.where is None or member.wanted is None or member.up:
            return
        cause, member.wanted, member.up = member.wanted, None, True
        contact = {member.station: self._contact(member)}
        for other in self.members:
            if other.up and other is not member:
                other.handle.learn.remote(contact)
        handle = member.handle

        def connected(_: Any) -> None:
            self._expect(self._boot_call(member, cause), booted)

        def booted(answer: Any) -> None:
            if isinstance(answer, Booted):
                if answer.cut and member.torn:
                    self.came(member.hosts[0], TORN_COMMIT_CUT)
                if answer.refused:
                    self._refused(member, answer.refused)
            if member.handle is handle and member.up:
                self._pulse(member)

        self._expect(handle.learn.remote(self._contacts()), connected)

    def _refused(self, member: RemoteWorker, why: str) -> None:
        """A station's storage cannot be read: as a fault has left it, or the run cannot go on."""
        if not self.conditions.ruined(member.hosts):
            self.failure = self.failure or why
            return
        self._bury(member)
        for node in member.hosts:
            self._crashed(NodeCrash(node, self.now(), f"storage damaged: {why}", asked=True, storage=True))
            self.lost.add(node)
            self.met(node)

    def _ended(self, member: RemoteWorker, incarnation: int, answer: Any) -> None:
        """A station's watch has ended: it failed, or its process is gone."""
        if self._ending or member.incarnation != incarnation or member.asked:
            return
        if isinstance(answer, str):
            self.failure = self.failure or answer
            return
        if isinstance(answer, Fall):
            self._fell(member, answer)
            return
        if not member.up:
            self.failure = self.failure or f"{member.hosts[0]}: its process died before it was up"
            return
        why = "killed unasked (its process is gone)"
        if member.first_client is not None:
            self.failure = self.failure or f"the process of the clients {member.hosts[0]}… was {why}"
            return
        self._down(member, why, -1)
        if self.experiment.engine_config.storage == "memory":
            self.failure = self.failure or f"{member.hosts[0]} was {why} and its storage went with it"
            return
        self._replace(member)
        cause = -1
        for host in member.hosts:
            cause = self._row(EventKind.RESTART, self.now(), -1, host)
        member.wanted = cause

    def _fell(self, member: RemoteWorker, fall: Fall) -> None:
        """A node stopped because of its storage. A process that served it alone goes too, and nothing but a restart
        brings the node back."""
        self._took(member, fall.pulse)
        self._crashed(fall.crash)
        if fall.crash.asked:
            self.conditions.fell(fall.crash.node)
        if len(member.hosts) > 1:
            self._watch(member)
            return
        self._bury(member)
        self._kill(member)
        if self.experiment.faults:
            self._replace(member)

    # What they say.

    def _pulse(self, member: RemoteWorker) -> None:
        member.pulsing = True
        handle = member.handle
        member.next_pulse = time.monotonic() + (NODE_PULSE_S if member.first_client is None else CLIENT_PULSE_S)

        def came(answer: Any) -> None:
            if member.handle is handle:
                member.pulsing = False
                if isinstance(answer, WorkerReport) and member.up:
                    self._took(member, answer)

        self._expect(handle.pulse.remote(), came)

    def _took(self, member: RemoteWorker, pulse: WorkerReport) -> None:
        """Takes note of what a station says of itself."""
        member.tally, member.finished, member.tolls = pulse.tally, pulse.finished, pulse.tolls
        asked = {node: member.statuses.get(node) for node, turns in member.turns.items() if pulse.turns[node] < turns}
        member.statuses = {**pulse.statuses, **asked}  # what it said before it had heard of a crash is out of date
        for node, count in pulse.met.items():
            for _ in range(count - member.met.get(node, 0)):
                self.met(node)
        member.met = pulse.met
        if member.first_client is None:
            self.lost.update(node for node in member.hosts if node not in member.statuses)


def added(one: Mapping[int, tuple[int, int]], other: Mapping[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """The sum of two stations' tolls by disturbance."""
    both = {token: (one.get(token, (0, 0)), other.get(token, (0, 0))) for token in (*one, *other)}
    return {token: (a[0] + b[0], a[1] + b[1]) for token, (a, b) in both.items()}
