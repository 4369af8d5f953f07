"""Membership changes by joint consensus (§6), with learners that catch up first (thesis 4.2.1).

    C ──> C with learners ──> C_old,new ──> C_new         each step waits until the last one is committed
              │                   │            │
              │ rounds            │ majorities │ who is left out is told, and goes quiet;
              │ of replication    │ of both    │ a leader who is left out steps down
              └──> C, if a learner never catches up

A server goes by the latest configuration in its log, committed or not, and goes back to the one before if that entry is
truncated; what a snapshot covers, it keeps in that. Whoever leads in the joint phase ends it; all else that was wished for, the administrator wishes again of the
next leader. Wishes that wait together are one change.

A leader takes no step before an entry of its own term is committed: until then it does not know whether the configuration
that it goes by is (Ongaro's post of 2015 on a bug in the thesis's single-server changes).

A server that was cut off when it was left out does not know, and asks for votes. Whoever hears it keeps in mind to send
it the log until it knows, while it leads. Before that a server that is left out may stand for election, without a vote of
its own: the others may need its log (thesis 4.2.2).
"""

from __future__ import annotations

from framework import Administer, Administered, NodeId, NotLeader, Replica, handles, on_timer
from framework.core.client import OperationId
from framework.core.message import Record
from plugins.protocols.raft.administration import Administration
from plugins.protocols.raft.election import LEADER
from plugins.protocols.raft.leases import Leasing
from plugins.protocols.raft.messages import Appended, Configuration, Entry, PreVote, RequestVote, Snapshot
from plugins.protocols.raft.snapshots import Snapshotting

LEARNER, OUTSIDE = "learner", "outside"
ADD, REMOVE = "add_node", "remove_node"


class Wish(Record):
    """What an administrator waits for. `refused`: it wished for something else, which could not be done."""

    operation: OperationId
    function: str
    node: NodeId
    refused: str = ""

    def fulfilled(self, configuration: Configuration) -> bool:
        members = configuration.voters if self.function == ADD else configuration.members
        return (self.node in members) == (self.function == ADD)


class Round(Record):
    """Thesis 4.2.1: a learner is sent what the log held when the round began, up to `upto`."""

    number: int
    upto: int
    began: int


