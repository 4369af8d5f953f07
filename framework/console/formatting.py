"""How numbers, times and tracebacks are written for a person."""

from __future__ import annotations

import shutil

_FRAMES_SHOWN = 3
_NARROWEST, _WIDEST, _USUAL = 60, 120, 100
"""Columns of text: longer lines are hard to read, and what is not a terminal has the usual."""


def terminal_width() -> int:
    """The columns that text for the terminal may take."""
    return max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size((_USUAL, 24)).columns))


def milliseconds(value: float | None) -> str:
    """`0.52 ms`, `12.3 ms`, `1,240 ms`, and `-` for none."""
    if value is None:
        return "-"
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} ms"


def rate(per_second: float) -> str:
    """`4,012/s`, and with one digit below ten."""
    return f"{per_second:,.{1 if per_second < 10 else 0}f}/s"


def counted(count: int, noun: str) -> str:
    """`1 run`, `1,204 runs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def tallied(counts: dict[str, int]) -> str:
    """`crash 2, restart 1`; `none` when nothing was counted."""
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()) if count) or "none"


def shortened(traceback: str, frames: int = _FRAMES_SHOWN) -> str:
    """The last traceback of a chain with its last `frames` frames, saying how many are left out."""
    lines = traceback.rstrip().splitlines()
    heads = [place for place, line in enumerate(lines) if line.startswith("Traceback ")]
    lines = lines[heads[-1] :] if heads else lines
    starts = [place for place, line in enumerate(lines) if line.startswith('  File "')]
    if len(starts) <= frames:
        return "\n".join(lines)
    hidden = len(starts) - frames
    return "\n".join([lines[0], f"  … {hidden} more", *lines[starts[-frames] :]])
