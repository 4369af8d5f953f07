"""The soak of the checkers counts what it compares, and would say if the two disagreed."""

from __future__ import annotations

import dataclasses

import pytest

from experiments.checker_cost.histories import recorded
from experiments.checker_cost.rows import Row, rows
from experiments.checker_soak import compare as soak
from framework.checking.linearizability.checker import check_linearizable
from framework.checking.models.catalog import model_named
from framework.checking.verdict import CheckResult, Verdict


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
def test_what_is_measured_is_linearizable_but_for_its_wrong_answer(row: Row) -> None:
    model = model_named(row.model)
    model = model if row.start is None else model.starting(row.start)
    small = dataclasses.replace(row, operations=120, clients=min(row.clients, 10), keys=min(row.keys, 30))
    right = check_linearizable(recorded(0, dataclasses.replace(small, wrong=False)), model)
    assert right.verdict is Verdict.VALID
    if row.wrong and "valid" not in row.verdicts:
        assert check_linearizable(recorded(0, small), model).verdict is Verdict.INVALID
    unanswered = [call for call in recorded(0, small) if not call.known]
    assert bool(unanswered) == bool(row.unknown)
