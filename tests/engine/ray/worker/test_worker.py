"""A worker without Ray: batches, commits and effects in their order, with a storage whose commits the test lands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

import pytest

from framework import (
    Client,
    Message,
    Node,
    NodeId,
    Ok,
    Operation,
    ProtocolSpec,
    Replica,
    Status,
    durable,
    handles,
    on_timer,
)
from framework.core.durable import Change, ScalarSet
from framework.core.replica import ReplicaState
from framework.core.storage import MemoryStorage, Storage
from framework.engine.base import Experiment
from framework.engine.ray.disk.database import Commit, encode_changes
from framework.engine.ray.transport.frames import HEADER, FrameError
from framework.engine.ray.worker.setup import Setup
from framework.engine.ray.worker.worker import Worker
from tests.engine.ray.register import register_run


class Add(Message):
    amount: int


class Sum(Message):
    total: int


class Hint(Message):
    amount: int


class Fault(Message):
    divisor: int


class Adder(Node):
    total: int = durable(0)

    def on_start(self) -> None:
        self.pending = 0

    @handles(Add)
    def on_add(self, sender: NodeId, add: Add) -> None:
        self.pending += add.amount
        self.send("n2", Hint(add.amount), before_commit=True)
        self.set_timer(self.settle, after=0)

    @on_timer
    def settle(self) -> None:
        self.total += self.pending
        self.pending = 0
        self.send("n2", Sum(self.total))

    @handles(Sum, Hint)
    def on_nothing(self, sender: NodeId, message: Message) -> None:
        pass

    @handles(Fault)
    def on_fault(self, sender: NodeId, fault: Fault) -> None:
        self.total += 1 // fault.divisor


class AdderClient(Client):
    def invoke(self, operation: Operation) -> None:
        self.complete(operation.id, Ok(None))


ADDER = ProtocolSpec(name="adder", summary="Adds.", node=Adder, client=AdderClient)


class Outbox:
    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self.waiting = False


class Wire:
    """A transport that keeps what left, by what `flush` had to do with it."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []
        self.sent: list[bytes] = []
        self.outbox = Outbox()
        self.resumed = 0
        self.tick_nodes = 256

    def peer(self, worker: int) -> Outbox:
        return self.outbox

    def flush(self) -> None:
        for outbox in self.waiting:
            outbox.waiting = False
            self.sent.append(b"".join(outbox.chunks))
            outbox.chunks.clear()
            outbox.size = 0
        self.waiting.clear()

    def resume(self) -> None:
        self.resumed += 1

    def close(self) -> None:
        """Nothing to close."""


class HeldCommits:
    """Commits that are in flight until the test lands them."""

    def __init__(self) -> None:
        self.flying: list[tuple[Commit, Callable[[str], None]]] = []
        self.storages: dict[NodeId, MemoryStorage] = {}
        self.undone: list[NodeId] = []

    def encode(self, node: NodeId, changes: Sequence[Change]) -> None:
        encode_changes(changes)

    def commit(self, commit: Commit, landed: Callable[[str], None]) -> None:
        self.flying.append((commit, landed))

    def storage(self, node: NodeId) -> Storage:
        return self.storages.setdefault(node, MemoryStorage())

    def undo(self, nodes: Container[NodeId]) -> None:
        self.undone = [node for node in self.storages if node in nodes]

    def land(self, why: str = "") -> None:
        commit, landed = self.flying.pop()
        for node, changes in commit if not why else ():
            self.storages.setdefault(node, MemoryStorage()).commit(changes)
        landed(why)

    def close(self) -> None:
        """Nothing to close."""


