"""Random delays from tables of integer quantiles, so that every machine draws the same ones.

Nothing here depends on the host's mathematical library: logarithms and exponentials come from `decimal`, and everything
else uses integers and the four operations of IEEE 754.

One draw takes 32 random bits. They choose a side of the median and a distance from that end of the law. The table has
32 points for every halving of the distance, down to 2**-32, and a draw is interpolated linearly between two of them. So
the far tail is as exact as the middle: from 1e-6 to 1 - 1e-6 quantiles are within 0.05% of the law, and means within
0.01%, up to a sigma of 2.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import sqrt
from typing import Annotated, TypeAlias

from msgspec import Meta

from framework.core.message import Config
from framework.core.time import MICROSECOND, Duration

_BITS = 31  # of the distance
_POINTS = [cell if cell < 64 else (32 + cell % 32) << (cell // 32 - 1) for cell in range(32 * (_BITS - 4) + 1)]
_SCALE = 40  # bits behind the binary point of a law's own table
_CONTEXT = Context(prec=25)
_NEAR_ZERO = Decimal(1) / 64  # up to here, the series of ln(1 + x) needs at most 14 terms
_NEGLIGIBLE = Decimal(10) ** -24


class Distribution(ABC):
    """A law of delays. `constant` is the delay in nanoseconds if it never varies, else -1."""

    __slots__ = ("constant",)

    def __init__(self, constant: int = -1) -> None:
        self.constant = constant

    @abstractmethod
    def sample(self, rng: random.Random) -> int:
        """Draws one delay, in nanoseconds."""


class _Fixed(Distribution):
    __slots__ = ()

    def sample(self, rng: random.Random) -> int:
        return self.constant


class _Lines(Distribution):
    """Linear interpolation between the quantiles `values` at `starts`, which are fractions of 2**32."""

    __slots__ = ("_starts", "_values")

    def __init__(self, starts: Sequence[int], values: Sequence[int]) -> None:
        super().__init__()
        self._starts, self._values = list(starts), list(values)

    def sample(self, rng: random.Random) -> int:
        bits = rng.getrandbits(32)
        cell = bisect_right(self._starts, bits) - 1
        start, value = self._starts[cell], self._values[cell]
        return value + (self._values[cell + 1] - value) * (bits - start) // (self._starts[cell + 1] - start)


class _Table(Distribution):
    """A law given by its quantiles at `_POINTS`, which are distances from the lower and from the upper end."""

    __slots__ = ("_lower", "_upper")

    def __init__(self, lower: list[int], upper: list[int]) -> None:
        super().__init__()
        self._lower, self._upper = lower, upper

    def sample(self, rng: random.Random) -> int:
        bits = rng.getrandbits(32)
        quantiles = self._lower if bits & 1 else self._upper
        distance = bits >> 1
        shift = distance.bit_length() - 6
        if shift <= 0:
            return quantiles[distance]
        cell = (shift << 5) + (distance >> shift)
        start = quantiles[cell]
        return start + ((quantiles[cell + 1] - start) * (distance & ((1 << shift) - 1)) >> shift)


_LEAST = Duration(MICROSECOND)


class Law(Config):
    """Base of the laws that a config can select by `kind`. Draws below `minimum` are raised to it."""

    minimum: Duration = _LEAST

    def build(self) -> Distribution:
        """Returns the law, ready to draw from."""
        return self.scaled(Fraction(1))

    def scaled(self, factor: Fraction) -> Distribution:
        """Returns the law with every delay except `minimum` multiplied by `factor`."""
        raise TypeError(f"{type(self).__qualname__} has no scaled()")

    def __post_init__(self) -> None:
        if self.minimum <= 0:
            raise ValueError("`minimum` must be positive: a link without delay would stop simulated time")


class Constant(Law, kw_only=True, tag_field="kind", tag="constant"):
    """The constant `delay`."""

    delay: Duration

    def scaled(self, factor: Fraction) -> Distribution:
        return _Fixed(_scale(self.delay, factor, self.minimum))


class Uniform(Law, kw_only=True, tag_field="kind", tag="uniform"):
    """The uniform law from `low` to `high`."""

    low: Duration
    high: Duration

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low > self.high:
            raise ValueError(f"`low` is {self.low}, above `high`, which is {self.high}")

    def scaled(self, factor: Fraction) -> Distribution:
        return _lines([0, 1 << 32], [_scale(end, factor, self.minimum) for end in (self.low, self.high)])


class Normal(Law, kw_only=True, tag_field="kind", tag="normal"):
    """The normal law with this mean and standard deviation."""

    mean: Duration
    deviation: Duration

    def scaled(self, factor: Fraction) -> Distribution:
        return _table(_standard_normal(), self.deviation * factor, self.mean * factor, self.minimum)


class Exponential(Law, kw_only=True, tag_field="kind", tag="exponential"):
    """The exponential law with this mean."""

    mean: Duration

    def scaled(self, factor: Fraction) -> Distribution:
        return _table(_standard_exponential(), self.mean * factor, Fraction(0), self.minimum)


class Lognormal(Law, kw_only=True, tag_field="kind", tag="lognormal"):
    """The law whose logarithm is normal: half of all draws lie below `median`; `sigma` is the logarithm's deviation."""

    median: Duration
    sigma: Annotated[float, Meta(ge=0, le=2)]

    def scaled(self, factor: Fraction) -> Distribution:
        return _table(_standard_lognormal(self.sigma), self.median * factor, Fraction(0), self.minimum)


