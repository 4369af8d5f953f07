"""Is there an order of the operations, within their intervals, that a single object could have executed?

Linearizability (Herlihy and Wing, 1990) is local: a history is linearizable if that of each key is. Each key takes
the fast path of `zones`, `rows` or `sets` if it can, else the `search`. When a key fails, `evidence` and `story` say why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from framework.verify.chains import guess
from framework.verify.containers import Row, Set
from framework.verify.evidence import shortest_evidence
from framework.verify.history import Call, check_calls
from framework.verify.model import Entry, Model, Part
from framework.verify.registers import Register
from framework.verify.rows import decide_rows
from framework.verify.search import Search
from framework.verify.sets import decide_sets
from framework.verify.story import tell
from framework.verify.timeline import entries, lay_out
from framework.verify.values import Key, by_kind, written
from framework.verify.verdict import CheckResult, Verdict
from framework.verify.zones import decide_zones

NAME = "linearizability"
DEFAULT_BUDGET_STEPS = 20_000_000
"""Operations tried: a minute of work or so."""


class Decision(msgspec.Struct, frozen=True):
    """The verdict on one object's operations, and if INVALID some of them that suffice to show it.

    `search` is what the verdict cost, None on the fast path; a search that is UNKNOWN can go on.
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


def check_linearizable(calls: Iterable[Call], model: Model, budget_steps: int = DEFAULT_BUDGET_STEPS) -> CheckResult:
    """Whether `calls` are linearizable, each key on its own, as `model` specifies one.

    UNKNOWN when no call succeeded, or when `budget_steps` are spent before each key is decided. The budget is first
    shared out equally, so that one hard key does not hide what is wrong with another; what is left goes to the hard
    ones. The result is the same in every run. ConfigError for calls that no client can have made.
    """
    recorded = list(calls)
    check_calls(recorded)
    parts = divide(recorded, model)
    operations = sum(call.known for call in recorded)
    if not operations:
        return _result(Verdict.UNKNOWN, "no operation succeeded, nothing to check", 0, 0, None)
    hard: list[tuple[Part, Decision]] = []
    spent = 0
    for part in parts:
        decision = decide(part.operations, part.model, budget_steps // len(parts))
        spent += decision.steps
        if decision.verdict is Verdict.INVALID:
            return _invalid(part, decision, operations, spent)
        if decision.verdict is Verdict.UNKNOWN:
            hard.append((part, decision))
    for number, (part, decision) in enumerate(hard):
        before, search = decision.steps, decision.search
        assert search is not None, "the fast path knows"
        verdict = search.run(before + budget_steps - spent)
        spent += search.steps - before
        if verdict is Verdict.INVALID:
            return _invalid(part, Decision(verdict, part.operations, search), operations, spent)
        if verdict is Verdict.UNKNOWN:
            left = f" and {len(hard) - number - 1:,} more" if number + 1 < len(hard) else ""
            reason = f"budget of {budget_steps:,} steps spent on {part.label}{left}"
            return _result(Verdict.UNKNOWN, reason, operations, spent, part.key)
    keys = len({call.key for call in recorded})
    reason = f"{operations:,} operations on {keys:,} {'key' if keys == 1 else 'keys'} explained"
    return _result(Verdict.VALID, reason, operations, spent, None)


def divide(calls: Sequence[Call], model: Model) -> list[Part]:
    """The operations that may have happened: each key's, in the order of the keys (no key first), or less at a time."""
    keys: dict[Key, list[Entry]] = {}
    for entry in entries(calls, model):
        keys.setdefault(entry[0].key, []).append(entry)
    return [part for key in sorted(keys, key=by_kind) for part in model.parts(key, keys[key])]


def decide(operations: list[Entry], model: Model, budget_steps: int) -> Decision:
    """The verdict on one object's operations; UNKNOWN after `budget_steps` (the fast path needs no budget)."""
    told = decide_by_times(operations, model)
    if told is not None:
        return Decision(*told)
    ranks = guess(operations, model) if isinstance(model, Register) else None
    if ranks is None and isinstance(model, Register):
        return Decision(Verdict.INVALID, operations)
    search = Search(lay_out(operations, model, ranks), model)
    verdict = search.run(budget_steps)
    return Decision(verdict, operations if verdict is Verdict.INVALID else [], search)


def decide_by_times(operations: list[Entry], model: Model) -> tuple[Verdict, list[Entry]] | None:
    """The fast path of `model`: the verdict, with operations that suffice to show it if INVALID; None if unknown."""
    if isinstance(model, Row):
        return decide_rows(operations, model)
    return decide_sets(operations, model) if isinstance(model, Set) else decide_zones(operations, model)


def _invalid(part: Part, decision: Decision, operations: int, spent: int) -> CheckResult:
    def judge(some: list[Entry], budget_steps: int) -> Decision:
        return decide(some, part.model, budget_steps)

    lines = tell(shortest_evidence(part.operations, decision, part.model, judge), part.label, part.model)
    return _result(Verdict.INVALID, f"{part.label}: {lines[-1]}", operations, spent, part.key, lines)


def _result(
    verdict: Verdict, reason: str, operations: int, steps: int, key: Key, story: tuple[str, ...] = ()
) -> CheckResult:
    name = key if key is None or isinstance(key, str) else written(key)
    return CheckResult(
        name=NAME, verdict=verdict, reason=reason, story=story, operations=operations, steps=steps, key=name
    )
