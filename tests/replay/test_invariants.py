"""A run of workers, shown to the protocol's invariants when it is over."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from framework import ConfigError, Invariant, NodeId, Step, Violation, handles, on_timer
from framework.checking.monitors import Breach, Watch
from framework.checking.verdict import Verdict
from framework.core.time import MILLISECOND, SECOND
from framework.engine.base import Experiment
from framework.engine.ray.worker.trace_rows import EventRows, first_seq, start_payload
from framework.engine.wire_codec import Wire
from framework.replay.invariants import watch_again
from framework.runs.invariants import conclusions, watched
from framework.trace.reader import open_run
from framework.trace.schema import EventKind
from tests.engine.ray.register import RegisterClient, RegisterNode, Store
from tests.replay.local_workers import register_on, run_on_workers
from tests.runs.fakes import ended


class Grows(Invariant[RegisterNode]):
    """What was accepted stays, restarts included."""

    seen: ClassVar[dict[NodeId, int]] = {}

    def observe(self, step: Step, node: RegisterNode) -> None:
        if node.accepted.last < self.seen.get(step.node, 0):
            raise Violation("grows", (step.node,), f"holds {node.accepted.last} stamps")
        self.seen[step.node] = node.accepted.last


class StopsAtFive(Invariant[RegisterNode]):
    def observe(self, step: Step, node: RegisterNode) -> None:
        if node.accepted.last > 5:
            raise Violation("five stamps", (), f"holds {node.accepted.last} stamps")


def recorded(folder: Path, invariant: type[Invariant[Any]], node: type[RegisterNode] | None = None) -> Experiment:
    """A run of the register, up to its 40th operation; its first server crashes on the way and comes back."""
    done: list[str] = []

    def trouble(workers: Any) -> None:
        servers, ok = workers[0], workers[1].tally.ok
        if ok >= 10 and not done:
            done.append("crash")
            servers.crash("n1", "fault")
        if ok >= 20 and len(done) == 1:
            done.append("restart")
            servers.restart("n1")

    Grows.seen = {}
    experiment = register_on(folder, node)
    run_on_workers(experiment, until=lambda workers: workers[1].tally.ok >= 40, meanwhile=trouble)
    return dataclasses.replace(experiment, protocol=dataclasses.replace(experiment.protocol, invariants=(invariant,)))


def test_what_holds_is_seen_to_hold_at_every_node_across_a_restart(tmp_path: Path) -> None:
    experiment = recorded(tmp_path, Grows)
    watch = watch_again(open_run(tmp_path), experiment)
    assert (watch.invariants, watch.breach, watch.failures, watch.lost) == (("Grows",), None, {}, {})
    assert watch.observations > 40
    assert sorted(Grows.seen) == ["n1", "n2", "n3"] and min(Grows.seen.values()) > 0


class Answered(Invariant[RegisterClient]):
    """Takes down which clients it is shown without an operation under way."""

    seen: ClassVar[set[NodeId]] = set()

    def observe(self, step: Step, node: RegisterClient) -> None:
        if node.current is None:
            self.seen.add(step.node)


def test_clients_are_driven_again_for_who_watches_them(tmp_path: Path) -> None:
    Answered.seen = set()
    experiment = recorded(tmp_path, Answered)
    watch = watch_again(open_run(tmp_path), experiment)
    assert (watch.breach, watch.failures, watch.lost) == (None, {}, {})
    assert Answered.seen == set(experiment.clients)


def test_what_breaks_is_told_with_its_story(tmp_path: Path) -> None:
    experiment = recorded(tmp_path, StopsAtFive)
    watch = watched(experiment, ended(), lambda: open_run(tmp_path))
    assert watch is not None and watch.breach is not None
    (node,) = watch.breach.nodes
    (result,) = conclusions(watch, lambda: open_run(tmp_path))
    assert (result.name, result.verdict) == ("five stamps", Verdict.INVALID)
    assert re.fullmatch(rf"holds \d+ stamps \({node}; at \d+\.\d{{3}} ms\)", result.reason)
    assert all(f" {node} " in line for line in result.story)
    assert any("takes register.Store(" in line for line in result.story)
    assert sum(line.endswith("← here it broke") for line in result.story) == 1


class ReadsTheClock(RegisterNode):
    @handles(Store)
    def on_store(self, sender: NodeId, store: Store) -> None:
        if self.accepted.last >= 5:
            self.note("stored", at=time.monotonic_ns())
        super().on_store(sender, store)


def test_a_node_that_does_not_do_again_what_it_did_leaves_its_invariants_in_doubt(tmp_path: Path) -> None:
    experiment = recorded(tmp_path, Grows, ReadsTheClock)
    (result,) = conclusions(watched(experiment, ended(), lambda: open_run(tmp_path)), lambda: open_run(tmp_path))
    assert result.verdict is Verdict.UNKNOWN
    told = r"; up to \d\.\d s of what n1, n2, n3 did could not be checked: driven again it departs from its record at "
    assert re.search(told, result.reason)


GAP = {"n2": "the record of a send is lost"}


@pytest.mark.parametrize("unseen", [0, SECOND // 2])
def test_a_node_whose_record_has_a_gap_leaves_its_invariants_in_doubt(tmp_path: Path, unseen: int) -> None:
    (result,) = conclusions(Watch(("Grows",), 40, lost=GAP, unseen=unseen), tmp_path)
    assert result.verdict is Verdict.UNKNOWN
    assert result.reason == (
        f"Grows held in 40 observations; up to {unseen / SECOND:.1f} s of what n2 did could not be checked:"
        " the record of a send is lost"
    )


def test_a_violation_beside_a_gap_may_rest_on_a_state_that_is_out_of_date(tmp_path: Path) -> None:
    breach = Breach("one holder", ("n1", "n2"), "two hold it", time=SECOND, seq=7)
    whole, gap = (conclusions(Watch(("OneHolder",), 40, breach, lost=lost), tmp_path)[0] for lost in ({}, GAP))
    assert (whole.verdict, whole.reason) == (Verdict.INVALID, "two hold it (n1, n2; at 1,000.000 ms)")
    assert gap.verdict is Verdict.UNKNOWN
    assert gap.reason == (
        "two hold it (n1, n2; at 1,000.000 ms); up to 0.0 s of what n2 did could not be checked:"
        " the record of a send is lost"
    )


class Torch(RegisterNode):
    """n1 holds a torch from 10 ms to 20 ms, n2 from 30 ms on; who holds it stands in memory alone, and nothing is sent."""

    def on_start(self) -> None:
        self.holds = False
        self.set_timer(self.take, after=(10 if self.id == "n1" else 30) * MILLISECOND)

    @on_timer
    def take(self) -> None:
        self.holds = True
        self.set_timer(self.drop, after=10 * MILLISECOND)

    @on_timer
    def drop(self) -> None:
        self.holds = False


class OneTorch(Invariant[Torch]):
    """At most one node holds a torch now."""

    def __init__(self) -> None:
        self.holders: set[NodeId] = set()

    def observe(self, step: Step, node: Torch) -> None:
        (self.holders.add if node.holds else self.holders.discard)(step.node)
        if len(self.holders) > 1:
            raise Violation("one torch", tuple(sorted(self.holders)), "two hold it")

    def on_crash(self, node: NodeId) -> None:
        self.holders.discard(node)


@pytest.mark.parametrize(
    ("n1_ends", "breach"), [("drops it", None), ("is killed", None), ("goes on", ("n1", "n2"))], ids=str
)
def test_what_a_node_became_is_seen_before_anything_happens_elsewhere(
    tmp_path: Path, n1_ends: str, breach: tuple[NodeId, ...] | None
) -> None:
    experiment = register_on(tmp_path, Torch)
    experiment = dataclasses.replace(
        experiment, protocol=dataclasses.replace(experiment.protocol, invariants=(OneTorch,))
    )
    n1, n2, driver = (
        EventRows(
            tmp_path / "trace" / f"{name}.arrow", Wire(experiment.protocol), experiment.endpoints, first_seq(number, 0)
        )
        for number, name in enumerate(("n1", "n2", "driver"))
    )
    start = start_payload(0, 0, {})
    first = n1.row(EventKind.START, 0, -1, 0, payload=start)
    taken = n1.row(EventKind.TIMER, 10 * MILLISECOND, first, 0, name="take")
    if n1_ends == "drops it":
        n1.row(EventKind.TIMER, 20 * MILLISECOND, taken, 0, name="drop")
    elif n1_ends == "is killed":
        driver.row(EventKind.CRASH, 20 * MILLISECOND, -1, 0, payload=b"fault")
    first = n2.row(EventKind.START, 0, -1, 1, payload=start)
    n2.row(EventKind.TIMER, 30 * MILLISECOND, first, 1, name="take")
    for rows in (n1, n2, driver):
        rows.close()

    watch = watch_again(open_run(tmp_path), experiment)
    assert (watch.lost, watch.failures) == ({}, {})
    assert (watch.breach and watch.breach.nodes) == breach


def test_without_a_full_trace_or_if_nobody_asks_nothing_is_watched(tmp_path: Path) -> None:
    experiment = recorded(tmp_path, Grows)
    assert watched(dataclasses.replace(experiment, trace="history"), ended(), lambda: open_run(tmp_path)) is None
    silent = msgspec.structs.replace(experiment.engine_config, check_invariants=False)
    assert watched(dataclasses.replace(experiment, engine_config=silent), ended(), lambda: open_run(tmp_path)) is None
    with pytest.raises(ConfigError, match="its nodes' inputs were not recorded"):
        watch_again(open_run(tmp_path), dataclasses.replace(experiment, trace="history"))
