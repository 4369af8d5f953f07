"""Laws of delay: their tables against the laws themselves, and the same draws on every machine."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.distributions import Distribution, Latency, normal_score
from framework.core.random_streams import stream
from tests.written import written

MS = 1_000_000
BITS = 1 << 32
SCORE = NormalDist().inv_cdf

LAWS: dict[str, dict[str, Any]] = {
    "constant": {"kind": "constant", "delay": "3ms"},
    "uniform": {"kind": "uniform", "low": "1ms", "high": "3ms"},
    "normal": {"kind": "normal", "mean": "100ms", "deviation": "10ms"},
    "exponential": {"kind": "exponential", "mean": "10ms"},
    "lognormal": {"kind": "lognormal", "median": "10ms", "sigma": 0.3},
    "wide": {"kind": "lognormal", "median": "10ms", "sigma": 1.0},
    "empirical": {"kind": "empirical", "points": [[0, "1ms"], [0.5, "2ms"], [0.99, "9ms"], [1, "30ms"]]},
}

QUANTILES: dict[str, Callable[[float], float]] = {
    "normal": lambda q: 100 * MS + 10 * MS * SCORE(q),
    "exponential": lambda q: -10 * MS * math.log1p(-q),
    "lognormal": lambda q: 10 * MS * math.exp(0.3 * SCORE(q)),
    "wide": lambda q: 10 * MS * math.exp(SCORE(q)),
}

MEANS = {
    "normal": 100 * MS,
    "exponential": 10 * MS,
    "lognormal": 10 * MS * math.exp(0.045),
    "wide": 10 * MS * math.exp(0.5),
}


class Bits(random.Random):
    """A random stream whose next 32 bits are known."""

    def __init__(self, bits: int) -> None:
        super().__init__(0)
        self.bits = bits

    def getrandbits(self, k: int, /) -> int:
        assert k == 32
        return self.bits


def law(name: str) -> Distribution:
    return latency(**LAWS[name]).build()


def latency(**fields: Any) -> Any:
    return written(Latency, **fields)  # type: ignore[arg-type]


def quantile(law: Distribution, fraction: float) -> int:
    """The draw that stands at `fraction` of the law: odd bits count from the lower end, even ones from the upper."""
    if fraction < 0.5:
        return law.sample(Bits(round(fraction * BITS) << 1 | 1))
    return law.sample(Bits(round((1 - fraction) * BITS) << 1))


def test_the_normal_quantile_is_the_textbook_s_in_the_middle_and_in_both_tails() -> None:
    for exponent in range(4, 132):
        tail = 2 ** (-exponent / 4)
        assert normal_score(tail, Decimal(tail).ln()) == pytest.approx(-SCORE(tail), abs=1e-12)


@pytest.mark.parametrize("name", QUANTILES)
def test_quantiles_are_within_two_hundredths_of_a_percent_of_the_law_far_into_the_tail(name: str) -> None:
    drawn, exact = law(name), QUANTILES[name]
    body = [index / 1009 for index in range(10, 1000)]
    tail = [1 - 10 ** (-tenths / 10) for tenths in range(10, 61)]
    for fraction in [*body, *tail, 0.99, 0.999, 0.9999, 0.999999]:
        assert quantile(drawn, fraction) == pytest.approx(exact(fraction), rel=2e-4), fraction


@pytest.mark.parametrize("name", MEANS)
def test_the_mean_over_all_draws_is_the_law_s(name: str) -> None:
    drawn = law(name)
    edges = sorted({0, *(round(2**31 / 1.01**step) for step in range(2200))})
    total = Fraction(0)
    for side in (0, 1):
        values = [drawn.sample(Bits(min(edge, 2**31 - 1) << 1 | side)) for edge in edges]
        total += sum(
            Fraction(low + high, 2) * (after - before)
            for (low, high), (before, after) in zip(pairwise(values), pairwise(edges), strict=True)
        )
    assert float(total / BITS) == pytest.approx(MEANS[name], rel=1e-4)


def test_ten_thousand_draws_look_like_the_law() -> None:
    rng, drawn = stream(1, "test"), law("exponential")
    draws = sorted(drawn.sample(rng) for _ in range(10_000))
    assert sum(draws) / 10_000 == pytest.approx(10 * MS, rel=0.03)
    assert draws[5_000] == pytest.approx(10 * MS * math.log(2), rel=0.05)
    assert draws[9_900] == pytest.approx(10 * MS * math.log(100), rel=0.1)


def test_uniform_and_empirical_laws_run_straight_between_their_points() -> None:
    uniform, empirical = law("uniform"), law("empirical")
    assert [uniform.sample(Bits(bits)) for bits in (0, BITS // 2, BITS - 1)] == [1 * MS, 2 * MS, 3 * MS - 1]
    assert [empirical.sample(Bits(bits)) for bits in (0, BITS // 4, BITS // 2)] == [1 * MS, 1_500_000, 2 * MS]
    assert 9 * MS <= empirical.sample(Bits(int(0.9901 * BITS))) < 10 * MS
    assert empirical.sample(Bits(BITS - 1)) == 30 * MS - 1


def test_a_law_that_cannot_vary_says_so() -> None:
    assert law("constant").constant == 3 * MS
    assert law("constant").sample(random.Random(1)) == 3 * MS
    assert latency(kind="lognormal", median="2ms", sigma=0).build().constant == 2 * MS
    assert latency(kind="normal", mean="2ms", deviation="0").build().constant == 2 * MS
    assert latency(kind="uniform", low="2ms", high="2ms").build().constant == 2 * MS
    assert law("lognormal").constant == -1


@given(st.integers(0, BITS - 1), st.sampled_from([name for name in LAWS if name != "constant"]))
def test_no_draw_is_below_the_minimum(bits: int, name: str) -> None:
    drawn = latency(**LAWS[name], minimum="8ms").build()
    assert drawn.sample(Bits(bits)) >= 8 * MS


@given(st.integers(0, 2**31 - 2), st.sampled_from(list(QUANTILES)))
def test_draws_move_towards_the_middle_as_their_distance_from_the_end_grows(distance: int, name: str) -> None:
    drawn = law(name)
    lower = [drawn.sample(Bits(step << 1 | 1)) for step in (distance, distance + 1)]
    upper = [drawn.sample(Bits(step << 1)) for step in (distance, distance + 1)]
    assert lower[0] <= lower[1] <= upper[1] + 1 <= upper[0] + 1


def test_a_scaled_law_is_the_law_of_the_scaled_delays() -> None:
    shape = latency(kind="lognormal", median="1ms", sigma=0.3)
    assert shape.scaled(Fraction(10)).sample(Bits(77)) == law("lognormal").sample(Bits(77))


PINNED = {
    "constant": "cd33f52ed7a7fc09",
    "uniform": "f05e5e2d4f8163ed",
    "normal": "71057f2621d67e2d",
    "exponential": "a2c1c8bbf2b84506",
    "lognormal": "54d73317467dc5a2",
    "wide": "fd4715c82b9d716a",
    "empirical": "0484995ed7e5b071",
}


@pytest.mark.parametrize("name", LAWS)
def test_every_machine_draws_the_same(name: str) -> None:
    rng, drawn, digest = stream(7, "link", "a->b"), law(name), blake2b(digest_size=8)
    for _ in range(2_000):
        digest.update(drawn.sample(rng).to_bytes(8, "big"))
    assert digest.hexdigest() == PINNED[name]


def test_every_point_of_the_tables_is_the_same_on_every_machine() -> None:
    digest = blake2b(digest_size=8)
    for name in QUANTILES:
        drawn = law(name)
        for exponent in range(31):
            for part in range(32, 64):
                for side in (0, 1):
                    digest.update(drawn.sample(Bits((part << exponent >> 5) << 1 | side)).to_bytes(8, "big"))
    assert digest.hexdigest() == "595d8b9974f7ac9e"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"median": "10ms", "sigma": 0.3}, "missing required field `kind`"),
        ({"kind": "log", "median": "10ms"}, "Invalid value 'log' - at `$.kind`"),
        ({"kind": "lognormal", "median": "10ms"}, "missing required field `sigma`"),
        ({"kind": "lognormal", "median": "10", "sigma": 0.3}, "a duration needs a unit: write 10ms or 10s"),
        ({"kind": "lognormal", "median": "10ms", "sigma": -1}, "`float` >= 0"),
        ({"kind": "lognormal", "median": "10ms", "sigma": 0.3, "mean": "1ms"}, "unknown field `mean`"),
        ({"kind": "uniform", "low": "2ms", "high": "1ms"}, "`low` is 2ms, above `high`, which is 1ms"),
        ({"kind": "constant", "delay": "1ms", "minimum": "0"}, "`minimum` must be positive"),
        ({"kind": "empirical", "points": [[0, "1ms"]]}, "begin at fraction 0 and end at fraction 1"),
        ({"kind": "empirical", "points": [[0, "1ms"], [0.9, "2ms"]]}, "begin at fraction 0 and end at fraction 1"),
        (
            {"kind": "empirical", "points": [[0, "5ms"], [1, "2ms"]]},
            "`points` must rise, but (1.0, 2ms) follows (0.0, 5ms)",
        ),
    ],
)
def test_a_bad_law_is_refused_with_what_is_wrong(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        latency(**fields)
    assert complaint in str(error.value)
