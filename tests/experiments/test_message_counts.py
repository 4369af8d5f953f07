"""The count of messages: exact for each protocol, and not for one that is broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.causes import Trees
from experiments.message_counts.__main__ import main
from experiments.message_counts.analyze import arithmetic, report
from experiments.message_counts.count import Cost, Counted, cost_of, counted
from experiments.message_counts.lines import LINES, SIZES, Line

MUTANTS = "plugins.path=[experiments/planted_bugs/{}_mutants.py]"


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_every_operation_takes_what_arithmetic_says(line: Line) -> None:
    found = counted(line, 3, seed=5)
    assert set(found.costs) == {arithmetic(line, 3)}
    assert sum(found.costs.values()) >= 40


def test_arithmetic_is_that_of_the_literature() -> None:
    synod, stable, thrifty = (
        LINES[name] for name in ("Paxos, acceptors tell learners", "Raft", "Multi-Paxos, thrifty")
    )
    assert [arithmetic(synod, n) for n in (3, 9)] == [Cost(4, 8, 4, 2, 4), Cost(4, 32, 64, 2, 4)]
    assert [arithmetic(stable, n).deciding for n in SIZES] == [4, 8, 12, 16]
    assert [arithmetic(thrifty, n).deciding for n in SIZES] == [2, 4, 6, 8]


def test_a_heartbeat_goes_to_all_others_and_is_answered() -> None:
    found = counted(LINES["Raft"], 4, seed=0)
    assert found.beats > 3
    assert found.apart == {"raft.AppendEntries": 3 * found.beats, "raft.Appended": 3 * found.beats}


def test_thrifty_followers_ask_for_what_they_were_not_sent() -> None:
    found = counted(LINES["Multi-Paxos, thrifty"], 5, seed=0)
    assert found.apart["multipaxos.Learn"] == found.apart["multipaxos.Accept"] == 2 * found.beats


@pytest.mark.parametrize(
    ("name", "protocol", "mutant"),
    [("Raft", "raft", "raft_commits_by_a_minority"), ("ABD, read", "abd", "abd_reads_without_writing_back")],
)
def test_a_protocol_that_leaves_something_out_shows(name: str, protocol: str, mutant: str) -> None:
    line = LINES[name]
    broken = (MUTANTS.format(protocol), f"protocol={mutant}", *line.settings[1:])
    costs = counted(replace(line, settings=broken), 3, seed=0).costs
    assert arithmetic(line, 3) not in costs
    assert max(cost.delays for cost in costs) < line.delays


# A trace by hand.


def row(
    seq: int, kind: str, node: str, message: str, cause: int | None, peer: str = "", time: int = 0
) -> Mapping[str, Any]:
    return {"seq": seq, "kind": kind, "node": node, "peer": peer, "message": message, "cause": cause, "time": time}


def test_a_path_leads_from_the_answer_to_its_invocation() -> None:
    half = 500_000
    trees = Trees([
        row(1, "timer", "n1", "heartbeat", None),
        row(2, "send", "n1", "raft.AppendEntries", 1, "n2"),
        row(3, "invoke", "c1", "write", None),
        row(4, "send", "c1", "raft.Request", 3, "n1"),
        row(5, "deliver", "n1", "raft.Request", 4, "c1", half),
        row(6, "send", "n1", "raft.Appended", 5, "n1", half),  # to itself
        row(7, "send", "n1", "raft.AppendEntries", 5, "n2", half),
        row(8, "deliver", "n1", "raft.Appended", 6, "n1", half),
        row(9, "send", "n1", "raft.Reply", 8, "c1", half),
        row(10, "deliver", "c1", "raft.Reply", 9, "n1", 2 * half),
        row(11, "complete", "c1", "ok", 10, time=2 * half),
    ])  # fmt: skip
    assert cost_of(trees, 3) == Cost(delays=0, deciding=1, telling=0, hops=2, learned=None)
    assert [event["seq"] for event in trees.apart] == [1, 2]


# What is made of it.


def test_the_report_says_which_lines_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = [
        Counted(line.name, nodes, 0, {arithmetic(line, nodes): 9}, {"raft.Appended": 4}, 2)
        for line in LINES.values()
        for nodes in SIZES
    ]
    assert report(counts, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"counts.csv", "messages.svg", "messages.png"}
    assert "NOT all" not in capsys.readouterr().out
    twice = arithmetic(LINES["Paxos, the proposer tells learners"], 3)
    counts[0] = counts[0]._replace(costs={twice: 8, twice._replace(deciding=9): 1})
    assert not report(counts, tmp_path)
    told = capsys.readouterr().out
    assert told.count("NOT all") == 1 and "8+2, 9+2" in told


def test_bad_options_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--trials", "few"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
