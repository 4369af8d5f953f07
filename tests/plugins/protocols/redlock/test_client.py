"""The client driven by hand: majorities, validity, retries, releases and extensions."""

from __future__ import annotations

import pytest

from framework import Fail, Ok
from plugins.protocols.redlock.client import Held
from plugins.protocols.redlock.messages import DeleteIfEqual, DeleteReply, ExpireIfEqual, SetIfAbsent, SetReply
from tests.plugins.protocols.redlock.stories import DRIFT, LEASE, MS, SERVERS, acquire, cluster, exchange, holders

# Acquire: "The Redlock algorithm".


def test_a_majority_is_enough_and_all_are_asked_at_once() -> None:
    nodes = cluster()
    operation = nodes.invoke("c1", "acquire", "x", 1)
    assert [each.to for each in nodes.waiting(SetIfAbsent)] == list(SERVERS)
    assert len({each.message for each in nodes.waiting(SetIfAbsent)}) == 1
    for server in ("n5", "n1"):
        nodes.deliver(SetIfAbsent, to=server)
    nodes.deliver_all(SetReply)
    assert nodes.outcomes == {}
    nodes.deliver(SetIfAbsent, to="n3")
    nodes.deliver(SetReply)
    assert nodes.outcomes == {operation: Ok((None, LEASE - DRIFT))}


def test_the_validity_counts_from_the_first_request_and_the_lease_from_the_operation() -> None:
    nodes = cluster()
    operation = acquire(nodes, "c1", "n1", "n2")
    nodes.time_out("c1", "time_out")
    exchange(nodes, "c1", "Delete")
    waited = nodes.now
    nodes.time_out("c1", "attempt")
    retried = nodes.now - waited
    assert 0 < retried <= 50 * MS
    nodes.advance(40 * MS)
    exchange(nodes, "c1", "Set")
    assert nodes.outcomes == {operation: Ok((None, 50 * MS + retried + LEASE - DRIFT))}
    assert nodes.node("c1").held["x"] == Held(1, nodes.node("n1").entries["x"].value, waited + retried + LEASE - DRIFT)


def test_a_majority_that_comes_when_the_validity_has_ended_is_released_again() -> None:
    nodes = cluster()
    nodes.invoke("c1", "acquire", "x", 1)
    nodes.deliver_all(SetIfAbsent)
    nodes.pause("c1")
    nodes.advance(LEASE - DRIFT)
    nodes.resume("c1")
    nodes.deliver_all(SetReply)
    assert nodes.outcomes == {}
    assert [name for _, name, _ in nodes.notes] == ["too_late", "attempt_failed"]
    nodes.deliver_all(DeleteIfEqual)
    assert holders(nodes) == {}


def test_one_nanosecond_of_validity_is_enough() -> None:
    nodes = cluster()
    operation = nodes.invoke("c1", "acquire", "x", 1)
    nodes.deliver_all(SetIfAbsent)
    nodes.pause("c1")
    nodes.advance(LEASE - DRIFT - 1)
    nodes.resume("c1")
    nodes.deliver_all(SetReply)
    assert nodes.outcomes == {operation: Ok((None, LEASE - DRIFT))}


def test_refusals_of_too_many_end_an_attempt_at_once() -> None:
    nodes = cluster()
    acquire(nodes, "c1")
    acquire(nodes, "c2", "n1", "n2", session=2)
    assert nodes.waiting(DeleteIfEqual, sender="c2") == []
    exchange(nodes, "c2", "Set")  # nothing is left on its way
    nodes = cluster()
    acquire(nodes, "c1")
    acquire(nodes, "c2", "n1", "n2", "n3", session=2)
    assert len(nodes.waiting(DeleteIfEqual, sender="c2")) == 5


