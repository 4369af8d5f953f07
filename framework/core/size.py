"""Amounts of memory are integer bytes. Configs say `512MiB`, `2GiB`."""

from __future__ import annotations

import re

_UNITS = {"B": 1, "kB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}
_FORM = re.compile(r"(\d{1,18})\s*([A-Za-z]+)")


class Size(int):
    """A number of bytes, written with its unit: `Size("512MiB")`.

    Units are B, kB, KiB, MB, MiB, GB and GiB. Raises ValueError for anything else, so that a bare `512` can never be
    read in the wrong unit.
    """

    def __new__(cls, text: str | int = 0) -> Size:
        return super().__new__(cls, parse_size(text) if isinstance(text, str) else text)

    def __str__(self) -> str:
        return format_size(self)

    def __repr__(self) -> str:
        return f"Size({format_size(self)!r})"


def parse_size(text: str) -> int:
    """Returns the bytes in `"512MiB"`. Raises ValueError for anything else."""
    form = _FORM.fullmatch(text.strip())
    unit = next((unit for unit in _UNITS if form is not None and unit.lower() == form[2].lower()), None)
    if form is None or unit is None:
        raise ValueError(
            f"{text[:40]!r} is not an amount of memory: write a number and one of {', '.join(_UNITS)}, as in 512MiB"
        )
    return int(form[1]) * _UNITS[unit]


def format_size(size: int) -> str:
    """Returns the exact text in the largest binary unit that needs no fraction: `512MiB`."""
    units = ("GiB", "MiB", "KiB", "B") if size else ("B",)
    return next(f"{size // _UNITS[unit]}{unit}" for unit in units if size % _UNITS[unit] == 0)


def format_bytes(count: int) -> str:
    """Returns a length as prose writes it: `1 byte`, `24 bytes`."""
    return f"{count} byte{'' if count == 1 else 's'}"
