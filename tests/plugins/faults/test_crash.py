"""When nodes crash, and when they come back."""

from __future__ import annotations

import random

import pytest

from framework import Action, ConfigError, Duration
from plugins.faults.crash import Crash, CrashConfig

NODES = ("n1", "n2", "n3")
SECOND = 1_000_000_000


def schedule(config: CrashConfig, duration: int = 10 * SECOND) -> list[Action]:
    return list(Crash(config).schedule(NODES, duration, random.Random(1)))


def test_a_node_crashes_every_so_often_and_comes_back_each_time() -> None:
    config = CrashConfig(target="n2", first=Duration("1s"), every=Duration("4s"), down=Duration("500ms"))
    assert schedule(config) == [
        Action(1 * SECOND, "crash", "n2"),
        Action(1_500_000_000, "restart", "n2"),
        Action(5 * SECOND, "crash", "n2"),
        Action(5_500_000_000, "restart", "n2"),
        Action(9 * SECOND, "crash", "n2"),
        Action(9_500_000_000, "restart", "n2"),
    ]


def test_whoever_leads_crashes_and_whoever_is_down_comes_back() -> None:
    actions = schedule(CrashConfig(target="leader", every=Duration("0")))
    assert [(action.name, action.target) for action in actions] == [("crash", "leader"), ("restart", "all")]


def test_nothing_crashes_after_the_end() -> None:
    assert schedule(CrashConfig(first=Duration("10s"))) == []


def test_a_target_that_is_no_node_of_this_run_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"there is no such node. There are: n1, n2, n3."):
        schedule(CrashConfig(target="n4"))


def test_nodes_that_are_still_down_cannot_crash_again() -> None:
    with pytest.raises(ConfigError, match="Make `every` longer than `down`"):
        schedule(CrashConfig(every=Duration("1s"), down=Duration("1s")))
