"""Mounts: a parent, its children, one step, one commit."""

from __future__ import annotations

from typing import Any

import pytest

from framework.core.durable import DurableLog, LogWritten, MountDropped, ScalarSet, durable, durable_log
from framework.core.errors import PluginError
from framework.core.message import Message, NodeId
from framework.core.node import Node, handles, on_timer
from framework.core.storage import MemoryStorage, Storage
from tests.core.bench import Bench, MsgpackStorage, Noted, Sent

STORAGES = pytest.mark.parametrize("storage", [MemoryStorage, MsgpackStorage])


class Write(Message):
    shard: str
    value: int


class Store(Message):
    value: int


class Stored(Message):
    value: int


class Unheard(Message):
    pass


class Group(Node):
    """A group of one: stores, sends to its fellow groups, tells its router."""

    log: DurableLog[int] = durable_log(int)
    term: int = durable(0)

    def on_start(self) -> None:
        self.flushed = 0
        self.set_timer(self.flush, after=10)

    def propose(self, value: int) -> None:
        self.log.append(value)
        self.term += 1
        self.broadcast(Store(value))
        self.tell(Stored(value))

    @handles(Store)
    def on_store(self, sender: NodeId, store: Store) -> None:
        self.log.append(store.value)
        self.set_timer(self.flush, after=0)

    @on_timer
    def flush(self) -> None:
        self.flushed += 1

    def mumble(self) -> None:
        self.tell(Unheard())


