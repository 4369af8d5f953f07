"""Invariants of Raft: the properties of Figure 3, and those that they assume.

| property | definition | source |
| --- | --- | --- |
| election safety | at most one leader per term, at all times | Figure 3, §5.2 |
| one vote a term | a node never changes its vote in a term, restarts included | Figure 2, §5.2 |
| term order | a node's term never decreases, restarts included | §5.1 |
| leader append-only | a leader's log only grows during its term | Figure 3, §5.3 |
| log matching | an index and a term identify one entry with one prefix, in all logs at all times | Figure 3, §5.3 |
| leader completeness | a leader holds all entries committed in earlier terms | Figure 3, §5.4.3 |
| state machine safety | the entry applied at an index is the same everywhere, and never lost | Figure 3, §5.4.3 |
| commit order | a commit index never decreases between restarts, and lies within the log | Figure 2 |
| snapshot safety | a snapshot covers all compacted, only committed entries, never shrinks, and is unique | thesis 5.1 |
| lease exclusivity | while a leader's lease holds, there is no leader of a later term | thesis 6.4.1 |

A snapshot is unique if all nodes have the same snapshot at the same index.

`Elections` checks terms and votes, `Logs` logs and commit indexes, `Snapshots` snapshots, `Leases` the leases that
reads rely on, and `Configurations` (in `membership_invariants.py`) membership changes. The cost of a step is
proportional to its changes: an entry is checked when it is new to a log, and again when it is committed there; a
truncated log is compared completely with its previous state. For entries that a node compacted before they were seen
there, the prefix of its snapshot's last entry is used, as known from other logs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice
from typing import TypeAlias

from framework import DurableLog, Invariant, NodeId, Step, Violation
from plugins.protocols.raft.membership_invariants import Configurations
from plugins.protocols.raft.messages import Entry, Snapshot
from plugins.protocols.raft.node import LEADER, Raft

Ballot: TypeAlias = tuple[int, NodeId | None, str]
"""A node's term, vote and role."""


class Elections(Invariant[Raft]):
    """Checks election safety, one vote a term, and term order."""

    def __init__(self) -> None:
        self.leaders: dict[int, NodeId] = {}  # by term
        self.ballots: dict[NodeId, Ballot] = {}  # by node, as last seen

    def observe(self, step: Step, node: Raft) -> None:
        name = step.node
        ballot = node.term, node.voted_for, node.role
        known = self.ballots.get(name)
        if known == ballot:
            return
        self.ballots[name] = ballot
        if known is not None:
            self._check_vote(name, known, ballot)
        term, _, role = ballot
        if role == LEADER:
            elected = self.leaders.setdefault(term, name)
            if elected != name:
                raise Violation("election safety", (elected, name), f"both were elected in term {term}")

    def _check_vote(self, name: NodeId, old: Ballot, new: Ballot) -> None:
        (before, voted, _), (term, vote, _) = old, new
        if term < before:
            raise Violation("term order", (name,), f"went back from term {before} to {term}")
        if term == before and voted is not None and vote != voted:
            then = f"then for {vote}" if vote else "then forgot it"
            raise Violation("one vote a term", (name,), f"voted for {voted} in term {term}, {then}")


Sighting: TypeAlias = tuple[Entry | None, int, NodeId]
"""An entry (None: not seen), the term of the previous entry (-1: unknown), and the node whose log held them."""

UNSEEN: Sighting = (None, -1, "")


class _Log:
    """The state of one node's log when it was last seen."""

    __slots__ = ("agreed", "commit", "cuts", "entries", "first", "led")

    def __init__(self) -> None:
        self.entries: list[Entry | None] = []  # compacted ones included; None: compacted before it was seen anywhere
        self.first = 1  # all entries before are compacted
        self.cuts = 0  # the number of truncations
        self.agreed = 0  # up to here it holds the committed entries
        self.commit = 0
        self.led = -1  # the last term in which it was seen to lead; -1: none since its start


