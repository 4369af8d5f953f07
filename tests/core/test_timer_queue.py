"""The queue of timers is its naive twin: a dict of deadlines that is searched each time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from framework.core.node import Node, on_timer
from framework.core.time import NEVER
from tests.core.bench import Bench

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 6), st.integers(1, 40)),
        st.tuples(st.just("cancel"), st.integers(0, 6), st.just(0)),
        st.tuples(st.just("pass"), st.just(0), st.integers(0, 30)),
    ),
    max_size=80,
)


class Ticks(Node):
    def on_start(self) -> None:
        self.fired: list[int] = []

    @on_timer
    def tick(self, number: int) -> None:
        self.fired.append(number)


@given(actions=ACTIONS)
def test_timers_fire_as_their_naive_twin_does(actions: list[tuple[str, int, int]]) -> None:
    bench = Bench(Ticks)
    node, host = bench.node, bench.host
    naive: dict[int, int] = {}  # in the order in which they were first set
    fired: list[int] = []
    for action, number, value in actions:
        if action == "set":
            node.set_timer(node.tick, number, after=value)
            naive[number] = host.now + value
        elif action == "cancel":
            node.cancel_timer(node.tick, number)
            naive.pop(number, None)
        else:
            host.now += value
            while naive and min(naive.values()) <= host.now:
                due = min(naive, key=lambda each: naive[each])
                fired.append(due)
                del naive[due]
            host.run()
            assert host.overdue() is None and host.wake == min(naive.values(), default=NEVER)
        assert node.fired == fired
        assert {key[2][0]: timer.deadline for key, timer in host.timers.items()} == naive
        assert host.wake <= min(naive.values(), default=NEVER)
        assert len(host._idle) <= len(host._queue) <= 66 + 4 * len(naive), "outdated entries do not pile up"


def test_timers_that_are_set_and_cancelled_over_and_over_leave_a_short_queue() -> None:
    bench = Bench(Ticks)
    for number in range(10_000):
        bench.node.set_timer(bench.node.tick, number, after=1_000_000)
        bench.node.cancel_timer(bench.node.tick, number)
    assert len(bench.host._idle) <= len(bench.host._queue) < 100


def test_a_timer_that_is_cancelled_and_set_later_takes_no_second_entry() -> None:
    bench = Bench(Ticks)
    for _ in range(1_000):
        bench.host.now += 1
        bench.node.set_timer(bench.node.tick, 0, after=1_000_000)
        bench.node.cancel_timer(bench.node.tick, 0)
    assert len(bench.host._queue) == len(bench.host._idle) == 1
    bench.host.now += 2_000_000
    assert bench.host.overdue() is None
    assert not bench.host._queue and not bench.host._idle


def test_a_timer_that_was_put_off_outlives_the_clearing_of_the_queue() -> None:
    bench = Bench(Ticks)
    node = bench.node
    node.set_timer(node.tick, 0, after=10)
    node.set_timer(node.tick, 0, after=20)  # its entry in the queue is still that of 10
    for number in range(1, 200):
        node.set_timer(node.tick, number, after=30)
        node.cancel_timer(node.tick, number)
    assert len(bench.host._queue) < 100
    bench.host.now = 25
    bench.host.run()
    assert node.fired == [0]
