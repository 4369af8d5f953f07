"""A node with many mounts of which each step concerns one: what do the idle ones cost?"""

from __future__ import annotations

from framework import (
    MILLISECOND,
    Client,
    Config,
    DurableLog,
    Invariant,
    Message,
    Node,
    NodeId,
    Ok,
    Operation,
    OperationId,
    ProtocolSpec,
    Step,
    Violation,
    durable_log,
    handles,
    hookimpl,
    on_timer,
)


class MountsConfig(Config):
    """The number of mounts of each node."""

    mounts: int = 1


class Put(Message):
    operation: OperationId
    text: str


class Stored(Message):
    operation: OperationId


class Log(Node):
    """A mount: appends what it is sent, and postpones a timer."""

    log: DurableLog[str] = durable_log(str)

    def on_start(self) -> None:
        self.look()

    @on_timer
    def look(self) -> None:
        self.set_timer(self.look, after=500 * MILLISECOND)

    @handles(Put)
    def on_put(self, sender: NodeId, put: Put) -> None:
        self.log.append(put.text)
        self.look()
        self.send(sender, Stored(put.operation))


class Host(Node):
    """The node that has the mounts."""

    config: MountsConfig
    mounts = (Log,)

    def on_start(self) -> None:
        for number in range(self.config.mounts):
            self.mount(f"log-{number}", Log, None, ())


class Writer(Client):
    """Writes to one mount after the other."""

    config: MountsConfig

    def invoke(self, operation: Operation) -> None:
        mount = f"log-{operation.id % self.config.mounts}"
        self.send(self.servers[0], Put(operation.id, operation.argument), mount=mount)

    @handles(Stored)
    def on_stored(self, sender: NodeId, stored: Stored) -> None:
        self.complete(stored.operation, Ok("stored"))


class Grows(Invariant[Log]):
    """A log never shrinks."""

    def __init__(self) -> None:
        self.last: dict[NodeId, int] = {}

    def observe(self, step: Step, node: Log) -> None:
        if node.log.last < self.last.get(node.id, 0):
            raise Violation("a log grows", (node.id,), f"it ends at {node.log.last}")
        self.last[node.id] = node.log.last


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="idle_mounts", summary="Many mounts, most of them idle.", node=Host, client=Writer, config=MountsConfig,
            operations=("echo",), invariants=(Grows,),
        )
    ]  # fmt: skip
