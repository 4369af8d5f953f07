"""Addresses, mounted clients and events: how nodes reach one another's mounts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.address import route_to, sender_of, split_address, split_route
from framework.core.client import Client, Ended, Fail, Ok, Operation, OperationId, Unknown
from framework.core.errors import PluginError
from framework.core.message import Event, Message, NodeId
from framework.core.node import Node, handles, on_timer
from tests.core.bench import Bench, Completed, Noted, Sent

PATHS = st.lists(st.text("ab-7", min_size=1, max_size=5), max_size=3).map("/".join)


@given(mount=PATHS, path=PATHS)
def test_a_route_holds_both_mounts_and_is_empty_between_roots(mount: str, path: str) -> None:
    assert split_route(route_to(mount, path)) == (mount, path)
    assert (route_to(mount, path) == "") == (mount == path == "")


@given(mount=PATHS, path=PATHS)
def test_the_address_of_a_sender_leads_back_to_it(mount: str, path: str) -> None:
    node, to = split_address(sender_of("n2", mount, path))
    assert (node, mount if to is None else to) == ("n2", path)


class Ping(Message):
    number: int


class Pong(Message):
    number: int


class Echo(Node):
    @handles(Ping)
    def on_ping(self, sender: NodeId, ping: Ping) -> None:
        self.note("from", sender=sender)
        self.send(sender, Pong(ping.number))


class Asks(Client):
    def on_start(self) -> None:
        self.started = True

    def invoke(self, operation: Operation) -> None:
        self.operation = operation.id
        self.send(self.servers[0], Ping(operation.id))
        self.set_timer(self.again, after=50)

    @on_timer
    def again(self) -> None:
        self.send(self.servers[0], Ping(self.operation))

    @handles(Pong)
    def on_pong(self, sender: NodeId, pong: Pong) -> None:
        self.note("from", sender=sender)
        self.complete(pong.number, Ok(sender))


class Host(Node):
    mounts = (Echo, Asks)

    def on_start(self) -> None:
        self.echo = self.mount("echo", Echo, None, self.peers)
        self.asks = self.mount("asks", Asks, None, ("n1", "n2"), peer_mount="echo")
        self.ended: list[tuple[str, OperationId, Any]] = []

    @handles(Ping)
    def on_ping(self, sender: NodeId, ping: Ping) -> None:
        self.note("from", sender=sender)

    @handles(Ended)
    def on_ended(self, mount: str, ended: Ended) -> None:
        self.ended.append((mount, ended.operation, ended.outcome))


def at(bench: Bench, message: Message, sender: str, path: str) -> list[Any]:
    return bench.deliver((sender, message, path))


def test_a_reply_to_an_address_goes_to_the_mount_that_asked() -> None:
    bench = Bench(Host)
    asks = Noted("from", {"sender": "n2/asks"}, "echo")
    assert at(bench, Ping(1), "n2/asks", "echo") == [asks, Sent("n2/asks", Pong(1), "echo")]
    assert at(bench, Ping(2), "c1/", "echo")[1] == Sent("c1/", Pong(2), "echo")
    assert at(bench, Ping(3), "n2", "echo")[1] == Sent("n2", Pong(3), "echo")


def test_messages_go_to_the_mount_that_is_named() -> None:
    bench = Bench(Host)
    node = bench.node
    node.send("n2", Ping(1), mount="echo")
    node.echo.send("n2", Ping(2), mount="")
    node.echo.broadcast(Ping(3), mount="other")
    node.echo.multicast(["n2/x", "n3"], Ping(4))
    assert bench.finish() == [
        Sent("n2/echo", Ping(1)), Sent("n2/", Ping(2), "echo"),
        Sent("n2/other", Ping(3), "echo"), Sent("n3/other", Ping(3), "echo"),
        Sent("n2/x", Ping(4), "echo"), Sent("n3", Ping(4), "echo"),
    ]  # fmt: skip
    with pytest.raises(PluginError, match=r"Host: sends to 'n2/x' with mount='echo'\. Give the mount once"):
        node.send("n2/x", Ping(5), mount="echo")


def test_a_mounted_client_talks_to_its_peer_mount_as_if_it_were_its_own() -> None:
    bench = Bench(Host)
    bench.node.asks.start(Operation(7, "ask"))
    assert bench.finish() == [Sent("n1/echo", Ping(7), "asks")]
    assert at(bench, Pong(7), "n1/echo", "asks") == [Noted("from", {"sender": "n1"}, "asks")]
    assert bench.node.ended == [("asks", 7, Ok("n1"))]
    bench.node.asks.start(Operation(8, "ask"))
    at(bench, Pong(8), "n1", "asks")  # from a mount of the same name, which is not the peer mount
    assert bench.node.ended[1] == ("asks", 8, Ok("n1/asks"))


def test_a_mounted_client_keeps_its_own_node_among_its_servers() -> None:
    assert Bench(Host).node.asks.servers == ("n1", "n2")


def test_a_mounted_client_does_one_operation_at_a_time() -> None:
    bench = Bench(Host)
    bench.node.asks.start(Operation(1, "ask"))
    with pytest.raises(PluginError, match=r"'asks' is busy with operation 1\. Mount a client for each operation"):
        bench.node.asks.start(Operation(2, "ask"))


def test_after_an_unknown_end_a_mounted_client_starts_afresh() -> None:
    bench = Bench(Host)
    client = bench.node.asks
    client.start(Operation(1, "ask"), timeout=100)
    client.extra = 5
    bench.finish()
    assert len(bench.advance(100)) == 1, "it asks again after 50"
    assert bench.node.ended == [("asks", 1, Unknown("no answer within 100ns"))]
    assert client.extra == 5
    client.start(Operation(2, "ask"))
    assert bench.finish() == [Sent("n1/echo", Ping(2), "asks")]
    assert not hasattr(client, "extra") and client.started and client.servers == ("n1", "n2")
    at(bench, Pong(1), "n1/echo", "asks")
    assert bench.left[-1] == Noted("late_completion", {"operation": 1}, "asks")


class Deaf(Node):
    mounts = (Asks,)

    def on_start(self) -> None:
        self.asks = self.mount("asks", Asks, None, ("n2",))


def test_a_client_is_started_by_a_parent_that_hears_its_end() -> None:
    with pytest.raises(
        PluginError, match=r"Deaf: mounts a Asks, but does not handle the outcomes of its operations\. Write @handles"
    ):
        Bench(Deaf).node.asks.start(Operation(1, "ask"))
    with pytest.raises(PluginError, match="start\\(ask\\) on a client that is not mounted"):
        Bench(Asks).node.start(Operation(1, "ask"))


def test_the_root_of_a_client_ends_its_operations_as_ever() -> None:
    bench = Bench(Asks, node="c1", peers=("n1",))
    bench.node._begin(Operation(3, "ask"), 0)
    bench.node.complete(3, Fail("no"))
    assert bench.finish()[-1] == Completed(3, Fail("no"))


class Grew(Event):
    what: Any


class Shouted(Message):
    pass


class Child(Node):
    pass


class Parent(Node):
    mounts = (Child,)

    def on_start(self) -> None:
        self.child = self.mount("child", Child, None, ())


def test_an_event_that_the_parent_does_not_need_is_dropped_and_any_other_message_is_an_error() -> None:
    bench = Bench(Parent)
    bench.node.child.tell(Grew(what=("anything", 1.5)))
    bench.host.settle()
    bench.node.child.tell(Shouted())
    with pytest.raises(PluginError, match="mount 'child' passes on Shouted, which its parent does not handle"):
        bench.host.settle()


def test_the_name_of_a_mount_has_no_slash_and_no_null() -> None:
    for name in ("a/b", "a\0b", ""):
        with pytest.raises(PluginError, match="cannot name a mount"):
            Bench(Parent).node.mount(name, Child, None, ())


def test_what_a_mounted_client_sends_to_many_goes_to_its_peer_mount() -> None:
    bench = Bench(Host)
    bench.node.asks.multicast(["n1", "n2/x"], Ping(1))
    bench.node.asks.broadcast(Ping(2))
    assert bench.finish() == [
        Sent("n1/echo", Ping(1), "asks"), Sent("n2/x", Ping(1), "asks"),
        Sent("n1/echo", Ping(2), "asks"), Sent("n2/echo", Ping(2), "asks"),
    ]  # fmt: skip


def test_a_mounted_client_whose_operation_has_failed_is_the_same_client() -> None:
    bench = Bench(Host)
    client = bench.node.asks
    client.start(Operation(1, "ask"))
    client.extra = 5
    client.complete(1, Fail("no"))
    bench.finish()
    client.start(Operation(2, "ask"))
    assert client.extra == 5


class Once(Asks):
    mounts = (Echo,)

    def on_start(self) -> None:
        super().on_start()
        self._secret = getattr(self, "_secret", 0) + 1
        self.echo = self.mount("echo", Echo, None, self.peers)

    def invoke(self, operation: Operation) -> None:
        self.operation = operation.id
        if operation.id == 1:
            self.set_timer(self.again, after=50)


class Patron(Node):
    mounts = (Once,)

    def on_start(self) -> None:
        self.once = self.mount("once", Once, None, ("n2",), peer_mount="club")

    @handles(Ended)
    def on_ended(self, mount: str, ended: Ended) -> None: ...


def test_the_timers_and_mounts_of_a_retired_client_are_gone() -> None:
    bench = Bench(Patron)
    bench.host.roles = bench.node.once.roles = {"first": ("n1",)}
    bench.node.once.start(Operation(1, "ask"), timeout=30)
    bench.finish()
    bench.advance(30)
    bench.node.once.start(Operation(2, "ask"))
    bench.finish()
    assert bench.advance(100) == []
    assert (bench.node.once._secret, bench.node.once.roles) == (1, {"first": ("n1",)})
    assert sorted(bench.host.nodes) == ["", "once", "once/echo"]


def test_the_mounts_of_a_mounted_client_talk_to_those_of_its_peer_mount() -> None:
    bench = Bench(Patron)
    bench.node.once.echo.send("n2", Ping(1))
    assert bench.finish() == [Sent("n2/club/echo", Ping(1), "once/echo")]


def test_a_mount_that_no_node_can_have_is_refused() -> None:
    for mount in ("a\0b", 7, "x" * 300):
        with pytest.raises(PluginError, match=r"Host: sends to the mount .* which no node can have"):
            Bench(Host).node.send("n2", Ping(1), mount=mount)