class Router(Node):
    """A router over mounted groups; which ones there are is durable."""

    mounts = (Group,)
    shards: tuple[str, ...] = durable(("a", "b"))
    writes: int = durable(0)

    def on_start(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.groups = {shard: self.open(shard) for shard in self.shards}

    def open(self, shard: str) -> Group:
        return self.mount(shard, Group, None, ("n1", "n2", "n3"))

    def close(self, shard: str, *, destroy: bool) -> None:
        del self.groups[shard]
        self.shards = tuple(self.groups)
        self.unmount(shard, destroy=destroy)

    @handles(Write)
    def on_write(self, sender: NodeId, write: Write) -> None:
        self.writes += 1
        self.groups[write.shard].propose(write.value)
        self.note("routed", told=len(self.told))

    @handles(Stored)
    def on_stored(self, shard: str, stored: Stored) -> None:
        self.told.append((shard, stored.value))


def router(storage: type[Storage] = MemoryStorage) -> Bench:
    return Bench(Router, storage=storage())


def test_the_writes_of_parent_and_child_commit_together_and_the_childs_messages_name_its_mount() -> None:
    bench = router()

    left = bench.deliver(("c1", Write("b", 7)))

    assert left == [Sent("n2", Store(7), "b"), Sent("n3", Store(7), "b"), Noted("routed", {"told": 0})]
    assert bench.commits == [
        [ScalarSet("", "writes", 1), LogWritten("b", "log", 1, 1, (7,)), ScalarSet("b", "term", 1)],
    ]


def test_a_parent_hears_what_its_child_tells_in_the_same_step_after_its_own_handler() -> None:
    bench = router()

    bench.step("c1", Write("b", 7))
    assert bench.node.told == [("b", 7)]
    bench.step("c1", Write("a", 8))
    assert bench.node.told == [("b", 7), ("a", 8)]


def test_a_message_goes_to_the_mount_that_it_was_sent_from() -> None:
    bench = router()
    bench.deliver(("n2", Store(5), "b"))

    assert (list(bench.node.groups["a"].log), list(bench.node.groups["b"].log)) == ([], [5])


def test_a_mount_has_timers_of_its_own() -> None:
    bench = router()
    bench.deliver(("n2", Store(5), "b"))
    bench.advance(10)

    # The set with after=0 took the place of b's other one.
    assert (bench.node.groups["a"].flushed, bench.node.groups["b"].flushed) == (1, 1)


def test_peers_of_a_mount_leave_out_the_node_itself() -> None:
    assert router().node.groups["a"].peers == ("n2", "n3")


@STORAGES
def test_after_a_restart_on_start_mounts_again_and_finds_what_was_committed(storage: type[Storage]) -> None:
    bench = router(storage)
    bench.deliver(("c1", Write("a", 1)), ("c1", Write("b", 2)), ("c1", Write("b", 3)))

    bench.boot()

    groups = bench.node.groups
    assert (list(groups["a"].log), list(groups["b"].log)) == ([1], [2, 3])
    assert (groups["a"].term, groups["b"].term, bench.node.writes) == (1, 2, 3)


@STORAGES
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("same_batch", [False, True])
@pytest.mark.parametrize("destroy", [False, True])
def test_a_mount_that_comes_back_finds_its_state_unless_it_was_destroyed(
    storage: type[Storage], restarted: bool, same_batch: bool, destroy: bool
) -> None:
    bench = router(storage)
    bench.deliver(("c1", Write("b", 2)))
    bench.node.groups["b"].propose(3)  # not committed yet when the mount ends
    bench.node.close("b", destroy=destroy)
    if not same_batch:
        bench.finish()
        if restarted:
            bench.boot()
    group = bench.node.groups["b"] = bench.node.open("b")
    expected = ([], 0) if destroy else ([2, 3], 2)
    assert (list(group.log), group.term) == expected

    group.propose(4)
    bench.finish()
    bench.node.shards = ("a", "b")
    bench.finish()
    bench.boot()

    group = bench.node.groups["b"]
    assert (list(group.log), group.term) == (expected[0] + [4], expected[1] + 1)


def test_destroying_a_mount_is_one_change() -> None:
    bench = router()
    bench.deliver(("c1", Write("b", 2)))
    bench.node.close("b", destroy=True)
    bench.finish()

    assert bench.commits[-1] == [MountDropped("b"), ScalarSet("", "shards", ("a",))]
    assert bench.storage.load().keys() == {"", "b"} - {"b"}


def test_what_is_left_of_a_mount_that_ended_is_dropped() -> None:
    bench = router()
    bench.node.groups["b"].set_timer(bench.node.groups["b"].flush, after=0)
    bench.node.groups["b"].tell(Stored(1))
    bench.node.groups["a"].tell(Stored(2))
    bench.node.close("b", destroy=False)

    assert [key[0] for key in [*bench.host.timers, *bench.host.soon]] == ["a"]
    bench.host.settle()
    assert bench.node.told == [("a", 2)]
    assert bench.step("n2", Store(5), "b") is False


def test_a_crash_before_the_commit_brings_a_destroyed_mount_back() -> None:
    bench = router()
    bench.deliver(("c1", Write("b", 2)))
    bench.node.close("b", destroy=True)

    bench.boot()

    assert list(bench.node.groups["b"].log) == [2]


def test_state_shows_a_mounted_node_by_its_path() -> None:
    assert router().node.state() == {
        "shards": ("a", "b"), "writes": 0, "told": [], "groups": {"a": "a", "b": "b"},
    }  # fmt: skip


# Deeper.


class Layer(Node):
    """Mounts another of the layer below, passes on what it hears from there."""

    depth: int = durable(0)

    def on_start(self) -> None:
        self.heard: list[tuple[str, int]] = []

    @handles(Stored)
    def on_stored(self, mount: str, stored: Stored) -> None:
        self.heard.append((mount, stored.value))
        if self._path:
            self.tell(Stored(stored.value + 1))

    @handles(Write)
    def on_write(self, sender: NodeId, write: Write) -> None:
        self.depth = write.value
        self.tell(Stored(write.value))
        self.send(sender, Store(write.value))


Layer.mounts = (Layer,)


def test_tells_climb_within_one_step_oldest_first() -> None:
    bench = Bench(Layer)
    middle = bench.node.mount("m", Layer, None, ())
    bottom = middle.mount("b", Layer, None, ())
    other = bench.node.mount("o", Layer, None, ())

    other.tell(Stored(50))
    bench.step("n2", Write("", 1), "m/b")

    assert middle.heard == [("b", 1)]
    assert bench.node.heard == [("o", 50), ("m", 2)]
    assert bench.finish() == [Sent("n2", Store(1), "m/b")]
    assert bench.commits == [[ScalarSet("m/b", "depth", 1)]]
    assert bottom.depth == 1


def test_a_mount_ends_with_all_that_is_mounted_in_it_and_only_that() -> None:
    bench = Bench(Layer)
    for name in ("m", "mm"):
        inner = bench.node.mount(name, Layer, None, ()).mount("b", Layer, None, ())
        inner.depth = 3
    bench.finish()

    bench.node.unmount("m", destroy=True)
    bench.finish()

    assert list(bench.host.nodes) == ["", "mm", "mm/b"]
    assert bench.storage.load() == {"mm/b": {"depth": 3}}


# Misuse.


class Deaf(Node):
    mounts = (Group,)


class Careless(Node):
    mounts = ()

    def on_start(self) -> None:
        self.lock: Any = None


def mounted(parent: type[Node] = Router) -> Any:
    return Bench(parent).node


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda: mounted().mount("a", Group, None, ()), "Router: 'a' is mounted already. Unmount it first"),
        (lambda: mounted().mount("c", Deaf, None, ()), "Router: mounts Deaf, which `mounts` does not list. Write mounts = (Deaf,) in the class."),
        (lambda: mounted().mount("a/b", Group, None, ()), "Router: 'a/b' cannot name a mount. Use a string without a slash."),
        (lambda: mounted().mount("ü" * 128, Group, None, ()), f"Router: mounts at '{'ü' * 40}'…, which has more than 255 bytes. Use"),
        (lambda: mounted().mount("", Group, None, ()), "Router: '' cannot name a mount."),
        (lambda: mounted().mount(7, Group, None, ()), "Router: 7 cannot name a mount."),
        (lambda: mounted().unmount("bb"), "Router: 'bb' is not mounted. Did you mean 'b'?"),
        (lambda: mounted(Careless).unmount("x"), "Careless: 'x' is not mounted"),
    ],
)  # fmt: skip
def test_misuse_of_mounts_says_what_to_write(misuse: Any, words: str) -> None:
    with pytest.raises(PluginError) as raised:
        misuse()

    assert str(raised.value).startswith(words)


