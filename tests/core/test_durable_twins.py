"""Durable logs and maps against naive twins: what a restart finds is what stood there at the last commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.core.durable import DurableLog, DurableMap, LogWritten, MapWritten, durable, durable_log, durable_map
from framework.core.node import Node
from framework.core.storage import MemoryStorage, Storage
from tests.core.bench import Bench, MsgpackStorage


class Keeper(Node):
    term: int = durable(0)
    log: DurableLog[int] = durable_log(int)
    table: DurableMap[int, tuple[int, ...]] = durable_map(int, tuple[int, ...])


class NaiveLog:
    """Every index in a dict; `floor` is the highest that was compacted away."""

    def __init__(self) -> None:
        self.floor = 0
        self.entries: dict[int, int] = {}

    @property
    def last(self) -> int:
        return max([self.floor, *self.entries])

    def append(self, entry: int) -> None:
        self.entries[self.last + 1] = entry

    def replace(self, start: int, entries: list[int]) -> None:
        self.entries.update(enumerate(entries, start))

    def truncate(self, start: int) -> None:
        self.entries = {index: entry for index, entry in self.entries.items() if index < start}

    def compact(self, upto: int) -> None:
        self.floor = max(self.floor, upto)
        self.entries = {index: entry for index, entry in self.entries.items() if index > self.floor}

    def copy(self) -> NaiveLog:
        twin = NaiveLog()
        twin.floor, twin.entries = self.floor, dict(self.entries)
        return twin


def same_log(log: DurableLog[int], naive: NaiveLog) -> None:
    assert (log.first, log.last, len(log)) == (naive.floor + 1, naive.last, len(naive.entries))
    assert {index: log[index] for index in range(log.first, log.last + 1)} == naive.entries
    assert list(log) == [naive.entries[index] for index in sorted(naive.entries)]


number = st.integers(0, 9)
place = st.floats(0, 1)
log_action = st.one_of(
    st.tuples(st.just("append"), number),
    st.tuples(st.just("extend"), st.lists(number, max_size=4)),
    st.tuples(st.just("replace"), st.tuples(place, st.lists(number, max_size=4))),
    st.tuples(st.just("truncate"), place),
    st.tuples(st.just("compact"), place),
    st.tuples(st.just("compact past"), st.integers(0, 3)),
    st.tuples(st.sampled_from(["commit", "crash", "restart"]), st.none()),
)


def change_log(log: Any, naive: NaiveLog, action: str, argument: Any) -> None:
    """The same change to both; a place between 0 and 1 becomes an index that the log allows."""
    first, last = naive.floor + 1, naive.last
    if action == "append":
        log.append(argument)
        naive.append(argument)
    elif action == "extend":
        log.extend(argument)
        for entry in argument:
            naive.append(entry)
    elif action == "replace":
        start = first + round(argument[0] * (last + 1 - first))
        log.replace(start, argument[1])
        naive.replace(start, argument[1])
    elif action == "truncate":
        start = first + round(argument * (last + 1 - first))
        log.truncate(start)
        naive.truncate(start)
    else:
        upto = last + argument if action == "compact past" else first - 1 + round(argument * (last + 1 - first))
        log.compact(upto)
        naive.compact(upto)


def play(
    storage: Storage, actions: Sequence[tuple[str, Any]], naive: Any, change: Callable[..., None],
    same: Callable[[Any, Any], None], field: str,
) -> None:  # fmt: skip
    """Plays `actions` on the node's `field` and its twin; after each one, and each restart, they are the same."""
    bench = Bench(Keeper, storage=storage)
    committed = naive.copy()
    for action, argument in [*actions, ("restart", None)]:
        if action in ("commit", "restart"):
            bench.finish()
            committed = naive.copy()
        elif action == "crash":
            naive = committed.copy()
        else:
            change(getattr(bench.node, field), naive, action, argument)
        if action in ("crash", "restart"):
            bench.boot()
        same(getattr(bench.node, field), naive)


@pytest.mark.parametrize("storage", [MemoryStorage, MsgpackStorage])
@settings(max_examples=150, deadline=None)
@given(actions=st.lists(log_action, max_size=25))
def test_a_log_is_its_naive_twin(storage: type[Storage], actions: list[tuple[str, Any]]) -> None:
    play(storage(), actions, NaiveLog(), change_log, same_log, "log")


map_action = st.one_of(
    st.tuples(st.just("set"), st.tuples(st.integers(0, 5), st.lists(number, max_size=2).map(tuple))),
    st.tuples(st.just("update"), st.dictionaries(st.integers(0, 5), st.lists(number, max_size=2).map(tuple))),
    st.tuples(st.just("delete"), st.integers(0, 5)),
    st.tuples(st.sampled_from(["commit", "crash", "restart"]), st.none()),
)


def change_map(table: Any, naive: dict[int, Any], action: str, argument: Any) -> None:
    if action == "set":
        table[argument[0]] = naive[argument[0]] = argument[1]
    elif action == "update":
        table.update(argument)
        naive.update(argument)
    elif argument in naive:
        del table[argument]
        del naive[argument]
    else:
        with pytest.raises(KeyError):
            del table[argument]


def same_map(table: DurableMap[int, Any], naive: dict[int, Any]) -> None:
    assert list(table.items()) == list(naive.items())  # in the same order
    assert (len(table), list(table)) == (len(naive), list(naive))
    assert all(table[key] == table.get(key) == value and key in table for key, value in naive.items())