class Logs(Invariant[Raft]):
    """Checks leader append-only, log matching, leader completeness, state machine safety, and commit order."""

    def __init__(self) -> None:
        self.logs: dict[NodeId, _Log] = {}
        # By index: the first sighting. Sightings of other terms are in `others`, by index and term.
        self.first: list[Sighting] = []
        self.others: dict[tuple[int, int], Sighting] = {}
        # By index: the committed entry, the term in which it was first seen as committed, and the node.
        self.committed: list[tuple[Entry | None, int, NodeId]] = []
        self.newest: tuple[int, NodeId] = (0, "")  # the highest term with a leader, and that leader

    def observe(self, step: Step, node: Raft) -> None:
        known = self.logs.get(step.node)
        if known is None:
            known = self.logs[step.node] = _Log()
        if step.started:
            known.commit, known.led = 0, -1
            known.cuts = -1  # it may have lost its tail
        log = node.log
        if log.cuts != known.cuts or log.last != len(known.entries) or log.first != known.first:
            self._check_log(node, known)
        if node.role == LEADER and known.led != node.term:
            known.led = node.term
            self.newest = max(self.newest, (node.term, step.node))
            self._check_leader(node.term, step.node)
        if node.commit != known.commit:
            self._check_commit(node, known)

    def _cut(self, node: Raft, known: _Log, kept: int) -> None:
        """Checks and records that the node lost its entries after index `kept`."""
        held = len(known.entries)
        if kept == held:
            return
        entry = known.entries[kept]
        lost = f"entry {kept + 1}" + (f" of term {entry.term}" if entry else "")
        if known.led == node.term:
            raise Violation("leader append-only", (node.id,), f"removed {lost} while it led term {node.term}")
        if kept < known.agreed:
            _, term, where = self.committed[kept]
            what = f"{node.id} lost {lost}, which {where} committed in term {term}"
            raise Violation("state machine safety", dict.fromkeys((where, node.id)), what)
        del known.entries[kept:]

    def _check_log(self, node: Raft, known: _Log) -> None:
        """Checks a changed log: new entries must have the same prefix as in other logs."""
        log, entries, first, name = node.log, known.entries, self.first, node.id
        if log.cuts != known.cuts:
            known.cuts = log.cuts
            self._cut(node, known, _common(entries, log))
            if log.first != known.first:  # a snapshot may have replaced these entries
                del entries[known.agreed :]
        if log.first != known.first:
            known.first = log.first
            self._check_compaction(node, entries)
        index = len(entries)
        before = _last_term(node, entries)
        for entry in log.slice(index + 1, log.last + 1):
            if index == len(first):
                first.append((entry, before, name))
            else:
                seen = first[index]
                if seen[0] is not entry or seen[1] != before:
                    self._check_match(name, index, entry, before)
            entries.append(entry)
            before = entry.term
            index += 1

    def _check_compaction(self, node: Raft, entries: list[Entry | None]) -> None:
        """Fills in entries that were compacted before they were seen here: the prefix of the snapshot's last entry."""
        log, held, base = node.log, len(entries), node.snapshot_index
        if held >= log.first and base == log.first - 1:
            self._check_match(node.id, base, log[log.first], node.snapshot_term)
        if held < log.first - 1:
            entries += self._past(base, node.snapshot_term, held)[: log.first - 1 - held]
            self.first += [UNSEEN] * (log.first - 1 - len(self.first))

    def _past(self, index: int, term: int, start: int) -> list[Entry | None]:
        """Returns the entries after `start` up to (`index`, `term`); None for an entry that was seen nowhere."""
        past: list[Entry | None] = []
        while index > start:
            seen = self.first[index - 1] if index <= len(self.first) else UNSEEN
            if seen[0] is None or seen[0].term != term:
                seen = self.others.get((index - 1, term), UNSEEN)
            past.append(seen[0])
            index, term = index - 1, seen[1]
        return past[::-1]

    def _check_match(self, name: NodeId, index: int, entry: Entry, before: int) -> None:
        """Checks `entry`, which follows one of term `before`, against the sighting with the same index and term."""
        seen = self.first[index]
        if seen[0] is None:
            seen = self.first[index] = (entry, before, name)
        elif seen[0].term != entry.term:
            seen = self.others.setdefault((index, entry.term), (entry, before, name))
        if seen[0] != entry or (seen[1] != before and -1 not in (seen[1], before)):
            what = f"index {index + 1} of term {entry.term} has two different entries, or two different pasts"
            raise Violation("log matching", dict.fromkeys((seen[2], name)), what)

    def _check_leader(self, led: int, name: NodeId) -> None:
        """Checks that the leader of the term `led` holds the entries committed in earlier terms."""
        known, committed = self.logs[name], self.committed
        entries, due = known.entries, len(committed)
        while due and committed[due - 1][1] >= led:
            due -= 1
        for index in range(known.agreed, due):
            entry, term, where = committed[index]
            if index >= len(entries) or _differ(entries[index], entry):
                what = f"{name} leads term {led} without entry {index + 1}, which {where} committed in term {term}"
                raise Violation("leader completeness", (where, name), what)
        known.agreed = max(known.agreed, due)

    def _check_commit(self, node: Raft, known: _Log) -> None:
        """Checks a changed commit index: higher, within the log, and over the entries committed elsewhere."""
        commit, entries, committed = node.commit, known.entries, self.committed
        if commit < known.commit:
            raise Violation("commit order", (node.id,), f"its commit index fell from {known.commit} to {commit}")
        if commit > len(entries):
            what = f"committed up to index {commit}, and its log ends at {len(entries)}"
            raise Violation("commit order", (node.id,), what)
        before = len(committed)
        for index in range(known.agreed, commit):
            entry = entries[index]
            if index == len(committed):
                committed.append((entry, node.term, node.id))
                continue
            other, _, where = committed[index]
            if _differ(other, entry):
                what = f"applied different entries at index {index + 1}"
                raise Violation("state machine safety", dict.fromkeys((where, node.id)), what)
        known.commit = commit
        known.agreed = max(known.agreed, commit)
        if len(committed) > before and node.term < self.newest[0]:  # a leader of an earlier term commits late
            self._check_leader(*self.newest)


