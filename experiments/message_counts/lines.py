"""What is counted: each protocol as it runs undisturbed, with what arithmetic says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

SIZES = (3, 5, 7, 9)

Formula = tuple[str, Callable[[int], int]]
"""As it is written, and its value for n nodes."""

NONE: Formula = ("0", lambda n: 0)
ROUND: Formula = ("2(n-1)", lambda n: 2 * (n - 1))
TWO_ROUNDS: Formula = ("4(n-1)", lambda n: 4 * (n - 1))
THRIFTY: Formula = ("2(Q-1)", lambda n: 2 * (n // 2))
REGISTER_ROUND: Formula = ("2n", lambda n: 2 * n)
TWO_REGISTER_ROUNDS: Formula = ("4n", lambda n: 4 * n)


@dataclass(frozen=True)
class Line:
    """One protocol at work. `settings` are those of `framework.run`; Q is a majority.

    `delays` and `deciding` are up to the decision: message delays, and messages. `telling` is what is sent besides so
    that learners know, `learned` after how many delays they do (None: with a later message). `hops` of the client come
    on top.
    """

    name: str
    settings: tuple[str, ...]
    function: str
    delays: int
    deciding: Formula
    telling: Formula = NONE
    learned: int | None = None
    hops: int = 2


SYNOD = ("protocol=paxos", "workload=propose")
WRITES = ("workload.mix={read: 0, write: 1}",)
READS = ("workload.mix={read: 1, write: 0}",)
MIXED = ("workload.mix={read: 1, write: 1}",)

_LINES = (
    Line(
        "Paxos, the proposer tells learners", (*SYNOD, "protocol.learning=proposer"), "propose",
        delays=4, deciding=TWO_ROUNDS, telling=("n-1", lambda n: n - 1), learned=5,
    ),
    Line(
        "Paxos, acceptors tell learners", (*SYNOD, "protocol.learning=acceptors"), "propose",
        delays=4, deciding=TWO_ROUNDS, telling=("(n-1)²", lambda n: (n - 1) ** 2), learned=4,
    ),
    Line("Multi-Paxos", ("protocol=multipaxos", *WRITES), "write", delays=2, deciding=ROUND),
    Line("Multi-Paxos, thrifty", ("protocol=multipaxos", "protocol.thrifty=true", *WRITES), "write", delays=2, deciding=THRIFTY),
    Line("Raft", ("protocol=raft", *WRITES), "write", delays=2, deciding=ROUND),
    Line("ABD, write", ("protocol=abd", *MIXED), "write", delays=4, deciding=TWO_REGISTER_ROUNDS, hops=0),
    Line("ABD, read", ("protocol=abd", *MIXED), "read", delays=4, deciding=TWO_REGISTER_ROUNDS, hops=0),
    Line(
        "ABD, read, write-back when needed", ("protocol=abd", "protocol.write_back=when_needed", *MIXED), "read",
        delays=2, deciding=REGISTER_ROUND, hops=0,
    ),
    *(
        Line(f"{name}, read by {how}", (f"protocol={protocol}", f"protocol.read_mode={mode}", *READS), "read", delays, deciding)
        for mode, how, delays, deciding in (("read_index", "read index", 2, ROUND), ("lease", "lease", 0, NONE))
        for protocol, name in (("multipaxos", "Multi-Paxos"), ("raft", "Raft"))
    ),
)  # fmt: skip

LINES = {line.name: line for line in _LINES}
