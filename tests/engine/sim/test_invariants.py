"""The simulator shows nodes to the protocol's invariants after every step, and stops where one breaks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from framework.checking.invariants import Invariant, Step
from framework.checking.verdict import Verdict
from framework.core.client import Ok
from framework.core.errors import Violation
from framework.core.message import NodeId
from framework.core.node import Node, handles
from framework.core.time import MILLISECOND, Duration
from framework.engine.base import EngineResult
from framework.engine.sim.engine import SimEngine
from framework.registry.specs import ProtocolSpec
from framework.runs.invariants import conclusions
from framework.trace.reader import open_run
from tests.engine.sim.journal import Appended, Engine, Journal, Writer, crash, experiment, moody, simulate


class Shown(Invariant[Journal]):
    """Takes down what it is shown."""

    seen: ClassVar[list[tuple[int, str, int, bool]]] = []

    def observe(self, step: Step, node: Journal) -> None:
        self.seen.append((step.time, step.node, len(node.lines), step.started))


class StopsAtFive(Invariant[Journal]):
    def observe(self, step: Step, node: Journal) -> None:
        if len(node.lines) > 5:
            raise Violation("short journal", (step.node,), f"holds {len(node.lines)} lines")


def run(folder: Path, *invariants: type[Invariant[Any]], every: int = 1, **changes: Any) -> EngineResult:
    Shown.seen = []
    protocol = ProtocolSpec(name="journal", summary="", node=Journal, client=Writer, invariants=invariants)
    engine = msgspec.structs.replace(changes.pop("engine_config", Engine()), check_invariants_every=every)
    return simulate(experiment(folder, protocol=protocol, engine_config=engine, **changes))


def test_the_run_stops_at_the_step_that_breaks_one(tmp_path: Path) -> None:
    ended = run(tmp_path, StopsAtFive)
    assert ended.watch is not None and ended.watch.breach is not None
    breach = ended.watch.breach
    assert (breach.name, breach.nodes, breach.what) == ("short journal", ("n1",), "holds 6 lines")
    step = open_run(tmp_path).events.to_pylist()
    (broken,) = [row for row in step if row["seq"] == breach.seq]
    assert (broken["node"], broken["kind"], broken["time"]) == ("n1", "timer", breach.time)
    assert all(row["time"] <= breach.time for row in step)
    assert ended.virtual_s == breach.time / 1e9


def test_operations_that_were_open_at_the_end_are_in_the_history(tmp_path: Path) -> None:
    run(tmp_path, StopsAtFive)
    ends = [row["completed"] for row in open_run(tmp_path).history.to_pylist()]
    assert ends.count(None) == 2  # both clients wait for an answer


def test_the_story_ends_where_it_broke(tmp_path: Path) -> None:
    (result,) = conclusions(run(tmp_path, StopsAtFive).watch, lambda: open_run(tmp_path))
    assert (result.name, result.verdict) == ("short journal", Verdict.INVALID)
    assert result.reason == "holds 6 lines (n1; at 2.500 ms)"
    *before, broken, last = result.story
    assert broken == "    2.500000 ms  n1 timer seal fires  ← here it broke"
    assert last == "    2.500000 ms  n1 notes sealed lines=6"
    assert all(" n1 " in line for line in before) and "takes journal.Append" in before[-1]


def test_without_a_full_trace_there_is_the_reason_alone(tmp_path: Path) -> None:
    (result,) = conclusions(run(tmp_path, StopsAtFive, trace="history").watch, lambda: open_run(tmp_path))
    assert (result.verdict, result.story) == (Verdict.INVALID, ())


def test_every_batch_of_a_server_is_shown_to_who_watches_servers(tmp_path: Path) -> None:
    ended = run(tmp_path, Shown)
    assert {name for _, name, _, _ in Shown.seen} == {"n1"}
    assert [lines for _, _, lines, _ in Shown.seen] == list(range(ended.tally.ok + 1))
    assert ended.watch is not None and ended.watch.observations == len(Shown.seen)


class Clients(Invariant[Writer]):
    """Takes down which clients it is shown, busy or not."""

    seen: ClassVar[set[tuple[str, bool]]] = set()

    def observe(self, step: Step, node: Writer) -> None:
        self.seen.add((step.node, node.current is None))


def test_who_watches_the_class_of_the_clients_is_shown_them(tmp_path: Path) -> None:
    Clients.seen = set()
    run(tmp_path, Shown, Clients)
    assert Clients.seen == {("c1", True), ("c1", False), ("c2", True), ("c2", False)}
    assert {name for _, name, _, _ in Shown.seen} == {"n1"}


def test_one_in_five_is_shown_if_the_config_says_so_and_none_at_0(tmp_path: Path) -> None:
    run(tmp_path / "some", Shown, every=5)
    assert [lines for _, _, lines, _ in Shown.seen][:3] == [0, 5, 10]
    assert run(tmp_path / "none", Shown, every=0).watch is None and not Shown.seen


def test_what_is_shown_is_durable(tmp_path: Path) -> None:
    slow = Engine(disk_latency=Duration("50ms"))
    for seed in range(4):
        folder = tmp_path / str(seed)
        run(folder, Shown, seed=seed, engine_config=slow, faults=crash(at="510ms"))
        commits = [row for row in open_run(folder).events.to_pylist() if row["kind"] == "commit"]
        landed = {row["time"] for row in commits}
        assert {time for time, _, lines, started in Shown.seen if lines and not started} <= landed


def test_a_restarted_node_is_shown_as_started(tmp_path: Path) -> None:
    run(tmp_path, Shown, faults=crash(at="500ms"))
    starts = [time for time, _, _, started in Shown.seen if started]
    assert starts == [0, 600 * MILLISECOND]


def test_to_watch_changes_nothing_in_the_run(tmp_path: Path) -> None:
    faults: dict[str, Any] = {"network": moody(), "faults": crash(at="300ms")}
    watched = run(tmp_path / "watched", Shown, **faults)
    alone = run(tmp_path / "alone", **faults)
    assert alone.watch is None
    assert watched.digest == alone.digest


class Crashes(Invariant[Journal]):
    """Takes down which nodes crash, and how often each has been seen to start by then."""

    seen: ClassVar[list[tuple[str, int]]] = []

    def __init__(self) -> None:
        self.starts = 0

    def observe(self, step: Step, node: Journal) -> None:
        self.starts += step.started

    def on_crash(self, node: str) -> None:
        self.seen.append((node, self.starts))


def test_an_invariant_hears_of_each_crash(tmp_path: Path) -> None:
    Crashes.seen = []
    run(tmp_path, Crashes, faults=crash(at="500ms"))
    assert Crashes.seen == [("n1", 1)]


def test_what_breaks_in_some_batches_is_looked_for_in_all(tmp_path: Path) -> None:
    ended, at_once = run(tmp_path / "some", StopsAtFive, every=4), run(tmp_path / "all", StopsAtFive)
    assert ended.watch is not None and at_once.watch is not None
    assert ended.watch.breach == at_once.watch.breach is not None
    (result,) = conclusions(ended.watch, lambda: open_run(tmp_path / "some"))
    assert result.story[-2].endswith("n1 timer seal fires  ← here it broke")


class NobodyHearsOfMore(Invariant[Node]):
    """No client has heard of more lines than there are: one node's state against another's."""

    def __init__(self) -> None:
        self.lines = 0

    def observe(self, step: Step, node: Node) -> None:
        if isinstance(node, Journal):
            self.lines = len(node.lines)
        elif isinstance(node, Writer) and node.heard > self.lines:
            raise Violation("nobody hears of more", (step.node,), f"heard {node.heard} of {self.lines} lines")


def test_a_violation_that_rests_on_an_old_state_is_none(tmp_path: Path) -> None:
    ended = run(tmp_path / "all", NobodyHearsOfMore)
    assert ended.watch is not None and ended.watch.breach is None
    (result,) = conclusions(
        run(tmp_path / "some", NobodyHearsOfMore, every=5).watch, lambda: open_run(tmp_path / "some")
    )
    assert (result.name, result.verdict) == ("nobody hears of more", Verdict.UNKNOWN)
    assert "but only where every 5th batch is shown; check_invariants_every=1 shows all" in result.reason


class NoCrash(Invariant[Journal]):
    def observe(self, step: Step, node: Journal) -> None:
        pass

    def on_crash(self, node: str) -> None:
        raise Violation("no crash", (node,), "crashed")


def test_what_a_crash_breaks_stops_the_run_too(tmp_path: Path) -> None:
    ended = run(tmp_path, NoCrash, faults=crash(at="500ms"))
    assert ended.watch is not None and ended.watch.breach is not None
    assert (ended.watch.breach.name, ended.watch.breach.what) == ("no crash", "crashed")
    assert ended.virtual_s == 0.5


def test_a_second_look_that_is_cut_off_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tmp_path / "first", StopsAtFive, every=4)
    assert first.watch is not None and first.watch.breach is not None
    real, runs = SimEngine.run, []

    def cut(engine: SimEngine, *arguments: Any) -> EngineResult:
        runs.append(real(engine, *arguments))
        return dataclasses.replace(runs[-1], watch=None, interrupted=True) if len(runs) == 1 else runs[-1]

    monkeypatch.setattr(SimEngine, "run", cut)
    ended = run(tmp_path / "second", StopsAtFive, every=4)
    (result,) = conclusions(ended.watch, lambda: open_run(tmp_path / "second"))
    assert result.verdict is Verdict.UNKNOWN
    assert "looking again in all of them was cut off: interrupted" in result.reason


class Unwritable(Writer):
    """Its third answer is none that a history can hold."""

    def on_start(self) -> None:
        super().on_start()
        self.answers = 0

    @handles(Appended)
    def on_appended(self, sender: NodeId, appended: Appended) -> None:
        self.answers += 1
        self.complete(appended.operation, Ok(appended.index if self.answers < 3 else object()))


@pytest.mark.parametrize("level", ["history", "full"])
def test_an_operation_whose_answer_cannot_be_recorded_is_in_the_history_as_unknown(tmp_path: Path, level: str) -> None:
    protocol = ProtocolSpec(name="journal", summary="", node=Journal, client=Unwritable)
    ended = simulate(experiment(tmp_path, protocol=protocol, trace=level, clients=("c1",)))
    assert "cannot be recorded" in ended.failure
    rows = open_run(tmp_path).history.to_pylist()
    assert [row["outcome"] for row in rows] == ["ok", "ok", "unknown"]
