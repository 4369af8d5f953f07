"""The locks, and what happens to them. Five clients take turns; a lease lasts 200 ms, and faults come again and again."""

from __future__ import annotations

from dataclasses import dataclass

LEASE = "200ms"

SETTINGS = (
    "workload=lock", "workload.hold=20ms", "clients=5", "network=perfect", "network.latency=1ms", "duration=5s", "quiet=1s",
    "workload.timeout=3s", "trace=history",
)  # fmt: skip


@dataclass(frozen=True)
class LockUnderTest:
    """A lock: its settings, and whether it gives tokens."""

    name: str
    settings: tuple[str, ...]
    tokens: bool = True


LOCKS = (
    LockUnderTest("lock server", ("protocol=lock_server", "nodes=1", f"protocol.lease={LEASE}")),
    LockUnderTest("lock over Raft", ("protocol=raft", "nodes=5", "state_machine=lock", f"state_machine.lease={LEASE}")),
    LockUnderTest(
        "Redlock", ("protocol=redlock", "nodes=5", f"protocol.lease={LEASE}", "protocol.fsync=true"), tokens=False
    ),
    LockUnderTest(
        "Redlock, no fsync",
        ("protocol=redlock", "nodes=5", f"protocol.lease={LEASE}", "protocol.fsync=false"),
        tokens=False,
    ),
    LockUnderTest("Lamport", ("protocol=lamport_mutex", "nodes=5")),
    LockUnderTest("Ricart and Agrawala", ("protocol=ricart_agrawala", "nodes=5")),
    LockUnderTest("Maekawa", ("protocol=maekawa", "nodes=7")),
    LockUnderTest("token ring", ("protocol=token_ring", "nodes=5")),
)


@dataclass(frozen=True)
class Scenario:
    """What happens, as overrides."""

    name: str
    faults: tuple[str, ...]


def _fault(kind: str, **settings: str) -> tuple[str, ...]:
    """Returns the overrides of one fault that comes every 900 ms."""
    timed = {"at": "400ms", "every": "900ms", **settings}
    return tuple(f"faults.{kind}.{key.rstrip('_')}={value}" for key, value in timed.items())


_CUT = _fault("partition", kind="minority", for_="500ms")

SCENARIOS = (
    Scenario("nothing", ("faults=none",)),
    Scenario(
        "(a) a partition, and a server's wall clock jumps",
        (
            "faults=[partition,clock]",
            *_CUT,
            *_fault("clock", at="600ms", target="random", step="1s", drift_ppm="0", direction="forward", for_="100ms"),
        ),
    ),
    Scenario(
        "(a') a partition, and a server crashes and is back",
        ("faults=[partition,crash]", *_CUT, *_fault("crash", at="500ms", target="random", for_="20ms")),
    ),
    Scenario(
        "(b) the holder pauses for longer than its lease",
        ("faults=pause", *_fault("pause", target="holder", for_="600ms")),
    ),
    Scenario(
        "a server pauses for longer than a lease", ("faults=pause", *_fault("pause", target="random", for_="600ms"))
    ),
    Scenario("a partition", ("faults=partition", *_CUT)),
    Scenario("messages are lost", ("faults=loss", *_fault("loss", probability="0.1", links="all", for_="500ms"))),
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
        return (*SETTINGS, *self.lock.settings, fencing, *self.scenario.faults)


LINES = tuple(
    Line(lock, scenario, fencing)
    for scenario in SCENARIOS
    for lock in LOCKS
    for fencing in ((True, False) if lock.tokens else (False,))
)
