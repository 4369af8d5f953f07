"""What is measured, and the bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

READS_AND_WRITES = {"read": 1, "write": 1}
APPENDS = {"read": 2, "write": 1, "append": 2}
EVERYTHING = {"read": 2, "write": 1, "append": 2, "cas": 1, "delete": 1}


@dataclass(frozen=True)
class Row:
    """One line of the table: a history, and what checking it may take.

    `group` is what `--only` chooses by. `at_most_s` bounds the seconds to the verdict and its evidence, `at_most_mib`
    the memory of the process; `memory_of` names the row whose memory this one's may exceed by a tenth. `values` is how
    many different values are written, None for no two alike; `unknown` the share of operations that are never answered;
    with `wrong` one answer, late in the history, is wrong: a read shows an old value, or a lock is had that is held.
    `verdicts` are those that it may end with.
    """

    group: str
    name: str
    model: str
    operations: int
    clients: int
    keys: int
    mix: Mapping[str, float]
    at_most_s: float | None = None
    at_most_mib: float | None = None
    memory_of: str | None = None
    start: Any = None
    values: int | None = None
    unknown: float = 0.0
    wrong: bool = False
    verdicts: tuple[str, ...] = ("valid",)


def rows() -> list[Row]:
    """All rows."""
    porcupine = {"read": 1, "append": 1, "write": 0.1}
    put_and_take, push_and_pop = {"enqueue": 50, "dequeue": 51}, {"push": 50, "pop": 51}
    lock = {"acquire": 1, "release": 1}
    undecided = ("invalid", "unknown")
    any_of_them = ("valid", "invalid", "unknown")  # of few values, an old one may be there again
    return [
        Row("register", "register, no two values alike", "register", 1_000_000, 50, 100, READS_AND_WRITES, 30),
        Row("kv", "kv, one key, appends", "kv", 2_000, 50, 1, APPENDS, 3),
        Row("kv", "kv, one key, all five functions", "kv", 2_000, 50, 1, EVERYTHING, 3),
        Row("kv", "kv, ten keys, as Porcupine's c50 (0.24 s there)", "kv", 1_712, 50, 10, porcupine, 2.4, start=""),
        Row("rows", "queue, no two values alike", "queue", 100_000, 50, 10, put_and_take),
        Row("rows", "stack, no two values alike", "stack", 100_000, 50, 10, push_and_pop),
        Row("memory", "memory, 100 keys", "kv", 300_000, 50, 100, READS_AND_WRITES),
        Row("memory", "memory, 10,000 keys", "kv", 300_000, 50, 10_000, READS_AND_WRITES, memory_of="memory, 100 keys"),
        Row("evidence", "a stale read, no two values alike", "register", 10_000, 20, 1, READS_AND_WRITES, wrong=True, verdicts=("invalid",)),
        Row("evidence", "an old read, 5 values", "register", 10_000, 20, 1, READS_AND_WRITES, values=5, wrong=True, verdicts=any_of_them),
        Row("evidence", "a mutex that two hold", "mutex", 10_000, 20, 1, lock, wrong=True, verdicts=undecided),
        Row(
            "bounds", "a stale read, 5% unknown", "register", 100_000, 20, 1, READS_AND_WRITES, 120,
            at_most_mib=2_048, unknown=0.05, wrong=True, verdicts=undecided,
        ),
        Row(
            "bounds", "an old read, 5% unknown, 20 values", "register", 100_000, 20, 1, READS_AND_WRITES, 120,
            at_most_mib=2_048, unknown=0.05, wrong=True, values=20, verdicts=any_of_them,
        ),
        Row(
            "bounds", "queue, 3 values", "queue", 4_000, 20, 1, put_and_take, 120,
            at_most_mib=2_048, values=3, verdicts=("valid", "unknown"),
        ),
    ]  # fmt: skip
