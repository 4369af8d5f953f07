"""A club: its first member keeps the list of members, on which an administrator has others put or struck off."""

from __future__ import annotations

from framework import (
    Administer,
    Administered,
    Client,
    Message,
    Node,
    NodeId,
    NotLeader,
    Ok,
    Operation,
    OperationId,
    ProtocolSpec,
    ReplicatedConfig,
    Status,
    durable,
    handles,
    hookimpl,
    on_timer,
)


class Greeting(Message):
    operation: OperationId
    text: str


class Welcome(Message):
    members: tuple[NodeId, ...]


class Hello(Message):
    """What each says to all others, all the time."""


class Member(Node):
    members: tuple[NodeId, ...] = durable(())

    def on_start(self) -> None:
        self.leader = min((self.id, *self.peers) if not self.spare else self.peers)
        if not self.members and not self.spare:
            self.members = tuple(sorted((self.id, *self.peers)))
        self.say_hello()

    @on_timer
    def say_hello(self) -> None:
        self.multicast(dict.fromkeys((*self.peers, *self.members)), Hello())
        self.set_timer(self.say_hello, after=20_000_000)

    @handles(Hello)
    def on_hello(self, sender: NodeId, hello: Hello) -> None:
        pass

    @property
    def status(self) -> Status:
        return Status(("leader" if self.id == self.leader else "follower",), " ".join(self.members))

    @handles(Greeting)
    def on_greeting(self, sender: NodeId, greeting: Greeting) -> None:
        self.send(sender, greeting)

    @handles(Welcome)
    def on_welcome(self, sender: NodeId, welcome: Welcome) -> None:
        self.members = welcome.members
        self.note("welcomed", members=len(welcome.members))

    @handles(Administer)
    def on_administer(self, sender: NodeId, wish: Administer) -> None:
        if self.id != self.leader:
            self.send(sender, NotLeader(wish.operation, 0, self.leader))
            return
        if wish.function == "remove_node" and wish.node == self.id:
            self.send(sender, Administered(wish.operation, "the first member stays"))
            return
        others = [member for member in self.members if member != wish.node]
        self.members = tuple(sorted([*others, *([wish.node] if wish.function == "add_node" else [])]))
        self.multicast((*self.members, wish.node), Welcome(self.members))
        self.send(sender, Administered(wish.operation))


class Guest(Client):
    def invoke(self, operation: Operation) -> None:
        self.send(self.servers[0], Greeting(operation.id, operation.argument))

    @handles(Greeting)
    def on_greeting(self, sender: NodeId, greeting: Greeting) -> None:
        self.complete(greeting.operation, Ok(greeting.text))


class ClubConfig(ReplicatedConfig):
    """As it is."""


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="club", node=Member, client=Guest, config=ClubConfig, operations=("echo",), checkers=("echo",),
            summary="Keeps a list of members.", administration=("add_node", "remove_node"),
        )
    ]  # fmt: skip
