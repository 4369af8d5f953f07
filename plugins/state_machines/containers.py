"""Containers: queues, stacks and sets, one for each key, all initially empty.

| machine | operation  | argument | result                                              |
| ------- | ---------- | -------- | --------------------------------------------------- |
| `queue` | `enqueue`  | a value  | None                                                |
|         | `dequeue`  | none     | the first value in, None if the queue is empty      |
| `stack` | `push`     | a value  | None                                                |
|         | `pop`      | none     | the last value in, None if the stack is empty       |
| `set`   | `add`      | a value  | whether the value was absent                        |
|         | `remove`   | a value  | whether the value was present                       |
|         | `contains` | a value  | whether the value is present                        |
|         | `read`     | none     | all values, in the order of their msgpack encodings |

Values are booleans, integers, strings and tuples of these; values of different types are never equal (True is not 1).
Adding None to a queue or a stack is refused, because it would look like an empty container.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from framework import Config, Refused, StateMachine, StateMachineSpec, Value, hookimpl, operation, query

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str | None, list[Any]]]).decode


class Containers(StateMachine):
    """Sequences of values by key; a snapshot omits empty ones."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self.rows: dict[str | None, deque[Value]] = {}

    def put(self, key: str | None, value: Value) -> None:
        """Appends a value to the sequence of `key`."""
        if value is None:
            raise Refused("None cannot be stored")
        self.rows.setdefault(key, deque()).append(value)

    def snapshot(self) -> bytes:
        kept = [(key, list(row)) for key, row in self.rows.items() if row]
        return _encode(sorted(kept, key=lambda item: (item[0] is not None, item[0] or "")))

    def restore(self, snapshot: bytes) -> None:
        self.rows = {key: deque(map(_frozen, row)) for key, row in _decode(snapshot)}


class Queues(Containers):
    """First in, first out."""

    @operation
    def enqueue(self, key: str | None, argument: Value) -> Value:
        self.put(key, argument)

    @operation
    def dequeue(self, key: str | None, argument: Value) -> Value:
        row = self.rows.get(key)
        return row.popleft() if row else None


class Stacks(Containers):
    """Last in, first out."""

    @operation
    def push(self, key: str | None, argument: Value) -> Value:
        self.put(key, argument)

    @operation
    def pop(self, key: str | None, argument: Value) -> Value:
        row = self.rows.get(key)
        return row.pop() if row else None


class Sets(StateMachine):
    """Sets of values by key; a snapshot omits empty ones."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self.sets: dict[str | None, dict[bytes, Value]] = {}
        """Values by their encoding, which distinguishes True from 1."""

    @operation
    def add(self, key: str | None, argument: Value) -> Value:
        values, encoded = self.sets.setdefault(key, {}), _encode(argument)
        if encoded in values:
            return False
        values[encoded] = argument
        return True

    @operation
    def remove(self, key: str | None, argument: Value) -> Value:
        return self.sets.get(key, {}).pop(_encode(argument), self) is not self

    @query
    def contains(self, key: str | None, argument: Value) -> Value:
        return _encode(argument) in self.sets.get(key, {})

    @query
    def read(self, key: str | None, argument: Value) -> Value:
        return tuple(value for _, value in sorted(self.sets.get(key, {}).items()))

    def snapshot(self) -> bytes:
        kept = [(key, list(self.read(key, None))) for key, values in self.sets.items() if values]
        return _encode(sorted(kept, key=lambda item: (item[0] is not None, item[0] or "")))

    def restore(self, snapshot: bytes) -> None:
        self.sets = {key: {_encode(value): _frozen(value) for value in values} for key, values in _decode(snapshot)}


def _frozen(value: Any) -> Value:
    """Returns the value with lists replaced by tuples, at any depth."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


@hookimpl
def register_state_machines() -> list[StateMachineSpec]:
    return [
        StateMachineSpec(
            name="queue", machine=Queues, model="queue", summary="Queues, one a key: first in, first out."
        ),
        StateMachineSpec(name="stack", machine=Stacks, model="stack", summary="Stacks, one a key: last in, first out."),
        StateMachineSpec(name="set", machine=Sets, model="set", summary="Sets of values, one a key."),
    ]
