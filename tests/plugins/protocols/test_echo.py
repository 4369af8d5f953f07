"""Echo, step by step."""

from __future__ import annotations

import random

from framework import Ok, Operation
from framework.core.effects import Complete, Send
from framework.core.node_runtime import Deliver, Invoke, NodeRuntime, Start
from framework.core.random_streams import stream
from plugins.protocols.echo import Echo, EchoClient, EchoNode, EchoReply
from plugins.workloads.echo import EchoWorkload, EchoWorkloadConfig


def test_a_node_says_back_what_it_hears() -> None:
    runtime = NodeRuntime("n1", stream(0, "node", "n1"))
    batch = runtime.run([Start(EchoNode, None, ("n2",)), Deliver("", "c1", Echo(operation=3, text="hello"))])
    assert batch.effects == [Send("c1", "", EchoReply(operation=3, text="hello"))]


def test_a_client_asks_the_first_server_and_completes_with_the_answer() -> None:
    runtime = NodeRuntime("c1", stream(0, "node", "c1"))
    asks = Invoke(Operation(id=3, function="echo", argument="hello"), timeout=0)
    answer = Deliver("", "n1", EchoReply(operation=3, text="hello"))
    batch = runtime.run([Start(EchoClient, None, ("n1", "n2")), asks, answer])
    assert batch.effects == [Send("n1", "", Echo(operation=3, text="hello")), Complete(3, Ok("hello"))]


def test_its_workload_says_short_texts() -> None:
    workload = EchoWorkload(EchoWorkloadConfig(length=5))
    assert workload.functions() == ("echo",)
    function, key, text = workload.next("c1", 0, random.Random(7))
    assert (function, key, len(text)) == ("echo", None, 5)
    assert workload.next("c1", 0, random.Random(7)) == (function, key, text)
