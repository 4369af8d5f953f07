"""The load generator: decides when operations start, and which client runs each.

Closed loop: each client starts its next operation when the last one has ended, after its think time. Open loop:
operations fall due at a given rate whatever the system does, a pool of sessions runs them, and latency counts from the
time when an operation was due. The final phase, if the workload has one, is a closed loop.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import isfinite
from typing import Any, ClassVar

import msgspec

from framework.core.client import Operation, Outcome
from framework.core.distributions import Constant, Distribution, Exponential
from framework.core.errors import RAISED
from framework.core.message import NodeId, Record
from framework.core.time import NEVER, SECOND, Duration
from framework.core.tracebacks import blaming, plugin_gave, plugin_raised
from framework.core.value import Value
from framework.load.workload import FinalPhaseConfig, Invocation, Workload, WorkloadConfig, finishing_time

_INT64 = 1 << 63
_pack, _write = msgspec.msgpack.Encoder().encode, msgspec.json.Encoder().encode


class Assignment(Record, array_like=False):
    """An operation for a client. `scheduled` is the time when it was due, in nanoseconds of the run."""

    client: NodeId
    process: int
    operation: Operation
    scheduled: int


class LoadGenerator:
    """The load generator of one client actor. It has no clock and does no I/O: the engine calls `due` at `next_at`.

    `name` is the workload's name as users type it. `clients` are the clients that this generator serves (the
    administrator's process may have none), `first` is the index of the first of them among all `total` clients of the
    run. Operations start from `start` on, and none starts at or after `stop`, not even an operation that fell due
    earlier, unless its client is busy (`Workload.is_busy`). `stream(purpose, entity)` returns the seeded random
    streams.
    """

    _ARRIVAL: ClassVar[int] = -1

    def __init__(
        self,
        workload: Workload,
        clients: Sequence[NodeId],
        stream: Callable[[str, str], random.Random],
        *,
        stop: int,
        start: int = 0,
        first: int = 0,
        total: int | None = None,
        name: str = "",
    ) -> None:
        self.workload = workload
        self._where = f"workload={name or type(workload).__qualname__}"
        self.clients = tuple(clients)
        self.stop = stop
        self.started = 0
        self._total = total if total is not None else len(self.clients)
        self._first = first
        self._stream = stream
        self._open = workload.config.loop == "open" and bool(self.clients)
        self._turns: list[tuple[int, int]] = []  # (time, client index | _ARRIVAL)
        self._idle: deque[int] = deque(range(len(self.clients)))
        self._backlog: deque[tuple[int, Invocation]] = deque()
        self._source = workload.next
        self._functions = frozenset(workload.functions())
        self._ended: list[tuple[NodeId, Operation, Outcome]] = []  # ended operations not yet reported to the workload
        self.reports_ends = type(workload).completed is not Workload.completed  # the class handles them
        # The time after `stop` for which busy clients continue.
        self._finishing = finishing_time(type(workload), workload.config)
        self._processes = [first + index for index in range(len(self.clients))]
        if self._open:
            self._arrival_rng = stream("arrivals", self.clients[0])
            self._operation_rng = stream("workload", self.clients[0])
            self._gap = _gap(workload.config, len(self.clients), self._total)
            self._turns.append((start + self._next_gap(), self._ARRIVAL))
        else:
            self._rngs = [stream("workload", client) for client in self.clients]
            self._turns = [(start, index) for index in range(len(self.clients))]
        self.next_at = self._next_turn()

    def due(self, now: int) -> list[Assignment]:
        """Returns the operations to invoke now, in order; sets `next_at`.

        Raises PluginFailed if the workload raises, or returns anything but an operation or None.
        """
        assignments: list[Assignment] = []
        if now >= self.stop + self._finishing:
            self.next_at = NEVER
            return assignments
        if self._ended:
            self._report_ended()
        turns = self._turns
        while turns and turns[0][0] <= now:
            at, index = heapq.heappop(turns)
            if index == self._ARRIVAL:
                client = self.clients[self._idle[0]] if self._idle else self.clients[0]
                call = self._next(client, now, self._operation_rng)
                if call is not None:
                    self._backlog.append((at, call))
                heapq.heappush(turns, (at + self._next_gap(), self._ARRIVAL))
            elif not self._open and (now < self.stop or self.accepts(index, now)):
                call = self._next(self.clients[index], now, self._rngs[index])
                if call is not None:
                    assignments.append(self._assign(index, call, at))
        while self._backlog and self._idle and self._open:
            scheduled, call = self._backlog.popleft()
            assignments.append(self._assign(self._idle.popleft(), call, scheduled))
        self.next_at = self._next_turn()
        return assignments

    def ended(self, client: NodeId, operation: Operation, outcome: Outcome) -> None:
        """Records the end of an operation, which is reported to the workload before its next operation is requested.
        Needed only if `reports_ends`."""
        self._ended.append((client, operation, outcome))

    def begin_final(self, now: int, free: Iterable[int]) -> None:
        """Begins the final phase, a closed loop of the workload's final operations. The clients numbered `free` begin
        now, the others when their current operations have ended."""
        config = self.workload.config
        assert isinstance(config, FinalPhaseConfig), "registration sees to it"
        self._open = False
        self._source = self.workload.final
        self._rngs = [self._stream("final", client) for client in self.clients]
        self.stop, self._finishing = now + max(1, int(config.final_time)), 0
        self._backlog.clear()
        self._turns = [(now, index) for index in sorted(free)]
        self.next_at = self._next_turn()

    def completed(self, client: int, now: int, *, retired: bool) -> None:
        """Frees client number `client` of this generator; `retired`: it continues under a new process id."""
        if retired:
            self._processes[client] += self._total
        if self._open:
            self._idle.append(client)
            if self._backlog and now < self.stop:
                self.next_at = min(self.next_at, now)
        else:
            at = now + self.workload.config.think_time
            if at < self.stop or self.accepts(client, at):
                heapq.heappush(self._turns, (at, client))
                if at < self.next_at:
                    self.next_at = at

    def accepts(self, client: int, at: int) -> bool:
        """Returns whether client number `client` of this generator may begin an operation at the time `at`."""
        if at < self.stop:
            return True
        if at >= self.stop + self._finishing:
            return False
        if self._ended:
            self._report_ended()
        with blaming(self._where, "is_busy", type(self.workload)):
            return bool(self.workload.is_busy(self.clients[client]))

    def suspend(self, client: int) -> None:
        """Takes client number `client` out of the load: it starts no operation until it is `completed`."""
        if client in self._idle and self._open:
            self._idle.remove(client)
        self._turns = [turn for turn in self._turns if turn[1] != client]
        heapq.heapify(self._turns)
        self.next_at = self._next_turn()

    @property
    def waiting(self) -> int:
        """The number of operations that are due and have no client yet. Those waiting at `stop` are never invoked."""
        return len(self._backlog)

    def _next(self, client: NodeId, now: int, rng: random.Random) -> Invocation | None:
        source = self._source
        try:
            call = source(client, now, rng)
        except MemoryError:
            raise
        except RAISED as error:
            raise plugin_raised(self._where, source.__name__, error, type(self.workload)) from error
        if call is None:
            return None
        if type(call) is tuple and len(call) == 3:
            function, key, argument = call
            is_named = type(function) is str and function in self._functions
            if is_named and (key is None or (type(key) is str and key.isascii())) and _travels(argument):
                return call
        return self._checked(call)

    def _checked(self, call: Any) -> Invocation:
        """Returns an invocation that is valid although not of the usual types. Raises PluginFailed for any other."""
        source = self._source
        if not isinstance(call, (tuple, list)) or len(call) != 3:
            raise plugin_gave(self._where, source.__name__, call, "(function, key, argument)", source)
        for text, may_be_none in ((call[0], False), (call[1], True)):
            if not (isinstance(text, str) or (text is None and may_be_none)) or not _travels(text):
                raise plugin_gave(self._where, source.__name__, text, "a text", source)
        if call[0] not in self._functions:
            named = ", ".join(sorted(self._functions)) or "none"
            raise plugin_gave(self._where, source.__name__, call[0], f"one of its functions() ({named})", source)
        if not _travels(call[2]):
            wanted = "an argument that can be sent and recorded"
            if isinstance(call[2], list):
                wanted = f"{wanted}: write a tuple"
            raise plugin_gave(self._where, source.__name__, call[2], wanted, source)
        return call[0], call[1], call[2]

    def _report_ended(self) -> None:
        """Reports the ended operations to the workload. Raises PluginFailed if the workload raises."""
        ended, self._ended = self._ended, []
        try:
            for client, operation, outcome in ended:
                self.workload.completed(client, operation, outcome)
        except MemoryError:
            raise
        except RAISED as error:
            raise plugin_raised(self._where, "completed", error, type(self.workload)) from error

    def _assign(self, index: int, call: Invocation, scheduled: int) -> Assignment:
        operation = Operation(self.started * self._total + self._first, *call)
        self.started += 1
        return Assignment(self.clients[index], self._processes[index], operation, scheduled)

    def _next_turn(self) -> int:
        return self._turns[0][0] if self._turns and self._turns[0][0] < self.stop + self._finishing else NEVER

    def _next_gap(self) -> int:
        return self._gap.sample(self._arrival_rng)


def _travels(value: Value) -> bool:
    """Returns whether messages can carry the value, and histories can hold it as it is."""
    kind = type(value)
    if value is None or (kind is str and value.isascii()) or (kind is int and -_INT64 <= value < _INT64):
        return True
    try:
        if not _is_plain(value):
            return False
        _pack(value)
        _write(value)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return False
    return True


def _is_plain(value: Value) -> bool:
    """Returns whether the value has the types of a `Value`. Of others JSON would make something else, so that
    checkers would judge another argument: a text of bytes, null of a float that is not finite."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and isfinite(value))


def _gap(config: WorkloadConfig, clients: int, total: int) -> Distribution:
    """Returns the law of the time between two arrivals at `clients` of the `total` clients of a run."""
    second, least = Duration(SECOND), Duration(1)
    fixed, poisson = Constant(delay=second, minimum=least), Exponential(mean=second, minimum=least)
    law = fixed if config.arrivals == "fixed" else poisson
    return law.scaled(Fraction(total, clients) / Fraction(config.rate))
