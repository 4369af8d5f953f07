"""One server of Raft that is a group of its own, over a database as on Ray: what its disk holds, and how long it takes
to return."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from framework import Command, Request
from framework.core.effects import Send
from framework.core.node_runtime import Batch, Deliver, Fire, NodeRuntime, Start
from framework.engine.ray.disk.database import Database, NodeStorage
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.node import Raft

ITSELF, CLIENT = "n1", "c1"


class Solo:
    """Elects itself, and answers a batch of requests at a time."""

    def __init__(self, database: Database, config: RaftConfig) -> None:
        self.database = database
        self.runtime = NodeRuntime(ITSELF, random.Random(0), NodeStorage(database.load().get(ITSELF, {})))
        self._finish(self.runtime.run([Start(Raft, config, ()), Fire(("", "start_election", ()))]))

    @property
    def node(self) -> Raft:
        return cast(Raft, self.runtime.root)

    def execute(self, commands: Sequence[Command]) -> None:
        """Appends, commits and applies these."""
        requests = (Deliver("", CLIENT, Request(command.sequence, command)) for command in commands)
        self._finish(self.runtime.run(requests))

    def _finish(self, batch: Batch) -> None:
        """Ends the batch, and takes what it sent to itself as the next one."""
        while True:
            if batch.changes:
                self.database.commit(self.database.encode([(ITSELF, batch.changes)]))
            if self.database.bloated:
                self.database.compact()
            letters = [effect.message for effect in batch.effects if isinstance(effect, Send) and effect.to == ITSELF]
            if not letters:
                return
            batch = self.runtime.run([Deliver("", ITSELF, letter) for letter in letters])


def restarted(path: Path, config: RaftConfig) -> tuple[Solo, float]:
    """The server of an earlier life, once it has applied all that it held, and the seconds that this took."""
    began = time.perf_counter()
    solo = Solo(Database.reopen(path), config)
    return solo, time.perf_counter() - began


def size_bytes(path: Path) -> int:
    """What the database takes on the disk, its write-ahead log included."""
    return sum(file.stat().st_size for file in path.parent.glob(path.name + "*"))
