"""Carries out the faults of an experiment: the actions that the injector schedules, through the engine's ports."""

from __future__ import annotations

from typing import Protocol

from framework.core.message import NodeId
from framework.core.random_streams import stream
from framework.engine.base import Experiment
from framework.engine.tally import Tally
from framework.faults.actions import (
    Action,
    Crash,
    ImpairLinks,
    Pause,
    Restart,
    RestoreLinks,
    Resume,
    RunAdminOperation,
    SetClock,
    SetDisk,
)
from framework.faults.injector import Injector, Sight
from framework.faults.ledger import LedgerEntry


class FaultPorts(Protocol):
    """The actions of faults as an engine implements them. Each writes the action to the trace before executing it.

    A method that returns a bool says whether the action made a difference. Methods are called only where they apply: a
    node that is up crashes or pauses, a paused node resumes, a node that is down restarts.
    """

    def look(self) -> Sight: ...
    def is_up(self, node: NodeId) -> bool: ...
    def is_paused(self, node: NodeId) -> bool: ...
    def change_links(self, action: ImpairLinks | RestoreLinks) -> None: ...
    def administer(self, action: RunAdminOperation) -> None: ...
    def crash(self, action: Crash) -> bool: ...
    def restart(self, action: Restart) -> bool: ...
    def pause(self, action: Pause) -> bool: ...
    def resume(self, action: Resume) -> bool: ...
    def set_clock(self, action: SetClock) -> bool: ...
    def set_disk(self, action: SetDisk) -> bool: ...


class FaultExecutor:
    """Drives an `Injector` by the run's time and carries out its actions."""

    def __init__(self, experiment: Experiment, ports: FaultPorts) -> None:
        self._ports = ports
        self.injector = Injector(
            experiment.make_fault_plans(), experiment.clients, quiet_at=experiment.duration - experiment.quiet,
            stream=lambda name: stream(experiment.seed, "fault", name), do=self._do, watches_disks=True,
            roles=experiment.roles,
        )  # fmt: skip

    @property
    def fired(self) -> dict[str, int]:
        """Number of times that each fault has fired."""
        return {name: entry.fired for name, entry in self.injector.entries.items()}

    def look(self) -> Sight:
        """Returns the servers as faults see them."""
        return self._ports.look()

    def carry_out_due(self, now: int) -> None:
        """Carries out all actions due at `now`."""
        self.injector.due(now, self._ports.look)

    def ledger(self, touched_counts: dict[int, tuple[int, int]], tally: Tally) -> tuple[LedgerEntry, ...]:
        """Returns the effects of each fault. `touched_counts`: by impairment, the number of messages that passed it
        and the number that it touched. Called once, at the end."""
        self.injector.count_touched(touched_counts)
        self.injector.count_administered(tally.administered)
        return tuple(self.injector.entries.values())

    def _do(self, action: Action) -> bool:
        """Carries out `action`; returns whether it makes a difference."""
        ports = self._ports
        match action:
            case ImpairLinks() | RestoreLinks():
                ports.change_links(action)
                return True
            case RunAdminOperation():
                ports.administer(action)
                return True
            case Crash():
                return ports.is_up(action.node) and ports.crash(action)
            case Restart():
                return not ports.is_up(action.node) and ports.restart(action)
            case Pause():
                return ports.is_up(action.node) and not ports.is_paused(action.node) and ports.pause(action)
            case Resume():
                return ports.is_paused(action.node) and ports.resume(action)
            case SetClock():
                return ports.set_clock(action)
            case SetDisk():
                return ports.set_disk(action)
