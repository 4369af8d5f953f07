"""What the Ray engine costs: five durable Raft nodes under closed-loop clients.

python -m tests.engine.ray.bench [clients] [seconds] [full|history|none] [mesh|actor_calls] [nodes]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from framework.config.schema import RayConfig, SchedulingConfig
from framework.core.time import SECOND, Duration
from framework.engine.base import Experiment
from framework.engine.ray.driver.engine import RayEngine
from framework.replication.state_machine import StateMachineChoice
from plugins.networks.perfect import register_network_models
from plugins.protocols.raft import register_protocols
from plugins.protocols.raft.config import RaftConfig
from plugins.state_machines.kv import register_state_machines
from plugins.workloads.kv import KeyValueConfig, Mix, register_workloads


def experiment(folder: Path, clients: int, seconds: int, trace: str, transport: str, nodes: int = 5) -> Experiment:
    """Raft with 256-byte values, all operations writes."""
    network = register_network_models()[0]
    assert network.config is not None
    return Experiment(
        name="bench", seed=1, duration=seconds * SECOND, warmup=2 * SECOND,
        nodes=tuple(f"n{number + 1}" for number in range(nodes)),
        clients=tuple(f"c{number + 1}" for number in range(clients)),
        protocol=register_protocols()[0],
        protocol_config=RaftConfig(
            state_machine=StateMachineChoice(register_state_machines()[0].machine),
            election_timeout_min=Duration("500ms"), election_timeout_max=Duration("1s"),
        ),
        workload=register_workloads()[0],
        workload_config=KeyValueConfig(value_size=256, keys=1000, mix=Mix(read=0, write=1)),
        network=network, network_config=network.config(), faults=(),
        engine_config=RayConfig(transport=transport),  # type: ignore[arg-type]
        scheduling_config=SchedulingConfig(), trace=trace, run_dir=folder,  # type: ignore[arg-type]
    )  # fmt: skip


def main() -> None:
    clients, seconds, trace, transport, nodes = [
        *sys.argv[1:],
        *["500", "8", "history", "mesh", "5"][len(sys.argv) - 1 :],
    ]
    with tempfile.TemporaryDirectory() as folder:
        run = experiment(Path(folder), int(clients), int(seconds), trace, transport, int(nodes))
        began = time.time()
        result = RayEngine().run(run, lambda now, tally: print(f"{now / SECOND:.1f} s  {tally.ok}", file=sys.stderr))
        tally = result.tally
        print(f"{tally.measured / result.measured_s:.0f} operations/s", dict(tally.latencies.summary_ms()))
        print(f"ok {tally.ok}, unknown {tally.unknown}, fsyncs {tally.fsyncs}, messages {tally.messages}")
        print(f"around the run {time.time() - began - result.wall_s:.1f} s", result.failure, result.details)
        print(f"dropped {tally.dropped}", [crash.why for crash in result.crashes])


if __name__ == "__main__":
    main()
