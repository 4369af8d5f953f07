"""Rounds of voting: what the study counts, and that neither claim survives it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from experiments.raft_election.lines import contention
from experiments.voting_rounds.__main__ import main
from experiments.voting_rounds.analyze import beyond, claimed, law, report
from experiments.voting_rounds.lines import LIMIT, PAXOS, RAFT, RAFT_ALIKE, Decisions, Elections, Outcome, hold, lines


def outcome(rounds: int, decided: bool = True) -> Outcome:
    return Outcome(RAFT, "0.1", 5, 0, decided, rounds, rounds)


# Paxos.


@pytest.mark.parametrize("nodes", [3, 6, 9])
def test_alone_a_proposer_needs_one_ballot_whatever_the_number_of_nodes(nodes: int) -> None:
    assert {(one.decided, one.rounds, one.begun) for one in hold(Decisions(nodes, 1, "none"), range(20))} == {
        (True, 1, 1)
    }


def test_proposers_that_never_wait_may_duel_for_ever() -> None:
    duels = hold(Decisions(8, 8, "none"), range(10))
    assert [one.rounds for one in duels if not one.decided].count(LIMIT) >= 3
    assert beyond(duels, claimed(PAXOS, 8)) > 0.5


def test_to_wait_a_while_ends_every_duel() -> None:
    duels = hold(Decisions(4, 2, "none"), range(60))
    patient = hold(Decisions(4, 2, "up to 20 ms"), range(60))
    assert all(one.decided for one in duels + patient)
    assert beyond(duels, claimed(PAXOS, 4)) > 0 == beyond(patient, claimed(PAXOS, 4))
    assert sum(one.begun for one in duels) > 1.5 * sum(one.begun for one in patient)


def test_every_proposer_begins_a_ballot_of_its_own() -> None:
    assert all(one.begun >= 2 and one.begun >= one.rounds for one in hold(Decisions(3, 2, "1 ms"), range(20)))


# Raft.


def test_more_contention_takes_more_terms_and_none_bounds_them() -> None:
    rare, common = (
        hold(Elections(RAFT, 3, contention(RAFT, f"{share:g}", 3, share)), range(60)) for share in (0.01, 0.5)
    )
    assert beyond(rare, 1) < 0.1 < beyond(common, claimed(RAFT, 3))
    assert all(one.decided for one in rare + common)


def test_time_outs_that_are_all_alike_split_every_term() -> None:
    (one,) = hold(Elections(RAFT_ALIKE, 4, contention(RAFT_ALIKE, "0.01", 4, 0.01, range_ms=0)), [0])
    assert not one.decided and one.rounds >= 99


def test_the_law_is_that_of_the_first_term_again_and_again() -> None:
    assert law(5, 0.1, 1) == pytest.approx(0.0523)
    assert law(5, 0.1, 3) == pytest.approx(0.0523**3)


# What is made of it.


def test_the_claims_by_the_number_of_nodes() -> None:
    assert [claimed(PAXOS, nodes) for nodes in (3, 5, 8)] == [2, 4, 7]
    assert [claimed(RAFT, nodes) for nodes in (3, 5, 8)] == [2, 3, 5]


def test_a_trial_that_was_given_up_took_more_rounds_than_any_claim() -> None:
    assert beyond([outcome(1), outcome(2), outcome(3), outcome(1, decided=False)], 2) == 0.5


def test_the_report_writes_tables_rows_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = [
        (line.protocol, line.line.name, line.nodes) if isinstance(line, Elections) else (PAXOS, line.name, line.nodes)
        for line in lines()
    ]
    report([Outcome(*place, seed, True, seed + 1, seed + 2) for place in places for seed in range(3)], tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "trials.arrow", "summary.csv", "raft.svg", "raft.png", "paxos.svg", "paxos.png"
    }  # fmt: skip
    with pa.ipc.open_file(tmp_path / "trials.arrow") as file:
        assert file.read_all().num_rows == 3 * len(places)
    head, first, *_ = (tmp_path / "summary.csv").read_text().splitlines()
    assert '"mean","p99","most","undecided","begun","claim","beyond"' in head
    assert first.startswith('"raft","0.01",3,3,2,3,3,0,3,2,0.33')
    assert "beyond the claim" in capsys.readouterr().out


def test_bad_options_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--trials", "none"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
