"""What a check concludes: three values, and never "valid" by default.

A check that saw nothing, or that ran out of budget, did not pass: it is unknown, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """`INVALID` outweighs `UNKNOWN`, which outweighs `VALID`."""

    VALID = "valid"
    UNKNOWN = "unknown"
    INVALID = "invalid"

    @property
    def exit_code(self) -> int:
        """What a command exits with: 0 valid, 1 invalid, 2 unknown."""
        return _EXIT_CODES[self]


_EXIT_CODES = {Verdict.VALID: 0, Verdict.INVALID: 1, Verdict.UNKNOWN: 2}
_WEIGHT = {Verdict.VALID: 0, Verdict.UNKNOWN: 1, Verdict.INVALID: 2}

NO_CHECKER = "no checker ran"
"""Why nothing at all is unknown."""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One checker's conclusion; `msgspec.to_builtins` turns it into JSON.

    `story` is the shortest evidence found for an invalid verdict, one line an element, else empty. `operations` counts
    the operations of known success that were judged; `steps` the work done, which is the same in every run of the
    same check. `key` is the part of the history that the verdict is about, when it is about one part.
    """

    name: str
    verdict: Verdict
    reason: str
    story: tuple[str, ...] = ()
    operations: int = 0
    steps: int = 0
    key: str | None = None


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The heaviest of `verdicts`; of none it is UNKNOWN, for `NO_CHECKER`."""
    return max(verdicts, key=_WEIGHT.__getitem__, default=Verdict.UNKNOWN)


def conclude(results: Iterable[CheckResult]) -> tuple[Verdict, str]:
    """The verdict of a run, with the reason of the first check that is as bad."""
    checked = list(results)
    verdict = worst(result.verdict for result in checked)
    reasons = (f"{result.name}: {result.reason}" for result in checked if result.verdict is verdict)
    return verdict, next(reasons, NO_CHECKER)
