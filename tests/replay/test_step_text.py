"""A trace in words: steps with what came of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.replay.step_text import WIDEST, shortened, spelled, told
from framework.run.__main__ import main
from framework.trace.reader import open_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("told") / "run"
    words = ["experiment=raft_3nodes", "engine=sim", "engine.disk_latency=3ms", "duration=400ms", "clients=2"]
    assert main([*words, "workload.think_time=20ms", "--quiet", f"run.dir={place}"]) == 0
    return place


def test_a_step_stands_with_its_input_and_below_it_what_came_of_it_later(folder: Path) -> None:
    lines = list(told(open_run(folder), ("n1", "n2", "n3"), steps=True))

    vote = next(place for place, line in enumerate(lines) if "takes raft.RequestVote(term=1, " in line)
    assert lines[vote + 1].strip() == "commits 2 changes"
    assert lines[vote + 2].strip().startswith("sends raft.Vote(term=1, granted=true) to n")
    assert not lines[vote].startswith(" " * 20) and lines[vote + 1].startswith(" " * 20)


def test_a_multicast_is_one_line(folder: Path) -> None:
    lines = list(told(open_run(folder), steps=True))

    assert any("sends raft.RequestVote(" in line and line.count(", n") == 1 for line in lines)


def test_a_client_invokes_and_completes(folder: Path) -> None:
    lines = list(told(open_run(folder), ("c1",), 300_000_000, steps=True))

    assert all(" c1 " in line or line.startswith(" " * 20) for line in lines)
    assert any("c1 invokes operation 0, " in line for line in lines)
    assert any("completes operation 0: ok " in line for line in lines)


def test_without_steps_only_what_is_rare_is_told(folder: Path) -> None:
    lines = list(told(open_run(folder), steps=False))

    assert [line.split("ms", 1)[1].split()[1:] for line in lines[:5]] == [["starts"]] * 5
    assert any("notes elected term=1" in line for line in lines)
    assert not any("takes" in line or "sends" in line for line in lines)


def test_values_are_spelled_in_one_line_and_long_ones_cut_in_the_middle() -> None:
    assert (
        spelled({"key": None, "flags": [True, b"\x00"], "text": "é"})
        == "{key=null, flags=[true, b'\\x00'], text=\"é\"}"
    )
    assert shortened("a" * WIDEST) == "a" * WIDEST
    assert shortened("a" * 1000 + "b" * 1000) == "a" * 80 + " … " + "b" * 80
