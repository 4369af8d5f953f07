"""The lock state machine: sessions, queues and tokens, and that replicas agree whatever they have restored."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import PENDING, Refused
from framework.core.time import Duration
from framework.replication.sessions import OPEN, Command, Executed, ReplicatedMachine, Stamp
from plugins.state_machines.lock import LockMachine, LockMachineConfig, register_state_machines
from tests.locking.naive import NaiveTable

LEASE = 10


class Replica:
    """A machine with its session table, which applies a log. Each client has a session of the log."""

    def __init__(self, clients: int = 3, machine: type[LockMachine] = LockMachine) -> None:
        self.machine = ReplicatedMachine(machine(LockMachineConfig(lease=Duration(LEASE))))
        self.index, self.term, self.start = 0, 1, 1
        self.sequences: dict[int, int] = {}
        self.results: dict[tuple[int, int], Any] = {}
        self.sessions: list[int] = []
        for _ in range(clients):
            self.sequences[self.apply(Command(0, OPEN, b"")).session] = 0
        self.clients = list(self.sequences)

    @property
    def locks(self) -> Any:
        return self.machine.machine

    def apply(self, command: Command, elapsed: int = 0) -> Executed:
        """Applies the next command of the log, after `elapsed`."""
        self.index += 1
        stamped = Command(
            command.session, command.sequence, command.body, Stamp(elapsed, self.term, f"n{self.term}", self.start)
        )
        executed = self.machine.apply(self.index, stamped)
        for answer in executed.answers:
            self.results[answer.caller.session, answer.caller.sequence] = self.read(answer.result)
        return executed

    def begin(self, client: int, function: str, key: str | None = None, argument: Any = None, elapsed: int = 0) -> Any:
        """Applies a client's command. Returns its result, PENDING, or why it is refused."""
        session = self.clients[client]
        self.sequences[session] += 1
        number = self.sequences[session]
        executed = self.apply(Command(session, number, LockMachine.command(function, key, argument)), elapsed)
        assert executed.result is not None
        self.results.setdefault((session, number), PENDING if executed.waits else self.read(executed.result))
        return self.results[session, number]

    def latest(self, client: int) -> Any:
        """Returns the result of a client's latest command."""
        session = self.clients[client]
        return self.results[session, self.sequences[session]]

    @staticmethod
    def read(result: bytes) -> Any:
        try:
            return LockMachine.result(result)
        except Refused as refusal:
            return str(refusal)


def test_the_spec() -> None:
    [spec] = register_state_machines()
    assert spec.machine is LockMachine and spec.checkers == ("guarded_store", "fencing_tokens", "lock_progress")
    with pytest.raises(ValueError, match="lease=0 ends every session at once"):
        LockMachineConfig(lease=Duration(0))


def test_a_lock_passes_from_session_to_session() -> None:
    replica = Replica()
    sessions = [replica.begin(client, "open_session")[0] for client in range(3)]
    token, lease = replica.begin(0, "acquire", "a", sessions[0])
    assert lease is None
    assert replica.begin(1, "acquire", "a", sessions[1]) is PENDING
    assert replica.begin(2, "try_acquire", "a", (sessions[2], 3)) is PENDING
    assert replica.begin(0, "holders", "a")[1] == (sessions[0],)
    assert replica.begin(0, "release", "a", sessions[0], elapsed=3) is None
    assert replica.latest(2) == "a is not free" and replica.latest(1)[0] > token
    assert replica.begin(0, "release", "a", sessions[0]) == f"session {sessions[0]} does not hold a"


def test_what_a_session_holds_ends_with_its_lease_on_the_machines_time() -> None:
    replica = Replica()
    sessions = [replica.begin(client, "open_session")[0] for client in range(2)]
    replica.begin(0, "acquire", "a", sessions[0])
    replica.begin(1, "acquire", "a", sessions[1])
    assert replica.begin(2, "keep_alive", None, sessions[1], elapsed=LEASE - 1) == LEASE
    replica.begin(2, "keep_alive", None, sessions[1], elapsed=1)
    assert replica.latest(1)[0] == replica.locks.table.locks["a"].token
    assert replica.begin(2, "keep_alive", None, sessions[0]).startswith(f"there is no session {sessions[0]}")


def test_those_that_wait_for_a_change_are_answered_once_with_the_latest() -> None:
    replica = Replica(4)
    sessions = [replica.begin(client, "open_session")[0] for client in range(2)]
    assert replica.begin(2, "wait", "a", 0) is PENDING
    token, _ = replica.begin(0, "acquire", "a", sessions[0])
    assert replica.latest(2) == (token, (sessions[0],))
    replica.begin(1, "acquire", "a", sessions[1])
    assert replica.begin(2, "wait", "a", token) is PENDING
    replica.begin(0, "close_session", None, sessions[0])
    assert replica.latest(2) == (replica.latest(1)[0], (sessions[1],))
    assert replica.begin(3, "wait", "a", token) == replica.latest(2)
    assert replica.begin(3, "wait", "a", None) == "wait takes the revision that its caller knows, not None"


@pytest.mark.parametrize("argument", [None, 1, (1, None), (1, -1), (1, 2, 3)])
def test_a_try_needs_a_session_and_its_patience(argument: Any) -> None:
    assert "patience" in Replica().begin(0, "try_acquire", "a", argument)


