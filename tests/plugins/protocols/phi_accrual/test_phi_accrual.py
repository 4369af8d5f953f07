"""The phi accrual failure detector (Hayashibara et al., 2004): the formula by hand, the window, and whole runs."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
import pytest

from framework import MILLISECOND, Step, Violation
from framework.testing.cluster import Cluster
from plugins.protocols.phi_accrual.invariants import Threshold
from plugins.protocols.phi_accrual.node import (
    Heartbeat,
    PhiAccrualConfig,
    PhiAccrualDetector,
    elapsed_at,
    mean_and_deviation,
    phi,
)
from tests.sweep.outcomes import outcomes
from tests.written import written

EXPIRES = ("", "expire", ("n2",))


def cluster(**settings: Any) -> Cluster:
    """Two nodes; n1 has had the first heartbeat of n2 at time 0."""
    made = Cluster(PhiAccrualDetector, written(PhiAccrualConfig, **settings), ["n1", "n2"])
    made.stabilize()
    return made


def beats(nodes: Cluster, *after_ms: int) -> None:
    """Further heartbeats of n2 arrive at n1, so long after one another."""
    for after in after_ms:
        nodes.advance(after * MILLISECOND, fire=False)
        number = nodes.node("n1").arrivals["n2"].latest.number + 1
        nodes.deliver(nodes.send("n2", "n1", Heartbeat(1, number)))


# The formula (section 4). The probabilities are those of a table of the normal distribution.


@pytest.mark.parametrize(
    ("deviations", "later"),
    [(0, 0.5), (1, 0.158655), (1.281552, 0.1), (2, 0.0227501), (3, 0.00134990), (5.612001, 1e-8), (-1, 0.841345)],
)
def test_phi_is_minus_the_logarithm_of_the_probability_of_a_later_arrival(deviations: float, later: float) -> None:
    assert 10 ** -phi(100 + deviations * 20, 100, 20) == pytest.approx(later, rel=1e-5)


def test_phi_reaches_a_threshold_after_the_time_that_is_said() -> None:
    for threshold in (0.1, 1.0, 3.0, 8.0, 16.0, 100.0):
        assert phi(elapsed_at(threshold, 100.0, 7.0), 100.0, 7.0) == pytest.approx(threshold, rel=1e-6)
    assert phi(1e9, 100.0, 7.0) == float("inf")


def test_mean_and_deviation_by_hand() -> None:
    assert mean_and_deviation(deque([2, 4, 4, 4, 5, 5, 7, 9])) == (5.0, 2.0)
    assert mean_and_deviation(deque([10**15, 10**15 + 2])) == (10**15 + 1, 1.0)  # nothing is lost of large numbers


# The window.


def test_before_the_second_heartbeat_the_expected_interval_counts() -> None:
    nodes = cluster(first_interval="400ms", threshold=1.0)
    assert nodes.node("n1").estimate("n2") == (400e6, 100e6)
    assert nodes.timers("n1")[EXPIRES] == pytest.approx((400 + 128.1552) * MILLISECOND, abs=1_000)


def test_the_suspicion_comes_when_phi_of_the_window_reaches_the_threshold() -> None:
    nodes = cluster(window=4, threshold=3.0, min_deviation="1ms")
    beats(nodes, 100, 90, 110, 100, 120)
    assert list(nodes.node("n1").arrivals["n2"].intervals) == [each * MILLISECOND for each in (90, 110, 100, 120)]
    mean, deviation = 105.0, 125**0.5  # the deviations are 15, 5, 5 and 15
    deadline = nodes.now + (mean + 3.090232 * deviation) * MILLISECOND  # phi=3: one in a thousand is later
    assert nodes.timers("n1")[EXPIRES] == pytest.approx(deadline, abs=1_000)
    nodes.time_out("n1", "expire", "n2")
    assert nodes.node("n1").phi_of("n2") == pytest.approx(3.0, rel=1e-4)
    assert nodes.node("n1").suspected == {"n2": 1}


def test_phi_rises_while_a_heartbeat_is_awaited() -> None:
    nodes = cluster(window=3)
    beats(nodes, 100, 110, 90)
    seen = []
    for _ in range(5):
        nodes.advance(30 * MILLISECOND, fire=False)
        seen.append(nodes.node("n1").phi_of("n2"))
    assert seen == sorted(seen) and seen[0] < 1 < seen[-1]


def test_regular_arrivals_have_the_least_deviation() -> None:
    nodes = cluster(window=3, min_deviation="20ms")
    beats(nodes, 100, 100, 100)
    assert nodes.node("n1").estimate("n2") == (100e6, 20e6)


def test_irregular_arrivals_make_it_patient() -> None:
    deadlines = []
    for intervals in ((100, 100, 100, 100), (50, 150, 50, 150)):
        nodes = cluster(window=4)
        beats(nodes, *intervals)
        deadlines.append(nodes.timers("n1")[EXPIRES] - nodes.now)
    assert deadlines[1] > 1.5 * deadlines[0]


def test_a_heartbeat_that_was_overtaken_is_not_measured() -> None:
    nodes = cluster()
    beats(nodes, 100, 100)
    before = nodes.node("n1").state()
    nodes.advance(10 * MILLISECOND, fire=False)
    for late in (Heartbeat(1, 3), Heartbeat(1, 1), Heartbeat(0, 9)):
        nodes.deliver(nodes.send("n2", "n1", late))
    assert nodes.node("n1").state() == before


def test_the_interval_of_a_mistake_is_not_measured() -> None:
    nodes = cluster()
    beats(nodes, 100, 100)
    nodes.time_out("n1", "expire", "n2")
    before = list(nodes.node("n1").arrivals["n2"].intervals)
    beats(nodes, 2_000)
    assert nodes.node("n1").suspected == {}
    assert list(nodes.node("n1").arrivals["n2"].intervals) == before
    assert [note for node, note, _ in nodes.notes if node == "n1"] == ["suspected", "mistake", "trusted"]


def test_a_restart_begins_a_new_window() -> None:
    nodes = cluster(first_interval="400ms")
    beats(nodes, 100, 100, 100)
    nodes.crash("n2")
    nodes.restart("n2")
    nodes.stabilize()
    assert nodes.node("n1").arrivals["n2"].latest == Heartbeat(2, 1)
    assert nodes.node("n1").estimate("n2") == (400e6, 100e6)


def test_a_node_that_has_never_been_heard_of_is_suspected_too() -> None:
    nodes = Cluster(PhiAccrualDetector, PhiAccrualConfig(), ["n1", "n2"])
    nodes.drop_all()
    nodes.time_out("n1", "expire", "n2")
    assert nodes.node("n1").suspected == {"n2": 0}


def test_the_invariant_catches_a_suspicion_below_the_threshold() -> None:
    nodes, step, threshold = cluster(), Step("n1"), Threshold()
    beats(nodes, 100, 100)
    threshold.observe(step, nodes.node("n1"))
    nodes.advance(200 * MILLISECOND, fire=False)
    nodes.fire("n1", "expire", "n2")
    with pytest.raises(Violation, match=r"n1 suspects n2 at phi=.*, below the threshold 8"):
        threshold.observe(step, nodes.node("n1"))


# The plugin.


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"interval": "0"}, "interval=0 leaves no time for an answer"),
        ({"min_deviation": "0"}, "min_deviation=0 leaves nothing to estimate"),
        ({"first_interval": "0"}, "first_interval=0 leaves nothing to estimate"),
        ({"threshold": 0.0}, "`float` >= 0.001"),  # 10^-threshold must be less than 1
        ({"window": 1}, "`int` >= 2"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        written(PhiAccrualConfig, **settings)


@pytest.mark.parametrize("seed", [1, 4])
def test_it_lives_through_chaos(seed: int) -> None:
    words = ["experiment=failure_detector_chaos", "protocol.detector=phi_accrual", "trace=history"]
    (found,) = outcomes(words, [seed])
    assert found.verdict == "valid", found.reason
    assert found.sometimes["a suspicion was a mistake"]
