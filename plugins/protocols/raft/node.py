"""Raft, whole: the core of Figure 2 and what is built on it."""

from __future__ import annotations

from plugins.protocols.raft.replication import Replication


class Raft(Replication):
    """A server of Raft."""
