"""The checker and brute force over the same drawn histories, in whatever process."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings

from framework.checking.history.calls import Call
from framework.checking.linearizability.checker import check_linearizable, decide_by_times, divide
from framework.checking.models.catalog import model_named
from framework.checking.models.model import Model
from framework.checking.verdict import Verdict
from tests.checking.histories import drawn, drawn_runs, explained

SHORTEST, LONGEST = 3, 7
"""Operations of a case; those that failed or were not answered are among them."""
ROUND = 1000
"""Cases that one Hypothesis search draws; a long one lingers around what it has seen."""


class Share(NamedTuple):
    """Some cases of one model. `kinds` counts them by what they are, `wrong` are those that the two disagree on."""

    model: str
    kinds: Counter[str]
    wrong: list[str]


def compare(name: str, cases: int, first_seed: int) -> Share:
    """`cases` cases, half of them of a mostly correct object, half at random among few values and instants."""
    model = model_named(name)
    share = Share(name, Counter(), [])
    number = first_seed
    while share.kinds["cases"] < cases:
        strategy = (drawn if number % 2 else drawn_runs)(model, LONGEST, least=SHORTEST)
        most = min(ROUND, cases - share.kinds["cases"])

        @seed(number)
        @settings(
            max_examples=most,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def one(calls: list[Call]) -> None:
            _judge(calls, model, share)

        one()
        number += 1
    return share


def _judge(calls: list[Call], model: Model, share: Share) -> None:
    kinds = share.kinds
    kinds["cases"] += 1
    found = check_linearizable(calls, model).verdict
    known = any(call.known for call in calls)
    expected = Verdict.UNKNOWN if not known else Verdict.VALID if explained(calls, model) else Verdict.INVALID
    if found is not expected:
        share.wrong.append(f"{model.name}: {found} instead of {expected}: {calls}")
    kinds[expected.value] += 1
    kinds["open"] += any(call.outcome == "unknown" for call in calls)
    kinds["failed"] += any(call.outcome == "fail" for call in calls)
    kinds["fast"] += all(decide_by_times(part.operations, part.model) is not None for part in divide(calls, model))
