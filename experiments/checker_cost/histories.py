"""Histories to measure with: of objects that do what they should, by clients in closed loops."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from msgspec import structs

from experiments.checker_cost.rows import Row
from framework.checking.history.calls import Call

LONGEST = 1000
"""Ticks that an operation may take; the next follows within 20."""


def recorded(seed: int, row: Row) -> list[Call]:
    """A history as `row` describes it; linearizable, unless one answer is to be wrong.

    Each call takes effect at an instant within its interval, those of unknown fate too.
    """
    rng = random.Random(seed)
    state: list[Any] = [row.start] * row.keys
    names = [f"k{key}" for key in range(row.keys)]
    functions, weights = list(row.mix), list(row.mix.values())
    chosen = rng.choices(functions, weights, k=row.operations)
    calls = []
    for number, client, invoked, _, completed in sorted(_intervals(rng, row.operations, row.clients), key=_instant):
        key = rng.randrange(row.keys)
        value = number if row.values is None else rng.randrange(row.values)
        argument, result, state[key] = _done(chosen[number], state[key], value, rng)
        call = Call(
            number, f"c{client}", client, chosen[number], names[key], argument, result, "ok", invoked, completed
        )
        calls.append(call)
    calls = _of_unknown_fate(rng, row, calls)
    return sorted(_with_a_wrong_answer(calls) if row.wrong else calls, key=_invoked)


def _of_unknown_fate(rng: random.Random, row: Row, calls: list[Call]) -> list[Call]:
    """`calls`, a share of which was never answered; their process never does anything again."""
    retired = [0] * row.clients
    made = []
    for call in calls:
        client = call.process
        call = structs.replace(call, process=client + row.clients * retired[client])
        if row.unknown and rng.random() < row.unknown:
            retired[client] += 1
            call = structs.replace(call, outcome="unknown", result=None, completed=None)
        made.append(call)
    return made


def _with_a_wrong_answer(calls: list[Call]) -> list[Call]:
    """`calls`, by instant; the last read that was answered shows what a write had left long before, or the last client
    that was refused a lock has it."""
    last = max(place for place, call in enumerate(calls) if call.known and _can_be_wrong(call))
    answer: Any = True
    if calls[last].function == "read":
        answer = next(call.argument for call in calls[last // 2 :] if call.function == "write" and call.known)
    return [*calls[:last], structs.replace(calls[last], result=answer), *calls[last + 1 :]]


def _can_be_wrong(call: Call) -> bool:
    return call.function == "read" or (call.function == "acquire" and call.result is False)


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


def _invoked(call: Call) -> tuple[int, int]:
    return call.invoked, call.operation


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
    if function in ("acquire", "release"):
        return None, bool(state) is (function == "release"), function == "acquire"
    if function in ("enqueue", "push"):
        return number, None, (*(state or ()), number)
    if function == "dequeue":
        return None, state[0] if state else None, state[1:] if state else state
    if function == "pop":
        return None, state[-1] if state else None, state[:-1] if state else state
    return (None, None, None) if function == "delete" else (text, None, text)
