"""Raft in one class: Figure 2 of the extended paper in its order, then the additions of the paper and the thesis.

    follower --time-out--> pre-candidate --a majority would vote--> candidate --majority of votes--> leader
        ^                       |                                       |                              |
        +--- higher term, or the leader of this term: `become_follower` +------------------------------+

`become_follower`, `become_pre_candidate`, `become_candidate` and `become_leader` are the only places that change the
role and reset its state. The class owns parts that decide while its handlers send: `Progress` (each server's log),
`HeartbeatRounds` and `Lease`, `ReadQueue`, `PendingRequests`, `Membership`, `OutgoingTransfer` and `IncomingTransfer`
(snapshots in transit).

Three rules for sending before and after the commit:

- A node's own vote and the leader's own acknowledgement are messages to itself. They arrive once they are durable, so
  that no vote and no entry is counted that a crash could undo.
- AppendEntries leaves before the leader's own write is durable, because it promises nothing about the leader's own
  state (thesis 10.2.1). Answers to clients do too, because they rely on what a majority holds durably.
- `replicate` runs once, at the end of a batch that has appended entries (a timer with `after=0`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from operator import attrgetter

from framework import (
    PARENT,
    Administer,
    Administered,
    Answer,
    Command,
    CommandClock,
    Deposed,
    DurableLog,
    HeartbeatRounds,
    IncomingTransfer,
    Lease,
    Led,
    Node,
    NodeId,
    NotLeader,
    OperationId,
    PendingRead,
    PendingRequest,
    PendingRequests,
    Query,
    ReadQueue,
    Record,
    Replica,
    Reply,
    Request,
    Restored,
    Status,
    check_begins_behind,
    durable,
    durable_log,
    events_of,
    handles,
    lease_length,
    on_timer,
)
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.membership import ADD, REMOVE, Membership
from plugins.protocols.raft.messages import (
    Appended,
    AppendEntries,
    Configuration,
    Entry,
    InstallSnapshot,
    PreVote,
    PreVoted,
    Removed,
    RequestVote,
    Snapshot,
    SnapshotReceived,
    TimeoutNow,
    Vote,
)
from plugins.protocols.raft.progress import SNAPSHOTTING, CatchUp, Progress

FOLLOWER, PRE_CANDIDATE, CANDIDATE, LEADER = "follower", "pre-candidate", "candidate", "leader"
LEARNER, OUTSIDE = "learner", "outside"

_term_of = attrgetter("term")


class LeadershipTransfer(Record):
    """A leadership transfer: the target server, and the administrator that requested it."""

    target: NodeId
    administrator: NodeId
    operation: OperationId


class RaftStatus(Status):
    """Status of a server. Its phase is `joint` during the joint phase of a membership change (§6)."""

    leader: NodeId | None = None
    commit: int = 0
    first: int = 0
    last: int = 0
    snapshot: int = 0


class Raft(Node):
    """A server of Raft."""

    config: RaftConfig

    # Figure 2, State: persistent on all servers, updated before they answer.

    term: int = durable(0)
    voted_for: NodeId | None = durable(None)
    log: DurableLog[Entry] = durable_log(Entry)
    snapshot: Snapshot | None = durable(None)  # §7

    def on_start(self) -> None:
        config = self.config
        # Figure 2, State: volatile on all servers.
        self.commit = 0  # all entries up to here are committed and applied
        self.machine = config.replicated_machine()
        self.snapshot_index, self.snapshot_term = 0, 0  # of the last entry that the snapshot covers
        self.role = FOLLOWER
        self.leader: NodeId | None = None
        # When a leader was last heard. A restarted server may have answered one just before its crash.
        self.heard_at = self.now if config.check_quorum and self.term else None
        self.election_timeout = self.draw_election_timeout()
        self.incoming: IncomingTransfer | None = None  # the snapshot that a leader is sending
        self.proposals = 0  # of the parent, since this start
        # Volatile on candidates.
        self.votes: set[NodeId] = set()  # for a pre-candidate: granted PreVotes, which are not binding
        self.clear_leader_state()

        self.snapshot_taken_at = self.now  # the latest since this start
        self.reset_election_timer()
        if self.snapshot is not None:
            self.restore(self.snapshot)
        self.membership = Membership([self.founding_configuration()])
        self.membership.extend(self.log.first, tuple(self.log))
        self.apply_configuration()

    def clear_leader_state(self) -> None:
        """Resets the leader's volatile state (Figure 2, State); all other servers hold none."""
        self.progress: dict[NodeId, Progress] = {}
        self.rounds = HeartbeatRounds()
        self.lease = Lease()
        self.noop_index = 0  # the index of the no-op appended at its election (§8)
        self.pending: PendingRequests[int] = PendingRequests()
        self.clock = CommandClock()
        self.has_told_led = False  # whether the parent knows that it leads
        self.reads = ReadQueue()
        self.leadership_transfer: LeadershipTransfer | None = None
        self.replication_due = False

    # Figure 2, Rules for Servers: roles.

    def become_follower(self, term: int, leader: NodeId | None = None) -> None:
        """Becomes a follower in `term`. `leader` is that term's leader; None: unknown."""
        assert term >= self.term, f"{self.id} in term {self.term} cannot go back to {term}"
        led = self.role == LEADER
        assert not led or term > self.term or leader is None, f"{leader} and {self.id} both lead term {term}"
        if term > self.term:  # §5.1
            self.term, self.voted_for = term, None
            self.election_timeout = self.draw_election_timeout()
        self.role, self.leader = FOLLOWER, leader
        if led:
            self.reset_election_timer()  # a leader's own timer is not running
            self.note("stepped_down", term=term)
            self.end_leadership()

    def follow(self, term: int, leader: NodeId) -> None:
        """Handles that the leader of `term` was heard."""
        if term > self.term or self.leader != leader:
            self.become_follower(term, leader)
        self.heard_at = self.now
        self.reset_election_timer()

    def become_pre_candidate(self) -> None:
        """Asks whether it could win before it raises its term (thesis 9.6). None of this is durable."""
        self.role, self.leader = PRE_CANDIDATE, None
        self.votes = {self.id}
        self.election_timeout = self.draw_election_timeout()
        self.reset_election_timer()
        last = self.log.last
        self.broadcast(PreVote(self.term + 1, last, self.term_at(last)))
        if self.quorums.reached(self.votes):
            self.become_candidate()

    def become_candidate(self, *, transfer: bool = False) -> None:
        """Asks for votes in a new term (§5.2). `transfer`: the leader asked this server to take over."""
        self.role, self.leader = CANDIDATE, None
        self.term += 1
        self.voted_for = self.id
        self.votes = set()
        self.election_timeout = self.draw_election_timeout()  # drawn anew, so that split votes do not repeat
        self.reset_election_timer()
        # After the commit, because voters rely on the log that this message describes.
        last = self.log.last
        self.broadcast(RequestVote(self.term, last, self.term_at(last), transfer))
        self.send(self.id, Vote(self.term, True))

    def become_leader(self) -> None:
        self.role, self.leader = LEADER, self.id
        self.cancel_timer(self.start_election)
        self.note("elected", term=self.term)
        self.clear_leader_state()
        following = self.log.last + 1
        self.progress = {server: Progress(following) for server in (*self.peers, self.id)}
        self.membership.departing = dict.fromkeys(self.membership.departing, 0)
        self.noop_index = self.log.append(Entry(self.term, None))  # §8: under it, entries of earlier terms commit
        self.clock = CommandClock(self.term, "", self.noop_index)
        self.replicate_soon()
        self.begin_round()  # its messages are the AppendEntries of `replicate`
        self.set_timer(self.heartbeat, after=self.config.heartbeat_interval)
        self.await_quorum()
        self.apply_configuration()

    def end_leadership(self) -> None:
        """Ends the work of a deposed leader: answers clients that must not wait, and clears the leader's state.

        Pending commands may still commit under another leader, so their clients get no NotLeader: they retry under the
        same sequence number, and the session table shows whether the command was executed. Reads change nothing, and
        are answered with NotLeader. So are administrators, whose requests are idempotent.
        """
        self.cancel_timer(self.heartbeat)
        self.cancel_timer(self.lose_quorum)
        self.cancel_timer(self.abort_transfer)
        self.cancel_timer(self.tick)
        if self.is_mounted:
            self.tell(Deposed())
        if self.leadership_transfer is not None:  # the target answers once it leads
            self.send(
                self.leadership_transfer.administrator,
                NotLeader(self.leadership_transfer.operation, 0, self.leadership_transfer.target),
            )
        for read in self.reads.take_all():
            self.send(read.client, NotLeader(read.operation, 0, None))
        for administrator, request in self.membership.requests.items():
            self.send(administrator, NotLeader(request.operation, 0, None))
        self.membership.requests = {}
        for server, progress in self.progress.items():
            if progress.catch_up is not None:
                self.cancel_timer(self.give_up_learner, server)
        self.clear_leader_state()
        self.apply_configuration()

    # Figure 2, AppendEntries RPC.

    @handles(AppendEntries)
    def on_append_entries(self, sender: NodeId, append: AppendEntries) -> None:
        if append.term < self.term:  # from a deposed leader, which learns the new term
            self.send(sender, Appended(self.term, False, append.previous_index))
            return
        self.follow(append.term, sender)
        if append.previous_index < self.snapshot_index:  # the snapshot's entries are committed: the logs agree there
            append = append.without_entries_to(self.snapshot_index, self.snapshot_term)
        previous = append.previous_index
        if self.term_at(previous) != append.previous_term:
            hint = self.last_not_after(append.previous_term, min(previous, self.log.last))
            self.send(sender, Appended(self.term, False, previous, append.round, hint, self.term_at(hint)))
            return
        if append.entries:
            self.store_entries(previous, append.entries)
        agreed = previous + len(append.entries)
        if append.commit > self.commit:
            self.apply(min(append.commit, agreed))
        self.send(sender, Appended(self.term, True, agreed, append.round))

    def store_entries(self, previous: int, entries: tuple[Entry, ...]) -> None:
        """Deletes entries that conflict with these, and appends the new ones (Figure 2, AppendEntries, 3 and 4)."""
        log = self.log
        start, is_news = previous + 1, False
        if previous < log.last:  # keeps what is already there: this message may be older than others
            known = 0
            while known < len(entries) and self.term_at(start + known) == entries[known].term:
                known += 1
            start, entries = start + known, entries[known:]
            if entries and start <= log.last:
                assert start > self.commit, f"{self.id} would lose entry {start}, which is committed"
                self.note("truncated", start=start, last=log.last)
                log.truncate(start)
                is_news = self.membership.truncate(start)
        log.extend(entries)
        if self.membership.extend(start, entries) or is_news:
            self.apply_configuration()

    @handles(Appended)
    def on_appended(self, sender: NodeId, reply: Appended) -> None:
        progress = self.progress.get(sender)
        if progress is None or reply.term != self.term:  # an answer to an earlier leadership, or from a later term
            is_removed = progress is None and self.role == LEADER  # its answer is to an earlier leader
            if reply.term > self.term and not is_removed:
                self.become_follower(reply.term)
            return
        if reply.ok:
            self.on_accepted(progress, reply.index)
        elif not progress.is_stale_refusal(reply.index):
            # End of §5.3: both sides skip whole terms.
            progress.probe(self.last_not_after(reply.hint_term, min(reply.hint, reply.index - 1)))
            self.send_from([sender], progress.next_index)
        if self.role != LEADER:  # its removal was committed
            return
        if self.rounds.answer(sender, reply.round):
            self.on_round_answered(sender, progress)
        if progress.catch_up is not None:
            self.end_catch_up_round(sender, progress, progress.catch_up)
        elif sender in self.membership.departing:
            self.dismiss_if_informed(sender, progress)

    def on_accepted(self, progress: Progress, index: int) -> None:
        """Handles a server's acknowledgement: it holds the log durably up to `index`."""
        if progress.accepted(index) and index > self.commit:
            self.advance_commit()
        if progress.state == SNAPSHOTTING:
            if progress.lacks_snapshot() and self.is_compacted(progress.next_index):
                return  # the missing entries are in transit
            progress.end_snapshot()
        if progress.next_index <= self.log.last:
            self.replicate_soon()

    def advance_commit(self) -> None:
        """Commits entries that a majority holds durably, and continues all work that waits for them."""
        held = self.held_by_majority()
        # §5.4.2: an entry of an earlier term commits only under one of the current term.
        if held > self.commit and self.log[held].term == self.term:
            self.apply(held)
        if self.reads:
            self.answer_ready_reads()
        configuration = self.membership.configuration
        if self.membership.requests or configuration.old or self.id not in configuration.voters:
            self.change_members()

    def held_by_majority(self) -> int:
        """Returns the last index that a majority holds durably."""
        return self.quorums.held(self.match_index)

    def apply(self, commit: int) -> None:
        """Applies the committed entries up to `commit` at once, and answers the waiting clients."""
        pending, placed, execute, is_mounted = self.pending, self.pending.placed, self.machine.apply, self.is_mounted
        for index, entry in enumerate(self.log.slice(self.commit + 1, commit + 1), self.commit + 1):
            command = entry.command
            if command is None:
                continue
            executed, tag = execute(index, command), None
            if placed or executed.answers:
                for request, result, session in pending.answered(index, command, executed):
                    if request.client:
                        reply = Reply(request.operation, request.sequence, result, session)
                        self.send(request.client, reply, before_commit=True)
                    else:
                        tag = request.sequence
            if is_mounted:
                for event in events_of(index, command, executed, tag):
                    self.tell(event)
        self.commit = max(commit, self.commit)
        if self.role == LEADER and self.commit >= self.noop_index:
            self.tell_led()
            self.await_deadline()
        every = self.config.snapshot_every
        if every and self.commit - self.snapshot_index >= every:
            self.take_snapshot()
        elif (
            not self.is_member
            and self.snapshot_index < self.membership.index
            and self.membership.is_removal(self.id, self.commit)
        ):
            self.take_snapshot()  # so that it knows after a restart, and starts no election

    # Figure 2, RequestVote RPC.

    @handles(RequestVote)
    def on_request_vote(self, sender: NodeId, request: RequestVote) -> None:
        self.notice_removed_server(sender)
        if self.stays_with_leader(request):
            return  # thesis 4.2.3: neither votes nor adopts the term
        if request.term < self.term:  # from an earlier term
            self.send(sender, Vote(self.term, False))
            return
        if request.term > self.term:
            self.become_follower(request.term)
        granted = self.voted_for in (None, sender) and self.is_current(request)
        if granted:
            self.voted_for = sender
            self.reset_election_timer()  # §5.2: only granting a vote postpones a server's own election
        self.send(sender, Vote(self.term, granted))

    def stays_with_leader(self, request: RequestVote) -> bool:
        """Returns whether to ignore the request: a leader was heard within `election_timeout_min` (thesis 4.2.3).

        A vote already given may be repeated. A new vote may be requested even in this server's own term: any answer may
        have raised that term, while the lease of the leader that it hears continues.
        """
        if request.transfer or not self.config.check_quorum or not self.hears_leader():
            return False
        return request.term > self.term or (request.term == self.term and self.voted_for is None)

    def is_current(self, request: RequestVote | PreVote) -> bool:
        """Returns whether the candidate's log is at least as up to date as this server's (§5.4.1)."""
        last = self.log.last
        return (request.last_term, request.last_index) >= (self.term_at(last), last)

    @handles(Vote)
    def on_vote(self, sender: NodeId, vote: Vote) -> None:
        if vote.term > self.term:
            self.become_follower(vote.term)
            return
        if self.role != CANDIDATE or vote.term < self.term or not vote.granted:
            return  # already decided, from an earlier election, or refused
        self.votes.add(sender)
        if self.quorums.reached(self.votes):
            self.become_leader()

    # Figure 2, Rules for Servers: followers and candidates.

    @on_timer
    def start_election(self) -> None:
        """Starts an election: no leader was heard for an election time-out."""
        if not self.membership.is_electable(self.id, self.commit):
            self.leader = None
        elif self.config.prevote:
            self.become_pre_candidate()
        else:
            self.become_candidate()

    def reset_election_timer(self) -> None:
        self.set_timer(self.start_election, after=self.election_timeout)

    def draw_election_timeout(self) -> int:
        return self.rng.randint(self.config.election_timeout_min, self.config.election_timeout_max)

    def hears_leader(self) -> bool:
        """Returns whether this server leads, or has heard from a leader within `election_timeout_min`."""
        if self.role == LEADER:
            return True
        return self.heard_at is not None and self.now < self.heard_at + self.config.election_timeout_min

    # Figure 2, Rules for Servers: leaders.

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        operation, command = request.operation, request.command
        if self.role != LEADER:
            self.send(sender, NotLeader(operation, command.sequence, self.leader))
            return
        taken = PendingRequest(sender, operation, command.sequence, command.session)
        is_full = self.log.last - self.commit >= self.config.max_uncommitted
        if is_full or self.leadership_transfer is not None:
            if not self.pending.is_under_way(taken):  # not appended, so it can neither be lost nor executed twice
                self.send(sender, NotLeader(operation, command.sequence, None))
        elif self.pending.begin(taken):  # not a retry
            self.pending.place(self.append(command), taken, self.term)

    def append(self, command: Command) -> int:
        """Appends a command to the log, with the time that has passed if the state machine keeps time."""
        if self.machine.keeps_time:
            command = self.clock.stamped(command, self.now)
        self.replicate_soon()
        return self.log.append(Entry(self.term, command))

    def replicate_soon(self) -> None:
        if not self.replication_due:
            self.replication_due = True
            self.set_timer(self.replicate, after=0)

    @on_timer
    def replicate(self) -> None:
        self.replication_due = False
        if self.role != LEADER:  # deposed within this batch
            return
        last, is_more = self.log.last, True
        while is_more and (behind := self.lagging(last)):
            is_more = False
            for next_index, followers in behind.items():
                following = self.send_from(followers, next_index)
                is_more = is_more or following <= last
                for follower in followers:
                    self.progress[follower].next_index = following
        own = self.progress[self.id]
        if own.next_index <= last:
            own.next_index = last + 1
            self.send(self.id, Appended(self.term, True, last))

    def lagging(self, last: int) -> dict[int, list[NodeId]]:
        """Returns the followers to send entries up to `last` to, grouped by their next entry."""
        groups: dict[int, list[NodeId]] = {}
        window = self.config.max_in_flight
        for follower in self.peers:
            progress = self.progress[follower]
            if progress.next_index <= last and progress.wants_entries(last, window):
                groups.setdefault(progress.next_index, []).append(follower)
        return groups

    def send_from(self, followers: list[NodeId], start: int) -> int:
        """Sends AppendEntries from `start` on, or begins a snapshot if `start` is compacted. Returns the next index."""
        if self.is_compacted(start):
            for follower in followers:
                self.send_snapshot(follower)
            return start
        config = self.config
        entries = fitting(self.log.slice(start, start + config.max_append_entries), config.max_append_bytes)
        append = AppendEntries(self.term, start - 1, self.term_at(start - 1), entries, self.commit, self.rounds.latest)
        self.multicast(followers, append, before_commit=True)
        return start + len(entries)

    @on_timer
    def heartbeat(self) -> None:
        self.set_timer(self.heartbeat, after=self.config.heartbeat_interval)
        self.send_heartbeats()

    def send_heartbeats(self) -> None:
        """Begins a round: an AppendEntries without entries to every follower.

        A heartbeat's previous index is the last index sent, so the follower refuses it if an AppendEntries was lost. If
        the next entry is compacted, the previous index is 0, which every follower accepts.
        """
        self.begin_round()
        groups: dict[int, list[NodeId]] = {}
        for follower in self.peers:
            progress = self.progress[follower]
            previous = progress.next_index - 1
            if self.is_compacted(progress.next_index):
                previous = 0
                if progress.is_ahead():  # sent entries may be lost: start over once this is answered
                    progress.probe(0)
            groups.setdefault(previous, []).append(follower)
        for previous, followers in groups.items():
            beat = AppendEntries(self.term, previous, self.term_at(previous), (), self.commit, self.rounds.latest)
            self.multicast(followers, beat, before_commit=True)

    def begin_round(self) -> None:
        """Begins a heartbeat round. An answer to a later message proves that its sender followed this leader then."""
        self.rounds.answer(self.id, self.rounds.begin(self.now))
        self.on_round_answered(self.id, self.progress[self.id])

    def on_round_answered(self, server: NodeId, progress: Progress) -> None:
        """Handles an answer to a later round than the server had answered before."""
        if progress.state == SNAPSHOTTING and self.rounds.answered[server] > progress.chunk_round:
            self.send_chunk(server, progress)  # presumed lost: a later heartbeat was answered first
        if self.rounds.confirm(self.quorums):
            self.on_round_confirmed()
        if self.leadership_transfer is not None and server == self.leadership_transfer.target:
            self.continue_transfer(progress)

    def on_round_confirmed(self) -> None:
        """Handles the confirmation of the round `rounds.confirmed`: a majority followed this leader after it began."""
        self.await_quorum()
        if self.config.read_mode == "lease":
            self.lease.extend(self.rounds.confirmed_at + self.lease_duration())
        self.answer_ready_reads()
        self.confirm_reads_soon()

    # The port for a parent that mounts the group.

    def propose(self, command: bytes) -> int | None:
        """Appends a command of the parent, and returns its tag; None if this server cannot take it now.

        The parent receives `Applied` with the tag once it is committed and executed, or `Deposed`: its fate is then
        unknown.
        """
        is_full = self.log.last - self.commit >= self.config.max_uncommitted
        if self.role != LEADER or is_full or self.leadership_transfer is not None:
            return None
        self.proposals += 1
        tag = self.proposals
        self.pending.place(self.append(Command(PARENT, tag, command)), PendingRequest("", -tag, tag), self.term)
        return tag

    def bootstrap(self, snapshot: bytes, index: int) -> None:
        """Starts a new group from the state of another: `snapshot` is that of a `ReplicatedMachine`, and the log begins
        behind `index` (1 or more).

        The parent calls it on every member, in the step that mounts it. It does nothing on a server that has state.
        """
        if self.log.last or self.term:
            return
        _, configuration = self.founding_configuration()
        self.restore(Snapshot(index, 0, snapshot, configuration))
        check_begins_behind(index, self.machine)
        self.snapshot = Snapshot(index, 0, self.machine.begin_anew(index), configuration)
        self.log.compact(index)
        self.membership = Membership([self.founding_configuration()])
        self.apply_configuration()

    def tell_led(self) -> None:
        """Reports `Led` to the parent, once in each term that this server leads, when it has executed all earlier
        commands."""
        if self.is_mounted and not self.has_told_led:
            self.has_told_led = True
            self.tell(Led(self.term))

    # The time of a state machine that keeps time.

    def await_deadline(self) -> None:
        """Sets the timer of the next tick, if the state machine waits for a time."""
        if not self.machine.keeps_time:
            return
        after = self.clock.tick_after(self.machine.until_deadline(), self.now)
        if after is None:
            self.cancel_timer(self.tick)
        else:
            self.set_timer(self.tick, after=after)

    @on_timer
    def tick(self) -> None:
        """Appends a command that lets time pass. `apply` sets the timer again."""
        if self.role != LEADER:  # deposed within this batch
            return
        self.replicate_soon()
        self.log.append(Entry(self.term, self.clock.tick(self.now)))

    # Check-quorum (thesis 6.2) and the leader's lease (thesis 6.4.1).

    def await_quorum(self) -> None:
        if self.config.check_quorum:
            self.set_timer(self.lose_quorum, after=self.election_timeout)

    @on_timer
    def lose_quorum(self) -> None:
        """Steps down: no round was confirmed for an election time-out, and clients are better served elsewhere."""
        self.become_follower(self.term)

    def lease_duration(self) -> int:
        """Returns the length of a lease: for `election_timeout_min`, voters vote for no other server (thesis 4.2.3).

        A membership change does not end a lease: any quorum of a configuration meets each quorum of the previous one.
        """
        return lease_length(self.config.election_timeout_min, self.config.max_clock_drift_ppm)

    def holds_lease(self) -> bool:
        """Returns whether no other server can have been elected so far."""
        return self.lease.holds(self.now)

    # Reads without the log (thesis 6.4).

    @handles(Query)
    def on_query(self, sender: NodeId, query: Query) -> None:
        if self.role != LEADER:
            self.send(sender, NotLeader(query.operation, 0, self.leader))
            return
        if self.reads.is_waiting(sender, query.operation):  # a retry
            return
        read = PendingRead(sender, query.operation, query.body, self.rounds.latest + 1, self.read_index())
        if self.holds_lease() and read.index <= self.commit:
            self.answer(read)
        elif len(self.reads) >= self.config.max_uncommitted:
            self.send(sender, NotLeader(query.operation, 0, None))
        else:
            self.reads.add(read)
            self.confirm_reads_soon()

    def read_index(self) -> int:
        """Returns the index that must be applied before a read that arrives now is answered.

        A new leader does not know how much is committed before an entry of its own term commits.
        """
        return max(self.commit, self.noop_index)

    def confirm_reads_soon(self) -> None:
        """Schedules a round for the end of this batch if reads wait for one, and no round of theirs is in progress."""
        if self.reads.needs_round(self.rounds.latest, self.rounds.confirmed):
            self.set_timer(self.confirm_reads, after=0)

    @on_timer
    def confirm_reads(self) -> None:
        if self.role == LEADER:
            self.send_heartbeats()
            self.reads.round = self.rounds.latest

    def answer_ready_reads(self) -> None:
        for read in self.reads.take_ready(self.rounds.confirmed, self.commit):
            self.answer(read)

    def answer(self, read: PendingRead) -> None:
        self.send(read.client, Answer(read.operation, self.machine.query(read.body)), before_commit=True)

    # PreVote (thesis 9.6).

    @handles(PreVote)
    def on_prevote(self, sender: NodeId, request: PreVote) -> None:
        self.notice_removed_server(sender)
        if self.hears_leader():
            return
        is_free = request.term == self.term and self.voted_for in (None, sender)
        if (request.term > self.term or is_free) and self.is_current(request):
            self.send(sender, PreVoted(request.term, True))
        else:
            self.send(sender, PreVoted(self.term, False))

    @handles(PreVoted)
    def on_prevoted(self, sender: NodeId, answer: PreVoted) -> None:
        if not answer.granted:
            if answer.term > self.term:
                self.become_follower(answer.term)
            return
        if self.role != PRE_CANDIDATE or answer.term != self.term + 1:
            return  # already decided, or from an earlier attempt
        self.votes.add(sender)
        if self.quorums.reached(self.votes):
            self.become_candidate()

    # Snapshots (§7; thesis, chapter 5).

    def take_snapshot(self) -> None:
        """Takes a snapshot and compacts the log, in one commit."""
        index = self.commit
        configuration = self.membership.configuration_at(index)
        self.snapshot = Snapshot(index, self.term_at(index), self.machine.snapshot(), configuration)
        self.snapshot_index, self.snapshot_term = index, self.snapshot.term
        self.note("snapshot_taken", index=index)
        if self.incoming is not None and self.incoming.identity <= (self.term, index):  # no longer needed
            self.incoming = None
        self.restart_stalled_snapshots()
        self.compact(index)
        self.membership.compact(index)

    def compact(self, index: int) -> None:
        """Compacts entries up to `index`, except trailing ones and those from the end of a snapshot in transit."""
        ends = [each.outgoing.snapshot.index - 1 for each in self.progress.values() if each.outgoing is not None]
        self.log.compact(min([index - self.config.snapshot_trailing, *ends]))

    def is_compacted(self, start: int) -> bool:
        """Returns whether sending entries from `start` on would need some that the log has compacted."""
        return start <= self.snapshot_index and (start < self.log.first or self.term_at(start - 1) < 0)

    def send_snapshot(self, follower: NodeId) -> None:
        assert self.snapshot is not None, f"{self.id} compacted its log without a snapshot"
        progress = self.progress[follower]
        progress.start_snapshot(self.snapshot, self.now)
        self.send_chunk(follower, progress)

    def send_chunk(self, follower: NodeId, progress: Progress) -> None:
        self.send(follower, progress.next_chunk(self.term, self.rounds.latest, self.config.snapshot_chunk))

    def restart_stalled_snapshots(self) -> None:
        """Restarts, with this snapshot, transfers without progress since the previous one and for two time-outs."""
        since = min(self.snapshot_taken_at, self.now - 2 * self.config.election_timeout_max)
        self.snapshot_taken_at = self.now
        for progress in self.progress.values():
            if progress.outgoing is not None and progress.outgoing.is_stalled(since):
                progress.end_snapshot()
                progress.probe(0)

    @handles(InstallSnapshot)
    def on_install_snapshot(self, sender: NodeId, chunk: InstallSnapshot) -> None:
        index = chunk.last_index
        if chunk.term < self.term:  # from a deposed leader, which learns the new term
            self.send(sender, SnapshotReceived(self.term, index, 0))
            return
        self.follow(chunk.term, sender)
        if self.holds(chunk):
            self.incoming = None
            self.apply(index)
            self.send(sender, Appended(self.term, True, index))
            return
        if self.incoming is not None and (chunk.term, index) < self.incoming.identity:
            return  # late, from a snapshot that the leader has abandoned
        incoming = self.receive(chunk)
        if chunk.done and incoming.size == chunk.offset + len(chunk.data):
            self.incoming = None
            self.install(Snapshot(index, chunk.last_term, incoming.content(), chunk.configuration))
            self.send(sender, Appended(self.term, True, index))
        else:
            self.send(sender, SnapshotReceived(self.term, index, incoming.size))

    def holds(self, chunk: InstallSnapshot) -> bool:
        """Returns whether the snapshot is already applied, or its last entry is in the log (Figure 5.3, 6)."""
        return chunk.last_index <= self.commit or self.term_at(chunk.last_index) == chunk.last_term

    def receive(self, chunk: InstallSnapshot) -> IncomingTransfer:
        """Takes the chunk if it is the next one; a chunk of another snapshot or leader starts a new transfer."""
        self.incoming = IncomingTransfer.of((chunk.term, chunk.last_index), self.incoming)
        self.incoming.take(chunk.offset, chunk.data)
        return self.incoming

    def install(self, snapshot: Snapshot) -> None:
        """Replaces the state machine and the whole log with the snapshot (Figure 5.3)."""
        self.snapshot = snapshot
        self.restore(snapshot)
        self.log.truncate(self.log.first)
        self.log.compact(snapshot.index)
        self.note("snapshot_installed", index=snapshot.index)
        if self.is_mounted:
            self.tell(Restored(snapshot.index))
        self.membership.configurations = [self.founding_configuration()]
        self.apply_configuration()

    def restore(self, snapshot: Snapshot) -> None:
        """Restores the state machine and the indexes from the snapshot."""
        self.machine.restore(snapshot.state)
        self.commit = self.snapshot_index = snapshot.index
        self.snapshot_term = snapshot.term

    @handles(SnapshotReceived)
    def on_snapshot_received(self, sender: NodeId, reply: SnapshotReceived) -> None:
        if self.role == LEADER and sender not in self.progress:
            return  # from a removed server, to an earlier leader
        if reply.term > self.term:
            self.become_follower(reply.term)
            return
        if self.role != LEADER or reply.term < self.term:  # an answer to an earlier leadership
            return
        progress = self.progress[sender]
        transfer = progress.outgoing
        if transfer is None or reply.last_index != transfer.snapshot.index:
            return  # about a snapshot that is no longer sent
        if transfer.acknowledge(reply.offset, self.now):
            self.send_chunk(sender, progress)

    # Administrative requests.

    @handles(Administer)
    def on_administer(self, sender: NodeId, request: Administer) -> None:
        if self.role != LEADER:
            self.send(sender, NotLeader(request.operation, 0, self.leader))
        elif request.function == "transfer_leader":
            self.begin_transfer(sender, request)
        elif request.function in (ADD, REMOVE):
            refusal = self.membership.take(sender, request)
            if refusal:
                self.send(sender, Administered(request.operation, refusal))
            else:
                self.change_members()
        else:
            self.send(sender, Administered(request.operation, f"nobody here can {request.function}"))

    # Leadership transfer (thesis 3.10).

    def begin_transfer(self, administrator: NodeId, request: Administer) -> None:
        """Starts a leadership transfer: refuses new requests from now on, and queries the target's progress.

        `continue_transfer` continues it. A later administrator replaces an earlier one, which retries by itself.
        """
        target = request.node
        if target == self.id:
            self.send(administrator, Administered(request.operation))
        elif target not in self.quorums.nodes:
            voters = ", ".join(sorted(self.quorums.nodes))
            self.send(administrator, Administered(request.operation, f"{target} is none of {voters}"))
        else:
            is_new = self.leadership_transfer is None or self.leadership_transfer.target != target
            self.leadership_transfer = LeadershipTransfer(target, administrator, request.operation)
            if is_new:
                self.note("transfer_began", to=target)
                self.set_timer(self.abort_transfer, after=self.election_timeout)
                self.send_heartbeats()

    def continue_transfer(self, progress: Progress) -> None:
        """Handles the target's answer to a round: starts its election if its log is complete, otherwise asks again."""
        assert self.leadership_transfer is not None
        if progress.match_index == self.log.last:
            self.cede_lease()
            self.send(self.leadership_transfer.target, TimeoutNow(self.term))
        else:
            self.send_heartbeats()

    def cede_lease(self) -> None:
        """Gives up the lease: another server may be elected at any time from now on, even by a very late TimeoutNow."""
        self.lease.cede()

    @on_timer
    def abort_transfer(self) -> None:
        """Aborts the transfer: the target did not take over within an election time-out. The lease remains given up."""
        assert self.leadership_transfer is not None
        self.note("transfer_aborted", to=self.leadership_transfer.target)
        self.leadership_transfer = None

    @handles(TimeoutNow)
    def on_timeout_now(self, sender: NodeId, order: TimeoutNow) -> None:
        if order.term < self.term:  # this or another server has already taken over
            return
        if order.term > self.term:
            self.become_follower(order.term)
        if self.membership.is_electable(self.id, self.commit):
            self.become_candidate(transfer=True)

    # Membership changes (§6; thesis 4.2).

    @property
    def configuration(self) -> Configuration:
        """Returns the latest configuration in the log, which this server uses."""
        return self.membership.configuration

    def founding_configuration(self) -> tuple[int, Configuration]:
        """Returns the index and configuration that the log begins with: the snapshot's, or the run's initial one."""
        if self.snapshot is not None and self.snapshot.configuration is not None:
            return self.snapshot.index, self.snapshot.configuration
        first = self.peers if self.spare else (*self.peers, self.id)
        return 0, Configuration(tuple(sorted(first)))

    def apply_configuration(self) -> None:
        """Applies the latest configuration to the counting of votes and to replication."""
        self.quorums = self.configuration.quorums
        members, departing = self.configuration.members, self.membership.departing
        self.is_member = self.id in members
        for server in [server for server in departing if server in members]:
            del departing[server]
            self.cancel_timer(self.dismiss, server)
        reached = (*members, *departing) if self.role == LEADER else members
        self.peers = tuple(server for server in reached if server != self.id)
        if self.role == LEADER:
            known = self.progress
            self.progress = {server: known.get(server) or Progress(self.log.last) for server in (*self.peers, self.id)}

    def may_change(self) -> bool:
        """Returns whether the latest configuration and an entry of this leader's term are committed.

        Without the latter the leader cannot know the former (Ongaro's post of 2015).
        """
        return self.membership.index <= self.commit and self.term_at(self.commit) == self.term

    def change_members(self) -> None:
        """Takes the next step of a membership change, if one is possible now."""
        if self.role != LEADER or not self.may_change():
            return
        configuration = self.configuration
        if configuration.old:
            self.propose_configuration(Configuration(configuration.voters, (), configuration.learners))
            return
        for administrator, request in self.membership.take_fulfilled():
            self.send(administrator, Administered(request.operation, request.refused))
        if self.id not in configuration.voters:
            self.become_follower(self.term)
        elif self.membership.requests:
            self.begin_change()

    def begin_change(self) -> None:
        """Begins a change: joining servers become learners first; once they have caught up, the voters change."""
        learning = self.membership.with_learners()
        if learning != self.configuration:
            self.propose_configuration(learning)
        for learner in self.membership.joining():
            progress = self.progress[learner]
            if progress.catch_up is None:
                progress.catch_up = CatchUp(1, self.log.last, self.now)
                self.set_timer(self.give_up_learner, learner, after=self.config.catch_up_timeout)
        ready = [server for server, each in self.progress.items() if each.catch_up is not None and each.catch_up.done]
        joint = self.membership.joint(ready)
        if self.may_change() and joint.voters != joint.old:
            self.propose_configuration(joint)

    def propose_configuration(self, configuration: Configuration) -> None:
        """Appends the configuration, which this server uses from now on."""
        before = self.configuration.members
        entry = Entry(self.term, None, configuration)
        self.membership.extend(self.log.append(entry), (entry,))
        self.note(
            "configuration",
            voters=" ".join(configuration.voters),
            old=" ".join(configuration.old),
            learners=" ".join(configuration.learners),
        )
        for server in before:
            if server not in configuration.members:
                self.keep_replicating_to(server)
        for server, progress in self.progress.items():
            if progress.catch_up is not None and server not in configuration.learners:
                progress.catch_up = None
                self.cancel_timer(self.give_up_learner, server)
        self.apply_configuration()
        self.replicate_soon()

    def end_catch_up_round(self, learner: NodeId, progress: Progress, catch_up: CatchUp) -> None:
        if catch_up.done or progress.match_index < catch_up.upto:
            return
        progress.catch_up = following = catch_up.following(self.log.last, self.now, self.config)
        if following is None:
            self.refuse_learner(learner, f"{learner} did not catch up in {catch_up.number} rounds")
        elif following.done:
            self.cancel_timer(self.give_up_learner, learner)
            self.change_members()

    @on_timer
    def give_up_learner(self, learner: NodeId) -> None:
        self.refuse_learner(learner, f"{learner} did not catch up within {self.config.catch_up_timeout}")

    def refuse_learner(self, learner: NodeId, why: str) -> None:
        self.progress[learner].catch_up = None
        self.cancel_timer(self.give_up_learner, learner)
        self.membership.refuse(learner, why)
        self.change_members()

    # Removed servers.

    def notice_removed_server(self, candidate: NodeId) -> None:
        """Handles a vote request from a server that may not know of its removal: the leader must inform it.

        The removed server may know no current member but this one, so a follower forwards its name to the leader.
        """
        if candidate in self.configuration.members:
            return
        self.keep_replicating_to(candidate)
        self.apply_configuration()
        if self.leader not in (None, self.id):
            self.send(self.leader, Removed(candidate))

    @handles(Removed)
    def on_removed(self, sender: NodeId, removed: Removed) -> None:
        if self.role == LEADER:
            self.notice_removed_server(removed.server)

    def keep_replicating_to(self, server: NodeId) -> None:
        """Continues replication to a removed server until it knows of its removal, for at most `catch_up_timeout`."""
        if server != self.id:
            self.membership.departing[server] = 0
            self.set_timer(self.dismiss, server, after=self.config.catch_up_timeout)

    def dismiss_if_informed(self, server: NodeId, progress: Progress) -> None:
        if self.membership.knows_removal(server, progress.match_index, self.commit, self.rounds):
            self.cancel_timer(self.dismiss, server)
            self.dismiss(server)

    @on_timer
    def dismiss(self, server: NodeId) -> None:
        self.membership.departing.pop(server, None)
        self.apply_configuration()

    # The log, and observable state.

    def term_at(self, index: int) -> int:
        """Returns the term of the entry at `index`; 0 at index 0, the empty log; -1 if the log holds no such entry."""
        log = self.log
        if log.first <= index <= log.last:
            return log[index].term
        if index == self.snapshot_index:
            return self.snapshot_term
        return -1 if index else 0

    def last_not_after(self, term: int, upto: int) -> int:
        """Returns the last index up to `upto` whose entry is of `term` or earlier; 0 if the log holds none."""
        if upto < self.log.first:
            return self.snapshot_index if self.snapshot_index <= upto and self.snapshot_term <= term else 0
        return bisect_right(self.log, term, self.log.first, upto + 1, key=_term_of) - 1

    @property
    def match_index(self) -> dict[NodeId, int]:
        """Returns, for each server, the last index that it is known to hold (Figure 2)."""
        return {server: progress.match_index for server, progress in self.progress.items()}

    @property
    def status(self) -> RaftStatus:
        return RaftStatus(
            (self.standing(),), "joint" if self.configuration.old else "", self.term,
            self.leader, self.commit, self.log.first, self.log.last, self.snapshot_index,
        )  # fmt: skip

    def standing(self) -> str:
        """Returns the role of a server that may lead; `learner` or `outside` for other servers."""
        if self.role == LEADER or self.membership.is_electable(self.id, self.commit):
            return self.role
        return LEARNER if self.id in self.configuration.learners else OUTSIDE

    @property
    def replica(self) -> Replica | None:
        return Replica(self.commit, self.machine.snapshot) if self.id in self.quorums.nodes else None

    def can_serve(self, running: Collection[NodeId]) -> bool:
        return self.quorums.reached(running)


def fitting(entries: tuple[Entry, ...], max_bytes: int) -> tuple[Entry, ...]:
    """Returns the longest prefix of `entries` whose commands take at most `max_bytes`; one entry always fits."""
    size = 0
    for count, entry in enumerate(entries):
        if entry.command is not None:
            size += len(entry.command.body)
            if size > max_bytes and count:
                return entries[:count]
    return entries
