"""Multi-Paxos with one mistake at a time. PMS is Paxos Made Simple, PML Paxos Made Live."""

from __future__ import annotations

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import (
    NO_BALLOT,
    Ballot,
    Message,
    NodeId,
    PendingRead,
    ProtocolSpec,
    Query,
    QuorumSystem,
    ReplicatedMachine,
    Threshold,
    handles,
    hookimpl,
    on_timer,
)
from plugins.protocols import multipaxos
from plugins.protocols.multipaxos.messages import (
    NO_CHECKPOINT,
    Accept,
    Accepted,
    Checkpoint,
    Part,
    Prepare,
    Promise,
    Proposal,
    Value,
)
from plugins.protocols.multipaxos.node import LEADER, MultiPaxos
from plugins.protocols.multipaxos.slots import AcceptedSlots

# What is durable.


class ForgetsItsPromise(MultiPaxos):
    """The promise does not survive a restart (PMS §2.5)."""

    def on_start(self) -> None:
        self.promised = NO_BALLOT
        super().on_start()


class ForgetsWhatItAccepted(MultiPaxos):
    """The last thing accepted does not survive a restart (PMS §2.5)."""

    def on_start(self) -> None:
        if self.accepted.last > self.learned:
            self.accepted.truncate(self.accepted.last)
        super().on_start()


class SpeaksBeforeItsDisk(MultiPaxos):
    """Messages of the kinds in `early` leave before what they promise is durable."""

    early: tuple[type[Message], ...] = ()

    def send(self, to: NodeId, message: Message, *, before_commit: bool = False) -> None:
        super().send(to, message, before_commit=before_commit or type(message) in self.early)


class AcknowledgesEarly(SpeaksBeforeItsDisk):
    """Acceptances are told before they are durable (PMS §2.5)."""

    early = (Accepted,)


# Phase 1.


class SkipsPhaseOne(MultiPaxos):
    """A candidate proposes in its new ballot without having asked what was accepted (PMS §3)."""

    @handles(Promise)
    def on_promise(self, sender: NodeId, promise: Promise) -> None:
        super().on_promise(sender, Promise(promise.ballot, ()))


class TakesTheOldestValue(MultiPaxos):
    """Of what was accepted for a slot that of the lowest ballot is proposed, not that of the highest (PMS §2.2,
    P2c)."""

    @handles(Promise)
    def on_promise(self, sender: NodeId, promise: Promise) -> None:
        if self.scout is not None and promise.ballot == self.promised:
            found = self.scout.found
            for pvalue in promise.accepted:
                if pvalue.slot in found and pvalue.ballot < found[pvalue.slot].ballot:
                    del found[pvalue.slot]
            fitting = (pvalue for pvalue in promise.accepted if pvalue.slot not in found)
            promise = Promise(promise.ballot, tuple(fitting), promise.following)
        super().on_promise(sender, promise)


class LeavesGaps(MultiPaxos):
    """A gap is left as it is: nobody accepts a no-op for it (PMS §3)."""

    def accept(self, slot: int, values: tuple[Value, ...]) -> None:
        for at, value in enumerate(values, slot):
            if value is not None:
                super().accept(at, (value,))


class IgnoresFurtherChunks(MultiPaxos):
    """A promise that comes in several messages counts with the first (PMS §3)."""

    @handles(Promise)
    def on_promise(self, sender: NodeId, promise: Promise) -> None:
        super().on_promise(sender, Promise(promise.ballot, promise.accepted))


class PromisesBelowItsCheckpoint(MultiPaxos):
    """An acceptor promises although it has cut off slots that the candidate does not know (PML §5.5)."""

    @handles(Prepare)
    def on_prepare(self, sender: NodeId, prepare: Prepare) -> None:
        super().on_prepare(
            sender, Prepare(prepare.ballot, max(prepare.slot, self.slots.compacted + 1), prepare.released)
        )


class QuorumOneShort(MultiPaxos):
    """One promise less than a quorum is enough to lead (PMS §2.2)."""

    def on_start(self) -> None:
        super().on_start()
        self.quorums = QuorumSystem(one_short(self.quorums.phase1.nodes), self.quorums.phase2)


# Phase 2.


class ChoosesByAMinority(MultiPaxos):
    """One acceptance less than a quorum is enough to choose (PMS §2.2)."""

    def on_start(self) -> None:
        super().on_start()
        self.quorums = QuorumSystem(self.quorums.phase1, one_short(self.quorums.phase2.nodes))


