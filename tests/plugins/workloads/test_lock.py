"""The workload of locks: its turns, the store, and the client that holds a lock."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from framework import (
    MILLISECOND,
    Client,
    ConfigError,
    Fail,
    LockClient,
    Ok,
    Operation,
    OperationId,
    Outcome,
    PluginError,
    ProtocolSpec,
    Unknown,
    Value,
    Verdict,
    WrappedClientConfig,
)
from framework.config.compose import compose
from framework.core.message import Message, NodeId
from framework.core.node import Node, handles
from framework.core.plugin_choice import ProtocolChoice
from framework.testing.cluster import Cluster
from plugins.workloads.lock import register_workloads
from plugins.workloads.lock.config import LockConfig, StoreConfig
from plugins.workloads.lock.guarded_store import Accessed, Store, StoreRead, StoreWrite
from plugins.workloads.lock.holder import LockHolder
from plugins.workloads.lock.turns import LockWorkload, check_tokens
from tests.plugins.checkers.judged import judged
from tests.written import written

MS = MILLISECOND


# The workload.


class Hand:
    """Takes a client's operations one after the other, and says how each ends."""

    def __init__(self, **config: Any) -> None:
        self.workload = LockWorkload(written(LockConfig, **config))
        self.rng = random.Random(1)
        self.operations = 0

    def next(self, outcome: Outcome | None = None, *, final: bool = False, client: NodeId = "c1") -> Any:
        source = self.workload.final if final else self.workload.next
        call = source(client, 0, self.rng)
        if call is not None and outcome is not None:
            self.operations += 1
            self.workload.completed(client, Operation(self.operations, *call), outcome)
        return call


def test_a_turn_acquires_reads_writes_and_releases() -> None:
    hand = Hand(accesses=2)
    assert hand.next(Ok(7)) == ("acquire", "l1", None)
    assert hand.workload.is_busy("c1")
    assert hand.next(Ok((None, 1))) == ("read", "l1", 7)
    assert hand.next(Ok((None, 2))) == ("write", "l1", (7, "c1.1"))
    assert hand.next(Ok(("c1.1", 3))) == ("read", "l1", 7)
    assert hand.next(Ok(("c1.1", 4))) == ("write", "l1", (7, "c1.2"))
    assert hand.next(Ok()) == ("release", "l1", None)
    assert not hand.workload.is_busy("c1")
    assert hand.next() == ("acquire", "l1", None)


def test_a_client_that_is_rejected_releases_its_lock() -> None:
    hand = Hand(accesses=2)
    hand.next(Ok(7))
    hand.next(Fail("token 7 is below 8"))
    assert hand.next(Fail("it does not hold the lock")) == ("release", "l1", None)
    assert hand.next() == ("acquire", "l1", None)


@pytest.mark.parametrize("function", ["acquire", "read", "release"])
def test_after_an_unknown_outcome_a_client_begins_anew(function: str) -> None:
    hand = Hand()
    while (call := hand.next())[0] != function:
        hand.workload.completed("c1", Operation(1, *call), Ok(1) if call[0] == "acquire" else Ok((None, 1)))
    hand = Hand()
    while hand.next(Ok(1))[0] != function:
        pass
    hand.workload.completed("c1", Operation(9, function, "l1"), Unknown("no answer"))
    assert hand.next() == ("acquire", "l1", None) and not hand.workload.is_busy("c1")


def test_shared_turns_only_read() -> None:
    hand = Hand(shared=1.0, accesses=2)
    assert hand.next(Ok(3)) == ("acquire_shared", "l1", None)
    assert [hand.next(Ok((None, 1)))[0] for _ in range(3)] == ["read", "read", "release"]


@pytest.mark.parametrize("mode", ["acquire", "acquire_shared"])
def test_a_turn_without_accesses_lasts_until_its_work_is_done(mode: str) -> None:
    """Otherwise its release would be invoked at once, and `mutual_exclusion` would see no turn overlap another."""
    hand = Hand(shared=float(mode == "acquire_shared"), accesses=0)
    assert [hand.next(Ok(3))[0] for _ in range(3)] == [mode, "hold", "release"]


def test_impatient_clients_give_their_patience() -> None:
    assert Hand(impatient=1.0, patience="20ms").next() == ("try_acquire", "l1", 20 * MS)
    assert Hand(impatient=1.0, shared=1.0).next() == ("try_acquire_shared", "l1", 0)


