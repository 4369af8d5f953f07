"""Invariants of the token ring.

| property | definition | source |
| --- | --- | --- |
| one token | at most one node has a token of a lock in one epoch | Le Lann |
| vow kept | the vows of a node never fall, and it has no token of an earlier epoch, restarts included | |
| mutual exclusion, grant order | as in `framework.locking.invariants`; not with `crashed_after`, which is unsafe | |
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from framework import (
    NO_BALLOT,
    Ballot,
    Grant,
    GrantOrder,
    Invariant,
    MutualExclusion,
    Node,
    NodeId,
    OneHolder,
    Step,
    Violation,
    WrittenKeys,
)
from plugins.protocols.token_ring.node import TokenRing


def is_safe(node: Node) -> bool:
    """Returns whether `node` is one of a ring that promises mutual exclusion."""
    return isinstance(node, TokenRing) and not node.config.crashed_after


class OneToken(OneHolder):
    """Checks one token."""

    name = "one token"
    holds = "have the token of"

    def held(self, node: Node) -> Collection[str] | None:
        if not isinstance(node, TokenRing):
            return None
        return [f"{key} in epoch {token.epoch}" for key, token in node.tokens.items()]


class VowKept(Invariant[TokenRing]):
    """Checks vow kept."""

    def __init__(self) -> None:
        self.written = WrittenKeys()
        self.vows: dict[tuple[NodeId, str], Ballot] = {}

    def observe(self, step: Step, node: TokenRing) -> None:
        for key in self.written.since(step, node.vows):
            before, vow = self.vows.get((step.node, key), NO_BALLOT), node.vows[key]
            if vow < before:
                raise Violation("vow kept", (step.node,), f"{step.node} has vowed {before} for {key}, and {vow} now")
            self.vows[step.node, key] = vow
        for key, token in node.tokens.items():
            if token.epoch != node.vows[key]:
                what = f"{step.node} has the token {token.epoch} of {key}, and has vowed {node.vows[key]}"
                raise Violation("vow kept", (step.node,), what)


class RingExclusion(MutualExclusion):
    """Checks mutual exclusion where it is promised."""

    def held(self, node: Node) -> Collection[str] | None:
        return super().held(node) if is_safe(node) else None


class RingOrder(GrantOrder):
    """Checks grant order where it is promised."""

    def grants(self, node: Node) -> Mapping[str, Grant] | None:
        return super().grants(node) if is_safe(node) else None


INVARIANTS: tuple[type[Invariant[Any]], ...] = (OneToken, VowKept, RingExclusion, RingOrder)
