"""How popular keys are."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from decimal import Context, Decimal
from itertools import accumulate

_CONTEXT = Context(prec=22)


class KeyPopularity:
    """Draws keys k1, k2, … by their weights, as many as there are keys; without weights all are alike."""

    def __init__(self, keys: int, weights: Sequence[float] = ()) -> None:
        self._names = [f"k{number}" for number in range(1, keys + 1)]
        self._bounds = list(accumulate(weights))

    def draw(self, rng: random.Random) -> str:
        """Returns a key, drawn with one number of `rng`."""
        if not self._bounds:
            return self._names[int(rng.random() * len(self._names))]
        return self._names[bisect_right(self._bounds, rng.random() * self._bounds[-1], hi=len(self._names) - 1)]


def zipf_weights(count: int, theta: float) -> list[float]:
    """Returns `rank ** -theta` for the ranks 1 to `count`, as the same floats on every machine.

    Only primes need a power, which `decimal` computes: the weight of a product is the product of the weights.
    """
    weights = [0.0, 1.0] + [0.0] * (count - 1)
    exponent = Decimal(-theta)
    for rank in range(2, count + 1):
        if not weights[rank]:  # a prime: no smaller one has reached it
            weights[rank] = float(_CONTEXT.exp(_CONTEXT.multiply(exponent, _CONTEXT.ln(Decimal(rank)))))
            for multiple in range(2, count // rank + 1):
                if not weights[rank * multiple]:
                    weights[rank * multiple] = -rank  # its smallest prime, until its turn comes
        elif weights[rank] < 0:
            prime = int(-weights[rank])
            weights[rank] = weights[prime] * weights[rank // prime]
    return weights[1:]
