"""The points of a sweep, each computed from its number: a sweep of a million points needs no list of them.

A point is one combination of values and one seed. In a grid the last key varies fastest, except for `seed`, which is
always the innermost, so that runs of the same composed config follow each other.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from framework.sweep.axes import Axis, AxisValue, Choices, Interval, override_text

Sampler = Literal["grid", "random", "latin_hypercube"]


@dataclass(frozen=True)
class Point:
    """One run of a sweep: the value on each axis, in the order of the axes, and the seed."""

    number: int
    values: tuple[AxisValue, ...]
    seed: int


@dataclass(frozen=True)
class Points:
    """All points of a sweep. The seed is not one of `axes`. `samples`: number of draws, unless `sampler` is `grid`."""

    axes: tuple[Axis, ...]
    seeds: Sequence[int]
    sampler: Sampler = "grid"
    samples: int = 0
    sampler_seed: int = 0

    @cached_property
    def combinations(self) -> int:
        """Number of combinations of values, each of which runs with every seed."""
        if self.sampler != "grid":
            return self.samples
        count = 1
        for axis in self.axes:
            assert isinstance(axis, Choices)
            count *= len(axis.values)
        return count

    def __len__(self) -> int:
        return self.combinations * len(self.seeds)

    def __getitem__(self, number: int) -> Point:
        combination, place = divmod(number, len(self.seeds))
        return Point(number, self.combination(combination), self.seeds[place])

    def combination(self, number: int) -> tuple[AxisValue, ...]:
        """Returns the values of one combination, in the order of the axes."""
        if self.sampler == "grid":
            return self._of_grid(number)
        return tuple(axis.at(self._share(axis, number)) for axis in self.axes)

    def overrides(self, values: Sequence[AxisValue]) -> tuple[str, ...]:
        """Returns the overrides of a run's command line for these values."""
        return tuple(override_text(axis, value) for axis, value in zip(self.axes, values, strict=True))

    def _of_grid(self, number: int) -> tuple[AxisValue, ...]:
        values: list[AxisValue] = []
        for axis in reversed(self.axes):
            assert isinstance(axis, Choices)
            number, place = divmod(number, len(axis.values))
            values.append(axis.values[place])
        return tuple(reversed(values))

    def _share(self, axis: Axis, number: int) -> float:
        """Returns the position of a draw on the axis, 0 <= share < 1: random, or random within the draw's own stratum.

        A Latin hypercube has `samples` strata of equal size.
        """
        drawn = random.Random(f"{self.sampler_seed}/{number}/{axis.key}").random()
        if self.sampler == "random":
            return drawn
        return (_strata(self.sampler_seed, axis.key, self.samples)[number] + drawn) / self.samples


@lru_cache(maxsize=64)
def _strata(seed: int, key: str, samples: int) -> Sequence[int]:
    """Returns the stratum of each draw on one axis, every stratum once (McKay, Beckman and Conover 1979)."""
    order = list(range(samples))
    random.Random(f"{seed}/{key}").shuffle(order)
    return order


def needs_sampler(axes: Sequence[Axis]) -> Axis | None:
    """Returns the first axis that a grid cannot enumerate, or None."""
    return next((axis for axis in axes if isinstance(axis, Interval)), None)
