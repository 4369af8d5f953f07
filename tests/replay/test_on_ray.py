"""A run on Ray, and its nodes driven again; one that reads the host's clock is found out."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.replay.__main__ import main as replay
from framework.run.__main__ import main as run

CLOCKED = '''
"""Raft, and a word of the host's clock whenever a node is elected."""

import time

from framework import ProtocolSpec, hookimpl
from plugins.protocols import raft
from plugins.protocols.raft.node import Raft


class Clocked(Raft):
    def become_leader(self) -> None:
        self.note("at", clock=time.time_ns())
        super().become_leader()


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = raft.register_protocols()
    return [
        ProtocolSpec(
            name="raft_clocked", summary="Reads the host's clock.", node=Clocked, client=itself.client,
            config=itself.config, checkers=itself.checkers,
        )
    ]
'''


@pytest.mark.ray
def test_every_node_comes_to_the_same_outputs_and_one_that_reads_the_clock_departs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("synod_test_clocked.py").write_text(CLOCKED)
    words = ["experiment=raft_3nodes", "engine=ray", "duration=1s", "clients=3", "workload.think_time=2ms", "--quiet"]
    assert run([*words, "run.dir=plain"]) == 0
    assert run([*words, "plugins.path=synod_test_clocked.py", "protocol=raft_clocked", "run.dir=clocked"]) == 0
    capsys.readouterr()

    assert replay(["plain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in lines] == [f"{node}: same" for node in ("n1", "n2", "n3", "c1", "c2", "c3")]

    assert replay(["clocked"]) == 2
    lines = capsys.readouterr().out.splitlines()
    diverged = [place for place, line in enumerate(lines) if "differs at step" in line]
    assert len(diverged) == 1
    where = diverged[0]
    assert " takes raft.Vote(term=1, granted=true) from n" in lines[where + 1]
    assert lines[where + 2].startswith("  recorded: notes at clock=")
    assert lines[where + 3].startswith("  replayed: notes at clock=")
    assert lines[-1].startswith("Something other than config, seed and inputs affects the run")
