"""Flexible quorums: what is measured lies where order statistics put it."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.flexible_quorums.__main__ import main
from experiments.flexible_quorums.analyze import computed, report
from experiments.flexible_quorums.arithmetic import capacity, waits
from experiments.flexible_quorums.lines import (
    LATENCY,
    PHASE_1,
    SERVICE_US,
    SURVIVED,
    THROUGHPUT,
    Line,
    Outcome,
    hold,
    lines,
)


def held(line: Line) -> Outcome:
    (outcome,) = hold(line, [0])
    return outcome


@pytest.mark.parametrize("line", [Line(LATENCY, 5, 2), Line(LATENCY, 5, 4, thrifty=True)])
def test_latency_is_that_of_the_nearest_nodes_of_a_quorum_or_of_those_that_were_asked(line: Line) -> None:
    assert held(line).median_ms == pytest.approx(computed(line)[0], rel=0.06)


def test_an_election_waits_for_the_other_quorum() -> None:
    few, all_of_them = Line(PHASE_1, 5, 5), Line(PHASE_1, 5, 1)
    assert held(few).median_ms == 0  # alone it is a quorum
    assert held(all_of_them).median_ms == pytest.approx(computed(all_of_them)[0], rel=0.15)


@pytest.mark.parametrize(("nodes", "quorum"), [(3, 1), (4, 2), (5, 3), (5, 5)])
def test_each_phase_survives_what_its_quorum_leaves_over(nodes: int, quorum: int) -> None:
    outcome = held(Line(SURVIVED, nodes, quorum))
    assert (outcome.phase_1_survives, outcome.phase_2_survives) == (quorum - 1, nodes - quorum)


def test_a_leader_that_asks_fewer_does_more() -> None:
    all_of_them, few = Line(THROUGHPUT, 5, 2, batched=False), Line(THROUGHPUT, 5, 2, thrifty=True, batched=False)
    most = capacity(2, 5, False, SERVICE_US)
    all_asked, few_asked = held(all_of_them), held(few)
    done, by_few = all_asked.per_second, few_asked.per_second
    assert done is not None and by_few is not None
    assert done == pytest.approx(most, rel=0.05) and done < 1.02 * most
    assert 1.4 * done < by_few < capacity(2, 5, True, SERVICE_US)
    assert all_asked.behind_ms is not None and few_asked.behind_ms is not None
    assert few_asked.behind_ms > 20 * all_asked.behind_ms  # it is work put off: the others still have to learn


def test_arithmetic_against_what_is_known() -> None:
    assert waits(5, 1, thrifty=False, hops=0) == (0, 0)
    assert waits(5, 5, thrifty=False, hops=2) == waits(5, 5, thrifty=True, hops=2)  # all are asked, all must answer
    assert waits(5, 2, thrifty=False, hops=2)[1] < waits(5, 2, thrifty=True, hops=2)[1]
    assert capacity(3, 9, True, 100) == pytest.approx(10_000 / 3)


def test_the_report_writes_tables_rows_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report([Outcome(*line, 0, 1.5, 2.5, 1000.0, 30.0, 1, 2) for line in lines()], tmp_path)
    figures = {f"{name}.{kind}" for name in ("latency", "price") for kind in ("svg", "png")}
    assert {file.name for file in tmp_path.iterdir()} == {"trials.csv", *figures}
    assert "1,000 / 1,000" in capsys.readouterr().out


def test_bad_options_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--trials", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
