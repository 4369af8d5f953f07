"""The work of this study: one client writes values of one size, to so many keys in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from framework import Command, ReplicatedMachine, StateMachineChoice
from framework.replication.sessions import OPEN
from plugins.protocols.raft.messages import Entry
from plugins.state_machines.kv import KeyValueStore

KV = StateMachineChoice(KeyValueStore)


def writes(count: int, keys: int, opened: int = 1, size: int = 256) -> Iterator[Command]:
    """`count` commands: the first opens the session, which is named by its log index, `opened`."""
    yield Command(0, OPEN, b"")
    for sequence in range(1, count):
        yield Command(opened, sequence, KeyValueStore.command("write", f"key-{sequence % keys}", f"{sequence:0{size}}"))


def machine_after(log: Iterable[Entry]) -> ReplicatedMachine:
    """What the log makes of an empty store."""
    machine = ReplicatedMachine(KV.build())
    for index, entry in enumerate(log, 1):
        if entry.command is not None:
            machine.apply(index, entry.command)
    return machine
