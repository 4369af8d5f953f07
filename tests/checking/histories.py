"""Histories to check: written by hand, one call a line, or drawn by Hypothesis; and the naive twin of the checker."""

from __future__ import annotations

import random
from collections.abc import Set as Set_
from typing import Any

from hypothesis import strategies as st

from framework.checking.history.calls import Call
from framework.checking.history.values import plain
from framework.checking.linearizability.timeline import entries
from framework.checking.models.containers import Set
from framework.checking.models.model import ILLEGAL, Entry, Model, State
from framework.core.client import Outcome

MS = 1_000_000


def history(*rows: tuple[Any, ...]) -> list[Call]:
    """Each row: process, function, argument, result, invoked, completed (milliseconds; None: unknown fate), key?"""
    calls = []
    for number, (process, function, argument, result, invoked, completed, *key) in enumerate(rows):
        outcome: Outcome = "unknown" if completed is None else "ok"
        end = None if completed is None else int(completed * MS)
        at = key[0] if key else "x"
        calls.append(
            Call(number, f"c{process}", process, function, at, argument, result, outcome, int(invoked * MS), end)
        )
    return calls


def precedes(one: Entry, other: Entry, *, by_value: bool = False) -> bool:
    """Whether `one` has to come before `other`, as the rules of a history say it. `by_value`: a set that nobody reads as
    a whole is an object for each value."""
    a, b = one[0], other[0]
    if not a.known or a.completed is None:
        return False
    if a.completed < b.invoked:
        return True
    same_object = a.key == b.key and (not by_value or one[1].argument == other[1].argument)
    same_process = same_object and (a.client, a.process) == (b.client, b.process)
    if not same_process or a.completed > b.invoked:
        return False
    if b.known and b.completed is not None and b.completed == a.invoked:
        return a.operation < b.operation  # both begin and end on one instant
    return True


def explained(calls: list[Call], model: Model) -> bool:
    """The naive twin: every order of all keys' operations together, with and without those of unknown fate."""
    found = entries(calls, model)
    whole = {call.key for call, step in found if step.function == "read"}
    by_value = {call.key for call, _ in found if isinstance(model, Set)} - whole
    return _order_exists(found, {}, model, by_value)


def _order_exists(left: list[Entry], states: dict[str | None, State], model: Model, by_value: Set_[str | None]) -> bool:
    if not any(call.known for call, _ in left):
        return True
    for entry in left:
        call, step = entry
        rest = [other for other in left if other is not entry]
        if any(precedes(other, entry, by_value=call.key in by_value) for other in rest):
            continue
        state = model.step(states.get(call.key, model.initial), step.function, step.argument, step.result)
        if state is not ILLEGAL and _order_exists(rest, states | {call.key: state}, model, by_value):
            return True
    return False


def drawn(
    model: Model, most: int, keys: tuple[str | None, ...] = ("x",), least: int = 0
) -> st.SearchStrategy[list[Call]]:
    """Histories of few values, few instants and few processes: close calls are the rule."""
    one = st.tuples(
        st.one_of(*(_shapes(model)[function] for function in model.functions)),
        st.integers(0, 3),
        st.integers(0, 9),
        st.integers(0, 4),
        st.sampled_from(["ok", "ok", "ok", "ok", "unknown", "late", "fail"]),
        st.sampled_from(keys),
    )
    return st.lists(one, min_size=least, max_size=most).map(_sequential)


