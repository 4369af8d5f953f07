"""The messages and stored records of Raft (Figure 2; thesis 3.10, 4, 5.3 and 9.6)."""

from __future__ import annotations

from framework import Command, Joint, Majority, Message, NodeId, Quorums, Record


class Configuration(Record):
    """The members of the group. In the joint phase of a change (§6), `old` holds the previous voters; otherwise empty.

    Learners receive the log and have no vote (thesis 4.2.1).
    """

    voters: tuple[NodeId, ...]
    old: tuple[NodeId, ...] = ()
    learners: tuple[NodeId, ...] = ()

    @property
    def members(self) -> tuple[NodeId, ...]:
        return tuple(dict.fromkeys((*self.voters, *self.old, *self.learners)))

    @property
    def quorums(self) -> Quorums:
        """Returns the quorums. In the joint phase these are majorities of both the old and the new voters (§6)."""
        return Joint(Majority(self.old), Majority(self.voters)) if self.old else Majority(self.voters)

    def __str__(self) -> str:
        """Formats it as `n1 n2 n3 → n1 n2 n3 n4, learning: n5`."""
        old = f"{' '.join(sorted(self.old))} → " if self.old else ""
        learners = f", learning: {' '.join(sorted(self.learners))}" if self.learners else ""
        return f"{old}{' '.join(sorted(self.voters))}{learners}"


class Entry(Record, repr_omit_defaults=True):
    """One entry of the log; without `command` and `configuration` it is the no-op that opens a term (§8)."""

    term: int
    command: Command | None
    configuration: Configuration | None = None

    def __str__(self) -> str:
        """Formats it as `3: write x 1 #7.2`, with its term first."""
        if self.configuration is not None:
            return f"{self.term}: members ({self.configuration})"
        return f"{self.term}: {self.command or 'no-op'}"


class Snapshot(Record):
    """The state machine and its session table after all entries up to the one at `index`, whose term is `term`.

    `configuration` is the latest among these entries.
    """

    index: int
    term: int
    state: bytes
    configuration: Configuration | None = None


class RequestVote(Message):
    """Asks for a vote in `term`; the sender's log ends with the entry (`last_index`, `last_term`).

    `transfer`: the leader requested this election, so that even servers that hear the leader vote.
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
    """Asks whether the receiver would vote for the sender in `term`, which the sender has not entered (thesis 9.6)."""

    term: int
    last_index: int
    last_term: int


class PreVoted(Message):
    """Answers PreVote. `term` is the requested term if `granted`, and the answering server's term otherwise."""

    term: int
    granted: bool


class TimeoutNow(Message):
    """Asks the receiver to start an election at once; sent by the leader of `term` (thesis 3.10)."""

    term: int


class Removed(Message):
    """Informs the leader that `server`, a non-member, asks for votes because it does not know of its removal."""

    server: NodeId


class AppendEntries(Message):
    """The entries that follow (`previous_index`, `previous_term`) in the leader's log.

    Without entries it is a heartbeat. All entries up to `commit` are committed. `round` is the number of heartbeat
    rounds that the leader has begun.
    """

    term: int
    previous_index: int
    previous_term: int
    entries: tuple[Entry, ...]
    commit: int
    round: int = 0

    def without_entries_to(self, index: int, term: int) -> AppendEntries:
        """Returns the same message, reduced to the log after the entry (`index`, `term`)."""
        entries = self.entries[index - self.previous_index :]
        return AppendEntries(self.term, index, term, entries, self.commit, self.round)


class Appended(Message):
    """Answers AppendEntries and repeats its `round`; `term` is the follower's.

    If `ok`, the logs agree up to `index`, durably. If not, the follower lacks the entry before the leader's entries:
    `index` repeats the refused `previous_index`, and `hint` is the last index at which the logs can agree, where the
    follower holds an entry of term `hint_term` (the optimisation at the end of §5.3; `hint` 0 is the empty log).
    """

    term: int
    ok: bool
    index: int
    round: int = 0
    hint: int = 0
    hint_term: int = 0


class InstallSnapshot(Message):
    """The bytes from `offset` on of the leader's snapshot up to (`last_index`, `last_term`) (thesis 5.3).

    `done`: these are the last bytes. `configuration` is the latest up to `last_index`.
    """

    term: int
    last_index: int
    last_term: int
    offset: int
    data: bytes
    done: bool
    configuration: Configuration | None = None


class SnapshotReceived(Message):
    """Answers InstallSnapshot while bytes are missing: the follower holds those before `offset`; `term` is its term.

    A follower that holds everything that the snapshot covers answers Appended instead.
    """

    term: int
    last_index: int
    offset: int
