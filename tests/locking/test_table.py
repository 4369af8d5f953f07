"""The lock table against its naive twin: the same holders and queues after any requests, and tokens that rise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import Lock, LockTable, Refused, Ticket, TicketOutcome
from tests.locking.naive import NaiveTable

LEASE = 10
LOCKS, SESSIONS = ("a", "b"), range(5)
ACTIONS = st.one_of(
    st.tuples(st.just("open")),
    st.tuples(st.sampled_from(["keep", "close"]), st.sampled_from(SESSIONS)),
    st.tuples(
        st.just("request"), st.sampled_from(LOCKS), st.sampled_from(SESSIONS), st.booleans(),
        st.sampled_from([None, None, 0, 3]),
    ),
    st.tuples(st.just("release"), st.sampled_from(LOCKS), st.sampled_from(SESSIONS)),
    st.tuples(st.just("wait"), st.integers(1, LEASE)),
)  # fmt: skip


class Twins:
    """A table and its twin, which are asked the same."""

    def __init__(self) -> None:
        self.table, self.naive = LockTable(), NaiveTable(LEASE)
        self.now = 0
        self.opened: list[int] = []
        self.tickets: dict[int, tuple[str, int]] = {}
        self.tokens: dict[str, tuple[int, bool]] = {}

    def session(self, number: int) -> int:
        """Returns one of the sessions that were opened; 999 if there are not so many."""
        return self.opened[-1 - number] if number < len(self.opened) else 999

    def apply(self, action: tuple[Any, ...]) -> None:
        kind, *rest = action
        outcomes: list[TicketOutcome] = []
        before = (self.table.revision, dict(self.table.locks), dict(self.table.leases), dict(self.table.impatient))
        accepted = True
        try:
            if kind == "open":
                session = self.table.open_session(self.now + LEASE)
                assert session not in self.opened
                self.opened.append(session)
                self.naive.ends[session] = self.now + LEASE
            elif kind == "wait":
                self.now += rest[0]
                outcomes = self.table.pass_deadlines(self.now)
                self.naive.pass_time(self.now)
            elif kind == "keep":
                self.table.keep_alive(self.session(rest[0]), self.now + LEASE)
                self.naive.ends[self.session(rest[0])] = self.now + LEASE
            elif kind == "close":
                outcomes = self.table.close_session(self.session(rest[0]))
                self.naive.close(self.session(rest[0]))
            elif kind == "request":
                name, number, shared, patience = rest
                accepted = self.naive.request(name, self.session(number), shared, patience, self.now)
                ticket, outcomes = self.table.request(
                    name, self.session(number), shared=shared, patience=patience, now=self.now
                )
                self.tickets[ticket] = (name, self.session(number))
            else:
                accepted = self.naive.release(rest[0], self.session(rest[1]))
                outcomes = self.table.release(rest[0], self.session(rest[1]))
        except Refused:
            accepted = not accepted or kind in ("keep", "close")
            after = (self.table.revision, dict(self.table.locks), dict(self.table.leases), dict(self.table.impatient))
            assert before == after, "nothing has changed"
        assert accepted or kind in ("request", "release")
        self.check(outcomes)

    def check(self, outcomes: list[TicketOutcome]) -> None:
        for outcome in outcomes:
            name, session = self.tickets.pop(outcome.ticket)
            if not outcome.refused:
                assert session in self.naive.holders(name)
                token, shared = self.tokens.get(name, (0, False))
                lock = self.table.locks[name]
                assert outcome.token > token or (outcome.token == token and shared and lock.shared)
                self.tokens[name] = (outcome.token, lock.shared)
        for name in LOCKS:
            lock = self.table.lock(name)
            assert set(lock.holders) == self.naive.holders(name) and len(set(lock.holders)) == len(lock.holders)
            assert [ticket.session for ticket in lock.waiting] == self.naive.waiting(name)
        waiting = {ticket.number for lock in self.table.locks.values() for ticket in lock.waiting}
        assert waiting == self.tickets.keys(), "each ticket that does not wait any more has had an outcome"
        assert self.table.leases.keys() == self.naive.ends.keys()
        giving_up = [one.until for one in self.naive.asked if one.until is not None and not one.is_granted]
        assert self.table.next_deadline() == min([*self.naive.ends.values(), *giving_up], default=None)


@given(st.lists(ACTIONS, max_size=60))
def test_a_table_does_what_a_list_of_requests_would_do(actions: list[tuple[Any, ...]]) -> None:
    twins = Twins()
    for action in (("open",), ("open",), ("open",), *actions):
        twins.apply(action)


def test_a_lock_says_who_can_have_it() -> None:
    lock = Lock().requested(Ticket(1, 7, shared=True)).requested(Ticket(2, 8, shared=True)).requested(Ticket(3, 9))
    lock, granted = lock.granted(4)
    assert ([ticket.session for ticket in granted], lock.token, lock.changed) == ([7, 8], 4, 4)
    assert lock.granted(5) == (lock, ())
    lock = lock.released(7, 5)
    with pytest.raises(ValueError, match="not in tuple"):
        lock.released(7, 6)
    lock, granted = lock.released(8, 6).granted(7)
    assert ([ticket.session for ticket in granted], lock.holders, lock.shared) == ([9], (9,), False)
    assert lock.is_wanted_by(9) and not lock.is_wanted_by(7)
    waits = Ticket(8, 7)
    assert lock.requested(waits).without([waits]) == lock


def test_a_lock_that_is_shared_has_one_token_until_it_is_held_alone() -> None:
    table = LockTable()
    one, two, three = (table.open_session(LEASE) for _ in range(3))
    _, [first] = table.request("a", one, shared=True, now=0)
    _, [second] = table.request("a", two, shared=True, now=0)
    table.request("a", three, now=0)
    assert first.token == second.token and table.release("a", one) == []
    [third] = table.release("a", two)
    assert third.token > first.token


def test_sessions_that_end_together_are_granted_nothing() -> None:
    table = LockTable()
    one, two, three = table.open_session(5), table.open_session(5), table.open_session(9)
    for session in (one, two, three):
        table.request("a", session, now=0)
    outcomes = table.pass_deadlines(6)
    assert [bool(outcome.refused) for outcome in outcomes] == [True, False]
    assert table.locks["a"].holders == (three,)


def test_a_session_that_ends_is_granted_nothing_when_the_one_before_it_gives_up() -> None:
    table = LockTable()
    one, two, three = table.open_session(9), table.open_session(9), table.open_session(9)
    table.request("a", one, shared=True, now=0)
    table.request("a", two, patience=5, now=0)
    table.request("a", three, shared=True, now=0)
    for session in (one, two):
        table.keep_alive(session, 20)
    outcomes = table.pass_deadlines(10)
    assert [outcome.refused for outcome in outcomes] == ["the session's lease has ended", "a is not free"]
    assert table.locks["a"].holders == (one,)


def test_a_refused_try_numbers_nothing() -> None:
    table = LockTable()
    one, two = table.open_session(5), table.open_session(5)
    table.request("a", one, now=0)
    with pytest.raises(Refused, match="a is not free"):
        table.request("a", two, patience=0, now=0)
    assert table.revision == table.locks["a"].token == 4
