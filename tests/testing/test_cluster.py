"""The cluster driven by hand: each verb, and what it says to who uses it wrongly."""

from __future__ import annotations

import re
from typing import Any

import pytest

from framework import (
    Client,
    ConfigError,
    DurableLog,
    DurableMap,
    Fail,
    Message,
    Node,
    NodeId,
    Ok,
    Operation,
    ReplicatedConfig,
    Unknown,
    durable,
    durable_log,
    durable_map,
    handles,
    on_timer,
)
from framework.core.time import MILLISECOND
from framework.testing.cluster import Cluster, Envelope

BEAT = 100 * MILLISECOND


class Put(Message):
    key: str
    value: int = 0


class Kept(Message):
    key: str


class Rumour(Message):
    """Leaves before the commit."""

    key: str


class Nudge(Message):
    """Changes nothing, and is answered by another while `times` is above 0."""

    times: int = 0


class Keeper(Node):
    """Keeps what it is given, tells its peers ahead of the commit, and beats."""

    beats: int = durable(0)
    order: DurableLog[str] = durable_log(str)
    values: DurableMap[str, int] = durable_map(str, int)

    def on_start(self) -> None:
        self.heard: list[tuple[NodeId, str]] = []
        self.reminded: list[str] = []
        self.set_timer(self.beat, after=BEAT)

    @handles(Put)
    def on_put(self, sender: NodeId, put: Put) -> None:
        self.order.append(put.key)
        self.values[put.key] = put.value
        self.note("kept", key=put.key)
        self.broadcast(Rumour(put.key), before_commit=True)
        self.send(sender, Kept(put.key))
        self.set_timer(self.remind, put.key, after=3 * BEAT)

    @handles(Rumour)
    def on_rumour(self, sender: NodeId, rumour: Rumour) -> None:
        self.heard.append((sender, rumour.key))

    @handles(Nudge)
    def on_nudge(self, sender: NodeId, nudge: Nudge) -> None:
        if nudge.times:
            self.send(sender, Nudge(nudge.times - 1))

    @on_timer
    def beat(self) -> None:
        self.beats += 1
        self.set_timer(self.beat, after=BEAT)

    @on_timer
    def remind(self, key: str) -> None:
        self.reminded.append(key)


class Putter(Client):
    def invoke(self, operation: Operation) -> None:
        if operation.key is None:
            self.complete(operation.id, Unknown("without a key"))
        else:
            self.send(self.servers[0], Put(operation.key, operation.argument))

    @handles(Kept)
    def on_kept(self, sender: NodeId, kept: Kept) -> None:
        if self.current is not None:
            self.complete(self.current, Ok(kept.key))


def keepers(**options: Any) -> Cluster:
    return Cluster(Keeper, ReplicatedConfig(), ["n1", "n2", "n3"], client=Putter, clients=["c1"], **options)


def put(cluster: Cluster, key: str, to: NodeId = "n1", value: int = 0) -> Envelope:
    return cluster.send("x", to, Put(key, value))


def wrong(text: str) -> Any:
    """Expects the ConfigError that begins with `text`."""
    return pytest.raises(ConfigError, match=f"^{re.escape(text)}")


# State.


def test_a_cluster_knows_who_is_who() -> None:
    cluster = keepers(spares=["n4"])
    assert cluster.servers == ("n1", "n2", "n3", "n4")
    assert cluster.up == ["n1", "n2", "n3", "c1"]
    assert [node.id for node in cluster.nodes()] == ["n1", "n2", "n3"]
    assert (cluster.node("n1").peers, cluster.node("c1").servers) == (("n2", "n3"), cluster.servers)
    cluster.restart("n4")
    assert (cluster.node("n4").peers, cluster.node("n4").spare) == (("n1", "n2", "n3"), True)
    assert cluster.runtime("n4").root is cluster.node("n4")


@pytest.mark.parametrize(
    "verb", ["node", "runtime", "timers", "stored", "clock", "pause", "slow_disk", "crash", "restart"]
)
def test_a_name_that_nobody_has(verb: str) -> None:
    with wrong("n11: no such node. Did you mean 'n1'?"):
        getattr(keepers(), verb)("n11")


