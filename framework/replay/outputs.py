"""The outputs of a batch, as the trace would record them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from framework.core.address import Address, sender_of, split_address
from framework.core.client import Ok
from framework.core.effects import Complete, Effect, Multicast, Note, Send
from framework.core.errors import PluginError
from framework.core.message import NodeId
from framework.engine.wire_codec import Wire
from framework.replay.node_trace import TraceRow

_json = msgspec.json.Encoder().encode

RAISE = "raise"
"""The kind of a pseudo-output: an effect that no engine can carry out, so that the node crashes."""


class Output(NamedTuple):
    """One output. `step` is the step that made it, `peer` the receiver of a message as its sender addresses it. For a
    commit, `size` is its number of changes."""

    kind: str
    step: int
    path: str = ""
    peer: Address = ""
    name: str = ""
    payload: bytes | None = None
    size: int = -1


def recorded(row: TraceRow) -> Output:
    """Returns the output that a row of the trace records."""
    if row.kind == "commit":
        return Output("commit", row.cause, size=row.size)
    peer = row.peer if row.kind == "send" else ""
    path = "" if row.kind == "complete" else row.path
    return Output(row.kind, row.cause, path, peer, row.message, row.payload)


class OutputCollector:
    """Turns effects into outputs, for the endpoints of one run."""

    def __init__(self, wire: Wire, endpoints: Sequence[NodeId]) -> None:
        self._wire, self._endpoints = wire, frozenset(endpoints)

    def outputs(self, effects: Sequence[Effect]) -> list[Output]:
        """Returns the outputs of `effects`, in order."""
        found: list[Output] = []
        for effect in effects:
            if isinstance(effect, Send):
                found += self._sends((effect.to,), effect.path, effect.message, effect.step)
            elif isinstance(effect, Multicast):
                found += self._sends(effect.to, effect.path, effect.message, effect.step)
            elif isinstance(effect, Note):
                found.append(Output("note", effect.step, effect.path, "", effect.name, _json(effect.fields)))
            else:
                assert isinstance(effect, Complete)
                outcome = effect.outcome
                fields: dict[str, Any] = {"operation": effect.operation}
                fields |= {"value": outcome.value} if type(outcome) is Ok else {"why": outcome.why}
                found.append(Output("complete", effect.step, "", "", type(outcome).__name__.lower(), _json(fields)))
        return found

    def _sends(self, targets: Sequence[Address], path: str, message: Any, step: int) -> list[Output]:
        try:
            index, payload = self._wire.check(message, type(message))
        except PluginError:
            return [Output(RAISE, step)]
        name = self._wire.names[index]
        sends: list[Output] = []
        for to in targets:
            node, mount = split_address(to)
            if node not in self._endpoints:
                return [*sends, Output(RAISE, step)]
            peer = sender_of(node, path, path if mount is None else mount)
            sends.append(Output("send", step, path, peer, name, payload))
        return sends
