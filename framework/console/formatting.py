"""Formats numbers, times and tracebacks for people."""

from __future__ import annotations

import shutil

_FRAMES_SHOWN = 3
_NARROWEST, _WIDEST, _USUAL = 60, 120, 100
"""Widths of text in columns: the limits, and the default where there is no terminal."""


def terminal_width() -> int:
    """Returns the width of text for the terminal, in columns."""
    return max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size((_USUAL, 24)).columns))


def milliseconds(value: float | None) -> str:
    """Formats milliseconds: `0.52 ms`, `12.3 ms`, `1,240 ms`; `-` for None."""
    if value is None:
        return "-"
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} ms"


def rate(per_second: float) -> str:
    """Formats a rate: `4,012/s`, with one decimal below ten."""
    return f"{per_second:,.{1 if per_second < 10 else 0}f}/s"


def counted(count: int, noun: str) -> str:
    """Formats a count with its noun: `1 run`, `1,204 runs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def tallied(counts: dict[str, int]) -> str:
    """Formats counts by name: `crash 2, restart 1`; `none` if all are zero."""
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()) if count) or "none"


def shortened(traceback: str, frames: int = _FRAMES_SHOWN) -> str:
    """Returns the last traceback of a chain with its last `frames` frames, and the number of those left out."""
    lines = traceback.rstrip().splitlines()
    heads = [place for place, line in enumerate(lines) if line.startswith("Traceback ")]
    lines = lines[heads[-1] :] if heads else lines
    starts = [place for place, line in enumerate(lines) if line.startswith('  File "')]
    if len(starts) <= frames:
        return "\n".join(lines)
    hidden = len(starts) - frames
    return "\n".join([lines[0], f"  … {hidden} more", *lines[starts[-frames] :]])
