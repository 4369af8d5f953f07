"""What invariants found becomes a conclusion like a checker's; what they held makes up for no checker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from framework import MILLISECOND
from framework.checking.monitors import Breach, Watch
from framework.checking.verdict import CheckResult, Verdict
from framework.config.compose import compose
from framework.runs.engines import engine_named
from framework.runs.execute import Plan, execute
from framework.runs.invariants import EVENTS_TOLD, STORY_LINES, conclusions, details
from framework.runs.judgement import judge
from framework.trace.reader import Run, open_run
from tests.runs.fakes import ended, experiment

RUN = Path("runs/none")
BREACH = Breach("election safety", ("n1", "n3"), "both were elected in term 4", time=1_203_000_000, seq=88)
HELD = Watch(("Elections", "Logs"), 1_200)
TRACEBACK = """Traceback (most recent call last):
  File "/opt/synod/framework/checking/monitors.py", line 130, in observe
    invariant.observe(step, node)
  File "/home/ada/logs.py", line 9, in observe
    self.logs["n9"]
KeyError: 'n9'
"""
FAILED = Watch(("Elections", "Logs"), 1_200, failures={"Logs": TRACEBACK})
VALID = CheckResult(name="linearizability", verdict=Verdict.VALID, reason="explained")
BROKEN = CheckResult(name="linearizability", verdict=Verdict.INVALID, reason="c1 read a value nobody wrote")


def no_run() -> Run:
    raise AssertionError("the run is opened for a breach alone")


def test_nobody_watched_nothing_is_concluded() -> None:
    assert conclusions(None, no_run) == [] and details(None) == {}


def test_invariants_that_held_are_one_conclusion() -> None:
    (held,) = conclusions(HELD, no_run)
    assert (held.name, held.verdict, held.reason) == (
        "invariants", Verdict.VALID, "Elections, Logs held in 1,200 observations",
    )  # fmt: skip


def test_an_invariant_that_failed_proves_nothing() -> None:
    failed, held = conclusions(FAILED, no_run)
    assert (failed.name, failed.verdict, failed.reason) == (
        "Logs", Verdict.UNKNOWN, "could not be checked: KeyError: 'n9' in observe (/home/ada/logs.py:9)",
    )  # fmt: skip
    assert held.reason == "Elections held in 1,200 observations"
    assert details(FAILED) == {"invariant_failures": FAILED.failures}
    assert judge(experiment(RUN), ended(), [VALID], promises=[failed, held]).verdict is Verdict.UNKNOWN


def test_a_breach_names_the_property_and_its_story_needs_a_trace(tmp_path: Path) -> None:
    watch = Watch(("Elections",), 70, BREACH)
    (broken,) = conclusions(watch, lambda: open_run(tmp_path))
    assert (broken.name, broken.verdict, broken.story) == ("election safety", Verdict.INVALID, ())
    assert broken.reason == "both were elected in term 4 (n1, n3; at 1,203.000 ms)"
    assert broken.time == BREACH.time
    assert details(watch) == {
        "violation": {
            "name": "election safety", "nodes": ("n1", "n3"), "what": "both were elected in term 4",
            "time": 1_203_000_000, "seq": 88, "operation": None,
        }
    }  # fmt: skip


def test_a_broken_invariant_comes_before_what_clients_saw_of_it_and_before_faults_that_were_to_come() -> None:
    watch = Watch(("Elections",), 70, BREACH)
    verdict, reasons = judge(experiment(RUN), ended(watch=watch), [BROKEN], promises=conclusions(watch, no_run))
    assert verdict is Verdict.INVALID
    assert [reason.partition(":")[0] for reason in reasons] == ["election safety", "linearizability"]


def test_invariants_make_up_for_no_checker() -> None:
    judged = judge(experiment(RUN), ended(watch=HELD), [], promises=conclusions(HELD, no_run))
    assert judged == (Verdict.UNKNOWN, ("no checker ran",))


def test_the_evidence_about_an_operation_is_how_it_went_at_the_nodes_concerned(tmp_path: Path) -> None:
    made = compose(
        ["experiment=raft_5nodes", "engine=sim", "duration=200ms", "clients=2", f"run.dir={tmp_path / 'run'}"]
    )
    made.experiment.run_dir.mkdir()
    plan = Plan(
        experiment=made.experiment, config=made.config, engine="sim", checkers=made.checkers, models=made.models
    )
    result = execute(plan, engine_named("sim"), lambda now, tally: None)
    assert result.verdict is Verdict.VALID
    run = open_run(tmp_path / "run")
    step = next(row for row in run.events.to_pylist() if row["kind"] == "deliver" and row["operation"] == 4)
    breach = Breach("order", (step["node"],), "is early", time=step["time"] + MILLISECOND, seq=step["seq"], operation=4)

    (broken,) = conclusions(Watch(("Elections",), 70, breach), lambda: run)
    (broke,) = [line for line in broken.story if line.endswith("← here it broke")]
    assert f" {step['node']} takes " in broke and "operation=4" in broke
    assert all(f" ms  {step['node']} " in line for line in broken.story) and len(broken.story) <= STORY_LINES

    elsewhere = replace(breach, operation=10**9)
    (unknown,) = conclusions(Watch(("Elections",), 70, elsewhere), lambda: run)
    assert unknown.story and len(unknown.story) <= EVENTS_TOLD  # no such operation: the node's last events
