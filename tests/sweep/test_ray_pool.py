"""The pool on Ray actors: what befalls a call is as on one machine, and the loss of an actor or a machine befalls none."""

from __future__ import annotations

import itertools
import os
import re
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import ray

from framework.sweep import ray_workers
from framework.sweep.limits import NO_LIMITS, Limits
from framework.sweep.pool import Pool
from framework.sweep.ray_workers import Order, PoolActor, RayWorkers
from framework.sweep.tasks import Death, Task
from tests.sweep import calls
from tests.sweep.test_pool import is_gone, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_runtime")]

LIMITS = Limits(timeout_s=2, memory=64 << 20)


def test_calls_are_made_in_order_or_as_they_end_and_large_things_travel() -> None:
    with Pool(calls.act, 2, on_ray=True) as pool:
        ended = list(pool.run((Task(("double", number)) for number in range(2_000)), ordered=True))
        assert [(one.number, one.result) for one in ended] == [(number, 2 * number) for number in range(2_000)]
        assert 1 <= pool.running <= 2
        large = [Task(("length", bytes(size))) for size in (1, 1 << 20, 10, 1 << 22, 100)]
        assert sorted(one.result[0] for one in pool.run(large)) == [1, 10, 100, 1 << 20, 1 << 22]


def test_what_goes_wrong_is_told_as_on_one_machine() -> None:
    deeds: list[tuple[Any, ...]] = [
        ("raise_key_error", "x"), ("hang_in_c",), ("eat",), ("exit_at_once", 3), ("kill_itself",), ("crash",),
    ]  # fmt: skip
    expected = [
        ("raised", r"KeyError: 'x' \(.*calls.py:\d+\)"),
        ("timeout", r"took longer than 2s: in hang_in_c \(.*calls.py:\d+\)"),
        ("memory", r"needed more than 64 MiB of memory \(.*calls.py:\d+\)"),
        ("died", "its process ended with exit code 3"),
        ("died", "its process was killed by SIGKILL"),
        ("died", r"its process was killed by SIGSEGV in crash \(.*calls.py:\d+\)"),
    ]
    mixed = [one for number, deed in enumerate(deeds) for one in (deed, ("double", number))]
    with Pool(calls.act, 2, limits=LIMITS, on_ray=True) as pool:
        ended = list(pool.run(map(Task, mixed), ordered=True))
    assert [one.result for one in ended[1::2]] == [0, 2, 4, 6, 8, 10]
    for one, (kind, reason) in zip(ended[::2], expected, strict=True):
        assert one.failure is not None and one.failure.kind == kind, one
        assert re.fullmatch(reason, one.failure.reason), one.failure.reason


def test_fresh_calls_and_exhausted_workers_take_new_processes_on_the_same_actors() -> None:
    deeds = [("process",), ("exhausted_process",), ("process",), ("process",)]
    with Pool(calls.act, 1, on_ray=True) as pool:
        first, second, third, fourth = [one.result for one in pool.run(map(Task, deeds), ordered=True)]
        (own,) = [one.result for one in pool.run([Task(("process",), fresh=True)])]
        hosts = {one.result for one in pool.run(Task(("host_after_a_moment",), fresh=n == 0) for n in range(3))}
    assert first == second != third == fourth != own
    assert len(hosts) == 1


def test_a_worker_that_no_machine_has_room_for_takes_the_place_of_another() -> None:
    room = int(ray.cluster_resources()["CPU"])
    with Pool(calls.act, room + 1, on_ray=True) as pool:
        used: set[int] = set()
        while_some_are_not = itertools.takewhile(lambda _: len(used) < room, itertools.count())
        for one in pool.run(Task(("slow_process",)) for _ in while_some_are_not):
            used.add(one.result)
        assert pool.running == room
        (own,) = pool.run([Task(("double", 1), fresh=True)])
    assert own.result == 2


def test_a_call_is_given_up_when_it_has_lost_its_actor_three_times() -> None:
    with Pool(calls.act, 2, on_ray=True) as pool:
        tasks = [Task(("kill_its_host",)) if number == 5 else Task(("double", number)) for number in range(50)]
        ended = list(pool.run(tasks, ordered=True))
    failure = ended.pop(5).failure
    assert failure is not None and failure.kind == "died"
    assert failure.reason.startswith("its Ray actor was lost: ")
    assert [one.result for one in ended] == [2 * number for number in range(50) if number != 5]


def test_a_silent_actor_is_given_up_and_its_call_goes_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_workers, "SILENT_S", 4.0)
    mark = tmp_path / "stopped"
    with Pool(calls.act, 1, on_ray=True) as pool:
        (ended,) = pool.run([Task(("stop_its_host_once", str(mark)))])
    stopped = int(mark.read_text())
    if not is_gone(stopped):
        os.kill(stopped, signal.SIGKILL)
    assert ended.failure is None and ended.result != stopped


def test_an_actor_that_misses_an_order_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reports, but has never received its calls."""
    mark = tmp_path / "missed"

    class Deaf(PoolActor):
        def order(self, number: int, order: Order) -> None:
            if number == 1 and not mark.exists():
                mark.touch()
            else:
                super().order(number, order)

    monkeypatch.setattr(ray_workers, "SILENT_S", 4.0)
    monkeypatch.setattr(ray_workers, "PoolActor", Deaf)
    with Pool(calls.act, 1, on_ray=True) as pool:
        ended = list(pool.run([Task(("double", number)) for number in range(3)], ordered=True))
    assert mark.exists() and [one.result for one in ended] == [0, 2, 4]


def test_an_actor_that_does_not_start_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_workers, "START_S", 1.0)
    monkeypatch.setitem(ray_workers.OPTIONS, "num_cpus", 1_000)
    with closing(RayWorkers(b"", NO_LIMITS, 1)) as workers:
        workers.start(0)
        found = list(itertools.chain.from_iterable(workers.wait(0.5) for _ in range(6)))
    assert found == [(0, Death("lost", "its Ray actor was given up: not up after 1 s"))]


def test_a_closed_run_leaves_no_process_and_no_actor() -> None:
    with Pool(calls.act, 2, on_ray=True) as pool:
        with closing(pool.run(Task(("process",)) for _ in itertools.count())) as ended:
            workers = {one.result for one in itertools.islice(ended, 500)}
        with closing(pool.run(Task(("host_after_a_moment",)) for _ in itertools.count())) as ended:
            hosts = {one.result for one in itertools.islice(ended, 50)}
    wait_until(lambda: all(map(is_gone, workers | hosts)), 5)
