"""Clients, and the state machine that executes their commands (§8; thesis, chapter 6).

A command is executed when its entry is committed, at every server, and answered by the leader that appended it. One that
is sent twice is executed once: the session table, which is part of the replicated state, knows it again.
"""

from __future__ import annotations

from framework import NodeId, NotLeader, Replica, ReplicatedMachine, Reply, Request, handles
from framework.core.client import OperationId
from plugins.protocols.raft.election import LEADER
from plugins.protocols.raft.messages import Entry
from plugins.protocols.raft.replication import Replication


class Serving(Replication):
    """A server of Figure 2: answers `Request` with `Reply`, or with `NotLeader` if it does not lead."""

    def on_start(self) -> None:
        super().on_start()
        assert self.config.state_machine is not None, "the config group state_machine gives one"
        self.machine = ReplicatedMachine(self.config.state_machine.build(), self.config.max_sessions)
        self.waiting: dict[int, tuple[NodeId, OperationId]] = {}  # log index -> whom to answer when applied
        self.asked: set[tuple[OperationId, int]] = set()  # what is in `waiting`, by operation and sequence

    @property
    def replica(self) -> Replica | None:
        return Replica(self.commit, self.machine.snapshot)

    def on_deposed(self) -> None:
        super().on_deposed()
        # What waits may yet commit under another leader, so NotLeader would be a lie. The client asks again
        # under the same sequence number, and the session table tells whether it was executed.
        self.waiting.clear()
        self.asked.clear()

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        command = request.command
        if self.role != LEADER:
            self.send(sender, NotLeader(request.operation, command.sequence, self.leader))
            return
        asked = (request.operation, command.sequence)
        if asked in self.asked:  # a retry, while the first attempt is under way
            return
        self.asked.add(asked)
        self.waiting[self.log.append(Entry(self.term, command))] = (sender, request.operation)
        self._replicate_soon()

    def _apply(self, commit: int) -> None:
        """Applies the entries up to `commit` in one go; the leader answers who waits for them."""
        waiting = self.waiting
        for index, entry in enumerate(self.log.slice(self.commit + 1, commit + 1), self.commit + 1):
            command = entry.command
            if command is None:
                continue
            applied = self.machine.apply(index, command)
            if waiting and index in waiting:
                client, operation = waiting.pop(index)
                self.asked.discard((operation, command.sequence))
                # The entry is durable at a majority, whatever becomes of this node's batch.
                reply = Reply(operation, command.sequence, applied.result, applied.session)
                self.send(client, reply, before_commit=True)
        super()._apply(commit)