class Empirical(Law, kw_only=True, tag_field="kind", tag="empirical"):
    """A measured law: `points` are pairs (fraction, delay) from fraction 0 to fraction 1, interpolated linearly.

    With `[[0, 1ms], [0.5, 2ms], [0.99, 9ms], [1, 30ms]]` half of all draws lie below 2 ms.
    """

    points: tuple[tuple[float, Duration], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        fractions = [fraction for fraction, _ in self.points]
        if len(fractions) < 2 or fractions[0] != 0 or fractions[-1] != 1:
            raise ValueError("`points` must begin at fraction 0 and end at fraction 1, as in [[0, 1ms], [1, 9ms]]")
        for (before, shorter), (after, longer) in pairwise(self.points):
            if not before < after or shorter > longer:
                raise ValueError(f"`points` must rise, but ({after}, {longer}) follows ({before}, {shorter})")

    def scaled(self, factor: Fraction) -> Distribution:
        starts = [int(Fraction(fraction) * (1 << 32)) for fraction, _ in self.points]
        return _lines(starts, [_scale(delay, factor, self.minimum) for _, delay in self.points])


Latency: TypeAlias = Constant | Uniform | Normal | Exponential | Lognormal | Empirical
"""The type of a delay in a config: `{kind: lognormal, median: 10ms, sigma: 0.3}`."""


def _scale(delay: int, factor: Fraction, minimum: int) -> int:
    return max(minimum, round(delay * factor))


def _lines(starts: list[int], values: list[int]) -> Distribution:
    if values[0] == values[-1]:
        return _Fixed(values[0])
    unique = [index for index, start in enumerate(starts[:-1]) if start < starts[index + 1]]
    kept = [*unique, len(starts) - 1]  # fractions closer than 2**-32 are merged
    return _Lines([starts[index] for index in kept], [values[index] for index in kept])


def _table(standard: tuple[list[int], list[int]], scale: Fraction, shift: Fraction, minimum: int) -> Distribution:
    multiplier, half = round(scale * (1 << 24)), 1 << _SCALE + 23
    origin = (round(shift * (1 << 24)) << _SCALE) + half
    lower, upper = ([max(minimum, value * multiplier + origin >> _SCALE + 24) for value in end] for end in standard)
    if lower[0] == upper[0]:
        return _Fixed(lower[0])
    return _Table(lower, upper)


def _fixed(value: Decimal | float) -> int:
    return round(Fraction(value) * (1 << _SCALE))


def _log1p(x: Decimal) -> Decimal:
    """Returns ln(1 + x), for an x near 0, by its series, which is cheaper there than a logarithm."""
    total, power, n = x, x, 1
    while abs(power) > _NEGLIGIBLE:
        power, n = -power * x, n + 1
        total += power / n
    return total


@lru_cache(maxsize=1)
def _logarithms() -> list[Decimal]:
    """Returns ln((point + 1/2) / 2**32) of each point: the probability up to it, as a draw lies mid-unit."""
    with localcontext(_CONTEXT):
        of_two = Decimal(2).ln()
        of_leading_bits = [Decimal(bits).ln() for bits in range(32, 64)]

        def logarithm(point: int) -> Decimal:
            """Returns ln(2 * point + 1)."""
            if point < 64:
                return Decimal(2 * point + 1).ln()
            shift = point.bit_length() - 6  # the bits behind the first six are zero
            whole = of_leading_bits[(point >> shift) - 32] + (shift + 1) * of_two
            return whole + _log1p(1 / Decimal(2 * point))

        return [logarithm(point) - 33 * of_two for point in _POINTS]


@lru_cache(maxsize=1)
def _standard_exponential() -> tuple[list[int], list[int]]:
    """Returns the law of mean 1: the quantile of q is -ln(1 - q)."""
    with localcontext(_CONTEXT):
        distances = [Decimal(2 * point + 1) / (1 << 33) for point in _POINTS]
        lower = [-_log1p(-q) if q < _NEAR_ZERO else -(1 - q).ln() for q in distances]
        return [_fixed(quantile) for quantile in lower], [_fixed(-logarithm) for logarithm in _logarithms()]


@lru_cache(maxsize=1)
def _scores() -> list[float]:
    """Returns the negated standard normal quantiles of the distances: positive, falling to about 0."""
    return [
        normal_score((2 * point + 1) / (1 << 33), logarithm)
        for point, logarithm in zip(_POINTS, _logarithms(), strict=True)
    ]


@lru_cache(maxsize=1)
def _standard_normal() -> tuple[list[int], list[int]]:
    upper = [_fixed(score) for score in _scores()]
    return [-value for value in upper], upper


@lru_cache(maxsize=64)
def _standard_lognormal(sigma: float) -> tuple[list[int], list[int]]:
    """Returns the law of median 1: e to the power of sigma times the normal quantile."""
    with localcontext(_CONTEXT):
        upper = [Decimal(sigma * score).exp() for score in _scores()]
        return [_fixed(1 / quantile) for quantile in upper], [_fixed(quantile) for quantile in upper]


# Wichura, Algorithm AS 241 (Applied Statistics 37, 1988), PPND16: numerators and denominators by rising powers.
_MIDDLE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
_NEAR = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_FAR = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


def normal_score(tail: float, logarithm: Decimal) -> float:
    """Returns the z that a standard normal variable exceeds with probability `tail`, at most about 1/2.

    `logarithm` is ln(tail). Accurate to 1e-15, and the same on every machine: the square root is the only function
    used, and IEEE 754 defines its rounding.
    """
    offset = 0.5 - tail
    if abs(offset) <= 0.425:
        return offset * _ratio(_MIDDLE, 0.180625 - offset * offset)
    root = sqrt(-float(logarithm))
    return _ratio(_NEAR, root - 1.6) if root <= 5 else _ratio(_FAR, root - 5)


def _ratio(polynomials: tuple[tuple[float, ...], tuple[float, ...]], x: float) -> float:
    above = below = 0.0
    for numerator, denominator in zip(reversed(polynomials[0]), reversed(polynomials[1]), strict=True):
        above, below = above * x + numerator, below * x + denominator
    return above / below
