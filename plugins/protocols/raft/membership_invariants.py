"""Invariants of membership changes.

| property | definition | source |
| --- | --- | --- |
| latest configuration | a server uses the latest configuration in its log | §6 |
| joint consensus | any quorum of a configuration meets each quorum of the previous one in a log | §6 |
| one change at a time | a leader first commits the previous configuration and an entry of its term | Ongaro, 2015 |
| elected by a quorum | a leader has the votes of a quorum of the configuration of its candidacy | §5.2, §6 |
| committed by a quorum | a quorum of its configuration holds each entry that a leader commits in its term | §5.3, §6 |

"Ongaro, 2015" is his post of that year. The checks derive configurations from the logs as they grow, and compare the
node's own view of its configuration against them.
"""

from __future__ import annotations

from typing import TypeAlias

from framework import Invariant, NodeId, Quorums, Step, Violation
from plugins.protocols.raft.messages import Configuration
from plugins.protocols.raft.node import LEADER, Raft

Placed: TypeAlias = tuple[int, Configuration]
"""A configuration, and its index in a log."""


class _Server:
    """The state of one server when it was last seen."""

    __slots__ = ("commit", "cuts", "in_force", "last", "led", "placed", "quorums")

    def __init__(self) -> None:
        self.placed: list[Placed] = []  # all configurations in its log
        self.quorums: Quorums | None = None
        self.cuts = self.last = self.commit = 0
        self.in_force = 0  # the index of the latest one
        self.led = 0  # the last term in which it was seen to lead


class Configurations(Invariant[Raft]):
    """Checks all properties of membership changes."""

    def __init__(self) -> None:
        self.servers: dict[NodeId, _Server] = {}
        self.meeting: set[tuple[Configuration, Configuration]] = set()  # pairs already checked

    def observe(self, step: Step, node: Raft) -> None:
        known = self.servers.get(step.node)
        if known is None:
            known = self.servers[step.node] = _Server()
        if step.started:
            known.cuts = -1  # it may have lost its tail
        log = node.log
        if log.cuts != known.cuts or log.last != known.last:
            self._scan(node, known)
        covered = [placed for placed in node.membership.configurations if placed[0] <= node.snapshot_index]
        placed = covered + [placed for placed in known.placed if placed[0] > node.snapshot_index]
        if node.quorums is not known.quorums or placed[-1][0] != known.in_force:
            known.quorums = node.quorums
            if node.quorums != placed[-1][1].quorums:
                what = f"goes by the quorums of {_names(node.quorums.nodes)}, and its log has {_told(placed[-1])}"
                raise Violation("latest configuration", (step.node,), what)
        if node.role == LEADER:
            self._check_leader(node, known, placed)
        known.commit, known.in_force = node.commit, placed[-1][0]

    def _scan(self, node: Raft, known: _Server) -> None:
        log, start = node.log, known.last + 1
        if log.cuts != known.cuts:
            known.placed = [(index, found) for index, found in known.placed if _holds(node, index, found)]
            start = known.placed[-1][0] + 1 if known.placed else log.first
        for index, entry in enumerate(log.slice(max(start, log.first), log.last + 1), max(start, log.first)):
            if entry.configuration is not None:
                known.placed.append((index, entry.configuration))
        known.cuts, known.last = log.cuts, log.last

    def _check_leader(self, node: Raft, known: _Server, placed: list[Placed]) -> None:
        if known.led != node.term:
            known.led = node.term
            self._check_votes(node, placed)
        if placed[-1][0] > known.in_force and node.term_at(placed[-1][0]) == node.term:
            self._check_change(node, *placed[-2:])
        if node.commit > known.commit and node.term_at(node.commit) == node.term:
            self._check_commit(node, known, placed)

    def _check_votes(self, node: Raft, placed: list[Placed]) -> None:
        stood_with = node.last_not_after(node.term - 1, node.log.last) or node.snapshot_index
        if node.term_at(stood_with) == node.term:  # first seen after the entries before its term were compacted
            return
        configuration = next(found for index, found in reversed(placed) if index <= stood_with)
        if not configuration.quorums.reached(node.votes):
            what = f"leads term {node.term} by the votes of {_names(node.votes)}, with {configuration}"
            raise Violation("elected by a quorum", (node.id,), what)

    def _check_change(self, node: Raft, before: Placed, now: Placed) -> None:
        if node.commit < before[0] or node.term_at(node.commit) != node.term:
            what = f"appended {_told(now)} before {_told(before)}, and an entry of term {node.term}, were committed"
            raise Violation("one change at a time", (node.id,), what)
        pair = before[1], now[1]
        if pair not in self.meeting and (apart := _apart(*pair)) is not None:
            what = f"{_names(apart[0])} may act by {_told(before)}, and {_names(apart[1])} by {_told(now)}"
            raise Violation("joint consensus", (node.id,), what)
        self.meeting.add(pair)

    def _check_commit(self, node: Raft, known: _Server, placed: list[Placed]) -> None:
        """Checks that one of the configurations in force since the last step justifies the commit index."""
        in_force = [found for index, found in placed if index >= known.in_force]
        if max(found.quorums.held(node.match_index) for found in in_force) < node.commit:
            holders = [server for server, held in node.match_index.items() if held >= node.commit]
            what = f"committed index {node.commit}, held by {_names(holders)}, with {in_force[-1]}"
            raise Violation("committed by a quorum", (node.id,), what)


def _holds(node: Raft, index: int, configuration: Configuration) -> bool:
    log = node.log
    return log.first <= index <= log.last and log[index].configuration == configuration


def _apart(one: Configuration, other: Configuration) -> tuple[tuple[NodeId, ...], tuple[NodeId, ...]] | None:
    """Returns a quorum of each configuration that are disjoint; None if all quorums intersect."""
    for quorum in one.quorums.quorums():
        rest = [server for server in other.quorums.nodes if server not in quorum]
        if (meanwhile := other.quorums.within(rest)) is not None:
            return quorum, meanwhile
    return None


def _told(placed: Placed) -> str:
    return f"{placed[1]} (index {placed[0]})"


def _names(servers: tuple[NodeId, ...] | set[NodeId] | list[NodeId]) -> str:
    return " ".join(sorted(servers)) or "nobody"
