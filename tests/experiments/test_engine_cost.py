"""What the engines cost: runs that are compared take turns, and the other commit is checked out for as long as that takes."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from experiments.engine_cost import __main__ as cost
from experiments.engine_cost import trees
from experiments.engine_cost.rows import Row, steps_per_second
from experiments.engine_cost.trees import tree_of
from experiments.engine_cost.yardstick import simpy_events_per_s
from framework.core.errors import ConfigError

ROW = Row("simulator", "sim", ("seed=1",), "steps/s", steps_per_second, at_least=90)


def result(steps: int, verdict: str = "valid") -> dict[str, Any]:
    return {"steps": steps, "wall_s": 1.0, "verdict": verdict, "fsyncs": 0, "operations": {"ok": 1}}


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one commit."""
    place = tmp_path / "repository"
    (place / "framework" / "run").mkdir(parents=True)
    (place / "framework/run/__main__.py").write_text("")
    git(place, "init", "-q")
    git(place, "add", ".")
    git(place, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q", "-m", "one")
    monkeypatch.setattr(trees, "ROOT", place)
    return place


def git(place: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(place), *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs in their order; those of the other commit are half as fast."""
    order: list[str] = []

    def measure(overrides: Sequence[str], folder: Path, tree: Path | None = None) -> dict[str, Any]:
        assert tree is None or (tree / "framework" / "run" / "__main__.py").exists()
        order.append("now" if tree is None else "before")
        return result(100 if tree is None else 50)

    monkeypatch.setattr(cost, "measure", measure)
    monkeypatch.setattr(cost, "simpy_events_per_s", lambda: 400.0)
    return order


def test_pairs_take_turns_in_being_first_and_the_ratio_is_the_median_over_them(
    taken: list[str], repository: Path
) -> None:
    (measured,), simpy = cost.measure_all([ROW], 4, "HEAD", Console(file=io.StringIO()))
    assert taken == ["before", "now", "now", "before"] * 2
    assert (measured.median, measured.change, simpy, measured.trusted) == (100, 2.0, 400, True)
    assert git(repository, "worktree", "list").count("\n") == 1, "the other tree is gone"


def test_a_figure_does_not_count_if_one_of_its_pair_was_not_valid() -> None:
    assert not cost.Measured(ROW, [result(1)], [result(1, "unknown")]).trusted
    assert cost.Measured(ROW, [result(1)]).trusted and not cost.Measured(ROW).trusted


def test_the_table_shows_ratios(taken: list[str]) -> None:
    shown = io.StringIO()
    measured, simpy = cost.measure_all([ROW], 1, "HEAD", Console(file=io.StringIO()))
    Console(file=shown, width=200).print(cost.table(measured, simpy, "abc"))
    assert "SimPy does 400 bare events a second here" in shown.getvalue()
    assert "0.25" in shown.getvalue() and "2.000" in shown.getvalue() and "now : abc" in shown.getvalue()


def test_a_commit_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cost.main(["--against", "no-such-commit", "--only", "process"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "--against no-such-commit: invalid reference" in told
    with pytest.raises(ConfigError, match="Give a commit of this repository"), tree_of("-x", tmp_path):
        pass


def test_the_yardstick_counts_events() -> None:
    assert simpy_events_per_s() > 10_000
