"""How stations come into the world: machines reserved and met, actors created where their storage is."""

from __future__ import annotations

import itertools
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.core.errors import ConfigError
from framework.core.time import SECOND, format_duration
from framework.engine.base import Experiment
from framework.engine.ray.actor import StationActor
from framework.engine.ray.machines import Agent
from framework.engine.ray.member import Machine, RemoteWorker
from framework.engine.ray.runtime import own_folders
from framework.engine.ray.setup import Setup

if TYPE_CHECKING:
    from framework.engine.ray.runtime import RayRuntime

CLOCK_READINGS = 9


class Launch:
    """Knows where everything goes. `members` are the stations: nodes first, then clients."""

    def __init__(self, experiment: Experiment, runtime: RayRuntime) -> None:
        config = experiment.engine_config
        self.experiment, self.runtime = experiment, runtime
        self.run_id = secrets.token_hex(4)
        self.machines: dict[str, Machine] = {}
        self.members = make_members(experiment, int(config.nodes_per_actor), int(config.client_actors))
        self.servers = [member for member in self.members if member.first_client is None]
        self.crews = [member for member in self.members if member.first_client is not None]
        self.member_of = {host: member for member in self.members for host in member.hosts}
        hosts = experiment.hosts
        self._station_of = tuple(self.member_of[host].station for host in hosts)
        self.fsync = 0  # of the slowest disk, nanoseconds; 0: not asked
        self._secret = secrets.token_bytes(32)
        self._group: Any = None

    def reserve(self) -> None:
        """Finds a machine for every station, and an agent on each. ConfigError when the nodes cannot be placed."""
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
        for bundle, member in enumerate(self.servers):
            member.machine = placed[bundle]
        for member in self.crews:
            member.machine = self.runtime.machine
        self._meet_all()

    def _meet_all(self) -> None:
        for name in dict.fromkeys([self.runtime.machine, *(member.machine for member in self.members)]):
            self.machines[name] = self._meet(name)
        if self.experiment.engine_config.storage == "sqlite":
            self.fsync = max(self.machines[member.machine].fsync() for member in self.servers)

    def _meet(self, name: str) -> Machine:
        """An agent within this process on the driver's own machine, an actor on every other."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if name == self.runtime.machine:
            return Machine(self.experiment.run_dir, Agent())
        options: dict[str, Any] = {"scheduling_strategy": NodeAffinitySchedulingStrategy(name, soft=False)}
        agent = ray.remote(Agent).options(num_cpus=0, **options).remote()
        machine = Machine(Path(tempfile.gettempdir()) / f"synod-{self.run_id}-{name[:8]}", None, agent)
        machine.set_clock(CLOCK_READINGS)
        return machine

    def create(self, member: RemoteWorker) -> Any:
        """The actor of the member's present incarnation. Its class is named after its nodes: that is what `ps` shows."""
        import ray
        from ray import cloudpickle
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

        if member.first_client is None:
            strategy: Any = PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=member.station)
        else:
            strategy = NodeAffinitySchedulingStrategy(member.machine, soft=False)
        label = member.hosts[0] if len(member.hosts) == 1 else f"{member.hosts[0]}-{member.hosts[-1]}"
        options: dict[str, Any] = {"max_concurrency": 8, "concurrency_groups": {"frames": 1, "watch": 1, "faults": 1}}
        actor: Any = ray.remote(**options)(type(label, (StationActor,), {}))
        pickled = cloudpickle.dumps(self._setup(member))  # type: ignore[no-untyped-call]
        return actor.options(
            name=f"synod-{self.run_id}-{label}-{member.incarnation}",
            num_cpus=0,
            max_restarts=0,
            scheduling_strategy=strategy,
        ).remote([*self.experiment.plugin_paths, *own_folders()], pickled)

    def _setup(self, member: RemoteWorker) -> Setup:
        config, run_dir = self.experiment.engine_config, self.experiment.run_dir
        history = "history.arrow" if len(self.crews) == 1 else f"history-{member.station}.arrow"
        return Setup(
            experiment=self.experiment,
            station=member.station,
            incarnation=member.incarnation,
            hosts=member.hosts,
            first_client=member.first_client,
            station_of=self._station_of,
            secret=self._secret,
            transport=config.transport,
            storage=config.storage,
            folder=self.machines[member.machine].folder,
            history=run_dir / history,
        )

    def listen_host(self) -> str:
        """Where stations listen: on this machine alone, or at the driver's machine's address within the cluster."""
        return "127.0.0.1" if self.runtime.local else ""

    def release(self) -> None:
        """Gives back the machines, without what the run left on them outside its folder."""
        from ray.util.placement_group import remove_placement_group

        for name, machine in self.machines.items():
            machine.clean(home=name == self.runtime.machine)
        if self._group is not None:
            remove_placement_group(self._group)


def make_members(experiment: Experiment, nodes_per_actor: int, client_actors: int) -> list[RemoteWorker]:
    """The stations of a run: nodes packed in order, clients in equal shares, the administrator with the last of them."""
    nodes, callers = experiment.nodes, experiment.callers
    packed = [nodes[at : at + nodes_per_actor] for at in range(0, len(nodes), nodes_per_actor)]
    members = [RemoteWorker(station, hosts) for station, hosts in enumerate(packed)]
    actors = min(client_actors, len(experiment.clients))
    cuts = [len(callers) * number // actors for number in range(actors + 1)]
    for start, stop in itertools.pairwise(cuts):
        members.append(RemoteWorker(len(members), callers[start:stop], first_client=start))
    return members


def _machine_count() -> int:
    import ray

    return len(ray.nodes())  # type: ignore[no-untyped-call]
