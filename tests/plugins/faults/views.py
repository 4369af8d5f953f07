"""Systems as faults see them: five servers and two clients, up and well unless a test says otherwise."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping

from framework import ClusterView, Status

NODES = ("n1", "n2", "n3", "n4", "n5")
CLIENTS = ("c1", "c2")


def view(
    *, roles: Mapping[str, str] | None = None, down: tuple[str, ...] = (), stopped: tuple[str, ...] = (),
    lost: tuple[str, ...] = (), now: int = 0, seed: int = 1,
) -> ClusterView:  # fmt: skip
    """The servers' roles are `follower` unless `roles` says otherwise."""
    known = {node: Status(((roles or {}).get(node, "follower"),)) for node in NODES}
    statuses = {node: None if node in (*down, *lost) else status for node, status in known.items()}
    return ClusterView(
        now, statuses, CLIENTS, random.Random(seed), itertools.count(1).__next__, frozenset(stopped), frozenset(lost),
        others=dict.fromkeys(CLIENTS, Status()),
    )  # fmt: skip
