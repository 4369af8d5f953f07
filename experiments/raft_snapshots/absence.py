"""A follower that was down while others committed, in the simulator: how it catches up."""

from __future__ import annotations

from typing import NamedTuple, cast

from experiments.raft_snapshots.writes import machine_after, writes
from experiments.trials import Trial, servers
from framework.core.durable import Change, LogWritten, ScalarSet
from framework.core.node_runtime import NodeRuntime
from framework.core.time import MILLISECOND
from plugins.protocols.raft.messages import Entry, Snapshot
from plugins.protocols.raft.node import Raft

TERM = 1
SETTINGS = ("nodes=3", "network=lan", "network.bandwidth=1gbit", "state_machine=kv", "duration=60s", "engine.disk_latency=1ms")  # fmt: skip


class Return(NamedTuple):
    """How the follower came back, from when it first heard of the leader; `sent` are messages to both followers."""

    caught_up_ms: float
    appends: int
    chunks: int
    elections: int


class Absence(Trial):
    """n1 and n2 hold the same log, or its end behind a snapshot; n3 holds nothing."""

    def __init__(self, entries: int, kept: int | None, keys: int, *settings: str) -> None:
        super().__init__(servers("raft", *SETTINGS, *settings), seed=1)
        self.entries, self._heard_at = entries, -1
        log = [Entry(TERM, command) for command in writes(entries, keys)]
        disk: list[Change] = [ScalarSet("", "term", TERM)]
        if kept is None:
            disk.append(LogWritten("", "log", 1, 1, log))
        else:
            state = machine_after(log).snapshot()
            first = entries - kept + 1
            disk += [
                ScalarSet("", "snapshot", Snapshot(entries, TERM, state)),
                LogWritten("", "log", first, first, log[first - 1 :]),
            ]
        for node in ("n1", "n2"):
            self.nodes[node].storage.commit(disk)

    def seen_enough(self, host: NodeRuntime) -> bool:
        node = cast(Raft, host.root)
        if host.id != "n3":
            return False
        if self._heard_at < 0 and node.leader is not None:
            self._heard_at = self.true_time
        return node.commit >= self.entries

    def hold(self) -> Return:
        assert self.play(), "the follower never caught up"
        sent = self.tally.messages
        return Return(
            (self.true_time - self._heard_at) / MILLISECOND,
            sent.get("raft.AppendEntries", 0),
            sent.get("raft.InstallSnapshot", 0),
            self.tally.notes.get("elected", 0),
        )
