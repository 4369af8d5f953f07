"""Three-phase commit with one mistake at a time. "Skeen" is Skeen (1981), "quorums" Skeen (1982) with numbered
attempts, as plugins/protocols/three_phase_commit/README.md derives it."""

from __future__ import annotations

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import (
    NO_BALLOT,
    CastVote,
    CommitDecision,
    DurableMap,
    Message,
    NodeId,
    OperationId,
    ProtocolSpec,
    Transaction,
    durable_map,
    handles,
    hookimpl,
    on_timer,
)
from plugins.protocols import three_phase_commit
from plugins.protocols.three_phase_commit.messages import Acknowledged, Phase, StateReply, StateRequest, Voted
from plugins.protocols.three_phase_commit.node import Attempt, Standing, ThreePhaseCommit, voters


class PrecommitsWithoutAllVotes(ThreePhaseCommit):
    """Sends PreCommit when one vote is still missing (Skeen, figure 5)."""

    @handles(Voted)
    def on_voted(self, sender: NodeId, voted: Voted) -> None:
        super().on_voted(sender, voted)
        voting = self.voting.get(voted.transaction)
        if (
            voting is not None
            and not voting.precommitting
            and len(voting.votes) == len(voting.content.participants) - 1
        ):
            self.precommit(voted.transaction)


class CommitsWithoutAcknowledgements(ThreePhaseCommit):
    """Commits at the first acknowledgement of PreCommit (Skeen, theorem 2)."""

    @handles(Acknowledged)
    def on_acknowledged(self, sender: NodeId, acknowledged: Acknowledged) -> None:
        if acknowledged.attempt == NO_BALLOT and acknowledged.transaction in self.voting:
            self.conclude(acknowledged.transaction, "committed")
        else:
            super().on_acknowledged(sender, acknowledged)


class GoesOnWithoutQuorum(ThreePhaseCommit):
    """A coordinator commits with the few acknowledgements that it has (quorums)."""

    @on_timer
    def go_on(self, transaction: OperationId) -> None:
        if self.voting[transaction].precommitting:
            self.conclude(transaction, "committed")
        else:
            super().go_on(transaction)


class CommitsAfterItsTimeOut(ThreePhaseCommit):
    """Takes a vote that is missing too long for a yes (Skeen, figure 5)."""

    @on_timer
    def go_on(self, transaction: OperationId) -> None:
        if self.voting[transaction].precommitting:
            super().go_on(transaction)
        else:
            self.precommit(transaction)


class EndsWithAMinority(ThreePhaseCommit):
    """A collector decides with the states of itself and whoever answers first (quorums)."""

    def check_acknowledgements(self, transaction: OperationId) -> None:
        self.end(transaction, "committed" if self.collections[transaction].target == "precommitted" else "aborted")


class AbortsThePrecommitted(ThreePhaseCommit):
    """A collector aborts though it has found a participant precommitted (quorums)."""

    def chosen_phase(self, collection: Attempt) -> Phase:
        return "preaborted"


class CommitsTheUncertain(ThreePhaseCommit):
    """A collector commits if all have voted yes, precommitted or not (Skeen, section 6)."""

    def chosen_phase(self, collection: Attempt) -> Phase:
        return "precommitted"


class TakesTheFirstPhase(ThreePhaseCommit):
    """A collector goes by the lowest attempt that it has found, not by the highest (quorums).

    Not among the mutants: it takes three attempts that overlap in one way only, which a test directs.
    """

    def chosen_phase(self, collection: Attempt) -> Phase:
        states = [state for state in collection.states.values() if state.phase != "uncertain"]
        earliest = min(states, key=lambda state: state.entered, default=None)
        return "preaborted" if earliest is None else earliest.phase


class PromisesNothing(ThreePhaseCommit):
    """A participant tells a collector its state, and heeds lower attempts afterwards (quorums)."""

    @handles(StateRequest)
    def on_state_request(self, sender: NodeId, request: StateRequest) -> None:
        super().on_state_request(sender, request)
        standing = self.standings.get(request.transaction)
        if standing is not None and standing.promised == request.attempt:
            self.standings[request.transaction] = Standing(standing.phase, standing.entered, NO_BALLOT)


class ForgetsItsStanding(ThreePhaseCommit):
    """What a participant has promised and entered is not durable (quorums)."""

    standings: DurableMap[OperationId, Standing] = durable_map(OperationId, Standing, lazy=True)


