"""Monitors: check a protocol's invariants during a run, and collect the results.

An engine calls `observe` of a node's watcher when the effects of a batch leave. The first violation ends the run.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from framework.checking.invariants import Invariant, Step
from framework.core.errors import RAISED, PluginFailed, Violation
from framework.core.message import NodeId
from framework.core.node import Node
from framework.core.node_runtime import NodeRuntime
from framework.core.tracebacks import plugin_gave


@dataclass(frozen=True)
class Breach:
    """A broken invariant: the property, the nodes concerned and what happened.

    `seq` is the step that broke it, `time` its time in the run, in nanoseconds; `operation` the operation that it is
    about, if it is about one.
    """

    name: str
    nodes: tuple[NodeId, ...]
    what: str
    time: int
    seq: int
    operation: int | None = None


@dataclass(frozen=True)
class Watch:
    """The result of watching a run: the number of `observations` of nodes, and the breach that ended it, if any.

    `failures` has the traceback of each invariant that raised anything but a Violation, by name, or one line on what it
    returned. It was not called from then on, so it proves nothing. `lost` gives the reason for each node that could not
    be observed all the time, and `unseen` the longest such time, in nanoseconds: conclusions may rest on an outdated
    state of that node.
    """

    invariants: tuple[str, ...]
    observations: int
    breach: Breach | None = None
    failures: dict[str, str] = field(default_factory=dict)
    lost: dict[NodeId, str] = field(default_factory=dict)
    unseen: int = 0


class Halt(BaseException):
    """Ends a run at once, between two steps. Not an Exception, so that no engine treats it as the crash of a node."""


class Monitors:
    """The invariants of one run. They observe one of every `every` batches of a node, beginning with the first."""

    def __init__(self, invariants: Sequence[type[Invariant[Any]]], every: int = 1) -> None:
        assert every >= 1
        self.every = every
        self._classes = tuple(invariants)
        self._groups: dict[str, list[Invariant[Any]]] = {}  # by mount path
        self._watchers: dict[NodeId, Watcher] = {}
        self._breach: Breach | None = None
        self._failures: dict[str, str] = {}

    def watcher(self, node: NodeId) -> Watcher:
        """Returns the watcher of this node."""
        return self._watchers.setdefault(node, Watcher(node, self))

    def watch(self) -> Watch:
        """Returns the result so far."""
        names = tuple(invariant.__qualname__ for invariant in self._classes)
        observations = sum(watcher.observations for watcher in self._watchers.values())
        return Watch(names, observations, self._breach, dict(self._failures))

    def group(self, path: str, node: Node) -> list[Invariant[Any]]:
        """Returns the invariants of the group at `path` that watch nodes of this class."""
        group = self._groups.get(path)
        if group is None:
            made = [self._made(invariant) for invariant in self._classes]
            group = self._groups[path] = [invariant for invariant in made if invariant is not None]
        return [each for each in group if isinstance(node, each.watches) and not self.has_failed(each)]

    def has_failed(self, invariant: Invariant[Any]) -> bool:
        return type(invariant).__qualname__ in self._failures

    def halt(self, violation: Violation, step: Step) -> NoReturn:
        """Records the breach, and ends the run by raising Halt."""
        nodes = violation.nodes or (step.node,)
        self._breach = Breach(violation.name, nodes, violation.what, step.time, step.seq, violation.operation)
        raise Halt from violation

    def retire(self, invariant: type[Invariant[Any]]) -> None:
        """Retires an invariant that has just failed otherwise than by a Violation: it is not called any more."""
        error = sys.exc_info()[1]
        text = error.what if isinstance(error, PluginFailed) else traceback.format_exc()
        self._failures[invariant.__qualname__] = text
        for watcher in self._watchers.values():
            watcher.forget_failed()

    def _made(self, invariant: type[Invariant[Any]]) -> Invariant[Any] | None:
        """Creates an invariant of this class; None if its constructor raises."""
        try:
            return invariant()
        except RAISED:
            self.retire(invariant)
            return None


class Watcher:
    """Passes one node, and everything mounted in it, to the invariants."""

    __slots__ = ("_left", "_monitors", "_seen", "_skipped", "_step", "observations")

    def __init__(self, node: NodeId, monitors: Monitors) -> None:
        self.observations = 0
        self._monitors = monitors
        self._left = 1  # batches until the next observation
        self._seen: dict[str, tuple[Node, list[Invariant[Any]]]] = {}  # by mount path: the node last seen
        self._skipped: dict[str, Node] = {}  # mounts that took part in batches since the last observation
        self._step = Step(node)

    def observe(self, runtime: NodeRuntime, time: int, seq: int) -> None:
        """Passes the node, and its mounts that took part in the batch, to the invariants after step `seq`, `time`
        nanoseconds into the run.

        Raises Halt if an invariant is broken.
        """
        if self._left > 1:
            self._left -= 1
            if len(runtime.nodes) > 1:
                self._skipped.update(runtime.active)
            return
        self._left = self._monitors.every
        self.observations += 1
        step = self._step
        step.time, step.seq = time, seq
        nodes = runtime.nodes
        self._observe("", nodes[""])
        if len(nodes) > 1:
            active = {**self._skipped, **runtime.active} if self._skipped else runtime.active
            self._skipped = {}
            for path in active:
                if path and path in nodes:
                    self._observe(path, nodes[path])

    def _observe(self, path: str, node: Node) -> None:
        """Passes the node at `path` to its invariants."""
        step = self._step
        known = self._seen.get(path)
        step.path, step.started = path, False
        if known is None or known[0] is not node:
            known = self._seen[path] = (node, self._monitors.group(path, node))
            step.started = True
        for invariant in known[1]:
            try:
                answer: object = invariant.observe(step, node)
                if answer is not None:  # False, say, where a Violation was meant
                    raise plugin_gave("", "observe", answer, "None or a raised Violation", type(invariant).observe)
            except Violation as violation:
                self._monitors.halt(violation, step)
            except RAISED:  # a bug of the invariant, not a failure of the node
                self._monitors.retire(type(invariant))

    def on_crash(self) -> None:
        """Calls `on_crash` of every invariant that has observed the node or one of its mounts."""
        for _, invariants in list(self._seen.values()):
            for invariant in invariants:
                try:
                    invariant.on_crash(self._step.node)
                except Violation as violation:
                    self._monitors.halt(violation, self._step)
                except RAISED:  # as in `observe`
                    self._monitors.retire(type(invariant))

    def forget_failed(self) -> None:
        """Stops calling invariants that have failed."""
        has_failed = self._monitors.has_failed
        for path, (node, invariants) in self._seen.items():
            self._seen[path] = (node, [each for each in invariants if not has_failed(each)])