@pytest.mark.parametrize("verb", ["node", "runtime", "timers", "pause", "crash"])
def test_a_node_that_is_down(verb: str) -> None:
    cluster = keepers()
    cluster.crash("n1")
    with wrong("n1: the node is down. Restart it first."):
        getattr(cluster, verb)("n1")


def test_each_name_is_given_once_and_clients_have_a_class() -> None:
    with wrong("Cluster: a name is given twice in n1, n2, n1. Give each node its own."):
        Cluster(Keeper, ReplicatedConfig(), ["n1", "n2"], spares=["n1"])
    with wrong("Cluster: 1 clients without a class. Give client=SessionClient, say."):
        Cluster(Keeper, ReplicatedConfig(), ["n1"], clients=["c1"])


# Messages.


def test_deliver_takes_the_oldest_that_matches_or_the_very_envelope() -> None:
    cluster = keepers()
    for key in "abc":
        put(cluster, key)
    elsewhere = put(cluster, "d", to="n2")
    last = cluster.waiting(Put, to="n1")[-1]
    assert cluster.deliver(last) is last
    assert cluster.deliver(Put, to="n1").message == Put("a")
    assert cluster.deliver("Put", sender="x").message == Put("b")
    assert cluster.deliver(to="n2") is elsewhere
    assert list(cluster.node("n1").order) == ["c", "a", "b"]


def test_equal_envelopes_are_two() -> None:
    cluster = keepers()
    first, second = put(cluster, "a"), put(cluster, "a")
    cluster.deliver(second)
    assert cluster.waiting(Put) == [first] and cluster.waiting(Put)[0] is first


def test_what_goes_to_a_name_outside_the_cluster_is_in_its_inbox() -> None:
    cluster = keepers()
    put(cluster, "a")
    cluster.stabilize()
    assert cluster.inbox == {"x": [Kept("a")]}


def test_deliver_batch_is_one_commit() -> None:
    cluster = keepers()
    commits: list[NodeId] = []
    cluster.on_commit = commits.append
    cluster.deliver_batch(put(cluster, "a"), put(cluster, "b"))
    assert (commits, list(cluster.node("n1").order)) == (["n1"], ["a", "b"])
    assert [type(each.message) for each in cluster.envelopes] == [Rumour] * 4 + [Kept] * 2


def test_deliver_all_leaves_what_is_sent_meanwhile() -> None:
    cluster = keepers()
    for key in "ab":
        cluster.send("n2", "n1", Nudge(1))
        put(cluster, key)
    cluster.deliver_all(Nudge)
    assert [each.message for each in cluster.waiting(Nudge)] == [Nudge(0)] * 2
    assert len(cluster.waiting(Put)) == 2


def test_drop_and_drop_all_lose() -> None:
    cluster = keepers()
    envelopes = [put(cluster, key) for key in "abcd"]
    assert cluster.drop(envelopes[2]) is envelopes[2]
    assert cluster.drop(Put, to="n1") is envelopes[0]
    assert cluster.drop_all(Put, sender="x") == [envelopes[1], envelopes[3]]
    assert cluster.envelopes == [] and not cluster.node("n1").order


def test_duplicate_delivers_and_leaves_a_copy_behind_all_others() -> None:
    cluster = keepers()
    first = put(cluster, "a")
    put(cluster, "b")
    cluster.duplicate(first)
    assert [each.message for each in cluster.waiting(Put)] == [Put("b"), Put("a")]
    cluster.stabilize()
    assert list(cluster.node("n1").order) == ["a", "b", "a"]


def test_stabilize_counts_and_ends() -> None:
    cluster = keepers()
    cluster.send("n1", "n2", Nudge(5))
    assert cluster.stabilize() == 6
    cluster.send("n1", "n2", Nudge(50))
    with wrong("stabilize: 10 envelopes and no end. Some nodes answer one another for ever."):
        cluster.stabilize(limit=10)


