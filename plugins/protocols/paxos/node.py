"""A node of the Synod: proposer, acceptor and learner in one; which of them it plays, the config says."""

from __future__ import annotations

from plugins.protocols.paxos.acceptor import Acceptor
from plugins.protocols.paxos.messages import NO_BALLOT
from plugins.protocols.paxos.proposer import Proposer


class Paxos(Proposer, Acceptor):
    """Plays its roles in every instance at once; each key of an operation names an instance of the Synod."""

    @property
    def status(self) -> dict[str, str | int | bool | None]:
        casts = {"proposer": self.proposers, "acceptor": self.acceptors, "learner": self.learners}
        under_way = [attempt.ballot for attempt in self.attempts.values()]
        return {
            "role": " ".join(role for role, cast in casts.items() if self.id in cast),
            "proposing": len(under_way),
            "ballot": str(max(under_way)) if under_way and max(under_way) > NO_BALLOT else None,
            "bound": len(self.vows),
            "decided": len(self.decided),
        }
