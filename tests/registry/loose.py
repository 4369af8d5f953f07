"""Plugins written to a folder, each under a module name of its own, so that no two tests share a module."""

from __future__ import annotations

import itertools
from pathlib import Path

_numbers = itertools.count(1)

PROTOCOL = """
from framework import Client, Message, Node, NodeId, Ok, Operation, OperationId, ProtocolSpec, handles, hookimpl

class Ask(Message):
    operation: OperationId

class Told(Message):
    operation: OperationId

class Oracle(Node):
    @handles(Ask)
    def on_ask(self, sender: NodeId, ask: Ask) -> None:
        self.send(sender, Told(operation=ask.operation))

class Asker(Client):
    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[0], Ask(operation=operation.id))

    @handles(Told)
    def on_told(self, sender: NodeId, told: Told) -> None:
        self.complete(told.operation, Ok())

@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [ProtocolSpec(name="oracle", node=Oracle, client=Asker, summary="Knows.", operations=("ask",))]
"""
"""A protocol that keeps every rule."""


def write_plugin(folder: Path, source: str = PROTOCOL, name: str | None = None) -> Path:
    """The file of a new plugin in `folder`."""
    file = folder / f"{name or f'loose_{next(_numbers)}'}.py"
    file.write_text(source, encoding="utf-8")
    return file
