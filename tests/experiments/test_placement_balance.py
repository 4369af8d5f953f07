"""The study of the balance of placements, at small sizes: shares are those of the theory."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from experiments.placement_balance import measure
from experiments.placement_balance.analyze import agrees, report
from experiments.placement_balance.measure import YARDSTICK, Measured, Speed, made, measured, plain_jump, speeds
from experiments.placement_balance.strategies import STRATEGIES, deviation
from framework import PlacementConfig
from plugins.placements.jump import Jump
from plugins.placements.maglev import Maglev

KEYS, PLACED = 200_000, 5_000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "KEYS", KEYS)
    monkeypatch.setattr(measure, "PLACED", PLACED)
    monkeypatch.setattr(measure, "ALONE", 10)


def test_the_theory_by_hand() -> None:
    """Lamping and Veach's table, whose rounding hides n: 0.998, 0.315, 0.0997 and 0.0316."""
    found = [deviation(f"ring, {points}", 500) for points in ("1 point", "10", "100", "1000")]
    assert found == pytest.approx([0.998, 0.316, 0.0999, 0.0316], rel=0.01)
    assert deviation("ring, 100", 10) == math.sqrt(9 / 1001)
    assert deviation("maglev, 65537", 1000) == pytest.approx(1000 / 65_537 * math.sqrt(0.537 * 0.463))
    assert (deviation("jump", 100), deviation("bounded_load, c=1.25", 100)) == (0.0, None)
    assert (deviation("multi_probe, 21", 10), deviation("multi_probe, 21", 100)) == (None, 0.156)


@pytest.mark.parametrize(("name", "nodes"), [("ring, 10", 100), ("ring, 100", 100), ("ring, 100", 10)])
def test_a_share_of_a_ring_deviates_by_the_root_of_n_minus_1_over_nv_plus_1(name: str, nodes: int) -> None:
    found = [measured(name, nodes, seed).deviation for seed in range(4)]
    theory = math.sqrt((nodes - 1) / (nodes * int(name.split()[1]) + 1))
    error = 4.5 * theory / math.sqrt(2 * nodes * len(found))  # of a deviation of so many samples
    assert abs(np.sqrt(np.mean(np.square(found))) - theory) < error


@pytest.mark.parametrize("name", ["jump", "rendezvous", "rendezvous, 32 bits", "modulo"])
def test_even_shares_deviate_by_the_noise_of_the_sample_alone(name: str) -> None:
    """Of n nodes and m keys the noise has the variance n/m, and an estimate of that the standard error √(2/n) of it."""
    found = measured(name, 20, 1)
    assert found.deviation**2 < 4.5 * 20 / KEYS * math.sqrt(2 / 20)


def test_the_fullest_node_of_multi_probe_has_k_over_k_minus_1_of_the_average(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "KEYS", 1_000_000)  # one share has a noise of 1%
    found = measured("multi_probe, 21", 100, 1)
    assert 21 / 20 - 0.01 < found.largest < 1.12  # a hundred nodes are not the limit of many
    assert found.deviation == pytest.approx(0.156, abs=0.05)


def test_the_fullest_of_a_thousand_backends_of_maglev() -> None:
    """Eisenbud and others, equal weights: 1.007 of the average, and 1.001 with ten times as many entries."""
    placement, _ = made("maglev, 65537", 1000, 0)
    assert isinstance(placement, Maglev) and placement.locate("k")
    entries = np.bincount(placement.table)
    assert set(entries.tolist()) == {65, 66} and entries.max() * 1000 / 65_537 == pytest.approx(1.007, abs=5e-4)
    assert math.ceil(655_373 / 1000) * 1000 / 655_373 == pytest.approx(1.001, abs=5e-4)


@pytest.mark.parametrize("balance", [1.25, 1.05])
def test_no_bounded_load_is_above_its_bound(balance: float) -> None:
    found = measured(f"bounded_load, c={balance}", 100, 1)
    assert found.largest == math.ceil(balance * PLACED / 100) * 100 / PLACED


def test_jump_as_the_yardstick_has_it() -> None:
    hashes = np.random.default_rng(1).integers(0, 2**64, 10_000, dtype=np.uint64)
    placement = Jump(PlacementConfig(), measure.names(100))
    assert (plain_jump(hashes, 100) == placement.locate_many(hashes)[:, 0]).all()


def test_speeds_of_all_that_are_compared() -> None:
    found = {one.name: one for one in speeds(1, many=1000, single=10)}
    assert set(found) == {YARDSTICK, "uhashring", *measure.COMPARED}
    assert found["uhashring"].many == 0 and found[YARDSTICK].single == 0
    assert set(measure.COMPARED) <= set(STRATEGIES)


def test_tables_rows_and_the_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [measured(name, nodes, 0) for nodes in (10, 20) for name in ("ring, 100", "jump", "bounded_load, c=1.25")]
    speed = [Speed(YARDSTICK, 4.0, 3.4, 0.0), Speed("jump", 3.0, 2.5, 3.0), Speed("uhashring", 0.0, 0.0, 2.0)]
    assert report(found, speed, tmp_path)
    shown = capsys.readouterr().out
    assert "10 nodes" in shown and "20 nodes" in shown
    assert "bars times 2.00, as the yardstick takes 3.40 s" in shown and "2.50 s │ 4.00 s" in shown
    assert {file.name for file in tmp_path.iterdir()} == {"balance.csv", "speeds.csv", "balance.svg", "balance.png"}


def test_shares_that_chance_does_not_explain_are_found() -> None:
    ring = Measured("ring, 100", 100, 0, 0.2, 1.5, 1000, 0.1, 1e-6, 1e6)
    assert not agrees([ring])
    assert agrees([ring._replace(deviation=0.1)])
