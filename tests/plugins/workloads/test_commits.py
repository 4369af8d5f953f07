"""The workload of transactions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from framework import PARTICIPANT
from framework.core.random_streams import stream
from plugins.workloads.commits import CommitsConfig, CommitsWorkload, register_workloads
from tests.written import written

NODES = ("n2", "n3", "n4", "n5")


def calls(count: int, **fields: Any) -> list[tuple[str, str | None, Any]]:
    workload, rng = CommitsWorkload(written(CommitsConfig, **fields)), stream(1, "workload", "c1")
    workload.roles = {PARTICIPANT: NODES}
    return [workload.next("c1", 0, rng) for _ in range(count)]


def test_all_participants_vote_unless_a_span_is_given() -> None:
    assert calls(1, no=0.0) == [("commit", calls(1)[0][1], tuple((node, "yes") for node in NODES))]
    spans = [tuple(node for node, _ in votes) for _, _, votes in calls(50, span=2)]
    assert {len(set(span)) for span in spans} == {2}
    assert {node for span in spans for node in span} == set(NODES)
    assert len(calls(1, span=9)[0][2]) == len(NODES), "as many as there are"


def test_votes_are_drawn_with_their_probabilities() -> None:
    votes = Counter(vote for _, _, votes in calls(1_000, no=0.2, read_only=0.3) for _, vote in votes)
    assert abs(votes["no"] - 800) < 120 and abs(votes["read-only"] - 1_200) < 150 and votes["yes"] > 1_800


def test_keys_are_drawn_and_none_locks_nothing() -> None:
    assert {key for _, key, _ in calls(100, keys=3)} == {"k1", "k2", "k3"}
    assert {key for _, key, _ in calls(10, keys=0)} == {None}


def test_probabilities_that_exceed_one_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to more than 1"):
        CommitsConfig(no=0.6, read_only=0.6)


def test_it_is_installed_under_its_name() -> None:
    [spec] = register_workloads()
    assert (spec.name, spec.workload, spec.config) == ("commits", CommitsWorkload, CommitsConfig)
