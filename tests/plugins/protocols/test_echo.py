"""Echo, step by step."""

from __future__ import annotations

import random

from framework import Ok, Operation
from framework.core.host import COMPLETE, SEND, Host
from framework.core.streams import stream
from plugins.protocols.echo import Echo, EchoClient, EchoNode, EchoReply
from plugins.workloads.echo import EchoWorkload, EchoWorkloadConfig


def test_a_node_says_back_what_it_hears() -> None:
    host = Host("n1", stream(0, "node", "n1"))
    host.boot(EchoNode, None, ("n2",))
    host.deliver("", "c1", Echo(operation=3, text="hello"))
    assert host.effects == [(SEND, "c1", "", EchoReply(operation=3, text="hello"))]


def test_a_client_asks_the_first_server_and_completes_with_the_answer() -> None:
    host = Host("c1", stream(0, "node", "c1"))
    host.boot(EchoClient, None, ("n1", "n2"))
    client = host.root
    assert isinstance(client, EchoClient)
    client._begin(Operation(id=3, function="echo", argument="hello"), 0)
    host.deliver("", "n1", EchoReply(operation=3, text="hello"))
    assert host.effects == [
        (SEND, "n1", "", Echo(operation=3, text="hello")),
        (COMPLETE, 3, Ok("hello"), ""),
    ]


def test_its_workload_says_short_texts() -> None:
    workload = EchoWorkload(EchoWorkloadConfig(length=5))
    assert workload.functions() == ("echo",)
    function, key, text = workload.next("c1", random.Random(7))
    assert (function, key, len(text)) == ("echo", None, 5)
    assert workload.next("c1", random.Random(7)) == (function, key, text)
