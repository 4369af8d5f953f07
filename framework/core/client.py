"""Clients: nodes that run one operation at a time on behalf of a workload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from framework.core.effects import Complete
from framework.core.errors import PluginError
from framework.core.message import NodeId, Record
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


class Client(Node):
    """Base of every client. Write `invoke`, and end each operation with `complete`.

    An operation that outlives its time-out ends as `Unknown`. After `Unknown` the process is retired: the next
    operation runs on a new instance (`on_start` runs again), under a new process id.
    """

    current: OperationId | None = None
    """The operation under way."""

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

    def complete(self, operation: OperationId, outcome: Outcome) -> None:
        """Ends `operation`. A late or second completion is noted in the trace and otherwise ignored."""
        if not isinstance(outcome, (Ok, Fail, Unknown)):
            raise self._misuse(
                f"completes an operation with a {type(outcome).__name__}", "Write Ok(value), Fail(why) or Unknown(why)."
            )
        if self.current is None or operation != self.current:
            self.note("late_completion", operation=operation)
            return
        self.current = None
        self.cancel_timer(self._time_out)
        self._runtime.effects.append(Complete(operation, outcome, self._runtime.step))

    def _begin(self, operation: Operation, timeout: int) -> None:
        """Starts `operation` and its time-out (in nanoseconds; 0 is none). The engine calls this, as one step."""
        assert self.current is None, f"{self.id} is busy with operation {self.current}"
        self.current = operation.id
        if timeout:
            self._timeout = timeout
            self.set_timer(self._time_out, after=timeout)
        self.invoke(operation)

    _timeout: int = 0

    @on_timer
    def _time_out(self) -> None:
        if self.current is not None:
            self.complete(self.current, Unknown(f"no answer within {format_duration(self._timeout)}"))
