"""A lock server driven by hand: set if absent, compare and delete or extend, expiry, and what a crash takes."""

from __future__ import annotations

import pytest

from framework import Message
from framework.testing.cluster import Cluster
from plugins.protocols.redlock.messages import (
    DeleteIfEqual,
    DeleteReply,
    ExpireIfEqual,
    ExpireReply,
    SetIfAbsent,
    SetReply,
)
from tests.plugins.protocols.redlock.stories import MS, cluster

TTL = 100 * MS


def ask(nodes: Cluster, *requests: SetIfAbsent | ExpireIfEqual | DeleteIfEqual) -> list[bool]:
    """Sends requests to n1; what its answers say. None of a request that it does not answer."""
    nodes.inbox.clear()
    for request in requests:
        nodes.deliver(nodes.send("test", "n1", request))
        nodes.deliver_all(to="test")
    return [said(answer) for answer in nodes.inbox.get("test", [])]


def said(answer: Message) -> bool:
    if isinstance(answer, SetReply):
        return answer.granted
    if isinstance(answer, ExpireReply):
        return answer.extended
    assert isinstance(answer, DeleteReply)
    return answer.deleted


def set_to(value: str) -> SetIfAbsent:
    return SetIfAbsent("x", value, TTL)


def test_a_key_is_set_once_until_it_is_deleted() -> None:
    nodes = cluster()
    assert ask(nodes, set_to("a"), set_to("b"), SetIfAbsent("y", "b", TTL)) == [True, False, True]
    assert ask(nodes, DeleteIfEqual(1, "x", "a"), set_to("b")) == [True, True]


def test_only_its_own_value_deletes_or_extends_a_key() -> None:
    nodes = cluster()
    assert ask(nodes, DeleteIfEqual(1, "x", "a"), ExpireIfEqual(1, "x", "a", TTL)) == [False, False]
    assert ask(nodes, set_to("a"), DeleteIfEqual(1, "x", "b"), ExpireIfEqual(2, "x", "b", TTL)) == [True, False, False]
    assert ask(nodes, set_to("c"), ExpireIfEqual(3, "x", "a", TTL)) == [False, True]


def test_a_key_expires_by_the_wall_clock() -> None:
    nodes = cluster(own_clocks=True)
    ask(nodes, set_to("a"))
    nodes.advance(TTL - 1, "n1")
    assert ask(nodes, set_to("b")) == [False]
    nodes.runtime("n1").wall_clock += 1  # a step: its monotonic clock stays
    assert ask(nodes, ExpireIfEqual(1, "x", "a", TTL), DeleteIfEqual(2, "x", "a")) == [False, False]
    assert ask(nodes, set_to("b")) == [True]
    assert [name for _, name, _ in nodes.notes] == ["expired"]


def test_an_extension_counts_from_its_arrival() -> None:
    nodes = cluster()
    ask(nodes, set_to("a"))
    nodes.advance(TTL - 1)
    assert ask(nodes, ExpireIfEqual(1, "x", "a", TTL)) == [True]
    nodes.advance(TTL - 1)
    assert ask(nodes, set_to("b")) == [False]
    nodes.advance(1)
    assert ask(nodes, set_to("b")) == [True]


def test_with_fsync_a_key_is_durable_before_the_answer_leaves() -> None:
    nodes = cluster()
    nodes.slow_disk("n1")
    nodes.deliver(nodes.send("test", "n1", set_to("a")))
    assert nodes.waiting(SetReply) == []
    nodes.finish_commit("n1")
    assert [each.message for each in nodes.drop_all(SetReply)] == [SetReply("a", True)]
    nodes.fast_disk("n1")
    nodes.crash("n1")
    nodes.restart("n1")
    assert ask(nodes, set_to("b")) == [False]


def test_without_fsync_a_crash_takes_all_keys() -> None:
    nodes = cluster(fsync=False)
    assert ask(nodes, set_to("a"), set_to("b")) == [True, False]
    nodes.crash("n1")
    nodes.restart("n1")
    assert ask(nodes, set_to("b")) == [True]


@pytest.mark.parametrize("fsync", [False, True])
def test_a_restarted_server_takes_no_part_until_the_delay_is_over(fsync: bool) -> None:
    nodes = cluster(fsync=fsync, restart_delay="200ms")
    assert ask(nodes, set_to("a")) == [True]  # the first start is no restart
    nodes.crash("n1")
    nodes.restart("n1")
    nodes.advance(200 * MS - 1)
    assert ask(nodes, set_to("b"), ExpireIfEqual(1, "x", "a", TTL), DeleteIfEqual(2, "x", "a")) == []
    assert nodes.node("n1").status.phase == "waiting"
    nodes.advance(1)
    assert ask(nodes, set_to("b")) == [True]


def test_a_majority_can_serve() -> None:
    server = cluster().node("n2")
    assert server.can_serve(["n1", "n2", "n3"]) and not server.can_serve(["n1", "n2"])
