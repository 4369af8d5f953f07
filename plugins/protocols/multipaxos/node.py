"""Multi-Paxos in one class: acceptor, candidate, leader and learner, with their messages in the order of the paper.

    | role | event | next role |
    | --- | --- | --- |
    | follower, lagging | no message from a leader for a time-out | candidate |
    | candidate | a quorum promises | leader |
    | candidate | time-out, and a quorum has answered | candidate, in a higher ballot |
    | candidate | TooFarBehind | lagging |
    | leader | Preempted, while its last confirmed round is younger than `election_timeout_min` | raising |
    | raising | a quorum promises | leader |
    | raising | no quorum answers for a time-out | candidate |
    | leader | Preempted otherwise, or no quorum answers for `election_timeout_max` | follower |
    | any | promises a higher ballot | follower |

`become_follower`, `become_lagging`, `become_candidate`, `become_leader` and `lose_quorum` are the only places that
change the role and reset its state. A raising node led the ballot before the one that it prepares, and keeps its
clients. The class owns parts that decide while its handlers send: `AcceptedSlots`, `Scout` (phase 1),
`PendingRequests`, `HeartbeatRounds` and `Lease`, `ReadQueue`, `OutgoingTransfer` and `IncomingTransfer` (checkpoints
in transit).

    | position | all slots up to it are |
    | --- | --- |
    | `slots.compacted` | chosen, and removed from the log |
    | `learned` | chosen, as known at the last write (durable) |
    | `chosen` | chosen, and applied |
    | `mark` | chosen, or accepted by this node in the promised ballot |
    | `last` | proposed by this leader in its ballot |
    | `proposed` | proposed by the leader, as far as a follower knows |
    | `found_last` | slots for which an earlier leader may have chosen a value |

Three rules for sending before and after the commit:

- A candidate's own promise and a leader's own acceptance are messages to itself. They arrive once they are durable.
- Accept and Heartbeat leave before the commit, because they promise nothing about the leader's own state. Answers to
  clients do too, because they rely on what a quorum holds durably.
- `propose` runs once, at the end of a batch that contains requests.

PMS is Lamport, *Paxos Made Simple*, 2001; PML is Chandra, Griesemer and Redstone, *Paxos Made Live*, PODC 2007; PMMC is
van Renesse and Altinbuken, *Paxos Made Moderately Complex*, 2015.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from framework import (
    NO_BALLOT,
    PARENT,
    TICK,
    Administer,
    Administered,
    Answer,
    Ballot,
    Command,
    CommandClock,
    Deposed,
    DurableLog,
    DurableMap,
    HeartbeatRounds,
    IncomingTransfer,
    Lease,
    Led,
    Node,
    NodeId,
    NotLeader,
    OutgoingTransfer,
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
    durable_map,
    events_of,
    handles,
    lease_length,
    on_timer,
)
from plugins.protocols.multipaxos.config import MultiPaxosConfig
from plugins.protocols.multipaxos.messages import (
    NO_CHECKPOINT,
    Accept,
    Accepted,
    Checkpoint,
    Fetch,
    Heartbeat,
    Learn,
    Part,
    Preempted,
    Prepare,
    Promise,
    Proposal,
    TakeOver,
    TooFarBehind,
    Value,
)
from plugins.protocols.multipaxos.scout import Scout
from plugins.protocols.multipaxos.slots import AcceptedSlots, fitting

FOLLOWER, LAGGING, CANDIDATE, RAISING, LEADER = "follower", "lagging", "candidate", "raising", "leader"


class Unproposed(Record):
    """A value that waits for a slot, and the request that it came with. Without a request it is a tick, or not new:
    phase 1 has found it."""

    value: Value
    request: PendingRequest | None = None
    is_new: bool = False


class MultiPaxosStatus(Status):
    """Status of a node. Its term is the round of the promised ballot."""

    ballot: Ballot = NO_BALLOT
    leader: NodeId | None = None
    chosen: int = 0
    last: int = 0


class MultiPaxos(Node):
    """A node in all roles: acceptor, candidate or leader, and learner (PMMC: acceptor, leader and replica)."""

    config: MultiPaxosConfig

    # The durable state of an acceptor (PMS, §2.5), and state that spares a learner a fresh start.

    promised: Ballot = durable(NO_BALLOT)
    accepted: DurableLog[Proposal] = durable_log(Proposal)
    beyond: DurableMap[int, Proposal] = durable_map(int, Proposal)
    learned: int = durable(0)
    """All slots up to here were chosen at the time of the last acceptance; a restart continues from here."""
    checkpoint: Checkpoint = durable(NO_CHECKPOINT)

    def on_start(self) -> None:
        config = self.config
        self.role = FOLLOWER
        self.leader: NodeId | None = None  # of the promised ballot, once heard from
        # Volatile on acceptors.
        self.slots = AcceptedSlots(self.accepted, self.beyond)
        # When a leader was last heard. A restarted node may have answered a leader whose lease still holds.
        self.heard_at = self.now if config.read_mode == "lease" and self.promised != NO_BALLOT else None
        self.reported_from = (
            0  # the highest slot of a Prepare answered in this ballot; a repeated Prepare does not delay an election
        )
        # Volatile on learners.
        self.machine = config.replicated_machine()
        self.chosen = self.slots.compacted  # all slots up to here are chosen and applied
        self.proposed = 0  # the leader has proposed up to here, as far as known
        self.asked_from, self.asked_at = 0, 0  # the first slot of the latest question to the leader, and its time
        self.incoming: IncomingTransfer | None = None  # the checkpoint that the leader is sending
        self.checkpoint_taken_at = self.now  # the latest since this start
        self.proposals = 0  # of the parent, since this start
        # Volatile on candidates and leaders.
        self.quorums = config.quorums.build(tuple(sorted((*self.peers, self.id))))
        self.scout: Scout | None = None  # phase 1 of the promised ballot, while in progress
        self.highest_round = 0  # the highest round in a refusal of one of this node's ballots
        self.clear_leader_state()

        if self.checkpoint.slot:
            self.machine.restore(self.checkpoint.state)
            self.chosen = self.checkpoint.slot
        self.apply(self.learned)
        self.slots.advance_mark(self.chosen, self.promised)
        self.await_leader()

    def clear_leader_state(self) -> None:
        """Resets the volatile state of leaders and raising nodes; all other nodes hold none."""
        self.queue: deque[Unproposed] = deque()
        self.pending: PendingRequests[Ballot] = PendingRequests()
        self.last = 0  # the last slot proposed in its ballot
        self.found_last = 0  # the last slot for which an earlier leader may have chosen a value
        self.marks: dict[NodeId, int] = {}
        self.answered_at: dict[NodeId, int] = {}  # when each acceptor last accepted something, or a heartbeat
        self.accept_targets: tuple[NodeId, ...] = ()  # the nodes that values are sent to
        self.rounds = HeartbeatRounds()
        self.lease = Lease()
        self.clock = CommandClock()
        self.is_tick_queued = False
        self.has_told_led = False  # whether the parent knows that it leads
        self.reads = ReadQueue()
        self.transfers: dict[NodeId, OutgoingTransfer[Checkpoint]] = {}
        self.successor: NodeId | None = None
        self.propose_due = False

    # Roles.

    def become_follower(self, leader: NodeId | None = None) -> None:
        """Becomes a follower, ending any leadership or candidacy. `leader`: the current leader, if known."""
        led = self.role in (LEADER, RAISING)
        self.role, self.leader = FOLLOWER, leader
        self.scout = None
        if led:
            self.note("stepped_down", round=self.promised.round)
            self.end_leadership()
        self.await_leader()

    def become_lagging(self) -> None:
        """Yields to an acceptor that has compacted slots which this node lacks.

        Without that acceptor's promise there may be no quorum, and the acceptor can win a ballot itself.
        """
        self.become_follower()
        self.role = LAGGING
        self.set_timer(self.start_election, after=self.config.others_turn)

    def become_candidate(self, *, released: Ballot = NO_BALLOT) -> None:
        """Begins a ballot above all known ones, and its phase 1 (PMMC: spawns a scout).

        Prepare leaves once the ballot is durable, so that no ballot is begun twice.
        """
        ballot = Ballot(max(self.promised.round, self.highest_round) + 1, self.id)
        self.role = RAISING if self.role in (LEADER, RAISING) else CANDIDATE
        self.promise(ballot)
        self.await_leader()
        everyone = (self.id, *self.peers)
        self.scout = Scout.of(everyone, self.chosen + 1, released)
        self.multicast(everyone, Prepare(ballot, self.chosen + 1, released))
        self.set_timer(self.prepare_again, after=self.config.heartbeat_interval)

    def become_leader(self, scout: Scout) -> None:
        """Becomes the leader, and first proposes again the values that phase 1 found (PMMC: adopted)."""
        self.note("raised" if self.role == RAISING else "elected", round=self.promised.round)
        self.role, self.leader, self.heard_at = LEADER, self.id, self.now
        self.scout = None
        self.cancel_timer(self.start_election)
        for slot in scout.gaps(self.chosen):
            self.note("filled", slot=slot)
        values = scout.values(self.chosen)
        self.last, self.found_last = self.chosen, self.chosen + len(values)
        self.marks, self.transfers, self.lease = {}, {}, Lease()
        self.answered_at = dict.fromkeys(self.peers, self.now)
        # The quorum of promises confirms what an answered round would: no node led a higher ballot when it began.
        self.rounds = HeartbeatRounds(self.rounds.latest, self.rounds.latest, self.now)
        self.reads.wait_for(self.read_index())
        self.clock = CommandClock(self.promised.round, self.id)
        self.has_told_led = False
        self.keep_clients(scout.found)
        self.queue.extendleft(Unproposed(value) for value in reversed(values))
        self.heartbeat()
        self.propose_soon()
        self.continue_leading()

    def lose_quorum(self) -> None:
        """Demotes a raising node without a quorum to a candidate: its clients are better served elsewhere."""
        self.role = CANDIDATE
        self.note("stepped_down", round=self.promised.round)
        self.end_leadership()

    def end_leadership(self) -> None:
        """Ends the work of a deposed leader.

        Proposed commands may still be chosen under another leader, so their clients get no NotLeader. They retry with
        the same sequence number, and the session table shows whether the command was executed. Unproposed requests and
        reads are answered with NotLeader.
        """
        for waiting in self.queue:
            request = waiting.request
            if request is not None and request.client:
                self.send(request.client, NotLeader(request.operation, request.sequence, self.leader))
        for read in self.reads.take_all():
            self.send(read.client, NotLeader(read.operation, 0, self.leader))
        self.cancel_timer(self.heartbeat)
        self.cancel_timer(self.give_up_successor)
        self.cancel_timer(self.tick)
        if self.is_mounted:
            self.tell(Deposed())
        self.clear_leader_state()

    # The acceptor: phase 1b, phase 2b (PMS, §2.2).

    @handles(Prepare)
    def on_prepare(self, sender: NodeId, prepare: Prepare) -> None:
        if prepare.ballot < self.promised:
            self.send(sender, Preempted(self.promised))
            return
        if prepare.slot <= self.slots.compacted:
            self.send(sender, TooFarBehind(prepare.ballot))
            return
        if prepare.ballot > self.promised:
            if self.is_bound(sender) and prepare.released != self.promised:  # by another leader's lease
                return
            self.promise(prepare.ballot)
        if prepare.slot > self.reported_from and self.role != LEADER:
            self.reported_from = prepare.slot
            self.await_leader()  # gives a candidate that makes progress the time to win
        reported = self.slots.report(prepare.slot, self.config.max_accept_slots, self.config.max_accept_bytes)
        self.send(sender, Promise(self.promised, *reported))

    def is_bound(self, candidate: NodeId) -> bool:
        """Returns whether a leader other than `candidate` may hold this acceptor's lease (PML, §5.2)."""
        if self.leader == candidate or self.heard_at is None:
            return False
        return self.now - self.heard_at < self.config.election_timeout_min

    def promise(self, ballot: Ballot) -> None:
        """Promises to accept nothing in a lower ballot."""
        assert ballot > self.promised, f"{self.id} promised {self.promised} and cannot go back to {ballot}"
        self.promised = ballot
        self.leader, self.heard_at = None, None
        self.slots.mark = self.chosen
        self.proposed = self.asked_from = self.reported_from = 0
        self.incoming = None
        if ballot.node != self.id and self.role != FOLLOWER:
            self.become_follower()

    @handles(Accept)
    def on_accept(self, sender: NodeId, accept: Accept) -> None:
        if accept.ballot < self.promised:  # from a deposed leader
            self.send(sender, Preempted(self.promised))
            return
        self.follow(sender, accept.ballot)
        self.accept(accept.slot, accept.values)
        self.learn(accept.chosen, accept.slot + len(accept.values) - 1)
        self.send(sender, Accepted(accept.ballot, self.mark))

    @handles(Heartbeat)
    def on_heartbeat(self, sender: NodeId, beat: Heartbeat) -> None:
        if beat.ballot < self.promised:  # from a deposed leader
            self.send(sender, Preempted(self.promised))
            return
        self.follow(sender, beat.ballot)
        self.learn(beat.chosen, beat.last)
        self.send(sender, Accepted(beat.ballot, self.mark, beat.round))

    def follow(self, leader: NodeId, ballot: Ballot) -> None:
        """Follows `leader`, the leader of `ballot`, and renews its lease on this acceptor."""
        assert self.role == FOLLOWER or ballot > self.promised, f"{leader} and {self.id} both lead {ballot}"
        if ballot > self.promised:
            self.promise(ballot)
        self.leader, self.heard_at = leader, self.now
        self.await_leader()

    def accept(self, slot: int, values: tuple[Value, ...]) -> None:
        """Accepts `values` from `slot` on in the promised ballot, and records how far slots are known to be chosen."""
        self.slots.accept(slot, values, self.promised)
        self.learned = self.chosen

    # The candidate: phase 1a, once for the whole log (PMS, §3; PML, §4.1).

    def await_leader(self) -> None:
        after = self.rng.randint(self.config.election_timeout_min, self.config.election_timeout_max)
        self.set_timer(self.start_election, after=after)

    @on_timer
    def start_election(self) -> None:
        """Begins a ballot when no leader was heard for a time-out, or a candidacy has not succeeded within one.

        A candidate begins a higher ballot only once a quorum has answered, refusals included. Otherwise, if link
        failures leave a single node that reaches a quorum (the quorum loss of Ng, Haridi and Carbone, *Omni-Paxos*,
        EuroSys 2023), the others would block that node for ever, because giving a promise postpones a node's candidacy.
        """
        if self.scout is not None and not self.scout.is_answered(self.quorums.phase1):
            if self.role == RAISING:
                self.lose_quorum()
            self.await_leader()  # meanwhile `prepare_again` continues with this ballot
        else:
            self.become_candidate()

    @on_timer
    def prepare_again(self) -> None:
        """Repeats Prepare to acceptors that have not reported everything: a message was lost, or a lease bound them."""
        if self.scout is not None:
            for acceptor, slot in self.scout.waiting_for.items():
                self.send(acceptor, Prepare(self.promised, slot, self.scout.released))
            self.set_timer(self.prepare_again, after=self.config.heartbeat_interval)

    @handles(Promise)
    def on_promise(self, sender: NodeId, promise: Promise) -> None:
        scout = self.scout
        if scout is None or promise.ballot != self.promised:  # decided already, or of an earlier ballot
            return
        if scout.take(sender, promise):
            self.await_leader()  # a long log takes its time
            self.send(sender, Prepare(self.promised, promise.following, scout.released))
        elif scout.is_adopted(self.quorums.phase1):
            self.become_leader(scout)

    @handles(Preempted)
    def on_preempted(self, sender: NodeId, preempted: Preempted) -> None:
        """Raises the ballot of a leader that still has a quorum, to include the acceptor; otherwise steps down."""
        if preempted.ballot <= self.promised:  # about an earlier ballot
            return
        self.highest_round = max(self.highest_round, preempted.ballot.round)
        if self.scout is not None:
            self.scout.refused(sender)
        elif self.role == LEADER and self.now - self.rounds.confirmed_at < self.config.election_timeout_min:
            self.become_candidate()
        elif self.role == LEADER:
            self.become_follower()

    @handles(TooFarBehind)
    def on_too_far_behind(self, sender: NodeId, refusal: TooFarBehind) -> None:
        if self.scout is None or refusal.ballot != self.promised:  # decided already, or about an earlier ballot
            return
        self.become_lagging()

    # The leader: phase 2a, slot after slot, many at once (PMS, §3; PMMC, §4.2).

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        command = request.command
        if self.role != LEADER:
            self.send(sender, NotLeader(request.operation, command.sequence, self.leader))
            return
        taken = PendingRequest(sender, request.operation, command.sequence, command.session)
        if len(self.queue) >= self.config.window:
            if not self.pending.is_under_way(taken):  # refused: the client retries after its backoff
                self.send(sender, NotLeader(request.operation, command.sequence, None))
        elif self.pending.begin(taken):  # not a retry
            self.queue.append(Unproposed(command, taken, True))
            self.propose_soon()

    def propose_soon(self) -> None:
        if not self.propose_due:
            self.propose_due = True
            self.set_timer(self.propose_waiting, after=0)

    @on_timer
    def propose_waiting(self) -> None:
        """Proposes waiting values in the next slots, as far as the window allows, without waiting for earlier slots."""
        self.propose_due = False
        if self.role != LEADER or self.successor is not None:  # deposed within this batch, or handing over
            return
        values = self.take(self.chosen + self.config.window - self.last)
        if not values:
            return
        slot = self.last + 1
        self.last += len(values)
        self.accept(slot, values)
        while values:
            count = fitting(values, self.config.max_accept_slots, self.config.max_accept_bytes)
            accept = Accept(self.promised, slot, values[:count], self.chosen)
            self.multicast(self.accept_targets, accept, before_commit=True)
            slot, values = slot + count, values[count:]
        self.send(self.id, Accepted(self.promised, self.last))

    def take(self, most: int) -> tuple[Value, ...]:
        """Takes up to `most` values from the queue, and assigns the next slots to them."""
        values: list[Value] = []
        queue, place, ballot, keeps_time = self.queue, self.pending.place, self.promised, self.machine.keeps_time
        for slot in range(self.last + 1, self.last + 1 + min(most, len(queue))):
            waiting = queue.popleft()
            value, request = waiting.value, waiting.request
            if request is not None:
                place(slot, request, ballot)
            elif waiting.is_new:
                self.is_tick_queued = False
            if keeps_time and waiting.is_new and value is not None:
                value = self.clock.stamped(value, self.now)
            values.append(value)
        return tuple(values)

    @handles(Accepted)
    def on_accepted(self, sender: NodeId, accepted: Accepted) -> None:
        if self.role != LEADER or accepted.ballot != self.promised:  # an answer to a deposed leader
            return
        self.answered_at[sender] = self.now
        if accepted.mark > self.marks.get(sender, -1):
            self.marks[sender] = accepted.mark
            if accepted.mark > self.chosen:
                self.choose()
        if self.rounds.answer(sender, accepted.round):
            self.confirm_round()
        if self.transfers:
            self.end_transfer_if_installed(sender)
        if self.successor is not None:
            self.hand_over(self.successor)

    def choose(self) -> None:
        """Marks slots as chosen that a quorum has accepted in this ballot (PMMC: decision)."""
        # A mark includes slots chosen under earlier leaders, and may exceed what this leader has proposed.
        held = min(self.quorums.phase2.held(self.marks), self.last)
        if held > self.chosen:
            self.apply(held)
            if self.queue:
                self.propose_soon()

    @on_timer
    def heartbeat(self) -> None:
        if self.role != LEADER:  # its ballot is being raised
            return
        unconfirmed = self.now - self.rounds.confirmed_at
        if unconfirmed > self.config.election_timeout_max:  # it binds acceptors but cannot lead
            self.become_follower()
            return
        self.set_timer(self.heartbeat, after=self.config.heartbeat_interval)
        self.accept_targets = self.choose_accept_targets()
        self.send_heartbeats()

    def send_heartbeats(self) -> None:
        """Begins a round of heartbeats, which announce progress and confirm that this node still leads."""
        round = self.rounds.begin(self.now)
        self.broadcast(Heartbeat(self.promised, round, self.last, self.chosen), before_commit=True)
        self.rounds.answer(self.id, round)
        self.confirm_round()

    def confirm_round(self) -> None:
        """Handles a newly confirmed round: no higher ballot had a quorum of promises when the round began."""
        if not self.rounds.confirm(self.quorums.phase2):
            return
        self.heard_at = self.rounds.confirmed_at
        if self.config.read_mode == "lease":
            length = lease_length(self.config.election_timeout_min, self.config.max_clock_drift_ppm)
            self.lease.extend(self.rounds.confirmed_at + length)
        self.answer_ready_reads()
        self.confirm_reads_soon()

    def choose_accept_targets(self) -> tuple[NodeId, ...]:
        """Returns the peers that have answered recently; if thrifty, a smallest quorum of them."""
        since = self.now - self.config.election_timeout_max
        prompt = tuple(peer for peer in self.peers if self.answered_at[peer] >= since)
        if not self.config.thrifty:
            return prompt
        quorum = tuple(node for node in self.quorums.phase2.smallest(self.id) if node != self.id)
        return quorum if set(quorum) <= set(prompt) else prompt

    def keep_clients(self, found: dict[int, Proposal]) -> None:
        """Keeps clients, after a raised ballot, whose command is proposed again in its slot or has no slot yet."""
        self.queue = deque(waiting for waiting in self.queue if waiting.is_new)
        placed = self.pending.placed.items()
        kept = {slot: each for slot, each in placed if self.is_found(each[1], found.get(slot))}
        self.pending.keep(kept, [each.request for each in self.queue if each.request is not None])

    def is_found(self, since: Ballot, found: Proposal | None) -> bool:
        """Returns whether `found`, the proposal that phase 1 found in a request's slot, is the request's command, which
        this node first proposed there in the ballot `since`.

        It is if this node proposed it in that ballot or in a later one: it has led all of these, and proposed the same
        command again. In an earlier ballot, before it stepped down in between, it may have proposed another client's
        command in the slot.
        """
        return found is not None and found.ballot.node == self.id and found.ballot >= since

    @handles(Learn)
    def on_learn(self, sender: NodeId, learn: Learn) -> None:
        """Proposes the values of these slots to the follower only; where a value is chosen, it is the same value."""
        if self.role != LEADER or learn.ballot != self.promised:
            return
        if learn.first <= self.slots.compacted:
            self.send_part(sender, self.transfer_to(sender), 0)
            return
        max_slots, max_bytes = self.config.max_accept_slots, self.config.max_accept_bytes
        last = min(learn.last, self.last, learn.first + max_slots - 1)
        values = tuple(proposal.value for proposal in self.accepted.slice(learn.first, last + 1))
        count = fitting(values, max_slots, max_bytes)
        accept = Accept(self.promised, learn.first, values[:count], self.chosen)
        self.send(sender, accept, before_commit=True)

    # The learner: chosen values, and the state machine that applies them (PMS, §2.3; PMMC: replica).

    def learn(self, chosen: int, proposed: int) -> None:
        """Handles the leader's report that slots up to `chosen` are chosen, and slots up to `proposed` proposed.

        A value that this node has accepted in the leader's ballot is the chosen one. It asks the leader for the others.
        """
        self.proposed = max(self.proposed, chosen, proposed)
        if chosen > self.chosen:
            self.apply(min(chosen, self.mark))
        is_lost = self.now - self.asked_at >= self.config.election_timeout_min  # the latest question or its answer
        if self.mark < self.proposed and (self.asked_from <= self.mark or is_lost):
            self.ask()

    def ask(self) -> None:
        """Requests the next part of a checkpoint if one is in transit, otherwise the first missing slots."""
        assert self.leader is not None
        self.asked_from, self.asked_at = self.mark + 1, self.now
        if self.incoming is not None and self.incoming_slot > self.chosen:  # else the log has overtaken it
            self.send(self.leader, Fetch(self.promised, self.incoming_slot, self.incoming.size))
        else:
            last = min(self.proposed, self.mark + self.config.max_accept_slots)
            self.send(self.leader, Learn(self.promised, *self.slots.missing(last, self.promised)))

    def apply(self, upto: int) -> None:
        """Applies the chosen slots up to `upto` at once, and answers the waiting clients (PMMC: perform)."""
        if upto <= self.chosen:
            return
        assert upto <= self.accepted.last, f"{self.id} lacks what is chosen for slot {upto}"
        pending, placed, execute, is_mounted = self.pending, self.pending.placed, self.machine.apply, self.is_mounted
        for slot, proposal in enumerate(self.accepted.slice(self.chosen + 1, upto + 1), self.chosen + 1):
            command = proposal.value
            if command is None:
                continue
            executed, tag = execute(slot, command), None
            if placed or executed.answers:
                for request, result, session in pending.answered(slot, command, executed):
                    if request.client:
                        reply = Reply(request.operation, request.sequence, result, session)
                        self.send(request.client, reply, before_commit=True)
                    else:
                        tag = request.sequence
            if is_mounted:
                for event in events_of(slot, command, executed, tag):
                    self.tell(event)
        count = upto - self.chosen
        self.chosen = upto
        self.slots.mark = max(self.mark, upto)
        self.trim(2 * count)
        if self.config.checkpoint_every and self.chosen - self.checkpoint.slot >= self.config.checkpoint_every:
            self.take_checkpoint()
        if self.reads:
            self.answer_ready_reads()
        self.continue_leading()

    # The port for a parent that mounts the group, and the time of a state machine that keeps time.

    def propose(self, command: bytes) -> int | None:
        """Queues a command of the parent, and returns its tag; None if this node cannot take it now.

        The parent receives `Applied` with the tag once it is chosen and executed, or `Deposed`: its fate is then
        unknown.
        """
        if self.role != LEADER or len(self.queue) >= self.config.window or self.successor is not None:
            return None
        self.proposals += 1
        tag = self.proposals
        self.queue.append(Unproposed(Command(PARENT, tag, command), PendingRequest("", -tag, tag), True))
        self.propose_soon()
        return tag

    def bootstrap(self, snapshot: bytes, index: int) -> None:
        """Starts a new group from the state of another: `snapshot` is that of a `ReplicatedMachine`, and the first slot
        is behind `index` (1 or more).

        The parent calls it on every member, in the step that mounts it. It does nothing on a node that has state.
        """
        if self.promised != NO_BALLOT or self.checkpoint.slot or self.mark:
            return
        self.machine.restore(snapshot)
        check_begins_behind(index, self.machine)
        self.checkpoint = Checkpoint(index, self.machine.begin_anew(index))
        self.chosen = self.learned = index
        self.slots.compact(index)
        self.slots.advance_mark(self.chosen, self.promised)

    def continue_leading(self) -> None:
        """Reports `Led` to the parent once this node leads and has executed all earlier commands, and awaits the next
        time at which the state machine wants a command."""
        if self.role != LEADER or self.chosen < self.found_last:
            return
        self.clock.start = self.found_last + 1
        if self.is_mounted and not self.has_told_led:
            self.has_told_led = True
            members = sorted((self.id, *self.peers))
            self.tell(Led(self.promised.round * len(members) + members.index(self.id)))
        if not self.machine.keeps_time:
            return
        after = self.clock.tick_after(self.machine.until_deadline(), self.now)
        if after is None or self.is_tick_queued:
            self.cancel_timer(self.tick)
        else:
            self.set_timer(self.tick, after=after)

    @on_timer
    def tick(self) -> None:
        """Queues a command that lets time pass. `apply` sets the timer again."""
        if self.role == LEADER:  # it may have been deposed within this batch
            self.is_tick_queued = True
            self.queue.append(Unproposed(Command(TICK, 1, b""), is_new=True))
            self.propose_soon()

    # Checkpoints (PML, §5.5).

    def take_checkpoint(self) -> None:
        self.checkpoint = Checkpoint(self.chosen, self.machine.snapshot())
        self.learned = self.chosen
        # A follower without progress since the last checkpoint, and for two time-outs, restarts with this one.
        since = min(self.checkpoint_taken_at, self.now - 2 * self.config.election_timeout_max)
        self.checkpoint_taken_at = self.now
        self.transfers = {to: each for to, each in self.transfers.items() if not each.is_stalled(since)}

    def trim(self, most: int) -> None:
        """Compacts slots that the checkpoint covers, at most `most` at a time: all at once would stall the node."""
        end = self.checkpoint.slot - self.config.checkpoint_trailing
        if self.slots.compacted < end:
            end = min([end, *(transfer.snapshot.slot for transfer in self.transfers.values())])
            if self.slots.compacted < end:
                self.slots.compact(min(end, self.slots.compacted + most))

    def transfer_to(self, follower: NodeId) -> OutgoingTransfer[Checkpoint]:
        """Returns the transfer in progress, or starts one of the latest checkpoint."""
        return self.transfers.setdefault(follower, OutgoingTransfer(self.checkpoint, self.now))

    def send_part(self, follower: NodeId, transfer: OutgoingTransfer[Checkpoint], offset: int) -> None:
        """Sends the part at `offset`; the follower holds the bytes before. Repeated requests are answered again."""
        transfer.acknowledge(offset, self.now)
        slot, size = transfer.snapshot.slot, len(transfer.snapshot.state)
        data = transfer.chunk(self.config.checkpoint_part)
        self.send(follower, Part(self.promised, slot, transfer.offset, size, data))

    @handles(Fetch)
    def on_fetch(self, sender: NodeId, fetch: Fetch) -> None:
        if self.role != LEADER or fetch.ballot != self.promised:
            return
        transfer = self.transfer_to(sender)
        self.send_part(sender, transfer, fetch.offset if fetch.slot == transfer.snapshot.slot else 0)

    def end_transfer_if_installed(self, follower: NodeId) -> None:
        transfer = self.transfers.get(follower)
        if transfer is not None and self.marks.get(follower, -1) >= transfer.snapshot.slot:
            del self.transfers[follower]

    @handles(Part)
    def on_part(self, sender: NodeId, part: Part) -> None:
        if sender != self.leader or part.ballot != self.promised or part.slot <= self.chosen:
            return  # from a deposed leader, requested before a restart, or overtaken by the log
        if part.offset == 0 and part.slot > self.incoming_slot:
            self.incoming = IncomingTransfer((part.slot,))
        incoming = self.incoming
        if incoming is None or part.slot != self.incoming_slot or not incoming.take(part.offset, part.data):
            return  # of another checkpoint, or a duplicate
        if incoming.size == part.size:
            self.install(Checkpoint(part.slot, incoming.content()))
        else:
            self.ask()

    @property
    def incoming_slot(self) -> int:
        """Returns the slot of the checkpoint in transit; 0 if there is none."""
        return 0 if self.incoming is None else int(self.incoming.identity[0])

    def install(self, checkpoint: Checkpoint) -> None:
        """Replaces the state machine, and the log up to the checkpoint's slot, with the checkpoint."""
        self.note("installed_snapshot", slot=checkpoint.slot)
        if self.is_mounted:
            self.tell(Restored(checkpoint.slot))
        self.incoming = None
        self.machine.restore(checkpoint.state)
        self.checkpoint = checkpoint
        self.chosen = self.learned = checkpoint.slot
        self.slots.compact(checkpoint.slot)
        self.slots.advance_mark(self.chosen, self.promised)
        assert self.leader is not None
        self.send(self.leader, Accepted(self.promised, self.mark))
        if self.mark < self.proposed:
            self.ask()

    # Reads without the log (PML, §5.2).

    @handles(Query)
    def on_query(self, sender: NodeId, query: Query) -> None:
        if self.role != LEADER:
            self.send(sender, NotLeader(query.operation, 0, self.leader))
            return
        if self.reads.is_waiting(sender, query.operation):  # a retry
            return
        read = PendingRead(sender, query.operation, query.body, self.rounds.latest + 1, self.read_index())
        if self.lease.holds(self.now) and read.index <= self.chosen:
            self.answer(read)
        else:
            self.reads.add(read)
            self.confirm_reads_soon()

    def read_index(self) -> int:
        """Returns the slot that must be applied before a read is answered.

        Earlier leaders may have chosen slots up to here; this leader's own chosen slots are already applied.
        """
        return self.found_last

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
        for read in self.reads.take_ready(self.rounds.confirmed, self.chosen):
            self.answer(read)

    def answer(self, read: PendingRead) -> None:
        self.send(read.client, Answer(read.operation, self.machine.query(read.body)), before_commit=True)

    # `transfer_leader`: the leader hands over to a node chosen by an administrator.

    @handles(Administer)
    def on_administer(self, sender: NodeId, request: Administer) -> None:
        """Begins a leadership transfer. The successor answers the administrator's retry once it leads."""
        if self.role != LEADER:
            self.send(sender, NotLeader(request.operation, 0, self.leader))
        elif request.node == self.id:
            self.send(sender, Administered(request.operation))
        elif request.node not in self.peers:
            self.send(sender, Administered(request.operation, f"{request.node} is not a member"))
        elif self.successor is None:
            self.successor = request.node
            self.set_timer(self.give_up_successor, after=self.config.election_timeout_max)
            self.hand_over(request.node)

    def hand_over(self, successor: NodeId) -> None:
        """Gives up leadership and lease once the successor has accepted everything proposed."""
        if self.marks.get(successor, -1) >= self.last:
            self.become_follower(successor)
            self.send(successor, TakeOver(self.promised))

    @on_timer
    def give_up_successor(self) -> None:
        """Aborts the transfer: the successor did not catch up within an election time-out."""
        self.successor = None
        self.propose_soon()

    @handles(TakeOver)
    def on_take_over(self, sender: NodeId, order: TakeOver) -> None:
        """Begins a ballot at once. Prepare names the ended lease, so that acceptors do not wait for it."""
        if order.ballot == self.promised and self.role == FOLLOWER:
            self.become_candidate(released=order.ballot)

    # Observable state.

    @property
    def mark(self) -> int:
        """Returns the mark: all slots up to it are chosen, or accepted in the promised ballot."""
        return self.slots.mark

    @property
    def status(self) -> MultiPaxosStatus:
        last = max(self.mark, self.chosen)
        return MultiPaxosStatus(
            (self.role,), "phase1" if self.scout else "", self.promised.round,
            self.promised, self.leader, self.chosen, last,
        )  # fmt: skip

    @property
    def replica(self) -> Replica:
        return Replica(self.chosen, self.machine.snapshot)

    def can_serve(self, running: Collection[NodeId]) -> bool:
        return self.quorums.phase1.reached(running) and self.quorums.phase2.reached(running)
