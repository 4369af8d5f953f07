"""What an administrator may ask of the leader; the features that can do it say how."""

from __future__ import annotations

from framework import Administer, Administered, NodeId, NotLeader, handles
from plugins.protocols.raft.clients import Serving
from plugins.protocols.raft.election import LEADER


class Administration(Serving):
    """Answers `Administer` with `Administered`, or with `NotLeader`."""

    @handles(Administer)
    def on_administer(self, sender: NodeId, wish: Administer) -> None:
        if self.role == LEADER:
            self.administer(sender, wish)
        else:
            self.send(sender, NotLeader(wish.operation, 0, self.leader))

    def administer(self, sender: NodeId, wish: Administer) -> None:
        """Has the leader do it."""
        self.send(sender, Administered(wish.operation, f"nobody here can {wish.function}"))
