"""One random stream for each seed, purpose and entity; the numbers are pinned, for every digest rests on them."""

from __future__ import annotations

from itertools import product

import pytest

from framework.core.random_streams import stream


def test_the_streams_are_the_same_on_every_machine() -> None:
    pinned = {
        (0, "node", "n1"): 2069640660,
        (0, "link", "n1->n2"): 3444209185,
        (7, "workload", "c1"): 3470469067,
    }
    assert {key: stream(*key).getrandbits(32) for key in pinned} == pinned


def test_streams_differ_by_seed_purpose_and_entity() -> None:
    names = list(product((0, 1, 11), ("node", "link", "workload"), ("n1", "n2", "1/n1", "")))
    firsts = {stream(*name).getrandbits(128) for name in names}
    assert len(firsts) == len(names)


def test_the_parts_of_a_name_cannot_run_into_one_another() -> None:
    assert stream(1, "a", "b/c").random() != stream(1, "a", "b").random()
    with pytest.raises(AssertionError, match="'a/b': a purpose is one word"):
        stream(1, "a/b", "c")


def test_a_stream_begins_anew_each_time_and_shares_nothing() -> None:
    first, second = stream(3, "node", "n1"), stream(3, "node", "n1")
    first.random()
    assert second.random() == stream(3, "node", "n1").random() != first.random()
