"""Invariants of SWIM, besides those of all failure detectors (`framework.failure_detection.properties`).

| property | definition | section |
| --- | --- | --- |
| override order | between two starts, what a member holds of another one is only replaced by what overrides it | 4.2 |
| confirmed is suspected | the parent has received exactly the members that are confirmed faulty | |
| time to refute | a member is confirmed faulty only after it has been suspected in that incarnation for a time | 4.2 |
| ran when probed | a member that acknowledges a probe has run since that began, whoever passed its Ack on | 3.1 |
| asked first | a member suspects another one only if it has asked others to ping it | 3.1 |
| piggyback limit | no update is sent more than lambda log(n) times | 4.1 |
"""

from __future__ import annotations

from typing import Any

from framework import CLOCKS_APART, DETECTOR_INVARIANTS, Invariant, NodeId, Step, Violation, format_duration
from plugins.protocols.swim.messages import ProbeId, Update
from plugins.protocols.swim.node import Swim, transmission_limit


class Members(Invariant[Swim]):
    """Checks what a member holds of the others. The cost of a step grows with the members."""

    def __init__(self) -> None:
        self.held: dict[NodeId, dict[NodeId, Update]] = {}

    def observe(self, step: Step, node: Swim) -> None:
        if step.started:
            self.held[step.node] = {}
        held = self.held.setdefault(step.node, {})
        for member, update in node.members.items():
            before = held.get(member)
            if update is before:
                continue
            held[member] = update
            if before is not None and update != before and not update.overrides(before):
                what = f"{step.node} held {_said(before)}, and holds {_said(update)}"
                raise Violation("override order", (step.node, member), what)
            if (update.state == "confirm") != (member in node.suspected):
                what = f"{step.node} holds {_said(update)}, and suspects {', '.join(node.suspected) or 'nobody'}"
                raise Violation("confirmed is suspected", (step.node, member), what)


class Suspicions(Invariant[Swim]):
    """Checks time to refute: half the time-out, since clocks may drift."""

    def __init__(self) -> None:
        self.seen: dict[NodeId, dict[NodeId, Update]] = {}
        self.since: dict[tuple[NodeId, int], int] = {}
        """The time of the first suspicion of a member in an incarnation."""

    def observe(self, step: Step, node: Swim) -> None:
        seen = self.seen.setdefault(step.node, {})
        for member, update in node.members.items():
            if update is seen.get(member):
                continue
            seen[member] = update
            subject = member, update.incarnation
            if update.state == "suspect":
                self.since.setdefault(subject, step.time)
            elif update.state == "confirm" and node.config.suspicion:
                lasted = step.time - self.since.setdefault(subject, step.time)
                if lasted < node.config.suspicion // 2:
                    what = f"{step.node} holds {_said(update)}, which has been suspected for {format_duration(lasted)}"
                    raise Violation("time to refute", (step.node, member), what)


class Probes(Invariant[Swim]):
    """Checks asked first, ran when probed, and piggyback limit."""

    def __init__(self) -> None:
        self.latest: dict[NodeId, ProbeId] = {}
        """The number of each member's latest probe."""
        self.dead: dict[NodeId, dict[NodeId, ProbeId]] = {}
        """For each node that is down, the members whose probes of it began since then, with the numbers of these."""
        self.odd: dict[NodeId, tuple[int, NodeId]] = {}
        """Targets that were down, and have acknowledged: when that was seen, and where."""

    def on_crash(self, node: NodeId) -> None:
        self.dead[node] = {}

    def observe(self, step: Step, node: Swim) -> None:
        self.dead.pop(step.node, None)
        self.odd.pop(step.node, None)
        self._observe_probe(step, node)
        for target, (since, who) in self.odd.items():
            if step.time > since + CLOCKS_APART:
                what = f"a probe of {target} by {who} was acknowledged, and {target} was down all the time"
                raise Violation("ran when probed", (who, target), what)
        limit = transmission_limit(node.config.transmissions, 1 + len(node.peers))
        most = max(node.sent.values(), default=0)
        if most >= limit:
            what = f"{step.node} has sent an update {most} times, and the limit is {limit}"
            raise Violation("piggyback limit", (step.node,), what)

    def _observe_probe(self, step: Step, node: Swim) -> None:
        if node.failed is not None and node.failed.helpers is None:
            what = f"{step.node} suspects {node.failed.target}, and has asked nobody else"
            raise Violation("asked first", (step.node, node.failed.target), what)
        probe = node.current
        if probe is None:
            return
        begins = self.latest.get(step.node) != probe.id
        self.latest[step.node] = probe.id
        dead = self.dead.get(probe.target)
        if dead is None:
            return
        if begins and not probe.is_acknowledged:
            dead[step.node] = probe.id
        elif probe.is_acknowledged and dead.get(step.node) == probe.id:
            self.odd.setdefault(probe.target, (step.time, step.node))


def _said(update: Update) -> str:
    return f"{update.member} {update.state} in incarnation {update.incarnation}"


INVARIANTS: tuple[type[Invariant[Any]], ...] = (*DETECTOR_INVARIANTS, Members, Suspicions, Probes)
