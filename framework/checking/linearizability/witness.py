"""A witness: an order of the operations that explains a history, so that it can be checked independently.

It lists the operations that took effect, each at an instant within its interval; operations with unknown outcome that
are missing never did. Replayed in this order, object by object, the model gives the recorded results.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec

from framework.checking.history.calls import Call
from framework.checking.history.values import plain, written
from framework.checking.linearizability.bounds import Bounds
from framework.checking.linearizability.checker import divide
from framework.checking.linearizability.grow_only_sets import rank_sets
from framework.checking.linearizability.queues_and_stacks import rank_rows
from framework.checking.linearizability.search import Search
from framework.checking.linearizability.timeline import lay_out
from framework.checking.linearizability.value_chains import guess
from framework.checking.models.containers import OrderedContainer, Set
from framework.checking.models.model import NO_RESULT, Model, Part
from framework.checking.models.registers import Register
from framework.checking.verdict import Verdict
from framework.core.errors import ConfigError


class Placed(msgspec.Struct, frozen=True):
    """A call, and the instant at which it took effect, in nanoseconds."""

    call: Call
    at: int


def order(calls: Iterable[Call], model: Model, bounds: Bounds) -> list[Placed] | str:
    """Returns the calls of a linearizable history in an order that explains it, or a text that says which limit was
    reached first.

    The fast paths that decide a history from its times alone guide the search.
    """
    parts = divide(list(calls), model)
    deadline = bounds.deadline()
    left = bounds.steps
    placed: list[tuple[tuple[int, int, int, int], Placed]] = []
    for number, part in enumerate(parts):
        search = Search(lay_out(part.operations, part.model, _ranks(part)), bounds.memory_bytes, traced=True)
        verdict = search.run(left, deadline)
        left -= search.steps
        if verdict is Verdict.UNKNOWN:
            assert search.spent is not None
            return f"{search.spent.value} spent on {part.label}"
        assert verdict is Verdict.VALID, "only what is linearizable has an order"
        found = [part.operations[place][0] for place in search.order]
        placed += [((*when, number, place), it) for place, (when, it) in enumerate(_instants(found))]
    return [it for _, it in sorted(placed, key=lambda it: it[0])]


def _ranks(part: Part) -> list[int] | None:
    if isinstance(part.model, OrderedContainer):
        return rank_rows(part.operations, part.model)
    if isinstance(part.model, Set):
        return rank_sets(part.operations, part.model)
    if not isinstance(part.model, Register):
        return None
    ranks = guess(part.operations, part.model)
    assert not isinstance(ranks, set), "only what is linearizable has an order"
    return ranks


def _instants(calls: Iterable[Call]) -> Iterator[tuple[tuple[int, int], Placed]]:
    """Places each call of one object at the first instant at which all calls before it have begun.

    Sorting all objects by these instants gives an order of the whole history. The second number puts calls that begin
    at an instant behind calls that end at it, as far as the order of the object allows.
    """
    now, begins = -1, 0
    for call in calls:
        if call.invoked > now:
            now, begins = call.invoked, 0
        begins = max(begins, int(call.invoked == now and (call.completed is None or call.completed > now)))
        yield (now, begins), Placed(call, now)


def write_witness(file: Path, placed: Iterable[Placed]) -> None:
    """Writes a line of JSON for each operation, in order; `{"edn": ":x"}` is a value that only EDN has.

    Raises ConfigError if the file cannot be written.
    """
    try:
        with file.open("w") as out:
            for it in placed:
                out.write(json.dumps(_line(it)) + "\n")
    except OSError as error:
        raise ConfigError(f"--witness {file}", f"cannot be written ({error.strerror})") from error


def _line(placed: Placed) -> dict[str, Any]:
    call = placed.call
    return {
        "operation": call.operation, "client": call.client, "process": call.process, "f": call.function,
        "key": _json(call.key), "value": _json(call.argument), "result": None if call.result is NO_RESULT else _json(call.result), "outcome": call.outcome,
        "invoked": call.invoked, "completed": call.completed, "at": placed.at,
    }  # fmt: skip


def _json(value: Any) -> Any:
    """Returns `value` for JSON; `{"edn": ":x"}` if JSON has no notation for it."""
    value = plain(value)
    if isinstance(value, tuple):
        return list(map(_json, value))
    is_json = value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))
    return value if is_json else {"edn": written(value)}
