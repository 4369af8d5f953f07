"""The client of Redlock: it holds a lock if a majority of the servers has set its value, and its clock says in time.

    idle --acquire--> asks all --majority in time--> holds --release--> idle
                        ^  |                          |  ^
      random delay      |  +--no majority, or late    |  +--majority in time
                        +--- releases at all          +--> extends

Sources: antirez, "Distributed Locks with Redis" (redis.io), sections "The Redlock algorithm", "Retry on failure",
"Releasing the lock" and "Making the algorithm more reliable: Extending the lock".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from framework import (
    ACQUIRE,
    EXTEND,
    RELEASE,
    TRY_ACQUIRE,
    Fail,
    LockClient,
    Message,
    NodeId,
    Ok,
    Operation,
    Outcome,
    handles,
    on_timer,
)
from plugins.protocols.redlock.config import RedlockConfig
from plugins.protocols.redlock.messages import (
    DeleteIfEqual,
    DeleteReply,
    ExpireIfEqual,
    ExpireReply,
    SetIfAbsent,
    SetReply,
)


@dataclass(slots=True)
class Held:
    """A lock that a session holds, under the random value of its attempt, and the end of its validity by `now`."""

    session: int
    value: str
    valid_until: int


class RedlockClient(LockClient):
    """Acquires, extends and releases locks at N servers."""

    config: RedlockConfig
    gives_tokens: ClassVar[bool] = False

    def on_start(self) -> None:
        self.held: dict[str, Held] = {}
        """The locks that it has acquired and not released; the validity of some may have ended."""
        self.operation: Operation | None = None
        """The operation under way."""
        self.began = 0
        """When it began, by `now`."""
        self.value = ""
        """The random value of the attempt under way; "": there is none."""
        self.asked_at = 0
        """When the servers were asked last, by `now`."""
        self.answers: dict[NodeId, bool] = {}
        """Their answers: whether they have done what they were asked."""

    def invoke(self, operation: Operation) -> None:
        self.operation, self.began = operation, self.now
        key = operation.key or ""
        if operation.function in (ACQUIRE, TRY_ACQUIRE):
            self.attempt()
            return
        held = self.held.get(key)
        if held is None or held.session != operation.argument:
            self.end(Fail("the session does not hold the lock"))
        elif operation.function == RELEASE:
            del self.held[key]
            self.ask(DeleteIfEqual(operation.id, key, held.value))
        elif self.now >= held.valid_until:
            self.end(Fail("the validity has ended"))
        else:
            assert operation.function == EXTEND
            self.ask(ExpireIfEqual(operation.id, key, held.value, int(self.config.lease)))

    # Acquire.

    @on_timer
    def attempt(self) -> None:
        """Asks all servers for the lock, under a fresh value, which messages of earlier attempts cannot touch."""
        assert self.operation is not None
        self.value = f"{self.id}.{self.rng.getrandbits(64):016x}"
        self.ask(SetIfAbsent(self.operation.key or "", self.value, int(self.config.lease)))

    @handles(SetReply)
    def on_set_reply(self, sender: NodeId, reply: SetReply) -> None:
        if reply.value != self.value:
            return  # to an attempt that has ended
        self.answers.setdefault(sender, reply.granted)
        if self.has_majority:
            if self.now < self.validity_end:
                self.on_acquired()
            else:
                self.note("too_late", key=self.operation.key if self.operation else None)
                self.on_attempt_failed()
        elif self.cannot_have_majority:
            self.on_attempt_failed()

    def on_acquired(self) -> None:
        """Ends the operation: the lock is held until the validity ends."""
        operation, value, self.value = self.operation, self.value, ""
        assert operation is not None
        self.held[operation.key or ""] = Held(_session(operation), value, self.validity_end)
        self.end(Ok((None, self.validity_end - self.began)))

    def on_attempt_failed(self) -> None:
        """Releases the lock at all servers, also where nobody answered, and tries again after a random delay."""
        operation, value, self.value = self.operation, self.value, ""
        assert operation is not None
        self.cancel_timer(self.time_out)
        self.broadcast(DeleteIfEqual(operation.id, operation.key or "", value))
        self.note("attempt_failed", key=operation.key, granted=sum(self.answers.values()), answers=len(self.answers))
        delay = 1 + self.rng.randrange(int(self.config.retry_delay))
        patience = _patience(operation)
        if patience is not None and self.now + delay > self.began + patience:
            self.end(Fail("the lock is taken"))
        else:
            self.set_timer(self.attempt, after=delay)

    # Extend.

    @handles(ExpireReply)
    def on_expire_reply(self, sender: NodeId, reply: ExpireReply) -> None:
        if self.operation is None or reply.operation != self.operation.id:
            return  # to an extension that has ended
        self.answers.setdefault(sender, reply.extended)
        held = self.held[self.operation.key or ""]
        if self.has_majority:
            if self.now < held.valid_until:
                held.valid_until = self.validity_end
                self.end(Ok(held.valid_until - self.began))
            else:
                self.end(Fail("the validity ended before a majority had extended it"))
        elif self.cannot_have_majority:
            self.end(Fail("no majority has extended the lease"))

    # Release.

    @handles(DeleteReply)
    def on_delete_reply(self, sender: NodeId, reply: DeleteReply) -> None:
        operation = self.operation
        if operation is None or operation.function != RELEASE or reply.operation != operation.id:
            return  # to a release after a failed attempt, or to one that has ended
        self.answers.setdefault(sender, reply.deleted)
        if len(self.answers) == self.majority:  # the others have been asked, too
            self.end(Ok(None))

    # All three.

    def ask(self, request: Message) -> None:
        """Sends a request to all servers, whose answers count until the time-out."""
        self.answers, self.asked_at = {}, self.now
        self.broadcast(request)
        self.set_timer(self.time_out, after=int(self.config.server_timeout))

    @on_timer
    def time_out(self) -> None:
        """Goes on without the servers that have not answered."""
        assert self.operation is not None
        if self.value:
            self.on_attempt_failed()
        elif self.operation.function == RELEASE:
            self.end(Ok(None))  # where it is not deleted, it expires
        else:
            self.end(Fail("no majority has extended the lease in time"))

    def end(self, outcome: Outcome) -> None:
        """Ends the operation under way."""
        assert self.operation is not None
        operation, self.operation = self.operation, None
        self.cancel_timer(self.time_out)
        self.complete(operation.id, outcome)

    @property
    def majority(self) -> int:
        return len(self.servers) // 2 + 1

    @property
    def has_majority(self) -> bool:
        """Whether a majority has done what it was asked."""
        return sum(self.answers.values()) >= self.majority

    @property
    def cannot_have_majority(self) -> bool:
        """Whether too many servers have refused."""
        refused = len(self.answers) - sum(self.answers.values())
        return refused > len(self.servers) - self.majority

    @property
    def validity_end(self) -> int:
        """When the validity ends that the requests under way can give, by `now`.

        It counts from the first request: the earliest time at which a server can have set the expiry.
        """
        return self.asked_at + self.config.lease - self.config.drift


def _session(operation: Operation) -> int:
    """Returns the session that acquires a lock."""
    session = operation.argument[0] if operation.function == TRY_ACQUIRE else operation.argument
    assert isinstance(session, int)
    return session


def _patience(operation: Operation) -> int | None:
    """Returns the nanoseconds after which an acquire fails; None: never."""
    return int(operation.argument[1]) if operation.function == TRY_ACQUIRE else None
