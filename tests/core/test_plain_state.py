"""State is plain data: copies share nothing that can change, and what cannot be copied is named."""

from __future__ import annotations

import enum
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from io import BytesIO, TextIOWrapper
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.durable import DurableLog, DurableMap
from framework.core.errors import PluginError
from framework.core.message import Record
from framework.core.node import Node
from framework.core.plain_state import copy_plain
from framework.replication.sessions import ReplicatedMachine
from tests.core.bench import Bench
from tests.replication.machines import Register


class Role(enum.Enum):
    FOLLOWER = 1


class Entry(Record):
    term: int
    command: bytes


class Loose(Record):
    voters: list[str]


class Thawed(Record, frozen=False):
    voters: tuple[str, ...]


@dataclass
class Progress:
    match: int
    inflight: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Frozen:
    waiting: list[int]


class Point(NamedTuple):
    x: int
    y: list[int]


def changeable(value: Any, found: dict[int, Any]) -> dict[int, Any]:
    """Every object within `value` that can change, by identity."""
    if isinstance(value, (list, set, dict, deque, Progress, Frozen, Loose, Thawed, DurableLog, DurableMap)):
        found[id(value)] = value
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        inner = list(value)
    elif isinstance(value, (Progress, Frozen, Loose, Thawed)):
        inner = [getattr(value, name) for name in type(value).__annotations__]
    for item in inner:
        changeable(item, found)
    return found


leaf = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3), st.just(Role.FOLLOWER)
)
plain = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2), inner, max_size=3),
        st.dictionaries(st.integers(), inner, max_size=3).map(OrderedDict),
        st.lists(inner, max_size=3).map(deque),
        st.sets(st.integers(), max_size=3),
        st.lists(st.integers()).map(lambda items: Progress(1, items)),
        st.lists(st.integers()).map(Frozen),
        st.lists(st.text()).map(Loose),
        st.lists(st.text()).map(lambda names: Thawed(tuple(names))),
        st.lists(st.integers()).map(lambda items: Point(1, items)),
    ),
    max_leaves=12,
)


@pytest.mark.long
@given(value=plain)
def test_a_copy_is_equal_of_the_same_type_and_shares_nothing_that_can_change(value: Any) -> None:
    twin = copy_plain(value, "Raft.x")

    assert twin == value and type(twin) is type(value)
    assert not changeable(value, {}).keys() & changeable(twin, {}).keys()


def test_what_cannot_change_is_not_copied() -> None:
    entry = Entry(1, b"x")
    for value in (entry, "text", Role.FOLLOWER, int, Entry, range(3)):
        assert copy_plain(value, "x") is value


def test_the_mappings_of_the_standard_library_keep_their_kind() -> None:
    votes = defaultdict(set, {1: {"n1"}})
    twin = copy_plain(votes, "x")
    twin[1].add("n2")
    twin[2].add("n3")
    assert (votes, type(twin)) == ({1: {"n1"}}, defaultdict)
    assert copy_plain(Counter("aab"), "x") == Counter("aab")
    assert copy_plain(deque([1], maxlen=3), "x").maxlen == 3


def test_durable_fields_and_state_machines_copy_themselves() -> None:
    machine = ReplicatedMachine(Register())
    log, table = DurableLog(2, [1]), DurableMap({1: 1})
    for value in (machine, log, table):
        twin = copy_plain(value, "x")
        assert twin == value and twin is not value


class Careless(Node):
    def on_start(self) -> None:
        self.kept = self.config()


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: (letter for letter in "abc"), "generator"),
        (lambda: TextIOWrapper(BytesIO()), "TextIOWrapper"),
        (lambda: lambda: None, "function"),
        (threading.Lock, "lock"),
        (object, "object"),
        (bytearray, "bytearray"),
    ],
)
def test_state_that_cannot_be_copied_is_named_with_its_attribute_when_the_node_starts(make: Any, kind: str) -> None:
    kept = make()
    with pytest.raises(PluginError) as raised:
        Bench(Careless, lambda: kept)
    if hasattr(kept, "close"):
        kept.close()

    assert str(raised.value).startswith(
        f"Careless.kept: a {kind} cannot be copied as plain data. Keep scalars, Records"
    )


def test_the_place_is_named_however_deep() -> None:
    class Deep(Node):
        def on_start(self) -> None:
            self.groups = {"a": [Progress(1, inflight=[iter(())])]}  # type: ignore[list-item]

    with pytest.raises(PluginError, match=r"Deep\.groups\['a'\]\.inflight: a tuple_iterator cannot be copied"):
        Bench(Deep)


def test_an_attribute_that_starts_with_an_underscore_is_not_state() -> None:
    class Cache(Node):
        def on_start(self) -> None:
            self._lock = threading.Lock()
            self.role = "follower"

    assert Bench(Cache).node.state() == {"role": "follower"}


def test_an_attribute_that_hides_one_of_the_nodes_own_names_is_refused_when_the_node_starts() -> None:
    class Hides(Node):
        def on_start(self) -> None:
            self.state = "follower"  # type: ignore[assignment, method-assign]

    with pytest.raises(PluginError, match=r"Hides\.state: every node has a state already\. Choose another name\."):
        Bench(Hides)


def test_state_is_a_copy_without_what_every_node_has() -> None:
    class Small(Node):
        def on_start(self) -> None:
            self.votes = {"n1"}

    node = Bench(Small).node
    state = node.state()
    state["votes"].add("n2")

    assert node.state() == {"votes": {"n1"}}
