"""Raft with one mistake at a time. Sections and figures are those of the extended paper; thesis is Ongaro's."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import (
    Administered,
    Answer,
    Command,
    IncomingTransfer,
    Message,
    NodeId,
    ProtocolSpec,
    Query,
    ReplicatedMachine,
    Reply,
    Request,
    handles,
    hookimpl,
    on_timer,
)
from framework.replication.quorums import Quorums, Threshold
from framework.replication.sessions import OPEN, Executed
from plugins.protocols import raft
from plugins.protocols.raft.membership import Membership
from plugins.protocols.raft.messages import (
    Appended,
    AppendEntries,
    Configuration,
    Entry,
    InstallSnapshot,
    RequestVote,
    Snapshot,
    Vote,
)
from plugins.protocols.raft.node import FOLLOWER, LEADER, Raft

# What is durable.


class ForgetsItsVote(Raft):
    """The vote does not survive a restart (Figure 2: votedFor)."""

    def on_start(self) -> None:
        super().on_start()
        self.voted_for = None


class ForgetsItsTerm(Raft):
    """The term does not survive a restart (Figure 2: currentTerm)."""

    def on_start(self) -> None:
        super().on_start()
        self.term = self.term_at(self.log.last)
        self.voted_for = None


class ForgetsItsLastEntry(Raft):
    """The last entry of the log does not survive a restart (Figure 2: log[])."""

    def on_start(self) -> None:
        super().on_start()
        if self.log.last >= 1:
            self.log.truncate(self.log.last)


class SpeaksBeforeItsDisk(Raft):
    """Messages of the kinds in `early` leave before what they promise is durable."""

    early: tuple[type[Message], ...] = ()

    def send(self, to: NodeId, message: Message, *, before_commit: bool = False) -> None:
        super().send(to, message, before_commit=before_commit or type(message) in self.early)


class AcknowledgesEarly(SpeaksBeforeItsDisk):
    """Entries are acknowledged before they are durable (Figure 2)."""

    early = (Appended,)


class VotesEarly(SpeaksBeforeItsDisk):
    """Votes are given before they are durable (Figure 2)."""

    early = (Vote,)


class CountsItselfEarly(Raft):
    """The leader counts its own entries before they are durable (thesis 10.2.1).

    It takes a cluster of one for that to matter: while a write is under way a node is given no input, so that the
    answer of another comes when the leader's own entries are durable already.
    """

    @on_timer
    def replicate(self) -> None:
        super().replicate()
        if self.role == LEADER:
            self.on_accepted(self.progress[self.id], self.log.last)


# Elections.


class VotesForAnyLog(Raft):
    """Votes for candidates whose log lacks entries of its own (§5.4.1)."""

    def is_current(self, request: RequestVote) -> bool:
        return True


class ComparesLengthOnly(Raft):
    """The longer log counts as the more up to date one, whatever its terms (§5.4.1)."""

    def is_current(self, request: RequestVote) -> bool:
        return request.last_index >= self.log.last


class VotesTwice(Raft):
    """A follower votes for whoever asks, again and again in one term (§5.2)."""

    @handles(RequestVote)
    def on_request_vote(self, sender: NodeId, request: RequestVote) -> None:
        before = self.voted_for
        again = request.term == self.term and self.role == FOLLOWER
        if again:
            self.voted_for = None
        super().on_request_vote(sender, request)
        if again and self.voted_for is None:
            self.voted_for = before


class CountsStaleVotes(Raft):
    """A vote of an earlier term counts in this one (§5.2)."""

    @handles(Vote)
    def on_vote(self, sender: NodeId, vote: Vote) -> None:
        super().on_vote(sender, Vote(self.term, True) if vote.granted and vote.term < self.term else vote)


class WinsWithoutAMajority(Raft):
    """One vote less than a majority elects a leader (§5.2)."""

    @handles(Vote)
    def on_vote(self, sender: NodeId, vote: Vote) -> None:
        rightly = self.quorums
        self.quorums = almost(rightly)
        super().on_vote(sender, vote)
        self.quorums = rightly


def almost(quorums: Quorums) -> Quorums:
    """One node less than a majority is enough."""
    return Threshold(quorums.nodes, max(len(quorums.nodes) // 2, 1))


class StandsOnce(Raft):
    """A candidate that does not win never stands again, its election timer is not set anew (§5.2)."""

    @on_timer
    def start_election(self) -> None:
        super().start_election()
        self.cancel_timer(self.start_election)


# Replication.


class TruncatesAlways(Raft):
    """Every AppendEntries cuts the log behind it, also where nothing conflicts (§5.3)."""

    def store_entries(self, previous: int, entries: tuple[Entry, ...]) -> None:
        if previous < self.log.last:
            self.log.truncate(previous + 1)
        self.log.extend(entries)


class KeepsConflictingEntries(Raft):
    """Entries that conflict with the leader's stay where they are (§5.3)."""

    def store_entries(self, previous: int, entries: tuple[Entry, ...]) -> None:
        self.log.extend(entries[self.log.last - previous :])


