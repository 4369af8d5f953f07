"""What faults do within a worker, without Ray: faults on its links, its nodes' clocks, their disks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from framework import ImpairLinks, Impairment, Message, PluginError, RestoreLinks, SetClock, SetDisk, Status
from framework.core.time import SECOND
from framework.engine.base import NodeCrash
from framework.engine.ray.disk.database import StorageError
from framework.engine.ray.driver.faults_in_force import FaultsInForce, leaving
from framework.engine.ray.worker.local_faults import clock_after
from framework.faults.actions import Action, Crash, Restart
from framework.faults.commit_fate import CommitFate
from tests.engine.ray.worker.test_worker import Add, Hint, Story, Sum

MS = 1_000_000
BOUND_S = 10.0


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def befalls(story: Story, action: Action) -> None:
    story.worker.faults.apply(action, -1)
    story.turn()


def until(story: Story, condition: Callable[[], bool]) -> None:
    """Lets the loop run until it is so."""
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline
        story.turn()


def arrives(story: Story, count: int) -> list[Message]:
    """The next messages that leave."""
    left: list[Message] = []

    def enough() -> bool:
        left.extend(story.left())
        return len(left) >= count

    until(story, enough)
    return left


def test_an_fsync_that_fails_is_a_crash_and_the_next_one_works(story: Story) -> None:
    fallen: list[NodeCrash] = []
    story.worker.on_storage_failed = fallen.append
    befalls(story, SetDisk("n1", "failed_fsync"))
    story.arrive(Add(1))
    story.turn()
    assert story.commits.flying == [] and story.left() == [Hint(1)]
    (crash,) = story.worker.crashes
    assert crash.why == "fsync failed: the commit may be lost, and is not tried again"
    assert crash.asked, "it is a fault's doing"
    assert fallen == [crash], "whoever may restart it is told"
    story.worker.restart("n1")
    story.arrive(Add(10))
    story.turn()
    story.commits.land()
    story.turn()
    assert story.left() == [Hint(10), Sum(10)], "what the failed fsync should have kept is gone"
    assert story.worker.faults.met == {"n1": 1}


def test_a_crash_of_a_node_that_has_fallen_already_is_no_second_one(story: Story) -> None:
    befalls(story, SetDisk("n1", "full"))
    story.arrive(Add(1))
    story.turn()
    befalls(story, Crash("n1"))
    assert [crash.why for crash in story.worker.crashes] == ["no space left on the disk"]
    assert story.worker.node("n1").turns == 1, "it was told, and what it shows has it behind it"


@pytest.mark.parametrize("fate", ["kept", "lost", "torn"])
def test_a_crash_among_others_leaves_the_commit_in_flight_as_its_fate_says(tmp_path: Path, fate: CommitFate) -> None:
    story = Story(tmp_path, endpoints=("n1", "n2"))
    story.arrive(Add(1), target=0)
    story.arrive(Add(2), target=1)
    story.turn()
    told = "lost" if fate == "torn" else fate  # beside those of its neighbours nothing of it can be left
    assert story.worker.faults.apply(Crash("n2"), -1, fate) == told
    story.worker.faults.apply(Restart("n2"), -1)
    story.commits.land()
    assert story.commits.undone == ([] if fate == "kept" else ["n2"]), "before the next commit, and before its restart"
    assert story.worker.statuses() == {"n1": Status(), "n2": Status()}
    assert story.worker.faults.apply(Crash("n2"), -1, fate) is None, "nothing of it is in flight now"


def test_a_disk_that_fails_by_itself_while_a_fault_is_yet_to_show_is_no_faults_doing(story: Story) -> None:
    story.arrive(Add(1))
    story.turn()
    befalls(story, SetDisk("n1", "failed_fsync"))
    story.commits.land("disk I/O error")
    (crash,) = story.worker.crashes
    assert (crash.why, crash.storage, crash.asked) == ("storage failed: disk I/O error", True, False)
    assert story.worker.faults.met == {}


def test_storage_that_a_restart_cannot_read_is_a_crash_and_no_faults_doing(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(node: str) -> None:
        raise StorageError("n1.db: commit 2 is damaged: its CRC does not fit")

    monkeypatch.setattr(story.commits, "storage", broken)
    befalls(story, Crash("n1"))
    befalls(story, Restart("n1"))
    crash = story.worker.crashes[-1]
    assert crash.why == "storage damaged: n1.db: commit 2 is damaged: its CRC does not fit"
    assert (crash.storage, crash.asked) == (True, False)
    assert story.worker.statuses() == {}, "no restart brings it back"


def test_a_full_disk_takes_nothing_until_it_is_mended(story: Story) -> None:
    befalls(story, SetDisk("n1", "full"))
    for _ in range(2):
        story.arrive(Add(1))
        story.turn()
        story.worker.restart("n1")
        story.turn()
    assert [crash.why for crash in story.worker.crashes] == ["no space left on the disk"] * 2
    befalls(story, SetDisk("n1", "none"))
    story.arrive(Add(1))
    story.turn()
    assert len(story.commits.flying) == 1


def test_a_node_whose_disk_is_full_does_not_keep_its_neighbour_from_committing(tmp_path: Path) -> None:
    story = Story(tmp_path, endpoints=("n1", "n2"))
    befalls(story, SetDisk("n2", "full"))
    story.arrive(Add(1), target=0)
    story.arrive(Add(2), target=1)
    story.turn()
    ((commit, _),) = story.commits.flying
    assert [node for node, _ in commit] == ["n1"]
    assert story.worker.statuses() == {"n1": Status(), "n2": None}


def test_a_node_that_fails_before_its_commit_meets_no_disk(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PluginError("Adder", "sends to 'n9', which is not a node of this run")

    befalls(story, SetDisk("n1", "full"))
    monkeypatch.setattr(story.worker.outgoing, "send", refuse)
    story.arrive(Add(1))
    story.turn()
    (crash,) = story.worker.crashes
    assert crash.why.startswith("PluginError") and not crash.storage
    assert story.worker.faults.met == {} and story.commits.flying == []


def test_a_slow_disk_holds_the_commit_back_and_counts_it(story: Story) -> None:
    befalls(story, SetDisk("n1", "slow", 30 * MS))
    story.arrive(Add(1))
    began = time.monotonic()
    story.turn()
    assert story.commits.flying == []
    until(story, lambda: bool(story.commits.flying))
    assert time.monotonic() - began >= 0.029
    assert story.left() == [Hint(1)], "nothing is promised meanwhile"
    assert story.worker.faults.met == {"n1": 1}


def test_damaged_storage_is_never_served_again(story: Story) -> None:
    befalls(story, Crash("n1"))
    befalls(story, SetDisk("n1", "damage"))
    befalls(story, SetDisk("n1", "none"))
    story.worker.restart("n1")
    story.turn()
    assert story.worker.crashes[-1].why == "storage damaged: an acknowledged record does not fit its checksum"
    assert story.worker.statuses() == {}, "no restart brings it back"
    assert [crash.asked for crash in story.worker.crashes] == [True, True]


def test_a_clock_that_runs_fast_shows_in_both_clocks_and_in_the_timers(story: Story) -> None:
    worker = story.worker
    worker.zero, worker.epoch = time.monotonic_ns(), 1000 * SECOND
    hosted = worker.nodes[0]
    host = hosted.runtime
    assert host is not None
    befalls(story, SetClock("n1", 500_000, 7 * SECOND))
    at = worker.now()
    hosted.set_clocks(host, at + SECOND, worker.epoch)
    assert host.now - at >= 1_500 * MS - MS
    assert host.wall_clock - host.now == 1007 * SECOND
    host.wake = host.now + 300 * MS
    worker.queue(hosted, host)
    assert abs(hosted.queued - (at + SECOND + 200 * MS)) < 10, "by its fast clock 300 ms are over in 200"


def test_clocks_of_a_new_incarnation_go_on_where_they_were_set() -> None:
    conditions = FaultsInForce()
    conditions.note(SetClock("n1", 100_000, SECOND), 1 * SECOND)
    conditions.note(SetClock("n1", 0, -SECOND // 2), 3 * SECOND)
    clock = clock_after(conditions.clocks(("n1",))["n1"])
    assert clock.local(5 * SECOND) == 5_200 * MS
    assert clock.wall_offset == SECOND // 2


def test_nothing_gets_through_a_cut_and_the_toll_is_counted(story: Story) -> None:
    befalls(story, ImpairLinks(7, (("n1", "n2"),), Impairment(cut=True)))
    story.arrive(Add(1), Add(2))
    story.turn()
    assert story.left() == []
    assert story.worker.tally.dropped == {"adder.Hint": 2}
    assert story.worker.faults.touched_counts() == {7: (2, 2)}
    befalls(story, RestoreLinks(7))
    story.commits.land()
    story.turn()
    assert story.left() == [Sum(3)]


def test_what_is_sent_after_a_delay_ends_does_not_overtake_what_it_held_up(story: Story) -> None:
    befalls(story, ImpairLinks(7, (("n1", "n2"),), Impairment(delay=30 * MS)))
    story.arrive(Add(1))
    story.turn()
    befalls(story, RestoreLinks(7))
    story.commits.land()
    story.turn()
    assert story.left() == []
    assert arrives(story, 2) == [Hint(1), Sum(1)]


def test_a_message_that_comes_twice_is_counted_once_more(story: Story) -> None:
    befalls(story, ImpairLinks(7, (("n1", "n2"),), Impairment(duplicate=1.0, spread=MS)))
    story.arrive(Add(1))
    assert arrives(story, 2) == [Hint(1), Hint(1)]
    assert story.worker.tally.duplicated == {"adder.Hint": 1}


def test_a_station_is_told_of_the_links_out_of_it_and_of_what_is_still_in_force() -> None:
    cut = ImpairLinks(1, (("n1", "n2"), ("n2", "n1")), Impairment(cut=True))
    assert leaving(cut, ("n1",)) == ImpairLinks(1, (("n1", "n2"),), Impairment(cut=True))
    assert leaving(cut, ("n3",)) is None
    conditions = FaultsInForce()
    slow = SetDisk("n1", "slow", 5 * MS)
    for action in (
        cut,
        ImpairLinks(2, cut.links, Impairment(loss=0.5)),
        RestoreLinks(2),
        slow,
        SetDisk("n2", "failed_fsync"),
    ):
        conditions.note(action, 0)
    assert conditions.faults(("n1",)) == (leaving(cut, ("n1",)), slow)
    assert len(conditions.faults(("n2",))) == 2
    conditions.on_storage_failed("n2")
    assert len(conditions.faults(("n2",))) == 1, "an fsync fails once"
    conditions.note(SetDisk("n1", "damage"), 0)
    conditions.note(SetDisk("n1", "none"), 0)
    assert conditions.damaged(("n1", "n2")) and not conditions.damaged(("n2",)), "nothing mends what is damaged"


def test_a_station_that_boots_is_told_of_the_links_of_a_node_that_joined_meanwhile_too() -> None:
    conditions = FaultsInForce()
    conditions.note(ImpairLinks(1, (("n1", "n2"),), Impairment(cut=True)), 0)
    conditions.note(ImpairLinks(1, (("n1", "n4"), ("n4", "n1")), Impairment(cut=True)), 1)
    assert conditions.faults(("n1",)) == (ImpairLinks(1, (("n1", "n2"), ("n1", "n4")), Impairment(cut=True)),)
    assert conditions.faults(("n4",)) == (ImpairLinks(1, (("n4", "n1"),), Impairment(cut=True)),)
    conditions.note(RestoreLinks(1), 2)
    assert conditions.faults(("n1", "n4")) == ()
