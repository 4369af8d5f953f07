"""The study of memory measures what it says, and a run four times as long stays within its bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.flat_memory.__main__ import main, measured


def test_a_longer_run_is_as_small(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["30s", "2m"]) == 0
    head, short, long, ratio = capsys.readouterr().out.splitlines()
    assert head.split() == ["duration", "peak", "memory", "real", "time"]
    assert [short.split()[0], long.split()[0]] == ["30s", "2m"]
    assert 40 < float(short.split()[1]) < 400
    assert ratio.endswith(": flat")


def test_a_run_that_is_not_valid_is_no_measurement(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert measured("150", tmp_path / "run") is None
    told = capfd.readouterr().err.splitlines()
    assert "a duration needs a unit" in told[0]
    assert told[1].endswith("ended with 2")
