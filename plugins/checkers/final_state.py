"""Checkers of the final contents of objects, usable for eventually consistent systems too.

Each checker examines the workload's final phase, which must reflect everything acknowledged to clients during the load.

- `set` is invalid if an acknowledged value is in no final read, or if a read shows a value that was never added, or
  one value twice. It is unknown if final reads differ, or if there are none.
- `counter` is invalid if every final read misses acknowledged increments, or if one counts more than was ever
  attempted. It is unknown if some final reads are out of bounds, or if there are none.
- `total_queue` is invalid if an acknowledged value never came out although the queue was emptied, or if a value came
  out that was never put in, or twice. It is unknown if a queue was not emptied.

`set` and `total_queue` follow Jepsen's checkers of the same names. Linearizability is a stronger promise and has a
separate checker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from framework import Call, CheckerSpec, CheckResult, Config, FinishedRun, Verdict, exact, hookimpl

MOST_SHOWN = 5
"""The maximum number of values that a reason lists."""

PUTS, TAKES = ("enqueue", "push"), ("dequeue", "pop")

Findings = list[tuple[Verdict, str]]


class TotalQueueConfig(Config):
    """The delivery guarantee of the queue."""

    at_least_once: bool = False
    """Whether a value may come out more often than it was put in."""


# Sets.


@dataclass
class SetHistory:
    """The calls of one set. Values compare exactly: True is not 1."""

    acknowledged: dict[Any, Call] = field(default_factory=dict)
    tried: set[Any] = field(default_factory=set)
    removed: set[Any] = field(default_factory=set)
    """Values whose removal was attempted, so they may or may not be present."""
    reads: list[Call] = field(default_factory=list)

    def take(self, call: Call) -> None:
        if call.function == "add" and call.outcome != "fail":
            value = exact(call.argument)
            self.tried.add(value)
            if call.known:
                self.acknowledged.setdefault(value, call)
        elif call.function == "remove" and call.outcome != "fail":
            self.removed.add(exact(call.argument))
        elif call.function == "read" and call.known:
            self.reads.append(call)

    def judge(self, name: str, final_at: int) -> Findings:
        """Returns the findings about the set `name`; `final_at` is the start of the final phase."""
        found: Findings = []
        seen: list[set[Any]] = []
        for call in self.reads:
            if not isinstance(call.result, list | tuple):
                return [(Verdict.UNKNOWN, f"{name}: a read gave {call.result!r}, which is not a list of values")]
            values = [exact(value) for value in call.result]
            odd = [value for value in values if value not in self.tried]
            if odd:
                found.append((Verdict.INVALID, f"{name}: {_who(call)} saw {_some(odd)}, which nobody added"))
            twice = [value for value, count in Counter(values).items() if count > 1]
            if twice:
                found.append((Verdict.INVALID, f"{name}: {_who(call)} saw {_some(twice)} more than once"))
            if call.invoked >= final_at:
                seen.append(set(values))
        if not seen:
            return [*found, (Verdict.UNKNOWN, f"{name} was not read in the end")]
        everywhere, somewhere = set.intersection(*seen), set.union(*seen)
        certain = [value for value in self.acknowledged if value not in self.removed]
        lost = [value for value in certain if value not in somewhere]
        stale = [value for value in certain if value in somewhere and value not in everywhere]
        if lost:
            found.append(
                (Verdict.INVALID, f"{name} lost {_some(lost)}: acknowledged, and in none of {len(seen)} final reads")
            )
        if stale:
            what = f"{name}: {_some(stale)} is in some of {len(seen)} final reads only"
            found.append((Verdict.UNKNOWN, f"{what}; give replicas more time with workload.final_after"))
        return found


def check_set(run: FinishedRun, config: Config | None) -> CheckResult:
    """Checks that a final read shows every acknowledged `add`, and that reads show nothing else."""
    return _judged("set", run, SetHistory, "every acknowledged value was read in the end", ("add", "read"))


# Counters.


@dataclass
class CounterHistory:
    """The calls of one counter: the acknowledged sum, and the range that unknown increments may add to it."""

    acknowledged: int = 0
    least: int = 0
    most: int = 0
    falls: bool = False
    """Whether a decrement was attempted, so that a lagging replica may show too high a value."""
    reads: list[Call] = field(default_factory=list)

    def take(self, call: Call) -> None:
        if call.function == "increment" and call.outcome != "fail":
            amount = 1 if call.argument is None else call.argument
            if call.known:
                self.acknowledged += amount
            self.falls |= amount < 0
            self.least += min(0, amount) if not call.known else 0
            self.most += max(0, amount) if not call.known else 0
        elif call.function == "read" and call.known:
            self.reads.append(call)

    def judge(self, name: str, final_at: int) -> Findings:
        """Returns the findings about the counter `name`; `final_at` is the start of the final phase."""
        low, high = self.acknowledged + self.least, self.acknowledged + self.most
        finals = [call for call in self.reads if call.invoked >= final_at]
        odd = [call for call in self.reads if type(call.result) is not int]
        if odd:
            return [(Verdict.UNKNOWN, f"{name}: a read gave {odd[0].result!r}, which is not an integer")]
        if not finals:
            return [(Verdict.UNKNOWN, f"{name} was not read in the end")]
        outside = [call for call in finals if not low <= call.result <= high]
        if not outside:
            return []
        due = f"{low}" if low == high else f"{low} to {high}"
        above = [call for call in finals if call.result > high]
        if above and not self.falls:
            what = f"{name}: {_who(above[0])} saw {above[0].result}, and all increments that were tried make {high}"
            return [(Verdict.INVALID, what)]
        if len(outside) == len(finals):
            what = f"{name}: all {len(finals)} final reads miss the sum of what was acknowledged, {due}"
            return [(Verdict.INVALID, f"{what}: {_who(outside[0])} saw {outside[0].result}")]
        what = f"{name}: {len(outside)} of {len(finals)} final reads miss {due}: {_who(outside[0])} saw {outside[0].result}"
        return [(Verdict.UNKNOWN, f"{what}; give replicas more time with workload.final_after")]


def check_counter(run: FinishedRun, config: Config | None) -> CheckResult:
    """Checks that final reads count every acknowledged `increment`, and nothing else."""
    return _judged(
        "counter", run, CounterHistory, "every acknowledged increment was counted in the end", ("increment", "read")
    )


# Queues and stacks.


@dataclass
class QueueHistory:
    """The calls of one queue or stack."""

    at_least_once: bool = False
    acknowledged: Counter[Any] = field(default_factory=Counter)
    tried: Counter[Any] = field(default_factory=Counter)
    taken: Counter[Any] = field(default_factory=Counter)
    takes: dict[Any, Call] = field(default_factory=dict)
    doubtful: int = 0
    """The number of takes with unknown outcome: each may have removed a value without returning it to a client."""
    empty_since: int = -1
    """The invocation time of the last take that found the queue empty; -1 if none did."""

    def take(self, call: Call) -> None:
        if call.function in PUTS and call.outcome != "fail":
            value = exact(call.argument)
            self.tried[value] += 1
            self.acknowledged[value] += call.known
        elif call.function in TAKES and call.known and call.result is None:
            self.empty_since = max(self.empty_since, call.invoked)
        elif call.function in TAKES and call.known:
            value = exact(call.result)
            self.taken[value] += 1
            self.takes[value] = call
        elif call.function in TAKES and call.outcome != "fail":
            self.doubtful += 1

    def judge(self, name: str, final_at: int) -> Findings:
        """Returns the findings about the queue `name`; `final_at` is the start of the final phase."""
        found: Findings = []
        for value, count in self.taken.items():
            if not self.tried[value]:
                found.append(
                    (Verdict.INVALID, f"{name}: {_who(self.takes[value])} took {value!r}, which nobody put in")
                )
            elif count > self.tried[value] and not self.at_least_once:
                found.append(
                    (
                        Verdict.INVALID,
                        f"{name}: {value!r} was put in {_times(self.tried[value])} and came out {_times(count)}",
                    )
                )
        if self.empty_since < final_at:
            return [*found, (Verdict.UNKNOWN, f"{name} was not emptied in the end")]
        missing = list((self.acknowledged - self.taken).elements())
        if len(missing) > self.doubtful:
            excuse = f", of which takes of unknown fate explain {self.doubtful}" if self.doubtful else ""
            what = f"{name} lost {_some(missing)}: acknowledged, and never came out before it was empty{excuse}"
            found.append((Verdict.INVALID, what))
        return found


def check_total_queue(run: FinishedRun, config: TotalQueueConfig) -> CheckResult:
    """Checks that every value put in comes out once, and nothing else does."""
    return _judged(
        "total_queue", run, lambda: QueueHistory(config.at_least_once), "what was put in came out", (*PUTS, *TAKES)
    )


# Shared helpers.


def _judged(
    name: str, run: FinishedRun, start: Callable[[], Any], valid: str, functions: tuple[str, ...]
) -> CheckResult:
    """Groups the calls by key and judges each group with an object made by `start`.

    `valid` is the reason reported if there are no findings.
    """
    objects: dict[Any, Any] = {}
    known = others = 0
    for call in run.history:
        others += call.function not in functions and call.function not in ("contains", "remove")
        known += call.known
        key = exact(call.key)
        if key not in objects:
            objects[key] = start()
        objects[key].take(call)
    if others or not objects:
        what = "the history has operations of other objects" if others else "nothing was invoked"
        return _result(name, Verdict.UNKNOWN, f"{what}; it needs {', '.join(functions)}", known)
    if run.final_at is None:
        return _result(
            name, Verdict.UNKNOWN, "the workload had no final phase, which shows what is there in the end", known
        )
    findings: Findings = []
    for key, one in objects.items():
        findings += one.judge("the object" if key is None else f"key {key}", run.final_at)
    for verdict in (Verdict.INVALID, Verdict.UNKNOWN):
        reasons = [reason for found, reason in findings if found is verdict]
        if reasons:
            return _result(name, verdict, reasons[0], known, tuple(reasons))
    return _result(name, Verdict.VALID, valid, known)


def _result(name: str, verdict: Verdict, reason: str, operations: int, story: tuple[str, ...] = ()) -> CheckResult:
    shown = story if verdict is Verdict.INVALID else ()
    return CheckResult(name=name, verdict=verdict, reason=reason, story=shown, operations=operations, steps=operations)


def _who(call: Call) -> str:
    return f"{call.client}, operation {call.operation}"


def _some(values: Iterable[Any]) -> str:
    """Formats values as `3 values ('a', 'b', 'c')`, and a single value alone; shows at most `MOST_SHOWN`."""
    listed = list(values)
    shown = ", ".join(map(repr, listed[:MOST_SHOWN])) + (", …" if len(listed) > MOST_SHOWN else "")
    return shown if len(listed) == 1 else f"{len(listed):,} values ({shown})"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


@hookimpl
def register_checkers() -> list[CheckerSpec]:
    return [
        CheckerSpec(name="set", check=check_set, summary="Every acknowledged value is there in the end, and nothing else."),
        CheckerSpec(
            name="counter", check=check_counter, summary="Every acknowledged increment counts in the end, and nothing else."
        ),
        CheckerSpec(
            name="total_queue", check=check_total_queue, config=TotalQueueConfig,
            summary="What is put into a queue or stack comes out, once.",
        ),
    ]  # fmt: skip
