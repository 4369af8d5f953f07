"""Multi-Paxos, whole: the two phases, and what is built on them."""

from __future__ import annotations

from plugins.protocols.multipaxos.checkpoints import Checkpoints
from plugins.protocols.multipaxos.reads import Reads
from plugins.protocols.multipaxos.transfer import Transfer


class MultiPaxos(Transfer, Reads, Checkpoints):
    """A node that is proposer, acceptor and learner."""
