"""Blocked time: the intervals that nodes declare, and the faults that were in force."""

from __future__ import annotations

from framework.core.effects import Note
from framework.engine.base import NodeCrash
from framework.engine.tally import Tally
from framework.faults.ledger import LedgerEntry
from framework.runs.blocking import Blocking, blocking

S = 1_000_000_000


def noted(tally: Tally, node: str, name: str, at: int, path: str = "", **fields: int) -> None:
    tally.note(node, Note(name, fields, path), at)


def test_the_same_fields_of_the_same_mount_name_the_same_interval() -> None:
    tally = Tally()
    noted(tally, "n1", "blocked", 1 * S, transaction=7)
    noted(tally, "n1", "blocked", 2 * S, transaction=7)  # it is blocked already
    noted(tally, "n1", "blocked", 2 * S, transaction=8)
    noted(tally, "n1", "blocked", 3 * S, path="shard", transaction=7)
    noted(tally, "n2", "unblocked", 4 * S, transaction=7)  # it was not
    noted(tally, "n1", "unblocked", 5 * S, transaction=7)
    tally.stopped("n1", 9 * S)
    found = [(each.path, dict(each.what), each.since // S, (each.until or 0) // S) for each in tally.blocked]
    assert found == [
        ("", {"transaction": 7}, 1, 5),
        ("", {"transaction": 8}, 2, 9),
        ("shard", {"transaction": 7}, 3, 9),
    ]
    assert tally.notes == {"blocked": 4, "unblocked": 2}


def test_time_counts_under_the_faults_that_were_in_force() -> None:
    tally = Tally()
    for node, since, until in (("n1", 1, 3), ("n1", 5, 6), ("n2", 5, 9), ("n3", 11, 12)):
        noted(tally, node, "blocked", since * S, number=since)
        noted(tally, node, "unblocked", until * S, number=since)
    ledger = [LedgerEntry("crash", spans=[[0, 2 * S], [8 * S, -1]]), LedgerEntry("partition", spans=[[6 * S, 7 * S]])]
    ledger[0].spans[1][1] = 10 * S
    assert blocking(tally.blocked, ledger, (), 20 * S) == Blocking(
        intervals=4, open=0, total_s=8.0, longest_s=4.0,
        by_cause={"crash": 2.0, "crash + partition": 4.0, "no fault": 1.0, "partition": 1.0},
        by_node={"n1": 3.0, "n2": 4.0, "n3": 1.0},
    )  # fmt: skip


def test_an_interval_that_nothing_ends_lasts_until_its_node_stops_or_the_run_does() -> None:
    tally = Tally()
    noted(tally, "n1", "blocked", 1 * S)
    noted(tally, "n2", "blocked", 1 * S)
    crashes = (NodeCrash("n1", 1 * S // 2, "early"), NodeCrash("n1", 4 * S, "killed"), NodeCrash("n1", 6 * S, "again"))
    found = blocking(tally.blocked, [], crashes, 10 * S)
    assert found is not None and (found.open, found.by_node) == (1, {"n1": 3.0, "n2": 9.0})
    assert blocking([], [], (), 10 * S) is None


def test_the_tallies_of_processes_add_up() -> None:
    one, other = Tally(), Tally()
    noted(one, "n1", "blocked", 1)
    noted(other, "n2", "blocked", 2)
    one.force("n1")
    other.force("n1")
    other.force("n2")
    whole = Tally.sum([one, other])
    assert [interval.node for interval in whole.blocked] == ["n1", "n2"]
    assert whole.forced_writes == {"n1": 2, "n2": 1}
