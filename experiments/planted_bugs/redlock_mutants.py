"""Redlock with one mistake at a time. Sources are sections of antirez, "Distributed Locks with Redis" (redis.io)."""

from __future__ import annotations

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import Message, NodeId, ProtocolSpec, handles, hookimpl, on_timer
from plugins.protocols import redlock
from plugins.protocols.redlock.client import RedlockClient
from plugins.protocols.redlock.messages import DeleteIfEqual, ExpireIfEqual, ExpireReply, SetIfAbsent, SetReply
from plugins.protocols.redlock.node import Entry, LockServer

# The servers.


class SetsWhatIsSet(LockServer):
    """Sets a key that another client has set: without NX (the algorithm, step 2)."""

    @handles(SetIfAbsent)
    def on_set_if_absent(self, sender: NodeId, request: SetIfAbsent) -> None:
        self.entries[request.key] = Entry(request.value, 0)
        super().on_set_if_absent(sender, request)


class DeletesWithoutComparing(LockServer):
    """Deletes a key whatever its value, also that of another client (the single instance)."""

    @handles(DeleteIfEqual)
    def on_delete_if_equal(self, sender: NodeId, request: DeleteIfEqual) -> None:
        if request.key in self.entries:
            del self.entries[request.key]
        super().on_delete_if_equal(sender, request)


class ExtendsWithoutComparing(LockServer):
    """Says that it has extended a key that another client has set (extending the lock)."""

    @handles(ExpireIfEqual)
    def on_expire_if_equal(self, sender: NodeId, request: ExpireIfEqual) -> None:
        self.send(sender, ExpireReply(request.operation, True))


class AnswersEarly(LockServer):
    """Answers before the key is durable, so that a crash loses a key that counts (persistence and fsync)."""

    def send(self, to: NodeId, message: Message, *, mount: str | None = None, before_commit: bool = False) -> None:
        super().send(to, message, mount=mount, before_commit=True)


class TakesPartAtOnce(LockServer):
    """Takes part as soon as it has restarted, without the keys that the crash has lost (delayed restarts)."""

    def on_start(self) -> None:
        super().on_start()
        self.takes_part = True


# The clients.


class WinsWithoutAMajority(RedlockClient):
    """Takes the lock with one server less than a majority (the algorithm, step 3)."""

    @property
    def majority(self) -> int:
        return super().majority - 1


class CountsAnswers(RedlockClient):
    """Takes the lock if a majority has answered, whether or not it has granted (the algorithm, step 3)."""

    @handles(SetReply)
    def on_set_reply(self, sender: NodeId, reply: SetReply) -> None:
        super().on_set_reply(sender, SetReply(reply.value, True))


class CountsFromTheLastReply(RedlockClient):
    """Counts the validity from the last answer, not from the first request (the algorithm, step 4)."""

    @property
    def validity_end(self) -> int:
        return self.now + self.config.lease - self.config.drift


class IgnoresDrift(RedlockClient):
    """Takes the whole lease, less the time elapsed, for valid, however clocks drift (safety arguments)."""

    @property
    def validity_end(self) -> int:
        return self.asked_at + self.config.lease


class ExtendsByAMinority(RedlockClient):
    """Counts an extension as soon as one server has extended the key (extending the lock)."""

    @handles(ExpireReply)
    def on_expire_reply(self, sender: NodeId, reply: ExpireReply) -> None:
        if reply.extended and self.operation is not None and reply.operation == self.operation.id:
            self.answers = dict.fromkeys(self.servers, True)
        super().on_expire_reply(sender, reply)


class CountsEarlierGrants(RedlockClient):
    """Counts a grant to an earlier attempt, which it has released since (retry on failure)."""

    @handles(SetReply)
    def on_set_reply(self, sender: NodeId, reply: SetReply) -> None:
        if self.value:
            reply = SetReply(self.value, reply.granted)
        super().on_set_reply(sender, reply)


class ReusesItsValue(RedlockClient):
    """Tries again under the value of its last attempt, whose releases are still under way (the algorithm, step 2)."""

    @on_timer
    def attempt(self) -> None:
        assert self.operation is not None
        self.value = f"{self.id}.{self.operation.id}"
        self.ask(SetIfAbsent(self.operation.key or "", self.value, int(self.config.lease)))


class ReleasesNothing(RedlockClient):
    """Keeps what it has after an attempt without a majority, until that expires (retry on failure)."""

    def on_attempt_failed(self) -> None:
        servers, self.peers = self.peers, ()
        super().on_attempt_failed()
        self.peers = servers


LONG_LEASES_ON_FAST_SERVERS = (
    "protocol.lease=1s",
    "workload.keep_alive=false",
    "workload.accesses=500",
    "workload.think_time=1ms",
    "faults.clock={name: clock, target: all, drift_ppm: 9000, step: 0, direction: forward, at: 0, every: 1s, for: 990ms}",
)
"""Turns outlast their lease, which ends 9 ms early at the servers. The allowance is 12 ms."""

LATE_MESSAGES = (
    "protocol.server_timeout=5ms",
    "protocol.retry_delay=10ms",
    "faults.reorder={name: reorder, probability: 0.4, spread: 20ms, at: 100ms, every: 1s, for: 900ms}",
)
"""Attempts follow one another while messages of the last one are under way."""

MUTANTS = (
    Mutant(SetsWhatIsSet),
    Mutant(DeletesWithoutComparing),
    Mutant(ExtendsWithoutComparing),
    Mutant(AnswersEarly, needs=("nodes=3", "engine.disk_latency=5ms")),
    Mutant(TakesPartAtOnce, needs=("protocol.fsync=false", "protocol.restart_delay=66ms")),
    Mutant(WinsWithoutAMajority),
    Mutant(CountsAnswers),
    Mutant(CountsFromTheLastReply),
    Mutant(IgnoresDrift, needs=LONG_LEASES_ON_FAST_SERVERS),
    Mutant(ExtendsByAMinority),
    Mutant(CountsEarlierGrants, needs=LATE_MESSAGES),
    Mutant(ReusesItsValue, needs=LATE_MESSAGES),
    Mutant(ReleasesNothing, needs=("protocol.lease=500ms", "protocol.retry_delay=5ms", "clients=8")),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = redlock.register_protocols()
    return mutated(itself, MUTANTS)
