"""The driver's view of the workers as one: started, waited for, asked, ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from framework.core.errors import ConfigError, SynodError
from framework.core.message import NodeId
from framework.core.replica import ReplicaState
from framework.core.time import SECOND
from framework.core.tracebacks import error_line
from framework.engine.base import OLDEST, Aftermath, Tally, agreed
from framework.engine.ray.driver.remote_worker import RemoteWorker
from framework.engine.ray.driver.workers import Workers, added
from framework.engine.ray.runtime import last_words
from framework.engine.ray.worker.actor import FinalReport
from framework.faults.fault import Status

FINISH_S = 8.0
"""How long a worker may take to close its files."""

STATUS_S = 0.5
_DIED = object()

SNAPSHOT_S = 5.0
"""How long the replicas of a worker may take to make snapshots of their states."""


class Supervisor(Workers):
    """All workers of a run."""

    # Start.

    def start(self, show: Callable[[str], None]) -> None:
        """Brings every worker up, connects them and starts the run. ActorCalls `show` with the name of each stage.

        Raises ConfigError, which names the stage, when one fails or `engine.start_timeout` is over, and PluginFailed for a
        plugin that raises already there.
        """
        deadline = time.monotonic() + int(self.experiment.engine_config.start_timeout) / SECOND
        workers, experiment = self.workers, self.experiment
        show(f"placing {len(self.launch.servers)} node actors")
        self.launch.reserve()
        show(stage := f"starting {len(workers)} actors")
        for worker in workers:
            self._spawn(worker)
        listening = [worker.handle.listen.remote(self.launch.listen_host()) for worker in workers]
        for worker, where in zip(workers, self._all(stage, workers, listening, deadline), strict=True):
            worker.where = where
        show(stage := f"connecting {len(workers)} actors")
        contacts = self._contacts()
        self._all(stage, workers, [worker.handle.connect.remote(contacts) for worker in workers], deadline)
        self.zero = time.monotonic_ns()
        self.epoch = time.time_ns()
        show(stage := f"booting {len(experiment.nodes)} nodes and {len(experiment.clients)} clients")
        for group in (self.launch.servers, self.launch.client_workers):
            for booted in self._all(stage, group, [self._boot_call(worker, -1) for worker in group], deadline):
                self.failure = self.failure or booted.refused
        for worker in workers:
            worker.up = True
            self._report(worker)

    def _all(self, stage: str, workers: Sequence[RemoteWorker], calls: list[Any], deadline: float) -> list[Any]:
        """The answers of `workers` to `calls`."""
        import ray

        left = max(0.1, deadline - time.monotonic())
        try:
            return list(ray.get(calls, timeout=left))
        except ray.exceptions.GetTimeoutError as error:
            answered, _ = ray.wait(calls, num_returns=len(calls), timeout=0)
            silent = [worker.endpoints[0] for worker, call in zip(workers, calls, strict=True) if call not in answered]
            timeout = self.experiment.engine_config.start_timeout
            what = f"gave up {stage}: {_shortened(silent)} did not answer within {timeout}"
            if why := last_words():
                raise ConfigError("engine=ray", f"{what}; Ray's processes died at their start ({why})") from error
            raise ConfigError("engine.start_timeout", what, "Give them longer, or start fewer.") from error
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, SynodError):
                raise cause from error
            last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise ConfigError("engine=ray", f"{stage} failed ({last.strip()[:300]})") from error

    # While it runs.

    def wait(self, seconds: float) -> None:
        """Takes the answers that come within `seconds`; returns as soon as there was one."""
        import ray

        deadline = time.monotonic() + seconds
        ready, _ = ray.wait(list(self._due), num_returns=1, timeout=max(0.0, seconds))
        if not ready and not self._due:
            time.sleep(max(0.0, deadline - time.monotonic()))
        for answer in ready:
            act = self._due.pop(answer)
            try:
                value = ray.get(answer)
            except ray.exceptions.RayError as error:
                value = error
            act(value)
        for worker in self.workers:
            if worker.up and not worker.reporting and time.monotonic() >= worker.next_report:
                self._report(worker)

    def tally(self) -> Tally:
        """What all workers have counted so far."""
        return merged([*self._ended_tallies, *(worker.tally for worker in self.workers)])

    def touched_counts(self) -> dict[int, tuple[int, int]]:
        """How many messages came by each disturbance, and how many it touched."""
        whole = self._touched_counts
        for worker in self.workers:
            whole = added(whole, worker.touched_counts)
        return whole

    @property
    def load_finished(self) -> bool:
        """Whether no client has an operation under way, and none will start."""
        return all(worker.finished for worker in self.launch.client_workers)

    def statuses(self) -> dict[NodeId, Status | None]:
        """What the nodes show of themselves now: None for one that is down.

        Of one that stands still, or does not answer in time, it is what it showed last.
        """
        import ray

        asked = [worker for worker in self.launch.servers if worker.up and not worker.paused]
        calls = {worker.handle.report.remote(): worker for worker in asked}
        ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=STATUS_S) if calls else ([], [])
        for call in ready:
            try:
                self._took(calls[call], ray.get(call))
            except ray.exceptions.RayError:  # it died just now; its watch will tell
                calls[call].statuses = {}
        return {node: self._status(node) for node in self.experiment.nodes if node not in self.standing_by}

    @property
    def leaders(self) -> tuple[NodeId, ...]:
        """Those whose last word was that they lead; of two, one may not have heard yet that it does not."""
        return tuple(node for node in self.experiment.nodes if (self._status(node) or {}).get("role") == "leader")

    def _status(self, node: NodeId) -> Status | None:
        worker = self.launch.worker_of[node]
        return worker.statuses.get(node) if worker.up else None

    def away(self) -> list[NodeId]:
        """The nodes that are to run and have not been heard of since they were last started."""
        return [
            node
            for node in self.experiment.nodes
            if node not in self.standing_by
            and node not in self.lost
            and not self.conditions.damaged((node,))
            and self._status(node) is None
        ]

    def aftermath(self) -> Aftermath:
        """The servers, and the operations that are open."""
        statuses = self.statuses()
        down = [node for node, status in statuses.items() if status is None]
        running = tuple(node for node in statuses if node not in down)
        workers = {self.launch.worker_of[node].worker: self.launch.worker_of[node] for node in running}
        answers = self._asked([worker.handle.can_serve.remote(running) for worker in workers.values()])
        said = agreed(answers) if len(answers) == len(workers) else None
        parts = self._asked([worker.handle.open_operations.remote() for worker in self.launch.client_workers])
        waiting = sorted((one for some, _ in parts for one in some), key=lambda one: one.since)
        damaged = frozenset(node for node in down if self.conditions.damaged((node,)))
        return Aftermath(
            statuses=statuses,
            for_good=damaged.union(self.lost.intersection(down)),
            damaged=damaged,
            can_serve=said,
            waiting=tuple(waiting[:OLDEST]),
            open=sum(count for _, count in parts),
        )

    def _asked(self, calls: list[Any]) -> list[Any]:
        """The answers that come in time."""
        import ray

        ready, _ = ray.wait(calls, num_returns=len(calls), timeout=STATUS_S) if calls else ([], [])
        answers = (self._answer(call) for call in ready)
        return [answer for answer in answers if answer is not _DIED]

    def _answer(self, call: Any) -> Any:
        """What a call that is over has answered; _DIED if its process has. What it raised ends the run."""
        import ray

        try:
            return ray.get(call)
        except ray.exceptions.RayTaskError as error:
            self.failure = self.failure or error_line(error.cause or error)
        except ray.exceptions.RayError:
            pass  # it died just now; its watch will tell
        return _DIED

    def replica_states(self, *, whole: bool) -> dict[NodeId, ReplicaState | None]:
        """WorkerAddress the replicas stand; None for one that does not answer in time, absent if it is down or keeps no copy."""
        import ray

        asked = [worker for worker in self.launch.servers if worker.up or worker.wanted is not None]
        found: dict[NodeId, ReplicaState | None] = {
            node: None for worker in asked for node in worker.endpoints if node not in self.lost
        }
        calls = {worker.handle.replica_states.remote(whole): worker for worker in asked if worker.up}
        limit = SNAPSHOT_S if whole else STATUS_S
        ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=limit) if calls else ([], [])
        for call in ready:
            answer = self._answer(call)
            if answer is _DIED:
                continue
            for node in calls[call].endpoints:
                found.pop(node, None)
            found.update(answer)
        return {node: found[node] for node in self.experiment.nodes if node in found and node not in self.standing_by}

    def healed(self, at: int) -> None:
        """Tells the clients that the faults are over."""
        for worker in self.launch.client_workers:
            worker.handle.healed.options(concurrency_group="faults").remote(at)

    # End.

    def finish(self) -> None:
        """Has every worker close its files, takes what they report, and fetches what lies on other machines."""
        import ray

        self._ending = True
        calls = {}
        for worker in self.workers:
            if worker.where is not None:
                self.machine(worker).signal(worker.where.pid, "continue")
            if worker.up:
                calls[worker.handle.finish.remote()] = worker
        ready, late = ray.wait(list(calls), num_returns=len(calls), timeout=FINISH_S) if calls else ([], [])
        for call in ready:
            try:
                report = ray.get(call)
            except ray.exceptions.RayError as error:
                who = calls[call].endpoints[0]
                self.failure = self.failure or f"{who} did not close its files ({type(error).__name__})"
                continue
            self._reported(calls[call], report)
        if late:
            self.failure = (
                self.failure or f"{calls[late[0]].endpoints[0]} did not close its files within {FINISH_S:g} s"
            )
        self._fetch()

    def _reported(self, worker: RemoteWorker, report: FinalReport) -> None:
        self._took(worker, report.report)
        self.rejected += report.rejected
        for crash in report.crashes:
            self._crashed(crash)

    def _fetch(self) -> None:
        for name, machine in self.launch.machines.items():
            if name != self.launch.runtime.machine:
                for file, content in machine.files("trace"):
                    target = self.experiment.run_dir / "trace" / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content)

    def kill(self) -> None:
        """Ends every process of the run, stopped ones too, and removes the durable state."""
        import ray

        self._ending = True
        for machine in self.launch.machines.values():
            here = [worker for worker in self.workers if self.machine(worker) is machine]
            machine.kill([worker.where.pid for worker in here if worker.where is not None])
        for worker in self.workers:
            if worker.handle is not None:
                ray.kill(worker.handle, no_restart=True)
        self.launch.release()


def _shortened(names: Sequence[str]) -> str:
    """`n1 n2 n3 and 4 more`."""
    return " ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def merged(tallies: list[Tally]) -> Tally:
    """The sum of what several workers counted."""
    whole = Tally()
    for tally in tallies:
        whole.ok += tally.ok
        whole.fail += tally.fail
        whole.unknown += tally.unknown
        whole.measured += tally.measured
        whole.steps += tally.steps
        whole.fsyncs += tally.fsyncs
        whole.latencies.add(tally.latencies)
        for field in ("asked", "recovered", "stuck", "freed"):
            setattr(whole, field, getattr(whole, field) + getattr(tally, field))
        whole.administered.update(tally.administered)
        for field in ("messages", "dropped", "duplicated", "notes", "faults", "abandoned"):
            mine = getattr(whole, field)
            for name, count in getattr(tally, field).items():
                mine[name] = mine.get(name, 0) + count
    return whole
