"""Eventually consistent sets and counters by gossip, and ways to break them: the protocol that `final_state` is judged on.

Each node holds, by key, a grow-only set of entries `(client, number, amount)`; it answers at once and tells a random peer all
that it holds every `interval`. A set reads the entries' names, a counter adds up their amounts.
"""

from __future__ import annotations

from typing import Literal

from framework import (
    Client,
    Config,
    DurableMap,
    Duration,
    Message,
    Node,
    NodeId,
    Ok,
    Operation,
    OperationId,
    ProtocolSpec,
    Record,
    durable_map,
    handles,
    hookimpl,
    on_timer,
)


class Entry(Record):
    name: str
    amount: int
    operation: int


class GossipConfig(Config):
    counts: bool = False
    interval: Duration = Duration("20ms")
    bug: Literal["none", "forgets", "silent", "overwrites", "doubles", "invents"] = "none"


class Ask(Message):
    operation: OperationId
    function: str
    key: str
    entry: Entry | None


class Answer(Message):
    operation: OperationId
    names: tuple[str, ...]
    total: int


class Gossip(Message):
    rows: tuple[tuple[str, tuple[Entry, ...]], ...]


class GossipNode(Node):
    config: GossipConfig

    rows: DurableMap[str, tuple[Entry, ...]] = durable_map(str, tuple[Entry, ...])

    def on_start(self) -> None:
        self.entries = 0
        self.set_timer(self.gossip, after=self.config.interval)

    @on_timer
    def gossip(self) -> None:
        self.set_timer(self.gossip, after=self.config.interval)
        if self.config.bug != "silent":
            self.send(self.rng.choice(self.peers), Gossip(tuple(sorted(self.rows.items()))))

    @handles(Gossip)
    def on_gossip(self, sender: NodeId, gossip: Gossip) -> None:
        for key, theirs in gossip.rows:
            ours = self.rows.get(key) or ()
            if self.config.bug == "overwrites":
                self.rows[key] = theirs if len(theirs) > len(ours) else ours
            elif self.config.bug == "doubles":
                self.rows[key] = (
                    *ours,
                    *(entry for entry in theirs if entry.operation % 97 == 0 or entry not in ours),
                )[:3000]
            elif set(theirs) - set(ours):
                self.rows[key] = tuple(dict.fromkeys((*ours, *theirs)))

    @handles(Ask)
    def on_ask(self, sender: NodeId, ask: Ask) -> None:
        row = self.rows.get(ask.key) or ()
        self.entries += ask.entry is not None
        if ask.entry is not None and not (self.config.bug == "forgets" and self.entries % 20 == 7):
            row = self.rows[ask.key] = (*row, ask.entry)
        names = tuple(entry.name for entry in row) if ask.function == "read" else ()
        total = sum(entry.amount for entry in row)
        if self.config.bug == "invents" and ask.function == "read":
            names, total = (*names, "nobody's"), total + 1_000_000
        self.send(sender, Answer(ask.operation, names, total))


class GossipClient(Client):
    def invoke(self, operation: Operation) -> None:
        self.function = operation.function
        entry = None
        if operation.function == "add":
            entry = Entry(operation.argument, 1, operation.id)
        elif operation.function == "increment":
            entry = Entry("", operation.argument, operation.id)
        self.send(self.rng.choice(self.servers), Ask(operation.id, operation.function, operation.key or "", entry))

    @handles(Answer)
    def on_answer(self, sender: NodeId, answer: Answer) -> None:
        read = answer.total if self.config.counts else answer.names
        self.complete(answer.operation, Ok(read if self.function == "read" else None))


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="gossip", node=GossipNode, client=GossipClient, config=GossipConfig,
            operations=("add", "increment", "read"), checkers=("set",), summary="Sets and counters by gossip.",
        )
    ]  # fmt: skip
