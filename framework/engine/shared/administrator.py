"""The administrator of a run: it asks a group for administrative operations, one after another."""

from __future__ import annotations

from collections import deque

from framework.core.client import Ok, Operation, Outcome
from framework.faults.actions import RunAdminOperation


class AdministratorQueue:
    """The operations that the administrator of a run performs one after another, with their outcomes.

    Their ids count down from -1, so that they differ from those of the workload.
    """

    def __init__(self) -> None:
        self._waiting: deque[RunAdminOperation] = deque()
        self._current: RunAdminOperation | None = None
        self._begun = 0

    def add(self, ask: RunAdminOperation) -> None:
        self._waiting.append(ask)

    def begin(self) -> Operation | None:
        """Returns the next operation; None while one is under way, or if none waits."""
        if self._current is not None or not self._waiting:
            return None
        self._current = ask = self._waiting.popleft()
        self._begun += 1
        return Operation(-self._begun, ask.function, None, ask.node)

    def end(self, outcome: Outcome) -> tuple[int, str]:
        """Ends the operation under way. Returns its token, and the reason why it was not done ("" if it was)."""
        assert self._current is not None
        ask, self._current = self._current, None
        return ask.token, "" if type(outcome) is Ok else outcome.why  # type: ignore[union-attr]
