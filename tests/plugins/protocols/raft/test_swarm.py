"""Seeded swarms hold Raft to Figure 3, and catch each classical mistake when it is made on purpose."""

from __future__ import annotations

import pytest

from framework import Applied, Command, Message, NodeId, ReplicatedMachine, handles, on_timer
from framework.core.session import OPEN
from plugins.protocols.raft.messages import Appended, AppendEntries, Entry, RequestVote, Vote
from plugins.protocols.raft.node import Raft
from tests.plugins.protocols.raft.swarm import first_failure, swarm


@pytest.mark.parametrize("block", range(8))
def test_no_schedule_breaks_raft(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        try:
            swarm(seed)
        except Exception as broken:
            raise AssertionError(f"replay with swarm({seed})") from broken


class ForgetsItsVote(Raft):
    """Figure 2: votedFor is persistent."""

    def on_start(self) -> None:
        super().on_start()
        self.voted_for = None


class ForgetsItsTerm(Raft):
    """Figure 2: currentTerm is persistent."""

    def on_start(self) -> None:
        super().on_start()
        self.term = self.term_at(self.log.last)
        self.voted_for = None


class VotesForAnyLog(Raft):
    """§5.4.1: the voter denies its vote if its own log is more up to date."""

    def is_current(self, request: RequestVote) -> bool:
        return True


class ComparesLengthOnly(Raft):
    """§5.4.1: logs compare by the term of their last entry first."""

    def is_current(self, request: RequestVote) -> bool:
        return request.last_index >= self.log.last


class CountsEarlierTerms(Raft):
    """§5.4.2, Figure 8: entries of earlier terms do not commit by counting."""

    def advance_commit(self) -> None:
        held = sorted(self.match_index.values())[len(self.match_index) - self.majority]
        if held > self.commit:
            self._apply(held)


class SpeaksBeforeItsDisk(Raft):
    """Figure 2: state is on stable storage before an answer leaves."""

    early: tuple[type[Message], ...] = ()

    def send(self, to: NodeId, message: Message, *, before_commit: bool = False) -> None:
        super().send(to, message, before_commit=before_commit or type(message) in self.early)


class AcknowledgesEarly(SpeaksBeforeItsDisk):
    early = (Appended,)


class VotesEarly(SpeaksBeforeItsDisk):
    early = (Vote,)


class CountsItselfEarly(Raft):
    """Thesis 10.2.1: the leader counts its own entries once they are durable."""

    @on_timer
    def replicate(self) -> None:
        super().replicate()
        if self.role == "leader":
            self.match_index[self.id] = self.log.last
            self.advance_commit()


class TruncatesAlways(Raft):
    """§5.3: only a conflict truncates; an old AppendEntries may come late."""

    def adopt(self, previous: int, entries: tuple[Entry, ...]) -> None:
        if previous < self.log.last:
            self.log.truncate(previous + 1)
        self.log.extend(entries)


class CountsStaleVotes(Raft):
    """§5.2: a vote counts in its own term only."""

    @handles(Vote)
    def on_vote(self, sender: NodeId, vote: Vote) -> None:
        super().on_vote(sender, Vote(self.term, True) if vote.granted and vote.term < self.term else vote)


class TrustsTheIndexAlone(Raft):
    """§5.3: the consistency check compares terms, not only lengths."""

    @handles(AppendEntries)
    def on_append_entries(self, sender: NodeId, append: AppendEntries) -> None:
        if append.previous_index <= self.log.last:
            previous_term = self.term_at(append.previous_index)
            append = AppendEntries(
                append.term, append.previous_index, previous_term, append.entries, append.commit
            )
        super().on_append_entries(sender, append)


class CommitsPastItsLog(Raft):
    """Figure 2: commitIndex is no more than the index of the last new entry."""

    @handles(AppendEntries)
    def on_append_entries(self, sender: NodeId, append: AppendEntries) -> None:
        super().on_append_entries(sender, append)
        if append.term == self.term and append.commit > self.commit:
            self._apply(min(append.commit, self.log.last))


class Forgetful(ReplicatedMachine):
    def apply(self, index: int, command: Command) -> Applied:
        if command.session in self._sessions:
            self._sessions[command.session] = (OPEN, b"")
        return super().apply(index, command)


class RunsRetriesAgain(Raft):
    """Thesis 6.3: the session table executes each sequence number once."""

    def on_start(self) -> None:
        super().on_start()
        self.machine = Forgetful(self.machine.machine)


PLANTED = [
    ForgetsItsVote,
    ForgetsItsTerm,
    VotesForAnyLog,
    ComparesLengthOnly,
    CountsEarlierTerms,
    AcknowledgesEarly,
    VotesEarly,
    CountsItselfEarly,
    TruncatesAlways,
    CountsStaleVotes,
    TrustsTheIndexAlone,
    CommitsPastItsLog,
    RunsRetriesAgain,
]


@pytest.mark.parametrize("broken", PLANTED, ids=lambda node: node.__name__)
def test_the_swarm_catches(broken: type[Raft]) -> None:
    seed, _ = first_failure(broken, seeds=1000)
    assert seed >= 0, f"1000 schedules found nothing wrong with {broken.__name__}: {broken.__doc__}"
