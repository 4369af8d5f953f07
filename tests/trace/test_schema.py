"""Payloads decode from their shapes alone, and names get dense indices."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.errors import Unrecordable
from framework.core.message import Message, Record
from framework.trace.schema import EVENT_ROW, NO_NAME, NameTable, Shape, as_json, decode_payload, message_shape


class Put(Record, tag="put"):
    key: str
    value: bytes


class Delete(Record, tag="delete"):
    key: str


class Entry(Record):
    term: int
    command: Put | Delete | None


class AppendEntries(Message):
    term: int
    leader: str
    entries: tuple[Entry, ...]
    previous: tuple[int, Entry | None]
    acknowledged: frozenset[str] = frozenset()


class Tree(Message):
    label: str
    children: tuple[Tree, ...] = ()


class Settings(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    lease_length: int = 5
    by_shard: dict[str, tuple[Entry, ...]] = {}


class Configure(Message):
    settings: Settings
    ballot: tuple[int, str] | int


def through_json(struct: type[msgspec.Struct]) -> Shape:
    shape: Shape = json.loads(json.dumps(message_shape(struct)))
    return shape


def decoded(message: msgspec.Struct) -> dict[str, object]:
    return decode_payload(through_json(type(message)), msgspec.msgpack.encode(message))


def test_an_event_row_is_packed_without_padding() -> None:
    assert EVENT_ROW.size == 39


def test_nested_structs_become_dicts_and_a_union_shows_its_tag() -> None:
    message = AppendEntries(
        term=3,
        leader="n1",
        entries=(Entry(2, Put("x", b"\x00\xff")), Entry(3, Delete("y")), Entry(3, None)),
        previous=(7, Entry(1, None)),
        acknowledged=frozenset({"n2"}),
    )
    assert decoded(message) == {
        "term": 3,
        "leader": "n1",
        "entries": [
            {"term": 2, "command": {"type": "put", "key": "x", "value": b"\x00\xff"}},
            {"term": 3, "command": {"type": "delete", "key": "y"}},
            {"term": 3, "command": None},
        ],
        "previous": [7, {"term": 1, "command": None}],
        "acknowledged": ["n2"],
    }


def test_a_struct_may_hold_itself() -> None:
    assert decoded(Tree("root", (Tree("leaf"),))) == {
        "label": "root",
        "children": [{"label": "leaf", "children": []}],
    }


def test_structs_that_encode_by_name_and_dicts_of_structs() -> None:
    message = Configure(Settings(by_shard={"s1": (Entry(1, None),)}), ballot=(2, "n1"))
    assert decoded(message) == {
        "settings": {"by_shard": {"s1": [{"term": 1, "command": None}]}},
        "ballot": [2, "n1"],
    }
    assert decoded(Configure(Settings(lease_length=9), ballot=4)) == {
        "settings": {"lease_length": 9},
        "ballot": 4,
    }


def test_a_tagged_message_loses_its_tag_at_the_top() -> None:
    assert decoded(Put("x", b"1")) == {"key": "x", "value": b"1"}


@given(st.recursive(st.builds(Tree, st.text()), lambda trees: st.builds(Tree, st.text(), st.tuples(trees, trees))))
def test_decoding_by_shape_agrees_with_decoding_by_class(tree: Tree) -> None:
    def plain(tree: Tree) -> dict[str, object]:
        return {"label": tree.label, "children": [plain(child) for child in tree.children]}

    assert decoded(tree) == plain(tree)


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x91\x01", b"\x92\x01\x05", b"\xc1"])
def test_bytes_that_do_not_fit_are_refused(payload: bytes) -> None:
    with pytest.raises(ValueError):
        decode_payload(through_json(Tree), payload)


def test_names_get_dense_indices_in_order_of_appearance() -> None:
    names = NameTable()
    assert [names.index(name) for name in ("n2", "n1", "n2", "")] == [0, 1, 0, 2]
    assert names.names == ["n2", "n1", ""]


def test_a_name_too_many_is_an_error_that_says_what_to_do() -> None:
    names = NameTable()
    for number in range(NO_NAME):
        names.index(f"note-{number}")
    with pytest.raises(Unrecordable, match="put what varies into a note's fields"):
        names.index("one more")
    assert names.index("note-7") == 7


@pytest.mark.parametrize("name", ["half a \ud800", None, 7])
def test_what_is_no_text_is_no_name(name: Any) -> None:
    with pytest.raises(Unrecordable, match="which is not a valid name"):
        NameTable().index(name)


@pytest.mark.parametrize("value", [["half a \ud800"], [10**5_000], [object()], {"x": object()}])
def test_what_has_no_json_cannot_be_recorded(value: Any) -> None:
    with pytest.raises(Unrecordable, match="noted or answered what cannot be recorded"):
        as_json(value)


class Held(Record):
    locks: frozenset[str]


@pytest.mark.parametrize("kind", [set, frozenset])
def test_sets_are_written_in_order_at_any_depth(kind: type) -> None:
    names = [f"n{number}" for number in range(10)]
    value = {"views": [{"of": ("n1", {"members": kind(names)})}, Held(locks=frozenset(names))]}
    members = json.dumps(names, separators=(",", ":"))
    assert as_json(value).decode() == f'{{"views":[{{"of":["n1",{{"members":{members}}}]}},[{members}]]}}'
