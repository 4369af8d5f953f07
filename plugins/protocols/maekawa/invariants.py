"""Invariants of Maekawa's algorithm, besides those of all mutual exclusion (`framework.locking.invariants`).

| property | definition | source |
| --- | --- | --- |
| one permission | at most one node has the permission of an arbiter | Maekawa, section 3 |
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from framework import LOCK_INVARIANTS, Invariant, Node, OneHolder
from plugins.protocols.maekawa.node import Maekawa


class OnePermission(OneHolder):
    """Checks one permission."""

    name = "one permission"
    holds = "have the permission of"

    def held(self, node: Node) -> Collection[str] | None:
        if not isinstance(node, Maekawa):
            return None
        return [f"{arbiter} for {key}" for key, candidacy in node.candidacies.items() for arbiter in candidacy.locked]


INVARIANTS: tuple[type[Invariant[Any]], ...] = (*LOCK_INVARIANTS, OnePermission)
