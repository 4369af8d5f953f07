"""The service driven by hand: queues, load reports that age, servers that do not answer, full queues, repetitions."""

from __future__ import annotations

from functools import lru_cache

from framework import MILLISECOND, Fail, LoadReport, Ok, Unknown
from framework.config.compose import compose
from framework.engine.base import Experiment
from framework.registry.registry import load
from framework.testing.cluster import Cluster
from plugins.protocols.service.messages import Done, Idle, Job, Load, Refusal, Rejected, Request, Response
from plugins.protocols.service.node import unfinished

REGISTRY = load()
SERVICE_MS = 10


@lru_cache
def experiment(balancer: str, nodes: int, *settings: str) -> Experiment:
    words = [f"protocol.{setting}" for setting in settings]
    base = [
        "protocol=service",
        "workload=requests",
        "engine=sim",
        "clients=3",
        f"nodes={nodes}",
        f"balancer={balancer}",
    ]
    law = f"protocol.service_time={{kind: constant, delay: {SERVICE_MS}ms}}"
    return compose([*base, law, *words], registry=REGISTRY).experiment


def cluster(*settings: str, nodes: int = 3, balancer: str = "round_robin") -> Cluster:
    """n1 dispatches, n2 and n3 serve, each request in 10 ms."""
    made = Cluster.of(experiment(balancer, nodes, *settings))
    made.drop_all()
    made.clear_log()
    return made


def ask(nodes: Cluster, client: str = "c1", key: str | None = None) -> int:
    """A client asks, and its request reaches a dispatcher."""
    operation = nodes.invoke(client, "serve", key)
    nodes.deliver_all(Request)
    return operation


def serve(nodes: Cluster, *servers: str) -> None:
    """These servers finish their present requests, 10 ms later."""
    nodes.advance(SERVICE_MS * MILLISECOND, fire=False)
    for server in servers:
        nodes.fire(server, "finish")


def test_a_request_step_by_step() -> None:
    nodes = cluster()
    ask(nodes, key="x")
    nodes.deliver(Job)
    serve(nodes, "n2")
    nodes.stabilize()
    assert nodes.log == [
        "c1 invokes serve x as operation 0",
        "  → n1: Request(operation=0, key=x, repeated=False)",
        "n1 takes Request(operation=0, key=x, repeated=False) from c1",
        "  → n2: Job(operation=0, key=x, attempt=1)",
        "n2 takes Job(operation=0, key=x, attempt=1) from n1",
        "n2 fires finish",
        "  → n1: Done(load=0, stamp=[1, 1], operation=0, waited=0, found=0)",
        "n1 takes Done(load=0, stamp=[1, 1], operation=0, waited=0, found=0) from n2",
        "  → c1: Response(operation=0, server=n2, waited=0, found=0)",
        "c1 takes Response(operation=0, server=n2, waited=0, found=0) from n1",
        "  completes operation 0: Ok(value=[n2, 0, 0])",
    ]
    assert unfinished({node.id: node for node in nodes.nodes()}) is None


def test_requests_wait_in_the_order_of_their_arrival() -> None:
    nodes = cluster(nodes=2)
    first, second, third = (ask(nodes, client) for client in ("c1", "c2", "c3"))
    nodes.deliver_all(Job)
    assert nodes.node("n2").status.load == 3
    assert unfinished({"n2": nodes.node("n2")}) == f"request {first} is not served: n2 has accepted it"
    for _ in range(3):
        serve(nodes, "n2")
    nodes.stabilize()
    waits = [SERVICE_MS * MILLISECOND * place for place in range(3)]
    expected = {each: Ok(("n2", waits[place], place)) for place, each in enumerate((first, second, third))}
    assert nodes.outcomes == expected


