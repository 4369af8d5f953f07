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


def test_the_size_of_whoever_measures_is_no_part_of_it(tmp_path: Path) -> None:
    ballast = bytearray(400_000_000)
    ballast[::4096] = b"x" * len(ballast[::4096])
    peak = measured("1s", tmp_path / "run")
    assert peak is not None and peak.megabytes < 300
    assert len(ballast) == 400_000_000


def test_a_run_that_is_not_valid_is_no_measurement(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert measured("150", tmp_path / "run") is None
    told = capfd.readouterr().err.splitlines()
    assert "a duration needs a unit" in told[0]
    assert told[1].endswith("ended with 2")
