"""Dispatchers, servers and clients.

client --Request--> dispatcher --Job--> server
client <-Response-- dispatcher <-Done-- server
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from framework import (
    Client,
    Fail,
    LoadReport,
    Node,
    NodeId,
    Ok,
    Operation,
    OperationId,
    Status,
    Unknown,
    durable,
    handles,
    on_timer,
)
from plugins.protocols.service.config import ServiceConfig
from plugins.protocols.service.messages import (
    DISPATCHER,
    SERVER,
    Done,
    Idle,
    Job,
    Load,
    LoadMessage,
    Refusal,
    Rejected,
    Request,
    Response,
)

ATTEMPTS = 2
"""Servers that a dispatcher asks for one request."""


@dataclass(slots=True)
class Pending:
    """A request that a dispatcher has not answered yet. `tried` are the servers asked so far; the last one is awaited.
    `unsure`: a server that was given up may have served it, or one that another dispatcher asked."""

    operation: OperationId
    client: NodeId
    key: str | None
    tried: list[NodeId] = field(default_factory=list)
    unsure: bool = False

    @property
    def server(self) -> NodeId:
        return self.tried[-1]


class Dispatcher(Node):
    """Chooses a server for each request, and answers the client. All of its state is volatile: a crash loses the
    requests that it has not answered."""

    config: ServiceConfig

    def on_start(self) -> None:
        self.table = self.config.make_table(self.roles[SERVER])
        self.pending: dict[OperationId, Pending] = {}
        self.answered: dict[OperationId, Response | Refusal] = {}
        self.answers = 0
        """The number of answers given, without repetitions."""

    @handles(Request)
    def on_request(self, sender: NodeId, request: Request) -> None:
        if request.operation in self.answered:  # the answer may have been lost
            self.send(sender, self.answered[request.operation])
            return
        if request.operation in self.pending:  # a duplicate
            return
        pending = Pending(request.operation, sender, request.key, unsure=request.repeated)
        self.pending[request.operation] = pending
        self.dispatch(pending)

    def dispatch(self, pending: Pending) -> None:
        server = self.table.choose(pending.key, self.now, self.rng, avoiding=pending.tried)
        assert server is not None, "a service has servers"
        pending.tried.append(server)
        self.table.sent(server, pending.key)
        self.send(server, Job(pending.operation, pending.key, len(pending.tried)))
        self.set_timer(self.give_up, pending.operation, after=self.config.answer_timeout)

    @handles(Done)
    def on_done(self, sender: NodeId, done: Done) -> None:
        self.record_load(sender, done)
        pending = self.pending.get(done.operation)
        if pending is None:  # answered by another server, given up, or from before a restart
            self.note("late_answer", operation=done.operation, server=sender)
            return
        # `sender` may have been given up for another server, which is now free of this request as far as we count.
        self.release(pending)
        self.answer(pending, Response(done.operation, sender, done.waited, done.found))

    @handles(Rejected)
    def on_rejected(self, sender: NodeId, rejected: Rejected) -> None:
        self.record_load(sender, rejected)
        pending = self.pending.get(rejected.operation)
        if pending is None or rejected.attempt != len(pending.tried):
            return  # an earlier attempt was rejected
        self.note("rejected", operation=rejected.operation, server=sender)
        self.release(pending)
        self.try_again(pending)

    @on_timer
    def give_up(self, operation: OperationId) -> None:
        """The awaited server does not answer: it is set aside, and another one is asked."""
        pending = self.pending[operation]
        pending.unsure = True
        self.note("gave_up", operation=operation, server=pending.server)
        self.release(pending)
        self.table.put_aside(pending.server)
        self.set_timer(self.readmit, pending.server, after=self.config.set_aside_time)
        self.try_again(pending)

    def try_again(self, pending: Pending) -> None:
        if len(pending.tried) < ATTEMPTS:
            self.dispatch(pending)
        else:
            self.answer(pending, Refusal(pending.operation, pending.unsure))

    def release(self, pending: Pending) -> None:
        """Awaits the server of a request no longer."""
        self.cancel_timer(self.give_up, pending.operation)
        self.table.answered(pending.server)

    def answer(self, pending: Pending, answer: Response | Refusal) -> None:
        self.pending.pop(pending.operation, None)
        self.answered[pending.operation] = answer
        self.answers += 1
        self.send(pending.client, answer)

    @handles(Load)
    def on_load(self, sender: NodeId, load: Load) -> None:
        self.record_load(sender, load)

    @handles(Idle)
    def on_idle(self, sender: NodeId, idle: Idle) -> None:
        self.record_load(sender, idle)
        self.table.idle(sender)

    def record_load(self, server: NodeId, message: LoadMessage) -> None:
        """Takes a server's report; a server that speaks may be chosen again."""
        self.table.report(server, LoadReport(message.load, self.now, message.stamp))
        if server in self.table.set_aside:
            self.readmit(server)
            self.cancel_timer(self.readmit, server)

    @on_timer
    def readmit(self, server: NodeId) -> None:
        self.table.readmit(server)


@dataclass(slots=True)
class Waiting:
    """A request in the queue of a server: its dispatcher, when it came, and how many requests it found there."""

    operation: OperationId
    dispatcher: NodeId
    arrived: int
    found: int


