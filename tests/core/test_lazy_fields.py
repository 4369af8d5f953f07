"""Lazy durable fields: they ride with forced commits, cause none, and may be lost in a crash, but nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.durable import DurableLog, DurableMap, durable, durable_log, durable_map
from framework.core.message import Message, NodeId
from framework.core.node import Node, handles
from framework.core.storage import MemoryStorage, Storage
from tests.core.bench import Bench, MsgpackStorage, Sent


class Change(Message):
    field: str
    value: int


class Ledger(Node):
    """Each kind of field, forced and lazy."""

    scalar: int = durable(0)
    log: DurableLog[int] = durable_log(int)
    table: DurableMap[int, int] = durable_map(int, int)
    lazy_scalar: int = durable(0, lazy=True)
    lazy_log: DurableLog[int] = durable_log(int, lazy=True)
    lazy_table: DurableMap[int, int] = durable_map(int, int, lazy=True)

    @handles(Change)
    def on_change(self, sender: NodeId, change: Change) -> None:
        value = change.value
        if change.field in ("scalar", "lazy_scalar"):
            setattr(self, change.field, value)
        elif change.field in ("log", "lazy_log"):
            log: DurableLog[int] = getattr(self, change.field)
            if value % 5 == 0 and log.last >= log.first:
                log.truncate(log.last)
            else:
                log.append(value)
        else:
            table: DurableMap[int, int] = getattr(self, change.field)
            if value % 3 == 0 and value // 3 in table:
                del table[value // 3]
            else:
                table[value % 7] = value
        self.send(sender, change)


FIELDS = ("scalar", "log", "table", "lazy_scalar", "lazy_log", "lazy_table")
CHANGES = st.lists(st.tuples(st.sampled_from(FIELDS), st.integers(0, 30)), max_size=25)
STORAGES = pytest.mark.parametrize("storage", [MemoryStorage, MsgpackStorage])


def values(node: Any) -> dict[str, Any]:
    return dict(node._durable_values())


@STORAGES
@given(changes=CHANGES)
def test_a_crash_after_any_step_loses_lazy_changes_since_the_last_forced_one_and_nothing_else(
    storage: type[Storage], changes: list[tuple[str, int]]
) -> None:
    bench = Bench(Ledger, storage=storage())
    before, pending = values(bench.node), False
    kept = before
    for field, value in changes:
        assert bench.deliver(("n2", Change(field, value)))[-1:] == [Sent("n2", Change(field, value))], "nothing waits"
        now = values(bench.node)
        is_forced = field in ("log", "table") or (field == "scalar" and now != before)
        assert bool(bench.last.changes) == is_forced, "a lazy change causes no commit"
        if is_forced:
            kept, pending = now, False
        elif field.startswith("lazy") and now != before:
            pending = True
        before = now
        twin = Bench(Ledger, storage=bench.storage)  # what a crash now would leave
        assert values(twin.node) == kept
        assert pending or kept == now


def test_a_lazy_change_alone_delays_nothing_and_leaves_with_the_next_forced_one() -> None:
    bench = Bench(Ledger)
    for value in (1, 2, 4):
        bench.deliver(("n2", Change("lazy_log", value)))
    bench.deliver(("n2", Change("lazy_scalar", 9)))
    assert bench.commits == []
    bench.deliver(("n2", Change("scalar", 1)))
    (commit,) = bench.commits
    assert {change.field for change in commit if hasattr(change, "field")} == {"scalar", "lazy_log", "lazy_scalar"}
    assert values(Bench(Ledger, storage=bench.storage).node)["lazy_log"] == (1, [1, 2, 4])


class Shelf(Node):
    mounts = (Ledger,)
    opened: int = durable(0)

    def on_start(self) -> None:
        self.ledger = self.mount("ledger", Ledger, None, ())


@STORAGES
def test_what_a_mount_had_changed_lazily_survives_its_end_and_goes_with_the_next_commit(storage: type[Storage]) -> None:
    bench = Bench(Shelf, storage=storage())
    bench.deliver(("n2", Change("lazy_scalar", 5), "ledger"))
    bench.node.unmount("ledger")
    bench.finish()
    assert bench.commits == []
    bench.node.ledger = bench.node.mount("ledger", Ledger, None, ())
    assert bench.node.ledger.lazy_scalar == 5
    bench.node.opened = 1
    bench.finish()
    assert Bench(Shelf, storage=bench.storage).node.ledger.lazy_scalar == 5
    bench.deliver(("n2", Change("lazy_scalar", 6), "ledger"))
    bench.node.unmount("ledger", destroy=True)
    bench.finish()
    assert Bench(Shelf, storage=bench.storage).node.ledger.lazy_scalar == 0


class Careless(Ledger):
    """Its lazy field counts as durable: what it promised is gone after a crash."""

    @handles(Change)
    def on_change(self, sender: NodeId, change: Change) -> None:
        self.lazy_scalar = change.value
        self.send(sender, change)


def test_a_promise_that_rests_on_a_lazy_field_is_lost() -> None:
    bench = Bench(Careless)
    assert bench.deliver(("n2", Change("scalar", 3))) == [Sent("n2", Change("scalar", 3))]
    assert Bench(Careless, storage=bench.storage).node.lazy_scalar == 0


def test_a_mount_that_has_ended_changes_nothing_more_even_if_its_parent_still_holds_it() -> None:
    bench = Bench(Shelf)
    old = bench.node.ledger
    bench.node.unmount("ledger")
    bench.node.ledger = bench.node.mount("ledger", Ledger, None, ())
    bench.node.ledger.scalar, bench.node.ledger.lazy_scalar = 7, 8
    old.scalar, old.lazy_scalar = 1, 2
    old.log.append(3)
    bench.finish()
    kept = values(Bench(Shelf, storage=bench.storage).node.ledger)
    assert (kept["scalar"], kept["lazy_scalar"], kept["log"]) == (7, 8, (1, []))


def test_a_lazy_change_after_the_end_of_a_mount_is_not_swept_away_by_it() -> None:
    bench = Bench(Shelf)
    bench.deliver(("n2", Change("lazy_log", 1), "ledger"))
    bench.node.unmount("ledger", destroy=True)
    bench.node.ledger = bench.node.mount("ledger", Ledger, None, ())
    bench.node.ledger.lazy_log.append(2)
    bench.node.unmount("ledger")
    bench.finish()
    bench.node.ledger = bench.node.mount("ledger", Ledger, None, ())
    bench.node.ledger.lazy_log.append(4)
    bench.node.opened = 1
    bench.finish()
    assert values(Bench(Shelf, storage=bench.storage).node.ledger)["lazy_log"] == (1, [2, 4])
