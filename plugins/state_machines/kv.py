"""A key-value store.

| operation | argument     | result                       | effect                                            |
| --------- | ------------ | ---------------------------- | ------------------------------------------------- |
| `read`    | none         | the value, None if absent    | none                                              |
| `write`   | a value      | None                         | sets the value; None makes the key absent         |
| `cas`     | (old, new)   | whether the value was `old`  | if so, sets the value to `new`                    |
| `append`  | a string     | None                         | appends the string; an absent key counts as ""    |
| `delete`  | none         | None                         | makes the key absent                              |

Values are None, booleans, integers, strings and tuples of these; values of different types are never equal (True is not
1). Appending to a value that is not a string is refused.
"""

from __future__ import annotations

from typing import Any

import msgspec

from framework import Config, Refused, StateMachine, StateMachineSpec, Value, hookimpl, operation, query

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str | None, Any]]).decode


class KeyValueStore(StateMachine):
    """Values by key; absent keys are not stored."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self.values: dict[str | None, Value] = {}

    @query
    def read(self, key: str | None, argument: Value) -> Value:
        return self.values.get(key)

    @operation
    def write(self, key: str | None, argument: Value) -> Value:
        if argument is None:
            self.values.pop(key, None)
        else:
            self.values[key] = argument

    @operation
    def cas(self, key: str | None, argument: Value) -> Value:
        if type(argument) is not tuple or len(argument) != 2:
            raise Refused("cas takes a pair: (old, new)")
        old, new = argument
        if _encode(self.values.get(key)) != _encode(old):  # as bytes, because True == 1
            return False
        self.write(key, new)
        return True

    @operation
    def append(self, key: str | None, argument: Value) -> Value:
        value = self.values.get(key, "")
        if type(argument) is not str or type(value) is not str:
            raise Refused("append takes a text, and only a text can be appended to")
        self.write(key, value + argument)

    @operation
    def delete(self, key: str | None, argument: Value) -> Value:
        self.values.pop(key, None)

    def snapshot(self) -> bytes:
        return _encode(sorted(self.values.items(), key=lambda item: (item[0] is not None, item[0] or "")))

    def restore(self, snapshot: bytes) -> None:
        self.values = dict(_decode(snapshot))


@hookimpl
def register_state_machines() -> list[StateMachineSpec]:
    return [StateMachineSpec(name="kv", machine=KeyValueStore, model="kv", summary="A key-value store.")]
