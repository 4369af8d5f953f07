"""Heartbeats with a fixed time-out: the common failure detection algorithm (Chen, Toueg and Aguilera, *On the Quality
of Service of Failure Detectors*, IEEE Transactions on Computers 51(5), 2002, section 1).

Every node sends a heartbeat to every other one, once each `interval`. A node from which none has come for `timeout` is
suspected until the next one arrives.
"""

from __future__ import annotations

from framework import Detector, DetectorConfig, Duration, Message, NodeId, handles, on_timer


class HeartbeatConfig(DetectorConfig):
    """The timing. Raises ValueError if a heartbeat could not arrive in time."""

    interval: Duration = Duration("100ms")
    """Time between two heartbeats of a node."""
    timeout: Duration = Duration("500ms")
    """Time from a heartbeat to the suspicion of its sender, unless a newer one arrives: the interval, the delays of
    messages, and one more interval for each loss in succession that is to be borne."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("interval")
        if self.timeout <= self.interval:
            raise ValueError(f"timeout={self.timeout} must be longer than interval={self.interval}")


class Heartbeat(Message):
    """The sender runs, in this incarnation. `number` counts its heartbeats."""

    incarnation: int
    number: int


class HeartbeatDetector(Detector):
    """Sends heartbeats to all peers, and suspects those from which none arrive."""

    config: HeartbeatConfig

    def on_start(self) -> None:
        super().on_start()
        self.number = 0
        self.latest = dict.fromkeys(self.peers, Heartbeat(0, 0))
        for peer in self.peers:
            self.set_timer(self.expire, peer, after=self.config.timeout)
        self.beat()

    @on_timer
    def beat(self) -> None:
        self.number += 1
        self.broadcast(Heartbeat(self.incarnation, self.number))
        self.set_timer(self.beat, after=self.config.interval)

    @handles(Heartbeat)
    def on_heartbeat(self, sender: NodeId, heartbeat: Heartbeat) -> None:
        latest = self.latest.get(sender)
        if latest is None or not is_newer(heartbeat, latest):
            return  # of no peer, or overtaken by a later one, or from before a restart
        self.latest[sender] = heartbeat
        self.set_timer(self.expire, sender, after=self.config.timeout)
        self.heard_of(sender, heartbeat.incarnation)

    @on_timer
    def expire(self, peer: NodeId) -> None:
        self.suspect(peer, self.latest[peer].incarnation)

    def incarnation_of(self, peer: NodeId) -> int:
        return self.latest[peer].incarnation


def is_newer(heartbeat: Heartbeat, latest: Heartbeat) -> bool:
    """Returns whether a heartbeat was sent after `latest`, by the same node."""
    return (heartbeat.incarnation, heartbeat.number) > (latest.incarnation, latest.number)
