"""The service with one mistake at a time. What is right is said in `plugins/protocols/service/invariants.py`, and in
the README there ("README")."""

from __future__ import annotations

from collections import deque

from experiments.planted_bugs.mutant import Mutant, mutated
from framework import LoadReport, Message, NodeId, OperationId, ProtocolSpec, handles, hookimpl, on_timer
from plugins.protocols import service
from plugins.protocols.service.messages import Done, Job, LoadMessage, Rejected, Request, Response
from plugins.protocols.service.node import Dispatcher, Pending, Server, Waiting

# The dispatcher.


class NeverCountsDown(Dispatcher):
    """A request that is tried elsewhere stays outstanding at the first server (outstanding counted)."""

    def try_again(self, pending: Pending) -> None:
        self.table.outstanding[pending.server] += 1
        super().try_again(pending)


class CountsDownAtTheSender(Dispatcher):
    """A late answer is counted down at the server that sent it, not at the one that is awaited (outstanding
    counted)."""

    @handles(Done)
    def on_done(self, sender: NodeId, done: Done) -> None:
        pending = self.pending.get(done.operation)
        if pending is not None and sender != pending.server and self.table.outstanding[sender] > 0:
            self.table.outstanding[sender] -= 1
            self.table.outstanding[pending.server] += 1
        super().on_done(sender, done)


class TakesOldReportsForNew(Dispatcher):
    """A load report that was overtaken replaces the newer one (reports in order)."""

    def record_load(self, server: NodeId, message: LoadMessage) -> None:
        super().record_load(server, message)
        self.table.reports[server] = LoadReport(message.load, self.now, message.stamp)


class AnswersEveryAnswer(Dispatcher):
    """Every server that serves a request is named in an answer to the client (answered once)."""

    @handles(Done)
    def on_done(self, sender: NodeId, done: Done) -> None:
        known = self.answered.get(done.operation)
        super().on_done(sender, done)
        if isinstance(known, Response) and known.server != sender:
            again = Pending(done.operation, "c1", None, [sender])
            self.answer(again, Response(done.operation, sender, done.waited, done.found))


class NamesTheAwaitedServer(Dispatcher):
    """A late answer is passed on under the name of the server that is awaited (served as named)."""

    @handles(Done)
    def on_done(self, sender: NodeId, done: Done) -> None:
        pending = self.pending.get(done.operation)
        super().on_done(sender if pending is None else pending.server, done)


class DispatchesDuplicates(Dispatcher):
    """A duplicate of a request is dispatched like a new one (outstanding counted)."""

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        self.pending.pop(request.operation, None)
        super().on_request(sender, request)


class NeverGivesUp(Dispatcher):
    """A server that does not answer is awaited for ever (README: settled)."""

    @on_timer
    def give_up(self, operation: OperationId) -> None:
        pass


# The server.


class ServesTheLatest(Server):
    """The request that came last is served first (first in, first out)."""

    def begin(self) -> None:
        self.queue.rotate(1)
        super().begin()


class LosesTheFourth(Server):
    """A request that finds exactly three others is accepted and forgotten (first in, first out)."""

    @handles(Job)
    def on_job(self, sender: NodeId, job: Job) -> None:
        super().on_job(sender, job)
        if len(self.queue) == 4:
            self.queue.pop()


class ServesDuplicates(Server):
    """A duplicate of a request is served like a new one (first in, first out)."""

    @handles(Job)
    def on_job(self, sender: NodeId, job: Job) -> None:
        if job.operation in self.accepted and self.queue and job.operation != self.queue[0].operation:
            self.queue.append(Waiting(job.operation, sender, self.now, len(self.queue)))
        else:
            super().on_job(sender, job)


class ServesWhatItRejects(Server):
    """A request that is rejected is served all the same, out of turn (first in, first out)."""

    def send(self, to: NodeId, message: Message, *, mount: str | None = None, before_commit: bool = False) -> None:
        super().send(to, message, mount=mount, before_commit=before_commit)
        if isinstance(message, Rejected):
            self.served[message.operation] = Done(0, message.stamp, message.operation, 0, 0)


class CutsItsQueue(Server):
    """A report cuts the queue down to two requests (first in, first out)."""

    @on_timer
    def report(self) -> None:
        super().report()
        if len(self.queue) > 2:
            self.queue = deque(list(self.queue)[:2])


MUTANTS = (
    Mutant(NeverCountsDown),
    Mutant(CountsDownAtTheSender),
    Mutant(TakesOldReportsForNew),
    Mutant(AnswersEveryAnswer),
    Mutant(NamesTheAwaitedServer),
    Mutant(DispatchesDuplicates),
    Mutant(NeverGivesUp),
    Mutant(ServesTheLatest),
    Mutant(LosesTheFourth),
    Mutant(ServesDuplicates),
    Mutant(ServesWhatItRejects),
    Mutant(CutsItsQueue),
)


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    (itself,) = service.register_protocols()
    return mutated(itself, MUTANTS)
