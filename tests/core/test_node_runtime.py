"""Batches: inputs, timers set with after=0, one commit, then the effects."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from framework.core.durable import DurableLog, DurableMap, LogWritten, ScalarSet, durable, durable_log, durable_map
from framework.core.effects import Note, Send
from framework.core.errors import PluginError
from framework.core.message import Message, NodeId, Record
from framework.core.node import Node, TimerKey, handles, on_timer
from framework.core.node_runtime import Batch, Deliver, NodeRuntime, Start
from framework.core.status import Status
from framework.core.storage import MemoryStorage
from framework.core.time import NEVER
from tests.core.bench import Bench, Noted, Sent, readable


class Append(Message):
    value: int


class Ack(Message):
    last: int


class Replicate(Message):
    values: tuple[int, ...]


class Fail(Message):
    pass


class Stray(Message):
    pass


class Writer(Node):
    """Appends, acknowledges once durable, replicates once a batch and before its commit."""

    log: DurableLog[int] = durable_log(int)
    sent: int = durable(0)

    @handles(Append)
    def on_append(self, sender: NodeId, append: Append) -> None:
        index = self.log.append(append.value)
        self.send(sender, Ack(last=index))
        self.note("appended", index=index)
        self.set_timer(self.replicate, after=0)

    @handles(Fail)
    def on_fail(self, sender: NodeId, fail: Fail) -> None:
        raise RuntimeError("planted")

    @on_timer
    def replicate(self) -> None:
        values = self.log.slice(self.sent + 1, self.log.last + 1)
        self.broadcast(Replicate(values), before_commit=True)
        self.sent = self.log.last


class RecordingStorage(MemoryStorage):
    """Writes down when it was asked to commit, among what left."""

    def __init__(self) -> None:
        super().__init__()
        self.bench: Bench | None = None

    def commit(self, changes: Any) -> None:
        super().commit(changes)
        assert self.bench is not None
        self.bench.left.append(("commit", len(changes)))


def test_a_batch_is_its_inputs_then_the_soon_timers_one_commit_and_the_effects_in_order() -> None:
    bench = Bench(Writer)

    left = bench.deliver(("c1", Append(10)), ("c2", Append(20)))

    assert left == [
        Sent("n2", Replicate((10, 20))),
        Sent("n3", Replicate((10, 20))),
        Sent("c1", Ack(1)),
        Noted("appended", {"index": 1}),
        Sent("c2", Ack(2)),
        Noted("appended", {"index": 2}),
    ]
    assert bench.commits == [[LogWritten("", "log", 1, 1, (10, 20)), ScalarSet("", "sent", 2)]]


def test_a_batch_that_changed_nothing_durable_has_no_commit() -> None:
    bench = Bench(Writer)
    bench.node.sent = 0
    bench.node.log.extend(())
    bench.node.log.truncate(1)
    bench.finish()

    assert bench.commits == []


def test_an_exception_before_the_commit_loses_the_whole_batch() -> None:
    bench = Bench(Writer)
    bench.deliver(("c1", Append(10)))
    left = list(bench.left)

    bench.step("c1", Append(20))
    with pytest.raises(RuntimeError, match="planted"):
        bench.step("c1", Fail())
    bench.boot()

    assert list(bench.node.log) == [10]
    assert bench.left == left


def test_a_message_without_a_handler_says_who_got_it_and_what_to_write() -> None:
    bench = Bench(Writer)

    with pytest.raises(PluginError) as raised:
        bench.step("n2", Stray())

    assert str(raised.value) == (
        "Writer: n1 got Stray from n2 and has no handler for it. Write @handles(Stray), or send it elsewhere."
    )


def test_a_message_to_itself_leaves_after_the_commit_like_any_other() -> None:
    class Voter(Node):
        voted_for: NodeId | None = durable(None)

        @handles(Append)
        def on_append(self, sender: NodeId, append: Append) -> None:
            self.send(self.id, Ack(append.value))
            self.voted_for = self.id
            self.send("n2", Ack(0), before_commit=True)

    storage = RecordingStorage()
    bench = Bench(Voter, storage=storage)
    storage.bench = bench
    bench.step("n2", Append(1))
    bench.finish()

    assert readable(bench.last.early) == [Sent("n2", Ack(0))]
    assert bench.left == [("commit", 1), Sent("n2", Ack(0)), Sent("n1", Ack(1))]


def test_a_restart_is_a_new_instance_with_durable_fields_restored_and_nothing_else() -> None:
    bench = Bench(Writer)
    bench.deliver(("c1", Append(10)))
    first = bench.node
    first.volatile = 5

    bench.boot()

    assert bench.node is not first
    assert (list(bench.node.log), bench.node.sent, hasattr(bench.node, "volatile")) == ([10], 1, False)
    assert bench.host.timers == {} and bench.host.wake == NEVER


# What is wrong with a durable field is found at the commit that would write it.


class Holder(Node):
    votes: tuple[Any, ...] = durable(())
    log: DurableLog[int] = durable_log(int)
    table: DurableMap[str, int] = durable_map(str, int)


class Tally(Record):
    voters: list[str]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "Holder.votes: a durable field cannot hold a list. Use a tuple"),
        ({"n1"}, "Holder.votes: a durable field cannot hold a set. Use a frozenset."),
        ((1, ([],)), "Holder.votes: a durable field cannot hold a list."),
        (Tally(["n1"]), "Holder.votes.voters: a durable field cannot hold a list."),
        (bytearray(b"x"), "Holder.votes: a durable field cannot hold a bytearray. Use an immutable value."),
    ],
)
def test_a_value_that_can_change_is_refused_when_it_would_be_committed(value: Any, words: str) -> None:
    bench = Bench(Holder)
    bench.node.votes = value

    with pytest.raises(PluginError) as raised:
        bench.finish()

    assert str(raised.value).startswith(words)
    assert bench.commits == []


def test_a_log_or_map_that_was_replaced_is_refused_for_its_increments_would_be_lost() -> None:
    for field, other in (("log", DurableLog(1, [1, 2])), ("table", DurableMap({"a": 1})), ("log", [])):
        bench = Bench(Holder)
        with pytest.raises(
            PluginError, match=rf"Holder\.{field}: a durable (log|map) cannot be replaced\. Change it in place"
        ):
            setattr(bench.node, field, other)


class Touch(Message):
    fields: tuple[str, ...]


class Touched(Node):
    first: int = durable(0)
    second: DurableLog[int] = durable_log(int)
    third: int = durable(0)

    @handles(Touch)
    def on_touch(self, sender: NodeId, touch: Touch) -> None:
        for field in touch.fields:
            if field == "second":
                self.second.append(1)
            else:
                setattr(self, field, getattr(self, field) + 1)


def test_a_commit_has_its_fields_in_the_order_in_which_the_class_declares_them() -> None:
    runtime = NodeRuntime("n1", random.Random(0), is_durable=True)
    runtime.run([Start(Touched, None, ())])
    for fields in [*itertools.permutations(("first", "second", "third")), ("third", "first"), ("second",)] * 2:
        batch = runtime.deliver_one("", "n2", Touch(fields), 1)
        assert [change.field for change in batch.changes] == sorted(fields)  # type: ignore[union-attr]


class Pair(Record):
    left: int | bool | float


class Exact(Node):
    flag: int = durable(0)
    count: int = durable(5_000)
    share: float = durable(0.0)
    pair: tuple[Any, ...] = durable((0,))
    ballot: Record = durable(Pair(0))
    members: frozenset[Any] = durable(frozenset((0,)))


@pytest.mark.parametrize(
    ("field", "equal"),
    [
        ("flag", False),
        ("share", -0.0),
        ("pair", (False,)),
        ("ballot", Pair(0.0)),
        ("members", frozenset((False,))),
    ],
)
def test_a_value_that_differs_is_a_change_though_it_compares_equal(field: str, equal: Any) -> None:
    bench = Bench(Exact)
    assert getattr(bench.node, field) == equal
    setattr(bench.node, field, equal)
    bench.finish()

    assert [repr(commit) for commit in bench.commits] == [repr([ScalarSet("", field, equal)])]


def test_the_same_value_is_no_change() -> None:
    bench = Bench(Exact)
    bench.node.count = int("5000")
    bench.node.pair = bench.node.pair[:]
    bench.finish()

    assert bench.commits == []


# Timers.


class Clock(Node):
    def on_start(self) -> None:
        self.fired: list[tuple[int, Any]] = []

    @on_timer
    def tick(self, *name: Any) -> None:
        self.fired.append((self.now, name))

    @on_timer
    def tock(self) -> None:
        self.fired.append((self.now, "tock"))

    def plain(self) -> None: ...


def test_a_timer_is_a_method_and_its_arguments() -> None:
    bench = Bench(Clock)
    node = bench.node
    node.set_timer(node.tick, "a", after=30)
    node.set_timer(node.tick, "b", 1, after=20)
    node.set_timer(node.tick, after=10)

    bench.advance(100)

    assert node.fired == [(10, ()), (20, ("b", 1)), (30, ("a",))]


def test_setting_a_timer_again_replaces_it_and_cancelling_forgets_it() -> None:
    bench = Bench(Clock)
    node = bench.node
    node.set_timer(node.tick, "a", after=10)
    node.set_timer(node.tick, "a", after=50)
    node.set_timer(node.tick, "b", after=20)
    node.cancel_timer(node.tick, "b")
    node.cancel_timer(node.tick, "never set")

    bench.advance(100)

    assert node.fired == [(50, ("a",))]


def test_after_zero_fires_once_at_the_end_of_this_batch_whatever_was_set_before() -> None:
    bench = Bench(Clock)
    node = bench.node
    node.set_timer(node.tick, after=10)
    node.set_timer(node.tick, after=0)
    node.set_timer(node.tick, after=0)
    bench.finish()
    assert node.fired == [(0, ())]

    node.set_timer(node.tock, after=0)
    node.set_timer(node.tock, after=5)
    bench.finish()
    assert node.fired == [(0, ())]
    node.set_timer(node.tick, after=0)
    node.cancel_timer(node.tick)
    bench.advance(100)
    assert node.fired == [(0, ()), (5, "tock")]


def test_timers_that_fall_due_together_fire_in_the_order_in_which_they_were_first_set() -> None:
    bench = Bench(Clock)
    node = bench.node
    for name in ("c", "a", "b", "a"):
        node.set_timer(node.tick, name, after=10)
    node.set_timer(node.tock, after=9)

    bench.advance(10)

    assert node.fired == [(9, "tock"), (10, ("c",)), (10, ("a",)), (10, ("b",))]


def test_the_wake_up_is_never_later_than_the_earliest_deadline() -> None:
    bench = Bench(Clock)
    node, host = bench.node, bench.host
    node.set_timer(node.tick, "a", after=10)
    assert host.wake == 10
    node.set_timer(node.tick, "a", after=30)
    assert host.wake <= 30
    assert host.overdue() is None and host.wake == 30
    node.cancel_timer(node.tick, "a")
    assert host.overdue() is None and host.wake == NEVER


def test_a_timer_remembers_the_step_that_set_it() -> None:
    bench = Bench(Clock)
    bench.host.step = 41
    bench.node.set_timer(bench.node.tock, after=0)
    bench.node.set_timer(bench.node.tick, after=5)

    assert bench.host.next_timer() == (("", "tock", ()), 41)
    (timer,) = bench.host.timers.values()
    assert (timer.deadline, timer.step) == (5, 41)


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda node, other: node.set_timer(other.tick, after=1), "Clock: tick is not a timer of this node. Write self.set_timer"),
        (lambda node, other: node.set_timer(Clock.tick, after=1), "Clock: tick is not a timer of this node."),
        (lambda node, other: node.set_timer(lambda: None, after=1), "Clock: <lambda> is not a timer of this node."),
        (lambda node, other: node.set_timer("tick", after=1), "Clock: 'tick' is not a timer of this node."),
        (lambda node, other: node.set_timer(node.plain, after=1), "Clock: plain is not marked as a timer. Write @on_timer above"),
        (lambda node, other: node.cancel_timer(node.plain), "Clock: plain is not marked as a timer."),
        (lambda node, other: node.set_timer(node.tick, after=-1), "Clock: sets tick after -1, in the past. Write after=0 or more."),
        (lambda node, other: node.set_timer(node.tick, after=1.5), "Clock: sets tick after 1.5. Give nanoseconds as an int"),
        (lambda node, other: node.set_timer(node.tick, [1], after=0), "Clock: gives tick an argument that can change"),
        (lambda node, other: node.set_timer(node.tick, {1: 2}, after=1), "Clock: gives tick an argument that can change"),
    ],
)  # fmt: skip
def test_misuse_of_timers_says_what_to_write(misuse: Any, words: str) -> None:
    node, other = Bench(Clock).node, Bench(Clock).node

    with pytest.raises(PluginError) as raised:
        misuse(node, other)

    assert str(raised.value).startswith(words)


# What a node knows of itself.


def test_a_node_knows_its_clocks_its_name_its_peers_its_config_and_its_own_randomness() -> None:
    bench = Bench(Clock, {"any": 1})
    bench.host.now, bench.host.wall_clock = 5, 1_600_000_000
    node = bench.node

    assert (node.now, node.wall_clock, node.id, node.peers, node.config) == (
        5, 1_600_000_000, "n1", ("n2", "n3"), {"any": 1},
    )  # fmt: skip
    assert node.rng is bench.host.rng
    assert node.status == Status()
    with pytest.raises(AttributeError):
        node.now = 7


def test_a_note_may_have_a_field_called_name() -> None:
    bench = Bench(Clock)
    bench.node.note("joined", name="shard")

    assert bench.finish() == [Noted("joined", {"name": "shard"})]


def test_tell_needs_a_parent() -> None:
    with pytest.raises(
        PluginError, match=r"Clock: passes on Fail, but has no parent\. Call tell\(\) only in a mounted node\."
    ):
        Bench(Clock).node.tell(Fail())


# The contract of a batch.


class Chain(Node):
    """Answers early and late, and sets timers."""

    seen: int = durable(0)

    @handles(Append)
    def on_append(self, sender: NodeId, append: Append) -> None:
        self.seen += 1
        self.send("n2", Ack(append.value), before_commit=True)
        self.send("n3", Ack(append.value))
        if append.value < 0:
            raise ValueError("negative")
        self.set_timer(self.soon, append.value, after=0)

    @on_timer
    def soon(self, value: int) -> None:
        self.note("soon", value=value)
        if value > 1:
            self.set_timer(self.soon, value - 1, after=0)

    @on_timer
    def late(self) -> None:
        self.note("late")

    @on_timer
    def endless(self) -> None:
        self.set_timer(self.endless, after=0)


def chain(**options: Any) -> NodeRuntime:
    runtime = NodeRuntime("n1", random.Random(0), **options)
    runtime.run_one(Start(Chain, None, ("n2", "n3"), step=0))
    return runtime


def test_every_effect_has_the_step_that_caused_it_and_steps_are_numbered_one_after_the_other() -> None:
    asked: list[tuple[str, int]] = []

    def number(key: TimerKey, cause: int) -> int:
        asked.append((key[1], cause))
        return runtime.step + 1

    runtime = chain(on_timer_step=number)
    root = runtime.root
    assert isinstance(root, Chain)
    root.set_timer(root.late, after=5)
    runtime.now = 5
    batch = runtime.run([Deliver("", "c1", Append(1), step=10), Deliver("", "c1", Append(2), step=11)])
    assert batch.early == [Send("n2", "", Ack(1), 10), Send("n2", "", Ack(2), 11)]
    assert batch.effects == [
        Send("n3", "", Ack(1), 10), Send("n3", "", Ack(2), 11), Note("late", {}, "", 12),
        Note("soon", {"value": 1}, "", 13), Note("soon", {"value": 2}, "", 14), Note("soon", {"value": 1}, "", 15),
    ]  # fmt: skip
    assert (batch.changes, batch.last) == ([ScalarSet("", "seen", 2)], 15)
    assert asked == [("late", 0), ("soon", 10), ("soon", 11), ("soon", 14)]


def test_the_next_input_is_asked_for_when_the_step_before_it_is_over() -> None:
    runtime = chain()

    def inputs() -> Iterator[Deliver]:
        for value in (1, 2):
            assert runtime.root.state()["seen"] == value - 1
            yield Deliver("", "c1", Append(value), step=value)

    assert runtime.run(inputs()).last == 5  # and three timers


@pytest.mark.parametrize("way", ["run", "one", "deliver_one", "take"])
def test_a_batch_in_which_a_handler_raises_leaves_neither_effects_nor_changes(way: str) -> None:
    runtime = chain()
    bad = Deliver("", "c1", Append(-1), step=7)
    ways: dict[str, Callable[[], Any]] = {
        "run": lambda: runtime.run([Deliver("", "c1", Append(1), step=6), bad]),
        "one": lambda: runtime.run_one(bad),
        "deliver_one": lambda: runtime.deliver_one("", "c1", Append(-1), 7),
        "take": lambda: runtime.take(bad),
    }
    with pytest.raises(ValueError, match="negative"):
        ways[way]()
    assert runtime.step == 7
    assert runtime.end_batch() == Batch((), (), (), 7)
    assert runtime.next_timer() is None and not runtime.has_mount("")


def test_one_input_alone_is_a_batch_that_leaves_overdue_timers_set() -> None:
    runtime = chain()
    root = runtime.root
    assert isinstance(root, Chain)
    root.set_timer(root.late, after=5)
    runtime.now = 9
    by_hand, alone = runtime.deliver_one("", "c1", Append(1), 3), runtime.run_one(Deliver("", "c1", Append(1), 5))
    assert [type(batch.effects[-1]) for batch in (by_hand, alone)] == [Note, Note]
    assert (by_hand.last, alone.last) == (4, 6)
    assert runtime.next_timer() == (("", "late", ()), 0)
    assert runtime.run().effects == [Note("late", {}, "", 7)]


def test_what_was_taken_ahead_belongs_to_the_batch_that_runs_next() -> None:
    runtime = chain()
    runtime.take(Deliver("", "c1", Append(1), step=1))
    batch = runtime.run([Deliver("", "c1", Append(1), step=2)])
    assert [effect.step for effect in batch.early] == [1, 2]
    assert batch.changes == [ScalarSet("", "seen", 2)]


def test_timers_without_end_are_an_error_of_the_node() -> None:
    runtime = chain()
    root = runtime.root
    assert isinstance(root, Chain)
    root.set_timer(root.endless, after=0)
    with pytest.raises(PluginError, match="Chain: endless is set with after=0 without end"):
        runtime.run()


def test_without_durability_a_batch_has_no_changes() -> None:
    runtime = chain(is_durable=False)
    assert runtime.deliver_one("", "c1", Append(1), 1).changes == ()


def test_all_timers_that_are_overdue_fire_in_one_batch_the_earliest_first() -> None:
    runtime = chain()
    root = runtime.root
    assert isinstance(root, Chain)
    root.set_timer(root.late, after=5)
    root.set_timer(root.soon, 1, after=3)
    root.set_timer(root.soon, 7, after=99)
    runtime.now = 5
    assert runtime.run().effects == [Note("soon", {"value": 1}, "", 1), Note("late", {}, "", 2)]
    assert runtime.wake == 99