def test_what_is_not_on_its_way() -> None:
    cluster = keepers()
    envelope = put(cluster, "a")
    with wrong("deliver: no Nudge from n1 to n2 is on its way. On their way: x → n1: Put(key=a)."):
        cluster.deliver(Nudge, "n1", "n2")
    cluster.drop(envelope)
    with wrong("drop: no envelope is on its way. On their way: none."):
        cluster.drop()
    for verb in ("deliver", "drop", "duplicate", "deliver_batch"):
        with wrong(
            f"{verb}: x → n1: Put(key=a) is not on its way. It was delivered or dropped before: send() it again."
        ):
            getattr(cluster, verb)(envelope)
    assert cluster.deliver_all(Nudge) == cluster.drop_all() == []


def test_a_batch_is_one_nodes() -> None:
    cluster = keepers()
    with wrong("deliver_batch: these envelopes are for n1, n2. A batch is one node's."):
        cluster.deliver_batch(put(cluster, "a"), put(cluster, "b", to="n2"))
    assert len(cluster.envelopes) == 2
    with wrong("deliver_batch: these envelopes are for nobody. A batch is one node's."):
        cluster.deliver_batch()


# Timers and clocks.


def test_fire_moves_no_clock() -> None:
    cluster = keepers()
    cluster.fire("n1", "beat")
    assert (cluster.node("n1").beats, cluster.now) == (1, 0)


@pytest.mark.parametrize("own_clocks", [False, True])
def test_time_out_moves_the_clock_to_the_deadline(own_clocks: bool) -> None:
    cluster = keepers(own_clocks=own_clocks)
    cluster.time_out("n1", "beat")
    assert [node.beats for node in cluster.nodes()] == [1, 0, 0]
    assert [cluster.clock(name) for name in cluster.servers] == [BEAT, *([0, 0] if own_clocks else [BEAT, BEAT])]
    assert [node.now for node in cluster.nodes()] == [cluster.clock(name) for name in cluster.servers]


def test_time_out_without_a_name_takes_the_timer_that_is_due_first() -> None:
    cluster = keepers(own_clocks=True)
    cluster.deliver(put(cluster, "a"))
    cluster.time_out("n1")
    assert (cluster.node("n1").beats, cluster.node("n1").reminded) == (1, [])
    for _ in range(3):
        cluster.time_out("n1")
    assert (cluster.node("n1").reminded, cluster.clock("n1")) == (["a"], 3 * BEAT)


def test_a_timer_with_several_arguments() -> None:
    cluster = keepers()
    for key in "ab":
        cluster.deliver(put(cluster, key))
    with wrong("fire n1 remind: it is set with [a], [b]. Give the arguments of one."):
        cluster.fire("n1", "remind")
    cluster.fire("n1", "remind", "b")
    cluster.fire("n1", "remind")
    assert cluster.node("n1").reminded == ["b", "a"]
    assert cluster.timers("n1") == {("", "beat", ()): BEAT}


@pytest.mark.parametrize("verb", ["fire", "time_out"])
def test_a_timer_that_is_not_set(verb: str) -> None:
    cluster = keepers()
    with wrong(f"{verb} n1 beet: that timer is not set. Did you mean 'beat'?"):
        getattr(cluster, verb)("n1", "beet")
    with wrong(f"{verb} n1 remind: that timer is not set."):
        getattr(cluster, verb)("n1", "remind", "a")
    with wrong("time_out c1: no timer is set there."):
        cluster.time_out("c1")


def test_advance_fires_what_falls_due_or_nothing() -> None:
    cluster = keepers()
    cluster.advance(2 * BEAT)
    assert ([node.beats for node in cluster.nodes()], cluster.now) == ([2, 2, 2], 2 * BEAT)
    cluster.advance(3 * BEAT, fire=False)
    assert ([node.beats for node in cluster.nodes()], cluster.now) == ([2, 2, 2], 5 * BEAT)
    cluster.advance(0)  # those that are overdue
    assert [node.beats for node in cluster.nodes()] == [3, 3, 3]


