"""The wire: names, indexes and bytes that are the same in every process."""

from __future__ import annotations

import msgspec
import pytest

from framework.core.client import Client
from framework.core.message import Message, NodeId
from framework.core.node import Node, handles
from framework.engine.wire import Wire
from framework.registry.specs import ProtocolSpec


class View(Message):
    members: frozenset[str]


class Ping(Message):
    count: int


class Member(Node):
    @handles(View, Ping)
    def on_either(self, sender: NodeId, message: Message) -> None: ...


class Idle(Client):
    pass


WIRE = Wire(ProtocolSpec(name="views", summary="", node=Member, client=Idle))


def test_a_message_is_known_by_its_protocol_and_class() -> None:
    assert WIRE.names == ("views.Ping", "views.View")
    assert WIRE.classes == (Ping, View)
    assert WIRE.index == {Ping: 0, View: 1}


def test_a_message_comes_back_from_its_bytes() -> None:
    for message in (View(frozenset({"n1", "n2"})), Ping(3)):
        assert WIRE.decode[WIRE.index[type(message)]](WIRE.encode(message)) == message


def test_the_bytes_of_a_set_do_not_depend_on_the_hashes_of_the_process() -> None:
    members = [f"n{number}" for number in range(1, 9)]

    assert WIRE.encode(View(frozenset(members))) == msgspec.msgpack.encode([members])


def test_what_is_not_that_message_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="Expected `int`, got `str`"):
        WIRE.decode[WIRE.index[Ping]](msgspec.msgpack.encode(["three"]))
    with pytest.raises(msgspec.DecodeError):
        WIRE.decode[WIRE.index[Ping]](b"\x91")