def test_a_split_vote_is_released_everywhere_also_where_nobody_answered() -> None:
    nodes = cluster()
    acquire(nodes, "c1", "n1", "n2")
    acquire(nodes, "c2", "n3", "n4", session=2)
    assert holders(nodes) == {"n1": "c1", "n2": "c1", "n3": "c2", "n4": "c2"}
    nodes.time_out("c1", "time_out")
    assert [each.to for each in nodes.waiting(DeleteIfEqual)] == list(SERVERS)
    nodes.deliver_all(DeleteIfEqual)
    assert holders(nodes) == {"n3": "c2", "n4": "c2"}


def test_a_late_answer_or_release_of_an_attempt_does_not_touch_the_next_one() -> None:
    nodes = cluster()
    operation = nodes.invoke("c1", "acquire", "x", 1)
    nodes.deliver_all(SetIfAbsent)  # the answers are late, and so are the releases
    nodes.time_out("c1", "time_out")
    nodes.drop_all(SetIfAbsent)
    nodes.time_out("c1", "attempt")
    nodes.deliver_all(SetReply)
    assert nodes.outcomes == {}
    nodes.deliver_all(DeleteIfEqual)
    nodes.deliver_all(SetIfAbsent)
    late = [nodes.send("c1", server, DeleteIfEqual(operation, "x", "c1.earlier")) for server in SERVERS]
    for envelope in late:
        nodes.deliver(envelope)
    nodes.deliver_all(SetReply)
    assert isinstance(nodes.outcomes[operation], Ok)
    assert holders(nodes) == dict.fromkeys(SERVERS, "c1")


def test_a_second_answer_of_a_server_does_not_count() -> None:
    nodes = cluster()
    nodes.invoke("c1", "acquire", "x", 1)
    nodes.deliver(SetIfAbsent, to="n1")
    for _ in range(4):
        nodes.duplicate(SetReply)
    assert nodes.outcomes == {}


def test_an_impatient_client_fails_at_the_end_of_its_first_attempt() -> None:
    nodes = cluster()
    acquire(nodes, "c1")
    operation = nodes.invoke("c2", "try_acquire", "x", (2, 0))
    exchange(nodes, "c2", "Set")
    assert nodes.outcomes[operation] == Fail("the lock is taken")
    assert len(nodes.waiting(DeleteIfEqual, sender="c2")) == 5
    assert "x" not in nodes.node("c2").held


def test_a_client_with_some_patience_tries_again_as_long_as_it_lasts() -> None:
    nodes = cluster()
    acquire(nodes, "c1")
    operation = nodes.invoke("c2", "try_acquire", "x", (2, 300 * MS))
    nodes.run(lambda: operation in nodes.outcomes)
    assert nodes.outcomes[operation] == Fail("the lock is taken")
    assert 250 * MS <= nodes.now <= 300 * MS
    failed = [fields for _, name, fields in nodes.notes if name == "attempt_failed"]
    assert len(failed) > 3 and all(each["granted"] == 0 for each in failed)


def test_the_lock_is_free_when_all_keys_have_expired() -> None:
    nodes = cluster()
    acquire(nodes, "c1")
    operation = nodes.invoke("c2", "acquire", "x", 2)
    nodes.run(lambda: operation in nodes.outcomes)
    assert nodes.now >= LEASE
    assert set(holders(nodes).values()) == {"c2"}


# Release: "Releasing the lock".


def test_a_release_goes_to_all_and_ends_with_a_majority() -> None:
    nodes = cluster()
    acquire(nodes, "c1", "n1", "n2", "n3")
    operation = nodes.invoke("c1", "release", "x", 1)
    assert [each.to for each in nodes.waiting(DeleteIfEqual)] == list(SERVERS)
    for server in ("n3", "n4"):
        nodes.deliver(DeleteIfEqual, to=server)
    nodes.deliver_all(DeleteReply)
    assert operation not in nodes.outcomes
    nodes.stabilize()
    assert nodes.outcomes[operation] == Ok(None)
    assert holders(nodes) == {}


