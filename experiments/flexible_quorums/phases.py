"""Multi-Paxos without clients: how long its first election takes, and how many failures either phase survives."""

from __future__ import annotations

from typing import cast

from experiments.trials import Trial, servers
from framework.core.message import NodeId
from framework.core.node_runtime import NodeRuntime
from framework.core.time import MILLISECOND
from framework.engine.base import Experiment
from plugins.protocols.multipaxos.node import CANDIDATE, LEADER, MultiPaxos

PATIENT = ("duration=10s", "protocol.election_timeout_min=1s", "protocol.election_timeout_max=2s")
"""Time-outs so far apart that two candidates seldom meet, and a leader whom no quorum answers steps down after 2 s."""


class FirstElection(Trial):
    """Ends with the first leader."""

    def __init__(self, experiment: Experiment, seed: int) -> None:
        super().__init__(experiment, seed)
        self.began: int | None = None  # when somebody first asked for promises

    def seen_enough(self, runtime: NodeRuntime) -> bool:
        role = cast(MultiPaxos, runtime.root).role
        if role in (CANDIDATE, LEADER) and self.began is None:
            self.began = self.true_time
        return role == LEADER


class Loss(Trial):
    """So many others stop as soon as there is a leader; ends when it steps down."""

    def __init__(self, experiment: Experiment, seed: int, down: int) -> None:
        super().__init__(experiment, seed)
        self.down = down
        self.leader: NodeId | None = None

    def seen_enough(self, runtime: NodeRuntime) -> bool:
        node = cast(MultiPaxos, runtime.root)
        if self.leader is None and node.role == LEADER:
            self.leader = node.id
            self.crash_at(self.true_time, *node.peers[: self.down])
        return node.id == self.leader and node.role != LEADER


def elected_after(settings: tuple[str, ...], seed: int, down: int = 0) -> float | None:
    """Milliseconds from the first Prepare to the first leader, if the last `down` nodes never run; None: there is
    none."""
    experiment = servers("multipaxos", *PATIENT, *settings)
    trial = FirstElection(experiment, seed)
    trial.crash_at(0, *experiment.nodes[len(experiment.nodes) - down :])
    if not trial.play():
        return None
    assert trial.began is not None
    return (trial.true_time - trial.began) / MILLISECOND


def keeps_its_lead(settings: tuple[str, ...], seed: int, down: int) -> bool:
    """Whether a leader goes on when `down` others stop."""
    trial = Loss(servers("multipaxos", *PATIENT, *settings), seed, down)
    lost = trial.play()
    assert trial.leader is not None, "nobody was elected"
    return not lost
