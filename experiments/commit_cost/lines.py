"""What is counted: each protocol of atomic commitment as it runs undisturbed, with what arithmetic says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PARTICIPANTS = tuple(range(1, 11))
"""The numbers of participants that are counted."""
FAULTS = (0, 1, 2)

Formula = tuple[str, Callable[[int, int], int]]
"""As it is written, and its value for N participants and F faults."""


@dataclass(frozen=True)
class Line:
    """One protocol at work.

    `settings(N, F)` are those of `framework.run`. `messages` go between different nodes, without those of clients and
    without the types in `apart`. `forced` are the forced writes of all nodes, `own` of which are the participants'
    records of the decision, which the literature leaves out. `delays` pass until the last participant knows the
    decision. The request of the client counts as one if the coordinator is no participant: in the literature a
    participant sends it. `difference` says where a formula is not the literature's, and why.
    """

    name: str
    settings: Callable[[int, int], tuple[str, ...]]
    delays: Formula
    messages: Formula
    forced: Formula
    own: Formula = ("N", lambda n, f: n)
    apart: tuple[str, ...] = ()
    is_colocated: bool = False
    has_faults: bool = False
    difference: str = ""

    def cases(self) -> list[tuple[int, int]]:
        """Returns the numbers of participants and faults that it is counted for."""
        return [
            (participants, faults)
            for participants in PARTICIPANTS
            for faults in (FAULTS if self.has_faults else (0,))
            if participants > faults or not (self.has_faults and self.is_colocated)
        ]


def _two_phase(coordinators: int, presumed: str = "abort") -> Callable[[int, int], tuple[str, ...]]:
    return lambda n, f: (
        "protocol=two_phase_commit", f"protocol.coordinators={coordinators}", f"protocol.presumed={presumed}",
        f"nodes={n + coordinators}",
    )  # fmt: skip


def _three_phase(coordinators: int) -> Callable[[int, int], tuple[str, ...]]:
    return lambda n, f: (
        "protocol=three_phase_commit", f"protocol.coordinators={coordinators}", f"nodes={n + coordinators}",
    )  # fmt: skip


def _paxos(separate: bool, faster: bool) -> Callable[[int, int], tuple[str, ...]]:
    def settings(n: int, f: int) -> tuple[str, ...]:
        nodes = n + 1 + 2 * f + 1 if separate else n
        where = "separate" if separate else "participants"
        return (
            "protocol=paxos_commit", f"protocol.faults={f}", f"protocol.acceptors={where}",
            f"protocol.coordinators={int(separate)}", f"protocol.faster={str(faster).lower()}", f"nodes={nodes}",
        )  # fmt: skip

    return settings


def _number(value: int) -> Formula:
    return str(value), lambda n, f: value


INITIATOR = (
    "3N-1 and 5N-1 there: the initiator's vote is the message that begins the transaction, which here a client sends"
)

_LINES = (
    Line(
        "2PC", _two_phase(1), _number(4), ("3N", lambda n, f: 3 * n), ("2N+1", lambda n, f: 2 * n + 1),
        apart=("Acknowledged",), difference=INITIATOR,
    ),
    Line(
        "2PC, co-located", _two_phase(0), ("3", lambda n, f: 3 if n > 1 else 0), ("3N-3", lambda n, f: 3 * n - 3),
        ("2N", lambda n, f: 2 * n), ("N-1", lambda n, f: n - 1), apart=("Acknowledged",), is_colocated=True,
    ),
    Line(
        "2PC, presumed nothing, acks", _two_phase(1, "nothing"), _number(4), ("4N", lambda n, f: 4 * n),
        ("2N+1", lambda n, f: 2 * n + 1),
    ),
    Line(
        "2PC, presumed abort, acks", _two_phase(1, "abort"), _number(4), ("4N", lambda n, f: 4 * n),
        ("2N+1", lambda n, f: 2 * n + 1),
    ),
    Line(
        "2PC, presumed commit, acks", _two_phase(1, "commit"), _number(4), ("3N", lambda n, f: 3 * n),
        ("N+2", lambda n, f: n + 2), _number(0),
    ),
    Line(
        "3PC", _three_phase(1), _number(6), ("5N", lambda n, f: 5 * n), ("3N+1", lambda n, f: 3 * n + 1), difference=INITIATOR,
    ),
    Line(
        "3PC, co-located", _three_phase(0), ("5", lambda n, f: 5 if n > 1 else 0), ("5N-5", lambda n, f: 5 * n - 5),
        ("3N", lambda n, f: 3 * n), ("N-1", lambda n, f: n - 1), is_colocated=True,
    ),
    Line(
        "Paxos Commit", _paxos(separate=True, faster=False), _number(5), ("(N+1)(F+3)-2", lambda n, f: (n + 1) * (f + 3) - 2),
        ("2N+F+1", lambda n, f: 2 * n + f + 1), has_faults=True,
    ),
    Line(
        "Paxos Commit, co-located", _paxos(separate=False, faster=False), ("4", lambda n, f: 0 if n == 1 else 3 if f == 0 or n == 2 else 4),
        ("N(F+3)-3", lambda n, f: n * (f + 3) - 3), ("2N+F+1", lambda n, f: 2 * n + f + 1), is_colocated=True, has_faults=True,
    ),
    Line(
        "Faster Paxos Commit", _paxos(separate=True, faster=True), _number(4), ("N(2F+3)", lambda n, f: n * (2 * f + 3)),
        ("2N+F+1", lambda n, f: 2 * n + f + 1), has_faults=True,
    ),
    Line(
        "Faster Paxos Commit, co-located", _paxos(separate=False, faster=True), ("3", lambda n, f: 0 if n == 1 else 3),
        ("(N-1)(2F+3)", lambda n, f: (n - 1) * (2 * f + 3)), ("2N+F+1", lambda n, f: 2 * n + f + 1), is_colocated=True,
        has_faults=True,
    ),
)  # fmt: skip

LINES = {line.name: line for line in _LINES}