def test_in_the_end_every_client_acquires_every_lock_once() -> None:
    hand = Hand(keys=2, accesses=0, hold="0", impatient=1.0, shared=1.0)
    hand.next(Ok(1))
    rows = []
    while (call := hand.next(Ok(5), final=True)) is not None:
        rows.append(call[:2])
    assert rows == [("release", rows[0][1]), *((word, key) for key in ("l1", "l2") for word in ("acquire", "release"))]


@pytest.mark.parametrize(
    ("config", "functions"),
    [
        ({}, ("acquire", "read", "write", "release")),
        ({"accesses": 0}, ("acquire", "hold", "release")),
        ({"accesses": 0, "hold": "0"}, ("acquire", "release")),
        ({"shared": 0.5}, ("acquire", "acquire_shared", "read", "write", "release")),
        ({"impatient": 0.5}, ("acquire", "try_acquire", "read", "write", "release")),
        ({"impatient": 1.0}, ("acquire", "try_acquire", "read", "write", "release")),
        (
            {"impatient": 0.1, "shared": 1.0},
            ("acquire_shared", "acquire", "try_acquire_shared", "read", "write", "release"),
        ),
    ],
)
def test_it_says_which_operations_it_may_invoke(config: dict[str, Any], functions: tuple[str, ...]) -> None:
    hand = Hand(**config)
    assert hand.workload.functions() == functions


def test_a_client_that_releases_needs_a_closed_loop() -> None:
    with pytest.raises(ConfigError, match="write loop=closed"):
        compose(["experiment=raft_lock", "workload.loop=open"])


def test_work_that_outlasts_its_operation_is_refused() -> None:
    with pytest.raises(ConfigError, match="hold=2s outlasts timeout=1s"):
        compose(["experiment=raft_lock", "workload.hold=2s", "workload.timeout=1s"])


# Lock and client of a protocol, for tests.


class Wanted(Message):
    operation: OperationId
    function: str
    argument: Value = None


class Given(Message):
    operation: OperationId
    outcome: Ok | Fail


class ToyServer(Node):
    """Answers nothing: the test does."""

    @handles(Wanted)
    def on_wanted(self, sender: NodeId, wanted: Wanted) -> None: ...


class ToyClient(LockClient):
    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[0], Wanted(operation.id, operation.function, operation.argument))

    @handles(Given)
    def on_given(self, sender: NodeId, given: Given) -> None:
        self.complete(given.operation, given.outcome)


# The store.


def store(*, fencing: bool | None = None) -> Cluster:
    return Cluster(Store, LockConfig(store=StoreConfig(fencing=fencing)), ["s1"], client=Asker, clients=["c1"])


class Asker(Client):
    @handles(Accessed)
    def on_accessed(self, sender: NodeId, accessed: Accessed) -> None: ...


def ask(cluster: Cluster, message: Message) -> Accessed:
    cluster.send("c1", "s1", message)
    cluster.deliver(type(message), to="s1")
    answer = cluster.waiting(Accessed, to="c1")[-1].message
    cluster.deliver_all()
    assert isinstance(answer, Accessed)
    return answer


def test_the_store_counts_accesses_and_shows_the_value_before_each() -> None:
    cluster = store()
    assert ask(cluster, StoreRead(1, "x", 1)) == Accessed(1, None, 1)
    assert ask(cluster, StoreWrite(2, "x", 1, "a")) == Accessed(2, None, 2)
    assert ask(cluster, StoreWrite(3, "x", 1, "b")) == Accessed(3, "a", 3)
    assert ask(cluster, StoreRead(4, "x", 2)) == Accessed(4, "b", 4)
    assert ask(cluster, StoreRead(5, "y", 2)) == Accessed(5, None, 1)


@pytest.mark.parametrize("fencing", [None, True])
def test_a_fenced_store_rejects_lower_tokens_reads_included(fencing: bool | None) -> None:
    cluster = store(fencing=fencing)
    ask(cluster, StoreRead(1, "x", 4))  # a read raises the highest token, too
    for message in (StoreWrite(2, "x", 3, "a"), StoreRead(3, "x", 3), StoreWrite(4, "x", None, "a")):
        assert ask(cluster, message).rejected.endswith("is below 4")
    assert ask(cluster, StoreWrite(5, "x", 4, "a")) == Accessed(5, None, 2)
    assert not ask(cluster, StoreRead(6, "y", 1)).rejected


def test_a_store_without_fencing_takes_any_token() -> None:
    cluster = store(fencing=False)
    assert [ask(cluster, StoreRead(n, "x", token)).position for n, token in ((1, 4), (2, 3), (3, None))] == [1, 2, 3]


