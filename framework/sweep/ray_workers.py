"""Workers on a Ray cluster: each is a process that a pooled actor hosts, so that limits and deaths are as on one
machine.

The pool sends orders to an actor, and the actor reports what has happened whenever it is asked, which it always is: the
call `report` returns when there is something, and after two seconds in any case.

An actor is given up when Ray says that it is gone, when its machine has left the cluster, when it does not start, and
when it neither reports nor carries out its orders: after the loss of a machine, Ray may fail to deliver calls to any
actor. What it was sent goes to another. What it reports afterwards is not heard, so each call ends once.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from framework.core.tracebacks import one_line
from framework.engine.ray.runtime import own_folders, quiet
from framework.registry.discovery import add_import_path
from framework.sweep.limits import Limits
from framework.sweep.processes import Processes
from framework.sweep.tasks import Death, WorkerEvent

LOOK_S = 1.0
"""Interval between two looks at the machines of the cluster."""

BEAT_S = 2.0
"""The longest interval between two reports of an actor."""

SILENT_S = 10.0
"""An actor that has reported nothing for so long, or has not carried out an order, is given up."""

START_S = 120.0
"""An actor that is not up after so long is given up, and another is created. There may be no room for either; if there
is, Ray itself allows the start of a process half of this."""

LINGER_S = 0.05
"""Time for which an actor collects the reports of a busy worker before it passes them on. A call of an actor costs
about a millisecond."""

CLOSE_S = 1.0
"""Time limit for actors to end their workers: some may have no machine yet."""

OPTIONS: dict[str, Any] = {
    "num_cpus": 1,
    "max_restarts": 0,
    "scheduling_strategy": "SPREAD",
    "concurrency_groups": {"orders": 1, "reports": 1, "closing": 1},  # threads: `report` blocks one
}

Order = tuple[Any, ...]
"""A method of Processes and its arguments."""


class Report(NamedTuple):
    """The answer of an actor: Ray's id of its machine, how many orders it has carried out, and what has happened since
    it answered last, each event with the number of its worker."""

    machine: str
    done: int
    events: list[tuple[int, WorkerEvent]]


class PoolActor:
    """Hosts one worker process at a time. `path` is put onto `sys.path`."""

    def __init__(self, path: list[str], function: bytes, limits: Limits) -> None:
        for folder in path:
            add_import_path(Path(folder))
        self._processes = Processes(function, limits, 1)
        self._orders: dict[int, Order] = {}
        self._done = 0
        self._beat_s = 0.0  # the first report is made at once: the actor is up

    def order(self, number: int, order: Order) -> None:
        """The `number`-th order, from 0. They may arrive in any order: Ray fetches large arguments apart."""
        self._orders[number] = order
        self._processes.wake()

    def report(self) -> Report:
        """Reports as soon as anything has happened, and after BEAT_S in any case."""
        import ray

        found: list[tuple[int, WorkerEvent]] = []
        until, self._beat_s = time.monotonic() + self._beat_s, BEAT_S
        while not found and (left := until - time.monotonic()) > 0:
            found = self._wait(left)
        until = time.monotonic() + LINGER_S
        while not self._processes.is_dry() and (left := until - time.monotonic()) > 0:
            found += self._wait(left)
        return Report(ray.get_runtime_context().get_node_id(), self._done, found)

    def close(self) -> None:
        """Kills the worker. Nothing can be asked of the actor afterwards."""
        self._processes.close()

    def _wait(self, timeout_s: float) -> list[tuple[int, WorkerEvent]]:
        while (order := self._orders.pop(self._done, None)) is not None:
            self._done += 1
            method, *arguments = order
            getattr(self._processes, method)(*arguments)
        return self._processes.wait(timeout_s)


@dataclass
class _Actor:
    """An actor as the driver sees it.

    `worker`: the number of the one that it hosts, None: it is free for another. `machine`: None until the actor is up.
    `due`: orders that were given before it was last asked. `alive_s`: when it last reported that it had carried them
    out.
    """

    handle: Any
    alive_s: float
    worker: int | None = None
    machine: str | None = None
    report: Any = None
    ordered: int = 0
    due: int = 0

    def order(self, *order: Any) -> None:
        self.handle.order.options(concurrency_group="orders").remote(self.ordered, order)
        self.ordered += 1

    def ask(self) -> None:
        self.due = self.ordered
        self.report = self.handle.report.options(concurrency_group="reports").remote()

    def on_report(self, report: Report, now_s: float) -> None:
        self.machine = report.machine
        if report.done >= self.due:
            self.alive_s = now_s
        self.ask()


class RayWorkers:
    """The workers of a pool on the Ray cluster that this process has joined; `count` 0: one for each of its
    processors."""

    def __init__(self, function: bytes, limits: Limits, count: int) -> None:
        self._function, self._limits, self._count = function, limits, count
        self._actors: list[_Actor] = []
        self._hosts: dict[int, _Actor] = {}
        self._cpus, self._gone, self._looked = 0, frozenset[str](), float("-inf")
        self._clock_s, self._waited = 0.0, time.monotonic()
        self._look()
        self._silence = ExitStack()
        self._silence.enter_context(quiet())

    @property
    def wanted(self) -> int:
        """The number of workers that there should be now: machines may have joined the cluster, or left it."""
        return self._count or self._cpus

    def start(self, number: int) -> None:
        """Starts a worker of this number on an actor that is free, or on a new one."""
        free = [actor for actor in self._actors if actor.worker is None]
        self._start_on(free[0] if free else self._created(), number)

    def is_placed(self, number: int) -> bool:
        """Returns whether the worker's actor has a machine. The cluster may never have room for it."""
        return self._hosts[number].machine is not None

    def send(self, number: int, chunk: bytes, calls: int) -> None:
        self._hosts[number].order("send", number, chunk, calls)

    def stop(self, number: int) -> None:
        """Kills a worker; its actor can host another."""
        actor = self._freed(number)
        if actor is not None:
            actor.order("stop", number)

    def wait(self, timeout_s: float) -> list[tuple[int, WorkerEvent]]:
        """Returns the reports of the workers, each with its number, as soon as there are any; an empty list when the
        time is up."""
        import ray

        self._look()
        self._move()
        asked = {actor.report: actor for actor in self._actors}
        if not asked:
            time.sleep(timeout_s)
            return []
        ready, _ = ray.wait(list(asked), num_returns=1, timeout=timeout_s)
        if ready and len(asked) > 1:
            ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0)
        self._advance_clock()
        found = [event for ref in ready for event in self._heard(asked[ref])]
        for actor in list(self._actors):  # some cannot be reached, and Ray may never say so
            if reason := self._unreachable(actor):
                found += self._lost(actor, Death("lost", f"its Ray actor was given up: {reason}"))
        return found

    def close(self) -> None:
        """Ends the actors and their workers."""
        import ray

        actors, self._actors, self._hosts = self._actors, [], {}
        try:
            if not ray.is_initialized():  # and they ended with it
                return
            # Ray would kill the processes with their actors, and leave their files.
            closing = [actor.handle.close.options(concurrency_group="closing").remote() for actor in actors]
            if closing:
                ray.wait(closing, num_returns=len(closing), timeout=CLOSE_S)
            for actor in actors:
                ray.kill(actor.handle)
        finally:
            self._silence.close()

    def _start_on(self, actor: _Actor, number: int) -> None:
        actor.worker = number
        self._hosts[number] = actor
        actor.order("start", number)

    def _advance_clock(self) -> None:
        """Actors have time to answer only while this process listens: it may have been stopped, or busy, since the last
        call."""
        now = time.monotonic()
        self._clock_s += min(now - self._waited, 1.0)
        self._waited = now

    def _look(self) -> None:
        """Looks at the machines of the cluster, if that was not done within LOOK_S."""
        import ray

        if time.monotonic() < self._looked + LOOK_S:
            return
        self._looked = time.monotonic()
        machines = ray.nodes()  # type: ignore[no-untyped-call]
        self._cpus = int(sum(machine["Resources"].get("CPU", 0) for machine in machines if machine["Alive"]))
        self._gone = frozenset(machine["NodeID"] for machine in machines if not machine["Alive"])

    def _unreachable(self, actor: _Actor) -> str:
        """Returns why an actor is to be given up; "" if it is not."""
        silent_s = self._clock_s - actor.alive_s
        if actor.machine is None:
            return f"not up after {START_S:g} s" if silent_s > START_S else ""
        if actor.machine in self._gone:
            return "its machine has left the cluster"
        return f"silent for {SILENT_S:g} s" if silent_s > SILENT_S else ""

    def _move(self) -> None:
        """Workers whose actors have no machine yet are started on actors that are free. The cluster may have become
        smaller, and never have room for all of them."""
        import ray

        free = [actor for actor in self._actors if actor.machine is not None and actor.worker is None]
        unplaced = [actor for actor in self._actors if actor.machine is None and actor.worker is not None]
        for actor, waits in zip(free, unplaced, strict=False):
            assert waits.worker is not None
            self._start_on(actor, waits.worker)
            self._actors.remove(waits)
            ray.kill(waits.handle)

    def _created(self) -> _Actor:
        import ray

        kind: Any = ray.remote(**OPTIONS)(PoolActor)
        actor = _Actor(kind.remote(own_folders(), self._function, self._limits), self._clock_s)
        actor.ask()
        self._actors.append(actor)
        return actor

    def _heard(self, actor: _Actor) -> list[tuple[int, WorkerEvent]]:
        import ray

        try:
            report: Report = ray.get(actor.report, timeout=SILENT_S)
        except ray.exceptions.RayError as error:
            return self._lost(actor, _death(error))
        actor.on_report(report, self._clock_s)
        for number, event in report.events:
            if isinstance(event, Death):
                self._freed(number)
        return report.events

    def _lost(self, actor: _Actor, death: Death) -> list[tuple[int, WorkerEvent]]:
        """Gives up an actor that is gone, or that cannot be reached for now: what it did may be lost."""
        import ray

        self._actors.remove(actor)
        ray.kill(actor.handle)
        if actor.worker is None:
            return []
        number = actor.worker
        self._freed(number)
        return [(number, death)]

    def _freed(self, number: int) -> _Actor | None:
        """The actor that hosted a worker; None if the worker has ended, or was stopped, before."""
        actor = self._hosts.pop(number, None)
        if actor is not None:
            actor.worker = None
        return actor


def _death(error: Exception) -> Death:
    """The loss of an actor; `misses_code` if the actor itself could not be set up, wherever that was tried."""
    import ray

    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    raised = (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError)
    misses_code = isinstance(error, raised) or bool(getattr(error, "actor_init_failed", False))
    return Death("lost", one_line(f"its Ray actor was lost: {lines[-1]}"), "", one_line(lines[-1]), misses_code)
