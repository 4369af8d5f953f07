"""The linearizability checker: looks for an order of the operations, within their intervals, possible for one object.

Linearizability (Herlihy and Wing, 1990) is local: a history is linearizable if that of each key is. Each key takes the
fast path of `unique_values`, `queues_and_stacks` or `grow_only_sets` if possible, else the `search`. If a key fails,
`counter_example` and `story` explain why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from framework.checking.history.calls import Call, Endings, RecordedCalls, check_calls, no_endings
from framework.checking.history.values import Key, by_kind, written
from framework.checking.linearizability.bounds import DEFAULT, Bounds, Deadline, Spent
from framework.checking.linearizability.counter_example import shortest_evidence
from framework.checking.linearizability.grow_only_sets import decide_sets
from framework.checking.linearizability.queues_and_stacks import decide_rows
from framework.checking.linearizability.search import Search
from framework.checking.linearizability.timeline import entries, lay_out
from framework.checking.linearizability.unique_values import decide_zones
from framework.checking.linearizability.value_chains import guess
from framework.checking.models.consensus import Consensus
from framework.checking.models.containers import OrderedContainer, Set
from framework.checking.models.model import Entry, Model, Part
from framework.checking.models.registers import Counter, Register
from framework.checking.story import tell, told
from framework.checking.verdict import CheckResult, Verdict

NAME = "linearizability"


class Decision(msgspec.Struct, frozen=True):
    """The verdict on one object's operations, and if INVALID some of them that suffice to show it.

    `search` is the search behind the verdict, None on the fast path; it can be continued if the verdict is UNKNOWN.
    """

    verdict: Verdict
    suspects: list[Entry]
    search: Search | None = None

    @property
    def steps(self) -> int:
        return self.search.steps if self.search else 0

    @property
    def explained(self) -> int:
        return self.search.explained if self.search else 0


class Finding(msgspec.Struct, frozen=True):
    """A verdict without its evidence.

    `explained` looks for the evidence, which may take longer than the verdict did.
    """

    result: CheckResult
    explained: Callable[[], CheckResult]
    """Returns the result with its story; just `result` unless the verdict is INVALID."""


def concluded(result: CheckResult) -> Finding:
    """Returns the finding of a result without further evidence."""
    return Finding(result, lambda: result)


def check_linearizable(calls: Iterable[Call], model: Model, bounds: Bounds = DEFAULT) -> CheckResult:
    """Checks that `calls` are linearizable, each key as an object of `model`. The result has the story if they are not.

    UNKNOWN if no call succeeded, or if `bounds` are spent before every key is decided. Raises ConfigError for calls
    that no client can have made.
    """
    endings = calls.endings if isinstance(calls, RecordedCalls) else no_endings
    return find(list(calls), model, bounds, endings).explained()


def find(calls: list[Call], model: Model, bounds: Bounds, endings: Endings) -> Finding:
    """Returns the verdict of `check_linearizable`, before its story; `endings` returns the endings of operations.

    The steps are first divided equally, so that one hard key does not hide a fault of another; the rest goes to the
    hard keys. The result is the same in every run, unless `bounds.seconds` ends it early.
    """
    check_calls(calls)
    check = _Check(divide(calls, model), calls, bounds, endings)
    if not check.operations:
        return check.concluded(Verdict.UNKNOWN, "no operation succeeded, nothing to check")
    return check.first_round() or check.second_round()


class _Check:
    """One check of a history: the hard parts, and the steps and memory spent so far."""

    def __init__(self, parts: list[Part], calls: list[Call], bounds: Bounds, endings: Endings) -> None:
        self.operations = sum(call.known for call in calls)
        self._parts, self._calls, self._bounds, self._endings = parts, calls, bounds, endings
        self._deadline = bounds.deadline()
        self._hard: list[tuple[Part, Search | None]] = []
        self._kept_bytes = 0
        self._steps = 0

    def first_round(self) -> Finding | None:
        """Gives each part its share of the steps. Returns a finding if one part is INVALID, or all are VALID."""
        share = self._bounds.steps // len(self._parts)
        for part in self._parts:
            decision = decide(part.operations, part.model, share, self._memory_bytes, self._deadline)
            self._steps += decision.steps
            if decision.verdict is Verdict.INVALID:
                return self._invalid(part, decision)
            if decision.search is not None and decision.verdict is Verdict.UNKNOWN:
                self._hard.append((part, self._kept(decision.search)))
        return None if self._hard else self._valid()

    def second_round(self) -> Finding:
        """Gives the remaining steps to the hard parts, in turn."""
        for number, (part, kept) in enumerate(self._hard):
            search = self._new(part) if kept is None else kept
            others = sum(other.bytes for _, other in self._hard if other is not None and other is not search)
            search.allow(self._bounds.memory_bytes - others)
            before = search.steps
            verdict = search.run(before + self._bounds.steps - self._steps, self._deadline)
            self._steps += search.steps - before
            if verdict is Verdict.INVALID:
                return self._invalid(part, Decision(verdict, part.operations, search))
            if verdict is Verdict.UNKNOWN:
                assert search.spent is not None
                more = len(self._hard) - number - 1
                return self.concluded(verdict, self._spent(search.spent, part, more), part.key)
            self._hard[number] = (part, None)
        return self._valid()

    @property
    def _memory_bytes(self) -> int:
        """The memory limit of one search: all, or half if other searches may wait in the other half."""
        return self._bounds.memory_bytes // (1 if len(self._parts) == 1 else 2)

    def _kept(self, search: Search) -> Search | None:
        """Keeps `search` for the second round, without failed places if memory is short; None if still too large."""
        room = self._bounds.memory_bytes - self._memory_bytes - self._kept_bytes
        if len(self._parts) > 1 and search.bytes > room:
            search.forget()
            if search.bytes > room:
                return None
        self._kept_bytes += search.bytes
        return search

    def _new(self, part: Part) -> Search:
        ranks = guess(part.operations, part.model) if isinstance(part.model, Register) else None
        assert not isinstance(ranks, set), "the first round would have known"
        return Search(lay_out(part.operations, part.model, ranks), self._memory_bytes)

    def _spent(self, spent: Spent, part: Part, more: int) -> str:
        what = {
            Spent.STEPS: f"budget of {self._bounds.steps:,} steps spent",
            Spent.MEMORY: f"memory of {self._bounds.memory_mib:,} MiB spent",
            Spent.TIME: f"time limit of {self._bounds.seconds:g} s reached" if self._bounds.seconds else "",
        }[spent]
        return f"{what} on {part.label}" + (f" and {more:,} more" if more else "")

    def _valid(self) -> Finding:
        keys = len({call.key for call in self._calls})
        reason = f"{self.operations:,} operations on {keys:,} {'key' if keys == 1 else 'keys'} explained"
        return self.concluded(Verdict.VALID, reason)

    def _invalid(self, part: Part, decision: Decision) -> Finding:
        known = sum(call.known for call, _ in part.operations)
        result = self._result(Verdict.INVALID, f"{part.label}: no order explains its {known:,} operations", part.key)

        def explained() -> CheckResult:
            evidence = shortest_evidence(part.operations, decision, part.model, decide, self._bounds)
            *lines, why = tell(evidence, part, self._calls, self._endings(told(evidence)))
            if not evidence.left:
                shown = f"{len(evidence.operations):,} operations"
                lines.append(f"shortened to {shown} within the budget; there may be fewer that show it")
            known = [call.completed for call, _ in evidence.operations if call.known and call.completed is not None]
            return msgspec.structs.replace(
                result, reason=f"{part.label}: {why}", story=(*lines, why), time=max(known, default=None)
            )

        return Finding(result, explained)

    def concluded(self, verdict: Verdict, reason: str, key: Key = None) -> Finding:
        return concluded(self._result(verdict, reason, key))

    def _result(self, verdict: Verdict, reason: str, key: Key) -> CheckResult:
        part = key if key is None or isinstance(key, str) else written(key)
        return CheckResult(
            name=NAME, verdict=verdict, reason=reason, operations=self.operations, steps=self._steps, key=part
        )


def divide(calls: Sequence[Call], model: Model) -> list[Part]:
    """Divides the operations that may have happened by key (no key first), and further if the model can."""
    keys: dict[Key, list[Entry]] = {}
    for entry in entries(calls, model):
        keys.setdefault(entry[0].key, []).append(entry)
    return [part for key in sorted(keys, key=by_kind) for part in model.parts(key, keys[key])]


def decide(
    operations: list[Entry],
    model: Model,
    budget_steps: int,
    memory_bytes: int,
    deadline: Deadline | None = None,
) -> Decision:
    """Decides on one object's operations; UNKNOWN once a limit is reached (the fast path has none)."""
    told = decide_by_times(operations, model)
    if told is not None:
        return Decision(*told)
    ranks = guess(operations, model) if isinstance(model, Register) else None
    if isinstance(ranks, set):
        return Decision(Verdict.INVALID, [operations[place] for place in sorted(ranks)])
    search = Search(lay_out(operations, model, ranks), memory_bytes)
    verdict = search.run(budget_steps, deadline)
    return Decision(verdict, operations if verdict is Verdict.INVALID else [], search)


def decide_by_times(operations: list[Entry], model: Model) -> tuple[Verdict, list[Entry]] | None:
    """Takes the fast path of `model`: the verdict and, if INVALID, operations that show it; None if undecided."""
    if isinstance(model, OrderedContainer):
        return decide_rows(operations, model)
    if isinstance(model, Set):
        return decide_sets(operations, model)
    return decide_zones(operations, model) if isinstance(model, Register | Counter | Consensus) else None
