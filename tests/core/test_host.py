"""Batches: inputs, timers set with after=0, one commit, then the effects."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.durable import DurableLog, DurableMap, durable, durable_log, durable_map
from framework.core.errors import PluginError
from framework.core.message import Message, NodeId, Record
from framework.core.node import Node, handles, on_timer
from framework.core.storage import MemoryStorage
from framework.core.time import NEVER
from tests.core.bench import Bench, Noted, Sent


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
    assert bench.commits == [[("log", "", "log", 1, 1, (10, 20)), ("scalar", "", "sent", 2)]]


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
    early = bench.take(bench.host.early)
    bench.finish()

    assert early == [Sent("n2", Ack(0))]
    assert bench.left == [("commit", 1), Sent("n1", Ack(1))]


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
        setattr(bench.node, field, other)
        with pytest.raises(
            PluginError, match=rf"Holder\.{field}: a durable (log|map) cannot be replaced\. Change it in place"
        ):
            bench.finish()


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

    assert [repr(commit) for commit in bench.commits] == [repr([("scalar", "", field, equal)])]


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
    assert host.due() is None and host.wake == 30
    node.cancel_timer(node.tick, "a")
    assert host.due() is None and host.wake == NEVER


def test_a_timer_remembers_the_step_that_set_it() -> None:
    bench = Bench(Clock)
    bench.host.step = 41
    bench.node.set_timer(bench.node.tock, after=0)
    bench.node.set_timer(bench.node.tick, after=5)

    assert bench.host.take_soon() == (("", "tock", ()), 41)
    assert bench.host.timers == {("", "tick", ()): (5, 41)}


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
    assert node.status == {}
    with pytest.raises(AttributeError):
        node.now = 7


def test_a_note_may_have_a_field_called_name() -> None:
    bench = Bench(Clock)
    bench.node.note("joined", name="shard")

    assert bench.finish() == [Noted("joined", {"name": "shard"})]


def test_tell_needs_a_parent() -> None:
    with pytest.raises(PluginError, match=r"Clock: tells Fail, but has no parent\. Only a mounted node can tell\."):
        Bench(Clock).node.tell(Fail())