def test_telling_a_parent_that_does_not_listen_names_both() -> None:
    bench = Bench(Deaf)
    bench.node.mount("g", Group, None, ()).mumble()

    with pytest.raises(PluginError) as raised:
        bench.host.settle()

    assert (
        str(raised.value)
        == "Deaf: mount 'g' passes on Unheard, which its parent does not handle. Write @handles(Unheard) in it."
    )


def test_the_state_of_a_mount_is_checked_when_it_starts() -> None:
    class Lazy(Node):
        def on_start(self) -> None:
            self.entries = (letter for letter in "abc")

    class Parent(Node):
        mounts = (Lazy,)

        def on_start(self) -> None:
            self.mount("lazy", Lazy, None, ())

    with pytest.raises(PluginError, match=r"Lazy\.entries: a generator cannot be copied as plain data"):
        Bench(Parent)


def test_a_name_goes_to_another_class_only_after_its_state_was_destroyed() -> None:
    class Other(Node):
        epoch: int = durable(0)

    class Parent(Node):
        mounts = (Group, Other)

    bench = Bench(Parent)
    bench.node.mount("g", Group, None, ())
    bench.finish()
    bench.node.unmount("g")

    with pytest.raises(PluginError, match=r"Other: n1 has stored log, term at 'g', .* destroy=True"):
        bench.node.mount("g", Other, None, ())


class Leaf(Node):
    kept: int = durable(0)

    @handles(Store)
    def on_store(self, sender: NodeId, store: Store) -> None:
        self.tell(Stored(store.value))


class Middle(Node):
    mounts = (Leaf,)

    def on_start(self) -> None:
        self.heard = 0
        self.leaf = self.mount("leaf", Leaf, None, ())

    @handles(Stored)
    def on_stored(self, mount: str, stored: Stored) -> None:
        self.heard += 1


class Top(Node):
    mounts = (Middle,)

    def on_start(self) -> None:
        self.middle = self.mount("middle", Middle, None, ())
        self.idle = self.mount("idle", Middle, None, ())

    @handles(Store)
    def on_store(self, sender: NodeId, store: Store) -> None:
        self.middle.leaf.kept = store.value


def test_who_is_told_and_who_is_changed_take_part_in_a_batch_and_idle_mounts_do_not() -> None:
    bench = Bench(Top)
    bench.deliver(("n2", Store(1), "middle/leaf"))
    assert bench.node.middle.heard == 1 and set(bench.host.active) == {"middle", "middle/leaf"}
    bench.deliver(("n2", Store(2)))
    assert set(bench.host.active) == {"middle/leaf"}, "its parent's parent changed it"
    bench.node.idle.leaf.tell(Stored(1))
    bench.host.settle()
    bench.finish()
    assert set(bench.host.active) == {"idle", "idle/leaf"}
