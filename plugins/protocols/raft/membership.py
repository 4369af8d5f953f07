"""Decisions about membership changes by joint consensus (§6), with learners that catch up first (thesis 4.2.1).

    C ──> C with learners ──> C_old,new ──> C_new         each step waits until the previous one is committed
              │                   │            │
              │ rounds            │ majorities │ a removed server is sent the log until it knows of its removal;
              │ of replication    │ of both    │ a removed leader steps down
              └──> C, if a learner never catches up

A server uses the latest configuration in its log, committed or not, and returns to the previous one if that entry is
truncated. The current leader ends the joint phase. Requests that wait together become one change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from framework import Administer, HeartbeatRounds, NodeId, OperationId, Record
from plugins.protocols.raft.messages import Configuration, Entry

ADD, REMOVE = "add_node", "remove_node"


class MembershipRequest(Record):
    """A pending request of an administrator. `refused`: why the original request could not be fulfilled."""

    operation: OperationId
    function: str
    node: NodeId
    refused: str = ""

    def is_fulfilled(self, configuration: Configuration) -> bool:
        members = configuration.voters if self.function == ADD else configuration.members
        return (self.node in members) == (self.function == ADD)


@dataclass(slots=True)
class Membership:
    """The configurations in a server's log, and the pending changes."""

    configurations: list[tuple[int, Configuration]]
    """(log index, configuration) in log order: the latest that is covered by a snapshot or compacted, and all later."""
    requests: dict[NodeId, MembershipRequest] = field(default_factory=dict)
    """Pending requests by administrator; only a leader has any."""
    departing: dict[NodeId, int] = field(default_factory=dict)
    """Removed servers that may not know it, each with the heartbeat round that informs them; 0: not yet begun."""

    @property
    def configuration(self) -> Configuration:
        """Returns the latest configuration."""
        return self.configurations[-1][1]

    @property
    def index(self) -> int:
        """Returns the log index of the latest configuration."""
        return self.configurations[-1][0]

    def configuration_at(self, index: int) -> Configuration:
        """Returns the latest configuration in the log up to `index`."""
        return next(found for at, found in reversed(self.configurations) if at <= index)

    # The log changes.

    def extend(self, start: int, entries: Sequence[Entry]) -> bool:
        """Records entries, the first at `start`. Returns whether they contain a new configuration."""
        known = len(self.configurations)
        for index, entry in enumerate(entries, start):
            if entry.configuration is not None and index > self.index:
                self.configurations.append((index, entry.configuration))
        return len(self.configurations) > known

    def truncate(self, start: int) -> bool:
        """Records that the log lost its entries from `start` on. Returns whether the latest configuration was lost."""
        known = len(self.configurations)
        while len(self.configurations) > 1 and self.index >= start:
            self.configurations.pop()
        return len(self.configurations) < known

    def compact(self, index: int) -> None:
        """Drops configurations older than the latest one up to `index`."""
        while len(self.configurations) > 1 and self.configurations[1][0] <= index:
            self.configurations.pop(0)

    # Decisions.

    def is_electable(self, server: NodeId, commit: int) -> bool:
        """Returns whether `server` has a vote, or would have one if the latest configuration were truncated.

        Thesis 4.2.2: until the configuration that removes the server is committed, the others may need its log.
        """
        if self.index > commit and server in self.configurations[-2][1].quorums.nodes:
            return True
        return server in self.configuration.quorums.nodes

    def is_removal(self, server: NodeId, commit: int) -> bool:
        """Returns whether the latest configuration is committed and removes `server`, a member of an earlier one."""
        if self.index > commit or server in self.configuration.members:
            return False
        return any(server in earlier.members for _, earlier in self.configurations[:-1])

    def take(self, administrator: NodeId, request: Administer) -> str:
        """Records a request, unless it is a retry. Returns why it can never be fulfilled; an empty string if it can."""
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
        """Returns the nodes that shall become voters and are not voters yet."""
        voters = self.configuration.voters
        return [node for node, function in self._requested().items() if function == ADD and node not in voters]

    def with_learners(self) -> Configuration:
        """Returns the configuration with all joining nodes as learners, and without learners that shall be removed."""
        configuration, requested = self.configuration, self._requested()
        staying = [node for node in configuration.learners if requested.get(node) != REMOVE]
        return Configuration(configuration.voters, (), tuple(dict.fromkeys((*staying, *self.joining()))))

    def joint(self, ready: Collection[NodeId]) -> Configuration:
        """Returns the joint configuration towards the requested voters; of the learners, only those in `ready` join.

        Its voters equal those of the latest configuration if there is nothing to change yet.
        """
        configuration, requested = self.configuration, self._requested()
        promoted = [node for node in self.joining() if node in ready]
        staying = [voter for voter in configuration.voters if requested.get(voter) != REMOVE]
        learners = tuple(node for node in configuration.learners if node not in promoted)
        return Configuration((*staying, *promoted), configuration.voters, learners)

    def refuse(self, learner: NodeId, why: str) -> None:
        """Refuses to promote the learner: its administrator receives `why` once the learner is removed."""
        for administrator, request in self.requests.items():
            if request.node == learner and request.function == ADD:
                self.requests[administrator] = MembershipRequest(request.operation, REMOVE, learner, why)

    def _requested(self) -> dict[NodeId, str]:
        """Returns the requested function for each node; of contradicting requests, the first one counts."""
        requested: dict[NodeId, str] = {}
        for request in self.requests.values():
            requested.setdefault(request.node, request.function)
        return requested

    # Removed servers.

    def knows_removal(self, server: NodeId, match_index: int, commit: int, rounds: HeartbeatRounds) -> bool:
        """Returns whether a departing server, which has just answered, knows of its removal.

        It must hold the configuration and know that it is committed, which it learns from a later heartbeat.
        """
        if match_index < self.index or commit < self.index:
            return False
        if not self.departing[server]:
            self.departing[server] = rounds.latest + 1
        return rounds.answered.get(server, 0) >= self.departing[server]
