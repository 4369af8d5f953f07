"""Invariants of SWIM, besides those of all failure detectors (`framework.failure_detection.properties`).

| property | definition | source |
| --- | --- | --- |
| override order | between two starts, what a member holds of another one is only replaced by what overrides it | section 4.2 |
| higher incarnation | a member that was faulty in an incarnation is held alive again in a higher one only | section 4.2 |
| confirmed is suspected | the parent is told of exactly the members that are confirmed faulty | |
| piggyback limit | no update is sent more than lambda log(n) times | section 4.1 |
"""

from __future__ import annotations

from typing import Any

from framework import DETECTOR_INVARIANTS, Invariant, NodeId, Step, Violation
from plugins.protocols.swim.messages import Update
from plugins.protocols.swim.node import Swim, transmission_limit


class Members(Invariant[Swim]):
    """Checks what a member holds of the others. The cost of a step grows with the members."""

    def __init__(self) -> None:
        self.held: dict[NodeId, dict[NodeId, Update]] = {}
        self.faulty: dict[NodeId, dict[NodeId, int]] = {}

    def observe(self, step: Step, node: Swim) -> None:
        if step.started:
            self.held[step.node], self.faulty[step.node] = {}, {}
        held, faulty = self.held.setdefault(step.node, {}), self.faulty.setdefault(step.node, {})
        for member, update in node.members.items():
            before = held.get(member)
            if update is before:
                continue
            if before is not None and update != before and not update.overrides(before):
                what = f"{step.node} held {_said(before)}, and holds {_said(update)}"
                raise Violation("override order", (step.node, member), what)
            if update.state != "confirm" and member in faulty and update.incarnation <= faulty[member]:
                what = f"{step.node} holds {_said(update)}, which was faulty in {faulty[member]}"
                raise Violation("higher incarnation", (step.node, member), what)
            if update.state == "confirm":
                faulty[member] = update.incarnation
            if (update.state == "confirm") != (member in node.suspected):
                what = f"{step.node} holds {_said(update)}, and suspects {', '.join(node.suspected) or 'nobody'}"
                raise Violation("confirmed is suspected", (step.node, member), what)
            held[member] = update
        limit = transmission_limit(node.config.transmissions, 1 + len(node.peers))
        if node.sent and max(node.sent.values()) >= limit:
            what = f"{step.node} has sent an update {max(node.sent.values())} times, and goes on; the limit is {limit}"
            raise Violation("piggyback limit", (step.node,), what)


def _said(update: Update) -> str:
    return f"{update.member} {update.state} in incarnation {update.incarnation}"


INVARIANTS: tuple[type[Invariant[Any]], ...] = (*DETECTOR_INVARIANTS, Members)
