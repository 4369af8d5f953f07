"""Latency over wide areas: exact where delays are constant, near the arithmetic where they vary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.wan_latency.__main__ import main
from experiments.wan_latency.analyze import report
from experiments.wan_latency.distances import NOT_GIVEN, SITES, aws, by_leader, by_quorum, sosp
from experiments.wan_latency.lines import AWS, FIGURE_4, LINES, Waited, figure_4_line, hold, measured, seed_of

THREE, FIVE = (FIGURE_4, "3 sites", "CA"), (FIGURE_4, "5 sites", "CA")


def test_three_sites_of_the_figure_take_what_arithmetic_says_to_the_microsecond() -> None:
    waits = hold(THREE, [0])
    assert [(one.site, one.least, one.p50, one.most) for one in waits] == [
        ("CA", 85.2, 85.2, 85.2), ("VA", 170.0, 170.0, 170.0), ("EU", 241.0, 241.0, 241.0)
    ]  # fmt: skip
    assert min(one.operations for one in waits) > 70


def test_no_answer_of_a_leader_in_ca_depends_on_pairs_that_the_figure_leaves_out() -> None:
    seed = seed_of(LINES[FIVE], 0)
    others = figure_4_line(SITES, sosp(SITES, {pair: trip / 2 for pair, trip in NOT_GIVEN.items()}))
    for line in (LINES[FIVE], others):
        assert [one.p50 for one in measured(line, seed)] == [85.2, 170.0, 241.0, 106.0, 203.0]


def test_one_vote_too_few_shows_in_latency() -> None:
    line = LINES[FIVE]
    broken = (
        "plugins.path=[experiments/planted_bugs/multipaxos_mutants.py]",
        "protocol=multipaxos_chooses_by_a_minority",
        *line.settings[1:],
    )
    seed = seed_of(LINES[FIVE], 0)
    assert next(measured(replace(line, settings=broken), seed)).p50 < 85


@pytest.mark.parametrize("name", [(AWS, "raft", "JP"), (AWS, "abd, write-back when needed", "")])
def test_over_aws_medians_are_near_the_arithmetic(name: tuple[str, str, str]) -> None:
    line = replace(LINES[name], duration="40s")
    waits = list(measured(line, seed_of(line, 0)))
    assert len(waits) == 10
    for one in waits:
        assert one.p50 == pytest.approx(one.computed, rel=0.005)
        assert one.p50 < one.p99 < 1.06 * one.computed


def test_arithmetic_by_hand() -> None:
    trips = sosp(("CA", "VA", "EU"))
    assert [by_leader(trips, "CA", site) for site in ("CA", "VA", "EU")] == [85.2, 170, 241]
    assert by_quorum(trips, "EU", 2) == 180
    assert min(SITES, key=lambda leader: sum(by_leader(aws(), leader, site) for site in SITES)) == "CA"


def test_the_report_writes_tables_rows_and_the_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    waits = [
        Waited(study, name, leader, site, function, 0, 9, 20.0, 30.0, 10.0, 40.0, 20.0)
        for (study, name, leader), line in LINES.items()
        for site in line.sites
        for function in line.functions
    ]
    report(waits, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"latencies.csv", "positions.svg", "positions.png"}
    told = capsys.readouterr().out
    assert "raft, leader in JP" in told and "20 / 30" in told and "abd, read without write-back" in told


def test_bad_options_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--processes", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
