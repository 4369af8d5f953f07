"""The administrator of a run: it asks a group for administrative operations, one after another."""

from __future__ import annotations

from collections import deque

from framework.core.client import Ok, Operation, Outcome
from framework.faults.actions import RunAdminOperation


class AdministratorQueue:
    """What the administrator of a run is sent to do: one thing after another, and how each ended.

    Operations count down from -1, apart from those of the workload.
    """

    def __init__(self) -> None:
        self._waiting: deque[RunAdminOperation] = deque()
        self._current: RunAdminOperation | None = None
        self._begun = 0

    def add(self, ask: RunAdminOperation) -> None:
        self._waiting.append(ask)

    def begin(self) -> Operation | None:
        """The next operation; None while one is under way, or if nothing waits."""
        if self._current is not None or not self._waiting:
            return None
        self._current = ask = self._waiting.popleft()
        self._begun += 1
        return Operation(-self._begun, ask.function, None, ask.node)

    def end(self, outcome: Outcome) -> tuple[int, str]:
        """The operation under way is over: its token, and why it was not done, or ""."""
        assert self._current is not None
        ask, self._current = self._current, None
        return ask.token, "" if type(outcome) is Ok else outcome.why  # type: ignore[union-attr]