class VotesLazily(ThreePhaseCommit):
    """A vote of yes is not forced (Skeen, section 3)."""

    votes: DurableMap[OperationId, CastVote] = durable_map(OperationId, CastVote, lazy=True)


class AbortsAfterARestart(ThreePhaseCommit):
    """A participant that comes back in doubt aborts by itself (Skeen, section 5)."""

    def on_start(self) -> None:
        super().on_start()
        for transaction in list(self.prepared):
            self.learn(transaction, "aborted")


class ReusesItsAttempts(ThreePhaseCommit):
    """A collector that restarts numbers its attempts from the beginning (quorums)."""

    def on_start(self) -> None:
        self.round = 0
        super().on_start()


class SpeaksEarly(ThreePhaseCommit):
    """Messages of the kinds in `early` leave before what they say is durable."""

    early: tuple[type[Message], ...] = ()

    def send(self, to: NodeId, message: Message, *, before_commit: bool = False) -> None:  # type: ignore[override]
        super().send(to, message, before_commit=before_commit or type(message) in self.early)


class VotesEarly(SpeaksEarly):
    """A vote leaves before it is durable (Skeen, section 3)."""

    early = (Voted,)


class AcknowledgesEarly(SpeaksEarly):
    """PreCommit is acknowledged before the phase is durable (Skeen, theorem 2)."""

    early = (Acknowledged,)


class ReportsEarly(SpeaksEarly):
    """A state is told before the promise is durable (quorums)."""

    early = (StateReply,)


class ForgetsItsLocks(ThreePhaseCommit):
    """A participant that comes back in doubt does not hold its locks (Skeen, section 5)."""

    def prepare(self, content: Transaction, *, recovered: bool) -> None:
        super().prepare(content, recovered=recovered)
        if recovered:
            self.locks.clear()


class CountsStaleAcknowledgements(ThreePhaseCommit):
    """An acknowledgement of an earlier attempt counts in the present one (quorums)."""

    @handles(Acknowledged)
    def on_acknowledged(self, sender: NodeId, acknowledged: Acknowledged) -> None:
        attempt = self.collections.get(acknowledged.transaction)
        if attempt is not None and acknowledged.transaction not in self.voting:
            acknowledged = Acknowledged(acknowledged.transaction, attempt.attempt)
        super().on_acknowledged(sender, acknowledged)


class DecidesAtOnce(ThreePhaseCommit):
    """A collector decides what the states call for, without bringing a majority there (quorums)."""

    def choose(self, transaction: OperationId) -> None:
        chosen = self.chosen_phase(self.collections[transaction])
        self.end(transaction, "committed" if chosen == "precommitted" else "aborted")


class AnswersForAReader(ThreePhaseCommit):
    """A participant that only reads aborts when it is asked for its state (README)."""

    def collect(self, content: Transaction, failed: int = 0, above: int = 0) -> None:
        super().collect(content, failed, above)
        attempt = self.collections[content.id].attempt
        readers = [node for node in content.participants if node not in voters(content)]
        self.multicast(readers, StateRequest(content.id, attempt, content))

    def known_or_aborted(self, content: Transaction) -> CommitDecision | None:
        if self.id in content.participants and content.id not in self.votes and content.id not in self.decisions:
            self.learn(content.id, "aborted")
        return super().known_or_aborted(content)


class NeverAsks(ThreePhaseCommit):
    """A participant waits for its coordinator as long as it takes (Skeen, section 6)."""

    @on_timer
    def end_without_coordinator(self, transaction: OperationId) -> None:
        self.note("blocked", transaction=transaction)


MUTANTS = (
    Mutant(PrecommitsWithoutAllVotes),
    Mutant(CommitsWithoutAcknowledgements),
    Mutant(GoesOnWithoutQuorum),
    Mutant(CommitsAfterItsTimeOut),
    Mutant(EndsWithAMinority),
    Mutant(AbortsThePrecommitted),
    Mutant(CommitsTheUncertain),
    Mutant(PromisesNothing),
    Mutant(ForgetsItsStanding),
    Mutant(VotesLazily),
    Mutant(AbortsAfterARestart),
    Mutant(ReusesItsAttempts),
    Mutant(VotesEarly),
    Mutant(AcknowledgesEarly),
    Mutant(ReportsEarly),
    Mutant(ForgetsItsLocks),
    Mutant(CountsStaleAcknowledgements),
    Mutant(DecidesAtOnce),
    Mutant(AnswersForAReader),
    Mutant(NeverAsks),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = three_phase_commit.register_protocols()
    return mutated(itself, MUTANTS)
