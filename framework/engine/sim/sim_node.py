"""A node in the simulator: its disk, its links, and its waiting inputs."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeAlias

from framework.core.address import Address
from framework.core.message import NodeId
from framework.core.node_runtime import Batch, NodeRuntime
from framework.core.storage import MemoryStorage, Storage
from framework.core.time import NEVER
from framework.engine.base import EndpointSpec
from framework.engine.shared.node_life import PAUSES, HostedNode, NodeState
from framework.faults.disk_faults import FaultyStorage
from framework.network.model import Link

Envelope: TypeAlias = tuple[Any, "SimNode", str, int, int, int]
"""(message, sender, route, message index, seq of the send, size in bytes)"""

Way: TypeAlias = tuple[Link, "SimNode", str | None]
"""The way to an address: (link, receiver, mount path of the receiver). None: the sender's own mount path."""

_BUSY = (*PAUSES, NodeState.COMMITTING)


class SimNode(HostedNode):
    """Per-node simulator state. `__slots__`: this is the hot path."""

    __slots__ = (
        "commits",
        "disk_delay",
        "has_delays",
        "in_flight",
        "links",
        "mailbox",
        "on_crash",
        "rng",
        "storage",
        "torn",
        "waits",
        "wake_at",
        "wake_order",
        "watch",
    )  # fmt: skip

    def __init__(
        self, index: int, node_id: NodeId, endpoint: EndpointSpec, rng: random.Random, *, has_delays: bool
    ) -> None:
        super().__init__(index, node_id, endpoint)
        self.rng = rng
        self.storage: Storage = MemoryStorage()
        self.links: dict[Address, Way] = {}
        self.has_delays = has_delays  # whether its steps or commits take time according to the config
        self.waits = has_delays  # whether inputs wait for the batch under way: by the config or a fault
        self.disk_delay = 0  # additional time of a commit, caused by a fault
        self.commits = 0  # through all incarnations
        self.torn = False  # whether a crash left a half-written commit that no restart has cut off yet
        self.mailbox: list[Envelope] = []  # messages for the next batch
        self.in_flight: Batch | None = None  # the batch whose service or commit is under way
        self.wake_at = NEVER  # the deadline of the wake-up in the heap, on the node's clock
        self.wake_order = -1
        self.watch: Callable[[NodeRuntime, int, int], None] | None = None  # called after each batch
        self.on_crash: Callable[[], None] | None = None

    @property
    def is_paused(self) -> bool:
        return self.state in PAUSES

    @property
    def is_damaged(self) -> bool:
        """True if the node's next restart will find damaged storage."""
        return isinstance(self.storage, FaultyStorage) and self.storage.trouble == "damage"

    def reset(self) -> None:
        """Begins an incarnation: nothing waits, nothing is under way."""
        self.in_flight, self.mailbox = None, []
        self.wake_at, self.wake_order = NEVER, -1

    def update_waits(self) -> None:
        """Recomputes `waits`; called after a change of anything that it depends on."""
        self.waits = self.has_delays or self.disk_delay > 0 or self.state in _BUSY
