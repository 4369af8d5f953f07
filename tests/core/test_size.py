"""Amounts of memory have a unit."""

from __future__ import annotations

import pytest

from framework.core.size import Size


@pytest.mark.parametrize(
    ("text", "size", "spelled"),
    [
        ("512MiB", 2**29, "512MiB"),
        ("2 GiB", 2**31, "2GiB"),
        ("1kB", 1000, "1000B"),
        ("3mb", 3_000_000, "3000000B"),
        ("0B", 0, "0B"),
    ],
)
def test_a_size_has_a_unit_and_is_spelled_exactly(text: str, size: int, spelled: str) -> None:
    assert Size(text) == size and str(Size(text)) == spelled and Size(spelled) == size


@pytest.mark.parametrize("text", ["512", "MiB", "-1MiB", "1.5GiB", "12 parsecs", "9" * 30 + "B", ""])
def test_what_is_no_size_says_how_to_write_one(text: str) -> None:
    with pytest.raises(
        ValueError, match="is not an amount of memory: write a number and one of B, kB, KiB, MB, MiB, GB, GiB"
    ):
        Size(text)
