"""What the thesis (chapter 9) says of elections by arithmetic alone."""

from __future__ import annotations

from math import comb


def split_probability(nodes: int, candidates: int, share: float) -> float:
    """The probability that no candidate wins a term.

    The time-outs of `candidates` out of `nodes` servers are uniform, and a request takes `share` of their range one
    way. The first to stand loses if fewer of the others than it needs are still waiting when its request arrives. The
    gap between the first time-out and the one that decides has a beta law, whose distribution is a binomial tail.
    """
    decides = candidates - (nodes // 2 + 1) + 1  # that many others in time leave too few votes
    if decides < 1:
        return 1.0
    chances = (comb(candidates, early) * share**early * (1 - share) ** (candidates - early)
               for early in range(decides, candidates + 1))  # fmt: skip
    return sum(chances)


def first_timeout(candidates: int, low: float, high: float) -> float:
    """When the first of so many uniform time-outs is expected."""
    return low + (high - low) / (candidates + 1)


def later_than(terms: int, split: float) -> float:
    """The probability that it takes more than so many terms, if each splits as the first does: the geometric law."""
    return split**terms