def _shapes(model: Model) -> dict[str, st.SearchStrategy[tuple[str, Any, Any]]]:
    """By function: its name, an argument and a result."""
    value = st.integers(0, 2)
    text = st.sampled_from(["a", "b"])
    read = {
        "register": st.none() | value,
        "kv": st.sampled_from([None, "a", "b", "aa", "ab", "ba", "bab", "aba"]),
        "counter": st.integers(0, 4),
        "set": st.frozensets(st.integers(0, 1)).map(lambda values: tuple(sorted(values))),
        "set-full": st.lists(st.integers(0, 2), max_size=3).map(tuple),
    }.get(model.name, st.none())
    written = text if model.name == "kv" else value
    held = st.integers(1, 2)
    taken = st.none() | held
    told = st.none() | st.booleans()
    owner = st.sampled_from([None, "a", "b"]) if model.name == "owner-mutex" else st.none()
    return {
        "read": st.tuples(st.just("read"), st.none(), read),
        "write": st.tuples(st.just("write"), written, st.none()),
        "cas": st.tuples(st.just("cas"), st.tuples(read, written), st.booleans()),
        "append": st.tuples(st.just("append"), text, st.none()),
        "delete": st.tuples(st.just("delete"), st.none(), st.none()),
        "increment": st.tuples(
            st.just("increment"), st.sampled_from([None, 1, 2, 0, -1]), st.none() | st.integers(0, 4)
        ),
        "enqueue": st.tuples(st.just("enqueue"), held, st.none()),
        "dequeue": st.tuples(st.just("dequeue"), st.none(), taken),
        "push": st.tuples(st.just("push"), held, st.none()),
        "pop": st.tuples(st.just("pop"), st.none(), taken),
        "add": st.tuples(st.just("add"), st.integers(0, 1), told),
        "remove": st.tuples(st.just("remove"), st.integers(0, 1), told),
        "contains": st.tuples(st.just("contains"), st.integers(0, 1), st.booleans()),
        "acquire": st.tuples(st.just("acquire"), owner, told),
        "release": st.tuples(st.just("release"), owner, told),
        "txn": st.lists(st.tuples(st.sampled_from("rrw"), st.sampled_from("xy"), value), min_size=1, max_size=3).map(
            _txn
        ),
        "propose": st.tuples(st.just("propose"), value, value),
    }


def _txn(micros: list[tuple[str, str, int]]) -> tuple[str, Any, Any]:
    """A transaction that read what is drawn; 0 is what nobody wrote."""
    asked = tuple((kind, key, value + 1 if kind == "w" else None) for kind, key, value in micros)
    told = tuple((kind, key, value + 1 if kind == "w" else value or None) for kind, key, value in micros)
    return "txn", asked, told


def drawn_runs(model: Model, most: int, least: int = 0) -> st.SearchStrategy[list[Call]]:
    """Histories of an object that does what it should, but for a lie now and then; all values are unlike each other.

    Every call takes effect at an instant of its own, from which its interval reaches either way.
    """
    one = st.tuples(
        st.integers(0, 12),
        st.sampled_from(model.functions),
        st.integers(0, 5),
        st.integers(0, 5),
        st.sampled_from(["ok"] * 8 + ["unknown", "fail"]),
        st.sampled_from(["true"] * 6 + ["lie"]),
        st.integers(0, most),
    )
    return st.lists(one, min_size=least, max_size=most).map(lambda rows: _run(model, rows))


def _run(model: Model, rows: list[Any]) -> list[Call]:
    state, told = model.initial, [plain(model.initial)]
    calls = []
    for number, (instant, function, lead, lag, fate, truth, pick) in enumerate(sorted(rows, key=lambda row: row[0])):
        argument = _written(model, function, number, told[pick % len(told)])
        result = answer(state, function, argument)
        if fate == "ok" or (fate == "unknown" and pick % 2):
            probe = Call(number, "c", 0, function, "x", argument, result, "ok", 0, 1)
            step = model.prepare(probe)
            state = model.step(state, step.function, step.argument, step.result)
            assert state is not ILLEGAL
        if truth == "lie" and type(result) is bool:
            result = not result
        elif truth == "lie" and function in ("read", "dequeue", "pop", "propose"):
            result = told[pick % len(told)]
        elif truth == "lie" and function == "txn":
            result = tuple((kind, key, pick if kind == "r" else value) for kind, key, value in result)
        if function in ("read", "dequeue", "pop", "propose"):
            told.append(result)
        known = fate == "ok"
        start, end = max(instant - lead, 0), instant + lag
        calls.append(
            Call(
                number, f"c{number}", number, function, "x", argument, result if known else None,
                fate, start, end if known else None,
            )
        )  # fmt: skip
    return calls


def _written(model: Model, function: str, number: int, seen: Any) -> Any:
    """An argument that no other call has, but for a set, whose values are few."""
    value = "abcdefghijkl"[number] if model.name == "kv" else number
    if function == "cas":
        return (seen, value)
    if function in ("add", "remove", "contains"):
        return number if model.name == "set-full" else number % 3
    if function in ("acquire", "release"):
        return "ab"[number % 2] if model.name == "owner-mutex" else None
    if function == "txn":
        keys = ("x", "xy", "yx", "y", "xz")[number % 5]
        kinds = ["rw"[(number + place) % 2] for place in range(len(keys))]
        return tuple((kind, key, number + 1 if kind == "w" else None) for kind, key in zip(kinds, keys, strict=True))
    return value if function in ("write", "append", "enqueue", "push", "propose") else None


