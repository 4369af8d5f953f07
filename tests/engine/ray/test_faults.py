"""Faults on Ray actors: each shows in the run, and the ledger says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from framework import Crash, ImpairLinks, Impairment, Pause, Restart, RestoreLinks, Resume, SetClock, SetDisk, open_run
from framework.core.time import SECOND
from framework.replay.invariants import watch_again
from framework.run.__main__ import main as run_command
from tests.engine.ray.register import Timed, crash, register_run
from tests.engine.ray.ring import Hasty, Ring, ring
from tests.engine.ray.test_runs import MS, assert_nothing_is_left, is_atomic, ran

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_runtime")]

SLACK = 150 * MS
"""How late the driver may be with a fault on a machine that has other things to do."""


def link_faults(at: int, name: str, token: int, link: tuple[str, str], impairment: Impairment, lasts: int) -> Timed:
    return Timed(at, name, (ImpairLinks(token, (link,), impairment),), (RestoreLinks(token),), lasts)


SCRIPT = (
    Timed(300 * MS, "pause", (Pause("n1"),), (Resume("n1"),), 700 * MS, ("n1",)),
    link_faults(400 * MS, "one_way", 1, ("n2", "c1"), Impairment(cut=True), 600 * MS),
    link_faults(400 * MS, "duplicate", 2, ("c2", "n2"), Impairment(duplicate=1.0), 1200 * MS),
    link_faults(400 * MS, "delay", 3, ("c3", "n3"), Impairment(delay=40 * MS), 1200 * MS),
    Timed(500 * MS, "clock", (SetClock("n4", 500_000, 60 * SECOND),), (SetClock("n4", 0, -60 * SECOND),), 0, ("n4",)),
    Timed(1100 * MS, "slow", (SetDisk("n3", "slow", 80 * MS),), (SetDisk("n3", "none"),), 500 * MS, ("n3",)),
    Timed(1200 * MS, "damage", (Crash("n5"), SetDisk("n5", "damage")), (Restart("n5"),), 900 * MS, ("n5",)),
    Timed(1700 * MS, "fsync", (SetDisk("n4", "failed_fsync"),), (SetDisk("n4", "none"), Restart("n4")), 400 * MS, ("n4",)),
)  # fmt: skip


def test_every_fault_shows_in_the_run_and_in_the_ledger(tmp_path: Path) -> None:
    experiment = register_run(tmp_path, nodes=5, script=SCRIPT, duration=6 * SECOND, quiet=1500 * MS)
    result, run = ran(experiment)
    assert result.failure == ""
    assert is_atomic(run)
    events = run.events.to_pylist()
    faults = [row for row in events if row["kind"] == "fault"]

    # The paused node did nothing, went on afterwards, and was never down.
    paused, resumed = moment(faults, "pause", "n1"), moment(faults, "resume", "n1")
    assert not [row for row in events if row["node"] == "n1" and paused + SLACK < row["time"] < resumed and ours(row)]
    assert [row for row in events if row["node"] == "n1" and row["kind"] == "deliver" and row["time"] > resumed]

    # n2 was heard by everyone but c1, and itself heard c1.
    cut, calm = moment(faults, "impair_links", None), moment(faults, "restore_links", None)
    drops = [row for row in events if row["kind"] == "drop" and row["payload"] == b"cut"]
    assert drops and {(row["node"], row["peer"]) for row in drops} == {("n2", "c1")}
    middle = [row for row in events if row["kind"] == "deliver" and cut + SLACK < row["time"] < calm]
    assert {("c1", "n2"), ("n2", "c2")} <= {(row["peer"], row["node"]) for row in middle}
    assert ("n2", "c1") not in {(row["peer"], row["node"]) for row in middle}

    # One link repeats, one is late.
    twice = sum(result.tally.duplicated.values())
    assert twice > 0
    causes = [row["cause"] for row in events if row["kind"] == "deliver" and (row["peer"], row["node"]) == ("c2", "n2")]
    assert 0 < len(causes) - len(set(causes)) <= twice
    sent = {row["seq"]: row["time"] for row in events if row["kind"] == "send"}
    took = [row["time"] - sent[row["cause"]] for row in events
            if row["kind"] == "deliver" and (row["peer"], row["node"]) == ("c3", "n3") and row["cause"] in sent]  # fmt: skip
    slow, delayed = sum(span >= 40 * MS for span in took), touched(result, "delay")
    assert delayed > 0
    assert abs(slow - delayed) <= max(5, delayed // 20)  # a busy machine delays some by itself; a killed one loses some

    # A clock that is wrong stays so in the next incarnation.
    started = {node: [row for row in run.messages("note") if row["node"] == node] for node in experiment.nodes}
    first, again = started["n4"]
    assert abs(first["payload"]["now"] - first["time"]) < SLACK
    assert again["payload"]["now"] - again["time"] > 500 * MS
    walls = [note["payload"]["wall"] - note["payload"]["now"] for note in (first, again)]
    assert walls[1] - walls[0] == 60 * SECOND

    # An fsync that fails is a crash; damage is one that no restart mends.
    crashes = [(crash.node, crash.why.partition(":")[0]) for crash in result.crashes]
    assert sorted(crashes) == [("n4", "fsync failed"), ("n5", "fault"), ("n5", "storage damaged")]
    assert len(started["n5"]) == 1
    assert again["payload"]["accepted"] > 0

    assert set(result.tally.faults.values()) == {1} and len(result.tally.faults) == len(SCRIPT)
    assert [entry.missed for entry in result.ledger] == [""] * len(SCRIPT)
    assert all(touched(result, name) for name in ("one_way", "duplicate", "delay", "slow", "damage", "fsync"))
    assert result.tally.healed_at is not None and result.tally.healed_at >= 4500 * MS
    assert result.tally.recovered == result.tally.asked > 0
    assert result.tally.notes == {"started": 6}
    assert_nothing_is_left(tmp_path)


def test_a_leader_that_stands_still_is_replaced_and_the_verdict_counts(tmp_path: Path) -> None:
    wanted = ["experiment=raft_3nodes", "faults=pause", "faults.pause.target=leader", "faults.pause.for=1500ms"]
    status = run_command(["--quiet", *wanted, "duration=5s", f"run.dir={tmp_path / 'run'}"])
    result: dict[str, Any] = json.loads((tmp_path / "run" / "result.json").read_bytes())
    assert (status, result["verdict"], result["reasons"]) == (0, "valid", [])
    (entry,) = result["ledger"]
    assert (entry["fired"], entry["roles"]) == (1, {"leader": 1})
    (paused,) = entry["against"]
    assert result["sometimes"]["the leader changed"] >= 1
    assert result["crashes"] == []
    faults = [row for row in open_run(tmp_path / "run").events.to_pylist() if row["kind"] == "fault"]
    assert [(row["message"], row["node"]) for row in faults] == [("pause", paused), ("resume", paused)]


def test_a_process_stops_only_with_all_its_nodes(tmp_path: Path) -> None:
    """Three nodes in one process: all may stand still, one alone may not. A crash of one is emulated, and said to be."""
    everyone = ("n1", "n2", "n3")
    still = Timed(300 * MS, "pause", tuple(map(Pause, everyone)), tuple(map(Resume, everyone)), 300 * MS, everyone)
    crash = Timed(800 * MS, "crash", (Crash("n2"),), (Restart("n2"),), 100 * MS, ("n2",))
    damage = Timed(1100 * MS, "damage", (Crash("n3"), SetDisk("n3", "damage")), (Restart("n3"),), 100 * MS, ("n3",))
    alone = Timed(2300 * MS, "alone", (Pause("n1"),), (Resume("n1"),), 100 * MS, ("n1",))
    script = (still, crash, damage, alone)
    experiment = register_run(
        tmp_path, engine={"nodes_per_actor": 3}, script=script, duration=3 * SECOND, quiet=500 * MS
    )
    result, run = ran(experiment)
    assert result.failure.startswith(
        "engine.nodes_per_actor: a pause of n1 would stop n2 n3 as well, in the same process"
    )
    ledger = {entry.fault: (entry.fired, entry.emulated) for entry in result.ledger}
    assert ledger == {
        "script/pause": (1, False), "script/crash": (1, True), "script/damage": (1, True), "script/alone": (0, False),
    }  # fmt: skip
    assert sorted((crash.node, crash.why) for crash in result.crashes) == [
        ("n2", "fault (emulated: the node shares its process)"),
        ("n3", "fault (emulated: the node shares its process)"),
        ("n3", "storage damaged: an acknowledged record does not fit its checksum"),
    ]
    assert is_atomic(run)
    faults = [row for row in run.events.to_pylist() if row["kind"] == "fault"]
    paused, resumed = moment(faults, "pause", "n1"), moment(faults, "resume", "n1")
    assert not [row for row in run.events.to_pylist()
                if row["node"] in everyone and paused + SLACK < row["time"] < resumed and ours(row)]  # fmt: skip
    assert_nothing_is_left(tmp_path)


def moment(faults: list[dict[str, Any]], name: str, node: str | None) -> int:
    """When a fault was carried out first."""
    at: int = next(row["time"] for row in faults if (row["message"], row["node"]) == (name, node))
    return at


def ours(row: dict[str, Any]) -> bool:
    """Whether the node itself did it, rather than the driver to it."""
    return row["kind"] not in ("fault", "drop", "restart", "crash")


def touched(result: Any, name: str) -> int:
    return next(int(entry.touched) for entry in result.ledger if entry.fault == f"script/{name}")


@pytest.mark.parametrize(
    ("node", "breach", "transport"),
    [(Ring, None, "mesh"), (Ring, None, "actor_calls"), (Hasty, "one holder", "mesh")],
)
def test_a_node_that_is_killed_is_seen_as_it_was_last(
    tmp_path: Path, node: type[Ring], breach: str | None, transport: str
) -> None:
    """Its peers act upon what it sent: were its last rows lost, the token would seem to be held twice."""
    kills = tuple(crash(at * MS, "n2", 150 * MS) for at in (900, 2400, 3900))
    experiment = register_run(
        tmp_path,
        protocol=ring(node),
        script=kills,
        duration=5 * SECOND,
        quiet=300 * MS,
        engine={"transport": transport},
    )
    result, run = ran(experiment)
    watch = watch_again(run, experiment)
    assert result.failure == "" and sum(each.asked for each in result.crashes) >= 2
    assert (watch.lost, watch.failures) == ({}, {})
    assert (watch.breach and watch.breach.name) == breach
    assert watch.observations > (100 if breach is None else 2)