def _differ(one: Entry | None, other: Entry | None) -> bool:
    """Returns whether both entries are known and differ."""
    return one is not other and one is not None and other is not None and one != other


def _last_term(node: Raft, entries: Sequence[Entry | None]) -> int:
    """Returns the term of the last of `entries`, the known entries of the node's log; -1 if unknown."""
    last = entries[-1] if entries else None
    return node.term_at(len(entries)) if last is None else last.term


def _common(entries: Sequence[Entry | None], log: DurableLog[Entry]) -> int:
    """Returns the length of the common prefix of `entries` and `log`; compacted entries count as equal."""
    compacted = log.first - 1
    for index, (old, new) in enumerate(zip(islice(entries, compacted, None), log, strict=False), compacted):
        if _differ(old, new):
            return index
    return min(len(entries), log.last)


class Snapshots(Invariant[Raft]):
    """Checks snapshot safety."""

    def __init__(self) -> None:
        self.latest: dict[NodeId, Snapshot] = {}
        self.held: dict[int, tuple[int, bytes, NodeId]] = {}  # by index: term, digest of the state, and node

    def observe(self, step: Step, node: Raft) -> None:
        snapshot, name = node.snapshot, step.node
        before = self.latest.get(name)
        if snapshot is None or snapshot is before:
            return
        self.latest[name] = snapshot
        index = snapshot.index
        if before is not None and index < before.index:
            raise Violation("snapshot safety", (name,), f"its snapshot went back from {before.index} to {index}")
        if not node.log.first - 1 <= index <= node.commit:
            span = f"its log begins at {node.log.first}, and it has committed up to {node.commit}"
            raise Violation("snapshot safety", (name,), f"its snapshot covers {index}; {span}")
        state = snapshot.term, hashlib.blake2b(snapshot.state, digest_size=8).digest()
        *first, where = self.held.setdefault(index, (*state, name))
        if tuple(first) != state:
            what = f"their snapshots up to index {index} hold different states"
            raise Violation("snapshot safety", dict.fromkeys((where, name)), what)


class Leases(Invariant[Raft]):
    """Checks lease exclusivity.

    A node is observed once its batch is durable, and may legitimately have been overtaken by then. Therefore a leader
    of a later term counts only if it was seen before the node's previous observation, which precedes the node's step.
    """

    def __init__(self) -> None:
        self.newest: tuple[int, NodeId] = (0, "")  # the highest term with a leader, and that leader
        self.knew: dict[NodeId, tuple[int, NodeId]] = {}  # by node: the value of `newest` when it was last seen

    def observe(self, step: Step, node: Raft) -> None:
        term, leader = self.knew.get(step.node, self.newest)
        if term > node.term and not step.started and node.holds_lease():
            what = f"{step.node} holds a lease of term {node.term}, and {leader} leads term {term}"
            raise Violation("lease exclusivity", (step.node, leader), what)
        if node.role == LEADER and node.term > self.newest[0]:
            self.newest = (node.term, step.node)
        self.knew[step.node] = self.newest


INVARIANTS = (Elections, Logs, Snapshots, Leases, Configurations)