class TrustsTheIndexAlone(Raft):
    """The consistency check compares lengths, not terms (§5.3)."""

    @handles(AppendEntries)
    def on_append_entries(self, sender: NodeId, append: AppendEntries) -> None:
        if append.previous_index <= self.log.last:
            append = msgspec.structs.replace(append, previous_term=self.term_at(append.previous_index))
        super().on_append_entries(sender, append)


class SkipsOneEntry(Raft):
    """The consistency check looks at the entry before the previous one: off by one (§5.3)."""

    @handles(AppendEntries)
    def on_append_entries(self, sender: NodeId, append: AppendEntries) -> None:
        last = self.log.last
        if append.previous_index == last + 1 and append.term >= self.term:
            append = msgspec.structs.replace(append, previous_index=last, previous_term=self.term_at(last))
        super().on_append_entries(sender, append)


class HeedsDeposedLeaders(Raft):
    """A follower takes entries from the leader of an earlier term (§5.1)."""

    @handles(AppendEntries)
    def on_append_entries(self, sender: NodeId, append: AppendEntries) -> None:
        if append.term < self.term and self.role != LEADER:
            append = msgspec.structs.replace(append, term=self.term)
        super().on_append_entries(sender, append)


# Commitment.


class CountsEarlierTerms(Raft):
    """An entry of an earlier term commits by counting its copies (§5.4.2, Figure 8)."""

    def advance_commit(self) -> None:
        held = self.held_by_majority()
        if held > self.commit:
            self.apply(held)


class CommitsByAMinority(Raft):
    """One copy less than a majority commits an entry (§5.3)."""

    def held_by_majority(self) -> int:
        return almost(self.quorums).held(self.match_index)


class CommitsPastItsLog(Raft):
    """A follower commits as far as its log reaches, past what the leader has vouched for (Figure 2: commitIndex)."""

    @handles(AppendEntries)
    def on_append_entries(self, sender: NodeId, append: AppendEntries) -> None:
        super().on_append_entries(sender, append)
        if append.term == self.term and append.commit > self.commit:
            self.apply(min(append.commit, self.log.last))


class AppliesUncommitted(Raft):
    """A follower applies entries as soon as it holds them (§5.3)."""

    def store_entries(self, previous: int, entries: tuple[Entry, ...]) -> None:
        super().store_entries(previous, entries)
        self.apply(min(previous + len(entries), self.log.last))


class KeepsTheCommitIndexToItself(Raft):
    """The heartbeats of a leader do not say how far it has committed, so that followers never apply the last entry
    (§5.3)."""

    def multicast(self, to: Sequence[NodeId], message: Message, *, before_commit: bool = False) -> None:
        if type(message) is AppendEntries and not message.entries:
            message = msgspec.structs.replace(message, commit=0)
        super().multicast(to, message, before_commit=before_commit)


class AppliesOneOfMany(Raft):
    """Of several entries that commit at once a follower applies the last one only (Figure 2: lastApplied)."""

    def apply(self, commit: int) -> None:
        if self.role != LEADER:
            self.commit = max(self.commit, commit - 1)
        super().apply(commit)


# Clients.


class ReadsAtOnce(Raft):
    """A leader answers reads from its own state, deposed or not (§8)."""

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        command = request.command
        if self.role != LEADER or command.sequence == OPEN or not is_read(command.body):
            super().on_request(sender, request)
            return
        machine: ReplicatedMachine = self.machine
        result = machine.machine.apply(command.body)
        self.send(sender, Reply(request.operation, command.sequence, result, command.session))


def is_read(body: bytes) -> bool:
    """Whether the command changes nothing."""
    function, _, _ = msgspec.msgpack.decode(body)
    return bool(function == "read")


class Forgetful(ReplicatedMachine):
    """A session table that knows who has a session and not what was executed."""

    def apply(self, index: int, command: Command) -> Executed:
        if command.session in self._sessions:
            self._sessions[command.session] = (OPEN, b"")
        return super().apply(index, command)


class RunsRetriesAgain(Raft):
    """A command that a client sends twice is executed twice (thesis 6.3)."""

    def on_start(self) -> None:
        super().on_start()
        self.machine = Forgetful(self.machine.machine)


