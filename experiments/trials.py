"""One simulated run without clients, to the moment that a study waits for.

The servers are the protocol's own nodes on the simulator's links, clocks and disks. A study says what stands on their
disks at the start, which of them stop, what is sent to them from outside, and when it has seen enough.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial

from framework.checking.monitors import Halt
from framework.config.compose import compose
from framework.core.effects import Effect, Send
from framework.core.message import Message, NodeId
from framework.core.node_runtime import NodeRuntime
from framework.engine.base import Experiment
from framework.engine.sim.simulation import Simulation


@lru_cache
def servers(protocol: str, *settings: str) -> Experiment:
    """Servers alone, as `framework.run` would compose them from these settings."""
    composed = compose([f"protocol={protocol}", "engine=sim", "trace=none", "clients=1", *settings])
    return replace(composed.experiment, clients=(), settle=0)


class Trial(Simulation, ABC):
    """One run. `play` drives it to the first moment at which `seen_enough`."""

    def __init__(self, experiment: Experiment, seed: int) -> None:
        super().__init__(replace(experiment, seed=seed))
        for node in self.servers.values():
            node.watch = self._observe

    @abstractmethod
    def seen_enough(self, runtime: NodeRuntime) -> bool:
        """Is shown a server after each of its batches; True ends the run."""

    def crash_at(self, at: int, *nodes: NodeId) -> None:
        """These servers stop at `at`, for good."""
        for node in nodes:
            self.call_at(at, partial(self._crash_one, node))

    def send_at(self, at: int, sender: NodeId, messages: Mapping[NodeId, Message]) -> None:
        """At `at` the links of `sender` carry these messages, as if it had sent them."""
        effects: list[Effect] = [Send(to, "", message) for to, message in messages.items()]
        self.call_at(at, lambda: self._release(self.nodes[sender], effects))

    def play(self) -> bool:
        """Whether enough was seen before the experiment's end."""
        try:
            self.run()
        except Halt:
            return True
        raised = [crash.traceback for crash in self.crashes if not crash.asked]
        assert not raised, f"a server raised: {raised[0]}"
        return False

    def _crash_one(self, node: NodeId) -> None:
        if self.nodes[node].runtime is not None:
            self.crash(self.nodes[node], "the study stops it")

    def _observe(self, runtime: NodeRuntime, now: int, step: int) -> None:
        if self.seen_enough(runtime):
            raise Halt
