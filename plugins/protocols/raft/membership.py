"""Membership changes by joint consensus (§6), with learners that catch up first (thesis 4.2.1): what is decided.

    C ──> C with learners ──> C_old,new ──> C_new         each step waits until the last one is committed
              │                   │            │
              │ rounds            │ majorities │ a server that is left out is sent the log until it knows;
              │ of replication    │ of both    │ a leader that is left out steps down
              └──> C, if a learner never catches up

A server goes by the latest configuration in its log, committed or not, and goes back to the one before if that entry is
truncated. Whoever leads in the joint phase ends it. Requests that wait together are one change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from framework import Administer, HeartbeatRounds, NodeId, OperationId, Record
from plugins.protocols.raft.messages import Configuration, Entry

ADD, REMOVE = "add_node", "remove_node"


class MembershipRequest(Record):
    """What an administrator waits for. `refused`: it asked for something else, which could not be done."""

    operation: OperationId
    function: str
    node: NodeId
    refused: str = ""

    def is_fulfilled(self, configuration: Configuration) -> bool:
        members = configuration.voters if self.function == ADD else configuration.members
        return (self.node in members) == (self.function == ADD)


@dataclass(slots=True)
class Membership:
    """The configurations in a server's log, and what is under way about them."""

    configurations: list[tuple[int, Configuration]]
    """By log index, the latest last: the latest that a snapshot covers or compaction has reached, and all after it."""
    requests: dict[NodeId, MembershipRequest] = field(default_factory=dict)
    """By administrator; a leader's."""
    departing: dict[NodeId, int] = field(default_factory=dict)
    """Servers that are left out and may not know, each with the round of heartbeats that tells them; 0: none has yet."""

    @property
    def configuration(self) -> Configuration:
        """The latest."""
        return self.configurations[-1][1]

    @property
    def index(self) -> int:
        """Where the latest stands in the log."""
        return self.configurations[-1][0]

    def configuration_at(self, index: int) -> Configuration:
        """The latest in the log up to `index`."""
        return next(found for at, found in reversed(self.configurations) if at <= index)

    # The log changes.

    def extend(self, start: int, entries: Sequence[Entry]) -> bool:
        """Takes in entries, the first at `start`; whether they hold a configuration that is news."""
        known = len(self.configurations)
        for index, entry in enumerate(entries, start):
            if entry.configuration is not None and index > self.index:
                self.configurations.append((index, entry.configuration))
        return len(self.configurations) > known

    def truncate(self, start: int) -> bool:
        """The log lost its entries from `start` on; whether the latest configuration was among them."""
        known = len(self.configurations)
        while len(self.configurations) > 1 and self.index >= start:
            self.configurations.pop()
        return len(self.configurations) < known

    def compact(self, index: int) -> None:
        """Forgets what is older than the latest configuration up to `index`."""
        while len(self.configurations) > 1 and self.configurations[1][0] <= index:
            self.configurations.pop(0)

    # Decisions.

    def is_electable(self, server: NodeId, commit: int) -> bool:
        """Whether `server` has a vote, or would have one if its latest configuration came to nothing.

        Thesis 4.2.2: until the configuration that leaves it out is committed, the others may need its log.
        """
        if self.index > commit and server in self.configurations[-2][1].quorums.nodes:
            return True
        return server in self.configuration.quorums.nodes

    def is_removal(self, server: NodeId, commit: int) -> bool:
        """Whether the latest configuration is committed and leaves `server` out, and an earlier one did not."""
        if self.index > commit or server in self.configuration.members:
            return False
        return any(server in earlier.members for _, earlier in self.configurations[:-1])

    def take(self, administrator: NodeId, request: Administer) -> str:
        """Takes a request in, unless it has; why it never can be fulfilled, if so."""
        removed = {other.node for other in self.requests.values() if other.function == REMOVE} | {request.node}
        if request.function == REMOVE and removed.issuperset(self.configuration.voters):
            return f"{request.node} is the last that has a vote"
        known = self.requests.get(administrator)
        if known is None or known.operation != request.operation:  # else it is a retry
            self.requests[administrator] = MembershipRequest(request.operation, request.function, request.node)
        return ""

    def take_fulfilled(self) -> list[tuple[NodeId, MembershipRequest]]:
        """Removes and returns the requests that the latest configuration fulfils, each with its administrator."""
        done = [each for each in self.requests.items() if each[1].is_fulfilled(self.configuration)]
        for administrator, _ in done:
            del self.requests[administrator]
        return done

    def joining(self) -> list[NodeId]:
        """The nodes that are to vote and do not yet."""
        voters = self.configuration.voters
        return [node for node, function in self._requested().items() if function == ADD and node not in voters]

    def with_learners(self) -> Configuration:
        """The configuration in which all that join are learners, and no server that is to be removed is."""
        configuration, requested = self.configuration, self._requested()
        staying = [node for node in configuration.learners if requested.get(node) != REMOVE]
        return Configuration(configuration.voters, (), tuple(dict.fromkeys((*staying, *self.joining()))))

    def joint(self, ready: Collection[NodeId]) -> Configuration:
        """The joint configuration towards the voters that are asked for; of the learners only those `ready` join them.

        It is the latest configuration's equal in voters if there is nothing to change yet.
        """
        configuration, requested = self.configuration, self._requested()
        promoted = [node for node in self.joining() if node in ready]
        staying = [voter for voter in configuration.voters if requested.get(voter) != REMOVE]
        learners = tuple(node for node in configuration.learners if node not in promoted)
        return Configuration((*staying, *promoted), configuration.voters, learners)

    def refuse(self, learner: NodeId, why: str) -> None:
        """The learner will not vote: who asked for it is told `why` once it is no learner any more."""
        for administrator, request in self.requests.items():
            if request.node == learner and request.function == ADD:
                self.requests[administrator] = MembershipRequest(request.operation, REMOVE, learner, why)

    def _requested(self) -> dict[NodeId, str]:
        """What is to become of each node; of two that contradict, the request that came first."""
        requested: dict[NodeId, str] = {}
        for request in self.requests.values():
            requested.setdefault(request.node, request.function)
        return requested

    # Servers that are left out.

    def knows_removal(self, server: NodeId, match_index: int, commit: int, rounds: HeartbeatRounds) -> bool:
        """Whether a departing server, which has just answered, knows that it is left out.

        It has to hold the configuration, and to know that it is committed: a heartbeat after that says so.
        """
        if match_index < self.index or commit < self.index:
            return False
        if not self.departing[server]:
            self.departing[server] = rounds.latest + 1
        return rounds.answered.get(server, 0) >= self.departing[server]
