"""One run: the messages of each turn, and the delays until a free lock is granted, and until it goes to the next.

Messages take 10 ms and nothing else takes time, so times are message delays. A holder releases the lock at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from experiments.simulated import simulated
from framework.core.time import MILLISECOND

DELAY = 10 * MILLISECOND

SETTINGS = (
    "workload=lock", "workload.accesses=0", "workload.hold=0", "network=perfect", "network.latency=10ms", "trace=full",
    "workload.keep_alive=false", "faults=none", "workload.timeout=60s", "workload.final_time=1ms",
)  # fmt: skip

UPKEEP = ("OpenSession", "KeepAlive", "SessionOpened", "Session", "KeptAlive")
"""Message classes that have to do with sessions, not with turns."""


@dataclass(frozen=True)
class Cost:
    """A lock, with its settings and numbers of nodes. `between_nodes`: its processes are the nodes, so that the messages of
    a client to its node do not count."""

    name: str
    settings: tuple[str, ...]
    nodes: tuple[int, ...]
    between_nodes: bool = False


LOCKS = (
    Cost("lock server", ("protocol=lock_server", "protocol.lease=1000s"), (1,)),
    Cost("Redlock", ("protocol=redlock", "protocol.lease=1000s", "workload.store.fencing=false"), (3, 5)),
    Cost("lock over Raft", ("protocol=raft", "state_machine=lock", "state_machine.lease=1000s"), (3, 5)),
    Cost("Lamport", ("protocol=lamport_mutex",), (3, 5, 7, 13), between_nodes=True),
    Cost("Ricart and Agrawala", ("protocol=ricart_agrawala",), (3, 5, 7, 13), between_nodes=True),
    Cost("Maekawa", ("protocol=maekawa",), (4, 7, 9, 13), between_nodes=True),
    Cost("token ring", ("protocol=token_ring",), (3, 5, 7, 13), between_nodes=True),
)


@dataclass(frozen=True)
class Line:
    """A lock with so many nodes, and so many clients that take one turn after the other, for so many seconds."""

    lock: Cost
    nodes: int
    clients: int
    seconds: int = 10

    @property
    def settings(self) -> tuple[str, ...]:
        return (
            *SETTINGS,
            *self.lock.settings,
            f"nodes={self.nodes}",
            f"clients={self.clients}",
            f"duration={self.seconds}s",
        )


LINES = tuple(
    Line(lock, nodes, clients)
    for lock in LOCKS
    for nodes in lock.nodes
    for clients in (1, nodes if lock.between_nodes else 5)
)


class Counted(NamedTuple):
    """What a run has shown: messages of a turn, and medians in message delays.

    `acquire`: from asking for the lock to the grant. `hand_over`: from the release to the grant to the next.
    """

    line: Line
    seed: int
    turns: int
    messages: float
    acquire: float
    hand_over: float | None


def hold(line: Line, seeds: Iterable[int]) -> list[Counted]:
    """One run for each seed."""
    return [counted(line, seed) for seed in seeds]


def counted(line: Line, seed: int) -> Counted:
    """One run."""
    with simulated(line.settings, seed, may_fail=True) as run:
        rows = run.run.history.to_pylist()
        events = run.run.events.to_pylist()
    turns = [row for row in rows if row["function"] == "acquire" and row["outcome"] == "ok"]
    assert turns, f"{line}: nobody has acquired the lock"
    first, last = turns[0]["completed"], turns[-1]["completed"]
    sent = sum(_counts(event, line, first, last) for event in events)
    waits = [row["completed"] - row["invoked"] for row in turns[1:]]
    overs = hand_overs(rows) if line.clients > 1 else []
    return Counted(
        line, seed, len(turns), sent / (len(turns) - 1), median(waits) / DELAY, median(overs) / DELAY if overs else None
    )


def _counts(event: dict[str, Any], line: Line, first: int, last: int) -> bool:
    """Returns whether an event is the delivery of a message that belongs to a turn."""
    if event["kind"] != "deliver" or not first <= event["time"] < last or event["node"] == event["peer"]:
        return False
    if event["message"].rpartition(".")[2] in UPKEEP:
        return False
    ends = (event["node"], event["peer"].partition("/")[0])
    return not line.lock.between_nodes or all(end.startswith("n") for end in ends)


def hand_overs(rows: Sequence[dict[str, Any]]) -> list[int]:
    """Returns the times from the release of a lock to its grant to a client that had asked for it before."""
    releases = sorted(row["invoked"] for row in rows if row["function"] == "release")
    grants = sorted(
        (row["completed"], row["invoked"]) for row in rows if row["function"] == "acquire" and row["outcome"] == "ok"
    )
    found = []
    for release in releases:
        at = bisect_left(grants, (release, 0))
        if at < len(grants) and grants[at][1] < release:
            found.append(grants[at][0] - release)
    return found
