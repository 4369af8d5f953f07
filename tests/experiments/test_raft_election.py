"""The election study: set-ups that a broken one, or a broken protocol, would not pass for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from experiments.planted_bugs.raft_mutants import VotesForAnyLog
from experiments.raft_election.__main__ import main
from experiments.raft_election.analyze import crash_figure, wide_area_figure
from experiments.raft_election.formulas import first_timeout, later_than, split_probability
from experiments.raft_election.lines import (
    AT_ONCE,
    CRASH,
    FAILED,
    PAPER,
    SPLIT,
    STRICT,
    WAN,
    Line,
    Outcome,
    hold,
    lines,
    sized,
)
from experiments.raft_election.trial import ElectionTrial
from experiments.studies import run_trials
from experiments.trials import servers
from framework.core.time import MILLISECOND
from framework.engine.base import Experiment

LINES = {(line.study, line.name): line for line in lines()}


def held(study: str, name: str, trials: int) -> list[Outcome]:
    return hold(LINES[study, name], range(trials))


def mean_terms(outcomes: Sequence[Outcome]) -> float:
    return sum(one.terms for one in outcomes) / len(outcomes)


# The leader crashes.


@pytest.mark.parametrize(("low", "high"), [(150, 300), (50, 100), (12, 24)])
def test_no_leader_is_heard_before_a_time_out_two_writes_and_three_messages(low: int, high: int) -> None:
    outcomes = held(CRASH, f"{low}–{high} ms", 40)
    # The last heartbeat is at most half a minimum older than the crash, and goes one way itself.
    assert all(one.heard_ms is not None and one.heard_ms > low / 2 + 2 * 7 + 4 * 0.1 for one in outcomes)
    assert min(one.heard_ms or 0.0 for one in outcomes) < high + 2 * 7


def test_servers_whose_logs_are_too_short_never_win() -> None:
    assert {one.leader for one in held(CRASH, "150–300 ms", 60)} == {"n2", "n3"}


def test_a_raft_that_votes_for_any_log_shows_in_who_wins() -> None:
    class Careless(Line):
        def experiment(self) -> Experiment:
            experiment = super().experiment()
            return replace(experiment, protocol=replace(experiment.protocol, node=VotesForAnyLog))

    line = LINES[CRASH, "150–300 ms"]
    careless = Careless(line.study, line.name, line.settings, line.timeouts, leader_crashes=True)
    assert {one.leader for one in hold(careless, range(60))} == {"n2", "n3", "n4", "n5"}


def test_more_randomness_means_fewer_terms_and_none_means_no_leader() -> None:
    some, more, most = (mean_terms(held(CRASH, name, 40)) for name in ("150–155 ms", "150–175 ms", "150–300 ms"))
    assert some > 2 * more > 2 * most
    assert [one.leader for one in held(CRASH, "150–150 ms", 2)] == [None, None]


def test_a_candidate_that_asks_while_it_writes_splits_fewer_votes() -> None:
    assert mean_terms(held(CRASH, "150–155 ms", 40)) > 2 * mean_terms(held(AT_ONCE, "150–155 ms", 40))


# Servers far apart, and split votes.


def test_far_apart_an_election_takes_a_time_out_and_a_round_trip() -> None:
    for failed in (0, 2):
        outcomes = held(WAN, f"{failed} of 5 down", 150)
        once = [one.elected_ms for one in outcomes if one.terms == 1 and one.elected_ms is not None]
        assert min(once) >= 300 + 2 * 30 and max(once) <= 600 + 2 * 40
        assert sum(once) / len(once) == pytest.approx(first_timeout(5 - failed, 300, 600) + 70, rel=0.06)
        assert all(one.heard_ms is not None and one.elected_ms is not None and 30 <= one.heard_ms - one.elected_ms <= 40
                   for one in outcomes)  # fmt: skip


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_votes_split_as_often_as_the_formula_says(share: float) -> None:
    trials, expected = 400, split_probability(5, 4, share)
    split = sum(one.terms > 1 for one in held(SPLIT, f"{share:g}", trials)) / trials
    assert split == pytest.approx(expected, abs=3 * (expected * (1 - expected) / trials) ** 0.5)


def test_the_formula_gives_the_figures_of_the_thesis() -> None:
    assert [round(100 * split_probability(5, 4, share), 2) for share in (0.01, 0.1, 0.2)] == [0.06, 5.23, 18.08]
    assert first_timeout(4, 150, 300) == 180
    assert [later_than(terms, 0.5) for terms in range(3)] == [1.0, 0.5, 0.25]


@pytest.mark.parametrize(("nodes", "candidates"), [(3, 2), (5, 5), (5, 3), (6, 5), (9, 8), (5, 2)])
def test_the_formula_agrees_with_drawing_time_outs(nodes: int, candidates: int) -> None:
    rng, share, draws = random.Random(7), 0.2, 4_000
    split = 0
    for _ in range(draws):
        first, *others = sorted(rng.random() for _ in range(candidates))
        votes = 1 + sum(other > first + share for other in others)
        split += votes < nodes // 2 + 1
    assert split / draws == pytest.approx(split_probability(nodes, candidates, share), abs=0.025)


# One trial.


def test_a_trial_ends_when_all_others_have_heard_the_first_leader() -> None:
    experiment = servers("raft", *PAPER, "nodes=3", "network.latency=10ms", "duration=5s")
    elections = []
    for _ in range(2):
        trial = ElectionTrial(experiment, seed=3)
        trial.crash_at(0, "n2")
        elections.append(trial.hold())
        assert trial.true_time == elections[-1].heard
    assert elections[0] == elections[1]
    assert elections[0].leader in ("n1", "n3")
    assert elections[0].heard == elections[0].elected + 10 * MILLISECOND


def test_a_trial_without_a_majority_ends_at_the_horizon() -> None:
    trial = ElectionTrial(servers("raft", *PAPER, "nodes=3", "duration=2s"), seed=0)
    trial.crash_at(0, "n1", "n2")
    election = trial.hold()
    assert election.leader is None and election.term > 5
    assert election.heard == 2_000 * MILLISECOND


# What is made of the trials.


def made_up(heard_ms: Sequence[float | None], study: str = CRASH, line: str = "150–200 ms") -> list[Outcome]:
    return [
        Outcome(study, line, seed, leader=ms and "n2", terms=1, elected_ms=ms, heard_ms=ms)
        for seed, ms in enumerate(heard_ms)
    ]


def test_titles_say_what_was_measured() -> None:
    trials = {
        **{(CRASH, line.name): made_up([None, None]) for line in lines() if line.study == CRASH},
        (CRASH, "150–200 ms"): made_up([100.0, 1234.0]),
        **{(WAN, f"{failed} of 5 down"): made_up([400.0, 500.0 + failed], WAN) for failed in FAILED},
    }
    crash, wide_area = (figure(trials).to_dict()["title"] for figure in (crash_figure, wide_area_figure))
    assert "elections take 1,234 ms at most" in str(crash)
    assert "on average in 450 ms; with one of five down in 450, with two in 451" in str(wide_area)
    trials[CRASH, "150–200 ms"] = made_up([100.0, None])
    assert "elections take > 20 s at most" in str(crash_figure(trials).to_dict()["title"])


# The command.


def test_the_number_of_processes_changes_nothing() -> None:
    wanted = sized([LINES[CRASH, "12–24 ms"], LINES[WAN, "1 of 5 down"]], 5)
    assert run_trials(hold, wanted, 2) == run_trials(hold, wanted, 1)


def test_the_command_writes_tables_rows_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--trials", "1", "--processes", "1", "--dir", str(tmp_path)]) == 0
    figures = {f"{name}.{kind}" for name in ("crash", "wide_area", "split_votes") for kind in ("svg", "png")}
    assert {file.name for file in tmp_path.iterdir()} == {"trials.arrow", "summary.csv", *figures}
    with pa.ipc.open_file(tmp_path / "trials.arrow") as file:
        trials = file.read_all()
    assert trials.num_rows == sum(number for _, number in sized(lines(), 1))
    assert set(trials["study"].to_pylist()) == {line.study for line in lines()}
    assert (tmp_path / "summary.csv").read_text().count("\n") == 1 + len(lines())
    shown = capsys.readouterr().out
    assert "median 287 ms" in shown and f"{STRICT} (1)" in shown


@pytest.mark.parametrize("options", [["--trials", "0"], ["--processes", "-1"], ["--dir", "/dev/null/here"]])
def test_bad_options_are_one_line(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options) == 2
    complaint = capsys.readouterr().err
    assert options[0] in complaint and complaint.count("\n") == 1
