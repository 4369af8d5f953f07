"""Raft, whole: the core of Figure 2 and what is built on it."""

from __future__ import annotations

from plugins.protocols.raft.membership import Membership
from plugins.protocols.raft.reads import Reading
from plugins.protocols.raft.transfer import Transferring


class Raft(Membership, Reading, Transferring):
    """A server of Raft."""
