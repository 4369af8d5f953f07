"""The locks, and what happens to them.

Kleppmann's scenarios (a) and (a') are directed: two clients, leases of one second, and a holder that works for 600 ms between
its read and its write. In the others five clients take turns, a lease lasts 200 ms, and the fault comes
again and again.
"""

from __future__ import annotations

from dataclasses import dataclass

SETTINGS = (
    "workload=lock",
    "network=perfect",
    "network.latency=1ms",
    "quiet=1s",
    "workload.timeout=3s",
    "trace=history",
)
DIRECTED = ("clients=2", "duration=3s", "workload.hold=600ms", "faults=schedule")
REPEATED = ("clients=5", "duration=5s", "workload.hold=20ms")


@dataclass(frozen=True)
class LockUnderTest:
    """A lock: its settings, its number of nodes, the setting of its lease ("": it has none), and whether it has tokens."""

    name: str
    settings: tuple[str, ...]
    nodes: int = 5
    lease: str = ""
    tokens: bool = True

    def leased(self, time: str) -> tuple[str, ...]:
        """Returns the override of its lease."""
        return (f"{self.lease}={time}",) if self.lease else ()


LOCKS = (
    LockUnderTest("lock server", ("protocol=lock_server",), nodes=1, lease="protocol.lease"),
    LockUnderTest("lock over Raft", ("protocol=raft", "state_machine=lock"), lease="state_machine.lease"),
    LockUnderTest("Redlock", ("protocol=redlock", "protocol.fsync=true"), lease="protocol.lease", tokens=False),
    LockUnderTest(
        "Redlock, no fsync", ("protocol=redlock", "protocol.fsync=false"), lease="protocol.lease", tokens=False
    ),
    LockUnderTest("Lamport", ("protocol=lamport_mutex",)),
    LockUnderTest("Ricart and Agrawala", ("protocol=ricart_agrawala",)),
    LockUnderTest("Maekawa", ("protocol=maekawa",), nodes=7),
    LockUnderTest("token ring", ("protocol=token_ring",)),
)


@dataclass(frozen=True)
class Scenario:
    """What happens; `short` is its name in a table. `step`: the fault that meets n3 in a directed scenario, or the only node; `faults`: the overrides of
    faults that come again and again."""

    name: str
    short: str
    step: str = ""
    faults: tuple[str, ...] = ("faults=none",)

    def settings(self, lock: LockUnderTest) -> tuple[str, ...]:
        """Returns the overrides for a lock."""
        if not self.step:
            kind = "client" if lock.nodes == 1 else "minority"  # one server can be cut off from clients alone
            return (
                *REPEATED,
                *lock.leased("200ms"),
                *(fault.replace("kind=minority", f"kind={kind}") for fault in self.faults),
            )
        target = "n3" if lock.nodes > 2 else "n1"
        away = [f"n{lock.nodes - 1}", f"n{lock.nodes}"] if lock.nodes > 2 else []
        cuts = [f"{{at: 0, fault: loss, links: {node}, probability: 1, for: 300ms}}" for node in away]
        steps = ", ".join([*cuts, f"{{at: 400ms, target: {target}, {self.step}}}"])
        return (*DIRECTED, *lock.leased("1s"), f"faults.schedule.steps=[{steps}]")


def _often(kind: str, /, **settings: str) -> tuple[str, ...]:
    """Returns the overrides of one fault that comes every 900 ms."""
    timed = {"at": "400ms", "every": "900ms", **settings}
    return (f"faults={kind}", *(f"faults.{kind}.{key.rstrip('_')}={value}" for key, value in timed.items()))


CALM = Scenario("nothing", "nothing")
CLOCK_JUMPS = Scenario(
    "(a) the last two nodes are away, then the clock of n3 jumps",
    "(a)",
    step="fault: clock, drift_ppm: 0, step: 2s, direction: forward, for: 0",
)
SERVER_FORGETS = Scenario(
    "(a') the last two nodes are away, then n3 crashes and is back", "(a')", step="fault: crash, for: 20ms"
)
HOLDER_PAUSES = Scenario(
    "(b) the holder pauses for longer than its lease", "(b)", faults=_often("pause", target="holder", for_="600ms")
)

SCENARIOS = (
    CALM,
    CLOCK_JUMPS,
    SERVER_FORGETS,
    HOLDER_PAUSES,
    Scenario("a node pauses for longer than a lease", "pause", faults=_often("pause", target="random", for_="600ms")),
    Scenario("a node crashes", "crash", faults=_often("crash", target="random", for_="200ms")),
    Scenario("a partition", "partition", faults=_often("partition", kind="minority", for_="500ms")),
    Scenario("messages are lost", "loss", faults=_often("loss", probability="0.1", links="all", for_="500ms")),
)


@dataclass(frozen=True)
class Line:
    """A lock in a scenario, guarding a store that checks tokens or does not."""

    lock: LockUnderTest
    scenario: Scenario
    fencing: bool

    @property
    def settings(self) -> tuple[str, ...]:
        fencing = f"workload.store.fencing={str(self.fencing).lower()}"
        return (*SETTINGS, *self.lock.settings, f"nodes={self.lock.nodes}", fencing, *self.scenario.settings(self.lock))


LINES = tuple(
    Line(lock, scenario, fencing)
    for scenario in SCENARIOS
    for lock in LOCKS
    for fencing in ((True, False) if lock.tokens else (False,))
)
