"""Is there an order of the operations, within their intervals, that a single object could have executed?

Linearizability (Herlihy and Wing, 1990) is local: a history is linearizable if that of each key is. Each key takes
the fast path of `zones` if it can, else the `search`. When a key fails, `evidence` and `story` say why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from framework.verify.evidence import shortest_evidence
from framework.verify.history import Call, check_calls
from framework.verify.models import Model
from framework.verify.search import Search
from framework.verify.story import tell
from framework.verify.timeline import Entry, entries, lay_out
from framework.verify.verdict import CheckResult, Verdict
from framework.verify.zones import decide_zones

NAME = "linearizable"
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


def check_linearizable(
    calls: Iterable[Call], model: Model, budget_steps: int = DEFAULT_BUDGET_STEPS
) -> CheckResult:
    """Whether `calls` are linearizable, each key on its own, as `model` specifies one.

    UNKNOWN when no call succeeded, or when `budget_steps` are spent before each key is decided. The budget is first
    shared out equally, so that one hard key does not hide what is wrong with another; what is left goes to the hard
    ones. The result is the same in every run. ConfigError for calls that no client can have made.
    """
    recorded = list(calls)
    check_calls(recorded)
    keys = by_key(recorded, model)
    operations = sum(call.known for call in recorded)
    if not operations:
        return _result(Verdict.UNKNOWN, "no operation succeeded, nothing to check", 0, 0, None)
    decisions: dict[str | None, Decision] = {}
    for key, its in keys.items():
        decisions[key] = decide(its, model, budget_steps // len(keys))
        if decisions[key].verdict is Verdict.INVALID:
            break
    _spend_the_rest(decisions, keys, budget_steps)
    spent = sum(decision.steps for decision in decisions.values())
    for key, decision in decisions.items():
        if decision.verdict is Verdict.INVALID:
            return _invalid(key, keys[key], decision, model, operations, spent)
    for key, decision in decisions.items():
        if decision.verdict is Verdict.UNKNOWN:
            reason = f"budget of {budget_steps:,} steps spent on {_named(key)}"
            return _result(Verdict.UNKNOWN, reason, operations, spent, key)
    reason = f"{operations:,} operations on {len(keys):,} {'key' if len(keys) == 1 else 'keys'} explained"
    return _result(Verdict.VALID, reason, operations, spent, None)


def _spend_the_rest(
    decisions: dict[str | None, Decision], keys: dict[str | None, list[Entry]], budget_steps: int
) -> None:
    """Goes on with the undecided keys, in order, while steps are left and no key is known to be INVALID."""
    spent = sum(decision.steps for decision in decisions.values())
    for key, decision in decisions.items():
        if any(other.verdict is Verdict.INVALID for other in decisions.values()):
            return
        if decision.verdict is Verdict.UNKNOWN and decision.search is not None and spent < budget_steps:
            before = decision.steps
            verdict = decision.search.run(before + budget_steps - spent)
            spent += decision.steps - before
            suspects = keys[key] if verdict is Verdict.INVALID else []
            decisions[key] = Decision(verdict, suspects, decision.search)


def by_key(calls: Sequence[Call], model: Model) -> dict[str | None, list[Entry]]:
    """The operations of each key that may have happened, in the order of the keys (no key first)."""
    keys: dict[str | None, list[Entry]] = {}
    for entry in entries(calls, model):
        keys.setdefault(entry[0].key, []).append(entry)
    return dict(sorted(keys.items(), key=lambda item: (item[0] is not None, item[0] or "")))


def decide(operations: list[Entry], model: Model, budget_steps: int) -> Decision:
    """The verdict on one object's operations; UNKNOWN after `budget_steps` (the fast path needs no budget)."""
    zones = decide_zones(operations, model)
    if zones is not None:
        return Decision(*zones)
    search = Search(lay_out(operations, model), model)
    verdict = search.run(budget_steps)
    return Decision(verdict, operations if verdict is Verdict.INVALID else [], search)


def _invalid(
    key: str | None, its: list[Entry], decision: Decision, model: Model, operations: int, spent: int
) -> CheckResult:
    def judge(some: list[Entry], budget_steps: int) -> Decision:
        return decide(some, model, budget_steps)

    lines = tell(shortest_evidence(its, decision, model, judge), key, model)
    return _result(Verdict.INVALID, f"{_named(key)}: {lines[-1]}", operations, spent, key, lines)


def _result(
    verdict: Verdict, reason: str, operations: int, steps: int, key: str | None, story: tuple[str, ...] = ()
) -> CheckResult:
    return CheckResult(
        name=NAME, verdict=verdict, reason=reason, story=story, operations=operations, steps=steps, key=key
    )


def _named(key: str | None) -> str:
    return "the object" if key is None else f"key {key!r}"
