"""Commands are named as the person called them."""

from __future__ import annotations

import sys

import pytest

from framework.core.command_line import command_line, command_name


@pytest.mark.parametrize("script", ["/usr/bin/synod", "synod", "synod.exe", "/x/synod-script.py"])
def test_who_called_synod_is_told_synod(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [script, "run"])
    assert command_line("framework.run", "-m", "seed=1,2") == "synod run -m seed=1,2"
    assert command_line("framework.replay", "a folder") == "synod replay 'a folder'"
    assert command_name("framework.run") == "synod run"


@pytest.mark.parametrize(
    "argv", [["/x/framework/run/__main__.py"], ["-c"], [""], [], ["/x/synodal"], ["/synod/pytest"]]
)
def test_who_called_a_module_or_a_program_of_their_own_is_told_the_module(
    argv: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert command_line("framework.run", "nodes=3") == "python -m framework.run nodes=3"
    assert command_name("framework.run") == "framework.run"


def test_a_study_is_a_module_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["synod"])
    assert command_line("experiments.wan_latency") == "python -m experiments.wan_latency"
    assert command_name("experiments.wan_latency") == "experiments.wan_latency"