def test_a_server_takes_time_by_its_speed_and_dispatchers_know_its_weight() -> None:
    nodes = cluster("speeds=[1, 2.5]", nodes=4)
    assert nodes.node("n1").table.weights == {"n2": 1.0, "n3": 2.5, "n4": 1.0}
    laws = [nodes.node(name)._law.constant for name in ("n2", "n3", "n4")]
    assert laws == [10 * MILLISECOND, 4 * MILLISECOND, 10 * MILLISECOND]
    assert set(cluster("speeds=[1, 2]", "weighted=false").node("n1").table.weights.values()) == {1.0}


# Load reports.


def test_a_load_is_known_as_it_was_at_the_last_answer() -> None:
    nodes = cluster(nodes=2)
    for client in ("c1", "c2", "c3"):
        ask(nodes, client)
    nodes.deliver_all(Job)
    assert nodes.node("n1").table.reports == {}, "without an interval, servers report with their answers only"
    serve(nodes, "n2")
    nodes.deliver(Done)
    table = nodes.node("n1").table
    assert table.reports == {"n2": LoadReport(load=2, received=nodes.clock("n1"), stamp=(1, 1))}
    serve(nodes, "n2")
    assert table.reports["n2"].load == 2 and table.outstanding == {"n2": 2}, "its next answer is under way"


def test_servers_report_at_intervals() -> None:
    nodes = cluster("report_interval=5ms", "dispatchers=2")
    nodes.fire("n3", "report")
    assert sorted(each.to for each in nodes.waiting(Load)) == ["n1", "n2"]
    stamped = nodes.waiting(Load)[0].message
    nodes.fire("n3", "report")
    late = nodes.waiting(Load, to="n1")
    nodes.deliver(late[1])
    nodes.deliver(late[0])
    assert nodes.node("n1").table.reports["n3"].stamp > stamped.stamp, "a report that was overtaken is not taken"


def test_a_restarted_server_reports_under_a_new_incarnation() -> None:
    nodes = cluster("report_interval=5ms")
    for _ in range(3):
        nodes.fire("n2", "report")
    nodes.deliver_all(Load)
    nodes.crash("n2")
    nodes.restart("n2")
    nodes.deliver_all(Load)
    assert nodes.node("n1").table.reports["n2"].stamp == (2, 1)


def test_idle_servers_report_themselves_to_one_dispatcher_if_the_balancer_wants_to_know() -> None:
    nodes = cluster("dispatchers=2", nodes=4, balancer="join_idle_queue")
    ask(nodes)
    nodes.deliver_all(Job)
    (busy,) = [name for name in ("n3", "n4") if nodes.node(name).queue]
    assert nodes.waiting(Idle) == []
    serve(nodes, busy)
    (idle,) = nodes.waiting(Idle)
    nodes.deliver(idle)
    assert [nodes.node(name).table.balancer.idle for name in ("n1", "n2") if name == idle.to] == [[busy]]


# A server that does not answer.


def test_a_request_that_is_not_answered_is_tried_elsewhere_once() -> None:
    nodes = cluster(nodes=4)
    operation = ask(nodes)
    nodes.drop(Job, to="n2")
    nodes.fire("n1", "give_up", operation)
    table = nodes.node("n1").table
    assert table.set_aside == ["n2"] and table.outstanding == {"n2": 0, "n3": 1, "n4": 0}
    nodes.drop(Job, to="n3")
    nodes.fire("n1", "give_up", operation)
    nodes.deliver(Refusal)
    assert nodes.outcomes == {operation: Unknown("no server answered")}
    assert table.set_aside == ["n2", "n3"] and sum(table.outstanding.values()) == 0
    nodes.fire("n1", "readmit", "n2")
    assert table.available == ["n2", "n4"]


def test_a_late_answer_counts_and_its_server_may_be_chosen_again() -> None:
    nodes = cluster()
    operation = ask(nodes)
    nodes.deliver(Job)
    nodes.fire("n1", "give_up", operation)
    serve(nodes, "n2")
    nodes.deliver(Done)
    assert nodes.node("n1").table.outstanding == {"n2": 0, "n3": 0} and nodes.node("n1").table.set_aside == []
    nodes.deliver(Job)
    serve(nodes, "n3")
    nodes.stabilize()
    assert nodes.outcomes == {operation: Ok(("n2", 0, 0))}
    assert [fields["server"] for _, name, fields in nodes.notes if name == "late_answer"] == ["n3"]


