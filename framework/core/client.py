"""Clients: nodes that run one operation at a time on behalf of a workload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

from framework.core.effects import Complete
from framework.core.errors import PluginError
from framework.core.message import Event, NodeId, Record
from framework.core.node import Node, on_timer
from framework.core.time import format_duration
from framework.core.value import Value

OperationId: TypeAlias = int
"""Unique in a run."""


class Operation(Record):
    """One call of a client: `Operation(id=7, function="write", key="x", argument=3)`."""

    id: OperationId
    function: str
    key: str | None = None
    argument: Value = None


class Ok(Record):
    """The operation took effect, with this result."""

    value: Value = None


class Fail(Record):
    """The operation did not take effect and never will: no attempt of it can."""

    why: str


class Unknown(Record):
    """The operation may have taken effect, may yet do so, or never. This outcome retires the client's process."""

    why: str


Outcome: TypeAlias = Ok | Fail | Unknown
"""The outcome of an operation."""


_INTERNAL = ("_runtime", "_path", "_committed", "_handlers", "_peer_mount")


class Ended(Event):
    """To the parent of a mounted client: an operation has ended."""

    operation: OperationId
    outcome: Outcome


class Client(Node):
    """Base of every client. Write `invoke`, and end each operation with `complete`.

    An operation that outlives its time-out ends as `Unknown`. After `Unknown` the process is retired: the next
    operation runs on a new instance (`on_start` runs again), under a new process id.

    A node mounts a client to use a service that it does not belong to. It calls `start`, and handles `Ended`:

        self.store = self.mount("store", SessionClient, config, servers, peer_mount="")
        self.store.start(Operation(id=request.operation, function="read", key="x"))

        @handles(Ended)
        def on_ended(self, mount: str, ended: Ended) -> None: ...
    """

    current: OperationId | None = None
    """The operation under way."""

    _keeps_own_id: ClassVar[bool] = True
    _retired: bool = False  # mounted, and its last operation ended as Unknown

    @property
    def servers(self) -> tuple[NodeId, ...]:
        """The nodes that serve this client, in the order of the config."""
        return self.peers

    def invoke(self, operation: Operation) -> None:
        """Starts `operation`."""
        raise PluginError(
            type(self).__qualname__,
            "a client needs invoke(operation)",
            "Write def invoke(self, operation: Operation) -> None.",
        )

    def awaited_nodes(self) -> Sequence[NodeId]:
        """Returns the nodes whose answer the operation under way awaits; empty if the client does not report them."""
        return ()

    def start(self, operation: Operation, timeout: int = 0) -> None:
        """Starts `operation` on a mounted client. Its parent receives `Ended`. `timeout`: nanoseconds; 0: no time-out.

        After `Unknown` the client starts afresh (`on_start` runs again), as its earlier requests may still be under
        way. Raises PluginError while an operation is under way.
        """
        if not self._path:
            raise self._misuse(f"start({operation.function}) on a client that is not mounted", "The engine invokes it.")
        if self.current is not None:
            what = f"the mount {self._path!r} is busy with operation {self.current}"
            raise self._misuse(what, "Mount a client for each operation that runs at the same time.")
        parent = self._runtime.nodes[self._path.rpartition("/")[0]]
        if Ended not in parent._handlers:
            what = f"mounts a {type(self).__qualname__}, but does not handle the outcomes of its operations"
            raise parent._misuse(what, "Write @handles(Ended) in it.")
        if self._retired:
            self._renew()
        self._runtime.mounted(self)
        self._begin(operation, timeout)

    def _renew(self) -> None:
        """Begins a new process of a mounted client: its mounts and timers end, and only what is durable stays."""
        runtime, below = self._runtime, f"{self._path}/"
        for path in [path for path in runtime.nodes if path.startswith(below) and "/" not in path[len(below) :]]:
            runtime.unmount(path, False)
        for key in [key for key in runtime.timers if key[0] == self._path]:
            runtime.disarm(key)
        for key in [key for key in runtime.soon if key[0] == self._path]:
            del runtime.soon[key]
        kept = {"id", "config", "peers", "roles", "spare", *self._declared, *_INTERNAL}
        for name in self.__dict__.keys() - kept:
            del self.__dict__[name]
        self.on_start()

    def complete(self, operation: OperationId, outcome: Outcome) -> None:
        """Ends `operation`. A late or second completion is noted in the trace and otherwise ignored."""
        if type(outcome) is not Ok and not isinstance(outcome, (Ok, Fail, Unknown)):
            raise self._misuse(
                f"completes an operation with a {type(outcome).__name__}", "Write Ok(value), Fail(why) or Unknown(why)."
            )
        if self.current is None or operation != self.current:
            self.note("late_completion", operation=operation)
            return
        self.current = None
        self._runtime.disarm((self._path, "_time_out", ()))
        if self._path:
            self._retired = type(outcome) is Unknown
            self.tell(Ended(operation, outcome))
            return
        self._runtime.effects.append(Complete(operation, outcome, self._runtime.step))

    def _begin(self, operation: Operation, timeout: int) -> None:
        """Starts `operation` and its time-out (in nanoseconds; 0: no time-out). The engine calls this, as one step."""
        assert self.current is None, f"{self.id} is busy with operation {self.current}"
        self.current = operation.id
        if timeout:
            self._timeout = timeout
            self._runtime.arm((self._path, "_time_out", ()), self._runtime.now + timeout)
        self.invoke(operation)

    _timeout: int = 0

    @on_timer
    def _time_out(self) -> None:
        if self.current is not None:
            self.complete(self.current, Unknown(f"no answer within {format_duration(self._timeout)}"))
