"""Histories to measure with: of objects that do what they should, by clients in closed loops."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from framework.verify.history import Call

LONGEST = 1000
"""Ticks that an operation may take; the next follows within 20."""


def recorded(
    seed: int, operations: int, clients: int, keys: int, mix: Mapping[str, float], start: Any = None
) -> list[Call]:
    """A linearizable history of `mix`, functions by weight, over `keys` keys that hold `start` at first.

    Each call takes effect at an instant within its interval. No two written or appended values are alike.
    """
    rng = random.Random(seed)
    state: list[Any] = [start] * keys
    names = [f"k{key}" for key in range(keys)]
    functions, weights = list(mix), list(mix.values())
    chosen = rng.choices(functions, weights, k=operations)
    calls = []
    for number, client, invoked, _, completed in sorted(_intervals(rng, operations, clients), key=_instant):
        key = rng.randrange(keys)
        argument, result, state[key] = _done(chosen[number], state[key], number, rng)
        calls.append(
            Call(
                number, f"c{client}", client, chosen[number], names[key], argument, result, "ok", invoked, completed
            )
        )  # fmt: skip
    return sorted(calls, key=lambda call: call.invoked)


def _intervals(rng: random.Random, operations: int, clients: int) -> Iterator[tuple[int, int, int, int, int]]:
    free = [rng.randrange(LONGEST) for _ in range(clients)]
    for number in range(operations):
        client = number % clients
        invoked = free[client]
        completed = invoked + rng.randrange(2, LONGEST)
        free[client] = completed + rng.randrange(1, 20)
        yield number, client, invoked, rng.randrange(invoked, completed), completed


def _instant(planned: tuple[int, int, int, int, int]) -> tuple[int, int]:
    return planned[3], planned[0]


def _done(function: str, state: Any, number: int, rng: random.Random) -> tuple[Any, Any, Any]:
    """Argument, result and state after."""
    text = f"x {number} y"
    if function == "read":
        return None, state, state
    if function == "append":
        return text, None, (state or "") + text
    if function == "cas":
        old = state if rng.random() < 0.7 else "never"
        return (old, text), old == state, text if old == state else state
    if function in ("enqueue", "push"):
        return number, None, (*(state or ()), number)
    if function == "dequeue":
        return None, state[0] if state else None, state[1:] if state else state
    if function == "pop":
        return None, state[-1] if state else None, state[:-1] if state else state
    return (None, None, None) if function == "delete" else (text, None, text)
