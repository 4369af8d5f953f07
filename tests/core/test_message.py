"""Messages: frozen, precise, and readable from the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType

import msgspec
import pytest

from framework.core.errors import PluginError
from framework.core.message import Config, Message, NodeId, Record, check_message

if TYPE_CHECKING:
    from pathlib import Path as Nowhere

Slot = NewType("Slot", int)


class Ballot(Record):
    round: int
    node: NodeId


class Tree(Record):
    value: int
    children: tuple[Tree, ...] = ()


class Put(Record, tag=True):
    key: str


class Delete(Record, tag=True):
    key: str


class Fine(Message):
    a: int
    b: bool | None
    c: float | bytes
    d: tuple[int, ...]
    e: tuple[str, frozenset[NodeId]]
    f: Ballot | None
    g: Literal["x", "y"]
    h: Slot
    i: Annotated[int, msgspec.Meta(ge=0)]
    j: Tree
    k: Put | Delete


def test_scalars_tuples_frozensets_and_records_of_these_are_fine() -> None:
    check_message(Fine)


def test_a_message_comes_back_from_its_bytes_as_it_was() -> None:
    message = Fine(
        1,
        None,
        b"\xff",
        (1, 2),
        ("a", frozenset({"n1"})),
        Ballot(3, "n2"),
        "y",
        Slot(4),
        5,
        Tree(1, (Tree(2),)),
        Put("k"),
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Fine) == message


def test_messages_and_records_are_frozen_and_hashable_without_being_told() -> None:
    ballot = Ballot(1, "n1")
    with pytest.raises(AttributeError):
        ballot.round = 2
    assert {ballot: 1}[Ballot(1, "n1")] == 1


class WithList(Message):
    x: tuple[list[int], ...]


class WithSet(Message):
    x: set[int]


class WithDict(Message):
    x: dict[str, int] | None


class WithAny(Message):
    x: Any


class WithObject(Message):
    x: object


class WithBareTuple(Message):
    x: tuple  # type: ignore[type-arg]


class WithBareList(Message):
    x: list  # type: ignore[type-arg]


class WithClass(Message):
    x: complex


class Inner(Record):
    y: bytearray


class WithInner(Message):
    x: tuple[Inner, ...]


class Thawed(Record, frozen=False):
    y: int


class WithThawed(Message):
    x: Thawed


class ThawedMessage(Message, frozen=False):
    x: int


class WithUnion(Message):
    x: Ballot | Tree


class WithText(Message):
    x: str | bytes


class WithNowhere(Message):
    x: Nowhere


class Settings(Config):
    x: int = 1


class WithConfig(Message):
    x: Settings


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (WithList, "WithList.x: a message cannot hold list[int]. Write tuple[X, ...] instead: a list would be shared between nodes."),
        (WithBareList, "WithBareList.x: a message cannot hold list. Write tuple[X, ...] instead"),
        (WithSet, "WithSet.x: a message cannot hold set[int]. Write frozenset[X] instead."),
        (WithDict, "WithDict.x: a message cannot hold dict[str, int]. Write tuple[tuple[K, V], ...] instead."),
        (WithAny, "WithAny.x: a message cannot hold Any. Give it a precise type."),
        (WithObject, "WithObject.x: a message cannot hold object. Give it a precise type."),
        (WithBareTuple, "WithBareTuple.x: a message cannot hold tuple. Give it a precise type."),
        (WithClass, "WithClass.x: a message cannot hold complex. Use scalars, str, bytes, tuples, frozensets and Records."),
        (WithInner, "Inner.y: a message cannot hold bytearray. Use scalars"),
        (WithConfig, "WithConfig.x: a message cannot hold Settings. Use scalars"),
        (WithThawed, "WithThawed.x: Thawed is not frozen. Leave out frozen=False."),
        (ThawedMessage, "ThawedMessage: ThawedMessage is not frozen. Leave out frozen=False."),
        (WithNowhere, "WithNowhere: a field's type cannot be found: name 'Nowhere' is not defined. Import it in tests.core.test_message."),
        (WithText, "WithText: msgpack cannot distinguish the members of str | bytes. Keep one kind of each in a union"),
        (WithUnion, "WithUnion: msgpack cannot distinguish the members of tests.core.test_message.Ballot | tests.core.test_message.Tree. Keep one"),
    ],
)  # fmt: skip
def test_what_a_message_cannot_hold_is_named_with_what_to_write_instead(message: type[Message], words: str) -> None:
    with pytest.raises(PluginError) as raised:
        check_message(message)

    assert str(raised.value).startswith(words)


def test_a_union_of_records_needs_tags_and_the_error_says_so_in_one_line() -> None:
    with pytest.raises(PluginError) as raised:
        check_message(WithUnion)

    assert str(raised.value).endswith("Records take a tag, class A(Record, tag=True).")
    assert "\n" not in str(raised.value)


def test_a_config_refuses_fields_that_it_does_not_know() -> None:
    assert msgspec.convert({"x": 3}, Settings) == Settings(x=3)
    with pytest.raises(msgspec.ValidationError, match="unknown field `y`"):
        msgspec.convert({"y": 3}, Settings)
