"""RayEngine: runs an experiment on Ray actors, in real time."""

from __future__ import annotations

import dataclasses
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.core.errors import ConfigError
from framework.core.time import SECOND
from framework.engine.base import Aftermath, EngineResult, Experiment, Progress, asked_settled, with_restarts
from framework.engine.tally import Tally
from framework.engine.wire_codec import Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from framework.checking.convergence import Settled
    from framework.engine.ray.driver.ray_faults import RayFaults
    from framework.engine.ray.driver.supervisor import Supervisor
    from framework.engine.ray.runtime import RayRuntime

LOOK_S = 0.2
"""Longest interval between two turns of the driver."""

SETTLE_LOOK_S = 0.05
"""Interval between queries of the replicas' progress, once clients are quiet."""

BUSY = "a machine that is busy may need longer"
"""The reason why a replica that stays behind may not be at fault."""

DRAIN_SLACK = SECOND
"""Additional time for operations to end after their time-out."""


class RayEngine:
    """Runs nodes as Ray actors. A run leaves only its folder behind: no process, no file elsewhere."""

    def run(self, experiment: Experiment, progress: Progress) -> EngineResult:
        """Runs to the end of the load, or to a KeyboardInterrupt.

        Raises ConfigError if the run cannot start: an address does not answer, or actors cannot be placed.
        """
        from framework.engine.ray.runtime import is_up, runtime

        experiment = dataclasses.replace(experiment, run_dir=Path(experiment.run_dir).resolve())
        Wire(experiment.protocol)
        config = experiment.engine_config
        servers = -(-len(experiment.nodes) // int(config.nodes_per_actor)) + len(experiment.services)
        _check(experiment, servers)
        each = int(config.clients_per_actor)
        actors = servers + (-(-len(experiment.clients) // each) + bool(experiment.administrator) if each else 1)
        began = time.perf_counter()
        if not is_up():
            progress(0, Tally(stage="starting Ray" if config.address is None else f"joining Ray at {config.address}"))
        with runtime(config.address, actors, code_modules(experiment)) as up:
            return _Course(experiment, up, progress, began).run()


class _Course:
    """One run, from the first actor to the last file."""

    def __init__(self, experiment: Experiment, up: RayRuntime, progress: Progress, began: float) -> None:
        from framework.engine.ray.driver.ray_faults import RayFaults
        from framework.engine.ray.driver.supervisor import Supervisor

        self.experiment, self.up, self.progress, self.began = experiment, up, progress, began
        self.rows = _driver_rows(experiment)
        self.supervisor: Supervisor = Supervisor(experiment, up, self.rows)
        self.faults: RayFaults = RayFaults(experiment, self.supervisor)
        self.interrupted = False
        self.aftermath: Aftermath | None = None
        self.settled: Settled | None = None
        self.final_at: int | None = None
        self._shown = 0.0
        self.seconds = {"start": 0.0, "end": 0.0}

    def run(self) -> EngineResult:
        from framework.engine.ray.runtime import undisturbed

        supervisor = self.supervisor
        ended = 0
        try:
            try:
                supervisor.start(self._show_stage)
                self.seconds["start"] = time.perf_counter() - self.began
                self._drive()
                self._converge()
                self._run_final_phase()
            except KeyboardInterrupt:
                self.interrupted = True
            ended = supervisor.now() if supervisor.zero else 0
            began = time.perf_counter()
            with undisturbed():
                self._show_stage("closing the files of the actors")
                supervisor.finish()
                self._settle()
            self.seconds["end"] = time.perf_counter() - began
        finally:
            with undisturbed():
                try:
                    self._show_stage("stopping the actors and Ray" if self.up.local else "stopping the actors")
                    if self.rows is not None:
                        self.rows.close()
                finally:
                    supervisor.kill()
                self._complete_traces()
        return self._result(ended)

    def _show_stage(self, stage: str) -> None:
        self.progress(self.supervisor.now() if self.supervisor.zero else 0, Tally(stage=stage))

    def _drive(self) -> None:
        """Drives the run to the end of the load. Operations under way may still end, bounded by their time-out."""
        experiment, supervisor = self.experiment, self.supervisor
        last = experiment.load_over_at + DRAIN_SLACK
        while not supervisor.failure:
            now = supervisor.now()
            if now >= experiment.duration and self.aftermath is None and self.faults.healed_at is not None:
                self.aftermath = supervisor.aftermath()
            if now >= last or (now >= experiment.duration and supervisor.load_finished):
                return
            due = min(self.faults.next_at, last, experiment.duration if now < experiment.duration else last)
            self._turn(min(LOOK_S, max(0, due - now) / SECOND))

    def _turn(self, seconds: float) -> None:
        """Handles answers that arrive within `seconds`, and carries out faults that are due."""
        self.supervisor.wait(seconds)
        self.faults.carry_out_due()
        if time.monotonic() - self._shown >= LOOK_S:
            self._shown = time.monotonic()
            self.progress(self.supervisor.now(), self._tally())
            if self.rows is not None:
                self.rows.flush_if_due()

    def _converge(self) -> None:
        """After the load, waits until all replicas are equal and the protocol has finished, or `settle` has passed."""
        from framework.checking.convergence import Settled, look

        experiment, supervisor = self.experiment, self.supervisor
        began = supervisor.now()
        while experiment.settle and not supervisor.failure:
            took = supervisor.now() - began
            replica_states = look(lambda whole: supervisor.replica_states(whole=whole), last=took >= experiment.settle)
            unfinished = ""
            if replica_states is not None and experiment.protocol.settled is not None:
                unfinished = asked_settled(experiment.protocol, supervisor.node_copies())
            if replica_states is not None and (not unfinished or took >= experiment.settle):
                called = [node for node in experiment.nodes if node not in supervisor.standing_by]
                self.settled = Settled(
                    nodes=len(called), replica_states=replica_states, took=took, excuse=BUSY,
                    down=tuple(node for node in called if node not in replica_states and not supervisor.is_up(node)),
                    unfinished=unfinished,
                )  # fmt: skip
                return
            self._turn(SETTLE_LOOK_S)

    def _run_final_phase(self) -> None:
        """Runs the workload's final phase, if it has one, until all clients are done or its time is over."""
        phase, supervisor = self.experiment.final_phase, self.supervisor
        if phase is None or supervisor.failure:
            return
        self._turns_until(supervisor.now() + phase.after, lambda: False)
        self.final_at = supervisor.now()
        supervisor.begin_final()
        last = self.final_at + phase.limit + int(self.experiment.workload_config.timeout) + DRAIN_SLACK
        self._turns_until(last, lambda: supervisor.final_finished)

    def _turns_until(self, last: int, is_over: Callable[[], bool]) -> None:
        """Runs turns until `is_over`, or the run's time is `last`, or the run has failed."""
        supervisor = self.supervisor
        while not supervisor.failure and not is_over() and (left := last - supervisor.now()) > 0:
            self._turn(min(LOOK_S, left / SECOND))

    def _tally(self) -> Tally:
        tally = self.supervisor.tally()
        tally.faults, tally.healed_at = self.faults.fired, self.faults.healed_at
        tally.leaders = self.supervisor.leaders
        return tally

    def _settle(self) -> None:
        """Merges the histories written by several client actors into one."""
        if len(self.supervisor.launch.client_workers) > 1 and self.experiment.trace != "none":
            from framework.engine.ray.worker.trace_rows import merge_histories

            folder = self.experiment.run_dir
            parts = [folder / f"history-{worker.number}.arrow" for worker in self.supervisor.launch.client_workers]
            merge_histories(parts, folder / "history.arrow")

    def _complete_traces(self) -> None:
        """Completes the trace files of killed processes, after all processes have ended."""
        from framework.trace.ipc_format import Damaged
        from framework.trace.tail import complete

        for tail in sorted((self.experiment.run_dir / "trace").glob("*.tail")):
            with suppress(Damaged, OSError):  # left as it is: its reader reports the damage
                complete(tail.with_suffix(".arrow"))

    def _result(self, ended: int) -> EngineResult:
        experiment, supervisor = self.experiment, self.supervisor
        return EngineResult(
            tally=self._tally(),
            crashes=with_restarts(
                supervisor.crashes, {node for node in experiment.endpoints if supervisor.is_up(node)}
            ),
            wall_s=ended / SECOND,
            virtual_s=ended / SECOND,
            measured_s=max(0, min(ended, experiment.duration) - experiment.warmup) / SECOND,
            digest=None,
            interrupted=self.interrupted,
            failure=supervisor.failure,
            ledger=self.faults.ledger(),
            aftermath=self.aftermath,
            settled=self.settled,
            final_at=self.final_at,
            details=self._details(),
        )

    def _details(self) -> dict[str, Any]:
        from framework.engine.ray.driver.supervisor import NODE_REPORT_S

        supervisor = self.supervisor
        errors = [machine.error for machine in supervisor.launch.machines.values()]
        details: dict[str, Any] = {
            "machines": len(supervisor.launch.machines),
            "clock_error_ms": round(max(errors, default=0) / 1e6, 3),
            "start_s": round(self.seconds["start"], 3),
            "end_s": round(self.seconds["end"], 3),
            "transport": self.experiment.engine_config.transport,
            "storage": self.experiment.engine_config.storage,
            "fsync_ms": round(supervisor.launch.fsync / 1e6, 3),
        }
        if killed := sum(worker.incarnation for worker in supervisor.launch.servers):
            details["uncounted"] = (
                f"up to {NODE_REPORT_S:g} s of the steps, fsyncs and messages of each process killed ({killed})"
            )
        if supervisor.rejected:
            details["rejected_connections"] = supervisor.rejected
        return details


def _check(experiment: Experiment, servers: int) -> None:
    """Raises ConfigError for configs that are sure to fail, before Ray starts. `servers`: number of node actors."""
    from framework.engine.ray.runtime import check_address, is_up

    config = experiment.engine_config
    if config.address is not None and not is_up():
        check_address(config.address)
    elif experiment.scheduling_config.strategy == "strict_spread" and servers > 1 and not is_up():
        raise ConfigError(
            "scheduling=strict_spread", f"{servers} node actors need as many machines, and a Ray of our own has this one",
            "Join a cluster with engine.address=HOST:PORT, or use scheduling=spread.",
        )  # fmt: skip
    if config.storage == "memory" and experiment.faults and int(config.nodes_per_actor) == 1:
        raise ConfigError(
            "engine.storage", "memory forgets everything when a process is killed, and faults kill processes",
            "Use engine.storage=sqlite, or no faults.",
        )  # fmt: skip


def code_modules(experiment: Experiment) -> tuple[str, ...]:
    """Returns the paths of the code that other machines need: framework, plugins, and the modules of the experiment's
    classes."""
    import importlib

    kinds: list[type] = [*experiment.protocol.node_classes, experiment.workload.workload]
    kinds += [experiment.network.model, *(spec.implementation for _, spec, _ in experiment.faults)]
    choice = getattr(experiment.protocol_config, "state_machine", None)
    kinds += [choice.machine] if choice is not None else []
    places: dict[str, None] = {}
    for name in dict.fromkeys(["framework", *(kind.__module__.partition(".")[0] for kind in kinds)]):
        module = importlib.import_module(name)
        if hasattr(module, "__path__"):
            places[str(Path(next(iter(module.__path__))))] = None
        elif module.__file__ is not None:
            places[module.__file__] = None
    return tuple(places)


def _driver_rows(experiment: Experiment) -> Any:
    """Returns the driver's own trace file (faults, crashes and restarts); None unless the trace is full."""
    if experiment.trace != "full":
        return None
    from framework.engine.ray.worker.trace_rows import EventRows, first_seq

    endpoints = experiment.endpoints
    first = first_seq(len(endpoints), 0)
    return EventRows(experiment.run_dir / "trace" / "driver.arrow", Wire(experiment.protocol), endpoints, first)
