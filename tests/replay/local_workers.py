"""A run on workers without Ray: one process, one loop, real time, and the trace that Ray's engine leaves."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from framework.core.node import Node
from framework.engine.base import Experiment
from framework.engine.ray.worker.setup import Setup
from framework.engine.ray.worker.trace_rows import EventRows, first_seq
from framework.engine.ray.worker.worker import Worker
from framework.engine.wire_codec import Wire
from framework.trace.recorder import HistoryWriter
from tests.engine.ray.register import register_run

EPOCH = 1_700_000_000_000_000_000


def register_on(folder: Path, node: type[Node] | None = None, **options: Any) -> Experiment:
    """The register on three nodes, with `node` for its node class."""
    experiment = register_run(folder, **options)
    if node is None:
        return experiment
    return dataclasses.replace(experiment, protocol=dataclasses.replace(experiment.protocol, node=node))


class Outbox:
    def __init__(self, worker: int) -> None:
        self.worker = worker
        self.chunks: list[bytes] = []
        self.size = 0
        self.waiting = False


class Local:
    """A transport to the other workers of the same loop."""

    tick_nodes = 256

    def __init__(self, workers: list[Worker]) -> None:
        self.waiting: list[Any] = []
        self._workers = workers
        self._peers: dict[int, Outbox] = {}

    def peer(self, worker: int) -> Outbox:
        return self._peers.setdefault(worker, Outbox(worker))

    def flush(self) -> None:
        waiting, self.waiting = self.waiting, []
        for peer in waiting:
            peer.waiting = False
            frames, peer.size = b"".join(peer.chunks), 0
            peer.chunks.clear()
            target = self._workers[peer.worker]
            target.loop.call_soon(target.take, frames)

    def resume(self) -> None:
        """Nothing was stopped."""

    def close(self) -> None:
        """Nothing to close."""


def run_on_workers(
    experiment: Experiment,
    *,
    until: Callable[[list[Worker]], bool],
    meanwhile: Callable[[list[Worker]], None] | None = None,
) -> None:
    """A traced run on a worker of all nodes and one of all clients, up to `until`; 20 s at most.

    `meanwhile` is called in each turn of the loop.
    """
    folder = experiment.run_dir
    loop = asyncio.new_event_loop()
    workers: list[Worker] = []
    rows = []
    for number, endpoints in enumerate((experiment.nodes, experiment.clients)):
        setup = Setup(
            experiment=experiment, worker=number, incarnation=0, endpoints=endpoints, first_client=None if not number else 0,
            worker_of=tuple(int(host in experiment.clients) for host in (*experiment.nodes, *experiment.clients)),
            secret=b"", transport="mesh", storage="memory", folder=folder, history=folder / "history.arrow",
        )  # fmt: skip
        all_hosts = (*experiment.nodes, *experiment.clients)
        rows.append(EventRows(setup.trace, Wire(experiment.protocol), all_hosts, first_seq(number, 0)))
        workers.append(Worker(setup, loop, rows[-1]))
        workers[-1].transport = Local(workers)
    _, clients = workers
    clients.history = HistoryWriter(folder / "history.arrow")
    for worker in workers:
        worker.zero, worker.epoch = time.monotonic_ns(), EPOCH
    for worker in workers:
        for node in worker.nodes.values():
            worker.boot(node, worker.commits.storage(node.id) if node.durable else None)
    clients.prepare_clients()
    clients.begin_load()
    loop.run_until_complete(_turns(workers, until, meanwhile))
    for worker in workers:
        worker.end()
    clients.end_clients()
    for written in rows:
        written.close()
    loop.close()


async def _turns(
    workers: list[Worker],
    until: Callable[[list[Worker]], bool],
    meanwhile: Callable[[list[Worker]], None] | None,
) -> None:
    deadline = time.monotonic() + 20
    while not until(workers):
        assert time.monotonic() < deadline, "the run did not come so far within 20 s"
        if meanwhile is not None:
            meanwhile(workers)
        await asyncio.sleep(0)
