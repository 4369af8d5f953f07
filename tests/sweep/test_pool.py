"""The pool on local processes: every call ends once, whatever becomes of its worker."""

from __future__ import annotations

import fcntl
import importlib
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from framework.core.errors import ConfigError
from framework.registry.discovery import ROOT
from framework.sweep import pool as pool_module
from framework.sweep import processes
from framework.sweep.limits import Limits
from framework.sweep.pool import Pool, TaskFailed, results
from framework.sweep.tasks import Task, TaskEnded
from tests.sweep import calls

pytestmark = pytest.mark.long

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux alone")
SOON_S = 10


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where pools put their files; afterwards nothing is left there."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def run_all(deeds: list[tuple[Any, ...]], workers: int = 2, limits: Limits = Limits()) -> list[TaskEnded]:  # noqa: B008
    """All calls of `act`, in their order."""
    with Pool(calls.act, workers, limits=limits) as pool:
        return list(pool.run(map(Task, deeds), ordered=True))


def amid_others(deed: str, *arguments: Any, limits: Limits = Limits()) -> TaskEnded:  # noqa: B008
    """How the call ended, with others before and after it that must all be right."""
    right = [("double", number) for number in range(6)]
    ended = run_all([*right[:3], (deed, *arguments), *right[3:]], limits=limits)
    assert [one.number for one in ended] == list(range(7))
    assert [one.result for one in ended if one.number != 3] == [0, 2, 4, 6, 8, 10]
    assert all(one.failure is None for one in ended if one.number != 3)
    return ended[3]


def wait_until(holds: Callable[[], bool], seconds: float = SOON_S) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").exists() and " Z " in Path(f"/proc/{pid}/stat").read_text()


# What a run gives.


def test_results_are_in_the_order_of_the_calls() -> None:
    assert list(results(calls.double, ((number,) for number in range(500)), 2)) == [2 * n for n in range(500)]


def test_no_calls_start_no_worker() -> None:
    assert list(results(calls.double, [], 2)) == []
    with Pool(calls.double, 2) as pool:
        assert list(pool.run([])) == [] and pool.running == 0


def test_calls_are_given_as_they_end(tmp_path: Path) -> None:
    """The first cannot end before the second has been given."""
    with Pool(calls.act, 2) as pool:
        first = str(tmp_path / "first")
        ended = pool.run([Task(("wait_for", first)), Task(("double", 4))])
        assert next(ended).result == 8
        Path(first).touch()
        assert [one.result for one in ended] == [first]


