"""One election, from a state that the study lays down, until the others have heard the new leader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

from experiments.trials import Trial
from framework.core.durable import LogWritten, ScalarSet
from framework.core.message import NodeId
from framework.core.node_runtime import NodeRuntime
from framework.engine.base import Experiment
from plugins.protocols.raft.messages import Entry
from plugins.protocols.raft.node import LEADER, Raft


class Election(NamedTuple):
    """How it went, in nanoseconds of the run; without a leader (None) the horizon came first.

    `term` is the leader's, or the last that anyone entered. `elected` is when it had its majority, `heard` when the
    last of the others had its first message.
    """

    leader: NodeId | None
    term: int
    elected: int
    heard: int


class ElectionTrial(Trial):
    """`hold` drives it."""

    def __init__(self, experiment: Experiment, seed: int) -> None:
        super().__init__(experiment, seed)
        self._voters: set[NodeId] = set(experiment.nodes)
        self._elected: dict[int, tuple[NodeId, int]] = {}  # term -> its leader, and when it won
        self._heard: dict[int, dict[NodeId, int]] = {}  # term -> who has heard of its leader, and when

    def lay_down(self, logs: Mapping[NodeId, int], term: int, voted_for: NodeId) -> None:
        """Every disk holds `term`, a vote and a log of so many entries of that term."""
        for node, length in logs.items():
            log = LogWritten("", "log", 1, 1, [Entry(term, None)] * length)
            self.nodes[node].storage.commit([ScalarSet("", "term", term), ScalarSet("", "voted_for", voted_for), log])

    def crash_at(self, at: int, *nodes: NodeId) -> None:
        """These servers stop at `at`, for good: nobody waits for them to hear of the leader."""
        super().crash_at(at, *nodes)
        self._voters -= set(nodes)

    def hold(self) -> Election:
        """Runs to the first leader of whom all others that are up have heard, or to the experiment's end."""
        if not self.play():
            term = max(
                cast(Raft, hosted.runtime.root).term for hosted in self.nodes.values() if hosted.runtime is not None
            )
            return Election(None, term, self.true_time, self.true_time)
        term = next(filter(self._known, self._elected))
        leader, elected = self._elected[term]
        return Election(leader, term, elected, max(self._heard[term].values()))

    def seen_enough(self, runtime: NodeRuntime) -> bool:
        node = cast(Raft, runtime.root)
        if node.role == LEADER:
            if node.term not in self._elected:
                self._elected[node.term] = (node.id, _when_set(runtime, "heartbeat", node.config.heartbeat_interval))
        elif node.leader is not None:
            heard = self._heard.setdefault(node.term, {})
            if node.id not in heard:
                heard[node.id] = _when_set(runtime, "start_election", node.election_timeout)
        return self._known(node.term)

    def _known(self, term: int) -> bool:
        """Whether all others that are up have heard of the term's leader."""
        if term not in self._elected:
            return False
        return self._heard.get(term, {}).keys() >= self._voters - {self._elected[term][0]}


def _when_set(runtime: NodeRuntime, timer: str, after: int) -> int:
    """When a node last set a timer; unlike the end of the batch in which it did, this leaves out the commit."""
    deadline = runtime.timers["", timer, ()].deadline
    return deadline - after
