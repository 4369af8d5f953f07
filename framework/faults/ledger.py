"""The ledger: the actual effects of a run's faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from framework.core.message import NodeId
from framework.core.time import SECOND


@dataclass
class LedgerEntry:
    """One fault of a run: how often it was due, how often it fired, against which nodes, in which role and phase.

    `touched` counts the fault's effects: messages that an impairment lost, duplicated or delayed, commits and restarts
    that met a faulty disk, administrative operations that were done. `expected` is the expected count of a
    probabilistic fault. `meets` is the event that makes the fault show: `message`, `commit`, `answer`, or "". `sought`
    is a role that no node had when the fault was due, `seen` the roles that nodes had instead. `failure` is why the
    plugin failed to compute `expected`. `spans` are the times in which it was in force, `[from, to]` in nanoseconds;
    `to` is -1 if its end did not come, and equals `from` if nothing undoes it. `targets` are the nodes hit in each
    span, and `sides` the sides of the network if it cut links then, else empty: the nodes on a side have lost the same
    links.
    """

    fault: str
    due: int = 0
    fired: int = 0
    against: dict[str, int] = field(default_factory=dict)
    roles: dict[str, int] = field(default_factory=dict)
    phases: dict[str, int] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)
    sought: str = ""
    seen: list[str] = field(default_factory=list)
    touched: int = 0
    passed: int = 0
    expected: float | None = None
    emulated: bool = False
    meets: str = ""
    failure: str = ""
    spans: list[list[int]] = field(default_factory=list)
    targets: list[list[NodeId]] = field(default_factory=list)
    sides: list[list[list[NodeId]]] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """Returns the entry as result.json shows it."""
        always = ("fault", "due", "fired", *(("touched",) if self.meets else ()))
        shown = {name: value for name, value in vars(self).items() if value or name in always}
        if self.spans:
            shown["spans"] = [[since / SECOND, None if until < 0 else until / SECOND] for since, until in self.spans]
        if not any(self.sides):
            shown.pop("sides", None)
        return shown

    @property
    def missed(self) -> str:
        """The reason why this fault does not count as having happened; "" if it did."""
        if self.failure or not self.due:
            return self.failure
        if not self.fired:
            return f"fault {self.fault} never fired" + (f": {self._nobody}" if self.sought else "")
        if self.touched or not self.meets:
            return ""
        if self.meets == "answer":
            return f"fault {self.fault}: nothing that it asked for was done"
        if self.expected is None:
            return f"fault {self.fault} never showed: no {self.meets} met it"
        if self.expected >= 5:
            return f"fault {self.fault} touched none of {self.passed} messages, {self.expected:.0f} expected"
        return ""

    @property
    def _nobody(self) -> str:
        seen = f"roles seen: {', '.join(self.seen)}" if self.seen else "no node reported a role"
        return f"no node was ever {self.sought!r} when it was due; {seen}"


class LedgerTexts(NamedTuple):
    """An entry in words: the fault, what it touched ("" if nothing can meet it), and its targets and their roles with
    counts, as in `n1×3 n2`."""

    fault: str
    touched: str
    against: str
    roles: str


def ledger_texts(entry: Mapping[str, Any]) -> LedgerTexts:
    """Returns the texts of an entry of result.json's ledger, for tables."""
    meets, touched = entry.get("meets", ""), entry.get("touched", 0)
    return LedgerTexts(
        entry["fault"] + (" (emulated)" if entry.get("emulated") else ""),
        f"{touched:,} {meets}{'' if touched == 1 else 's'}" if meets else "",
        _times(entry.get("against", {})),
        _times(entry.get("roles", {})),
    )


def _times(counts: Mapping[str, int]) -> str:
    return " ".join(f"{name}×{count}" if count > 1 else name for name, count in sorted(counts.items()))