def test_in_order_a_result_waits_for_its_turn_and_workers_are_not_far_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call waits for the fifteenth."""
    monkeypatch.setattr(pool_module, "AHEAD", 2)
    monkeypatch.setattr(pool_module, "LONGEST_CHUNK", 4)
    taken: list[int] = []

    def tasks() -> Iterator[Task]:
        yield Task(("wait_for", str(tmp_path / "15")))
        for number in itertools.count(1):
            taken.append(number)
            yield Task(("leave_a_mark", str(tmp_path), number))

    with Pool(calls.act, 2) as pool, closing(pool.run(tasks(), ordered=True)) as ended:
        assert next(ended).number == 0
        assert 15 <= len(taken) <= 2 * (2 * 4 + 2)
        assert [one.result for one in itertools.islice(ended, 100)] == list(range(1, 101))


def test_each_call_is_made_once_and_workers_stay_over_runs(tmp_path: Path) -> None:
    with Pool(calls.leave_a_mark, 2) as pool:
        for first in (0, 300):
            tasks = [Task((str(tmp_path), number)) for number in range(first, first + 300)]
            ended = list(pool.run(tasks))
            assert sorted(one.number for one in ended) == list(range(300))
            assert sorted(one.result for one in ended) == list(range(first, first + 300))
    marks = [file.read_text() for file in tmp_path.glob("[0-9]*")]
    assert len(marks) == 600 and all(mark.count("\n") == 1 for mark in marks)
    assert len(set(marks)) <= 2


def test_tasks_are_taken_only_when_a_worker_has_room() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[Task]:
        for number in itertools.count():
            taken.append(number)
            yield Task((number,))

    with Pool(calls.double, 1) as pool, closing(pool.run(tasks())) as ended:
        assert next(ended).result == 0
        assert len(taken) <= 2
        for one in itertools.islice(ended, 2_000):
            assert len(taken) - one.number <= 2 * pool_module.LONGEST_CHUNK + 2


def test_what_is_called_next_may_depend_on_what_has_ended() -> None:
    seen: list[int] = []

    def tasks() -> Iterator[Task]:
        for number in itertools.count():
            if len(seen) >= 20:
                return
            yield Task((number,))

    with Pool(calls.double, 2) as pool:
        for one in pool.run(tasks()):
            seen.append(one.result)
    assert sorted(seen) == [2 * number for number in range(len(seen))]
    assert 20 <= len(seen) < 200


def test_a_fresh_call_has_a_process_to_itself() -> None:
    tasks = [Task((), fresh=number % 3 == 0) for number in range(9)]
    with Pool(calls.process, 2) as pool:
        pids = [one.result for one in pool.run(tasks, ordered=True)]
    own = pids[::3]
    assert len(set(own)) == 3
    assert not set(own) & {pid for number, pid in enumerate(pids) if number % 3}


def test_an_exhausted_worker_is_replaced() -> None:
    with Pool(calls.act, 1) as pool:
        names = ("process", "exhausted_process", "process")
        first, second, third = [one.result for one in pool.run((Task((name,)) for name in names), ordered=True)]
    assert first == second != third


# Calls that go wrong.


def test_a_call_that_raises_has_failed_and_its_worker_goes_on() -> None:
    with Pool(calls.act, 1) as pool:
        deeds = [("process",), ("raise_key_error", "x"), ("process",)]
        before, raised, after = pool.run(map(Task, deeds), ordered=True)
    assert before.result == after.result
    assert raised.failure is not None and raised.failure.kind == "raised"
    assert re.fullmatch(r"KeyError: 'x' \(tests/sweep/calls.py:\d+\)", raised.failure.reason)
    assert "in raise_key_error" in raised.failure.traceback and "worker.py" not in raised.failure.traceback
    assert repr(raised.failure.error) == "KeyError('x')"


def test_sys_exit_in_a_call_is_an_exception_of_its() -> None:
    failure = amid_others("exit_politely").failure
    assert failure is not None and failure.reason.startswith("SystemExit: enough (")


def test_an_exception_that_cannot_be_pickled_is_told_all_the_same() -> None:
    failure = amid_others("raise_unpicklable").failure
    assert failure is not None and (failure.kind, failure.error) == ("raised", None)
    assert failure.reason.startswith("Unpicklable: 1 and 2 (")


def test_arguments_and_results_that_cannot_be_pickled_are_failures() -> None:
    failure = amid_others("double", lambda: None).failure
    assert failure is not None and failure.kind == "raised"
    assert failure.reason.startswith("its arguments cannot be pickled: ")
    failure = amid_others("make_a_lambda").failure
    assert failure is not None and failure.kind == "raised"
    assert failure.reason.startswith("its result cannot be pickled: ")


@pytest.mark.parametrize(("deed", "where"), [("hang", "hang"), ("hang_in_c", "hang_in_c")])
def test_a_call_that_hangs_ends_with_its_time_limit(deed: str, where: str) -> None:
    failure = amid_others(deed, limits=Limits(timeout_s=0.3)).failure
    assert failure is not None and failure.kind == "timeout"
    assert re.fullmatch(rf"took longer than 0.3s: in {where} \(tests/sweep/calls.py:\d+\)", failure.reason)
    assert f"in {where}" in failure.traceback


def test_a_stopped_process_is_killed_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "BACKSTOP_S", 0.1)
    failure = amid_others("stop_itself", limits=Limits(timeout_s=0.2)).failure
    assert failure is not None and (failure.kind, failure.reason) == (
        "timeout",
        "took longer than 0.2s: its process did not answer",
    )


def test_time_is_counted_for_each_call_apart() -> None:
    ended = run_all([("take_time", 0.15)] * 6, limits=Limits(timeout_s=0.6))
    assert all(one.failure is None and one.took_s >= 0.15 for one in ended)


@LINUX
def test_a_call_that_needs_too_much_memory_has_failed_and_its_worker_is_replaced() -> None:
    limits = Limits(memory=64 << 20)
    failure = amid_others("eat", limits=limits).failure
    assert failure is not None and failure.kind == "memory"
    assert re.fullmatch(r"needed more than 64 MiB of memory \(tests/sweep/calls.py:\d+\)", failure.reason)
    with Pool(calls.act, 1, limits=limits) as pool:
        before, _, after = pool.run([Task(("process",)), Task(("eat",)), Task(("process",))], ordered=True)
    assert before.result != after.result


@LINUX
def test_a_call_may_set_its_memory_limit_anew() -> None:
    assert amid_others("eat_little_after_much", limits=Limits(memory=64 << 20)).result == 256 + 16


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        (("exit_at_once", 3), "its process ended with exit code 3"),
        (("kill_itself",), "its process was killed by SIGKILL"),
        (("crash",), r"its process was killed by SIGSEGV in crash \(tests/sweep/calls.py:\d+\)"),
    ],
)
def test_a_call_that_ends_its_process_has_failed_alone(deed: tuple[Any, ...], reason: str) -> None:
    failure = amid_others(*deed).failure
    assert failure is not None and failure.kind == "died"
    assert re.fullmatch(reason, failure.reason)
    if deed[0] == "exit_at_once":
        assert "these are my last words" in failure.traceback


def test_a_call_whose_worker_died_is_made_once_more(tmp_path: Path) -> None:
    assert amid_others("die_at_first", str(tmp_path / "mark")).result == "done"


@pytest.mark.parametrize(("times", "failed"), [(3, False), (4, True)])
def test_a_call_is_given_up_when_its_worker_is_killed_from_outside_four_times(
    times: int, failed: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "counted"
    folder.mkdir()
    one = amid_others("count_and_kill", str(folder), times)
    assert (one.failure is not None) is failed
    assert len(list(folder.iterdir())) == 4


def test_a_worker_whose_child_lives_on_is_found_dead_and_so_is_the_child(tmp_path: Path) -> None:
    file = tmp_path / "child"
    failure = amid_others("die_with_a_child", str(file)).failure
    assert failure is not None and failure.reason == "its process ended with exit code 4"
    wait_until(lambda: is_gone(int(file.read_text())))


def test_many_deaths_cost_only_the_calls_that_they_hit(tmp_path: Path) -> None:
    deeds: list[tuple[Any, ...]] = [("leave_a_mark", str(tmp_path), number) for number in range(200)]
    deadly = range(20, 200, 60)
    for number in deadly:
        deeds[number] = ("exit_at_once", number)
    ended = run_all(deeds)
    assert [one.number for one in ended if one.failure is not None] == list(deadly)
    marks = {int(file.name): file.read_text() for file in tmp_path.glob("[0-9]*")}
    assert sorted(marks) == [number for number in range(200) if number not in deadly]
    assert all(mark.count("\n") == 1 for mark in marks.values())


def test_a_chunk_that_takes_long_is_given_back_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """After many calls of no time at all come some that would keep one worker busy for long, and the other idle."""
    monkeypatch.setattr(processes, "PATIENCE_S", 0.1)
    with Pool(calls.act, 2) as pool:
        while pool.running < 2:
            assert sum(1 for _ in pool.run(Task(("double", number)) for number in range(1_000))) == 1_000
        pids = [one.result for one in pool.run((Task(("slow_process",)) for _ in range(8)), ordered=True)]
    assert len(set(pids)) == 2


# What cannot begin.


def test_a_function_that_workers_cannot_import_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "synod_gone.py").write_text("def work():\n    pass\n")
    with monkeypatch.context() as here:
        here.syspath_prepend(tmp_path)
        work = importlib.import_module("synod_gone").work
    with pytest.raises(ConfigError, match=r"workers for work: 3 in a row .*No module named 'synod_gone'"):
        list(results(work, [()], 2))


def test_a_function_without_a_name_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"cannot be sent to them .*Use a function at the top level of a module"):
        Pool(lambda: None, 1)


# What a run leaves.


def test_a_workers_files_are_gone_with_it(scratch: Path) -> None:
    with Pool(calls.leave_a_file, 1) as pool:
        (file,) = [Path(one.result) for one in pool.run([Task(())])]
        assert file.exists() and file.is_relative_to(scratch)
    assert not file.exists()


def test_what_a_pool_left_that_was_killed_with_its_workers_is_removed_by_the_next(scratch: Path) -> None:
    for name, age_s in (("old", 100), ("new", 0), ("held", 100)):
        folder = scratch / f"synod-pool-{name}"
        folder.mkdir()
        (folder / "lock").touch()
        os.utime(folder, times=(time.time() - age_s,) * 2)
    with open(scratch / "synod-pool-held" / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert list(results(calls.double, [(1,)], 1)) == [2]
    assert sorted(folder.name for folder in scratch.iterdir()) == ["synod-pool-held", "synod-pool-new"]
    for folder in scratch.iterdir():
        shutil.rmtree(folder)


def test_a_closed_run_leaves_no_process_and_the_pool_can_run_again() -> None:
    with Pool(calls.process, 2) as pool:
        with closing(pool.run(Task(()) for _ in itertools.count())) as ended:
            pids = {one.result for one in itertools.islice(ended, 200)}
            assert len(pids) <= pool.running <= 2
        assert pool.running == 0 and all(map(is_gone, pids))
        (again,) = pool.run([Task(())])
        assert again.result not in pids
    assert is_gone(again.result)


def test_results_raise_what_a_call_raised_and_leave_no_process(scratch: Path) -> None:
    with pytest.raises(KeyError, match="x") as raised:
        list(results(calls.act, [("double", 1), ("raise_key_error", "x"), ("hang",)], 2))
    assert "in raise_key_error" in raised.value.__notes__[0]
    assert list(scratch.iterdir()) == []


def test_results_name_the_call_that_failed_without_an_exception() -> None:
    with pytest.raises(TaskFailed, match=r"^act, call 2: its process ended with exit code 3"):
        list(results(calls.act, [("double", 1), ("exit_at_once", 3)], 1))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_the_program_that_started_them(number: signal.Signals, tmp_path: Path) -> None:
    marks, kept = tmp_path / "marks", tmp_path / "kept"
    marks.mkdir()
    kept.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", "from tests.sweep.calls import main; main()", str(marks)], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(kept)}, start_new_session=True,
        stdout=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        wait_until(lambda: len(list(marks.iterdir())) == 2)
        os.killpg(program.pid, number)  # as a terminal does: workers are in groups of their own
        said = program.communicate(timeout=SOON_S)[0]
    assert said == ("interrupted\n" if number == signal.SIGINT else "")
    pids = [int(mark.name) for mark in marks.iterdir()]
    wait_until(lambda: all(map(is_gone, pids)), 2)
    wait_until(lambda: list(kept.iterdir()) == [], 2)
