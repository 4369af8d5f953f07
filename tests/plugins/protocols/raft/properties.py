"""The properties of Raft's Figure 3, all of every log looked at every time: the invariants' naive twin."""

from __future__ import annotations

from typing import Any

from framework import NodeId, Violation
from framework.testing.cluster import Cluster
from plugins.protocols.raft.messages import Entry


class Properties:
    """Violation as soon as one of them breaks."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.leaders: dict[int, NodeId] = {}  # by term
        self.longest: dict[int, int] = {}  # term -> the last index of its leader's log
        self.committed: list[Entry] = []
        self.committed_in: list[int] = []  # the term of whoever was first seen to have committed it
        # (index, term) -> (term of the entry before it, entry)
        self.before: dict[tuple[int, int], tuple[int, Entry]] = {}

    def observe(self, node_id: NodeId) -> None:
        if node_id not in self.cluster.servers:
            return
        node = self.cluster.node(node_id)
        log = self._compacted(node) + list(node.log)
        self._check_log_matching(node_id, log)
        if node.role == "leader":
            self._check_election(node_id, node.term, log)
            self._check_append_only(node_id, node.term, len(log))
        self._check_committed(node_id, log[: node.commit], node.commit)
        if not node.log.first - 1 <= node.snapshot_index <= node.commit:
            raise Violation(
                "snapshot safety", [node_id], "its snapshot covers less than it should, or more than it may"
            )
        self.committed_in += [node.term] * (len(self.committed) - len(self.committed_in))

    def _compacted(self, node: Any) -> list[Entry]:
        """What its log has forgotten: the past of the entry that its snapshot ends with."""
        past: list[Entry] = []
        index, term = node.snapshot_index, node.snapshot_term
        while index:
            # The invariants, which may look at some batches only, cannot know that.
            assert (index, term) in self.before, f"the snapshot of {node.id} covers index {index}, which nobody held"
            term, entry = self.before[index, term]
            past.append(entry)
            index -= 1
        return past[::-1][: node.log.first - 1]

    def _check_log_matching(self, node_id: NodeId, log: list[Entry]) -> None:
        previous = 0
        for index, entry in enumerate(log, 1):
            seen = self.before.setdefault((index, entry.term), (previous, entry))
            if seen != (previous, entry):
                raise Violation("log matching", [node_id], f"index {index} of term {entry.term} stands for two pasts")
            previous = entry.term

    def _check_election(self, node_id: NodeId, term: int, log: list[Entry]) -> None:
        elected = self.leaders.setdefault(term, node_id)
        if elected != node_id:
            raise Violation("election safety", [elected, node_id], f"both lead term {term}")
        # A leader of an earlier term than the last commit's may linger without it.
        due = max((index for index, since in enumerate(self.committed_in, 1) if since < term), default=0)
        if log[:due] != self.committed[:due]:
            raise Violation("leader completeness", [node_id], f"leads term {term} without all that is committed")

    def _check_append_only(self, node_id: NodeId, term: int, last: int) -> None:
        if last < self.longest.setdefault(term, last):
            raise Violation("leader append-only", [node_id], f"the log of the leader of term {term} shrank to {last}")
        self.longest[term] = last

    def _check_committed(self, node_id: NodeId, entries: list[Entry], commit: int) -> None:
        if len(entries) < commit:
            raise Violation("state machine safety", [node_id], f"lost entries that it applied, up to {commit}")
        known = min(len(entries), len(self.committed))
        if entries[:known] != self.committed[:known]:
            raise Violation("state machine safety", [node_id], f"applied other entries than others before {known}")
        self.committed.extend(entries[known:])
