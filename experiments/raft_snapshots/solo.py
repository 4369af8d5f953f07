"""One server of Raft that is a group of its own, over a database as on Ray: what its disk holds, and how long it takes to return."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from framework import Command, Message, Request
from framework.core.host import SEND, Host
from framework.engine.ray.storage import Database, NodeStorage
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.node import Raft

ITSELF, CLIENT = "n1", "c1"


class Solo:
    """Elects itself, and answers a batch of requests at a time."""

    def __init__(self, database: Database, config: RaftConfig) -> None:
        self.database = database
        self.host = Host(ITSELF, random.Random(0), NodeStorage(database.load().get(ITSELF, {})))
        self.host.boot(Raft, config, ())
        self.host.fire(("", "start_election", ()))
        self._finish()

    @property
    def node(self) -> Raft:
        return cast(Raft, self.host.root)

    def execute(self, commands: Sequence[Command]) -> None:
        """Appends, commits and applies these."""
        for command in commands:
            self.host.deliver("", CLIENT, Request(command.sequence, command))
        self._finish()

    def _finish(self) -> None:
        """Ends the batch, and takes what it sent to itself as the next one."""
        while True:
            while soon := self.host.take_soon():
                self.host.fire(soon[0])
            changes = self.host.changes()
            if changes:
                self.database.commit(self.database.encode([(ITSELF, changes)]))
            if self.database.bloated:
                self.database.compact()
            letters: list[Message] = [last for kind, to, _, last in self.host.effects if (kind, to) == (SEND, ITSELF)]
            self.host.effects.clear()
            self.host.early.clear()
            if not letters:
                return
            for letter in letters:
                self.host.deliver("", ITSELF, letter)


def restarted(path: Path, config: RaftConfig) -> tuple[Solo, float]:
    """The server of an earlier life, once it has applied all that it held, and the seconds that this took."""
    began = time.perf_counter()
    solo = Solo(Database.reopen(path), config)
    return solo, time.perf_counter() - began


def size_bytes(path: Path) -> int:
    """What the database takes on the disk, its write-ahead log included."""
    return sum(file.stat().st_size for file in path.parent.glob(path.name + "*"))
