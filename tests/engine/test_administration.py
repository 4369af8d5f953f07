"""Spares and administrative operations, on both engines: asked for by a schedule, done one after another, accounted for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from framework.checking.verdict import Verdict
from framework.config.compose import compose
from framework.core.errors import ConfigError
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult
from framework.trace.reader import open_run

CLUB = Path(__file__).parent / "club.py"
JOIN_JOIN_LEAVE = (
    "[{at: 200ms, fault: add_node}, {at: 200ms, fault: add_node}, {at: 500ms, fault: remove_node, target: n2}]"
)
SLACK = 100_000_000
"""How long it may take until every process has heard that a fault is over."""


def composed(engine: str, steps: str, *more: str) -> Any:
    return compose(
        [
            "protocol=club", f"plugins.path=[{CLUB}]", "workload=echo", f"engine={engine}", "nodes=3", "spares=2", "clients=2",
            "duration=1s", "quiet=200ms", "workload.loop=open", "workload.rate=50", "faults=schedule",
            f"faults.schedule.steps={steps}", *more,
        ]
    )  # fmt: skip


def taken(folder: Path, engine: str, steps: str, *more: str) -> RunResult:
    made = composed(engine, steps, *more)
    plan = Plan(
        experiment=replace(made.experiment, run_dir=folder), config=made.config, engine=engine,
        checkers=made.checkers, models=made.models,
    )  # fmt: skip
    return execute(plan, engine_named(engine), lambda now, tally: None)


@pytest.mark.parametrize("engine", ["sim", pytest.param("ray", marks=pytest.mark.ray)])
def test_spares_boot_and_join_and_a_member_leaves(tmp_path: Path, engine: str) -> None:
    result = taken(tmp_path, engine, JOIN_JOIN_LEAVE)

    rows = open_run(tmp_path).events.to_pylist()
    assert result.verdict is Verdict.VALID, result.checks
    assert [(entry["fault"], entry["touched"], entry["against"]) for entry in result.ledger] == [
        ("schedule/add_node", 1, {"n4": 1}),
        ("schedule/add_node-2", 1, {"n5": 1}),
        ("schedule/remove_node", 1, {"n2": 1}),
    ]
    starts = {row["node"]: row["time"] for row in rows if row["kind"] == "start"}
    assert starts["n3"] < 100_000_000 and min(starts["n4"], starts["n5"]) >= 200_000_000
    asked = [json.loads(row["payload"]) for row in rows if row["kind"] == "invoke" and row["node"] == "admin"]
    assert [wish["argument"] for wish in asked] == ["n4", "n5", "n2"]
    welcomed = [row["node"] for row in rows if row["kind"] == "note" and row["message"] == "welcomed"]
    assert {"n1", "n2", "n3", "n4", "n5"} == set(welcomed)
    assert "admin" not in open_run(tmp_path).history["client"].to_pylist()


SPLIT = (
    "[{at: 100ms, fault: partition, kind: halves, clients: all, for: 3500ms}, {at: 200ms, fault: add_node}, "
    "{at: 250ms, fault: crash, target: n2, for: 50ms}]"
)


@pytest.mark.parametrize("engine", ["sim", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_node_that_joins_or_restarts_during_a_partition_is_on_one_side_of_it(tmp_path: Path, engine: str) -> None:
    """Each says hello to all others all the time. What it says to the other side is cut by its own process."""
    result = taken(tmp_path, engine, SPLIT, "nodes=4", "spares=1", "duration=5s", "quiet=1s")

    partition, _, crash = result.ledger
    split, _, joined = partition["details"][0].partition(": halves: ")[2].partition("; n5 joined on the side of ")
    sides = [set(side.split()) for side in split.split(" | ")]
    assert crash["fired"] == 1
    sides[sides.index(set(joined.split()))].add("n5")
    rows = open_run(tmp_path).events.to_pylist()
    calm = next(row["time"] for row in rows if row["message"] == "restore_links")
    cut = {row["cause"] for row in rows if row["kind"] == "drop" and row["payload"] == b"cut"}
    for node in ("n5", "n2"):
        (side,) = [side for side in sides if node in side]
        since = max(row["time"] for row in rows if row["kind"] == "start" and row["node"] == node)
        said = [row for row in rows if row["kind"] == "send" and row["node"] == node and row["message"] == "club.Hello"]
        meanwhile = [row for row in said if since <= row["time"] < calm]
        assert {row["peer"] for row in meanwhile} >= {"n1", "n2", "n3", "n4"} - {node}
        for row in meanwhile:
            assert (row["seq"] in cut) == (row["peer"] not in side), row
        assert cut.isdisjoint(row["seq"] for row in said if row["time"] > calm + SLACK)


def test_what_was_refused_counts_as_not_done(tmp_path: Path) -> None:
    result = taken(tmp_path, "sim", "[{at: 200ms, fault: remove_node, target: leader}]")

    assert result.verdict is Verdict.UNKNOWN
    assert result.ledger[0]["details"][-1] == "remove_node n1 was refused: the first member stays"
    assert "fault schedule/remove_node: nothing that it asked for was done" in str(result.reasons)


def test_a_spare_that_nobody_boots_never_runs(tmp_path: Path) -> None:
    result = taken(tmp_path, "sim", "[{at: 200ms, fault: crash, target: all, for: 100ms}]")

    assert result.verdict is Verdict.VALID, result.checks
    assert result.ledger[0]["against"] == {"n1": 1, "n2": 1, "n3": 1}
    started = {row["node"] for row in open_run(tmp_path).events.to_pylist() if row["kind"] == "start"}
    assert started.isdisjoint({"n4", "n5"})


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    assert taken(tmp_path / "a", "sim", JOIN_JOIN_LEAVE).digest == taken(tmp_path / "b", "sim", JOIN_JOIN_LEAVE).digest


@pytest.mark.parametrize(
    ("steps", "more", "said"),
    [
        ("[{at: 1ms, fault: transfer_leader}]", (), "which protocol club does not support; it supports: add_node, remove_node"),
        ("[{at: 1ms, fault: add_node}]", ("protocol=echo",), "which protocol echo does not support; it supports: none"),
        ("[{at: 1ms, fault: remove_node, target: all}]", (), "means several nodes"),
        ("[{at: 1ms, fault: add_node}]", ("spares=0",), "there is no spare to add"),
    ],
)  # fmt: skip
def test_what_can_never_be_asked_is_refused_before_the_run(steps: str, more: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        composed("sim", steps, *more)
