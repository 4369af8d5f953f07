"""The impairments of links and nodes that are in force. They are sent to processes that start later."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from framework.core.message import NodeId
from framework.engine.ray.worker.local_faults import ClockSetting
from framework.faults.actions import Action, ImpairLinks, RestoreLinks, SetClock, SetDisk


class FaultsInForce:
    """The driver's record of faults in force. Clock and disk faults belong to a node, and outlive its processes; link
    faults belong to a link."""

    def __init__(self) -> None:
        self._link_faults: dict[int, ImpairLinks] = {}
        self._disks: dict[NodeId, SetDisk] = {}
        self._clocks: dict[NodeId, list[ClockSetting]] = {}

    def note(self, action: ImpairLinks | RestoreLinks | SetDisk | SetClock, now: int) -> None:
        """Records `action` as in force from the time `now`."""
        match action:
            case ImpairLinks():  # a joining node extends an impairment already in force
                known = self._link_faults.get(action.token)
                links = action.links if known is None else (*known.links, *action.links)
                self._link_faults[action.token] = msgspec.structs.replace(action, links=links)
            case RestoreLinks():
                self._link_faults.pop(action.token, None)
            case SetClock():
                self._clocks.setdefault(action.node, []).append((now, action.drift_ppm, action.step))
            case SetDisk():
                if not self.damaged((action.node,)):
                    self._disks[action.node] = action
                    if action.trouble == "none":
                        del self._disks[action.node]

    def on_storage_failed(self, node: NodeId) -> None:
        """Ends a failed_fsync fault of the node whose storage failed: an fsync fails only once."""
        if node in self._disks and self._disks[node].trouble == "failed_fsync":
            del self._disks[node]

    def damaged(self, nodes: Collection[NodeId]) -> bool:
        """Returns whether one of these nodes has damaged storage."""
        return any(node in self._disks and self._disks[node].trouble == "damage" for node in nodes)

    def faults(self, nodes: Collection[NodeId]) -> tuple[Action, ...]:
        """Returns the link faults on the links out of these nodes, and the disk faults of the nodes except damage."""
        link_faults = [
            outward for impair in self._link_faults.values() if (outward := leaving(impair, nodes)) is not None
        ]
        return (
            *link_faults,
            *(disk for node, disk in self._disks.items() if node in nodes and disk.trouble != "damage"),
        )

    def clocks(self, nodes: Collection[NodeId]) -> dict[NodeId, tuple[ClockSetting, ...]]:
        """Returns the clock settings of each of these nodes, in order."""
        return {node: tuple(settings) for node, settings in self._clocks.items() if node in nodes}


def leaving(impair: ImpairLinks, nodes: Collection[NodeId]) -> ImpairLinks | None:
    """Returns the part of an impairment that affects links out of these nodes; None if there is none."""
    links = tuple(link for link in impair.links if link[0] in nodes)
    return msgspec.structs.replace(impair, links=links) if links else None
