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
    """One line of the table: a history, and how long checking it may take, in seconds.

    `group` is what `--only` chooses by. `memory_of` names the row whose memory this one's may exceed by a tenth.
    """

    group: str
    name: str
    model: str
    operations: int
    clients: int
    keys: int
    mix: Mapping[str, float]
    at_most_s: float | None = None
    memory_of: str | None = None
    start: Any = None


def rows() -> list[Row]:
    """All rows."""
    porcupine = {"read": 1, "append": 1, "write": 0.1}
    put_and_take, push_and_pop = {"enqueue": 50, "dequeue": 51}, {"push": 50, "pop": 51}
    return [
        Row("register", "register, no two values alike", "register", 1_000_000, 50, 100, READS_AND_WRITES, 30),
        Row("kv", "kv, one key, appends", "kv", 2_000, 50, 1, APPENDS, 3),
        Row("kv", "kv, one key, all five functions", "kv", 2_000, 50, 1, EVERYTHING, 3),
        Row("kv", "kv, ten keys, as Porcupine's c50 (0.24 s there)", "kv", 1_712, 50, 10, porcupine, 2.4, start=""),
        Row("rows", "queue, no two values alike", "queue", 100_000, 50, 10, put_and_take),
        Row("rows", "stack, no two values alike", "stack", 100_000, 50, 10, push_and_pop),
        Row("memory", "memory, 100 keys", "kv", 300_000, 50, 100, READS_AND_WRITES),
        Row("memory", "memory, 10,000 keys", "kv", 300_000, 50, 10_000, READS_AND_WRITES, memory_of="memory, 100 keys"),
    ]  # fmt: skip