def one_short(nodes: tuple[NodeId, ...]) -> Threshold:
    return Threshold(nodes, max(1, len(nodes) // 2))


class AcceptsBelowItsPromise(MultiPaxos):
    """An acceptor accepts in a lower ballot than it has promised (PMS §2.2, P1a)."""

    @handles(Accept)
    def on_accept(self, sender: NodeId, accept: Accept) -> None:
        if accept.ballot < self.promised:
            self.send(sender, Accepted(accept.ballot, accept.slot + len(accept.values) - 1))
        else:
            super().on_accept(sender, accept)


class CountsOverBallots(MultiPaxos):
    """Acceptances of an earlier ballot of its own count in this one (PMS §2.2)."""

    def on_start(self) -> None:
        super().on_start()
        self.slots = SlotsOfAnyBallot(self.accepted, self.beyond, self.slots.mark)
        self.slots.advance_mark(self.chosen, self.promised)

    @handles(Accepted)
    def on_accepted(self, sender: NodeId, accepted: Accepted) -> None:
        super().on_accepted(sender, Accepted(self.promised, accepted.mark, accepted.round))


class SlotsOfAnyBallot(AcceptedSlots):
    def has_accepted(self, slot: int, ballot: Ballot) -> bool:
        return self.proposal(slot) is not None


class MarksPastGaps(MultiPaxos):
    """The last slot of an Accept is acknowledged, whatever is missing before (PMS §2.2)."""

    def accept(self, slot: int, values: tuple[Value, ...]) -> None:
        super().accept(slot, values)
        if self.role != LEADER and values:
            last = slot + len(values) - 1
            if last > self.mark and self.leader is not None:
                self.send(self.leader, Accepted(self.promised, last))


class ChoosesWhatItHas(MultiPaxos):
    """A follower takes all that it has accepted for chosen (PMS §2.3)."""

    def learn(self, chosen: int, proposed: int) -> None:
        super().learn(max(chosen, self.mark), proposed)


class AppliesEarlierBallots(MultiPaxos):
    """A follower applies what it has accepted in whatever ballot, up to where the leader says all is chosen (PMS
    §2.3)."""

    def learn(self, chosen: int, proposed: int) -> None:
        self.apply(min(chosen, self.accepted.last))
        super().learn(chosen, proposed)


class NeverAsks(MultiPaxos):
    """A follower never asks for what it has missed (PML §5.5)."""

    def ask(self) -> None:
        pass


# Reads and leases.


class ReadsAtOnce(MultiPaxos):
    """A leader answers reads from its own state, deposed or not (PML §5.2)."""

    @handles(Query)
    def on_query(self, sender: NodeId, query: Query) -> None:
        if self.role == LEADER:
            self.answer(PendingRead(sender, query.operation, query.body, 0, 0))
        else:
            super().on_query(sender, query)


class ReadsBeforeItKnowsThePast(MultiPaxos):
    """A new leader reads before it has chosen again what earlier ones may have chosen (PML §5.2)."""

    def read_index(self) -> int:
        return 0


class BreaksTheLease(MultiPaxos):
    """A follower stands, and is promised, before the lease of the leader that it has lost is over (PML §5.2)."""

    def is_bound(self, candidate: NodeId) -> bool:
        return False

    def await_leader(self) -> None:
        self.set_timer(self.start_election, after=2 * self.config.heartbeat_interval)


# Checkpoints.


class LosesTheSessions(MultiPaxos):
    """A checkpoint holds the state machine without the session table (PML §5.5)."""

    def take_checkpoint(self) -> None:
        super().take_checkpoint()
        twin = ReplicatedMachine(self.machine.machine)
        self.checkpoint = Checkpoint(self.checkpoint.slot, twin.snapshot())


class InstallsOlderCheckpoints(MultiPaxos):
    """A checkpoint that comes late takes the replica back (PML §5.5)."""

    @handles(Part)
    def on_part(self, sender: NodeId, part: Part) -> None:
        if sender == self.leader and part.ballot == self.promised and part.size == len(part.data):
            self.install(Checkpoint(part.slot, part.data))
        else:
            super().on_part(sender, part)


class JoinsPartsAsTheyCome(MultiPaxos):
    """Parts of a checkpoint are joined in the order in which they come, wherever they belong (PML §5.5)."""

    @handles(Part)
    def on_part(self, sender: NodeId, part: Part) -> None:
        offset = part.offset
        if self.incoming is not None and part.slot == self.incoming_slot:
            offset = self.incoming.size
        super().on_part(sender, Part(part.ballot, part.slot, offset, part.size, part.data))


class RestartsWithoutItsCheckpoint(MultiPaxos):
    """A checkpoint does not survive a restart, the cut below it does (PML §5.5)."""

    def on_start(self) -> None:
        self.checkpoint = NO_CHECKPOINT
        super().on_start()


# What the storm does not show: see the tests that import these.


class AnswersForAnyOwnBallot(MultiPaxos):
    """A client is answered with what its leader proposed for the slot in any ballot, be it another client's command
    (PMS §3)."""

    def is_found(self, since: Ballot, found: Proposal | None) -> bool:
        return found is not None and found.ballot.node == self.id


class BeginsEachCheckpointAnew(MultiPaxos):
    """Each newer checkpoint takes the place of the one that is on its way to a follower (PML §5.5)."""

    def take_checkpoint(self) -> None:
        super().take_checkpoint()
        self.transfers = {}


class StandsInVain(MultiPaxos):
    """A candidate begins ever higher ballots, whether a quorum answers it or not (Ng, Haridi and Carbone, 2023)."""

    @on_timer
    def start_election(self) -> None:
        self.become_candidate()


READ_INDEX = ("protocol.read_mode=read_index",)
EAGER_READS = (  # many reads, and a past that takes a new leader many rounds to choose again
    *READ_INDEX,
    "protocol.window=1",
    "clients=12",
    "workload.mix={read: 80, write: 20}",
)
LEASE = (  # many reads, by clients that go on beside a leader that is cut off
    "protocol.read_mode=lease",
    "protocol.max_clock_drift_ppm=0",
    "protocol.election_timeout_min=120ms",
    "protocol.election_timeout_max=130ms",
    "protocol.session.retry=30ms",
    "clients=12",
    "workload.keys=1",
    "workload.think_time=1ms",
    "workload.mix={read: 98, write: 2}",
    "~faults.crash",
    "~faults.leader_crashes",
    "~faults.pause",
    "~faults.deaf_leader",
    "faults.partition={kind: isolate, every: 500ms, for: 300ms}",
)
BUSY_DISKS = ("engine.disk_latency=8ms", "faults.crash.every=41ms", "~faults.pause", "~faults.deaf_leader")
PIPELINED = ("clients=24", "network.loss=0.12", "~faults.pause", "~faults.deaf_leader")

OVERTAKEN = (  # a leader is cut off with what it proposed; the next one dies as the first is healed
    "clients=24",
    "workload.think_time=30ms",
    "~faults.crash",
    "~faults.pause",
    "~faults.deaf_leader",
    "faults.partition={kind: isolate, at: 200ms, every: 400ms, for: 150ms}",
    "faults.leader_crashes={at: 330ms, every: 400ms, for: 150ms}",
)

MUTANTS = (
    Mutant(ForgetsItsPromise),
    Mutant(ForgetsWhatItAccepted),
    Mutant(AcknowledgesEarly, needs=BUSY_DISKS),
    Mutant(SkipsPhaseOne),
    Mutant(TakesTheOldestValue, needs=OVERTAKEN),
    Mutant(LeavesGaps, needs=PIPELINED),
    Mutant(IgnoresFurtherChunks),
    Mutant(PromisesBelowItsCheckpoint),
    Mutant(QuorumOneShort),
    Mutant(ChoosesByAMinority),
    Mutant(AcceptsBelowItsPromise),
    Mutant(CountsOverBallots),
    Mutant(MarksPastGaps, needs=PIPELINED),
    Mutant(ChoosesWhatItHas),
    Mutant(AppliesEarlierBallots),
    Mutant(NeverAsks),
    Mutant(ReadsAtOnce, needs=READ_INDEX),
    Mutant(ReadsBeforeItKnowsThePast, needs=EAGER_READS),
    Mutant(BreaksTheLease, needs=LEASE),
    Mutant(LosesTheSessions),
    Mutant(InstallsOlderCheckpoints),
    Mutant(JoinsPartsAsTheyCome),
    Mutant(RestartsWithoutItsCheckpoint),
)

ONLY_BY_TESTS = (
    Mutant(AnswersForAnyOwnBallot),
    Mutant(BeginsEachCheckpointAnew),
    Mutant(StandsInVain),
)
"""Not hunted: the storm cannot show what is wrong with them, or shows it now and then."""


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = multipaxos.register_protocols()
    return mutated(itself, (*MUTANTS, *ONLY_BY_TESTS))
