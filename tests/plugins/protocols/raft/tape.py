"""The state machine of these tests: a tape that values are added to; the answer is the place on it, or its length."""

from __future__ import annotations

import msgspec

from framework import StateMachine, StateMachineChoice, Value, operation, query
from framework.core.message import Config


class Tape(StateMachine):
    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self.values: list[Value] = []

    @operation
    def add(self, key: str | None, argument: Value) -> Value:
        self.values.append(argument)
        return len(self.values)

    @query
    def read(self, key: str | None, argument: Value) -> Value:
        return len(self.values)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self.values)

    def restore(self, snapshot: bytes) -> None:
        self.values = msgspec.msgpack.decode(snapshot)


TAPE = StateMachineChoice(Tape)