# Replicas that agree, and the naive twin.

CLIENTS, NAMES = range(5), ("b", "a")
Fed = tuple[int, str, str, int, int]
"""A command: the client, what it does, the lock, its patience, and the time that has passed before."""
COMMANDS = st.lists(
    st.tuples(
        st.sampled_from(CLIENTS),
        st.sampled_from(["acquire", "acquire_shared", "try", "try_shared", "release", "keep_alive", "close", "wait"]),
        st.sampled_from(NAMES),
        st.integers(0, 4),
        st.sampled_from([0, 0, 1, 3, 12]),
    ),
    max_size=50,
)


def feed(replica: Replica, command: Fed) -> tuple[str, Any]:
    """Applies a command; returns its function and its argument."""
    client, word, key, patience, elapsed = command
    session = replica.sessions[client]
    if word == "wait":
        function, argument = "wait", patience
    elif word.startswith("try"):
        function, argument = word.replace("try", "try_acquire"), (session, patience)
    else:
        function, argument = word.replace("close", "close_session"), session
    replica.begin(client, function, key, argument, elapsed)
    return function, argument


def opened(machine: type[LockMachine] = LockMachine, clients: int = 5) -> Replica:
    replica = Replica(clients, machine)
    replica.sessions = [replica.begin(client, "open_session")[0] for client in range(clients)]
    return replica


def check_snapshots(machine: type[LockMachine], commands: Iterable[Fed], restored: Collection[int]) -> None:
    """A replica that restores its own snapshot before the commands at `restored` agrees with one that does not."""
    one, other = opened(machine), opened(machine)
    for number, command in enumerate(commands):
        if number in restored:
            fresh = ReplicatedMachine(machine(LockMachineConfig(lease=Duration(LEASE))))
            fresh.restore(other.machine.snapshot())
            other.machine = fresh
        feed(one, command)
        feed(other, command)
        assert one.machine.snapshot() == other.machine.snapshot()
        assert one.results == other.results


def check_twin(machine: type[LockMachine], commands: Iterable[Fed]) -> None:
    """The machine has the same holders and queues as a list of requests, and tokens that rise."""
    replica, naive, now = opened(machine), NaiveTable(LEASE), 0
    naive.ends = dict.fromkeys(replica.locks.table.leases, LEASE)
    tokens: dict[str, int] = {}
    for command in commands:
        _, word, key, patience, elapsed = command
        function, argument = feed(replica, command)
        now += elapsed
        naive.pass_time(now)
        session = argument[0] if isinstance(argument, tuple) else argument
        if "acquire" in function:
            naive.request(key, session, function.endswith("shared"), patience if word.startswith("try") else None, now)
        elif function == "release":
            naive.release(key, session)
        elif function == "close_session":
            naive.close(session)
        elif function == "keep_alive" and session in naive.ends:
            naive.ends[session] = now + LEASE
        assert replica.locks.table.leases.keys() == naive.ends.keys()
        for name in NAMES:
            lock = replica.locks.table.lock(name)
            assert set(lock.holders) == naive.holders(name)
            assert [ticket.session for ticket in lock.waiting] == naive.waiting(name)
            assert lock.token >= tokens.get(name, 0)
            tokens[name] = lock.token


@given(COMMANDS, st.sets(st.integers(0, 49)))
def test_a_snapshot_restored_at_any_point_changes_nothing(commands: list[Fed], restored: set[int]) -> None:
    check_snapshots(LockMachine, commands, restored)


@given(COMMANDS)
def test_the_machine_does_what_a_list_of_requests_would_do(commands: list[Fed]) -> None:
    check_twin(LockMachine, commands)


def test_tickets_that_give_up_together_do_so_in_one_order_on_every_replica() -> None:
    """Two locks come free for others at one moment; a replica that has restored a snapshot gives the same tokens."""
    one, other = Replica(6), Replica(6)
    for replica in (one, other):
        sessions = [replica.begin(client, "open_session")[0] for client in range(6)]
        replica.begin(0, "acquire_shared", "a", sessions[0])
        replica.begin(1, "acquire_shared", "b", sessions[1])
        replica.begin(2, "try_acquire", "b", (sessions[2], 3))
        replica.begin(3, "try_acquire", "a", (sessions[3], 3))
        replica.begin(4, "acquire_shared", "b", sessions[4])
        replica.begin(5, "acquire_shared", "a", sessions[5])
    other.machine.restore(other.machine.snapshot())
    for replica in (one, other):
        replica.begin(0, "keep_alive", None, sessions[0], elapsed=4)
    assert one.results == other.results and one.machine.snapshot() == other.machine.snapshot()
    assert one.latest(4) != PENDING != one.latest(5)


def check_new_leader() -> None:
    """A new leader extends all leases: what its own clock has measured before its first stamp does not count."""
    replica = opened()
    replica.term, replica.start = 2, replica.index + 1
    token = replica.begin(0, "acquire", "a", replica.sessions[0], elapsed=LEASE)
    assert token == (replica.locks.table.lock("a").token, None)
    assert [*replica.locks.table.leases] == replica.sessions
    replica.begin(1, "acquire", "a", replica.sessions[1], elapsed=LEASE)
    assert not replica.locks.table.leases


def test_a_new_leader_extends_all_leases() -> None:
    check_new_leader()