def test_a_release_that_nobody_answers_ends_with_the_time_out() -> None:
    nodes = cluster()
    acquire(nodes, "c1")
    operation = nodes.invoke("c1", "release", "x", 1)
    nodes.drop_all(DeleteIfEqual)
    nodes.time_out("c1", "time_out")
    assert nodes.outcomes[operation] == Ok(None)


@pytest.mark.parametrize("session", [1, 2])
def test_only_the_session_that_holds_a_lock_releases_or_extends_it(session: int) -> None:
    nodes = cluster()
    if session == 2:
        acquire(nodes, "c1", session=1)
    for function in ("release", "extend"):
        operation = nodes.invoke("c1", function, "x", session)
        assert nodes.outcomes[operation] == Fail("the session does not hold the lock")
    assert nodes.waiting(DeleteIfEqual) == nodes.waiting(ExpireIfEqual) == []


def test_a_released_lock_is_not_released_twice() -> None:
    nodes = cluster()
    acquire(nodes, "c1")
    nodes.invoke("c1", "release", "x", 1)
    nodes.stabilize()
    acquire(nodes, "c2", session=2)
    operation = nodes.invoke("c1", "release", "x", 1)
    assert nodes.outcomes[operation] == Fail("the session does not hold the lock")


# Extend: "Extending the lock".


def test_an_extension_counts_from_its_first_request() -> None:
    nodes = cluster()
    acquire(nodes, "c1")
    nodes.advance(300 * MS)
    operation = nodes.invoke("c1", "extend", "x", 1)
    nodes.advance(20 * MS)
    exchange(nodes, "c1", "Expire", "n1", "n2", "n4")
    assert nodes.outcomes[operation] == Ok(LEASE - DRIFT)
    assert nodes.node("c1").held["x"].valid_until == 300 * MS + LEASE - DRIFT
    nodes.advance(LEASE - 20 * MS)
    assert sorted(holders(nodes)) == ["n1", "n2", "n4"]


def test_an_extension_at_a_minority_fails_and_the_validity_stays() -> None:
    nodes = cluster()
    acquire(nodes, "c1")
    nodes.advance(300 * MS)
    operation = nodes.invoke("c1", "extend", "x", 1)
    exchange(nodes, "c1", "Expire", "n1", "n2")
    nodes.time_out("c1", "time_out")
    assert nodes.outcomes[operation] == Fail("no majority has extended the lease in time")
    assert nodes.node("c1").held["x"].valid_until == LEASE - DRIFT


def test_an_extension_that_a_majority_refuses_fails_at_once() -> None:
    nodes = cluster(fsync=False)
    acquire(nodes, "c1")
    for server in ("n1", "n2", "n3"):
        nodes.crash(server)
        nodes.restart(server)
    operation = nodes.invoke("c1", "extend", "x", 1)
    exchange(nodes, "c1", "Expire")
    assert nodes.outcomes[operation] == Fail("no majority has extended the lease")


def test_an_extension_is_in_time_or_not_at_all() -> None:
    nodes = cluster()
    acquire(nodes, "c1")
    nodes.advance(LEASE - DRIFT - 1)
    late = nodes.invoke("c1", "extend", "x", 1)
    nodes.deliver_all(ExpireIfEqual)
    nodes.advance(1)
    nodes.stabilize()
    assert nodes.outcomes[late] == Fail("the validity ended before a majority had extended it")
    later = nodes.invoke("c1", "extend", "x", 1)
    assert nodes.outcomes[later] == Fail("the validity has ended")
    assert nodes.waiting(ExpireIfEqual) == []


def test_a_late_answer_to_an_extension_does_not_count_for_the_next_one() -> None:
    nodes = cluster()
    acquire(nodes, "c1")
    nodes.invoke("c1", "extend", "x", 1)
    nodes.deliver_all(ExpireIfEqual)
    nodes.time_out("c1", "time_out")
    second = nodes.invoke("c1", "extend", "x", 1)
    nodes.deliver_all("ExpireReply")
    assert second not in nodes.outcomes