def test_clocks_of_their_own_go_on_together_or_one_by_one() -> None:
    cluster = keepers(own_clocks=True)
    cluster.advance(BEAT // 2, "n2")
    assert (cluster.clock("n2"), cluster.clock("n1"), cluster.now) == (BEAT // 2, 0, BEAT // 2)
    cluster.advance(BEAT // 2)
    assert [node.beats for node in cluster.nodes()] == [0, 1, 0]
    cluster.advance(BEAT, "n1", "n3", fire=False)
    assert [node.beats for node in cluster.nodes()] == [0, 1, 0]
    assert [cluster.clock(name) for name in cluster.servers] == [3 * BEAT // 2, BEAT, 3 * BEAT // 2]


def test_a_clock_goes_on_over_a_restart() -> None:
    cluster = keepers(own_clocks=True)
    cluster.advance(BEAT, "n1", fire=False)
    cluster.crash("n1")
    cluster.advance(BEAT, "n1")
    cluster.restart("n1")
    assert (cluster.node("n1").now, cluster.node("n1").wall_clock) == (2 * BEAT, 2 * BEAT)
    assert cluster.timers("n1") == {("", "beat", ()): 3 * BEAT}


def test_misuse_of_clocks() -> None:
    with wrong("advance: clocks do not go back. Give a duration of 0 or more."):
        keepers().advance(-1)
    with wrong("advance: all nodes show one clock. Make the cluster with own_clocks=True."):
        keepers().advance(BEAT, "n1")
    with wrong("n4: no such node."):
        keepers(own_clocks=True).advance(BEAT, "n4")


@pytest.mark.parametrize("own_clocks", [False, True])
def test_run_goes_on_until_a_condition_holds(own_clocks: bool) -> None:
    cluster = keepers(own_clocks=own_clocks)
    put(cluster, "a")
    cluster.run(until=lambda: cluster.node("n1").reminded == ["a"])
    assert (cluster.now, cluster.envelopes) == (3 * BEAT, [])
    with pytest.raises(AssertionError, match="run: the condition does not hold after 7 timers"):
        cluster.run(until=lambda: False, timers=7)
    for name in cluster.servers:
        cluster.crash(name)
    with pytest.raises(AssertionError, match="run: the condition does not hold, and no timer is set"):
        cluster.run(until=lambda: False)


# Clients.


def test_an_operation_ends_in_outcomes() -> None:
    cluster = keepers()
    first = cluster.invoke("c1", "put", "a", 1)
    assert cluster.outcomes == {}
    cluster.stabilize()
    assert cluster.outcomes == {first: Ok("a")}
    assert dict(cluster.node("n1").values.items()) == {"a": 1}


def test_after_unknown_the_client_is_a_new_process() -> None:
    cluster = keepers()
    before = cluster.node("c1")
    operation = cluster.invoke("c1", "put")
    assert cluster.outcomes == {operation: Unknown("without a key")}
    assert cluster.node("c1") is not before


def test_a_node_is_no_client() -> None:
    with wrong("invoke n1: it is a node and no client. Give clients=[…] to the cluster."):
        keepers().invoke("n1", "put", "a")


def test_a_client_is_one_sequential_process() -> None:
    cluster = keepers()
    cluster.invoke("c1", "put", "a", 1)
    with pytest.raises(ConfigError, match="invoke c1: it is busy with operation 0, and a client is one sequential"):
        cluster.invoke("c1", "put", "b", 2)
    cluster.stabilize()
    assert cluster.outcomes == {0: Ok("a")}


def test_the_administrator_is_a_client_of_all_nodes() -> None:
    cluster = keepers(spares=["n4"])
    cluster.administer("add_node", "n4")
    assert cluster.node("admin").servers == cluster.servers
    assert [str(each) for each in cluster.waiting(sender="admin")] == [
        "admin → n1: Administer(operation=0, function=add_node, node=n4)"
    ]


# Crashes and pauses.


def test_a_restart_finds_what_is_durable() -> None:
    cluster = keepers()
    cluster.deliver(put(cluster, "a"))
    cluster.crash("n1")
    put(cluster, "b")
    cluster.stabilize()  # to a node that is down it is lost
    cluster.restart("n1")
    assert list(cluster.node("n1").order) == ["a"] and cluster.node("n1").heard == []
    with wrong("restart n1: it is up. Crash it first."):
        cluster.restart("n1")


def test_a_paused_node_takes_nothing_and_forgets_nothing() -> None:
    cluster = keepers()
    cluster.pause("n1")
    envelope = put(cluster, "a")
    put(cluster, "b", to="n2")
    cluster.stabilize()
    assert cluster.envelopes == [envelope, *cluster.waiting(Rumour, to="n1")]
    assert cluster.deliverable() == [] == cluster.deliver_all(to="n1")
    cluster.advance(BEAT)
    assert [node.beats for node in cluster.nodes()] == [0, 1, 1]
    cluster.resume("n1")
    assert cluster.node("n1").now == BEAT
    cluster.advance(0)
    cluster.stabilize()
    assert (cluster.node("n1").beats, list(cluster.node("n1").order)) == (1, ["a"])


def test_input_to_a_paused_node_is_a_mistake() -> None:
    cluster = keepers()
    envelope = put(cluster, "a")
    for name in ("n1", "c1"):
        cluster.pause(name)
    for verb, call in {
        "deliver n1": lambda: cluster.deliver(envelope),
        "duplicate n1": lambda: cluster.duplicate(envelope),
        "fire n1": lambda: cluster.fire("n1", "beat"),
        "time_out n1": lambda: cluster.time_out("n1"),
        "pause n1": lambda: cluster.pause("n1"),
        "invoke c1": lambda: cluster.invoke("c1", "put", "a"),
    }.items():
        with wrong(f"{verb}: it is paused. Resume it first."):
            call()
    assert (cluster.envelopes, cluster.now) == ([envelope], 0)
    with wrong("resume n2: it is not paused. Pause it first."):
        cluster.resume("n2")


def test_a_crash_ends_a_pause() -> None:
    cluster = keepers()
    cluster.pause("n1")
    cluster.crash("n1")
    cluster.restart("n1")
    cluster.fire("n1", "beat")
    assert cluster.paused == set()


# Disks.


def test_a_slow_disk_holds_back_what_waits_for_the_commit() -> None:
    cluster = keepers()
    finished: list[NodeId] = []
    cluster.on_commit = finished.append
    cluster.slow_disk("n1")
    cluster.deliver(put(cluster, "a"))
    later = put(cluster, "b")
    assert cluster.waiting(sender="n1") == [Envelope("n1", "n2", Rumour("a")), Envelope("n1", "n3", Rumour("a"))]
    assert (list(cluster.committing), finished, cluster.stored("n1")) == (["n1"], [], {})
    cluster.advance(BEAT)  # its timers wait, too
    cluster.stabilize()
    assert cluster.envelopes == [later]
    with wrong("deliver n1: it is in the middle of a commit. Write finish_commit first."):
        cluster.deliver(later)
    with wrong("fire n1: it is in the middle of a commit. Write finish_commit first."):
        cluster.fire("n1", "beat")

    finished.clear()
    cluster.finish_commit("n1")
    assert (finished, cluster.notes) == (["n1"], [("n1", "kept", {"key": "a"})])
    assert [each.message for each in cluster.waiting(to="x")] == [Kept("a")]
    assert cluster.stored("n1") == {"": {"order": (1, ["a"]), "values": {"a": 0}}}


def test_a_batch_that_changes_nothing_durable_waits_for_no_disk() -> None:
    cluster = keepers()
    cluster.slow_disk("n2")
    cluster.deliver(cluster.send("n1", "n2", Nudge(1)))
    assert [each.message for each in cluster.envelopes] == [Nudge(0)]


def test_a_fast_disk_ends_the_commit_under_way() -> None:
    cluster = keepers()
    cluster.slow_disk("n1")
    cluster.deliver(put(cluster, "a"))
    cluster.fast_disk("n1")
    cluster.deliver(put(cluster, "b"))
    assert (cluster.committing, cluster.slow_disks, list(cluster.node("n1").order)) == ({}, set(), ["a", "b"])


@pytest.mark.parametrize("keep", [False, True])
def test_a_crash_in_the_middle_of_a_commit_loses_it_or_keeps_it_and_nothing_leaves(keep: bool) -> None:
    cluster = keepers()
    cluster.slow_disk("n1")
    cluster.deliver(put(cluster, "a"))
    cluster.crash("n1", keep_commit=keep)
    assert cluster.waiting(to="x") == [] and cluster.committing == {}
    cluster.restart("n1")
    assert list(cluster.node("n1").order) == (["a"] if keep else [])


def test_misuse_of_disks() -> None:
    cluster = keepers()
    cluster.slow_disk("n1")
    with wrong("finish_commit n1: it is not committing. Give it a slow_disk, and input."):
        cluster.finish_commit("n1")
    with wrong("crash n1: it has no commit under way to keep. Give it a slow_disk first."):
        cluster.crash("n1", keep_commit=True)
    cluster.deliver(put(cluster, "a"))
    cluster.pause("n1")
    with wrong("finish_commit n1: it is paused. Resume it first."):
        cluster.finish_commit("n1")


def test_store_presets_durable_state() -> None:
    cluster = keepers()
    cluster.deliver(put(cluster, "old"))
    cluster.store("n1", beats=7, order=["a", "b"], values={"a": 1})
    node = cluster.node("n1")
    assert (node.beats, list(node.order), dict(node.values.items())) == (7, ["a", "b"], {"a": 1})
    cluster.crash("n2")
    cluster.store("n2", order=["c"])
    assert "n2" not in cluster.up
    cluster.restart("n2")
    assert list(cluster.node("n2").order) == ["c"]
    with wrong("store n1: Keeper has no durable field 'beat'. Did you mean 'beats'?"):
        cluster.store("n1", beat=1)


# Links.


def test_a_partition_loses_what_crosses_it() -> None:
    cluster = keepers()
    crossing = cluster.send("n1", "n3", Rumour("a"))
    beside = cluster.send("n1", "n2", Rumour("b"))
    outside = cluster.send("x", "n3", Rumour("c"))
    cluster.partition(["n1", "n2"], "n3")
    assert cluster.deliverable() == [beside, outside]
    cluster.deliver(crossing)
    cluster.stabilize()
    assert (cluster.node("n2").heard, cluster.node("n3").heard) == ([("n1", "b")], [("x", "c")])
    cluster.heal()
    cluster.deliver(cluster.send("n1", "n3", Rumour("d")))
    assert cluster.node("n3").heard[-1] == ("n1", "d")


def test_a_client_can_be_on_a_side() -> None:
    cluster = keepers()
    cluster.partition(["n1"], ["n2", "n3", "c1"])
    operation = cluster.invoke("c1", "put", "a", 1)
    cluster.stabilize()
    assert operation not in cluster.outcomes
    cluster.partition(["n1", "c1"], ["n2", "n3"])  # in place of the one before
    cluster.deliver(cluster.send("c1", "n1", Put("a")))
    cluster.stabilize()
    assert cluster.outcomes == {operation: Ok("a")}


def test_misuse_of_partitions() -> None:
    cluster = keepers()
    with wrong("partition: takes two sides or more, not 0. heal ends a partition."):
        cluster.partition()
    with wrong("partition: n1 is named twice. Put each node on one side."):
        cluster.partition(["n1"], ["n2", "n1"])
    with wrong("n4: no such node."):
        cluster.partition(["n1"], ["n4"])
    cluster.heal()  # there is none


# The log.


def test_the_log_is_grouped_by_who_acts() -> None:
    cluster = keepers()
    cluster.clear_log()
    cluster.invoke("c1", "put", "a", 1)
    cluster.deliver_batch(cluster.waiting(Put)[0], put(cluster, "b"))
    cluster.time_out("n2", "beat")
    cluster.crash("n3")
    cluster.deliver(Rumour, to="n3")
    cluster.partition(["n1"], ["n2", "n3"])
    cluster.deliver(Rumour, to="n2")
    cluster.heal()
    cluster.slow_disk("n1")
    cluster.fire("n1", "remind", "a")
    cluster.fire("n1", "beat")
    cluster.crash("n1")
    assert cluster.log == [
        "c1 invokes put a 1 as operation 0",
        "  → n1: Put(key=a, value=1)",
        "n1 takes Put(key=a, value=1) from c1",
        "  and Put(key=b) from x",
        "  → n2, n3: Rumour(key=a)",
        "  → n2, n3: Rumour(key=b)",
        "  commits order[1:]=[a, b], values[a]=1, values[b]=0",
        "  notes kept(key=a)",
        "  → c1: Kept(key=a)",
        "  notes kept(key=b)",
        "  → x: Kept(key=b)",
        "n2 fires beat at 100ms",
        "  commits beats=1",
        "n3 crashed",
        "lost, n3 is down: n1 → n3: Rumour(key=a)",
        "partition: n1 | n2 n3",
        "lost, a partition is in its way: n1 → n2: Rumour(key=a)",
        "the partition heals",
        "n1 fires remind(a)",
        "n1 fires beat",
        "  begins to commit beats=1",
        "n1 crashed, and its commit is lost",
    ]
    cluster.clear_log()
    assert cluster.log == []


def test_failed_operations_are_told() -> None:
    cluster = keepers()
    cluster.node("c1").current = 5
    cluster.node("c1").complete(5, Fail("it is late"))
    cluster.clear_log()
    cluster.deliver(cluster.send("n1", "c1", Kept("a")))
    assert cluster.log[-1] == '  completes operation 5: Fail(why="it is late")'


class Careless(Keeper):
    """Raises when it is nudged."""

    @handles(Nudge)
    def on_nudge(self, sender: NodeId, nudge: Nudge) -> None:
        raise ArithmeticError("nudged")


def test_a_handler_that_raises_crashes_its_node() -> None:
    cluster = Cluster(Careless, None, ["n1", "n2"])
    with pytest.raises(ArithmeticError, match="nudged"):
        cluster.deliver(cluster.send("x", "n1", Nudge()))
    assert cluster.up == ["n2"] and [node.id for node in cluster.nodes()] == ["n2"]
    assert cluster.log[-1] == "  crashes: ArithmeticError: nudged"
    cluster.restart("n1")
    assert cluster.up == ["n2", "n1"]


def test_an_envelope_is_in_a_batch_once() -> None:
    cluster = Cluster(Keeper, None, ["n1", "n2"])
    envelope = cluster.send("x", "n1", Nudge())
    with pytest.raises(ConfigError, match=r"deliver_batch: .* is given twice\. duplicate\(\) it first\."):
        cluster.deliver_batch(envelope, envelope)
    assert cluster.envelopes == [envelope]


def test_an_envelope_has_its_own_sender_and_receiver() -> None:
    cluster = Cluster(Keeper, None, ["n1", "n2"])
    envelope = cluster.send("x", "n1", Nudge())
    with pytest.raises(ConfigError, match=r"is from x to n1\. Name the envelope alone\."):
        cluster.deliver(envelope, to="n2")
    assert cluster.deliver(envelope, sender="x", to="n1") is envelope


def test_a_clock_that_is_named_twice_moves_once() -> None:
    cluster = Cluster(Keeper, None, ["n1", "n2"], own_clocks=True)
    cluster.advance(7, "n1", "n1", fire=False)
    assert (cluster.clock("n1"), cluster.clock("n2")) == (7, 0)


def test_the_administrators_name_is_taken() -> None:
    with pytest.raises(ConfigError, match="'admin' is the administrator's name"):
        Cluster(Keeper, None, ["n1", "admin"])
