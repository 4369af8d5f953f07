"""The studies of atomic commitment: exact counts, and statements that fail if they do not hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.commit_blocking import analyze as blocking
from experiments.commit_blocking.__main__ import main as blocking_main
from experiments.commit_blocking.scenarios import ABSENT, CONTENDERS, OTHERS, PARTITION, Scenario
from experiments.commit_blocking.trial import Trial, trial
from experiments.commit_cost.__main__ import main as cost_main
from experiments.commit_cost.analyze import arithmetic, report
from experiments.commit_cost.count import Cost, Counted, counted
from experiments.commit_cost.lines import LINES, Line
from experiments.commit_rounds import analyze as rounds
from experiments.commit_rounds.__main__ import main as rounds_main


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_every_transaction_takes_what_arithmetic_says(line: Line) -> None:
    for case in ((2, 0), (4, 1)):
        if case in line.cases():
            found = counted(line, *case, seed=3)
            assert set(found.costs) == {arithmetic(line, *case)}
            assert sum(found.costs.values()) >= 60


def test_arithmetic_is_that_of_the_literature() -> None:
    """Gray and Lamport's example, N=5 and F=1, co-located: 12, 17 and 20 messages."""
    names = ("2PC, co-located", "Paxos Commit, co-located", "Faster Paxos Commit, co-located")
    assert [arithmetic(LINES[name], 5, 1).messages for name in names] == [12, 17, 20]
    assert arithmetic(LINES["Paxos Commit"], 5, 1) == Cost(5, 22, 12)
    assert arithmetic(LINES["2PC, presumed commit, acks"], 5, 0) == Cost(4, 15, 7)


def test_a_protocol_that_leaves_something_out_shows() -> None:
    line = LINES["2PC"]
    broken = replace(
        line,
        settings=lambda n, f: (
            "plugins.path=[experiments/planted_bugs/two_phase_commit_mutants.py]",
            "protocol=two_phase_commit_has_no_collecting_record", "protocol.presumed=commit", f"nodes={n + 1}",
        ),
    )  # fmt: skip
    costs = counted(broken, 3, 0, seed=0).costs
    assert set(costs) == {arithmetic(LINES["2PC, presumed commit, acks"], 3, 0)._replace(forced=4)}, "one write less"


def test_the_report_says_which_lines_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = [
        Counted(line.name, *case, 0, {arithmetic(line, *case): 9}) for line in LINES.values() for case in line.cases()
    ]
    assert report(counts, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"counts.csv", "messages.svg", "messages.png"}
    assert "NOT all" not in capsys.readouterr().out
    counts[0] = counts[0]._replace(costs={Cost(4, 99, 3): 9})
    assert not report(counts, tmp_path)
    assert capsys.readouterr().out.count("NOT all") == 1


def test_rounds_are_the_same_among_few_and_many(tmp_path: Path) -> None:
    assert counted(LINES["3PC"], 12, 0, seed=0).costs.keys() == {Cost(6, 60, 37)}
    counts = [
        Counted(name, size, 0, 0, {Cost(delays, 1, 1): 5})
        for name, delays in rounds.DELAYS.items()
        for size in rounds.SIZES
    ]
    assert rounds.report(counts, tmp_path)
    assert not rounds.report([counts[0]._replace(costs={Cost(7, 1, 1): 5}), *counts[1:]], tmp_path)


def blocked() -> list[Trial]:
    """Trials as they ought to be."""
    trials = []
    for name in CONTENDERS:
        for scenario in dict.fromkeys((*ABSENT, *OTHERS)):
            unsafe = name in blocking.UNSAFE and scenario == Scenario(PARTITION, 25, 1_000)
            waits = scenario.for_ms + 40.0 if name == "2PC" else 450.0
            decisions = ("aborted", "committed") if unsafe else ("aborted",)
            trials.append(Trial(name, scenario, 0, "invalid" if unsafe else "valid", decisions, waits, 20.0))
    return trials


def test_the_statements_hold_of_what_was_seen_and_fail_otherwise(tmp_path: Path) -> None:
    trials = blocked()
    assert blocking.report(trials, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"trials.csv", "blocking.svg", "blocking.png"}
    assert not blocking.holds([trials[0]._replace(decided=100.0), *trials[1:]]), "2PC did not wait"
    assert not blocking.holds([*trials[:-1], trials[-1]._replace(verdict="invalid")]), "Paxos Commit failed"
    agreed = [one._replace(decisions=("aborted",), verdict="valid") for one in trials]
    assert not blocking.holds(agreed), "nobody disagreed"


@pytest.mark.parametrize(
    ("name", "decisions"),
    [("3PC, time-outs", ("aborted", "committed")), ("3PC, quorums", ("aborted",)), ("Paxos Commit", ("committed",))],
)
def test_a_partition_at_the_wrong_moment(name: str, decisions: tuple[str, ...]) -> None:
    found = trial(name, Scenario(PARTITION, 25, 1_000), seed=2)
    assert found.decisions == decisions
    assert found.verdict == ("valid" if len(decisions) == 1 else "invalid")


def test_two_phase_commit_waits_for_its_coordinator() -> None:
    waits = [trial("2PC", scenario, seed=2).decided for scenario in (ABSENT[1], ABSENT[2])]
    assert waits == [540.0, 1_040.0]


@pytest.mark.parametrize("main", [blocking_main, cost_main, rounds_main])
def test_bad_options_are_one_line(main: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(main) and main(["--trials", "few"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
