"""The lock server driven by hand: queues, leases over restarts, and requests that come more than once."""

from __future__ import annotations

from typing import Any

import pytest

from framework import ConfigError, Fail, Ok
from framework.config.compose import compose
from framework.core.message import check_message
from framework.registry.registry import load
from plugins.protocols.lock_server import register_protocols
from plugins.protocols.lock_server.config import LockServerConfig
from plugins.protocols.lock_server.messages import Acquire, Answer, CloseSession, KeepAlive, OpenSession, Release
from tests.plugins.protocols.lock_server.services import LEASE, MS, RETRY, Service
from tests.sweep.outcomes import outcomes

# The plugin.


def test_the_spec() -> None:
    [spec] = register_protocols()
    assert (spec.name, spec.config, spec.recovers) == ("lock_server", LockServerConfig, True)
    assert {"open_session", "keep_alive", "acquire", "acquire_shared", "try_acquire", "release"} <= {*spec.operations}
    for node in (*spec.role_classes, spec.client):
        for message in node._handlers:
            check_message(message)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("nodes=3", "protocol lock_server needs 1: 1 as server. Write nodes=1"),
        ("protocol.lease=0", "lease=0 ends every session at once"),
        ("protocol.retry=0", "retry=0 leaves no time for an answer"),
    ],
)
def test_bad_settings_are_refused_in_one_line(setting: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        compose(["experiment=lock_server", setting], registry=load())
    assert complaint in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(("fencing", "verdict"), [("true", "valid"), ("false", "invalid")])
def test_chaos(fencing: str, verdict: str) -> None:
    words = ["experiment=lock_server_chaos", "trace=history", f"workload.store.fencing={fencing}"]
    found = outcomes(words, range(3))
    assert verdict in {str(one.verdict) for one in found} and (
        fencing == "false" or {one.reason for one in found} == {""}
    )


# Locks.


def test_an_acquire_and_its_release_step_by_step() -> None:
    service = Service()
    (session,) = service.sessions(1)
    service.cluster.clear_log()
    service.call("c1", "acquire", "l1", session)
    service.call("c1", "release", "l1", session)
    assert service.cluster.log == [
        "c1 invokes acquire l1 1 as operation 1",
        "  → n1: Acquire(operation=1, lock=l1, session=1)",
        "n1 takes Acquire(operation=1, lock=l1, session=1) from c1",
        "  commits revision=3, locks[l1]=Lock(holders=[1], token=3, changed=3), waiting[2] deleted, "
        "latest[c1]=Latest(operation=1, ticket=2, answer=Answer(operation=1, token=3))",
        "  → c1: Answer(operation=1, token=3)",
        "c1 takes Answer(operation=1, token=3) from n1",
        "  completes operation 1: Ok(value=[3, None])",
        "c1 invokes release l1 1 as operation 2",
        "  → n1: Release(operation=2, lock=l1, session=1)",
        "n1 takes Release(operation=2, lock=l1, session=1) from c1",
        "  commits revision=4, locks[l1]=Lock(token=3, changed=4), "
        "latest[c1]=Latest(operation=2, answer=Answer(operation=2))",
        "  → c1: Answer(operation=2)",
        "c1 takes Answer(operation=2) from n1",
        "  completes operation 2: Ok()",
    ]


def test_grants_come_in_the_order_of_requests_with_tokens_that_rise() -> None:
    service = Service()
    one, two, three, _ = service.sessions()
    token, lease = service.call("c1", "acquire", "l1", one)
    assert lease is None
    second, third = service.begin("c2", "acquire", "l1", two), service.begin("c3", "acquire", "l1", three)
    assert service.outcome(second) is None and service.server.status.waiting == 2
    service.call("c1", "release", "l1", one)
    (after, _) = service.outcome(second).value
    service.call("c2", "release", "l1", two)
    (last, _) = service.outcome(third).value
    assert token < after < last


def test_shared_holders_come_together_and_none_joins_while_somebody_waits_to_be_alone() -> None:
    service = Service()
    one, two, three, four = service.sessions()
    first = service.call("c1", "acquire_shared", "l1", one)
    assert service.call("c2", "acquire_shared", "l1", two) == first
    alone = service.begin("c3", "acquire", "l1", three)
    behind = service.begin("c4", "acquire_shared", "l1", four)
    service.call("c1", "release", "l1", one)
    assert service.outcome(alone) is None and service.outcome(behind) is None
    service.call("c2", "release", "l1", two)
    assert isinstance(service.outcome(alone), Ok) and service.outcome(behind) is None
    service.call("c3", "release", "l1", three)
    assert service.outcome(behind).value[0] > service.outcome(alone).value[0]


def test_a_try_without_patience_fails_at_once_and_one_with_patience_later() -> None:
    service = Service()
    one, two, three, four = service.sessions()
    service.call("c1", "acquire_shared", "l1", one)
    assert service.refusal("c2", "try_acquire", "l1", (two, 0)) == "l1 is not free"
    waits = service.begin("c2", "try_acquire", "l1", (two, 30 * MS))
    joins = service.begin("c3", "acquire_shared", "l1", three)
    assert service.refusal("c4", "try_acquire_shared", "l1", (four, 0)) == "l1 is not free", "c2 is before it"
    service.wait(30 * MS)
    assert service.outcome(waits) == Fail("l1 is not free")
    assert isinstance(service.outcome(joins), Ok), "nobody waits before it any more"


def test_only_a_holder_releases() -> None:
    service = Service()
    one, two, _, _ = service.sessions()
    service.call("c1", "acquire", "l1", one)
    assert service.refusal("c2", "release", "l1", two) == "session 2 does not hold l1"
    assert service.refusal("c1", "acquire", "l1", one) == "session 1 holds l1 already, or waits for it"


@pytest.mark.parametrize(
    ("function", "argument"),
    [("acquire", None), ("try_acquire", 1), ("try_acquire", (1, -1)), ("try_acquire", (1, None)), ("keep_alive", "x")],
)
def test_an_argument_that_no_lock_has_fails_at_the_client(function: str, argument: Any) -> None:
    service = Service()
    assert service.refusal("c1", function, "l1", argument) == f"{function} cannot have the argument {argument!r}"
    assert not service.cluster.envelopes


def test_holders_are_told_at_once_or_when_they_have_changed() -> None:
    service = Service()
    one, two, _, _ = service.sessions()
    assert service.call("c3", "holders", "l1") == (0, ())
    waits = service.begin("c3", "wait", "l1", 0)
    token, _ = service.call("c1", "acquire", "l1", one)
    assert service.outcome(waits) == Ok((token, (one,)))
    later = service.begin("c3", "wait", "l1", token)
    service.restart()
    service.cluster.fire("c3", "ask")
    service.cluster.stabilize()
    service.begin("c2", "acquire", "l1", two)
    service.call("c1", "release", "l1", one)
    assert service.outcome(later).value[1] == (two,)


# Leases.


def test_what_a_session_holds_or_waits_for_ends_with_its_lease() -> None:
    service = Service()
    one, two, three, _ = service.sessions()
    service.call("c1", "acquire", "l1", one)
    second, third = service.begin("c2", "acquire", "l1", two), service.begin("c3", "acquire", "l1", three)
    service.wait(LEASE - 1)
    service.call("c4", "keep_alive", None, three)
    service.wait(1)
    assert service.outcome(second) == Fail("the session's lease has ended"), "both end at once: it is not granted first"
    assert isinstance(service.outcome(third), Ok)
    assert [*service.server.sessions] == [three]
    assert service.refusal("c1", "keep_alive", None, one) == "session 1 has ended"
    assert service.refusal("c1", "release", "l1", one).startswith("there is no session 1")


def test_a_session_that_is_kept_alive_lives_and_a_closed_one_ends() -> None:
    service = Service()
    one, two, _, _ = service.sessions()
    service.call("c1", "acquire", "l1", one)
    second = service.begin("c2", "acquire", "l1", two)
    for _ in range(3):
        service.wait(LEASE * 2 // 3)
        assert service.call("c3", "keep_alive", None, one) == LEASE
        assert service.call("c3", "keep_alive", None, two) == LEASE
    service.call("c1", "close_session", None, one)
    assert isinstance(service.outcome(second), Ok)
    assert service.call("c1", "close_session", None, one) is None, "it has ended already"


def test_after_a_restart_leases_and_patience_run_their_full_length_and_the_queue_is_as_before() -> None:
    service = Service()
    one, two, three, _ = service.sessions()
    token, _ = service.call("c1", "acquire", "l1", one)
    second = service.begin("c2", "try_acquire", "l1", (two, 60 * MS))
    third = service.begin("c3", "acquire", "l1", three)
    service.wait(50 * MS)
    service.restart()
    service.wait(59 * MS)
    assert service.outcome(second) is None and [*service.server.sessions] == [one, two, three, 4]
    service.wait(1 * MS)
    assert service.outcome(second) == Fail("l1 is not free")
    service.call("c4", "keep_alive", None, three)
    service.wait(40 * MS)
    assert service.outcome(third).value[0] > token
    assert service.open("c4") > service.outcome(third).value[0], "numbers are not given again"


def test_a_crash_before_the_commit_grants_nothing() -> None:
    service = Service()
    (session,) = service.sessions(1)
    service.cluster.slow_disk("n1")
    operation = service.cluster.invoke("c1", "acquire", "l1", session)
    service.cluster.deliver(Acquire)
    assert not service.cluster.envelopes, "the answer leaves after the commit"
    service.cluster.crash("n1")
    service.cluster.fast_disk("n1")
    service.is_first = True
    service.cluster.restart("n1")
    assert not service.server.locks
    service.cluster.fire("c1", "ask")
    service.cluster.stabilize()
    assert isinstance(service.outcome(operation), Ok)


# Requests that come more than once.


def test_a_request_is_sent_again_until_it_is_answered_and_executed_once() -> None:
    service = Service()
    one, two, _, _ = service.sessions()
    service.call("c1", "acquire", "l1", one)
    waits = service.begin("c2", "acquire", "l1", two)
    service.cluster.advance(2 * RETRY)
    assert len(service.cluster.waiting(Acquire)) == 2
    service.cluster.stabilize()
    assert [ticket.session for ticket in service.server.locks["l1"].waiting] == [two]
    service.restart()
    service.cluster.advance(RETRY)
    service.cluster.stabilize()
    assert [ticket.session for ticket in service.server.locks["l1"].waiting] == [two]
    service.cluster.invoke("c1", "release", "l1", one)
    service.cluster.deliver(Release)
    service.cluster.drop_all(Answer)
    service.restart()
    service.cluster.advance(RETRY)
    service.cluster.stabilize()
    assert service.server.locks["l1"].holders == (two,)
    assert isinstance(service.outcome(waits), Ok)


def test_a_late_duplicate_neither_acquires_again_nor_releases_what_was_acquired_since() -> None:
    service = Service()
    (one,) = service.sessions(1)
    first = service.begin("c1", "acquire", "l1", one)
    release = service.begin("c1", "release", "l1", one)
    service.late("c1", Acquire(first, "l1", one))
    assert service.server.locks["l1"].holders == ()
    service.call("c1", "acquire", "l1", one)
    service.late("c1", Release(release, "l1", one))
    assert service.server.locks["l1"].holders == (one,)


def test_a_late_duplicate_of_a_refused_try_is_refused_though_the_lock_is_free() -> None:
    service = Service()
    one, two, _, _ = service.sessions()
    service.call("c1", "acquire", "l1", one)
    tried = service.begin("c2", "try_acquire", "l1", (two, 0))
    service.call("c1", "release", "l1", one)
    service.late("c2", Acquire(tried, "l1", two, False, 0))
    assert service.server.locks["l1"].holders == ()


def test_a_grant_whose_answer_was_lost_is_told_even_if_its_session_has_ended() -> None:
    service = Service()
    (one,) = service.sessions(1)
    operation = service.cluster.invoke("c1", "acquire", "l1", one)
    service.cluster.deliver(Acquire)
    service.cluster.drop_all(Answer)
    service.wait(LEASE)
    assert service.server.locks["l1"].holders == () and not service.server.sessions
    service.cluster.fire("c1", "ask")
    service.cluster.stabilize()
    assert service.outcome(operation) == Ok((service.server.locks["l1"].token, None))


def test_a_duplicate_opens_no_second_session_and_a_late_one_opens_one_that_ends() -> None:
    service = Service()
    one = service.open("c1")
    service.late("c1", OpenSession(0))
    assert [*service.server.sessions] == [one]
    service.wait(LEASE)
    service.late("c1", OpenSession(0))
    assert [*service.server.sessions] == [service.server.revision]
    service.wait(LEASE)
    assert not service.server.sessions


def test_a_late_keep_alive_revives_no_session() -> None:
    service = Service()
    one, two, _, _ = service.sessions()
    service.call("c1", "acquire", "l1", one)
    waits = service.begin("c2", "acquire", "l1", two)
    service.call("c3", "keep_alive", None, two)
    service.wait(LEASE // 2)
    service.call("c3", "keep_alive", None, two)
    service.wait(LEASE // 2)
    assert isinstance(service.outcome(waits), Ok)
    service.late("c1", KeepAlive(9, one))
    service.late("c1", CloseSession(9, one))
    assert [*service.server.sessions] == [two] and service.server.locks["l1"].holders == (two,)


def test_the_request_of_a_client_that_has_gone_on_keeps_its_place_and_is_not_answered() -> None:
    service = Service()
    one, two, three, _ = service.sessions()
    service.call("c1", "acquire", "l1", one)
    service.late("c2", Acquire(50, "l1", two))
    service.late("c2", Acquire(60, "l2", three))
    service.cluster.clear_log()
    service.call("c1", "release", "l1", one)
    assert service.server.locks["l1"].holders == (two,)
    assert not [line for line in service.cluster.log if "operation=50" in line]
