"""Each invariant of the lock server catches a server that is broken on purpose, step by step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from experiments.planted_bugs.lock_server_mutants import (
    EndsLeasesEarly,
    ExecutesLateDuplicates,
    ForgetsItsQueues,
    ForgetsTheQueueOfTheExpired,
    GrantsEarly,
    LetsSharersOvertake,
    NumbersAnew,
    QueuesDuplicates,
    RefusesRepeatedReleases,
    ReleasesForAnyone,
    RestartsWithHalfLeases,
    RevivesSessions,
    ServesTheLatest,
    SharesItsLocks,
)
from framework import Violation
from plugins.protocols.lock_server.messages import Acquire, Answer, KeepAlive, Release
from plugins.protocols.lock_server.node import LockServer
from tests.plugins.protocols.lock_server.services import LEASE, MS, Service


def queue(service: Service, functions: str = "acquire acquire acquire") -> list[int]:
    """The sessions of clients that ask for l1, the first at once and the others behind it."""
    sessions = service.sessions()
    for number, function in enumerate(functions.split(), 1):
        service.begin(f"c{number}", function, "l1", sessions[number - 1])
    return sessions


def half_a_lease_after_a_restart(service: Service) -> None:
    queue(service)
    service.restart()
    service.wait(LEASE // 2)


def an_end_of_a_lease(service: Service) -> None:
    queue(service, "acquire acquire")
    service.wait(LEASE // 2)
    service.call("c3", "keep_alive", None, 2)
    service.wait(LEASE // 2)


def an_early_end(service: Service) -> None:
    service.sessions(1)
    service.wait(LEASE // 3)
    service.open("c2")
    service.wait(LEASE * 2 // 3 + MS)


def a_late_renewal(service: Service) -> None:
    an_end_of_a_lease(service)
    service.late("c1", KeepAlive(99, 1))


def a_release(service: Service) -> None:
    queue(service)
    service.begin("c1", "release", "l1", 1)


def a_strangers_release(service: Service) -> None:
    queue(service)
    service.begin("c4", "release", "l1", 4)


def a_sharer_that_comes_late(service: Service) -> None:
    queue(service, "acquire_shared acquire acquire_shared")


def a_sharer_of_an_exclusive_lock(service: Service) -> None:
    queue(service, "acquire acquire_shared")


def a_repeated_acquire(service: Service) -> None:
    queue(service)
    service.cluster.fire("c2", "ask")
    service.cluster.stabilize()


def a_late_acquire(service: Service) -> None:
    sessions = service.sessions(1)
    operation = service.begin("c1", "acquire", "l1", sessions[0])
    service.call("c1", "release", "l1", sessions[0])
    service.late("c1", Acquire(operation, "l1", sessions[0]))


def a_repeated_release(service: Service) -> None:
    sessions = service.sessions(1)
    service.call("c1", "acquire", "l1", sessions[0])
    operation = service.begin("c1", "release", "l1", sessions[0])
    service.late("c1", Release(operation, "l1", sessions[0]))


def a_restart(service: Service) -> None:
    queue(service)
    service.restart()
    service.begin("c4", "acquire", "l2", 4)
    service.begin("c1", "release", "l1", 1)


def a_session_after_a_restart(service: Service) -> None:
    service.sessions(2)
    service.wait(LEASE)
    service.restart()
    service.open("c3")


@pytest.mark.parametrize(
    ("mutant", "story", "property_"),
    [
        (RestartsWithHalfLeases, half_a_lease_after_a_restart, "lease kept"),
        (EndsLeasesEarly, an_early_end, "lease kept"),
        (ForgetsTheQueueOfTheExpired, an_end_of_a_lease, "requests kept"),
        (RevivesSessions, a_late_renewal, "session numbers"),
        (NumbersAnew, a_session_after_a_restart, "session numbers"),
        (ServesTheLatest, a_release, "first come, first served"),
        (ReleasesForAnyone, a_strangers_release, "released by its holder"),
        (LetsSharersOvertake, a_sharer_that_comes_late, "first come, first served"),
        (SharesItsLocks, a_sharer_of_an_exclusive_lock, "one owner"),
        (QueuesDuplicates, a_repeated_acquire, "one owner"),
        (ExecutesLateDuplicates, a_late_acquire, "executed once"),
        (RefusesRepeatedReleases, a_repeated_release, "executed once"),
        (ForgetsItsQueues, a_restart, "requests kept"),
    ],
)
def test_a_broken_server_is_caught(mutant: type[LockServer], story: Callable[[Service], None], property_: str) -> None:
    story(Service())
    with pytest.raises(Violation) as caught:
        story(Service(mutant))
    assert caught.value.args and str(caught.value).startswith(property_), caught.value


def test_a_grant_that_leaves_before_it_is_durable_is_given_twice() -> None:
    service = Service(GrantsEarly)
    sessions = service.sessions(2)
    tokens = []
    for client, session in zip(("c1", "c2"), sessions, strict=True):
        service.cluster.slow_disk("n1")
        operation = service.cluster.invoke(client, "acquire", "l1", session)
        service.cluster.deliver(Acquire)
        service.cluster.deliver(Answer)
        tokens.append(service.outcome(operation).value[0])
        service.cluster.crash("n1")
        service.cluster.fast_disk("n1")
        service.is_first = True
        service.cluster.restart("n1")
    assert tokens[0] == tokens[1]
