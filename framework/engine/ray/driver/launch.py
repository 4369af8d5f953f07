"""Launches workers: reserves machines, contacts them, and creates actors where their storage is."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.core.errors import ConfigError
from framework.core.message import NodeId
from framework.core.time import SECOND, format_duration
from framework.engine.base import Experiment
from framework.engine.ray.driver.machine_agent import MachineAgent
from framework.engine.ray.driver.remote_worker import Machine, RemoteWorker
from framework.engine.ray.runtime import own_folders
from framework.engine.ray.worker.actor import WorkerActor
from framework.engine.ray.worker.setup import Setup

if TYPE_CHECKING:
    from framework.engine.ray.runtime import RayRuntime

CLOCK_READINGS = 9


class Launch:
    """The placement of a run's workers. `workers` holds the workers of nodes first, then those of clients."""

    def __init__(self, experiment: Experiment, runtime: RayRuntime) -> None:
        config = experiment.engine_config
        self.experiment, self.runtime = experiment, runtime
        self.run_id = secrets.token_hex(4)
        self.machines: dict[str, Machine] = {}
        self.workers = make_workers(experiment, int(config.nodes_per_actor), int(config.clients_per_actor))
        self.servers = [worker for worker in self.workers if not worker.serves_clients]
        self.client_workers = [worker for worker in self.workers if worker.serves_clients]
        self.worker_of = {endpoint: worker for worker in self.workers for endpoint in worker.endpoints}
        endpoints = experiment.endpoints
        self._worker_of = tuple(self.worker_of[endpoint].number for endpoint in endpoints)
        self.fsync = 0  # of the slowest disk, nanoseconds; 0: not measured
        self._secret = secrets.token_bytes(32)
        self._group: Any = None

    def reserve(self) -> None:
        """Finds a machine for every worker, and puts an agent on each. Raises ConfigError if the nodes cannot be
        placed."""
        import ray
        from ray.util.placement_group import placement_group, placement_group_table

        scheduling = self.experiment.scheduling_config
        bundles = [{"CPU": float(scheduling.cpus_per_actor)} for _ in self.servers]
        self._group = placement_group(bundles, strategy=scheduling.strategy.upper(), name=f"synod-{self.run_id}")
        ready, _ = ray.wait([self._group.ready()], timeout=int(scheduling.timeout) / SECOND)
        if not ready:
            raise ConfigError(
                f"scheduling={scheduling.strategy}",
                f"{len(bundles)} node actors cannot be placed on {_machine_count()} machine(s) within "
                f"{format_duration(scheduling.timeout)}",
                "Use scheduling=spread, fewer nodes, or more machines.",
            )
        placed = placement_group_table(self._group)["bundles_to_node_id"]
        for bundle, worker in enumerate(self.servers):
            worker.machine = placed[bundle]
        for worker in self.client_workers:
            worker.machine = self.runtime.machine
        self._meet_all()

    def _meet_all(self) -> None:
        for name in dict.fromkeys([self.runtime.machine, *(worker.machine for worker in self.workers)]):
            self.machines[name] = self._meet(name)
        if self.experiment.engine_config.storage == "sqlite":
            self.fsync = max(self.machines[worker.machine].fsync() for worker in self.servers)

    def _meet(self, name: str) -> Machine:
        """Returns a machine with its agent: in this process on the driver's own machine, an actor on every other."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if name == self.runtime.machine:
            return Machine(self.experiment.run_dir, MachineAgent())
        options: dict[str, Any] = {"scheduling_strategy": NodeAffinitySchedulingStrategy(name, soft=False)}
        agent = ray.remote(MachineAgent).options(num_cpus=0, **options).remote()
        machine = Machine(Path(tempfile.gettempdir()) / f"synod-{self.run_id}-{name[:8]}", None, agent)
        machine.set_clock(CLOCK_READINGS)
        return machine

    def create(self, worker: RemoteWorker) -> Any:
        """Creates the actor of the worker's present incarnation. Its class is named after its nodes, because `ps` shows
        that name."""
        import ray
        from ray import cloudpickle
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

        if worker.first_client is None:
            strategy: Any = PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=worker.number)
        else:
            strategy = NodeAffinitySchedulingStrategy(worker.machine, soft=False)
        label = worker.endpoints[0] if len(worker.endpoints) == 1 else f"{worker.endpoints[0]}-{worker.endpoints[-1]}"
        options: dict[str, Any] = {"max_concurrency": 8, "concurrency_groups": {"frames": 1, "watch": 1, "faults": 1}}
        actor: Any = ray.remote(**options)(type(label, (WorkerActor,), {}))
        pickled = cloudpickle.dumps(self._setup(worker))  # type: ignore[no-untyped-call]
        return actor.options(
            name=f"synod-{self.run_id}-{label}-{worker.incarnation}",
            num_cpus=0,
            max_restarts=0,
            scheduling_strategy=strategy,
        ).remote([*self.experiment.plugin_paths, *own_folders()], pickled)

    def _setup(self, worker: RemoteWorker) -> Setup:
        config, run_dir = self.experiment.engine_config, self.experiment.run_dir
        history = "history.arrow" if len(self.client_workers) == 1 else f"history-{worker.number}.arrow"
        return Setup(
            experiment=self.experiment,
            worker=worker.number,
            incarnation=worker.incarnation,
            endpoints=worker.endpoints,
            first_client=worker.first_client,
            worker_of=self._worker_of,
            secret=self._secret,
            transport=config.transport,
            storage=config.storage,
            folder=self.machines[worker.machine].folder,
            history=run_dir / history,
        )

    def listen_host(self) -> str:
        """Returns the host where workers listen: loopback for a local runtime, else "": each machine's own address."""
        return "127.0.0.1" if self.runtime.local else ""

    def release(self) -> None:
        """Releases the machines, and removes the run's files on them outside its folder."""
        from ray.util.placement_group import remove_placement_group

        for name, machine in self.machines.items():
            machine.clean(home=name == self.runtime.machine)
        if self._group is not None:
            remove_placement_group(self._group)


def make_workers(experiment: Experiment, nodes_per_actor: int, clients_per_actor: int) -> list[RemoteWorker]:
    """Returns the workers of a run: nodes packed in order, the workload's service, clients packed in order.

    The administrator shares a worker with all clients, or has its own.
    """
    nodes, clients = experiment.nodes, experiment.clients
    packed = [*_cut(nodes, nodes_per_actor), *((service,) for service in experiment.services)]
    workers = [RemoteWorker(worker, endpoints) for worker, endpoints in enumerate(packed)]
    shares = _cut(clients, clients_per_actor) if clients_per_actor else [experiment.callers]
    if clients_per_actor and experiment.administrator:
        shares.append((experiment.administrator,))
    first = 0
    for share in shares:
        workers.append(RemoteWorker(len(workers), share, first_client=first))
        first += len(share)
    return workers


def _cut(names: tuple[NodeId, ...], size: int) -> list[tuple[NodeId, ...]]:
    """Returns `names` in pieces of `size`; the last may be shorter."""
    return [names[at : at + size] for at in range(0, len(names), size)]


def _machine_count() -> int:
    import ray

    return len(ray.nodes())  # type: ignore[no-untyped-call]
