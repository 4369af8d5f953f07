"""After the last operation a simulated run goes on until all replicas are equal, and is judged by that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from framework.config.compose import compose
from framework.core.time import SECOND
from framework.engine.sim.engine import SimEngine
from framework.replay.__main__ import main as replay
from framework.run.__main__ import main as run
from framework.runs.convergence import settling
from framework.trace.reader import open_run

MUTANTS = "plugins.path=experiments/planted_bugs/raft_mutants.py"

SHORT = ("experiment=raft_3nodes", "engine=sim", "duration=200ms", "clients=3", "workload.think_time=5ms", "--quiet")

ZEALOT = '''
"""Echo nodes whose replicas are what the config says."""

from dataclasses import replace

from framework import Config, Replica, hookimpl
from plugins.protocols import echo


class ZealotConfig(Config):
    raises: bool = False
    members: tuple[str, ...] = ("n1", "n2", "n3")
    late: str = ""


class Zealot(echo.EchoNode):
    @property
    def replica(self) -> Replica | None:
        if self.config.raises and self.id == "n2":
            raise KeyError("nobody wrote this one")
        return Replica(3 if self.id == self.config.late else 4, lambda: b"") if self.id in self.config.members else None


@hookimpl
def register_protocols():
    (itself,) = echo.register_protocols()
    return [replace(itself, name="zealot", node=Zealot, config=ZealotConfig)]
'''


@pytest.fixture(scope="module")
def zealot(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    plugin = tmp_path_factory.mktemp("zealot") / "zealot.py"
    plugin.write_text(ZEALOT)
    return (
        f"plugins.path={plugin}", "protocol=zealot", "workload=echo", "engine=sim", "nodes=3", "duration=100ms", "--quiet",
    )  # fmt: skip


def result(folder: Path, *words: str, code: int) -> dict[str, Any]:
    assert run([*words, f"run.dir={folder}"]) == code
    found: dict[str, Any] = json.loads((folder / "result.json").read_bytes())
    return found


def conclusion(result: dict[str, Any]) -> dict[str, Any]:
    (found,) = [check for check in result["checks"] if check["name"] == "convergence"]
    return dict(found)


def test_a_run_goes_on_until_the_last_entry_is_applied_everywhere(tmp_path: Path) -> None:
    settled = result(tmp_path / "settled", *SHORT, code=0)
    assert conclusion(settled)["verdict"] == "valid"
    assert conclusion(settled)["reason"].startswith("3 replicas equal at ")
    cut = result(tmp_path / "cut", *SHORT, "settle=0", code=0)
    assert "convergence" not in [check["name"] for check in cut["checks"]]
    assert cut["virtual_s"] < settled["virtual_s"] < cut["virtual_s"] + 0.1
    assert {**cut["latency_ms"], **cut["operations"]} == {**settled["latency_ms"], **settled["operations"]}
    assert cut["throughput_ops_s"] == settled["throughput_ops_s"]
    assert open_run(tmp_path / "cut").history.equals(open_run(tmp_path / "settled").history)


def test_no_operation_starts_while_it_settles(tmp_path: Path) -> None:
    result(tmp_path / "run", *SHORT, MUTANTS, "protocol=raft_keeps_the_commit_index_to_itself", code=1)
    rows = open_run(tmp_path / "run").events.to_pylist()
    assert max(row["time"] for row in rows if row["kind"] == "invoke") < 200_000_000
    assert max(row["time"] for row in rows) > 5_000_000_000, "what happens in that time is recorded"


def test_a_follower_that_is_never_told_of_the_last_commit_stays_behind(tmp_path: Path) -> None:
    words = (*SHORT, MUTANTS, "protocol=raft_keeps_the_commit_index_to_itself", "settle=300ms")
    told = conclusion(result(tmp_path / "run", *words, code=1))
    assert told["verdict"] == "invalid"
    assert " while " in told["reason"] and told["reason"].endswith(", 300 ms after clients were quiet")


def test_a_follower_that_skips_entries_diverges_and_the_run_replays(tmp_path: Path) -> None:
    words = (*SHORT, MUTANTS, "protocol=raft_applies_one_of_many", "engine.verify_determinism=true")
    found = result(tmp_path / "run", *words, code=1)
    told = conclusion(found)
    assert told["verdict"] == "invalid" and told["reason"].startswith("replicas that applied ")
    assert "the first difference:" in told["story"]
    assert not [reason for reason in found["reasons"] if "deterministic" in reason]
    assert replay([str(tmp_path / "run")]) == 0


def test_a_node_with_a_damaged_disk_is_left_out_and_named(tmp_path: Path) -> None:
    words = (
        *SHORT, "duration=1s", "quiet=300ms", "faults=disk", "faults.disk.trouble=damage", "faults.disk.target=n2",
        "faults.disk.at=200ms", "faults.disk.for=100ms",
    )  # fmt: skip
    told = conclusion(result(tmp_path / "run", *words, code=0))
    assert told["reason"].startswith("2 replicas equal at ") and told["reason"].endswith("; n2 is down")


def test_one_node_alone_has_nobody_to_compare_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = result(tmp_path / "run", *SHORT[:-1], "nodes=1", code=0)
    assert found["details"]["convergence"] == "nothing to compare: n1 alone keeps a copy"
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "convergence nothing to compare: n1 alone keeps a copy" in shown


def test_a_protocol_without_replicas_does_not_settle(tmp_path: Path) -> None:
    found = result(tmp_path / "run", "experiment=hello", "engine=sim", "duration=100ms", "--quiet", code=0)
    assert [check["name"] for check in found["checks"]] == ["echo"]
    assert found["virtual_s"] < 0.2


def test_nodes_that_are_no_members_are_not_compared(tmp_path: Path, zealot: tuple[str, ...]) -> None:
    told = conclusion(result(tmp_path / "run", *zealot, "protocol.members=[n1,n3]", "protocol.late=n2", code=0))
    assert told["reason"].startswith("2 replicas equal at 4, 0 ms")


def test_a_protocol_that_comes_to_rest_is_not_waited_for_in_vain(tmp_path: Path, zealot: tuple[str, ...]) -> None:
    told = conclusion(result(tmp_path / "run", *zealot, "protocol.late=n2", code=1))
    assert told["reason"] == "n2 stays at 3 while n1 n3 are at 4, 5,000 ms after clients were quiet"


def test_an_author_whose_replica_raises_hears_of_it(tmp_path: Path, zealot: tuple[str, ...]) -> None:
    found = result(tmp_path / "run", *zealot, "protocol.raises=true", code=1)
    reason, place = found["reasons"][0].split(" (")
    assert reason == "n2 crashed: KeyError: 'nobody wrote this one' in replica"
    assert ".py:" in place
    assert replay([str(tmp_path / "run")]) == 0


def test_a_run_that_was_interrupted_or_stopped_while_it_settled_is_not_judged(tmp_path: Path) -> None:
    words = [*SHORT[:-1], MUTANTS, "protocol=raft_keeps_the_commit_index_to_itself", "settle=1m"]
    experiment = replace(compose(words).experiment, run_dir=tmp_path, trace="none")

    def interrupt(now: int, tally: Any) -> None:
        if now > 2 * SECOND:
            raise KeyboardInterrupt

    interrupted = SimEngine().run(experiment, interrupt)
    assert (interrupted.interrupted, interrupted.settled) == (True, None)
    stopped = SimEngine(stop=SECOND).run(experiment, lambda now, tally: None)
    assert (stopped.interrupted, stopped.settled) == (False, None)
    assert settling(experiment.protocol, stopped) == ([], {})


FINISHER = """
from dataclasses import replace

