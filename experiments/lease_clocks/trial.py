"""One run: two clients take turns at a lock whose leases nobody extends, and access the store as long as they believe that
their lease lasts. Server and clients have clocks that run fast or slow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from experiments.simulated import simulated

DRIFTS = (-300_000, -200_000, -100_000, 0, 100_000, 200_000, 300_000)
"""Clock errors in parts per million: fast above 0."""
LEASES_MS = (200, 1_000)
DELAY_MS, WORK_MS = 1, 2
"""The delay of a message, and the time that a holder works between the check of its lease and a write."""

SETTINGS = (
    "protocol=lock_server", "nodes=1", "clients=2", "workload=lock", "workload.keep_alive=false",
    "workload.accesses=100000", f"workload.hold={WORK_MS}ms", f"network.latency={DELAY_MS}ms", "quiet=1ms",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """The clock errors of server and clients, the lease, and whether the store checks tokens."""

    server_ppm: int
    client_ppm: int
    lease_ms: int
    fencing: bool

    @property
    def overlap_ms(self) -> float:
        """By how much the clients' lease outlasts the server's, in real time."""
        return self.lease_ms / (1 + self.client_ppm / 1e6) - self.lease_ms / (1 + self.server_ppm / 1e6)

    @property
    def settings(self) -> tuple[str, ...]:
        steps = ", ".join(self._steps())
        faults = ("faults=schedule", f"faults.schedule.steps=[{steps}]") if steps else ("faults=none",)
        return (
            *SETTINGS, f"protocol.lease={self.lease_ms}ms", f"duration={6 * self.lease_ms}ms",
            f"workload.store.fencing={str(self.fencing).lower()}", *faults,
        )  # fmt: skip

    def _steps(self) -> Iterator[str]:
        for target, drift in (("n1", self.server_ppm), ("client:c1", self.client_ppm), ("client:c2", self.client_ppm)):
            if drift:
                way = "forward" if drift > 0 else "backward"
                yield (
                    f"{{at: 1ms, fault: clock, target: '{target}', drift_ppm: {abs(drift)}, step: 0, direction: {way}, for: 0}}"
                )


LINES = tuple(
    Line(server, client, lease, fencing)
    for lease in LEASES_MS
    for fencing in (False, True)
    for server in DRIFTS
    for client in DRIFTS
)


class Trial(NamedTuple):
    """What became of a run: whether somebody interfered, as the store saw it, and how many turns there were."""

    line: Line
    seed: int
    interfered: bool
    turns: int
    rejected: int


def hold(line: Line, seeds: Iterable[int]) -> list[Trial]:
    """One run for each seed."""
    return [trial(line, seed) for seed in seeds]


def trial(line: Line, seed: int) -> Trial:
    """One run."""
    with simulated(line.settings, seed, may_fail=True) as run:
        verdicts = {check.name: check.verdict.value for check in run.result.checks}
        rows = run.run.history.to_pylist()
        ends = run.run.events.to_pylist()
    turns = sum(row["function"] == "acquire" and row["outcome"] == "ok" for row in rows)
    rejected = sum(event["kind"] == "note" and event["message"] == "rejected" for event in ends)
    assert verdicts["guarded_store"] in ("valid", "invalid"), f"{line}: {run.result.summary}"
    return Trial(line, seed, verdicts["guarded_store"] == "invalid", turns, rejected)
