"""Invariants: what must hold of a protocol's nodes at every moment, watched one step at a time.

    class OneLeader(Invariant[Raft]):
        def __init__(self) -> None:
            self.leaders: dict[int, NodeId] = {}  # by term

        def observe(self, step: Step, node: Raft) -> None:
            if node.role == "leader" and self.leaders.setdefault(node.term, node.id) != node.id:
                raise Violation("election safety", (node.id,), f"term {node.term} has two leaders")

An invariant has a memory of its own, for most promises ("one leader a term, ever") cannot be seen in one state. It
is asked after every step of a run, so it looks at what is new since it last saw the node, never at all there is.
"""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

from framework.core.errors import PluginError
from framework.core.message import NodeId
from framework.core.node import Node
from framework.core.time import MILLISECOND

N = TypeVar("N", bound=Node)

CLOCKS_APART = 5 * MILLISECOND
"""On several machines the steps of two nodes may be told in another order than they took when they are closer than this."""


class Step:
    """What has just happened, and where. The same object comes with every step of a node: keep its fields.

    `time` is the run's, in nanoseconds; `seq` is the step's row in the trace (of a batch, its last step's); `path`
    is the mount's, "" for a node that is not mounted. `started` says that this node is seen for the first time: it
    has booted, restarted or been mounted since, and what it does not keep durably is gone.
    """

    __slots__ = ("node", "path", "seq", "started", "time")

    def __init__(self, node: NodeId) -> None:
        self.node = node
        self.time = 0
        self.seq = -1
        self.path = ""
        self.started = False


class Invariant(ABC, Generic[N]):
    """Base of every invariant: write `class OneLeader(Invariant[Raft])`, which watches nodes of the class Raft.

    One instance is made, without arguments, for each group of nodes: for the nodes of the run, and for all mounts of
    one path. Clients are nodes too: an invariant that watches their class, or every Node, is shown them as well.
    What it sees is durable: a node is shown when the commit of a batch is over and its effects leave, all steps of the
    batch at once. A batch that a crash took is never shown; with `engine.check_invariants_every` above 1 others are
    left out too, so that what it saw last of another node may be out of date.
    """

    watches: ClassVar[type[Node]] = Node
    """The class of the nodes that are shown, subclasses included: the argument of `Invariant[…]`."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for base in cls.__dict__.get("__orig_bases__", ()):
            if issubclass(typing.get_origin(base) or object, Invariant):
                (watched,) = typing.get_args(base)
                if isinstance(watched, type):
                    cls.watches = watched
        if not issubclass(cls.watches, Node):
            raise PluginError(
                cls.__qualname__,
                f"watches {cls.watches.__qualname__}, which is no node",
                "Write Invariant[MyNode].",
            )

    @abstractmethod
    def observe(self, step: Step, node: N) -> None:
        """Looks at the node that has changed, and changes nothing in it. Violation if the promise is broken."""

    def on_crash(self, node: NodeId) -> None:
        """Hears that a node, seen before, has crashed: it takes no step until it restarts, and then comes with `started`.

        An invariant about the present ("at most one primary now") forgets here what the node held in memory.
        """
