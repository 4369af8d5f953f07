"""One trial: a group of detectors without clients, in which a member crashes, or none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

from experiments.failure_detection.lines import CALM_S, CRASH_S, DETECTORS, HORIZON_S, MEMBERS, PERIOD_MS, Conditions
from experiments.trials import Trial, servers
from framework.core.node_runtime import NodeRuntime
from framework.core.time import MILLISECOND, SECOND
from framework.engine.base import Experiment
from framework.failure_detection.detector import Detector
from plugins.protocols.swim.node import Swim


class Outcome(NamedTuple):
    """What one trial has shown.

    `kind` is calm, crash, or the size of the group and how its members begin their periods. `first` and `last` are the
    times in seconds from the crash until the first member, and all members, suspected the one that crashed; for a size
    `first` is the time to the first failed probe. `mistakes` are suspicions of members that ran. `messages` are those
    sent, for each member and period.
    """

    kind: str
    detector: str
    conditions: Conditions
    seed: int
    first: float | None = None
    last: float | None = None
    mistakes: int = 0
    messages: float = 0.0


class Watch(Trial):
    """Watches whom the members suspect. The last one is the one that crashes, if any."""

    def __init__(self, experiment: Experiment, seed: int, crash_at: int | None, probes: bool = False) -> None:
        super().__init__(experiment, seed)
        self.victim = experiment.nodes[-1]
        self._crash_at, self._probes = crash_at, probes
        self._suspected: dict[str, set[str]] = {node: set() for node in experiment.nodes}
        self.mistakes = 0
        self.noticed: dict[str, int] = {}
        """When each member first suspected the victim after its crash; with `probes`, when a probe of it first
        failed."""
        if crash_at is not None:
            self.crash_at(crash_at, self.victim)

    def seen_enough(self, runtime: NodeRuntime) -> bool:
        node, now = cast(Detector, runtime.root), self.true_time
        is_down = self._crash_at is not None and now >= self._crash_at
        if self._probes:
            failed = cast(Swim, node).failed
            if is_down and failed is not None and failed.target == self.victim:
                self.noticed[node.id] = now
            return bool(self.noticed)
        before = self._suspected[node.id]
        if before != node.suspected.keys():
            new = node.suspected.keys() - before
            self.mistakes += len(new - {self.victim} if is_down else new)
            self._suspected[node.id] = set(node.suspected)
        if is_down and self.victim in node.suspected:
            self.noticed.setdefault(node.id, now)
        return is_down and len(self.noticed) == len(self._suspected) - 1

    def since_crash(self, time: int) -> float:
        assert self._crash_at is not None
        return (time - self._crash_at) / SECOND


def calm(what: tuple[str, Conditions], seeds: Iterable[int]) -> list[Outcome]:
    """Trials without a crash: mistakes and messages."""
    name, conditions = what
    found = []
    for seed in seeds:
        watch = Watch(_experiment(name, conditions, CALM_S), seed, None)
        watch.play()
        sent = sum(watch.tally.messages.values()) + sum(watch.tally.dropped.values())
        periods = CALM_S * SECOND // (PERIOD_MS * MILLISECOND)
        found.append(
            Outcome(
                "calm", name, conditions, seed, mistakes=watch.mistakes, messages=sent / (MEMBERS * periods),
            )
        )  # fmt: skip
    return found


def crash(what: tuple[str, Conditions], seeds: Iterable[int]) -> list[Outcome]:
    """Trials with a crash: the times until it is noticed."""
    name, conditions = what
    found = []
    for seed in seeds:
        watch = Watch(_experiment(name, conditions, HORIZON_S), seed, CRASH_S * SECOND + seed * 37 * MILLISECOND)
        watch.play()
        times = sorted(map(watch.since_crash, watch.noticed.values()))
        everyone = len(times) == MEMBERS - 1
        found.append(
            Outcome("crash", name, conditions, seed, times[0] if times else None, times[-1] if everyone else None)
        )
    return found


def first_failed_probe(what: tuple[int, bool], seeds: Iterable[int]) -> list[Outcome]:
    """Trials of SWIM alone: the time to the first failed probe, in a group of some size. In step all members begin a
    period at the same moment, and the crash comes just then; otherwise each has its own."""
    size, in_step = what
    conditions = Conditions(0.0, 0.3)
    name = "SWIM, suspicion 5 periods"
    protocol, *settings = DETECTORS[name]
    experiment = servers(
        protocol, "workload=suspects", *settings, *conditions.settings(), f"nodes={size}", f"duration={HORIZON_S}s",
        f"protocol.staggered={str(not in_step).lower()}",
    )  # fmt: skip
    found = []
    for seed in seeds:
        offset = 0 if in_step else seed * 37 * MILLISECOND
        watch = Watch(experiment, seed, 20 * PERIOD_MS * MILLISECOND + offset, probes=True)
        watch.play()
        first = watch.since_crash(min(watch.noticed.values()))
        kind = f"{size} {'in step' if in_step else 'staggered'}"
        found.append(Outcome(kind, name, conditions, seed, first=first))
    return found


def _experiment(name: str, conditions: Conditions, seconds: int) -> Experiment:
    protocol, *settings = DETECTORS[name]
    return servers(
        protocol, "workload=suspects", *settings, *conditions.settings(), f"nodes={MEMBERS}", f"duration={seconds}s"
    )
