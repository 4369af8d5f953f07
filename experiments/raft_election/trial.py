"""One election in the simulator, from a state that a study lays down, until the others have heard the new leader.

The servers are the protocol's own nodes on the simulator's links, clocks and disks. A study differs from a run in three
things: what stands in the servers' logs at the start, who is down, and that it ends with the first leader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple, cast

from framework.config.compose import compose
from framework.core.durable import LOG, SCALAR
from framework.core.host import SEND, Host
from framework.core.message import Message, NodeId
from framework.engine.base import Experiment, Tally
from framework.engine.sim.recording import Pulse, Recording
from framework.engine.sim.simulation import Simulation
from framework.engine.wire import Wire
from framework.verify.monitors import Halt
from plugins.protocols.raft.election import LEADER
from plugins.protocols.raft.messages import Entry
from plugins.protocols.raft.node import Raft


class Election(NamedTuple):
    """How it went, in nanoseconds of the run; without a leader (None) the horizon came first.

    `term` is the leader's, or the last that anyone entered. `elected` is when it had its majority, `heard` when the last
    of the others had its first message.
    """

    leader: NodeId | None
    term: int
    elected: int
    heard: int


@lru_cache
def servers(*settings: str) -> Experiment:
    """Raft without clients, as `framework.run` would compose it from these settings."""
    composed = compose(["protocol=raft", "engine=sim", "trace=none", "clients=1", *settings])
    return replace(composed.experiment, clients=(), settle=0)


class Trial(Simulation):
    """One election. `hold` drives it."""

    def __init__(self, experiment: Experiment, seed: int) -> None:
        experiment = replace(experiment, seed=seed)
        wire, tally = Wire(experiment.protocol), Tally()
        recording = Recording(experiment, wire)
        super().__init__(experiment, recording, wire, Pulse(recording, lambda now, tally: None, tally), tally)
        self._voters: set[NodeId] = set(experiment.nodes)
        self._elected: dict[int, tuple[NodeId, int]] = {}  # term -> its leader, and when it won
        self._heard: dict[int, dict[NodeId, int]] = {}  # term -> who has heard of its leader, and when
        self._ended: Election | None = None
        for node in experiment.nodes:
            self.seats[node].watch = self._observe

    def lay_down(self, logs: Mapping[NodeId, int], term: int, voted_for: NodeId) -> None:
        """Every disk holds `term`, a vote and a log of so many entries of that term."""
        for node, length in logs.items():
            log = (LOG, "", "log", 1, 1, [Entry(term, None)] * length)
            self.seats[node].storage.commit([(SCALAR, "", "term", term), (SCALAR, "", "voted_for", voted_for), log])

    def crash_at(self, at: int, *nodes: NodeId) -> None:
        """These nodes stop at `at`, and take no part in the election."""
        self._voters -= set(nodes)
        for node in nodes:
            self.call_at(at, partial(self._crash_one, node))

    def send_at(self, at: int, sender: NodeId, messages: Mapping[NodeId, Message]) -> None:
        """At `at` the links of `sender` carry these messages, as if it had sent them."""
        effects = [(SEND, to, "", message) for to, message in messages.items()]
        self.call_at(at, lambda: self._release(self.seats[sender], effects, cause=-1))

    def hold(self) -> Election:
        """Runs to the first leader of whom all others that are up have heard, or to the experiment's end."""
        try:
            self.run()
        except Halt:
            assert self._ended is not None
            return self._ended
        crashed = [crash for crash in self.crashes if not crash.asked]
        assert not crashed, f"a server raised: {crashed[0].traceback}"
        terms = [cast(Raft, seat.host.root).term for seat in self.seats.values() if seat.host is not None]
        return Election(None, max(terms), self.now, self.now)

    def _crash_one(self, node: NodeId) -> None:
        self.crash(node, "the study stops it")

    def _observe(self, host: Host, now: int, step: int) -> None:
        node = cast(Raft, host.root)
        if node.role == LEADER:
            if node.term not in self._elected:
                self._elected[node.term] = (node.id, _when_set(host, "heartbeat", node.config.heartbeat_interval))
        elif node.leader is not None:
            heard = self._heard.setdefault(node.term, {})
            if node.id not in heard:
                heard[node.id] = _when_set(host, "start_election", node.election_timeout)
        else:
            return
        self._end_if_known(node.term)

    def _end_if_known(self, term: int) -> None:
        leader, elected = self._elected.get(term, ("", 0))
        heard = self._heard.get(term, {})
        if leader and heard.keys() >= self._voters - {leader}:
            self._ended = Election(leader, term, elected, max(heard.values()))
            raise Halt


def _when_set(host: Host, timer: str, after: int) -> int:
    """When a node last set a timer; unlike the end of the batch in which it did, this leaves out the commit."""
    deadline, _ = host.timers["", timer, ()]
    return deadline - after