class ServerStatus(Status):
    """The number of requests at a server, waiting and in service."""

    load: int = 0


class Server(Node):
    """Serves requests in the order of their arrival, one at a time. A crash loses its queue, and with it the memory of
    which requests it has had."""

    config: ServiceConfig

    incarnation: int = durable(0)

    def on_start(self) -> None:
        self.incarnation += 1
        self.reports = 0
        self.queue: deque[Waiting] = deque()
        """The first one is in service."""
        self.begun = 0
        self.accepted: dict[OperationId, NodeId] = {}
        self.served: dict[OperationId, Done] = {}
        self.finished = 0
        """The number of services, which is that of the requests served."""
        speed = self.config.speed_of(self.roles[SERVER].index(self.id))
        self._law = self.config.service_time.scaled(1 / Fraction(speed))
        if self.config.report_interval:
            self.report()
        self.report_idle()

    @property
    def status(self) -> Status:
        return ServerStatus(load=len(self.queue))

    @handles(Job)
    def on_job(self, sender: NodeId, job: Job) -> None:
        if job.operation in self.accepted:  # a duplicate: the answer may have been lost
            if job.operation in self.served:
                self.send(sender, self.served[job.operation])
            return
        if self.config.queue_limit and len(self.queue) >= self.config.queue_limit:
            self.send(sender, Rejected(len(self.queue), self.stamp(), job.operation, job.attempt))
            return
        self.accepted[job.operation] = sender
        self.queue.append(Waiting(job.operation, sender, self.now, len(self.queue)))
        if len(self.queue) == 1:
            self.begin()

    def begin(self) -> None:
        """Begins to serve the first request of the queue."""
        self.begun = self.now
        self.set_timer(self.finish, after=self._law.sample(self.rng))

    @on_timer
    def finish(self) -> None:
        """The request in service is done."""
        served = self.queue.popleft()
        waited = self.begun - served.arrived
        done = Done(len(self.queue), self.stamp(), served.operation, waited, served.found)
        self.served[served.operation] = done
        self.finished += 1
        self.send(served.dispatcher, done)
        if self.queue:
            self.begin()
        else:
            self.report_idle()

    @on_timer
    def report(self) -> None:
        self.multicast(self.roles[DISPATCHER], Load(len(self.queue), self.stamp()))
        self.set_timer(self.report, after=self.config.report_interval)

    def report_idle(self) -> None:
        """Reports that it is idle to one dispatcher, if the balancer wants idle reports."""
        assert self.config.balancer is not None
        if self.config.balancer.balancer.wants_idle_reports:
            self.send(self.rng.choice(self.roles[DISPATCHER]), Idle(0, self.stamp()))

    def stamp(self) -> tuple[int, int]:
        self.reports += 1
        return self.incarnation, self.reports


class ServiceClient(Client):
    """Sends each request to a dispatcher at random: operation `serve`, key what the request is about. The result is
    (server, nanoseconds waited there, requests found there)."""

    config: ServiceConfig

    def on_start(self) -> None:
        self.key: str | None = None
        self.asked: list[NodeId] = []
        """The dispatchers asked about the operation under way."""

    def awaited_nodes(self) -> tuple[NodeId, ...]:
        return tuple(self.asked[-1:]) if self.current is not None else ()

    def invoke(self, operation: Operation) -> None:
        self.key, self.asked = operation.key, []
        self.ask(operation.id)

    @on_timer
    def ask(self, operation: OperationId) -> None:
        """Asks a dispatcher; not the last one again if there are others."""
        if operation != self.current:
            return  # it has timed out
        dispatchers = self.roles[DISPATCHER]
        others = [each for each in dispatchers if each not in self.asked[-1:]] or dispatchers
        repeated = bool(self.asked)
        self.asked.append(self.rng.choice(others))
        self.send(self.asked[-1], Request(operation, self.key, repeated))
        if self.config.client_retry:
            self.set_timer(self.ask, operation, after=self.config.client_retry)

    @handles(Response)
    def on_response(self, sender: NodeId, response: Response) -> None:
        if response.operation == self.current:  # else a duplicate
            self.cancel_timer(self.ask, response.operation)
            self.complete(response.operation, Ok((response.server, response.waited, response.found)))

    @handles(Refusal)
    def on_refusal(self, sender: NodeId, refusal: Refusal) -> None:
        if refusal.operation == self.current:  # else a duplicate
            self.cancel_timer(self.ask, refusal.operation)
            unsure = refusal.unsure or set(self.asked) != {sender}
            outcome = Unknown("no server answered") if unsure else Fail("the queues of the servers are full")
            self.complete(refusal.operation, outcome)


def unfinished(nodes: Mapping[NodeId, Node]) -> str | None:
    """Returns the first request that a node still has; None if there is none. `nodes` are those that run."""
    for node in nodes.values():
        if isinstance(node, Dispatcher) and node.pending:
            pending = next(iter(node.pending.values()))
            return f"request {pending.operation} is not answered: {node.id} awaits {pending.server}"
        if isinstance(node, Server):
            for operation in node.accepted:
                if operation not in node.served:
                    return f"request {operation} is not served: {node.id} has accepted it"
    return None
