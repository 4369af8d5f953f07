"""One transaction meets one fault: a coordinator or a participant that dies, or a partition, at a step of the protocol.

Messages take 10 ms and nothing else takes time, so a step is a time: the client's request arrives after 10 ms, Prepare
after 20 ms, the votes after 30 ms. The transaction begins at 2 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

BEGINS_MS = 2_000
PARTICIPANTS = 3

QUIET = (
    "workload=commits", "workload.no=0", "workload.loop=open", "workload.rate=1", "workload.arrivals=fixed",
    "workload.timeout=10s", "network.latency=10ms", "clients=1", "duration=8s", "quiet=2s", "trace=full", "faults=schedule",
)  # fmt: skip


@dataclass(frozen=True)
class Contender:
    """A protocol with three participants. `coordinators` are its dedicated nodes, n1, …; the first one coordinates."""

    name: str
    settings: tuple[str, ...]
    coordinators: int = 1

    @property
    def participants(self) -> tuple[str, ...]:
        return tuple(f"n{self.coordinators + number}" for number in range(1, PARTICIPANTS + 1))

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(f"n{number}" for number in range(1, self.coordinators + PARTICIPANTS + 1))


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("2PC", ("protocol=two_phase_commit",)),
        Contender("3PC, Skeen's termination", ("protocol=three_phase_commit", "protocol.termination=skeen")),
        Contender("3PC, time-outs", ("protocol=three_phase_commit", "protocol.termination=timeout")),
        Contender("3PC, quorums", ("protocol=three_phase_commit", "protocol.termination=quorum")),
        Contender(
            "Paxos Commit", ("protocol=paxos_commit", "protocol.acceptors=coordinators", "protocol.coordinators=3"), 3
        ),
    )
}


@dataclass(frozen=True)
class Scenario:
    """A fault that begins `after_ms` milliseconds after the transaction, and lasts `for_ms`."""

    kind: str
    after_ms: int
    for_ms: int

    @property
    def name(self) -> str:
        return f"{self.kind} after {self.after_ms} ms"

    def faults(self, contender: Contender) -> str:
        """Returns the schedule, as an override."""
        when = f"at: {BEGINS_MS + self.after_ms}ms, for: {self.for_ms}ms"
        if self.kind == PARTITION:
            steps = [
                f"{{{when}, fault: loss, links: '{sender}:{receiver}', probability: 1}}"
                for sender, receiver in _cut(contender)
            ]
        else:
            target = contender.nodes[0] if self.kind == COORDINATOR_DIES else contender.participants[0]
            steps = [f"{{{when}, fault: crash, target: {target}}}"]
        return f"faults.schedule.steps=[{', '.join(steps)}]"


COORDINATOR_DIES = "the coordinator dies"
PARTICIPANT_DIES = "a participant dies"
PARTITION = "partition of the coordinator and a participant from the others"

STEPS_MS = (5, 15, 25, 35, 45)
"""Between the arrivals of messages: of the request, Prepare, the votes, and what follows."""
ABSENCES_MS = (250, 500, 1_000, 2_000, 3_000)

ABSENT = tuple(Scenario(COORDINATOR_DIES, 25, absence) for absence in ABSENCES_MS)
"""The coordinator dies after the last participant has prepared, before it decides."""
OTHERS = tuple(
    Scenario(kind, step, 1_000) for kind in (COORDINATOR_DIES, PARTICIPANT_DIES, PARTITION) for step in STEPS_MS
)


def _cut(contender: Contender) -> Iterator[tuple[str, str]]:
    """Yields the links that a partition cuts: one participant stays with the coordinator, and so do acceptors but the last."""
    near = (*contender.nodes[: max(1, contender.coordinators - 1)], contender.participants[0])
    far = tuple(node for node in contender.nodes if node not in near)
    for one in near:
        for other in far:
            yield one, other
            yield other, one
