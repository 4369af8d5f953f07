"""How popular keys are."""

from __future__ import annotations

from decimal import Context, Decimal

_CONTEXT = Context(prec=22)


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
