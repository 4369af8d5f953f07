"""From a plan to result.json, whatever the engine does."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from framework.checking.finished_run import FinishedRun
from framework.checking.monitors import Breach, Watch
from framework.checking.verdict import CheckResult, Verdict
from framework.core.errors import ConfigError, PluginError
from framework.core.time import SECOND
from framework.engine.base import EngineResult, Experiment, Progress
from framework.engine.tally import Tally
from framework.registry.hookspecs import hookimpl
from framework.registry.specs import CheckerSpec, NetworkSpec
from framework.runs.execute import Plan, execute
from framework.runs.result import RunResult
from tests.runs.fakes import CONTENT, FakeEngine, NoNetwork, checker, counted, ended, interrupt, listening, plan, raised


def take(planned: Plan, engine: FakeEngine) -> tuple[RunResult, dict[str, Any]]:
    """The result, and what stands in the file."""
    result = execute(planned, engine, lambda now, tally: None)
    return result, json.loads((planned.experiment.run_dir / "result.json").read_bytes())


def test_a_valid_run_leaves_its_numbers(tmp_path: Path) -> None:
    tally = counted(4, steps=9, fsyncs=2, messages={"pings.Ping": 4}, dropped={"pings.Pong": 1})
    _, written = take(plan(tmp_path / "run", CONTENT), FakeEngine(ended(tally)))

    versions, process_s, started = (written.pop(key) for key in ("versions", "process_s", "started"))
    assert {"synod", "python", "pyarrow", "msgspec"} <= set(versions)
    assert "ray" not in versions
    assert 0 <= process_s < 60
    assert started.endswith("Z")
    assert written.pop("latency_ms")["max"] == 4.0
    check = {
        "name": "check",
        "verdict": "valid",
        "reason": "two pings explained",
        "story": [],
        "operations": 0,
    }
    assert written.pop("checks") == [{**check, "steps": 0, "key": None, "time": None, "measures": {}}]
    assert written == {
        "verdict": "valid", "reasons": [], "experiment": "pings", "engine": "fake", "seed": 7, "digest": "d1935",
        "operations": {"ok": 4, "fail": 0, "unknown": 0}, "throughput_ops_s": 2.0,
        "messages": {"pings.Ping": 4}, "dropped": {"pings.Pong": 1}, "steps": 9, "fsyncs": 2, "forced_writes": {}, "blocked": None,
        "faults": {}, "ledger": [], "notes": {}, "sometimes": {}, "duplicated": {}, "crashes": [], "virtual_s": 2.0, "wall_s": 0.5, "interrupted": False, "failure": "",
        "command": "python -m framework.run experiment=pings seed=7", "details": {},
    }  # fmt: skip


@pytest.mark.parametrize("broken", [False, True])
def test_the_network_describes_itself_in_the_result(tmp_path: Path, broken: bool) -> None:
    class Regions(NoNetwork):
        def describe(self) -> dict[str, str]:
            return {}["n1"] if broken else {"n1": "eu-west-1"}  # type: ignore[return-value]

    planned = plan(tmp_path / "run", CONTENT)
    network = NetworkSpec(name="regions", summary="", model=Regions)
    result, _ = take(replace(planned, experiment=replace(planned.experiment, network=network)), FakeEngine(ended()))
    assert result.verdict is Verdict.VALID
    told = result.details["network"]
    assert (
        told.startswith("network=regions: describe raised KeyError: 'n1' (") if broken else told == {"n1": "eu-west-1"}
    )


def test_checkers_see_the_history_that_the_engine_left(tmp_path: Path) -> None:
    seen: list[Any] = []

    def look(run: FinishedRun, config: Any) -> CheckResult:
        seen.extend((call.client, call.function, call.outcome) for call in run.history)
        return CheckResult(name="look", verdict=Verdict.VALID, reason="")

    take(plan(tmp_path / "run", CheckerSpec(name="look", summary="", check=look)), FakeEngine())

    assert seen == [("c1", "ping", "ok"), ("c2", "ping", "ok")]


def test_without_a_trace_no_checker_is_asked(tmp_path: Path) -> None:
    result, _ = take(plan(tmp_path / "run", CONTENT, trace="none"), FakeEngine())

    assert (result.verdict, result.checks) == (Verdict.UNKNOWN, ())
    assert result.summary == "unknown — trace=none keeps no history to check"


def test_a_crash_is_kept_with_its_traceback(tmp_path: Path) -> None:
    result, written = take(plan(tmp_path / "run", CONTENT), FakeEngine(ended(crashes=(raised(),))))

    assert (
        result.summary == "invalid — n2 crashed: ZeroDivisionError: division by zero in on_vote (/home/ada/votes.py:12)"
    )
    (crash,) = written["crashes"]
    assert (crash["node"], crash["time_s"]) == ("n2", 1.5)
    assert crash["traceback"] == raised().traceback


def test_an_engine_that_fails_is_a_reason_and_not_the_end_of_the_files(tmp_path: Path) -> None:
    def fail(experiment: Experiment, progress: Progress) -> EngineResult:
        raise OSError(28, "No space left on device")

    result, written = take(plan(tmp_path / "run", CONTENT), FakeEngine(fail))

    told = "unknown — the engine gave up: OSError: [Errno 28] No space left on device (tests/runs/test_execute.py:"
    assert result.summary.startswith(told)
    assert written["operations"]["ok"] == 1  # what its last progress said
    assert "in fail" in written["details"]["failure_traceback"]


STALLED = "virtual time does not advance beyond 0ms"


def test_a_run_whose_time_stood_still_is_reported_at_once_and_no_checker_runs(tmp_path: Path) -> None:
    def searches(run: FinishedRun, config: object) -> CheckResult:
        raise AssertionError("a checker ran")

    stages: list[str] = []
    stalled = FakeEngine(ended(failure=STALLED, stalled=True))
    planned = plan(tmp_path / "run", CheckerSpec(name="long", summary="", check=searches))
    result = execute(planned, stalled, lambda now, tally: stages.append(tally.stage), lambda: stages.append("checking"))
    assert stages == ["", f"the engine gave up: {STALLED}", "checking"]
    reasons = (f"the engine gave up: {STALLED}", "long: not run, because virtual time stood still")
    assert (result.verdict, result.reasons) == (Verdict.UNKNOWN, reasons)


def test_what_was_found_before_time_stood_still_remains_invalid(tmp_path: Path) -> None:
    watch = Watch(("FewLeaders",), 1, Breach("few leaders", ("n1",), "leads twice", time=5, seq=1))
    broken = ended(failure=STALLED, stalled=True, watch=watch)
    crashed = ended(failure=STALLED, stalled=True, crashes=(raised(),))
    for number, found in enumerate((broken, crashed)):
        result, _ = take(plan(tmp_path / str(number), CONTENT), FakeEngine(found))
        assert result.verdict is Verdict.INVALID


def test_an_experiment_that_the_engine_refuses_leaves_no_folder(tmp_path: Path) -> None:
    class Refuses:
        def run(self, experiment: Experiment, progress: Progress) -> EngineResult:
            raise ConfigError("network", "a link without delay")

    with pytest.raises(ConfigError, match="a link without delay"):
        execute(plan(tmp_path / "run", CONTENT), Refuses(), lambda now, tally: None)

    assert list(tmp_path.iterdir()) == []


def test_a_mistake_that_comes_to_light_during_the_run_is_its_reason(tmp_path: Path) -> None:
    def stumble(experiment: Experiment, progress: Progress) -> EngineResult:
        raise PluginError("network odd", "gave a time in the past")

    result, _ = take(plan(tmp_path / "run", CONTENT), FakeEngine(stumble))

    assert result.summary == "unknown — the engine gave up: network odd: gave a time in the past"


def test_ctrl_c_ends_the_run_in_order_and_what_was_seen_is_still_checked(tmp_path: Path) -> None:
    def stop(experiment: Experiment, progress: Progress) -> EngineResult:
        try:
            interrupt()
        except KeyboardInterrupt:
            return ended(interrupted=True, virtual_s=0.7)
        raise AssertionError("the first Ctrl-C reaches the engine")

    result, written = take(plan(tmp_path / "run", CONTENT), FakeEngine(stop))

    assert result.summary == "unknown — interrupted after 0.7 s of 2s"
    assert written["interrupted"] is True
    assert [check["verdict"] for check in written["checks"]] == ["valid"]


def test_a_second_ctrl_c_cannot_break_into_the_closing_of_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop_twice(experiment: Experiment, progress: Progress) -> EngineResult:
        try:
            interrupt()
        except KeyboardInterrupt:
            interrupt()
            (experiment.run_dir / "closed").write_text("")
        return ended(interrupted=True)

    _, written = take(plan(tmp_path / "run", CONTENT), FakeEngine(stop_twice))

    assert written["interrupted"] is True
    assert (tmp_path / "run" / "closed").exists()
    assert "its files are kept" in capsys.readouterr().err


def test_an_engine_that_lets_ctrl_c_through_loses_nothing_either(tmp_path: Path) -> None:
    def fall(experiment: Experiment, progress: Progress) -> EngineResult:
        progress(SECOND // 2, Tally(ok=5))
        interrupt()
        raise AssertionError("interrupted before")

    _, written = take(plan(tmp_path / "run", CONTENT), FakeEngine(fall))

    assert (written["verdict"], written["interrupted"], written["operations"]["ok"]) == ("unknown", True, 5)


def test_a_long_check_can_be_interrupted(tmp_path: Path) -> None:
    def endless(run: FinishedRun, config: Any) -> CheckResult:
        interrupt()
        raise AssertionError("interrupted before")

    spec = CheckerSpec(name="endless", summary="", check=endless)
    result, _ = take(plan(tmp_path / "run", spec), FakeEngine())

    assert result.summary == "unknown — endless: interrupted while checking"


def test_the_signal_handlers_of_the_caller_come_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    take(plan(tmp_path / "run", CONTENT), FakeEngine())

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_listeners_hear_of_the_start_and_the_end(tmp_path: Path) -> None:
    heard: list[tuple[str, Any]] = []

    class Hook:
        @hookimpl
        def run_started(self, run_dir: Path, config: dict[str, Any]) -> None:
            heard.append(("started", (run_dir.name, config["seed"])))

        @hookimpl
        def run_finished(self, run_dir: Path, result: dict[str, Any]) -> None:
            assert (run_dir / "result.json").exists()
            heard.append(("finished", (result["verdict"], result["checks"][0]["name"])))

    take(plan(tmp_path / "run", CONTENT, hook=listening(Hook())), FakeEngine())

    assert heard == [("started", ("run", 7)), ("finished", ("valid", "check"))]


@pytest.mark.parametrize("error", [RuntimeError("no network here"), SystemExit("no network here")])
def test_a_listener_that_fails_is_named_with_its_line_and_stops_neither_the_run_nor_the_others(
    error: BaseException, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[str] = []

    class Sound:
        @hookimpl
        def run_started(self, run_dir: Path) -> None:
            heard.append(run_dir.name)

    class Broken:
        @hookimpl
        def run_started(self) -> None:
            raise error

    hook = listening(Sound(), Broken())  # the later one is called first
    result, _ = take(plan(tmp_path / "run", CONTENT, hook=hook), FakeEngine())

    assert result.verdict is Verdict.VALID
    warning = capsys.readouterr().err
    raised = f"run_started raised {type(error).__name__}: no network here"
    assert warning.startswith(f"warning: plugin Broken: {raised} (tests/runs/test_execute.py:")
    assert warning.count("\n") == 1
    assert heard == ["run"]


def test_listeners_hear_of_progress_about_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(number / 10 for number in range(1000))
    monkeypatch.setattr("framework.runs.execute.time.monotonic", lambda: next(clock))
    heard: list[tuple[int, int]] = []

    class Hook:
        @hookimpl
        def run_progress(self, time: int, operations: int) -> None:
            heard.append((time, operations))

    def tick(experiment: Experiment, progress: Progress) -> EngineResult:
        for number in range(20):
            progress(number, Tally(ok=number, unknown=1))
        return ended()

    take(plan(tmp_path / "run", CONTENT, hook=listening(Hook())), FakeEngine(tick))

    assert 1 <= len(heard) <= 3
    assert all(operations == time + 1 for time, operations in heard)


def test_the_worst_of_several_checkers_decides(tmp_path: Path) -> None:
    stale = checker(Verdict.INVALID, "c1 read an old value", ("1 ms c1 wrote", "2 ms c1 read"), name="stale")
    result, _ = take(plan(tmp_path / "run", CONTENT, stale), FakeEngine())

    assert result.summary == "invalid — stale: c1 read an old value"


def test_a_result_that_cannot_be_written_is_told_with_its_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(tmp_path / "run", checker(Verdict.INVALID, "c1 read an old value"))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("framework.runs.folder.os.fsync", full)
    told = (
        r"result\.json: cannot be written \(No space left on device\), verdict: invalid — check: c1 read an old value"
    )
    with pytest.raises(ConfigError, match=told):
        execute(planned, FakeEngine(), lambda now, tally: None)
    assert not [file for file in (tmp_path / "run").iterdir() if "result" in file.name]


def test_a_result_with_half_a_character_is_kept_all_the_same(tmp_path: Path) -> None:
    odd = checker(Verdict.INVALID, "c1 read half \ud800", ("\udcff",))
    _, written = take(plan(tmp_path / "run", odd), FakeEngine())

    assert written["verdict"] == "invalid"
    assert written["checks"][0]["reason"] == "c1 read half \\ud800"
    assert written["checks"][0]["story"] == ["\\udcff"]


def test_a_history_that_cannot_be_read_for_any_reason_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(experiment: Experiment) -> Any:
        raise KeyError("x")

    monkeypatch.setattr("framework.runs.execute._calls", broken)
    result, written = take(plan(tmp_path / "run", CONTENT), FakeEngine())

    assert result.summary.startswith("unknown — check: the history cannot be read (KeyError: 'x', tests/runs/")
    assert "in broken" in written["details"]["checker_tracebacks"]["check"]