def test_without_tokens_there_is_nothing_to_reject() -> None:
    cluster = store()
    assert [ask(cluster, StoreRead(number, "x", None)).position for number in (1, 2)] == [1, 2]


def test_an_access_is_executed_once_however_often_and_late_it_arrives() -> None:
    cluster = store()
    first = ask(cluster, StoreWrite(1, "x", 1, "a"))
    ask(cluster, StoreWrite(2, "x", 2, "b"))
    assert ask(cluster, StoreWrite(1, "x", 1, "a")) == first
    cluster.crash("s1")
    cluster.restart("s1")
    assert ask(cluster, StoreWrite(1, "x", 1, "a")) == first
    assert ask(cluster, StoreRead(3, "x", 2)) == Accessed(3, "b", 3)
    assert ask(cluster, StoreRead(4, "x", 1)).rejected == "token 1 is below 2"


# The holder.


class Held:
    """A holder of the toy lock in a cluster; the test plays the server and the store."""

    def __init__(self, *operations: str, **config: Any) -> None:
        protocol = ProtocolChoice("toy", None, ToyServer, ToyClient)
        wrapped = WrappedClientConfig(protocol, written(LockConfig, **config), ("acquire", "release", *operations))
        self.cluster = Cluster(ToyServer, wrapped, ["n1"], client=LockHolder, clients=["c1"])
        self.holder = self.cluster.node("c1")
        self.holder.roles = {"service": ("s1",)}

    def invoke(self, function: str, argument: Any = None) -> int:
        return self.cluster.invoke("c1", function, "l1", argument)

    def asked(self) -> Any:
        """Returns what the holder has sent last, and delivers it."""
        [envelope] = self.cluster.envelopes[-1:]
        self.cluster.drop(envelope)
        return envelope.message

    def answer(self, outcome: Ok | Fail, mount: str = "lock") -> None:
        """Answers the request that the holder has sent last."""
        self.cluster.send("n1", "c1", Given(self.asked().operation, outcome), path=mount)
        self.cluster.deliver_all()

    def stores(self, position: int = 1, rejected: str = "") -> StoreRead | StoreWrite:
        access = self.asked()
        self.cluster.send("s1", "c1", Accessed(access.operation, "old", position, rejected))
        self.cluster.deliver_all()
        assert isinstance(access, StoreRead | StoreWrite)
        return access

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(self.holder.status.roles)


def test_without_leases_a_holder_acquires_accesses_and_releases() -> None:
    held = Held(hold="5ms")
    acquire = held.invoke("acquire")
    assert held.roles == ("waiter",)
    held.answer(Ok((7, None)))
    assert held.cluster.outcomes[acquire] == Ok(7) and held.roles == ("holder",)
    read = held.invoke("read", 7)
    assert held.stores() == StoreRead(read, "l1", 7)
    assert held.cluster.outcomes[read] == Ok(("old", 1))
    write = held.invoke("write", (7, "new"))
    assert held.cluster.envelopes == []  # it works first
    held.cluster.advance(5 * MS)
    assert held.stores(2) == StoreWrite(write, "l1", 7, "new")
    release = held.invoke("release")
    held.answer(Ok())
    assert held.cluster.outcomes[release] == Ok() and held.roles == ()


@pytest.mark.parametrize(
    ("operations", "mount", "results", "complaint"),
    [
        ((), "lock", [7], "protocol toy: acquire has the result 7. It must be (token, lease)"),
        ((), "lock", [(7, "soon")], "protocol toy: acquire has the result (7, 'soon'). It must be (token, lease)"),
        (
            ("open_session",),
            "keeper",
            [None],
            "protocol toy: open_session has the result None. It must be (session, lease)",
        ),
        (("extend",), "lock", [(7, 90 * MS), (1, 2)], "protocol toy: extend has the result (1, 2). It must be lease"),
    ],
)
def test_a_result_that_is_not_one_of_a_lock_is_named(
    operations: tuple[str, ...], mount: str, results: list[Any], complaint: str
) -> None:
    held = Held(*operations)
    held.invoke("acquire")
    with pytest.raises(PluginError) as raised:
        for result in results:
            held.answer(Ok(result), mount)
            held.cluster.advance(30 * MS)
    assert str(raised.value).startswith(complaint)


