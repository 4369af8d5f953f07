"""Log replication (§5.3) and commitment (§5.4.2).

The leader sends before its own write is durable (Ongaro's thesis, 10.2.1), because AppendEntries promises
nothing of the leader's own. Its own acknowledgement is a message to itself, which leaves after the commit:
like any follower's it counts only for what a crash cannot take back.

`replicate` runs once, at the end of a batch that has appended. A follower is sent entries without waiting for
its last answer (`next_index` runs ahead of `match_index`) until it refuses some; then it is probed, one message
at a time, until the logs agree.
"""

from __future__ import annotations

from framework import NodeId, handles, on_timer
from plugins.protocols.raft.election import LEADER, Election
from plugins.protocols.raft.log import fitting
from plugins.protocols.raft.messages import Appended, AppendEntries, Entry


class Replication(Election):
    """Makes the followers' logs agree with the leader's. What is done with committed entries, its subclasses say."""

    def on_start(self) -> None:
        super().on_start()
        self.next_index: dict[NodeId, int] = {}
        self.match_index: dict[NodeId, int] = {}
        self.probing: set[NodeId] = set()
        self.round = 0  # of heartbeats, begun in this term
        self.answered: dict[NodeId, int] = {}  # the latest round that each has answered
        self.replication_due = False

    @property
    def status(self) -> dict[str, str | int | bool | None]:
        return {
            "role": self.role,
            "term": self.term,
            "leader": self.leader,
            "commit": self.commit,
            "last": self.log.last,
        }

    # The leader.

    def on_elected(self) -> None:
        following = self.log.last + 1
        self.next_index = dict.fromkeys((*self.peers, self.id), following)
        self.match_index = dict.fromkeys((*self.peers, self.id), 0)
        self.probing = set()
        self.round, self.answered = 0, dict.fromkeys((*self.peers, self.id), 0)
        self.log.append(Entry(self.term, None))  # §8: under it, the entries of earlier terms commit
        self._replicate_soon()
        self.begin_round()  # what is replicated is its first message
        self.set_timer(self.heartbeat, after=self.config.heartbeat_interval)

    def on_deposed(self) -> None:
        self.cancel_timer(self.heartbeat)

    @on_timer
    def replicate(self) -> None:
        self.replication_due = False
        if self.role != LEADER:  # deposed within this batch
            return
        last = self.log.last
        while behind := self._by_next_index(last):
            for next_index, followers in behind:
                following = self._send_entries(followers, next_index)
                for peer in followers:
                    self.next_index[peer] = following
        if self.next_index[self.id] <= last:
            self.next_index[self.id] = last + 1
            self.send(self.id, Appended(self.term, True, last))

    @on_timer
    def heartbeat(self) -> None:
        self.set_timer(self.heartbeat, after=self.config.heartbeat_interval)
        self.beat()

    def beat(self) -> None:
        """Tells all followers, and asks them in a new round, whether this node still leads."""
        self.begin_round()
        for next_index, followers in self._by_next_index():
            previous = self.standpoint(next_index)
            beat = AppendEntries(self.term, previous, self.term_at(previous), (), self.commit, self.round)
            self.multicast(followers, beat, before_commit=True)

    def standpoint(self, next_index: int) -> int:
        """What a heartbeat builds on: all that was sent, so that it is refused if some of that has been lost."""
        return next_index - 1

    def begin_round(self) -> None:
        """Who answers what is sent from now on followed this node after the round began."""
        self.round += 1
        self.on_answered(self.id, self.round)

    def on_answered(self, peer: NodeId, round: int) -> None:
        """Runs when `peer` answers a later round than before."""
        self.answered[peer] = round

    @handles(Appended)
    def on_appended(self, sender: NodeId, reply: Appended) -> None:
        if reply.term > self.term:
            self.enter_term(reply.term)
            return
        if self.role != LEADER or reply.term < self.term:  # an answer to a leader that was
            return
        if reply.ok:
            self._advance(sender, reply.index)
        else:
            self._back_up(sender, reply)
        if reply.round > self.answered[sender]:
            self.on_answered(sender, reply.round)

    def advance_commit(self) -> None:
        """Commits what a majority holds durably."""
        held = self.quorums.held(self.match_index)
        # §5.4.2: an entry of an earlier term commits only under one of ours.
        if held > self.commit and self.log[held].term == self.term:
            self._apply(held)

    def _advance(self, sender: NodeId, index: int) -> None:
        if self.probing:
            self.probing.discard(sender)
        if index > self.match_index[sender]:
            self.match_index[sender] = index
            if index >= self.next_index[sender]:
                self.next_index[sender] = index + 1
            if index > self.commit:
                self.advance_commit()
        if self.next_index[sender] <= self.log.last:
            self._replicate_soon()

    def _back_up(self, sender: NodeId, refusal: Appended) -> None:
        refused = refusal.index
        if refused <= self.match_index[sender]:  # overtaken by a later acknowledgement
            return
        if sender in self.probing and refused != self.next_index[sender] - 1:  # answers an earlier message
            return
        agreed = self.last_not_after(refusal.hint_term, min(refusal.hint, refused - 1))
        self.probing.add(sender)
        self.next_index[sender] = max(agreed, self.match_index[sender]) + 1
        self._send_entries([sender], self.next_index[sender])

    def _by_next_index(self, upto: int | None = None) -> list[tuple[int, list[NodeId]]]:
        """The peers grouped by the index that they are sent next.

        With `upto`, only those that lack entries up to it, are not being probed, and have room for more.
        """
        groups: dict[int, list[NodeId]] = {}
        window = self.config.max_in_flight
        for peer in self.peers:
            next_index = self.next_index[peer]
            if upto is not None and (
                next_index > upto or peer in self.probing or next_index > self.match_index[peer] + window
            ):
                continue
            groups.setdefault(next_index, []).append(peer)
        return list(groups.items())

    def _send_entries(self, followers: list[NodeId], start: int) -> int:
        """Sends them one AppendEntries from `start` on; returns the index that follows it."""
        config = self.config
        entries = fitting(self.log.slice(start, start + config.max_append_entries), config.max_append_bytes)
        append = AppendEntries(self.term, start - 1, self.term_at(start - 1), entries, self.commit, self.round)
        self.multicast(followers, append, before_commit=True)
        return start + len(entries)

    def _replicate_soon(self) -> None:
        if not self.replication_due:
            self.replication_due = True
            self.set_timer(self.replicate, after=0)

    # The follower.

    @handles(AppendEntries)
    def on_append_entries(self, sender: NodeId, append: AppendEntries) -> None:
        if append.term < self.term:  # from a deposed leader, which learns so
            self.send(sender, Appended(self.term, False, append.previous_index))
            return
        if append.term > self.term:
            self.enter_term(append.term)
        self.follow(sender)
        previous = append.previous_index
        if self.term_at(previous) != append.previous_term:
            hint = self.last_not_after(append.previous_term, min(previous, self.log.last))
            self.send(sender, Appended(self.term, False, previous, append.round, hint, self.term_at(hint)))
            return
        if append.entries:
            self.adopt(previous, append.entries)
        agreed = previous + len(append.entries)
        if append.commit > self.commit:
            self._apply(min(append.commit, agreed))
        self.send(sender, Appended(self.term, True, agreed, append.round))

    # Both.

    def _apply(self, commit: int) -> None:
        """All up to `commit` is committed."""
        self.commit = max(commit, self.commit)
