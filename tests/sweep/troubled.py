"""A protocol that hangs, raises, eats memory or ends its process, as its config says; and one that depends on other runs."""

from __future__ import annotations

from pathlib import Path

TROUBLED = '''
"""An echo that is in trouble from its tenth message on."""

import os
import re
import signal

from framework import Client, Config, Message, Node, NodeId, Ok, Operation, OperationId, ProtocolSpec, handles, hookimpl, on_timer

SEEN = []


class TroubledConfig(Config):
    trouble: str = "none"


class Say(Message):
    operation: OperationId
    text: str


class Said(Message):
    operation: OperationId
    text: str


class Troubled(Node):
    config: TroubledConfig

    def on_start(self) -> None:
        self.heard = 0
        self.kept = []

    @handles(Say)
    def on_say(self, sender: NodeId, say: Say) -> None:
        self.heard += 1
        text = say.text
        if self.heard == 10 and self.config.trouble == "lagging":
            SEEN.append(text)
            self.set_timer(self.answer, sender, say.operation, text, after=len(SEEN))
            return
        if self.heard == 10:
            text = getattr(self, "be_" + self.config.trouble)(text)
        self.send(sender, Said(operation=say.operation, text=text))

    @on_timer
    def answer(self, sender: NodeId, operation: OperationId, text: str) -> None:
        self.send(sender, Said(operation=operation, text=text))

    def be_flagged(self, text: str) -> str:
        return "?" if os.path.exists(os.path.join(os.path.dirname(__file__), "flag")) else text

    def be_none(self, text: str) -> str:
        return text

    def be_lying(self, text: str) -> str:
        return "?"

    def be_hanging(self, text: str) -> str:
        while True:
            pass

    def be_matching(self, text: str) -> str:
        return str(re.match("(a+)+$", "a" * 60 + "b"))

    def be_raising(self, text: str) -> str:
        raise KeyError(text)

    def be_eating(self, text: str) -> str:
        while True:
            self.kept.append(bytes(10_000_000))

    def be_eating_quietly(self, text: str) -> str:
        try:
            return self.be_eating(text)
        except Exception as error:
            raise RuntimeError("no more") from error

    def be_exiting(self, text: str) -> str:
        os._exit(3)

    def be_killed(self, text: str) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return text

    def be_remembering(self, text: str) -> str:
        SEEN.append(text)
        return text if len(SEEN) == 1 else "?"


class Listener(Client):
    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[0], Say(operation=operation.id, text=operation.argument))

    @handles(Said)
    def on_said(self, sender: NodeId, said: Said) -> None:
        self.complete(said.operation, Ok(said.text))


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="troubled", node=Troubled, client=Listener, config=TroubledConfig, summary="Is in trouble.",
            operations=("echo",), checkers=("echo",),
        )
    ]
'''


def write_troubled(folder: Path, module: str) -> Path:
    """Writes the plugin; its module must have a name that no other test uses."""
    file = folder / f"{module}.py"
    file.write_text(TROUBLED)
    return file
