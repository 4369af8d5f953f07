"""What sweeps cost: the yardsticks take the same runs, and a missed bar is an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.sweep_cost import __main__ as cost
from experiments.sweep_cost.yardsticks import loop_s, processes_s, sweep_s, take
from framework.core.errors import SynodError
from framework.sweep.reader import open_sweep

QUICK = ("experiment=hello", "engine=sim", "duration=20ms")


def test_every_yardstick_takes_the_runs(tmp_path: Path) -> None:
    assert loop_s(QUICK, 3) > 0
    assert sweep_s((*QUICK, "seed=range(0,3)", "sweep.workers=2"), tmp_path / "s") > 0
    assert processes_s(QUICK, 2, 2) > 0
    assert len(open_sweep(tmp_path / "s").rows) == 3


def test_a_run_that_fails_is_no_figure(tmp_path: Path) -> None:
    with pytest.raises(SynodError, match="nodes=0"):
        take((*QUICK, "nodes=0"), 0)
    with pytest.raises(SynodError, match="ended with 2"):
        sweep_s((*QUICK, "nodes=0"), tmp_path / "s")


def test_a_missed_bar_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def figures(runs: int, repeat: int) -> Iterator[cost.Figure]:
        yield cost.Figure("quick", 1.0, "s", most=2)
        yield cost.Figure("slow", 3.0, "s", most=2)

    monkeypatch.setitem(cost.GROUPS, "warm", figures)
    assert cost.main(["--only", "warm"]) == 2
    shown = capsys.readouterr().out
    assert "held" in shown and "missed" in shown
    assert cost.main(["--only", "worm"]) == 2
    assert "Did you mean 'warm'?" in capsys.readouterr().err