from framework import Config, hookimpl
from plugins.protocols import echo


class FinisherConfig(Config):
    refusals: int = 0


def settled(nodes):
    node = nodes["n1"]
    node.asked = getattr(node, "asked", 0) + 1
    return "n1 is still at it" if node.asked <= node.config.refusals else None


@hookimpl
def register_protocols():
    (itself,) = echo.register_protocols()
    return [replace(itself, name="finisher", settled=settled, config=FinisherConfig)]
"""


@pytest.mark.parametrize(("refusals", "code"), [(0, 0), (5, 0), (1000, 1)])
def test_a_run_goes_on_until_its_protocol_has_finished_or_time_is_up(tmp_path: Path, refusals: int, code: int) -> None:
    plugin = tmp_path / f"finisher_{refusals}.py"  # a module's name is taken once in a process
    plugin.write_text(FINISHER)
    words = (
        f"plugins.path={plugin}", "protocol=finisher", f"protocol.refusals={refusals}", "settle=300ms", "workload=echo",
        "engine=sim", "nodes=3", "duration=100ms", "--quiet",
    )  # fmt: skip
    found = result(tmp_path / "run", *words, code=code)
    (check,) = [check for check in found["checks"] if check["name"] == "settled"]
    unfinished = "n1 is still at it, 300 ms after clients were quiet"
    assert check["reason"] == (unfinished if code else "all that was begun is finished")
