"""The load generator: who starts what, and when, in a closed loop and in an open one."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.client import Fail, Ok, Operation, Outcome, Unknown
from framework.core.errors import PluginFailed
from framework.core.message import NodeId
from framework.core.random_streams import stream
from framework.core.time import NEVER, SECOND
from framework.core.value import Value
from framework.load.generator import Assignment, LoadGenerator
from framework.load.workload import FinalPhaseConfig, Invocation, Workload, WorkloadConfig
from tests.written import written

MS = 1_000_000
CLIENTS = ("c1", "c2", "c3")


class Numbers(Workload):
    """Writes random numbers: what is written tells which stream it was drawn from."""

    def functions(self) -> tuple[str, ...]:
        return ("write",)

    def next(self, client: NodeId, now: int, rng: random.Random) -> tuple[str, str | None, Value]:
        return "write", client, rng.randrange(1_000_000)


def load(
    *, clients: tuple[str, ...] = CLIENTS, stop: int = SECOND, first: int = 0, total: int | None = None, **config: Any
) -> LoadGenerator:
    workload = Numbers(written(WorkloadConfig, **config))
    return LoadGenerator(workload, clients, partial(stream, 1), stop=stop, first=first, total=total)


def serve(
    load: LoadGenerator, until: int, service: int, slow: Callable[[Assignment], bool] = lambda _: False
) -> list[Assignment]:
    """Runs `load` with operations that take `service` each; the slow ones never end."""
    started: list[Assignment] = []
    ends: list[tuple[int, int]] = []
    while (now := min([load.next_at, *(at for at, _ in ends)])) < until:
        for end in sorted(end for end in ends if end[0] == now):
            ends.remove(end)
            load.completed(end[1], now, retired=False)
        for assignment in load.due(now):
            started.append(assignment)
            if not slow(assignment):
                ends.append((now + service, load.clients.index(assignment.client)))
    return started


def test_in_a_closed_loop_every_client_starts_at_once_and_again_when_it_has_ended_and_thought() -> None:
    generator = load(think_time="5ms")
    assert generator.next_at == 0
    assert [(a.client, a.process, a.scheduled) for a in generator.due(0)] == [("c1", 0, 0), ("c2", 1, 0), ("c3", 2, 0)]
    assert generator.next_at == NEVER
    generator.completed(1, 20 * MS, retired=False)
    assert generator.next_at == 25 * MS
    assert generator.due(24 * MS) == []
    [again] = generator.due(25 * MS)
    assert (again.client, again.process, again.scheduled, again.operation.id) == ("c2", 1, 25 * MS, 9)


def test_in_a_closed_loop_a_client_s_operations_do_not_depend_on_the_other_clients() -> None:
    def of(client: str, started: list[Assignment]) -> list[Value]:
        return [a.operation.argument for a in started if a.client == client][:20]

    alone = serve(load(clients=("c2",), first=1, total=3), SECOND, 10 * MS)
    beside = serve(load(), SECOND, 10 * MS, slow=lambda a: a.client == "c1")
    assert of("c2", alone) == of("c2", beside)


def test_an_unknown_outcome_retires_the_process() -> None:
    generator = load()
    generator.due(0)
    for now, process in ((1, 4), (2, 7), (3, 10)):
        generator.completed(1, now, retired=True)
        assert [a.process for a in generator.due(now)] == [process]


def test_nothing_starts_at_or_after_the_stop() -> None:
    generator = load(stop=100 * MS)
    generator.due(0)
    generator.completed(0, 99 * MS, retired=False)
    generator.completed(1, 100 * MS, retired=False)
    assert [a.client for a in generator.due(99 * MS)] == ["c1"]
    generator.completed(0, 99 * MS, retired=False)
    assert generator.due(100 * MS) == []
    assert generator.next_at == NEVER
    generator.completed(2, 150 * MS, retired=False)
    assert generator.next_at == NEVER


def test_an_open_loop_keeps_its_rate_whatever_the_system_does() -> None:
    generator = load(loop="open", rate=1000, stop=10 * SECOND)
    started = serve(generator, 10 * SECOND, 1)
    assert len(started) == pytest.approx(10_000, rel=0.03)
    gaps = [b.scheduled - a.scheduled for a, b in pairwise(started)]
    assert sum(gap > MS for gap in gaps) / len(gaps) == pytest.approx(0.3679, abs=0.02)  # e**-1: Poisson's


def test_fixed_arrivals_come_like_a_clock() -> None:
    started = serve(load(loop="open", rate=200, arrivals="fixed"), SECOND, 1)
    assert [a.scheduled for a in started] == [n * 5 * MS for n in range(1, 200)]


def test_in_an_open_loop_what_waits_for_a_client_counts_from_when_it_was_due() -> None:
    generator = load(loop="open", rate=100, arrivals="fixed")
    assert [a.client for at in range(1, 4) for a in generator.due(at * 10 * MS)] == ["c1", "c2", "c3"]
    assert generator.due(40 * MS) == generator.due(50 * MS) == []
    assert generator.waiting == 2
    generator.completed(2, 55 * MS, retired=True)
    assert generator.next_at == 55 * MS
    [late] = generator.due(55 * MS)
    assert (late.client, late.process, late.scheduled) == ("c3", 5, 40 * MS)
    assert generator.waiting == 1
    assert generator.next_at == 60 * MS


def test_what_still_waits_at_the_stop_is_never_invoked() -> None:
    generator = load(loop="open", rate=100, arrivals="fixed", stop=45 * MS)
    for at in range(1, 5):
        generator.due(at * 10 * MS)
    assert generator.waiting == 1
    assert generator.next_at == NEVER
    generator.completed(0, 45 * MS, retired=False)
    assert generator.next_at == NEVER
    assert generator.due(45 * MS) == []


def test_one_call_catches_up_with_all_that_fell_due() -> None:
    generator = load(loop="open", rate=100, arrivals="fixed")
    assert [a.scheduled for a in generator.due(35 * MS)] == [10 * MS, 20 * MS, 30 * MS]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.sampled_from(["closed", "open"]), st.data())
def test_generators_share_the_clients_of_a_run_without_sharing_an_id_or_a_process(
    sizes: list[int], loop: str, data: st.DataObject
) -> None:
    total, first = sum(sizes), 0
    operations: list[int] = []
    owners: dict[int, str] = {}
    for size in sizes:
        clients = tuple(f"c{number + 1}" for number in range(first, first + size))
        generator = load(clients=clients, first=first, total=total, loop=loop, rate=1000)
        first += size
        now = 0
        for _ in range(15):
            now = max(now, generator.next_at)
            for assignment in generator.due(now):
                operations.append(assignment.operation.id)
                assert owners.setdefault(assignment.process, assignment.client) == assignment.client
                retired = data.draw(st.booleans())
                generator.completed(clients.index(assignment.client), now, retired=retired)
    assert len(operations) == len(set(operations))


def test_the_generators_of_a_run_share_its_rate_by_their_clients() -> None:
    small = serve(load(clients=("c1",), total=5, loop="open", rate=500, arrivals="fixed"), SECOND, 1)
    large = serve(
        load(clients=("c2", "c3", "c4", "c5"), first=1, total=5, loop="open", rate=500, arrivals="fixed"), SECOND, 1
    )
    assert (len(small), len(large)) == (99, 399)


def test_arrivals_are_the_same_on_every_machine() -> None:
    started = serve(load(loop="open", rate=1000), SECOND, 1)
    assert [a.scheduled for a in started[:4]] == [412896, 1751523, 2188294, 2424477]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"rate": 0}, "`float` > 0"),
        ({"loop": "opne"}, "Invalid enum value 'opne' - at `$.loop`"),
        ({"arrivals": "uniform"}, "Invalid enum value 'uniform' - at `$.arrivals`"),
        ({"think_time": "5"}, "a duration needs a unit"),
    ],
)
def test_a_bad_load_is_refused_with_what_is_wrong(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        load(**fields)
    assert complaint in str(error.value)


GOOD: list[Any] = [None, True, 7, -(1 << 63), (1 << 64) - 1, "ascii", "é☃", ("a", (1, None)), 0.5]
BAD: list[Any] = [
    b"bytes",
    float("nan"),
    (1, float("inf")),
    ["a"],
    "half \ud800",
    1 << 64,
    -(1 << 63) - 1,
    10**5_000,
    object(),
    ("a", ("half \ud800",)),
]


class Gives(Numbers):
    """Gives what a test says."""

    call: Any = None

    def next(self, client: NodeId, now: int, rng: random.Random) -> Any:
        if isinstance(self.call, BaseException):
            raise self.call
        return self.call


def giving(call: Any, **config: Any) -> LoadGenerator:
    workload = Gives(written(WorkloadConfig, **config))
    workload.call = call
    return LoadGenerator(workload, CLIENTS, partial(stream, 1), stop=SECOND, name="gives")


@pytest.mark.parametrize("number", range(len(GOOD)))
def test_what_can_be_sent_and_recorded_is_an_argument(number: int) -> None:
    assert giving(("write", "x", GOOD[number])).due(0)[0].operation.argument == GOOD[number]


@pytest.mark.parametrize("loop", ["closed", "open"])
@pytest.mark.parametrize("number", range(len(BAD)))
def test_what_cannot_is_the_workloads_mistake_and_no_clients(number: int, loop: str) -> None:
    load = giving(("write", "x", BAD[number]), loop=loop)
    with pytest.raises(PluginFailed, match=r"workload=gives: next returned .*, expected an argument that can be sent"):
        load.due(load.next_at)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (KeyError("x"), r"next raised KeyError: 'x' \(tests/load/test_workload\.py:\d+\)"),
        (SystemExit(0), r"next raised SystemExit: 0 \("),
        (7, r"next returned 7 \(int\), expected \(function, key, argument\)"),
        (("write", "x"), r"next returned \('write', 'x'\) \(tuple\), expected \(function, key, argument\)"),
        (("write", 7, None), r"next returned 7 \(int\), expected a text"),
        (("half \ud800", None, None), r"next returned 'half \\ud800' \(str\), expected a text"),
    ],
)
def test_a_workload_that_gives_no_operation_is_named(call: Any, says: str) -> None:
    with pytest.raises(PluginFailed, match=says):
        giving(call).due(0)


def test_memory_that_is_spent_is_nobodys_mistake() -> None:
    with pytest.raises(MemoryError):
        giving(MemoryError()).due(0)


# Outcomes, time, and the final phase.


class Listens(Workload):
    """Two writes a client, then the number of outcomes it has heard of; in the end one read each."""

    config: FinalPhaseConfig

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        self.heard: list[tuple[str, int, Outcome]] = []
        self.asked: list[tuple[str, int]] = []
        self.read: set[str] = set()

    def functions(self) -> tuple[str, ...]:
        return "write", "read"

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation | None:
        self.asked.append((client, now))
        return ("write", None, len(self.heard)) if len(self.asked) <= 6 else None

    def completed(self, client: NodeId, operation: Operation, outcome: Outcome) -> None:
        self.heard.append((client, operation.id, outcome))

    def final(self, client: NodeId, now: int, rng: random.Random) -> Invocation | None:
        if client in self.read:
            return None
        self.read.add(client)
        return "read", None, rng.randrange(1_000)


def listening(**config: Any) -> tuple[LoadGenerator, Listens]:
    workload = Listens(written(FinalPhaseConfig, **config))
    return LoadGenerator(workload, CLIENTS, partial(stream, 1), stop=SECOND), workload


def test_a_workload_hears_of_each_outcome_before_it_is_asked_again() -> None:
    load, workload = listening()
    assert [one.operation.argument for one in load.due(0)] == [0, 0, 0]
    ended = [("c2", Operation(3, "write"), Ok(1)), ("c1", Operation(0, "write"), Unknown("lost"))]
    for client, operation, outcome in ended:
        load.ended(client, operation, outcome)
        load.completed(CLIENTS.index(client), 5 * MS, retired=False)
    assert workload.heard == [], "nobody has been asked since"
    assert [(one.client, one.operation.argument) for one in load.due(5 * MS)] == [("c1", 2), ("c2", 2)]
    assert workload.heard == [(client, operation.id, outcome) for client, operation, outcome in ended]
    assert workload.asked[3:] == [("c1", 5 * MS), ("c2", 5 * MS)]


def test_a_client_whose_workload_gives_none_does_nothing_more() -> None:
    load, workload = listening()
    started = serve(load, SECOND, 10 * MS)
    assert len(started) == 6 and load.next_at == NEVER
    assert len(workload.asked) == 9, "each of the clients was asked once more"


def test_in_an_open_loop_none_is_an_arrival_less() -> None:
    load, workload = listening(loop="open", rate=1000.0, arrivals="fixed")
    assert len(serve(load, SECOND, MS)) == 6
    assert len(workload.asked) > 900


@pytest.mark.parametrize("loop", ["closed", "open"])
def test_the_final_phase_is_a_closed_loop_of_its_own(loop: str) -> None:
    load, _ = listening(loop=loop, rate=1000.0)
    serve(load, SECOND, 10 * MS)
    load.due(SECOND)
    assert load.next_at == NEVER
    load.begin_final(3 * SECOND, [0, 2])
    first = load.due(3 * SECOND)
    assert [(one.client, one.operation.function, one.scheduled) for one in first] == [
        ("c1", "read", 3 * SECOND), ("c3", "read", 3 * SECOND),
    ]  # fmt: skip
    assert len({one.operation.id for one in first}) == 2
    for client in (0, 1, 2):  # c2 was late
        load.completed(client, 4 * SECOND, retired=False)
    assert [one.client for one in load.due(4 * SECOND)] == ["c2"]
    load.completed(1, 5 * SECOND, retired=False)
    assert load.due(5 * SECOND) == [] and load.next_at == NEVER


def test_no_operation_of_the_final_phase_begins_after_its_time() -> None:
    load, _ = listening(final_time="10ms")
    load.begin_final(2 * SECOND, [0])
    assert load.due(2 * SECOND + 10 * MS) == [] and load.next_at == NEVER


def test_a_workload_that_cannot_take_an_outcome_is_named() -> None:
    load, workload = listening()
    workload.completed = None  # type: ignore[assignment]
    load.due(0)
    load.ended("c1", Operation(0, "write"), Fail("no"))
    load.completed(0, MS, retired=False)
    with pytest.raises(PluginFailed, match="completed raised TypeError"):
        load.due(MS)


def test_a_suspended_client_starts_nothing_until_it_is_back_under_a_new_process() -> None:
    for loop in ("closed", "open"):
        generator = load(loop=loop, rate=300, arrivals="fixed", think_time="0")
        busy = [a.client for a in generator.due(0)]
        generator.suspend(1)
        if loop == "closed":
            assert busy == ["c1", "c2", "c3"]
            generator.completed(0, 1, retired=False)
            generator.suspend(0)  # while it thinks
            assert generator.next_at == NEVER and generator.due(10 * MS) == []
            generator.completed(0, 20 * MS, retired=True)
            [again] = generator.due(20 * MS)
            assert (again.client, again.process) == ("c1", 3)
        else:
            started = [a.client for at in range(1, 200) for a in generator.due(at * MS)]
            assert started == ["c1", "c3"], "the others are busy"
            generator.completed(1, 200 * MS, retired=True)
            assert {(a.client, a.process) for a in generator.due(200 * MS)} == {("c2", 4)}


class Pairs(Workload):
    """Each client opens and closes in turn: between the two it is busy."""

    def __init__(self, config: WorkloadConfig) -> None:
        super().__init__(config)
        self.inside: set[NodeId] = set()

    def functions(self) -> tuple[str, ...]:
        return ("open", "close")

    def next(self, client: NodeId, now: int, rng: random.Random) -> Invocation:
        return ("close" if client in self.inside else "open"), None, None

    def completed(self, client: NodeId, operation: Operation, outcome: Outcome) -> None:
        if operation.function == "open" and isinstance(outcome, Ok):
            self.inside.add(client)
        else:
            self.inside.discard(client)

    def is_busy(self, client: NodeId) -> bool:
        return client in self.inside


def paired(stop: int = 100 * MS, **config: Any) -> LoadGenerator:
    workload = Pairs(written(WorkloadConfig, timeout="1s", **config))
    return LoadGenerator(workload, CLIENTS, partial(stream, 1), stop=stop)


def end(generator: LoadGenerator, assignment: Assignment, now: int, outcome: Outcome | None = None) -> None:
    outcome = Ok() if outcome is None else outcome
    generator.ended(assignment.client, assignment.operation, outcome)
    generator.completed(CLIENTS.index(assignment.client), now, retired=isinstance(outcome, Unknown))


def test_a_busy_client_goes_on_after_the_stop_until_it_is_done() -> None:
    generator = paired()
    first, second, third = generator.due(0)
    end(generator, first, 99 * MS)
    end(generator, second, 150 * MS)
    end(generator, third, 150 * MS, Unknown("lost"))
    assert [(a.client, a.operation.function) for a in generator.due(150 * MS)] == [("c1", "close"), ("c2", "close")]
    assert generator.next_at == NEVER
    close = Assignment("c2", 1, Operation(9, "close"), 150 * MS)
    end(generator, close, 200 * MS)
    assert generator.next_at == NEVER and generator.due(200 * MS) == []


def test_a_busy_client_goes_on_for_no_longer_than_a_time_out() -> None:
    generator = paired()
    first, second, _ = generator.due(0)
    end(generator, first, 1_099 * MS)
    assert generator.next_at == 1_099 * MS
    end(generator, second, 1_100 * MS)
    assert [a.client for a in generator.due(1_099 * MS)] == ["c1"]
    assert generator.next_at == NEVER


def test_in_an_open_loop_nobody_is_busy_after_the_stop() -> None:
    generator = paired(loop="open", rate=1000.0)
    first = generator.due(generator.next_at)[0]
    end(generator, first, 150 * MS)
    assert generator.next_at == NEVER or generator.next_at < 100 * MS
    assert generator.due(150 * MS) == []


def test_a_workload_that_raises_in_is_busy_is_named() -> None:
    generator = paired()
    first, *_ = generator.due(0)
    generator.workload.is_busy = None  # type: ignore[method-assign,assignment]
    generator.ended("c1", first.operation, Ok())
    with pytest.raises(PluginFailed, match="is_busy"):
        generator.completed(0, 150 * MS, retired=False)
