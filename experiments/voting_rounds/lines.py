"""The lines of the study, and how one trial of each is held: an election in Raft, a decision of the Synod."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

from experiments.raft_election.lines import Line, contention
from experiments.raft_election.lines import hold as hold_elections
from experiments.trials import Trial, servers
from framework.core.message import NodeId
from framework.core.node_runtime import NodeRuntime
from framework.core.random_streams import stream
from framework.core.time import MILLISECOND
from framework.engine.base import Experiment
from plugins.protocols.paxos.messages import Propose
from plugins.protocols.paxos.node import Paxos

SIZES = range(3, 10)
SHARES = (0.01, 0.1, 0.2, 0.5)
"""Raft: the delay one way, as a share of the range of time-outs."""

BACKOFFS = {
    "none": ("protocol.backoff=none",),
    "1 ms": ("protocol.backoff=fixed", "protocol.backoff_delay=1ms"),
    "up to 1 ms": ("protocol.backoff=randomised", "protocol.backoff_delay=1ms"),
    "up to 20 ms": ("protocol.backoff=randomised", "protocol.backoff_delay=20ms"),
}
"""Paxos: how long a refused proposer waits before its next ballot. A decision takes about 1 ms."""

LIMIT = 100
"""Rounds after which a trial is given up."""

RAFT, RAFT_ALIKE, PAXOS = "raft", "raft, time-outs all alike", "paxos"
ONE, TWO, ALL = "one proposer", "two proposers", "all propose"

INSTANCE = "x"
WINDOW = MILLISECOND
"""Proposals that contend are made within this time: two round trips."""


class Outcome(NamedTuple):
    """One trial: the leader's term, or the round of the ballot that decided. If not `decided`, the rounds until given
    up.

    `begun` counts the ballots of all proposers together; in Raft, terms again.
    """

    protocol: str
    line: str
    nodes: int
    seed: int
    decided: bool
    rounds: int
    begun: int


class Elections(NamedTuple):
    """A line of Raft."""

    protocol: str
    nodes: int
    line: Line

    def hold(self, seeds: Iterable[int]) -> list[Outcome]:
        return [
            Outcome(self.protocol, self.line.name, self.nodes, one.seed, one.leader is not None, one.terms, one.terms)
            for one in hold_elections(self.line, seeds)
        ]


@dataclass(frozen=True)
class Decisions:
    """A line of Paxos: so many of the nodes propose."""

    nodes: int
    proposers: int
    backoff: str

    @property
    def name(self) -> str:
        if self.proposers == 1:
            return ONE
        return f"{ALL if self.proposers == self.nodes else TWO}, backoff {self.backoff}"

    def hold(self, seeds: Iterable[int]) -> list[Outcome]:
        experiment = servers("paxos", "workload=propose", f"nodes={self.nodes}", "network=lan", *BACKOFFS[self.backoff])
        return [self._hold(experiment, seed) for seed in seeds]

    def _hold(self, experiment: Experiment, seed: int) -> Outcome:
        trial = DecisionTrial(experiment, seed, experiment.nodes[: self.proposers])
        assert trial.play(), "a decision, or too many rounds, comes before the end"
        return Outcome(PAXOS, self.name, self.nodes, seed, trial.decided, trial.rounds, trial.tally.notes["proposed"])


class DecisionTrial(Trial):
    """One instance of the Synod, until the first node knows what it decided, or a ballot is of round `LIMIT`."""

    def __init__(self, experiment: Experiment, seed: int, proposers: Iterable[NodeId]) -> None:
        super().__init__(experiment, seed)
        self.decided, self.rounds = False, 0
        for number, proposer in enumerate(proposers):
            at = stream(seed, "proposal", proposer).randrange(WINDOW)
            self.send_at(at, proposer, {proposer: Propose(number, INSTANCE, f"of {proposer}")})

    def seen_enough(self, host: NodeRuntime) -> bool:
        node = cast(Paxos, host.root)
        chosen = node.decided.get(INSTANCE)
        self.decided = chosen is not None
        self.rounds = chosen.ballot.round if chosen else node.rounds.get(INSTANCE) or 0
        return self.decided or self.rounds >= LIMIT


def hold(line: Elections | Decisions, seeds: Iterable[int]) -> list[Outcome]:
    """One trial of the line for each seed."""
    return line.hold(seeds)


def lines() -> Iterator[Elections | Decisions]:
    """All lines, for three to nine nodes."""
    for nodes in SIZES:
        for share in SHARES:
            yield Elections(RAFT, nodes, contention(RAFT, f"{share:g}", nodes, share))
        yield Elections(RAFT_ALIKE, nodes, contention(RAFT_ALIKE, "0.01", nodes, 0.01, range_ms=0))
        yield Decisions(nodes, 1, "none")
        for proposers in (2, nodes):
            for backoff in BACKOFFS:
                yield Decisions(nodes, proposers, backoff)


def sized(trials: int) -> list[tuple[Elections | Decisions, int]]:
    """Each line with its number of trials; a tenth where most go on for as long as they may."""
    return [(line, max(1, trials // 10 if _endless(line) else trials)) for line in lines()]


def _endless(line: Elections | Decisions) -> bool:
    if isinstance(line, Elections):
        return line.protocol == RAFT_ALIKE
    return line.proposers == line.nodes and line.backoff == "none"
