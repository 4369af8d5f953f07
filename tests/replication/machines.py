"""A small state machine for the tests."""

from __future__ import annotations

import msgspec

from framework.core.message import Config
from framework.core.value import Value
from framework.replication.state_machine import Refused, StateMachine, operation, query


class Register(StateMachine):
    """One value that can be set, added to and listed with its history."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self.values: list[Value] = [0]

    @operation
    def add(self, key: str | None, argument: Value) -> Value:
        if argument < 0:
            raise Refused("cannot take away")
        self.values.append(self.values[-1] + argument)
        return self.values[-1]

    @query
    def total(self, key: str | None, argument: Value) -> Value:
        return self.values[-1]

    @operation
    def echo(self, key: str | None, argument: Value) -> Value:
        assert not isinstance(argument, list)
        return (key, argument)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self.values)

    def restore(self, snapshot: bytes) -> None:
        self.values = msgspec.msgpack.decode(snapshot)