class Story:
    """A worker of one node, n1, of an experiment with two."""

    def __init__(self, folder: Path, endpoints: tuple[NodeId, ...] = ("n1",)) -> None:
        self.loop = asyncio.new_event_loop()
        experiment: Experiment = register_run(folder, nodes=2, clients=1, protocol=ADDER)
        setup = Setup(
            experiment=experiment, worker=0, incarnation=0, endpoints=endpoints, first_client=None,
            worker_of=(0, 1 if len(endpoints) == 1 else 0, 2), secret=b"", transport="mesh", storage="sqlite", folder=folder,
            history=folder / "history.arrow",
        )  # fmt: skip
        self.worker = Worker(setup, self.loop)
        self.wire, self.commits = Wire(), HeldCommits()
        self.worker.transport, self.worker.commits = self.wire, self.commits
        for hosted in self.worker.nodes.values():
            self.worker.boot(hosted, self.commits.storage(hosted.id))
        self.turn()

    def turn(self) -> None:
        """Lets the loop run until nothing is ready."""
        for _ in range(4):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def arrive(self, *messages: Message, target: int = 0) -> None:
        codes = self.worker.wire
        frames = b""
        for message in messages:
            payload = codes.encode(message)
            frames += (
                HEADER.pack(HEADER.size - 4 + len(payload), codes.index[type(message)], 1, target, 0, -1) + payload
            )
        assert self.worker.take(frames) == len(frames)

    def left(self) -> list[Message]:
        """What left since the last call, by write."""
        sent, self.wire.sent = self.wire.sent, []
        messages: list[Message] = []
        for data in sent:
            at = 0
            while at < len(data):
                length, index, *_ = HEADER.unpack_from(data, at)
                messages.append(self.worker.wire.decode[index](data[at + HEADER.size : at + 4 + length]))
                at += 4 + length
        return messages


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def test_all_that_waits_is_one_batch_and_one_commit(story: Story) -> None:
    story.arrive(Add(1), Add(2))
    story.arrive(Add(3))
    story.turn()
    assert [[("n1", list(changes)) for _, changes in commit] for commit, _ in story.commits.flying] == [
        [("n1", [ScalarSet("", "total", 6)])]
    ]


def test_nothing_but_what_promises_nothing_leaves_before_the_commit(story: Story) -> None:
    story.arrive(Add(5))
    story.turn()
    assert story.left() == [Hint(5)]
    story.commits.land()
    story.turn()
    assert story.left() == [Sum(5)]
    assert story.worker.tally.fsyncs == 1


def test_what_arrives_while_a_commit_is_in_flight_is_the_next_batch(story: Story) -> None:
    story.arrive(Add(1))
    story.turn()
    story.arrive(Add(10))
    story.arrive(Add(100))
    story.turn()
    assert story.left() == [Hint(1)], "the node takes no input while its commit is in flight"
    story.commits.land()
    story.turn()
    assert story.left() == [Sum(1), Hint(10), Hint(100)]
    story.commits.land()
    story.turn()
    assert story.left() == [Sum(111)]


def test_a_tick_takes_a_few_nodes_and_no_node_twice_before_all_have_had_their_turn(
    tmp_path: Path,
) -> None:
    story = Story(tmp_path, ("n1", "n2"))
    story.wire.tick_nodes = 1
    story.arrive(Add(1))
    story.arrive(Add(10), target=1)
    story.turn()
    owners = [[owner for owner, _ in commit] for commit, _ in story.commits.flying]
    story.arrive(Add(100))
    for _ in range(2):
        story.commits.land()
        story.turn()
        owners += [[owner for owner, _ in commit] for commit, _ in story.commits.flying]
    assert owners == [["n1"], ["n2"], ["n1"]]
    story.commits.land()
    story.turn()
    assert [story.worker.nodes[index].runtime.root.total for index in (0, 1)] == [101, 10]  # type: ignore[union-attr]


def test_one_write_for_all_that_leaves_for_a_peer(story: Story) -> None:
    story.arrive(Add(1), Add(2), Add(3))
    story.turn()
    assert len(story.wire.sent) == 1
    assert story.left() == [Hint(1), Hint(2), Hint(3)]


def test_an_exception_loses_the_whole_batch_and_the_node_stays_down(story: Story) -> None:
    story.arrive(Add(1), Fault(0))
    story.turn()
    assert story.left() == [] and story.commits.flying == []
    (crash,) = story.worker.crashes
    assert crash.why == "ZeroDivisionError: integer division or modulo by zero"
    assert "on_fault" in crash.traceback
    story.arrive(Add(2))
    story.turn()
    assert story.left() == []
    assert story.worker.statuses() == {}, "a node that raised is no candidate for faults"
    assert story.worker.tally.dropped == {"adder.Add": 1}


