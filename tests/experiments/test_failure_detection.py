"""The study of failure detectors: single trials against theory, and statements that fail if they do not hold."""

from __future__ import annotations

from math import e
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from experiments.failure_detection import __main__ as study
from experiments.failure_detection.analyze import BARE_SWIM, HEARTBEAT, PHI, SWIM, expected, report
from experiments.failure_detection.formulas import periods_to_first_probe, swim_messages
from experiments.failure_detection.lines import CALM_S, DETECTORS, LOSSES, NETWORKS, SIZES, Conditions
from experiments.failure_detection.trial import Outcome, calm, crash, first_failed_probe

HEALTHY = LOSSES[0]


def test_the_formulas() -> None:
    assert periods_to_first_probe(2) == 1.0  # one is left, who has nobody else to probe
    assert periods_to_first_probe(3) == pytest.approx(4 / 3)
    assert periods_to_first_probe(100_000) == pytest.approx(e / (e - 1), abs=1e-4)
    assert swim_messages(0.0, 3) == 2.0
    assert swim_messages(1e-9, 3) == pytest.approx(2.0, abs=1e-6)
    lost_once = (swim_messages(0.001, 3) - 2 + 0.001) / (1 - 0.999**2)
    assert lost_once == pytest.approx(4 * 3, rel=0.01)  # 4k for each probe that fails


def test_a_calm_group_sends_what_theory_says_and_makes_no_mistakes() -> None:
    (outcome,) = calm((SWIM, HEALTHY), [0])
    assert outcome.mistakes == 0
    assert outcome.messages == pytest.approx(2, rel=0.02)


def test_mistakes_are_counted() -> None:
    (outcome,) = calm((BARE_SWIM, Conditions(0.1, 0.3)), [0])
    assert outcome.mistakes > 15


@pytest.mark.parametrize(("name", "within"), [(PHI, 1.1), (SWIM, 3.0)])
def test_a_crash_is_noticed_by_all(name: str, within: float) -> None:
    (outcome,) = crash((name, HEALTHY), [1])
    assert outcome.first is not None and outcome.last is not None
    assert 0 < outcome.first <= outcome.last < within


def test_the_first_probe_fails_at_the_end_of_a_period() -> None:
    in_step = [one.first for one in first_failed_probe((8, True), range(6))]
    assert all(first is not None and first * 5 == pytest.approx(round(first * 5), abs=0.01) for first in in_step)
    assert 1.0 <= fmean(first * 5 for first in in_step if first is not None) < 2.5


def as_it_should_be() -> list[Outcome]:
    """Outcomes that agree with the README."""
    trials = []
    for name in DETECTORS:
        for network in NETWORKS:
            mistakes = 100 if name == BARE_SWIM else 1
            sent = expected(name, network.loss)
            trials.append(Outcome("calm", name, network, 0, mistakes=mistakes, messages=sent))
            trials.append(Outcome("crash", name, network, 0, 0.5, 1.6 if name == SWIM else 0.8))
    for size in SIZES:
        for way in ("in step", "staggered"):
            first = periods_to_first_probe(size) / 5
            trials += [Outcome(f"{size} {way}", SWIM, HEALTHY, seed, first=first) for seed in (0, 1)]
    return trials


def test_the_report_says_whether_the_claims_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr("experiments.failure_detection.analyze.charts.save", lambda chart, file: drawn.append(chart))
    assert report(as_it_should_be(), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["trials.csv"]
    assert len(drawn[0].to_dict()["vconcat"]) == 4
    assert "theory: 1.58 for large groups in step" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("kind", "detector", "change"),
    [
        ("crash", HEARTBEAT, {"last": None}),
        ("crash", SWIM, {"last": 0.9}),
        ("calm", SWIM, {"messages": 5.5}),
        ("calm", SWIM, {"mistakes": 10 * CALM_S}),
        ("16 in step", SWIM, {"first": 0.5}),
    ],
)
def test_a_claim_that_does_not_hold_shows(
    kind: str, detector: str, change: dict[str, float | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.failure_detection.analyze.charts.save", lambda chart, file: None)
    trials = [
        one._replace(**change) if (one.kind, one.detector) == (kind, detector) else one  # type: ignore[arg-type]
        for one in as_it_should_be()
    ]
    assert not report(trials, tmp_path)


def test_the_command_takes_every_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def pretend(hold: object, lines: list[tuple[object, int]], processes: int) -> list[Outcome]:
        taken.extend(trials for _, trials in lines)
        return as_it_should_be() if hold is calm else []

    monkeypatch.setattr("experiments.failure_detection.analyze.charts.save", lambda chart, file: None)
    monkeypatch.setattr(study, "run_trials", pretend)
    assert study.main(["--trials", "3", "--dir", str(tmp_path)]) == 0
    every = len(DETECTORS) * len(NETWORKS)
    assert taken == [1] * every + [3] * every + [60] * 2 * len(SIZES)
