"""Clocks that go wrong and come right; disks that are slow, fail, fill up or lose what they held."""

from __future__ import annotations

import pytest

from framework import ConfigError, Crash, Duration, Injection, Restart, SetClock, SetDisk
from plugins.faults.clock import ClockConfig, ClockFault
from plugins.faults.disk import DiskConfig, DiskFault
from tests.plugins.faults.views import NODES, view


def test_clocks_run_too_fast_and_ahead_and_come_back() -> None:
    config = ClockConfig(target="n2", drift_ppm=300, step=Duration("5ms"), direction="forward")
    struck = ClockFault(config).inject(view())
    assert struck == Injection((SetClock("n2", 300, 5_000_000),), (SetClock("n2", 0, -5_000_000),), ("n2",), "n2 fast")


def test_either_way_is_drawn_for_each_node() -> None:
    fault = ClockFault(ClockConfig(target="all"))
    struck = fault.inject(view())
    assert struck is not None
    signs = {action.drift_ppm > 0 for action in struck.actions if isinstance(action, SetClock)}
    assert signs == {True, False}


def test_clocks_that_stay_right_are_refused() -> None:
    with pytest.raises(ValueError, match="leave the clocks right"):
        ClockConfig(drift_ppm=0, step=Duration("0"))


@pytest.mark.parametrize(
    ("trouble", "does", "undoes"),
    [
        ("slow", (SetDisk("n1", "slow", 50_000_000),), (SetDisk("n1", "none"),)),
        ("failed_fsync", (SetDisk("n1", "failed_fsync"),), (SetDisk("n1", "none"), Restart("n1"))),
        ("full", (SetDisk("n1", "full"),), (SetDisk("n1", "none"), Restart("n1"))),
        ("damage", (Crash("n1"), SetDisk("n1", "damage")), (Restart("n1"),)),
    ],
)
def test_what_is_done_to_a_disk_and_how_it_is_mended(trouble: str, does: object, undoes: object) -> None:
    fault = DiskFault(DiskConfig(target="n1", trouble=trouble))  # type: ignore[arg-type]
    struck = fault.inject(view())
    assert struck is not None and (struck.actions, struck.undo) == (does, undoes)
    assert struck.detail == f"{trouble}: n1"
    assert fault.disables_target() is (trouble != "slow")


def test_never_more_than_a_minority_is_damaged() -> None:
    fault = DiskFault(DiskConfig(target="all", trouble="damage"))

    def struck(**world: tuple[str, ...]) -> int:
        found = fault.inject(view(**world))  # type: ignore[arg-type]
        return 0 if found is None else len(found.targets)

    assert [struck(), struck(lost=("n5",)), struck(lost=("n4", "n5")), struck(lost=("n3", "n4", "n5"))] == [2, 1, 0, 0]


def test_damage_without_a_majority_to_spare_is_refused() -> None:
    with pytest.raises(ConfigError, match="would leave no majority of 2 nodes"):
        DiskFault(DiskConfig(trouble="damage")).validate_nodes("faults.disk", NODES[:2], ())
    with pytest.raises(ValueError, match="latency=0 is not slow"):
        DiskConfig(latency=Duration("0"))
