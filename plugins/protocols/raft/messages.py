"""What Raft's servers say to one another (Figure 2; thesis 3.10, 4, 5.3 and 9.6), and what they store."""

from __future__ import annotations

from framework import Command, Joint, Majority, Message, NodeId, Quorums, Record


class Configuration(Record):
    """Who the servers are. While one set of voters gives way to another (§6), `old` are those who voted before.

    Learners are sent the log and have no vote (thesis 4.2.1).
    """

    voters: tuple[NodeId, ...]
    old: tuple[NodeId, ...] = ()
    learners: tuple[NodeId, ...] = ()

    @property
    def members(self) -> tuple[NodeId, ...]:
        return tuple(dict.fromkeys((*self.voters, *self.old, *self.learners)))

    @property
    def quorums(self) -> Quorums:
        """§6: while it is joint, an election and a commitment take a majority of the old voters and one of the new."""
        return Joint(Majority(self.old), Majority(self.voters)) if self.old else Majority(self.voters)

    def __str__(self) -> str:
        """`n1 n2 n3 → n1 n2 n3 n4, learning: n5`."""
        old = f"{' '.join(sorted(self.old))} → " if self.old else ""
        learners = f", learning: {' '.join(sorted(self.learners))}" if self.learners else ""
        return f"{old}{' '.join(sorted(self.voters))}{learners}"


class Entry(Record, repr_omit_defaults=True):
    """One entry of the log; without `command` and `configuration` it is the no-op that opens a term (§8)."""

    term: int
    command: Command | None
    configuration: Configuration | None = None

    def __str__(self) -> str:
        """`3: write x 1 #7.2`, its term first."""
        if self.configuration is not None:
            return f"{self.term}: members ({self.configuration})"
        return f"{self.term}: {self.command or 'no-op'}"


class Snapshot(Record):
    """What all entries up to the one at `index`, of `term`, have made of the state machine and its session table.

    `configuration` is the latest among them.
    """

    index: int
    term: int
    state: bytes
    configuration: Configuration | None = None


class RequestVote(Message):
    """The sender stands in `term`; its log ends with the entry (`last_index`, `last_term`).

    `transfer`: the leader told it to, so that who hears that leader votes all the same.
    """

    term: int
    last_index: int
    last_term: int
    transfer: bool = False


class Vote(Message):
    """Answers RequestVote; `term` is the voter's."""

    term: int
    granted: bool


class PreVote(Message):
    """Asks whether the receiver would vote for the sender in `term`, which is not its own yet (thesis 9.6)."""

    term: int
    last_index: int
    last_term: int


class PreVoted(Message):
    """Answers PreVote. If `granted`, `term` is the one asked about; if not, it is the answering server's."""

    term: int
    granted: bool


class TimeoutNow(Message):
    """The leader of `term` wants the receiver to take over, at once (thesis 3.10)."""

    term: int


class Removed(Message):
    """Tells the leader that `server`, which is no member, asks for votes: it does not know that it was removed."""

    server: NodeId


class AppendEntries(Message):
    """The entries that follow (`previous_index`, `previous_term`) in the leader's log.

    Without entries it is a heartbeat. All up to `commit` is committed. `round` counts the rounds of heartbeats that
    the leader has begun.
    """

    term: int
    previous_index: int
    previous_term: int
    entries: tuple[Entry, ...]
    commit: int
    round: int = 0

    def without_entries_to(self, index: int, term: int) -> AppendEntries:
        """What it says of the log after the entry at `index`, of `term`, where it may be older."""
        entries = self.entries[index - self.previous_index :]
        return AppendEntries(self.term, index, term, entries, self.commit, self.round)


class Appended(Message):
    """Answers AppendEntries, and repeats its `round`; `term` is the follower's.

    If `ok`, the logs agree up to `index`, durably. If not, the follower lacks the entry before the leader's
    entries: `index` repeats the refused `previous_index`, and the logs can agree at `hint` at the latest,
    where the follower holds an entry of term `hint_term` (§5.3, the optimisation at its end; `hint` 0 is the
    empty log).
    """

    term: int
    ok: bool
    index: int
    round: int = 0
    hint: int = 0
    hint_term: int = 0


class InstallSnapshot(Message):
    """The bytes from `offset` on of the leader's snapshot up to (`last_index`, `last_term`) (thesis 5.3).

    `done`: they are the last ones. `configuration` is the latest up to there.
    """

    term: int
    last_index: int
    last_term: int
    offset: int
    data: bytes
    done: bool
    configuration: Configuration | None = None


class SnapshotReceived(Message):
    """Answers InstallSnapshot while bytes lack: the follower holds those before `offset`; `term` is the follower's.

    Whoever holds all that the snapshot covers answers Appended.
    """

    term: int
    last_index: int
    offset: int
