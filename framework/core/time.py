"""Time is integer nanoseconds. Configs say `150ms`, `2s`, `1m`, `0`."""

from __future__ import annotations

import re
from fractions import Fraction

NEVER = 1 << 62
"""Later than every deadline."""

MICROSECOND = 1_000
"""Nanoseconds in a microsecond."""
MILLISECOND = 1_000_000
"""Nanoseconds in a millisecond."""
SECOND = 1_000_000_000
"""Nanoseconds in a second."""
UNITS = {"ns": 1, "us": MICROSECOND, "ms": MILLISECOND, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
"""Nanoseconds in each unit."""
_LONGEST = 40
"""The longest text accepted as a duration, in characters: more than any run, time-out or delay needs."""
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h)")


class Duration(int):
    """A span of time in nanoseconds, written with its unit: `Duration("150ms")`.

    Units are ns, us, ms, s, m and h; `0` needs none. Raises ValueError for anything else, so that a bare `150` can
    never be read in the wrong unit. Arithmetic gives plain integers.
    """

    def __new__(cls, text: str | int = 0) -> Duration:
        return super().__new__(cls, parse_duration(text) if isinstance(text, str) else text)

    def __str__(self) -> str:
        return format_duration(self)

    def __repr__(self) -> str:
        return f"Duration({format_duration(self)!r})"


def parse_duration(text: object) -> int:
    """Returns the nanoseconds in `"150ms"`, `"1.5 s"`, `"0"` or the number 0. Raises ValueError for anything else."""
    if isinstance(text, (int, float)) and not isinstance(text, bool) and text == 0:
        return 0
    stripped = str(text).strip()
    if stripped == "0":
        return 0
    if len(stripped) > _LONGEST:
        raise ValueError(
            f"a duration of {len(stripped):,} characters is not a duration: write a number and a unit, as in 150ms"
        )
    form = _FORM.fullmatch(stripped)
    if form is None:
        if re.fullmatch(r"\d+(\.\d+)?", stripped):
            raise ValueError(f"a duration needs a unit: write {stripped}ms or {stripped}s, not {stripped}")
        raise ValueError(f"{stripped!r} is not a duration: write a number and one of {', '.join(UNITS)}, as in 150ms")
    exact = Fraction(form[1]) * UNITS[form[2]]
    if exact.denominator != 1:
        raise ValueError(f"{stripped!r} is finer than a nanosecond")
    return int(exact)


def format_duration(nanoseconds: int) -> str:
    """Returns the exact text in the largest unit that needs no fraction, for `parse_duration`: `150ms`, `2s`, `0`."""
    if nanoseconds == 0:
        return "0"
    for unit in ("h", "m", "s", "ms", "us"):
        if nanoseconds % UNITS[unit] == 0:
            return f"{nanoseconds // UNITS[unit]}{unit}"
    return f"{int(nanoseconds)}ns"  # int(): Duration.__str__ calls this function