def test_an_access_is_sent_again_until_the_store_answers() -> None:
    held = Held()
    held.invoke("acquire")
    held.answer(Ok((7, None)))
    read = held.invoke("read", 7)
    held.cluster.advance(250 * MS)
    assert [envelope.message for envelope in held.cluster.envelopes] == [StoreRead(read, "l1", 7)] * 3


def test_an_access_is_not_sent_again_once_the_lease_has_ended() -> None:
    held = Held("extend", keep_alive=False)
    held.invoke("acquire")
    held.answer(Ok((None, 150 * MS)))
    read = held.invoke("read")
    held.cluster.advance(100 * MS)
    assert len(held.cluster.envelopes) == 2
    held.cluster.advance(100 * MS)
    assert len(held.cluster.envelopes) == 2
    assert held.cluster.outcomes[read] == Unknown(
        "its lease has ended, by its own clock, and the store has not answered"
    )


def test_a_rejected_access_fails() -> None:
    held = Held()
    held.invoke("acquire")
    held.answer(Ok((7, None)))
    read = held.invoke("read", 7)
    held.stores(rejected="token 7 is below 8")
    assert held.cluster.outcomes[read] == Fail("token 7 is below 8")


def test_without_a_lock_nothing_is_accessed_or_released() -> None:
    held = Held()
    for function in ("read", "release"):
        assert held.cluster.outcomes[held.invoke(function)] == Fail("this client holds no lock")
    assert held.cluster.envelopes == []


def test_a_lease_counts_from_the_moment_when_the_lock_was_asked_for() -> None:
    held = Held("extend", keep_alive=False)
    held.invoke("acquire")
    held.cluster.advance(60 * MS)
    held.answer(Ok((None, 100 * MS)))
    held.cluster.advance(39 * MS)
    held.invoke("read")
    held.stores()
    held.cluster.advance(1 * MS)
    read = held.invoke("read")
    assert held.cluster.outcomes[read] == Fail("its lease has ended, by its own clock")


def test_a_holder_that_does_not_check_its_lease_accesses_the_store_all_the_same() -> None:
    held = Held("extend", keep_alive=False, check_lease=False)
    held.invoke("acquire")
    held.answer(Ok((None, 100 * MS)))
    held.cluster.advance(200 * MS)
    held.invoke("read")
    held.stores()


def test_a_lease_of_a_lock_is_extended_when_a_third_of_it_is_over() -> None:
    held = Held("extend")
    held.invoke("acquire")
    held.cluster.advance(20 * MS)
    held.answer(Ok((None, 90 * MS)))
    held.cluster.advance(10 * MS)
    assert held.asked().function == "extend"
    held.invoke("release")
    assert held.cluster.envelopes == []  # the mounted client is busy with the extension


def test_a_release_follows_an_extension_that_is_under_way() -> None:
    held = Held("extend")
    held.invoke("acquire")
    held.answer(Ok((None, 90 * MS)))
    held.cluster.advance(30 * MS)
    release = held.invoke("release")
    held.answer(Ok(90 * MS))
    assert held.asked().operation == release


def test_with_sessions_a_holder_opens_one_first_and_keeps_it_alive_while_it_waits() -> None:
    held = Held("open_session", "keep_alive")
    acquire = held.invoke("acquire")
    assert held.asked().function == "open_session"
    held.cluster.send("n1", "c1", Given(held.holder.keeper.current, Ok((4, 90 * MS))), path="keeper")
    held.cluster.deliver_all()
    assert held.asked() == Wanted(acquire, "acquire", 4)
    held.cluster.advance(30 * MS)
    assert held.asked() == Wanted(held.holder.keeper.current, "keep_alive", 4)
    held.cluster.send("n1", "c1", Given(held.holder.keeper.current, Ok(90 * MS)), path="keeper")
    held.cluster.send("n1", "c1", Given(acquire, Ok((7, None))), path="lock")
    held.cluster.deliver_all()
    assert held.cluster.outcomes[acquire] == Ok(7)
    assert held.holder.expires == held.cluster.clock("c1") + 90 * MS


def test_a_session_that_has_ended_is_followed_by_another() -> None:
    held = Held("open_session", "keep_alive")
    held.invoke("acquire")
    held.answer(Ok((4, 90 * MS)), "keeper")
    held.answer(Fail("there is no session 4"))
    held.cluster.advance(90 * MS, fire=False)
    again = held.invoke("acquire")
    assert held.asked().function == "open_session"
    held.cluster.send("n1", "c1", Given(held.holder.keeper.current, Fail("no more sessions")), path="keeper")
    held.cluster.deliver_all()
    assert held.cluster.outcomes[again] == Fail("no more sessions")


