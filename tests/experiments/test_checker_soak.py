"""The soak of the checkers counts what it compares, and would say if the two disagreed."""

from __future__ import annotations

import pytest

from experiments.checker_cost.histories import recorded
from experiments.checker_cost.rows import Row, rows
from experiments.checker_soak import compare as soak
from framework.verify.linearizability import check_linearizable
from framework.verify.models import model_named
from framework.verify.verdict import CheckResult, Verdict


def test_cases_are_counted_by_what_they_are() -> None:
    share = soak.compare("queue", 60, 0)
    assert share.wrong == []
    assert share.kinds["cases"] == 60 == sum(share.kinds[kind] for kind in ("valid", "invalid", "unknown"))
    assert all(share.kinds[kind] for kind in ("valid", "invalid", "open", "failed", "fast"))


def test_a_checker_that_finds_all_valid_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    blind = CheckResult(name="linearizable", verdict=Verdict.VALID, reason="")
    monkeypatch.setattr(soak, "check_linearizable", lambda calls, model: blind)
    share = soak.compare("mutex", 60, 0)
    assert len(share.wrong) == share.kinds["invalid"] + share.kinds["unknown"] > 0
    assert share.wrong[0].startswith("mutex: valid instead of ")


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_what_is_measured_is_linearizable(row: Row) -> None:
    model = model_named(row.model)
    model = model if row.start is None else model.starting(row.start)
    calls = recorded(0, 300, row.clients, min(row.keys, 30), row.mix, row.start)
    assert check_linearizable(calls, model).verdict is Verdict.VALID
