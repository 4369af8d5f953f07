"""Verdicts of checks: three values, and never "valid" by default.

A check that saw nothing, or that ran out of budget, did not pass: its verdict is unknown, with a reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec


class Verdict(StrEnum):
    """A verdict. `INVALID` outweighs `UNKNOWN`, and `UNKNOWN` outweighs `VALID`."""

    VALID = "valid"
    UNKNOWN = "unknown"
    INVALID = "invalid"

    @property
    def exit_code(self) -> int:
        """The exit code of a command: 0 valid, 1 invalid, 2 unknown."""
        return _EXIT_CODES[self]


_EXIT_CODES = {Verdict.VALID: 0, Verdict.INVALID: 1, Verdict.UNKNOWN: 2}
_WEIGHT = {Verdict.VALID: 0, Verdict.UNKNOWN: 1, Verdict.INVALID: 2}

NO_CHECKER = "no checker ran"
"""The reason of the verdict UNKNOWN on no results."""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One checker's conclusion; `msgspec.to_builtins` converts it for JSON.

    `story` is the shortest evidence found for an invalid verdict, one line per element, else empty. `operations` counts
    the operations of known success that were judged; `steps` the work done, which is the same in every run of the same
    check. `key` is the part of the history that the verdict is about, if it is about one part. `time` is the time in
    the run, in nanoseconds, at which the property was broken: that of the step, or of the completion that shows it; None
    if the checker names none. `measures` are numbers that the checker has found besides, plain data for result.json.
    """

    name: str
    verdict: Verdict
    reason: str
    story: tuple[str, ...] = ()
    operations: int = 0
    steps: int = 0
    key: str | None = None
    time: int | None = None
    measures: dict[str, Any] = {}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Returns the heaviest of `verdicts`; UNKNOWN if there are none, for the reason `NO_CHECKER`."""
    return max(verdicts, key=_WEIGHT.__getitem__, default=Verdict.UNKNOWN)


def conclude(results: Iterable[CheckResult]) -> tuple[Verdict, str]:
    """Returns the verdict of a run, with the reason of the first check that has this verdict."""
    checked = list(results)
    verdict = worst(result.verdict for result in checked)
    reasons = (f"{result.name}: {result.reason}" for result in checked if result.verdict is verdict)
    return verdict, next(reasons, NO_CHECKER)
