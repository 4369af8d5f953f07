"""Requests that wait for their commands, and reads that wait until they are safe."""

from __future__ import annotations

from framework import Command, Executed, PendingRead, PendingRequest, PendingRequests, ReadQueue


def pending() -> PendingRequests[int]:
    return PendingRequests()


def request(operation: int, sequence: int, client: str = "c1", session: int = 3) -> PendingRequest:
    return PendingRequest(client, operation, sequence, session)


def test_a_request_is_taken_once_until_it_is_answered() -> None:
    requests, taken = pending(), request(7, 1)
    assert not requests.is_under_way(taken)
    assert requests.begin(taken) and not requests.begin(request(7, 1))
    assert requests.is_under_way(request(7, 1))
    for other in (request(7, 2), request(8, 1), request(7, 1, client="c1/lock"), request(7, 1, session=4)):
        assert not requests.is_under_way(other)
    requests.place(3, taken, 2)
    command, executed = Command(2, 1, b""), Executed(2, b"done")
    assert requests.is_under_way(taken) and requests.answered(4, command, executed) == []
    assert requests.answered(3, command, executed) == [(taken, b"done", 2)]
    assert not requests.is_under_way(taken) and requests.answered(3, command, executed) == []
    assert requests.begin(taken), "it has been answered, and a retry is taken anew"


def test_who_is_deposed_forgets_all_and_who_leads_on_keeps_what_still_stands() -> None:
    requests = pending()
    for index, sequence in ((3, 1), (4, 2)):
        requests.begin(request(7, sequence))
        requests.place(index, request(7, sequence), 2)
    requests.begin(request(8, 1))
    requests.keep({4: requests.placed[4]}, taken=[request(8, 1)])
    assert [requests.is_under_way(each) for each in (request(7, 1), request(7, 2), request(8, 1))] == [
        False,
        True,
        True,
    ]
    requests.clear()
    assert requests == pending()


def read(operation: int, round: int, index: int) -> PendingRead:
    return PendingRead("c1", operation, b"", round, index)


def test_reads_are_taken_in_order_once_confirmed_and_applied() -> None:
    """Thesis 6.4."""
    queue = ReadQueue()
    for each in (read(1, 2, 5), read(2, 2, 6), read(3, 3, 6)):
        queue.add(each)
    assert queue.is_waiting("c1", 3) and not queue.is_waiting("c2", 3) and not queue.is_waiting("c1", 4)
    assert queue.take_ready(confirmed=1, applied=9) == []
    assert queue.take_ready(confirmed=2, applied=5) == [read(1, 2, 5)]
    assert queue.take_ready(confirmed=3, applied=5) == []
    assert queue.take_ready(confirmed=3, applied=6) == [read(2, 2, 6), read(3, 3, 6)]
    assert not queue.is_waiting("c1", 3)
    assert not queue and queue.take_all() == []


def test_one_round_at_a_time_begins_for_reads() -> None:
    queue = ReadQueue()
    assert not queue.needs_round(latest=0, confirmed=0), "nobody waits"
    queue.add(read(1, 1, 0))
    assert queue.needs_round(latest=0, confirmed=0)
    queue.round = 1
    queue.add(read(2, 2, 0))
    assert not queue.needs_round(latest=1, confirmed=0), "round 1 is under way"
    assert queue.needs_round(latest=1, confirmed=1)
    assert not queue.needs_round(latest=2, confirmed=1), "a heartbeat began round 2 anyway"
    assert queue.take_all() == [read(1, 1, 0), read(2, 2, 0)] and not queue


def test_reads_that_wait_can_be_made_to_wait_for_more() -> None:
    queue = ReadQueue()
    queue.add(read(1, 1, 2))
    queue.wait_for(5)
    queue.add(read(2, 1, 5))
    assert queue.take_ready(confirmed=1, applied=4) == []
    queue.wait_for(3)
    assert queue.take_ready(confirmed=1, applied=5) == [read(1, 1, 5), read(2, 1, 5)]
