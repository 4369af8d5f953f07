"""One node's place in the simulation: its host, its clock, its disk, and what waits for it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from framework.core.clock import Clock
from framework.core.message import NodeId
from framework.core.node_runtime import Batch, NodeRuntime
from framework.core.storage import MemoryStorage, Storage
from framework.core.time import NEVER
from framework.network.model import Link

if TYPE_CHECKING:
    from framework.engine.base import EndpointSpec
    from framework.load.generator import Assignment

WALL_EPOCH = 1_577_836_800_000_000_000
"""Virtual wall clocks start at 2020-01-01T00:00:00Z."""

Envelope: TypeAlias = tuple[Any, "SimNode", str, int, int, int]
"""(message, sender, mount path, message index, seq of the send, size in bytes)"""


class SimNode:
    """Per-node simulator state. `__slots__`: this is the hot path."""

    __slots__ = (
        "busy",
        "client",
        "clock",
        "config",
        "durable",
        "flight",
        "id",
        "incarnation",
        "index",
        "landed",
        "links",
        "lost",
        "mailbox",
        "node_class",
        "on_crash",
        "open",
        "paused",
        "peers",
        "raised",
        "rng",
        "runtime",
        "slow",
        "slow_by_nature",
        "slower",
        "spare",
        "stands_by",
        "storage",
        "torn",
        "wake_at",
        "wake_order",
        "watch",
    )

    def __init__(self, index: int, node_id: NodeId, endpoint: EndpointSpec, config: Any) -> None:
        self.index = index  # of its name in the trace
        self.id = node_id
        self.node_class = node_class = endpoint.node_class
        self.config = config
        self.peers = endpoint.peers
        self.spare = endpoint.spare
        self.stands_by = endpoint.spare  # until it is booted for the first time
        self.rng = random.Random()
        self.runtime: NodeRuntime | None = None  # None: down
        self.incarnation = 0
        self.storage: Storage = MemoryStorage()
        self.durable = any(mounted._declared for mounted in (node_class, *node_class.mounts)) or bool(node_class.mounts)
        self.clock: Clock | None = None  # None: true time
        self.links: dict[NodeId, tuple[Link, SimNode]] = {}
        self.slow_by_nature = False  # whether steps or commits take time here
        self.slow = False  # ... or a fault makes it so
        self.slower = 0  # how much longer a commit takes, by a fault
        self.busy = False
        self.paused = False
        self.landed = False  # whether the flight came down while it was paused
        self.torn = False  # whether a crash left a commit half written that no restart has cut off
        self.lost = False  # whether its storage is damaged: no restart brings it back
        self.mailbox: list[Envelope] = []  # what arrived while it was busy
        self.flight: Batch | None = None  # the batch whose service or commit is under way
        self.wake_at = NEVER  # the deadline, on the node's clock, whose wake-up stands in the heap
        self.wake_order = -1
        self.raised = False  # whether it crashed by an exception of its own
        self.watch: Callable[[NodeRuntime, int, int], None] | None = None  # is shown the node after each batch
        self.on_crash: Callable[[], None] | None = None
        self.client = -1  # the client's number; -1: a server
        self.open: tuple[Assignment, int] | None = None  # the operation under way, and when it was invoked