def test_a_server_serves_a_request_once_and_repeats_its_answer() -> None:
    nodes = cluster(nodes=2)
    operation = ask(nodes)
    nodes.duplicate(Job)
    nodes.deliver_all(Job)
    serve(nodes, "n2")
    nodes.drop(Done)
    nodes.fire("n1", "give_up", operation)  # there is no other server
    nodes.deliver(Job)
    nodes.stabilize()
    assert nodes.outcomes == {operation: Ok(("n2", 0, 0))} and nodes.node("n2").finished == 1


# Full queues.


def test_a_full_queue_rejects_and_another_server_is_asked() -> None:
    nodes = cluster("queue_limit=1")
    operations = [ask(nodes, client) for client in ("c1", "c2", "c3")]
    nodes.deliver_all(Job)
    nodes.deliver(Rejected)  # by n2, which has the first request
    assert nodes.node("n1").table.outstanding == {"n2": 1, "n3": 2}
    nodes.deliver_all(Job)
    nodes.deliver(Rejected)
    nodes.deliver(Refusal)
    assert nodes.outcomes == {operations[2]: Fail("the queues of the servers are full")}


def test_a_rejection_of_an_earlier_attempt_is_no_rejection_of_this_one() -> None:
    nodes = cluster("queue_limit=1")
    operation = ask(nodes)
    nodes.drop(Job)
    nodes.fire("n1", "give_up", operation)
    nodes.deliver(nodes.send("n2", "n1", Rejected(1, (1, 5), operation, 1)))
    assert nodes.node("n1").pending[operation].tried == ["n2", "n3"]
    assert nodes.node("n1").table.outstanding == {"n2": 0, "n3": 1}


# Clients and dispatchers.


def test_a_client_asks_another_dispatcher_and_is_answered_once() -> None:
    nodes = cluster("dispatchers=2", nodes=4)
    operation = nodes.invoke("c1", "serve")
    (request,) = nodes.waiting(Request)
    nodes.fire("c1", "ask", operation)
    assert sorted(each.to for each in nodes.waiting(Request)) == ["n1", "n2"]
    nodes.deliver_all(Request)
    nodes.deliver_all(Job)
    serve(nodes, *(name for name in ("n3", "n4") if nodes.node(name).queue))
    nodes.stabilize()
    assert isinstance(nodes.outcomes[operation], Ok) and request.message.repeated is False


def test_an_answer_that_was_lost_is_repeated() -> None:
    nodes = cluster()
    operation = ask(nodes)
    nodes.deliver(Job)
    serve(nodes, "n2")
    nodes.deliver(Done)
    nodes.drop(Response)
    nodes.fire("c1", "ask", operation)
    nodes.stabilize()
    assert nodes.outcomes == {operation: Ok(("n2", 0, 0))}
    assert nodes.node("n1").answers == 1


def test_a_client_that_has_asked_before_cannot_know_that_its_request_was_not_served() -> None:
    nodes = cluster("queue_limit=1", nodes=2)
    ask(nodes, "c1")
    nodes.deliver(Job)
    operation = nodes.invoke("c2", "serve")
    nodes.drop(Request)
    nodes.fire("c2", "ask", operation)
    nodes.deliver(Request)
    for _ in range(2):
        nodes.deliver(Job)
        nodes.deliver(Rejected)
    nodes.deliver(Refusal)
    assert nodes.outcomes == {operation: Unknown("no server answered")}


def test_what_is_not_finished_is_said() -> None:
    nodes = cluster()
    operation = ask(nodes)
    assert unfinished({"n1": nodes.node("n1")}) == f"request {operation} is not answered: n1 awaits n2"
