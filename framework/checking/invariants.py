"""Invariants: properties of a protocol's nodes that must always hold, checked step by step.

    class OneLeader(Invariant[Raft]):
        def __init__(self) -> None:
            self.leaders: dict[int, NodeId] = {}  # by term

        def observe(self, step: Step, node: Raft) -> None:
            if node.role == "leader" and self.leaders.setdefault(node.term, node.id) != node.id:
                raise Violation("election safety", (node.id,), f"term {node.term} has two leaders")

An invariant has its own memory, because most properties ("one leader per term, ever") are not visible in one state. It
is called after every step of a run, so it should look only at changes since it last saw the node, not at all its state.
"""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from itertools import islice
from typing import Any, ClassVar, ForwardRef, Generic, TypeVar

from framework.core.durable import DurableMap
from framework.core.errors import PluginError
from framework.core.message import NodeId
from framework.core.node import Node
from framework.core.time import MILLISECOND

N = TypeVar("N", bound=Node)
K = TypeVar("K")

CLOCKS_APART = 5 * MILLISECOND
"""On several machines, steps of two nodes closer in time than this may be reported out of order. In nanoseconds."""


class Step:
    """The step just taken, and its node.

    The object is reused for every step of a node: keep its fields, not the object. `time` is the run's, in nanoseconds;
    `seq` is the step's row in the trace (for a batch, that of its last step); `path` is the mount's, "" for a node that
    is not mounted. `started`: this is the first step seen since the node booted, restarted or was mounted; its state
    that is not durable is gone.
    """

    __slots__ = ("node", "path", "seq", "started", "time")

    def __init__(self, node: NodeId) -> None:
        self.node = node
        self.time = 0
        self.seq = -1
        self.path = ""
        self.started = False


class Invariant(ABC, Generic[N]):
    """Base of every invariant: `class OneLeader(Invariant[Raft])` observes nodes of the class Raft.

    One instance is created, without arguments, for each group of nodes: for the nodes of the run, and for all mounts at
    one path. Clients are nodes too: an invariant on their class, or on Node, also observes them. A mounted node is
    observed after the batches in which it took a step, sent or noted something, passed an event to its parent, or
    changed a durable field that is not lazy; not after one in which its parent only changed its memory. An invariant
    sees only durable state: it observes a node after the commit of a batch, when the effects leave, all steps of the
    batch at once. It never sees a batch lost in a crash; with `engine.check_invariants_every` above 1 it skips other
    batches too, so that its last view of another node may be out of date.
    """

    watches: ClassVar[type[Node]] = Node
    """The class of the observed nodes, including subclasses: the argument of `Invariant[…]`."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for base in cls.__dict__.get("__orig_bases__", ()):
            if issubclass(typing.get_origin(base) or object, Invariant):
                (watched,) = typing.get_args(base)
                if not isinstance(watched, TypeVar):  # else a subclass names the nodes
                    cls.watches = _node_class(watched, cls)

    @abstractmethod
    def observe(self, step: Step, node: N) -> None:
        """Checks a node that has taken a step, without changing it. Raises Violation if the invariant is broken.

        Any other result than None, or any other exception, is a mistake of the invariant: the verdict is unknown.
        """

    def on_crash(self, node: NodeId) -> None:
        """Called when an observed node has crashed. It takes no step until it restarts, then with `started`.

        An invariant about the present ("at most one primary now") must forget here the node's volatile state.
        """


def names_nodes(invariant: type[Invariant[Any]]) -> bool:
    """Returns whether the class or one of its bases names the class of the observed nodes, even if only Node itself."""
    return any("watches" in vars(base) for base in invariant.__mro__ if base is not Invariant)


def _node_class(watched: Any, invariant: type) -> type[Node]:
    """Returns the argument of `Invariant[…]`. Raises PluginError unless it is a node class."""
    if isinstance(watched, type) and issubclass(watched, Node):
        return watched
    text = isinstance(watched, ForwardRef)
    shown = watched.__qualname__ if isinstance(watched, type) else repr(watched.__forward_arg__ if text else watched)
    what = f"watches {shown}, which is {'a text, and not a node class' if text else 'not a node class'}"
    raise PluginError(invariant.__qualname__, what, "Write Invariant[MyNode].")


class WrittenKeys:
    """Finds what a node has written to a durable map, for invariants that look only at changes. One for each map.

    Of a dict in memory it finds what has been added; nothing may be removed from it.
    """

    def __init__(self) -> None:
        self._seen: dict[NodeId, int] = {}

    def since(self, step: Step, records: DurableMap[K, Any] | dict[K, Any]) -> list[K]:
        """Returns the keys that were set since the node of `step` was last seen; all that the map holds after a
        restart. Older keys may follow."""
        writes = len(records) if isinstance(records, dict) else records.writes
        new = writes - self._seen.get(step.node, 0)
        if not new and not step.started:
            return []
        self._seen[step.node] = writes
        if step.started:
            return list(records)
        return list(islice(reversed(records), new) if isinstance(records, dict) else records.latest(new))
