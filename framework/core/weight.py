"""Weights of nodes and servers: the share of each relative to the others."""

from __future__ import annotations


def check_weight(whose: str, weight: float) -> None:
    """Raises ValueError unless a weight is more than 0 and finite."""
    if not 0 < weight < float("inf"):
        raise ValueError(f"{whose}: the weight must be above 0, not {weight}")
