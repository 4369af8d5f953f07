"""The phi accrual failure detector (Hayashibara, Défago, Yared and Katayama, *The φ Accrual Failure Detector*, SRDS
2004).

Heartbeats arrive at intervals that vary. The detector keeps the latest intervals of each node, and takes them for
normally distributed. While the next heartbeat is awaited, phi rises:

    phi(t) = -log10(P_later(t))        P_later(t): the probability that it arrives later than t after the last one

A node is suspected when phi reaches the threshold. A threshold of 1 is wrong about once in 10 heartbeats, one of 8
about once in 10^8, as far as the intervals are normally distributed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import erfc, log10, sqrt
from statistics import NormalDist
from typing import Annotated

from msgspec import Meta

from framework import Detector, DetectorConfig, Duration, Message, NodeId, handles, on_timer


class PhiAccrualConfig(DetectorConfig):
    """Heartbeats, window and threshold. Raises ValueError for durations that leave nothing to estimate."""

    interval: Duration = Duration("100ms")
    """Time between two heartbeats of a node."""
    threshold: Annotated[float, Meta(ge=0.001, le=300)] = 8.0
    """The value of phi at which a node is suspected."""
    window: Annotated[int, Meta(ge=2)] = 200
    """Number of the latest intervals from which mean and deviation are estimated."""
    min_deviation: Duration = Duration("20ms")
    """Lower bound of the estimated deviation: arrivals that are all but regular say little of the next one."""
    first_interval: Duration = Duration("300ms")
    """The interval that is expected before any has been measured, with a deviation of a quarter of it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("interval")
        for name in ("min_deviation", "first_interval"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}=0 leaves nothing to estimate: give more than 0")


class Heartbeat(Message):
    """The sender runs, in this incarnation. `number` counts its heartbeats."""

    incarnation: int
    number: int


@dataclass(slots=True)
class Arrivals:
    """The heartbeats of a node in one incarnation: the latest, when it arrived, and the latest intervals."""

    latest: Heartbeat
    at: int
    intervals: deque[int] = field(default_factory=deque)


class PhiAccrualDetector(Detector):
    """Sends heartbeats to all peers, and suspects those whose next one is too improbable to come."""

    config: PhiAccrualConfig

    def on_start(self) -> None:
        super().on_start()
        self.number = 0
        self.arrivals = {peer: self.first_arrivals(Heartbeat(0, 0)) for peer in self.peers}
        for peer in self.peers:
            self.await_next(peer)
        self.beat()

    def first_arrivals(self, heartbeat: Heartbeat) -> Arrivals:
        """Returns the window before an interval has been measured: two that have the expected mean and deviation."""
        mean = int(self.config.first_interval)
        return Arrivals(heartbeat, self.now, deque((mean - mean // 4, mean + mean // 4), self.config.window))

    @on_timer
    def beat(self) -> None:
        self.number += 1
        self.broadcast(Heartbeat(self.incarnation, self.number))
        self.set_timer(self.beat, after=self.config.interval)

    @handles(Heartbeat)
    def on_heartbeat(self, sender: NodeId, heartbeat: Heartbeat) -> None:
        arrivals = self.arrivals.get(sender)
        if arrivals is None:
            return  # of no peer
        latest = arrivals.latest
        if (heartbeat.incarnation, heartbeat.number) <= (latest.incarnation, latest.number):
            return  # overtaken by a later one, or from before a restart
        if heartbeat.incarnation > latest.incarnation:
            self.arrivals[sender] = self.first_arrivals(heartbeat)
        else:
            if sender not in self.suspected:  # else the interval says how long the trouble lasted
                arrivals.intervals.append(self.now - arrivals.at)
            arrivals.latest, arrivals.at = heartbeat, self.now
        self.await_next(sender)
        self.heard_of(sender, heartbeat.incarnation)

    def await_next(self, peer: NodeId) -> None:
        """Sets the timer to the moment when phi reaches the threshold."""
        mean, deviation = self.estimate(peer)
        self.set_timer(self.expire, peer, after=max(1, round(elapsed_at(self.config.threshold, mean, deviation))))

    @on_timer
    def expire(self, peer: NodeId) -> None:
        self.suspect(peer, self.arrivals[peer].latest.incarnation)

    def estimate(self, peer: NodeId) -> tuple[float, float]:
        """Returns mean and deviation of the intervals between the heartbeats of `peer`."""
        mean, deviation = mean_and_deviation(self.arrivals[peer].intervals)
        return mean, max(deviation, float(self.config.min_deviation))

    def phi_of(self, peer: NodeId) -> float:
        """Returns the suspicion level of `peer` now."""
        return phi(self.now - self.arrivals[peer].at, *self.estimate(peer))

    def incarnation_of(self, peer: NodeId) -> int:
        return self.arrivals[peer].latest.incarnation


def mean_and_deviation(intervals: deque[int]) -> tuple[float, float]:
    """Returns the mean and the deviation of some intervals."""
    count = len(intervals)
    total, squares = sum(intervals), sum(each * each for each in intervals)
    return total / count, sqrt(count * squares - total * total) / count  # in whole numbers until here: no rounding


def phi(elapsed: float, mean: float, deviation: float) -> float:
    """Returns -log10 of the probability that a normally distributed interval is longer than `elapsed` (section 4)."""
    later = erfc((elapsed - mean) / (deviation * sqrt(2))) / 2
    return -log10(later) if later > 0 else float("inf")


def elapsed_at(threshold: float, mean: float, deviation: float) -> float:
    """Returns the time after which `phi` reaches `threshold`; rounded, so that it is the same on every machine."""
    return mean + deviation * round(-NormalDist().inv_cdf(10.0**-threshold), 9)