@pytest.mark.parametrize("storage", [MemoryStorage, MsgpackStorage])
@settings(max_examples=150, deadline=None)
@given(actions=st.lists(map_action, max_size=25))
def test_a_map_is_a_dict_in_the_same_order(storage: type[Storage], actions: list[tuple[str, Any]]) -> None:
    play(storage(), actions, {}, change_map, same_map, "table")


def test_only_increments_are_written() -> None:
    bench = Bench(Keeper)
    bench.node.log.extend(range(100))
    bench.node.table[1] = bench.node.table[2] = (0,)
    bench.finish()

    bench.node.log.append(7)
    bench.node.table[2] = (5,)
    bench.finish()
    bench.node.log.compact(99)
    del bench.node.table[1]
    bench.finish()
    bench.node.log.truncate(101)
    bench.node.log.extend([8, 9])
    bench.finish()

    assert bench.commits[1:] == [
        [LogWritten("", "log", 1, 101, (7,)), MapWritten("", "table", ((2, (5,)),), ())],
        [LogWritten("", "log", 100, 102, ()), MapWritten("", "table", (), (1,))],
        [LogWritten("", "log", 100, 101, (8, 9))],
    ]


def test_a_key_deleted_and_set_again_moves_to_the_end_and_is_among_both() -> None:
    table = DurableMap({1: "a", 2: "b"})
    del table[1]
    table[3] = "c"
    table[1] = "d"

    assert list(table) == [2, 3, 1]
    assert table.change() == (((3, "c"), (1, "d")), (1,))
    assert table.change() is None


@settings(max_examples=150, deadline=None)
@given(actions=st.lists(map_action.filter(lambda action: action[1] is not None), max_size=25), back=st.integers(0, 30))
def test_the_latest_keys_are_those_that_were_set_last(actions: list[tuple[str, Any]], back: int) -> None:
    table: DurableMap[int, Any] = DurableMap({7: (0,)})
    written: list[int] = []
    for action, argument in actions:
        if action == "set":
            table[argument[0]] = argument[1]
            written.append(argument[0])
        elif action == "update":
            table.update(argument)
            written += argument
        elif argument in table:
            del table[argument]
            written.append(argument)
    back = min(back, len(written))

    assert table.writes == len(written)
    newest_first = list(dict.fromkeys(key for key in reversed(written) if key in table and key != 7))
    assert list(table.latest(len(written))) == newest_first
    wanted = {key for key in written[len(written) - back :] if key in table}
    found = list(table.copy().latest(back))
    assert wanted <= set(found) and found == newest_first[: len(found)]


# Reading a log.


@pytest.mark.parametrize("index", [0, 1, 2, 6, -1])
def test_an_index_that_the_log_does_not_hold_names_what_it_holds(index: int) -> None:
    log = DurableLog(3, "cde")
    with pytest.raises(IndexError, match=rf"index {index}: the log holds 3\.\.5"):
        log[index]


def test_a_slice_leaves_out_what_lies_past_the_end_and_refuses_what_was_compacted() -> None:
    log = DurableLog(3, "cde")

    assert log.slice(3, 5) == ("c", "d")
    assert log.slice(4, 99) == ("d", "e")
    assert log.slice(6, 99) == log.slice(5, 4) == log.slice(9, 10) == ()
    with pytest.raises(IndexError, match=r"index 2: the log holds 3\.\.5"):
        log.slice(2, 5)


def test_a_truncation_outside_the_log_is_refused() -> None:
    log = DurableLog(3, "cde")
    for start in (2, 7):
        with pytest.raises(IndexError, match=rf"truncate\({start}\): the log holds 3\.\.5"):
            log.truncate(start)
    log.truncate(6)
    assert log.last == 5


def test_a_replacement_outside_the_log_is_refused_and_one_at_its_end_cuts_nothing() -> None:
    log = DurableLog(3, "cde")
    for start in (2, 7):
        with pytest.raises(IndexError, match=rf"replace\({start}\): the log holds 3\.\.5"):
            log.replace(start, "x")
    log.replace(6, "fg")
    log.replace(4, "")
    assert ("".join(log), log.cuts) == ("cdefg", 0)
    log.replace(4, "DE")
    assert ("".join(log), log.cuts) == ("cDEfg", 1)


def test_append_returns_the_index_and_an_empty_log_ends_before_it_begins() -> None:
    log: DurableLog[int] = DurableLog()
    assert (log.first, log.last) == (1, 0)
    assert (log.append(5), log.append(6)) == (1, 2)
    log.compact(10)
    assert (log.first, log.last, log.append(7)) == (11, 10, 11)


def test_a_log_can_be_extended_by_a_part_of_itself() -> None:
    log = DurableLog(1, [1, 2])
    log.extend(log)
    assert list(log) == [1, 2, 1, 2]


def test_copies_are_equal_and_share_nothing() -> None:
    log, table = DurableLog(3, [1]), DurableMap({1: 2})
    log_copy, table_copy = log.copy(), table.copy()
    assert (log_copy, table_copy) == (log, table)
    log_copy.append(5)
    table_copy[9] = 9
    assert (list(log), dict(table.items())) == ([1], {1: 2})
    assert log != log_copy and table != table_copy
    assert (repr(log), repr(table)) == ("DurableLog(3..3)", "DurableMap({1: 2})")