def test_a_value_that_cannot_be_stored_is_an_exception_of_its_node_alone(tmp_path: Path) -> None:
    story = Story(tmp_path, endpoints=("n1", "n2"))
    story.arrive(Add(1 << 62), *[Add(1 << 62)] * 8, target=0)
    story.arrive(Add(2), target=1)
    story.turn()
    ((commit, _),) = story.commits.flying
    assert [node for node, _ in commit] == ["n2"]
    (crash,) = story.worker.crashes
    assert crash.node == "n1" and crash.why.startswith("OverflowError: ")
    story.commits.land()
    story.turn()
    assert story.worker.statuses() == {"n2": Status()}
    story.arrive(Add(3), target=1)
    story.turn()
    assert len(story.commits.flying) == 1, "the worker goes on"


def test_a_commit_that_fails_crashes_the_node_and_is_never_tried_again(story: Story) -> None:
    story.arrive(Add(1))
    story.turn()
    story.commits.land("disk full")
    story.turn()
    assert story.left() == [Hint(1)]
    assert [crash.why for crash in story.worker.crashes] == ["storage failed: disk full"]
    assert story.commits.flying == []


def test_a_commit_that_fails_leaves_the_others_of_the_station_at_work(tmp_path: Path) -> None:
    story = Story(tmp_path, endpoints=("n1", "n2"))
    story.arrive(Add(1), target=0)
    story.turn()
    story.worker.crash("n2", "fault")
    story.worker.restart("n2")
    story.commits.land("disk full")
    story.turn()
    assert story.worker.statuses() == {"n1": None, "n2": Status()}, (
        "the restart that waited for the commit is carried out"
    )
    story.worker.restart("n1")
    story.arrive(Add(1), target=0)
    story.turn()
    story.arrive(Add(5), target=1)
    story.commits.land("disk full")
    story.turn()
    ((commit, _),) = story.commits.flying
    assert [node for node, _ in commit] == ["n2"], "what n2 received in the meantime does not wait for more"


def test_a_crash_while_a_commit_is_in_flight_keeps_it_and_lets_none_of_its_effects_leave(story: Story) -> None:
    story.arrive(Add(1))
    story.turn()
    story.left()
    story.worker.crash("n1", "fault")
    story.worker.restart("n1")
    assert story.worker.statuses() == {"n1": None}, "the restart waits for the commit: it must know what it promised"
    story.commits.land()
    story.turn()
    assert story.left() == []
    story.arrive(Add(10))
    story.turn()
    story.commits.land()
    story.turn()
    assert story.left() == [Hint(10), Sum(11)]


def test_packed_nodes_share_a_commit_and_a_crash_of_one_spares_the_other(tmp_path: Path) -> None:
    story = Story(tmp_path, endpoints=("n1", "n2"))
    story.arrive(Add(1), target=0)
    story.arrive(Add(2), target=1)
    story.turn()
    ((commit, _),) = story.commits.flying
    assert [node for node, _ in commit] == ["n1", "n2"]
    story.worker.crash("n2", "fault")
    story.commits.land()
    story.turn()
    assert story.worker.statuses() == {"n1": Status(), "n2": None}
    assert story.worker.tally.dropped["adder.Sum"] == 1, "what n1 sends after the commit finds n2 down"


