"""The study of what moves, at small sizes: against what must move."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.placement_balance.measure import names
from experiments.placement_balance.strategies import STRATEGIES
from experiments.placement_movement import measure
from experiments.placement_movement.analyze import MINIMAL, promises_kept, report
from experiments.placement_movement.measure import CHANGES, Moved, moved
from plugins.placements.maglev import Maglev

KEYS = 20_000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "KEYS", KEYS)
    monkeypatch.setattr(measure, "PLACED", 5_000)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["ring, 100", "rendezvous", "jump"])
def test_what_moves_is_what_must(name: str, change: str) -> None:
    found = moved(name, change, 1)
    assert found.least > 0
    renumbered = name == "jump" and change in ("1 in the middle leaves", "10 fail")
    assert found.moved > found.least if renumbered else found.moved == found.least
    assert not (renumbered and change in MINIMAL[name])


def test_a_node_of_a_hundred_and_one_has_its_part() -> None:
    for name in ("rendezvous", "jump"):
        found = moved(name, "1 joins", 1)
        assert found.moved == pytest.approx(1 / 101, abs=4.5 * (0.01 / KEYS) ** 0.5)
    assert moved("modulo", "1 joins", 1).moved == pytest.approx(100 / 101, abs=0.005)


def test_the_last_node_of_jump_takes_the_place_of_one_that_leaves() -> None:
    found = moved("jump", "1 in the middle leaves", 1)
    assert found.moved == pytest.approx(2 * found.least, rel=0.2)


@pytest.mark.parametrize("change", ["1 joins", "1 in the middle leaves"])
def test_entries_of_maglev_that_change_although_their_backend_lives(change: str) -> None:
    """Counted again, entry by entry, from tables that are built anew."""
    come, go = CHANGES[change]
    tables = []
    for nodes in (names(100), [node for node in (*names(100), *come) if node not in go]):
        placement = STRATEGIES["maglev, 65537"](nodes, 1)
        assert isinstance(placement, Maglev) and placement.locate("k")
        tables.append([placement.nodes[index] for index in placement.table.tolist()])
    needless = [old for old, new in zip(*tables, strict=True) if old != new and old not in go and new not in come]
    found = moved("maglev, 65537", change, 1)
    assert found.needless == len(needless) / 65_537
    assert 0.002 < found.needless < 0.01
    assert found.moved - found.least == pytest.approx(found.needless, abs=4.5 * (0.01 / KEYS) ** 0.5)


def test_bounded_loads_move_more_the_nearer_their_bound_is_to_the_average() -> None:
    wide, narrow = (moved(f"bounded_load, c={balance}", "1 joins", 1) for balance in (1.25, 1.05))
    assert wide.moved - wide.least < narrow.moved - narrow.least


def test_tables_rows_and_the_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [moved(name, change, 0) for name in ("ring, 100", "maglev, 65537") for change in CHANGES]
    assert report(found, tmp_path)
    assert "Maglev: entries of the table that change though their node stays" in capsys.readouterr().out
    assert {file.name for file in tmp_path.iterdir()} == {"movement.csv", "movement.svg", "movement.png"}


def test_promises_that_are_not_kept_are_found() -> None:
    kept = [Moved(name, change, 0, 0.01, 0.01, 0.0) for name in ("ring, 100", "jump") for change in CHANGES]
    assert promises_kept(kept)
    assert not promises_kept([kept[0]._replace(moved=0.011), *kept[1:]])
    assert not promises_kept([*kept[:-1], kept[-1]._replace(moved=0.009)])
