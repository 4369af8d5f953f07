"""Counters, one for each key, all initially 0.

| operation   | argument                | result         |
| ----------- | ----------------------- | -------------- |
| `read`      | none                    | the value      |
| `increment` | an integer, 1 if absent | the new value  |

An increment that is not an integer, or that exceeds 64 bits, is refused.
"""

from __future__ import annotations

import msgspec

from framework import Config, Refused, StateMachine, StateMachineSpec, Value, hookimpl, operation, query

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str | None, int]]).decode


class Counters(StateMachine):
    """Counter values by key; a snapshot omits zeros."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self.values: dict[str | None, int] = {}

    @query
    def read(self, key: str | None, argument: Value) -> Value:
        return self.values.get(key, 0)

    @operation
    def increment(self, key: str | None, argument: Value) -> Value:
        amount = 1 if argument is None else argument
        if type(amount) is not int:
            raise Refused("increment takes an integer")
        value = self.values.get(key, 0) + amount
        if not -(1 << 63) <= value < 1 << 63:
            raise Refused("the counter would leave the range of 64 bits")
        self.values[key] = value
        return value

    def snapshot(self) -> bytes:
        kept = (item for item in self.values.items() if item[1])
        return _encode(sorted(kept, key=lambda item: (item[0] is not None, item[0] or "")))

    def restore(self, snapshot: bytes) -> None:
        self.values = dict(_decode(snapshot))


@hookimpl
def register_state_machines() -> list[StateMachineSpec]:
    return [StateMachineSpec(name="counter", machine=Counters, model="counter", summary="Counters, one a key.")]