def answer(state: State, function: str, argument: Any) -> Any:
    """What a correct object in `state` answers."""
    if function == "read":
        return plain(state)
    if function == "propose":
        return argument if state is None else plain(state)
    if function == "cas":
        return state == argument[0]
    if function == "txn":
        assert isinstance(state, frozenset)
        return _transacted(dict(state), argument)
    if function in ("acquire", "release") and argument is not None:
        return state == ("free" if function == "acquire" else ("held by", argument))
    if isinstance(state, tuple) and function in ("dequeue", "pop"):
        return (state[0] if function == "dequeue" else state[-1]) if state else None
    if isinstance(state, frozenset):
        there = argument in state
        return there if function == "contains" else there == (function == "remove")
    return {"acquire": state == "free", "release": state == "held"}.get(function)


def _transacted(values: dict[Any, Any], micros: tuple[Any, ...]) -> tuple[Any, ...]:
    told = []
    for kind, key, value in micros:
        if kind == "w":
            values[key] = value
        told.append((kind, key, values.get(key)))
    return tuple(told)


def _sequential(rows: list[Any]) -> list[Call]:
    """A process runs one call at a time, and ends with one of unknown fate: the next has a new number."""
    free = dict.fromkeys(range(4), 0)
    number = {process: process for process in range(4)}
    calls = []
    outcome: Outcome
    for operation, ((function, argument, result), process, start, length, fate, key) in enumerate(rows):
        invoked = max(start, free[process])
        completed: int | None = invoked + length
        free[process] = invoked + length
        if fate in ("unknown", "late"):
            outcome, result, completed = "unknown", None, None if fate == "late" else completed
        else:
            outcome = fate
        calls.append(
            Call(
                operation, f"c{process}", number[process], function, key, argument, result, outcome, invoked, completed
            )
        )
        if outcome == "unknown":
            number[process] += 4
    return calls


def simulated(
    model: Model,
    seed: int,
    operations: int,
    clients: int,
    keys: tuple[str, ...],
    functions: tuple[str, ...],
    *,
    unknown: float = 0.0,
    values: int | None = None,
    longest: int = 1000,
) -> list[Call]:
    """A linearizable history: `clients` in closed loops, each call taking effect at an instant within its interval.

    Written values are distinct, or drawn from `values`; a share `unknown` of the calls gets no answer.
    """
    rng = random.Random(seed)
    free = [(rng.randrange(longest), client) for client in range(clients)]
    process = list(range(clients))
    planned = []
    for operation in range(operations):
        at, client = min(free)
        end = at + rng.randrange(2, longest)
        function = rng.choice(functions)
        fresh = operation if values is None else rng.randrange(values)
        written: Any = f"{fresh}:" if "append" in functions else fresh
        argument: Any = {
            "write": written, "append": f"{fresh},", "cas": (None, written), "increment": 1,
            "enqueue": fresh + 1, "push": fresh + 1, "propose": fresh + 1,
        }.get(function)  # fmt: skip
        lost = rng.random() < unknown
        instant = rng.randrange(at, end) if not lost else at + rng.randrange(50 * longest)
        happens = not lost or rng.random() < 0.5
        planned.append(
            (instant, operation, client, process[client], function, rng.choice(keys), argument, at, end, lost, happens)
        )
        free[client] = (end + rng.randrange(1, 20), client)
        if lost:
            process[client] += clients
    states: dict[str, State] = {}
    calls = []
    for _, operation, client, number, function, key, argument, at, end, lost, happens in sorted(planned):
        state = states.get(key, model.initial)
        if function == "cas":
            argument = (state if rng.random() < 0.7 else -1, argument[1])
        result = answer(state, function, argument)
        if happens:
            step = model.prepare(Call(operation, "c", 0, function, key, argument, result, "ok", at, end))
            after = model.step(state, step.function, step.argument, step.result)
            states[key] = state if after is ILLEGAL else after
        outcome: Outcome = "unknown" if lost else "ok"
        calls.append(
            Call(
                operation,
                f"c{client}",
                number,
                function,
                key,
                argument,
                None if lost else result,
                outcome,
                at,
                None if lost else end,
            )
        )
    return sorted(calls, key=lambda call: call.invoked)
