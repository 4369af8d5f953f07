"""Echo: says back what it hears."""

from framework import Client, Message, Node, NodeId, Ok, Operation, OperationId, ProtocolSpec, handles, hookimpl


class Echo(Message):
    operation: OperationId
    text: str


class EchoReply(Message):
    operation: OperationId
    text: str


class EchoNode(Node):
    @handles(Echo)
    def on_echo(self, sender: NodeId, echo: Echo) -> None:
        self.send(sender, EchoReply(operation=echo.operation, text=echo.text))


class EchoClient(Client):
    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[0], Echo(operation=operation.id, text=operation.argument))

    @handles(EchoReply)
    def on_reply(self, sender: NodeId, reply: EchoReply) -> None:
        self.complete(reply.operation, Ok(reply.text))


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="echo",
            node=EchoNode,
            client=EchoClient,
            summary="Says back what it hears.",
            operations=("echo",),
            checkers=("echo",),
        )
    ]
