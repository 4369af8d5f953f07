"""One node's place in the simulation: its host, its clock, its disk, and what waits for it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, TypeAlias

from framework.core.host import Effect, Host
from framework.core.message import NodeId
from framework.core.network import Link
from framework.core.node import Node
from framework.core.storage import MemoryStorage
from framework.core.time import NEVER

if TYPE_CHECKING:
    from framework.core.workload import Assignment

WALL_EPOCH = 1_577_836_800_000_000_000
"""Virtual wall clocks start at 2020-01-01T00:00:00Z."""

_PPM = 1_000_000

Envelope: TypeAlias = tuple[Any, "Seat", str, int, int, int]
"""(message, sender, mount path, message index, seq of the send, size in bytes)"""


class Clock:
    """A node's clocks as functions of true time: `now` drifts, `wall` drifts and stands off."""

    __slots__ = ("drift_ppm", "offset")

    def __init__(self, drift_ppm: int = 0, offset: int = 0) -> None:
        self.drift_ppm, self.offset = drift_ppm, offset

    def local(self, true: int) -> int:
        return true + true * self.drift_ppm // _PPM

    def true(self, local: int) -> int:
        """The earliest true time at which the local clock shows `local` or more."""
        guess = local * _PPM // (_PPM + self.drift_ppm)
        while self.local(guess) < local:
            guess += 1
        return guess


class Seat:
    """Slots, because the loop touches them a million times a second."""

    __slots__ = (
        "busy",
        "class_",
        "client",
        "clock",
        "config",
        "durable",
        "flight",
        "host",
        "id",
        "incarnation",
        "index",
        "links",
        "mailbox",
        "open",
        "peers",
        "raised",
        "rng",
        "slow",
        "storage",
        "wake_at",
        "wake_order",
    )

    def __init__(self, index: int, node_id: NodeId, class_: type[Node], config: Any, peers: tuple[NodeId, ...]) -> None:
        self.index = index  # of its name in the trace
        self.id = node_id
        self.class_ = class_
        self.config = config
        self.peers = peers
        self.rng = random.Random()
        self.host: Host | None = None  # None: down
        self.incarnation = 0
        self.storage = MemoryStorage()
        self.durable = any(mounted._declared for mounted in (class_, *class_.mounts)) or bool(class_.mounts)
        self.clock: Clock | None = None  # None: true time
        self.links: dict[NodeId, tuple[Link, Seat]] = {}
        self.slow = False  # whether steps or commits take time here
        self.busy = False
        self.mailbox: list[Envelope] = []  # what arrived while it was busy
        self.flight: Flight | None = None  # the batch whose service or commit is under way
        self.wake_at = NEVER  # the deadline, on the node's clock, whose wake-up stands in the heap
        self.wake_order = -1
        self.raised = False  # whether it crashed by an exception of its own
        self.client = -1  # the client's number; -1: a server
        self.open: tuple[Assignment, int] | None = None  # the operation under way, and when it was invoked


class Flight:
    """A batch on its way to durability: its changes, and the effects that leave when they are safe."""

    __slots__ = ("changes", "effects", "marks", "stored")

    def __init__(self, changes: list[Any], effects: list[Effect], marks: list[tuple[int, int]]) -> None:
        self.changes, self.effects, self.marks = changes, effects, marks
        self.stored = False