# Snapshots.


class SnapshotsForgetSessions(Raft):
    """A snapshot tells who has a session, and not what was executed in it (thesis 6.3)."""

    def restore(self, snapshot: Snapshot) -> None:
        super().restore(snapshot)
        self.machine._sessions = dict.fromkeys(self.machine._sessions, (OPEN, b""))


class CompactsTheUncommitted(Raft):
    """The log is compacted up to its end, however much of that is committed (thesis 5.1)."""

    def compact(self, index: int) -> None:
        self.log.compact(self.log.last)


class InstallsOlderSnapshots(Raft):
    """A snapshot that comes late takes the place of newer state (thesis 5.3)."""

    def holds(self, chunk: InstallSnapshot) -> bool:
        return False


class KeepsTheLogBehindASnapshot(Raft):
    """After a snapshot was installed the log goes on with what followed the entries in its place (thesis 5.3)."""

    def install(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.restore(snapshot)
        self.log.compact(snapshot.index)


class TakesChunksAsTheyCome(Raft):
    """A chunk is put behind those before it, whatever its offset (thesis 5.3)."""

    def receive(self, chunk: InstallSnapshot) -> IncomingTransfer:
        return super().receive(msgspec.structs.replace(chunk, offset=self.incoming.size if self.incoming else 0))


class MixesSnapshots(Raft):
    """A chunk is put behind those of another snapshot (thesis 5.3)."""

    def receive(self, chunk: InstallSnapshot) -> IncomingTransfer:
        if self.incoming is not None:
            self.incoming.identity = (chunk.term, chunk.last_index)
        return super().receive(chunk)


class ForgetsTheSnapshotsTerm(Raft):
    """After a restart the term of the entry that ends the snapshot is not known (thesis 5.1)."""

    def restore(self, snapshot: Snapshot) -> None:
        super().restore(snapshot)
        self.snapshot_term = 0


# Reads outside the log, and leases.


class AnswersUnconfirmed(Raft):
    """A leader answers reads without making sure that it still leads (thesis 6.4)."""

    @handles(Query)
    def on_query(self, sender: NodeId, query: Query) -> None:
        if self.role == LEADER and self.read_index() <= self.commit:
            self.send(sender, Answer(query.operation, self.machine.query(query.body)))
        else:
            super().on_query(sender, query)


class ReadsBeforeItsTerm(Raft):
    """A new leader answers reads before an entry of its own term is committed (thesis 6.4)."""

    def read_index(self) -> int:
        return self.commit


class LeaseWithoutEnd(Raft):
    """A lease lasts until its leader learns that it is deposed (thesis 6.4.1)."""

    def holds_lease(self) -> bool:
        return self.lease.end > 0


class LeaseWithoutMargin(Raft):
    """A lease is as long as the least election time-out, however clocks may drift (thesis 6.4.1)."""

    def lease_duration(self) -> int:
        return int(self.config.election_timeout_min)


class LeaseFromTheAnswer(Raft):
    """A lease counts from when a majority has answered, not from when it was asked (thesis 6.4.1)."""

    def on_round_confirmed(self) -> None:
        self.rounds.confirmed_at = self.now
        super().on_round_confirmed()


class VotesAgainstItsLeader(Raft):
    """A server that hears a leader votes for others (thesis 6.4.1)."""

    @handles(RequestVote)
    def on_request_vote(self, sender: NodeId, request: RequestVote) -> None:
        super().on_request_vote(sender, msgspec.structs.replace(request, transfer=True))


class VotesInARaisedTerm(Raft):
    """A server that hears a leader votes for another in a term that something else has raised (thesis 4.2.3)."""

    @handles(RequestVote)
    def on_request_vote(self, sender: NodeId, request: RequestVote) -> None:
        raised = request.term == self.term
        super().on_request_vote(sender, msgspec.structs.replace(request, transfer=request.transfer or raised))


class KeepsItsLease(Raft):
    """A leader that has told another to take over goes on reading by its lease (thesis 6.4.1)."""

    def cede_lease(self) -> None:
        pass


# Membership.


class SwitchesAtOnce(Raft):
    """Two servers join without a joint phase (§6)."""

    def begin_change(self) -> None:
        ready = [server for server, each in self.progress.items() if each.catch_up is not None and each.catch_up.done]
        for administrator, request in list(self.membership.requests.items()):
            if request.node in ready:  # it waits for a second one
                del self.membership.requests[administrator]
                self.send(administrator, Administered(request.operation))
        if len(ready) < 2:
            super().begin_change()
        else:
            self.propose_configuration(Configuration((*self.configuration.voters, *sorted(ready))))


class WaitsForItsConfiguration(Raft):
    """A server goes by a configuration once it is committed, not before (§6)."""

    def apply_configuration(self) -> None:
        super().apply_configuration()
        self.quorums = self.membership.configuration_at(self.commit).quorums

    def apply(self, commit: int) -> None:
        super().apply(commit)
        self.apply_configuration()


class HoldsOn(Membership):
    """Keeps the configurations that were truncated."""

    def truncate(self, start: int) -> bool:
        return False


class HoldsOntoItsConfiguration(Raft):
    """A server goes by a configuration that was truncated from its log (§6)."""

    def on_start(self) -> None:
        super().on_start()
        self.membership = HoldsOn(self.membership.configurations)


class CountsItselfOnceRemoved(Raft):
    """A leader that is left out counts itself among those that hold an entry (§6)."""

    def advance_commit(self) -> None:
        voters = self.configuration.voters
        if self.id not in voters and not self.configuration.old:
            held = Threshold((*voters, self.id), len(voters) // 2 + 1).held(self.match_index)
            if held > self.commit and self.log[held].term == self.term:
                self.apply(held)
        super().advance_commit()


class LearnersVote(Raft):
    """The vote of a learner counts like any other (thesis 4.2.1)."""

    @handles(Vote)
    def on_vote(self, sender: NodeId, vote: Vote) -> None:
        rightly = self.quorums
        self.quorums = with_learners(self.configuration)
        super().on_vote(sender, vote)
        self.quorums = rightly


class LearnersCount(Raft):
    """An entry that a learner holds counts as held by a voter (thesis 4.2.1)."""

    def advance_commit(self) -> None:
        held = with_learners(self.configuration).held(self.match_index)
        if held > self.commit and self.log[held].term == self.term:
            self.apply(held)
        super().advance_commit()


def with_learners(configuration: Configuration) -> Quorums:
    """As many servers as make a majority of the voters, be they voters or not."""
    if configuration.old or not configuration.learners:
        return configuration.quorums
    return Threshold(configuration.members, len(configuration.voters) // 2 + 1)


class ChangesBeforeItsTerm(Raft):
    """A new leader changes the members, one at a time, before an entry of its own term is committed (Ongaro, 2015)."""

    def may_change(self) -> bool:
        return self.membership.index <= self.commit

    def propose_configuration(self, configuration: Configuration) -> None:
        super().propose_configuration(msgspec.structs.replace(configuration, old=()))


class ChangesAmidAChange(Raft):
    """A leader begins a change before the last one is committed (§6)."""

    def may_change(self) -> bool:
        return self.term_at(self.commit) == self.term


ALONE = ("nodes=1", "~faults.partition", "~faults.deaf_leader")

CALM = ("~faults.crash", "~faults.leader_crashes", "~faults.disk")
CUT_OFF = ("faults.partition.kind=isolate", "faults.partition.every=300ms", "faults.partition.for=200ms")
STEADY = (*CALM, *CUT_OFF, "~faults.pause", "workload.think_time=3ms")
BY_INDEX = ("protocol.read_mode=read_index",)
BY_LEASE = ("protocol.read_mode=lease", "protocol.check_quorum=true")
PATIENT_LEADERS = ("protocol.election_timeout_max=200ms",)
CLOCKS_APART = (
    "protocol.max_clock_drift_ppm=450000",
    "protocol.election_timeout_max=100ms",
    "faults.clock={name: clock, target: all, drift_ppm: 450000, at: 100ms, every: 500ms, for: 450ms}",
)
ASLEEP_AND_CUT_OFF = (  # so that answers to the leader wait for it while another is elected
    *CALM,
    *CUT_OFF,
    "~faults.deaf_leader",
    "faults.partition.at=120ms",
    "faults.pause={name: pause, target: leader, at: 121ms, every: 300ms, for: 90ms}",
    "protocol.election_timeout_max=120ms",
    "network.reorder=0.5",
    "workload.think_time=3ms",
)
BETWEEN_TWO = (*CALM, *CUT_OFF, "faults.partition.kind=bridge", "~faults.pause", "workload.mix={read: 97, write: 3}")
RAISED = (  # n1 and n2 stand at once; n3 votes for n1, is cut off from it, and has n2's request late, n2 that of n3 later
    *CALM,
    *("~faults.pause", "~faults.deaf_leader", "~faults.partition"),
    *("network.loss=0", "network.duplicate=0", "network.reorder=0", "duration=1s", "quiet=500ms"),
    "workload.mix={read: 99, write: 1, append: 0}",
    "protocol.heartbeat_interval=50ms",
    "faults.late_start={name: crash, target: n3, at: 1ms, for: 20ms}",
    "faults.slow={name: delay, links: 'n2:n3', by: 90ms, at: 2ms, for: 100ms}",
    "faults.there={name: loss, links: 'n1:n3', probability: 1, at: 85ms, for: 250ms}",
    "faults.back={name: loss, links: 'n3:n1', probability: 1, at: 85ms, for: 250ms}",
    "faults.later={name: reorder, links: 'n3:n2', probability: 0.5, spread: 60ms, at: 2ms, for: 400ms}",
)
TRANSFERS = ("faults.transfer_leader={name: transfer_leader, at: 150ms, every: 100ms}",)
CHANGES = (
    "spares=2",
    "protocol.catch_up_timeout=300ms",
    "faults.first={name: add_node, at: 120ms}",
    "faults.second={name: add_node, at: 160ms}",
    "faults.out={name: remove_node, target: leader, at: 300ms, every: 300ms}",
    *(f"faults.back{n}={{name: add_node, target: n{n}, at: 400ms, every: 300ms}}" for n in range(1, 6)),
)

SNAPSHOTS = ("protocol.snapshot_every=8", "protocol.snapshot_trailing=0", "protocol.snapshot_chunk=64")

MUTANTS = (
    Mutant(ForgetsItsVote),
    Mutant(ForgetsItsTerm),
    Mutant(ForgetsItsLastEntry),
    Mutant(AcknowledgesEarly),
    Mutant(VotesEarly),
    Mutant(CountsItselfEarly, needs=ALONE),
    Mutant(VotesForAnyLog),
    Mutant(ComparesLengthOnly),
    Mutant(VotesTwice),
    Mutant(CountsStaleVotes),
    Mutant(WinsWithoutAMajority),
    Mutant(StandsOnce),
    Mutant(TruncatesAlways),
    Mutant(KeepsConflictingEntries),
    Mutant(TrustsTheIndexAlone),
    Mutant(SkipsOneEntry),
    Mutant(HeedsDeposedLeaders),
    Mutant(CountsEarlierTerms),
    Mutant(CommitsByAMinority),
    Mutant(CommitsPastItsLog),
    Mutant(AppliesUncommitted),
    Mutant(KeepsTheCommitIndexToItself),
    Mutant(AppliesOneOfMany),
    Mutant(ReadsAtOnce),
    Mutant(RunsRetriesAgain),
    Mutant(AnswersUnconfirmed, needs=(*BY_INDEX, *STEADY)),
    Mutant(ReadsBeforeItsTerm, needs=BY_INDEX),
    Mutant(LeaseWithoutEnd, needs=(*BY_LEASE, *STEADY, *PATIENT_LEADERS)),
    Mutant(LeaseWithoutMargin, needs=(*BY_LEASE, *STEADY, *CLOCKS_APART)),
    Mutant(LeaseFromTheAnswer, needs=(*BY_LEASE, *ASLEEP_AND_CUT_OFF)),
    Mutant(VotesAgainstItsLeader, needs=(*BY_LEASE, *BETWEEN_TWO)),
    Mutant(VotesInARaisedTerm, needs=(*BY_LEASE, *RAISED)),
    Mutant(KeepsItsLease, needs=(*BY_LEASE, *TRANSFERS)),
    Mutant(SnapshotsForgetSessions, needs=SNAPSHOTS),
    Mutant(CompactsTheUncommitted, needs=SNAPSHOTS),
    Mutant(InstallsOlderSnapshots, needs=SNAPSHOTS),
    Mutant(KeepsTheLogBehindASnapshot, needs=SNAPSHOTS),
    Mutant(TakesChunksAsTheyCome, needs=SNAPSHOTS),
    Mutant(MixesSnapshots, needs=SNAPSHOTS),
    Mutant(ForgetsTheSnapshotsTerm, needs=SNAPSHOTS),
    Mutant(SwitchesAtOnce, needs=CHANGES),
    Mutant(WaitsForItsConfiguration, needs=CHANGES),
    Mutant(HoldsOntoItsConfiguration, needs=CHANGES),
    Mutant(CountsItselfOnceRemoved, needs=CHANGES),
    Mutant(LearnersVote, needs=CHANGES),
    Mutant(LearnersCount, needs=CHANGES),
    Mutant(ChangesBeforeItsTerm, needs=CHANGES),
    Mutant(ChangesAmidAChange, needs=CHANGES),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = raft.register_protocols()
    return mutated(itself, MUTANTS)
