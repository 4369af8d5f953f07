"""Properties of failure detectors.

| property | definition |
| --- | --- |
| incarnation order | a node's incarnation is higher after each start, and never falls |
| known incarnations | the incarnation of another node that a node knows of does not fall until its restart |
| | and is no higher than the one that the other node has reached |
| suspicion order | a node that is no longer suspected was heard of in the suspicion's incarnation, or a later one |

Mistakes violate none of them. In the end, every node that runs suspects exactly the nodes that do not
(`wrong_suspicion`): strong completeness and eventual strong accuracy (Chandra and Toueg, 1996, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from framework.checking.invariants import CLOCKS_APART, Invariant, Step
from framework.core.errors import Violation
from framework.core.message import NodeId
from framework.failure_detection.detector import Detector


class Suspecting(Protocol):
    """A node that suspects others."""

    @property
    def peers(self) -> tuple[NodeId, ...]: ...

    @property
    def suspected(self) -> Mapping[NodeId, int]: ...


def wrong_suspicion(nodes: Mapping[NodeId, Suspecting]) -> str | None:
    """Returns the first suspicion of a running node that is wrong, or is missing; None if there is none."""
    for name, node in nodes.items():
        for peer in node.peers:
            if peer in nodes and peer in node.suspected:
                return f"{name} suspects {peer}, which runs"
            if peer not in nodes and peer not in node.suspected:
                return f"{name} does not suspect {peer}, which is down"
    return None


class Incarnations(Invariant[Detector]):
    """Checks incarnation order, known incarnations and suspicion order. The cost of a step grows with the peers."""

    def __init__(self) -> None:
        self.own: dict[NodeId, int] = {}
        self.known: dict[NodeId, dict[NodeId, int]] = {}
        self.suspected: dict[NodeId, dict[NodeId, int]] = {}
        self.ahead: dict[NodeId, dict[int, tuple[int, NodeId]]] = {}
        """By node: incarnations that another node knows but that have not been observed at the node itself, each with
        the time and the knowing node."""

    def observe(self, step: Step, node: Detector) -> None:
        self._observe_own(step, node)
        if step.started:
            self.known[step.node], self.suspected[step.node] = {}, {}
        known = self.known.setdefault(step.node, {})
        for peer in node.peers:
            incarnation, before = node.incarnation_of(peer), known.get(peer, 0)
            if incarnation < before:
                what = f"{step.node} knew incarnation {before} of {peer}, and has gone back to {incarnation}"
                raise Violation("known incarnations", (step.node, peer), what)
            known[peer] = incarnation
            if incarnation > self.own.get(peer, 0):
                self.ahead.setdefault(peer, {}).setdefault(incarnation, (step.time, step.node))
        self._observe_suspicions(step, node)

    def _observe_own(self, step: Step, node: Detector) -> None:
        before, own = self.own.get(step.node, 0), node.incarnation
        if own < before + step.started:
            what = f"{step.node} had incarnation {before}, and has {own} {'after a start' * step.started}"
            raise Violation("incarnation order", (step.node,), what.rstrip())
        self.own[step.node] = own
        ahead = self.ahead.get(step.node, {})
        for incarnation, (since, who) in list(ahead.items()):
            if own >= incarnation:
                del ahead[incarnation]
            elif step.time > since + CLOCKS_APART:
                what = f"{who} knows incarnation {incarnation} of {step.node}, which has reached {own}"
                raise Violation("known incarnations", (who, step.node), what)

    def _observe_suspicions(self, step: Step, node: Detector) -> None:
        before = self.suspected.get(step.node, {})
        for peer, incarnation in before.items():
            if node.incarnation_of(peer) < incarnation:
                what = f"{step.node} suspected {peer} in incarnation {incarnation}, and knows of none so late"
                raise Violation("suspicion order", (step.node, peer), what)
        if before != node.suspected:
            self.suspected[step.node] = dict(node.suspected)


DETECTOR_INVARIANTS: tuple[type[Invariant[Any]], ...] = (Incarnations,)
"""The invariants of every failure detector."""