class Membership(Administration, Leasing, Snapshotting):
    """Adds servers to the group and removes them."""

    def on_start(self) -> None:
        super().on_start()
        self.configurations = [self._founding()]  # the latest that is compacted or covered, and all after it, by index
        self._take_in(self.log.first, tuple(self.log))
        self.wishes: dict[NodeId, Wish] = {}  # by administrator
        self.rounds: dict[NodeId, Round] = {}  # of the learners that catch up
        self.ready: set[NodeId] = set()  # those that have
        # Servers left out that have yet to learn so, and the round of heartbeats that tells them; 0: none yet.
        self.departing: dict[NodeId, int] = {}
        self._go_by_configuration()

    @property
    def configuration(self) -> Configuration:
        """The latest in the log."""
        return self.configurations[-1][1]

    @property
    def status(self) -> dict[str, str | int | bool | None]:
        return super().status | {"role": self.standing}

    @property
    def standing(self) -> str:
        """Its role, if it may lead."""
        if self.role == LEADER or self.may_stand():
            return self.role
        return LEARNER if self.id in self.configuration.learners else OUTSIDE

    @property
    def replica(self) -> Replica | None:
        return super().replica if self.id in self.quorums.nodes else None

    # Elections.

    def may_stand(self) -> bool:
        """Whether it has a vote, or would have one if its latest configuration came to nothing.

        Thesis 4.2.2: until the configuration that leaves it out is committed, the others may need its log.
        """
        index, configuration = self.configurations[-1]
        if index > self.commit and self.id in self.configurations[-2][1].quorums.nodes:
            return True
        return self.id in configuration.quorums.nodes

    @on_timer
    def start_election(self) -> None:
        if self.may_stand():
            super().start_election()
        else:
            self.leader = None

    def stand(self, *, transfer: bool = False) -> None:
        if self.may_stand():
            super().stand(transfer=transfer)

    @handles(PreVote)
    def on_prevote(self, sender: NodeId, request: PreVote) -> None:
        self._note_if_left_out(sender)
        super().on_prevote(sender, request)

    @handles(RequestVote)
    def on_request_vote(self, sender: NodeId, request: RequestVote) -> None:
        self._note_if_left_out(sender)
        super().on_request_vote(sender, request)

    def on_elected(self) -> None:
        self.departing = dict.fromkeys(self.departing, 0)
        super().on_elected()
        self._go_by_configuration()

    def on_deposed(self) -> None:
        super().on_deposed()
        for asker, wish in self.wishes.items():
            self.send(asker, NotLeader(wish.operation, 0, None))
        for learner in self.rounds:
            self.cancel_timer(self.give_up, learner)
        self.wishes, self.rounds, self.ready = {}, {}, set()
        self._go_by_configuration()

    # The configuration.

    def _founding(self) -> tuple[int, Configuration]:
        """What the log begins with: the configuration of the snapshot, or the one that the run starts with."""
        if self.snapshot is not None and self.snapshot.configuration is not None:
            return self.snapshot.index, self.snapshot.configuration
        first = self.peers if self.spare else (*self.peers, self.id)
        return 0, Configuration(tuple(sorted(first)))

    def configuration_at(self, index: int) -> Configuration | None:
        return next(found for at, found in reversed(self.configurations) if at <= index)

    def take_snapshot(self) -> None:
        super().take_snapshot()
        while len(self.configurations) > 1 and self.configurations[1][0] <= self.base_index:
            self.configurations.pop(0)

    def install(self, snapshot: Snapshot) -> None:
        super().install(snapshot)
        self.configurations = [self._founding()]
        self._go_by_configuration()

    def adopt(self, previous: int, entries: tuple[Entry, ...]) -> None:
        extends = previous == self.log.last  # then nothing is truncated
        super().adopt(previous, entries)
        fallen_back = not extends and self._fall_back()
        if self._take_in(previous + 1, entries) or fallen_back:
            self._go_by_configuration()

    def propose(self, configuration: Configuration) -> None:
        """Appends it; this node goes by it from now on."""
        before = self.configuration.members
        self.configurations.append((self.log.append(Entry(self.term, None, configuration)), configuration))
        self.note(
            "configuration",
            voters=" ".join(configuration.voters),
            old=" ".join(configuration.old),
            learners=" ".join(configuration.learners),
        )
        for left in before:
            if left not in configuration.members:
                self._accompany(left)
        self.ready.difference_update(configuration.voters)
        for learner in [learner for learner in self.rounds if learner not in configuration.learners]:
            self._end_catch_up(learner)
        self._go_by_configuration()
        self._replicate_soon()

    def _is_in_log(self, index: int, configuration: Configuration) -> bool:
        if index <= self.base_index:
            return True
        return index <= self.log.last and self.log[index].configuration == configuration

    def _fall_back(self) -> bool:
        """Whether the latest configuration was truncated; the one before it, that was not, is the latest now."""
        known = len(self.configurations)
        while not self._is_in_log(*self.configurations[-1]):
            self.configurations.pop()
        return len(self.configurations) < known

    def _take_in(self, start: int, entries: tuple[Entry, ...]) -> bool:
        """Whether the entries, of which the first is at `start`, hold a configuration later than those known."""
        known = len(self.configurations)
        for index, entry in enumerate(entries, start):
            if entry.configuration is not None and index > self.configurations[-1][0]:
                self.configurations.append((index, entry.configuration))
        return len(self.configurations) > known

    def _go_by_configuration(self) -> None:
        """Votes are counted, and entries sent, as the latest configuration says."""
        self.quorums = self.configuration.quorums
        members = self.configuration.members
        self.departing = {left: told for left, told in self.departing.items() if left not in members}
        reached = (*members, *self.departing) if self.role == LEADER else members
        self.peers = tuple(server for server in reached if server != self.id)
        if self.role == LEADER:
            self.shipments = {peer: shipment for peer, shipment in self.shipments.items() if peer in self.peers}
            for peer in self.peers:
                self.next_index.setdefault(peer, self.log.last)
                self.match_index.setdefault(peer, 0)
                self.answered.setdefault(peer, 0)

    # Changes.

    def administer(self, sender: NodeId, wish: Administer) -> None:
        if wish.function not in (ADD, REMOVE):
            super().administer(sender, wish)
            return
        known = self.wishes.get(sender)
        if known is not None and known.operation == wish.operation:  # a retry
            return
        removed = {other.node for other in self.wishes.values() if other.function == REMOVE} | {wish.node}
        if wish.function == REMOVE and removed.issuperset(self.configuration.voters):
            self.send(sender, Administered(wish.operation, f"{wish.node} is the last that has a vote"))
            return
        self.wishes[sender] = Wish(wish.operation, wish.function, wish.node)
        self.proceed()

    def advance_commit(self) -> None:
        super().advance_commit()
        latest = self.configuration
        if self.wishes or latest.old or self.id not in latest.voters:
            self.proceed()

    def may_change(self) -> bool:
        """Whether the latest configuration is committed, and this leader can know."""
        return self.configurations[-1][0] <= self.commit and self.term_at(self.commit) == self.term

    def proceed(self) -> None:
        """Takes the next step of a change, if there is one to take now."""
        if self.role != LEADER or not self.may_change():
            return
        configuration = self.configuration
        if configuration.old:
            self.propose(Configuration(configuration.voters, (), configuration.learners))
            return
        for asker, wish in list(self.wishes.items()):
            if wish.fulfilled(configuration):
                del self.wishes[asker]
                self.send(asker, Administered(wish.operation, wish.refused))
        if self.id not in configuration.voters:
            self.step_down()
        elif self.wishes:
            self._begin_change()

    def _begin_change(self) -> None:
        """Whoever is to join becomes a learner first; once it has caught up, voters change."""
        voters, learners = self.configuration.voters, self.configuration.learners
        wished: dict[NodeId, str] = {}
        for wish in self.wishes.values():
            wished.setdefault(wish.node, wish.function)
        joining = [node for node, function in wished.items() if function == ADD and node not in voters]
        staying = [node for node in learners if wished.get(node) != REMOVE]
        learning = tuple(dict.fromkeys((*staying, *joining)))
        if learning != learners:
            self.propose(Configuration(voters, (), learning))
        for learner in joining:
            if learner not in self.rounds and learner not in self.ready:
                self.rounds[learner] = Round(1, self.log.last, self.now)
                self.set_timer(self.give_up, learner, after=self.config.catch_up_timeout)
        promoted = [learner for learner in joining if learner in self.ready]
        changed = (*(voter for voter in voters if wished.get(voter) != REMOVE), *promoted)
        if self.may_change() and changed != voters:
            self.propose(Configuration(changed, voters, tuple(node for node in learning if node not in promoted)))

    # Learners, and those that are left out.

    @handles(Appended)
    def on_appended(self, sender: NodeId, reply: Appended) -> None:
        if self.role == LEADER and sender not in self.match_index:
            return  # no server that it has spoken to in this term
        super().on_appended(sender, reply)
        if self.role == LEADER and sender in self.rounds:
            self._end_round(sender, self.rounds[sender])
        elif self.role == LEADER and sender in self.departing:
            self._dismiss_if_told(sender)

    def _end_round(self, learner: NodeId, round: Round) -> None:
        """Thesis 4.2.1: a round that takes no longer than an election leaves so little that no vote is held up."""
        if self.match_index[learner] < round.upto:
            return
        if self.now - round.began < self.config.election_timeout_min:
            self._end_catch_up(learner)
            self.ready.add(learner)
            self.proceed()
        elif round.number < self.config.catch_up_rounds:
            self.rounds[learner] = Round(round.number + 1, self.log.last, self.now)
        else:
            self._refuse(learner, f"{learner} did not catch up in {round.number} rounds")

    def _end_catch_up(self, learner: NodeId) -> None:
        del self.rounds[learner]
        self.cancel_timer(self.give_up, learner)

    @on_timer
    def give_up(self, learner: NodeId) -> None:
        self._refuse(learner, f"{learner} did not catch up within {self.config.catch_up_timeout}")

    def _refuse(self, learner: NodeId, why: str) -> None:
        """It is a learner no more; once that is committed, who wished for it is told `why`."""
        self._end_catch_up(learner)
        for asker, wish in self.wishes.items():
            if wish.node == learner and wish.function == ADD:
                self.wishes[asker] = Wish(wish.operation, REMOVE, learner, why)
        self.proceed()

    def _note_if_left_out(self, candidate: NodeId) -> None:
        if candidate not in self.configuration.members:
            self._accompany(candidate)
            self._go_by_configuration()

    def _accompany(self, left: NodeId) -> None:
        """As leader sends it the log until it holds the configuration that leaves it out, or a learner's time is over."""
        if left != self.id:
            self.departing[left] = 0
            self.set_timer(self.dismiss, left, after=self.config.catch_up_timeout)

    def _dismiss_if_told(self, left: NodeId) -> None:
        """It has to hold the configuration, and to know that it is committed, as a later heartbeat says."""
        index, _ = self.configurations[-1]
        if self.match_index[left] < index or self.commit < index:
            return
        if not self.departing[left]:
            self.departing[left] = self.round + 1
        elif self.answered[left] >= self.departing[left]:
            self.cancel_timer(self.dismiss, left)
            self.dismiss(left)

    @on_timer
    def dismiss(self, left: NodeId) -> None:
        self.departing.pop(left, None)
        self._go_by_configuration()
