"""The wire: names, indexes and bytes that are the same in every process."""

from __future__ import annotations

import msgspec
import pytest

from framework.core.client import Client
from framework.core.errors import PluginError
from framework.core.message import Message, NodeId
from framework.core.node import Node, handles
from framework.engine.wire_codec import TRIES, Wire
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


def test_a_message_whose_values_do_not_fit_is_refused_at_its_sender_by_the_fields_name() -> None:
    with pytest.raises(
        PluginError, match=r"^Member: sends a message Ping whose field count does not fit: expected int, got"
    ):
        WIRE.check(Ping("three"), Member)  # type: ignore[arg-type]
    with pytest.raises(PluginError, match=r"whose field members\[0\] does not fit: expected str, got int"):
        WIRE.check(View(frozenset({7})), Member)  # type: ignore[arg-type]


def test_a_message_that_msgpack_cannot_carry_is_refused_at_its_sender() -> None:
    with pytest.raises(
        PluginError, match=r"^Member: sends a message Ping that msgpack cannot carry .* 64 bits at the most"
    ):
        WIRE.pack(Ping(1 << 64), Member)


def test_a_message_that_is_too_long_is_refused_at_its_sender_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.engine.wire_codec.MESSAGE_BYTES", 40)
    assert len(WIRE.pack(View(frozenset({"n" * 36})), Member)) == 40
    with pytest.raises(
        PluginError, match=r"^Member: sends a message View of 41 bytes; the longest message has 40. Send it in"
    ):
        WIRE.pack(View(frozenset({"n" * 37})), Member)


def test_the_first_messages_of_each_type_are_checked_and_then_no_more() -> None:
    wire = Wire(ProtocolSpec(name="views", summary="", node=Member, client=Idle))
    for count in range(TRIES):
        assert wire.tried == {}
        assert wire.index_of(Ping(count), Member) == 0
    assert wire.tried == {Ping: 0}


def test_what_is_not_that_message_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="Expected `int`, got `str`"):
        WIRE.decode[WIRE.index[Ping]](msgspec.msgpack.encode(["three"]))
    with pytest.raises(msgspec.DecodeError):
        WIRE.decode[WIRE.index[Ping]](b"\x91")