@pytest.mark.parametrize("is_late", [False, True])
def test_a_holder_whose_lease_has_ended_awaits_the_extension_under_way_before_it_acquires(is_late: bool) -> None:
    held = Held("open_session", "keep_alive")
    held.invoke("acquire")
    held.answer(Ok((4, 90 * MS)), "keeper")
    held.answer(Ok((7, None)))
    held.cluster.advance(30 * MS)
    extension = held.asked()
    held.invoke("release")
    held.answer(Ok())
    held.cluster.advance(90 * MS)
    again = held.invoke("acquire")
    assert held.cluster.envelopes == [] and held.holder.lock.current is None
    held.cluster.send("n1", "c1", Given(extension.operation, Ok(90 * MS if is_late else 150 * MS)), path="keeper")
    held.cluster.deliver_all()
    if is_late:
        held.answer(Ok((9, 90 * MS)), "keeper")
    wanted = Wanted(again, "acquire", 9 if is_late else 4)
    assert held.cluster.waiting(Wanted, to="n1")[0].message == wanted


def test_a_lock_is_not_released_in_a_session_that_has_ended() -> None:
    held = Held("open_session", "keep_alive")
    held.invoke("acquire")
    held.answer(Ok((4, 90 * MS)), "keeper")
    held.answer(Ok((7, None)))
    held.cluster.advance(30 * MS)
    held.answer(Fail("the session has ended"), "keeper")
    release = held.invoke("release")
    assert held.cluster.envelopes == [] and held.roles == ()
    assert held.cluster.outcomes[release] == Fail("its session has ended, and the lock with it")


def test_an_extension_does_not_shorten_the_work() -> None:
    held = Held("extend", accesses=0, hold="40ms")
    held.invoke("acquire")
    held.answer(Ok((None, 90 * MS)))
    hold = held.invoke("hold")
    held.cluster.advance(30 * MS)
    held.answer(Ok(90 * MS))
    assert hold not in held.cluster.outcomes
    held.cluster.advance(10 * MS)
    assert held.cluster.outcomes[hold] == Ok() and held.roles == ("holder",)


def test_renewals_have_numbers_of_their_own() -> None:
    held = Held("extend")
    seen = []
    for _ in range(2):
        held.invoke("acquire")
        held.answer(Ok((None, 90 * MS)))
        for _ in range(2):
            held.cluster.advance(30 * MS)
            seen.append(held.asked().operation)
            held.cluster.send("n1", "c1", Given(seen[-1], Ok(90 * MS)), path="lock")
            held.cluster.deliver_all()
        held.invoke("release")
        held.answer(Ok())
    assert len(set(seen)) == 4 and all(number < 0 for number in seen)


# With a protocol.


def test_a_store_is_not_fenced_by_a_lock_without_tokens() -> None:
    class NoTokens(ToyClient):
        gives_tokens = False

    without = ProtocolSpec(name="toy", summary="", node=ToyServer, client=NoTokens)
    with pytest.raises(ValueError, match="toy has no fencing tokens"):
        check_tokens(LockConfig(store=StoreConfig(fencing=True)), without)
    check_tokens(LockConfig(), without)
    check_tokens(LockConfig(store=StoreConfig(fencing=False)), without)
    check_tokens(LockConfig(accesses=0, store=StoreConfig(fencing=True)), without)
    check_tokens(
        LockConfig(store=StoreConfig(fencing=True)),
        ProtocolSpec(name="toy", summary="", node=ToyServer, client=ToyClient),
    )
    assert register_workloads()[0].validate is check_tokens


def test_a_lock_that_lacks_an_operation_is_named() -> None:
    with pytest.raises(ConfigError, match="needs the operation 'acquire', which the state machine 'kv' does not have"):
        compose(["experiment=raft_lock", "state_machine=kv"])


def test_a_fenced_store_is_never_interfered_with_and_an_unfenced_one_is(tmp_path: Path) -> None:
    fenced = judged(tmp_path / "fenced", "experiment=raft_lock_chaos", "seed=1")
    assert fenced.verdict is Verdict.VALID
    unfenced = judged(tmp_path / "unfenced", "experiment=raft_lock_chaos", "seed=1", "workload.store.fencing=false")
    assert unfenced.verdict is Verdict.INVALID and unfenced.reasons[0].startswith("guarded_store: l1: lost update")
