"""Nodes crash and come back; nodes stand still and go on."""

from __future__ import annotations

import pytest

from framework import ConfigError, Crash, Duration, Injection, Pause, PeriodicPlan, Restart, Resume, TargetConfig
from plugins.faults.crash import CrashFault, PauseFault
from tests.plugins.faults.views import NODES, view

SECOND = 1_000_000_000


def test_a_node_crashes_and_is_restarted_when_it_is_over() -> None:
    fault = CrashFault(TargetConfig(target="n2"))
    assert fault.inject(view()) == Injection((Crash("n2"),), (Restart("n2"),), ("n2",))


def test_a_node_stands_still_and_goes_on_when_it_is_over() -> None:
    fault = PauseFault(TargetConfig(target="n2"))
    assert fault.inject(view()) == Injection((Pause("n2"),), (Resume("n2"),), ("n2",))


def test_whoever_leads_is_struck_and_nobody_while_nobody_leads() -> None:
    fault = CrashFault(TargetConfig(target="leader"))
    struck = fault.inject(view(roles={"n3": "leader"}))
    assert struck is not None and struck.targets == ("n3",)
    assert fault.inject(view()) is None


def test_a_node_that_is_down_or_stands_still_is_not_struck_again() -> None:
    fault = CrashFault(TargetConfig(target="n2"))
    assert fault.inject(view(down=("n2",))) is None
    assert fault.inject(view(stopped=("n2",))) is None


def test_it_strikes_every_so_often_until_the_end() -> None:
    config = TargetConfig(at=Duration("1s"), every=Duration("4s"), lasts=Duration("500ms"))
    planned = list(PeriodicPlan(CrashFault(config)).planned_faults("crash", 10 * SECOND, view().rng))
    assert [(one.at, one.lasts) for one in planned] == [(at * SECOND, SECOND // 2) for at in (1, 5, 9)]


def test_a_target_that_is_no_node_of_this_run_is_refused() -> None:
    for target, remedy in (
        ("n9", "There are: n1, n2, n3, n4, n5."),
        ("leadr", "Did you mean 'leader'?"),
        ("", "There are"),
    ):
        with pytest.raises(ConfigError) as refused:
            CrashFault(TargetConfig(target=target)).validate_nodes("faults.crash", NODES, ())
        assert f"faults.crash.target={target}: there is no such " in str(refused.value)
        assert remedy in str(refused.value)


def test_nodes_that_are_still_down_cannot_crash_again() -> None:
    with pytest.raises(ValueError, match="make `every` longer than `for`"):
        TargetConfig(every=Duration("1s"), lasts=Duration("1s"))