class Copying(Adder):
    @property
    def replica(self) -> Replica | None:
        return Replica(100 // self.total, lambda: b"copy")


def test_replicas_stand_where_they_say_unless_they_are_down_and_one_that_raises_is_a_crash(tmp_path: Path) -> None:
    story = Story(tmp_path, endpoints=("n1", "n2"))
    worker = story.worker
    for hosted in worker.nodes.values():
        hosted.node_class = Copying
        worker.crash(hosted.id, "fault")
    worker.restart("n1")
    story.arrive(Add(4), target=0)
    story.turn()
    story.commits.land()
    whole = worker.replica_states(whole=True)["n1"]
    assert whole is not None and (whole[""].applied, whole[""].state) == (25, b"copy") and whole[""].digest
    assert worker.replica_states(whole=False) == {"n1": {"": ReplicaState(25)}, "n2": None}, "n2 may come back"
    worker.restart("n2")
    story.turn()
    assert worker.replica_states(whole=False) == {"n1": {"": ReplicaState(25)}}, (
        "n2's total is 0, and nothing brings it back"
    )
    assert worker.crashes[-1].why.startswith("ZeroDivisionError")


def frame(index: int, source: int, target: int, payload: bytes, path_length: int = 0) -> bytes:
    return HEADER.pack(HEADER.size - 4 + len(payload), index, source, target, path_length, -1) + payload


@pytest.mark.parametrize(
    "data",
    [
        frame(77, 1, 0, b"\x91\x01"),
        frame(0, 1, 5, b"\x91\x01"),
        frame(0, 9, 0, b"\x91\x01"),
        frame(0, 1, 0, b"\x91\xa1x"),
        frame(0, 1, 0, b"\xc1"),
        frame(0, 1, 0, b""),
        frame(0, 1, 0, b"\xff\xff\x91\x01", path_length=2),
    ],
    ids=["no such message", "no such receiver", "no such sender", "wrong type", "not msgpack", "empty", "bad path"],
)
def test_what_is_not_of_this_run_is_no_frame(story: Story, data: bytes) -> None:
    with pytest.raises(FrameError):
        story.worker.take(data)


def test_a_message_that_does_not_fit_is_told_by_its_sender_and_its_field(story: Story) -> None:
    with pytest.raises(
        FrameError, match=r"^n2 sent a message Add whose field amount does not fit: expected int, got str$"
    ):
        story.worker.take(frame(0, 1, 0, b"\x91\xa1x"))


def test_a_message_that_does_not_fit_crashes_its_sender(story: Story) -> None:
    hosted = story.worker.nodes[0]
    assert hosted.runtime is not None
    hosted.runtime.root.send("n2", Hint(1.5))  # type: ignore[arg-type]
    story.worker.wake(hosted)
    story.turn()
    (crash,) = story.worker.crashes
    assert crash.why.startswith("PluginError: Adder: sends a message Hint whose field amount does not fit")


def test_frames_are_taken_whole_and_the_rest_waits(story: Story) -> None:
    payload = story.worker.wire.encode(Add(1))
    whole = frame(story.worker.wire.index[Add], 1, 0, payload)
    for cut in range(len(whole)):
        assert story.worker.take(whole + whole[:cut]) == len(whole)


def test_a_full_queue_drops_and_says_so(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framework.engine.ray.worker.outgoing.QUEUE_BYTES", 60)
    story.arrive(*(Add(number) for number in range(10)))
    story.turn()
    assert story.worker.tally.dropped["adder.Hint"] == 8
    assert len(story.left()) == 2


def test_a_message_to_nobody_crashes_its_sender_with_a_clear_reason(tmp_path: Path) -> None:
    class Lost(Adder):
        @handles(Add)
        def on_add(self, sender: NodeId, add: Add) -> None:
            self.send("n9", Sum(1))

    story = Story(tmp_path)
    hosted = story.worker.nodes[0]
    hosted.node_class = Lost
    story.worker.crash("n1", "fault")
    story.worker.restart("n1")
    story.turn()
    story.arrive(Add(1))
    story.turn()
    assert "sends to 'n9', which is not a node of this run" in story.worker.crashes[-1].why


def test_a_flooded_station_says_so_until_its_nodes_have_caught_up(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framework.engine.ray.worker.worker.INBOX_BYTES", 100)
    story.arrive(Add(1))
    story.turn()
    assert not story.worker.flooded
    story.arrive(*(Add(number) for number in range(10)))
    assert story.worker.flooded, "a commit is in flight, and nothing is taken from the inbox"
    story.commits.land()
    story.turn()
    assert not story.worker.flooded and story.wire.resumed == 1
