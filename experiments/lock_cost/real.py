"""Locks on Ray, beside etcd's: turns a second, and the time from one grant to the next."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from experiments.lock_cost.count import hand_overs
from experiments.measuring import measure
from experiments.studies import show, write_rows
from framework.core.errors import ConfigError
from framework.core.time import MILLISECOND, SECOND
from framework.trace.reader import open_run

CLIENTS = (1, 10, 100)
SECONDS = 8
LOCKS = {
    "lock server": ("protocol=lock_server", "nodes=1"),
    "lock over Raft, 3 nodes": ("protocol=raft", "nodes=3", "state_machine=lock"),
}


class Measured(NamedTuple):
    """Turns a second, and the median hand-over in milliseconds: from a release to the grant to the next."""

    lock: str
    clients: int
    turns_s: float
    hand_over_ms: float | None
    verdict: str


def compare(trials: int, folder: Path) -> None:
    """Measures each lock with each number of clients, in turns with etcd, and prints medians. Needs `etcd` and `etcdctl`."""
    if shutil.which("etcd") is None or shutil.which("etcdctl") is None:
        raise ConfigError(
            "--real", "there is no etcd to compare with", "Install the packages etcd-server and etcd-client."
        )
    found: list[Measured] = []
    for number in range(trials):
        for clients in CLIENTS:
            for name, settings in LOCKS.items():
                found.append(on_ray(name, settings, clients, number))
            found.append(with_etcd(clients))
    write_rows(folder / "real.csv", {name: [getattr(one, name) for one in found] for name in Measured._fields})
    rows = []
    for name in (*LOCKS, ETCD):
        for clients in CLIENTS:
            of = [one for one in found if (one.lock, one.clients) == (name, clients)]
            overs = [one.hand_over_ms for one in of if one.hand_over_ms is not None]
            over = f"{median(overs):.2f}" if overs else ""
            rows.append((name, str(clients), f"{median(one.turns_s for one in of):,.0f}", over, of[0].verdict))
    show("Turns with a lock on this machine", ("", "clients", "turns/s", "hand-over, ms", "verdict"), rows)


def on_ray(name: str, settings: tuple[str, ...], clients: int, seed: int) -> Measured:
    """One run on Ray. Clients release a lock as soon as they have it."""
    words = (
        "engine=ray", *settings, "workload=lock", "workload.accesses=0", "workload.hold=0", "checker=[fencing_tokens,lock_progress]", f"clients={clients}",
        f"duration={SECONDS}s", "warmup=2s", "trace=history", f"seed={seed}",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="synod-study-") as folder:
        result = measure(words, Path(folder) / "run")
        rows = open_run(Path(folder) / "run").history.to_pylist()
    rows = [row for row in rows if 2 * SECOND <= row["invoked"] < SECONDS * SECOND]
    turns = sum(row["function"] == "acquire" and row["outcome"] == "ok" for row in rows)
    overs = hand_overs(rows) if clients > 1 else []
    over = median(overs) / MILLISECOND if overs else None
    return Measured(name, clients, turns / (SECONDS - 2), over, str(result["verdict"]))


ETCD = "etcdctl lock, one etcd"


def with_etcd(clients: int) -> Measured:
    """Takes turns with `etcdctl lock`, whose every turn starts a process. The hand-over is the time from grant to grant."""
    with tempfile.TemporaryDirectory(prefix="synod-etcd-") as folder, _etcd(Path(folder)) as endpoint:
        command = ["etcdctl", f"--endpoints={endpoint}", "lock", "l1", "date", "+%s%N"]
        environment = {**os.environ, "ETCDCTL_API": "3"}
        until = time.monotonic() + SECONDS

        def turns(_: int) -> list[int]:
            grants = []
            while time.monotonic() < until:
                done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
                grants.append(int(done.stdout.split()[-1]))
            return grants

        with ThreadPoolExecutor(clients) as pool:
            grants = sorted(grant for each in pool.map(turns, range(clients)) for grant in each)
    gaps = [after - before for before, after in pairwise(grants)]
    over = median(gaps) / MILLISECOND if clients > 1 and gaps else None
    return Measured(ETCD, clients, len(grants) / SECONDS, over, "not checked")


@contextmanager
def _etcd(folder: Path) -> Iterator[str]:
    """Runs one etcd with its data in `folder`; gives its address."""
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    client, peer = (f"http://127.0.0.1:{port}" for port in ports)
    command = [
        "etcd", f"--data-dir={folder}", f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
    ]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", ports[0])) == 0:
                    break
            time.sleep(0.1)
        yield client
    finally:
        server.terminate()
        server.wait()
