"""Invariants of the phi accrual failure detector, besides those of all failure detectors
(`framework.failure_detection.properties`).

| property | definition | source |
| --- | --- | --- |
| threshold | a node is suspected only when phi, by its definition, has reached the threshold | section 4 |
"""

from __future__ import annotations

from math import log10
from statistics import NormalDist, fmean, pstdev
from typing import Any

from framework import DETECTOR_INVARIANTS, Invariant, NodeId, Step, Violation
from plugins.protocols.phi_accrual.node import PhiAccrualDetector

TOLERANCE = 0.01
"""The relative error of phi: a small probability is not exact, and a timer fires at a whole nanosecond."""


class Threshold(Invariant[PhiAccrualDetector]):
    """Checks threshold, by the definition of phi, when a node begins to be suspected."""

    def __init__(self) -> None:
        self.suspected: dict[NodeId, set[NodeId]] = {}

    def observe(self, step: Step, node: PhiAccrualDetector) -> None:
        before = set() if step.started else self.suspected.get(step.node, set())
        if before != node.suspected.keys():
            for peer in sorted(node.suspected.keys() - before):
                self._check(step, node, peer)
            self.suspected[step.node] = set(node.suspected)

    def _check(self, step: Step, node: PhiAccrualDetector, peer: NodeId) -> None:
        arrivals = node.arrivals[peer]
        deviation = max(pstdev(arrivals.intervals), node.config.min_deviation)
        later = 1 - NormalDist(fmean(arrivals.intervals), deviation).cdf(node.now - arrivals.at)
        reached = -log10(later) if later > 0 else float("inf")
        if reached < node.config.threshold * (1 - TOLERANCE):
            what = f"{step.node} suspects {peer} at phi={reached:.2f}, below the threshold {node.config.threshold:g}"
            raise Violation("threshold", (step.node, peer), what)


INVARIANTS: tuple[type[Invariant[Any]], ...] = (*DETECTOR_INVARIANTS, Threshold)
