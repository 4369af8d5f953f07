"""Links: loss, duplicates, reordering and bandwidth, and the order that survives them."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.distributions import Constant, Lognormal
from framework.core.errors import PluginError
from framework.core.time import Duration
from framework.network.model import ConstantLink, Link
from framework.network.shaped_link import LinkConfig, ShapedLink, make_link, parse_bandwidth
from tests.written import written

MS = 1_000_000
STEADY = Constant(delay=Duration("1ms")).build()
SHAKY = Lognormal(median=Duration("1ms"), sigma=1.0).build()


def link(delay: Any = STEADY, seed: int = 1, **fields: Any) -> Link:
    return make_link(written(LinkConfig, **fields), delay, random.Random(seed))


def test_a_link_that_does_nothing_but_wait_is_one_that_engines_need_not_ask() -> None:
    plain = link()
    assert isinstance(plain, ConstantLink) and plain.constant == 1 * MS
    assert plain.transmit(5, 100) == (1 * MS + 5,)


def test_a_law_that_was_not_built_is_named_with_the_remedy() -> None:
    with pytest.raises(PluginError, match=r"delay=Lognormal\(.*is not a Distribution.*build\(\)"):
        link(Lognormal(median=Duration("1ms"), sigma=1.0))


@pytest.mark.parametrize("fields", [{"loss": 0.1}, {"duplicate": 0.1}, {"reorder": 0.1}, {"bandwidth": "1gbit"}])
def test_any_other_link_must_be_asked(fields: dict[str, Any]) -> None:
    assert link(**fields).constant == -1
    assert link(SHAKY).constant == -1


@given(
    st.lists(st.tuples(st.integers(0, 2 * MS), st.integers(0, 5_000)), max_size=50), st.integers(0, 9), st.booleans()
)
def test_what_is_sent_first_arrives_first_unless_reordering_is_asked_for(
    sends: list[tuple[int, int]], seed: int, narrow: bool
) -> None:
    between = link(SHAKY, seed, loss=0.1, duplicate=0.1, bandwidth="10mbit" if narrow else None)
    now, latest = 0, 0
    for pause, size in sends:
        now += pause
        for at in between.transmit(now, size):
            assert at > now
            assert at >= latest
            latest = at


def test_messages_are_lost_and_repeated_as_often_as_the_config_says() -> None:
    between = link(SHAKY, loss=0.2, duplicate=0.05)
    copies = [len(between.transmit(n * MS, 0)) for n in range(20_000)]
    assert copies.count(0) / 20_000 == pytest.approx(0.2, abs=0.01)
    assert copies.count(2) / 20_000 == pytest.approx(0.8 * 0.05, abs=0.005)


def test_a_link_that_loses_everything_delivers_nothing_and_one_that_repeats_everything_delivers_twice() -> None:
    assert all(link(loss=1).transmit(now, 0) == () for now in range(10))
    assert link(duplicate=1).transmit(0, 0) == (1 * MS, 1 * MS)


def test_a_reordered_message_is_overtaken_and_holds_up_nobody() -> None:
    between = link(reorder=0.5, reorder_delay="10ms")
    arrivals = [between.transmit(n * MS, 0)[0] for n in range(1000)]
    held = [n for n, at in enumerate(arrivals) if at != n * MS + 1 * MS]
    assert 400 < len(held) < 600
    assert all(n * MS + 1 * MS < arrivals[n] <= n * MS + 11 * MS for n in held)
    assert any(arrivals[n] > arrivals[n + 1] for n in range(999))


def test_bandwidth_makes_large_messages_late_and_those_behind_them_wait() -> None:
    between = link(bandwidth="8mbit")  # one byte a microsecond
    assert between.transmit(0, 1000) == (2 * MS,)
    assert between.transmit(0, 500) == (2_500_000,)
    assert between.transmit(1_400_000, 100) == (2_600_000,)
    assert between.transmit(9 * MS, 100) == (10_100_000,)


def test_lost_messages_take_their_share_of_the_bandwidth() -> None:
    between = ShapedLink(written(LinkConfig, loss=0.5, bandwidth="8mbit"), STEADY, random.Random(1))
    arrivals = [between.transmit(0, 1000) for _ in range(100)]
    assert () in arrivals
    assert all(arrival in ((), ((n + 2) * MS,)) for n, arrival in enumerate(arrivals))


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 1000)), max_size=30), st.integers(1, 10**10))
def test_a_queue_is_never_faster_than_its_bandwidth(sends: list[tuple[int, int]], bits: int) -> None:
    between, now, free = link(bandwidth=f"{bits}bit"), 0, 0
    for pause, size in sends:
        now += pause
        free = max(now, free) - (-size * 8 * 10**9 // bits)
        assert between.transmit(now, size) == (free + 1 * MS,)


@pytest.mark.parametrize(
    ("text", "bits"),
    [("100mbit", 10**8), ("1 gbit/s", 10**9), ("12.5MB", 10**8), ("64kbit", 64_000), ("1B/s", 8), ("0.5bit", 0.5)],
)
def test_bandwidths_are_written_with_their_unit(text: str, bits: float) -> None:
    assert parse_bandwidth(text) == bits


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"bandwidth": "100"}, "'100' is not a bandwidth: write a number and one of bit, kbit"),
        ({"bandwidth": "fast"}, "'fast' is not a bandwidth"),
        ({"bandwidth": "0mbit"}, "lets nothing through: write a positive bandwidth, or null"),
        ({"bandwidth": 100}, "`str | null`, got `int` - at `$.bandwidth`"),
        ({"loss": 1.5}, "`float` <= 1.0 - at `$.loss`"),
        ({"duplicate": -0.1}, "`float` >= 0.0 - at `$.duplicate`"),
        ({"reorder_delay": "5"}, "a duration needs a unit"),
        ({"lost": 0.5}, "unknown field `lost`"),
    ],
)
def test_a_bad_link_is_refused_with_what_is_wrong(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        link(**fields)
    assert complaint in str(error.value)
