"""The pages on faults and on checking say what is so: their commands run, in the simulator, and print what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Reader, blocks


@pytest.mark.parametrize(
    "page",
    [
        "docs/faults.md",
        "docs/checking.md",
        "docs/debugging.md",
        "docs/reports.md",
        "docs/export.md",
        "docs/sweeps.md",
        "docs/extending.md",
        "docs/composition.md",
        "docs/balancing.md",
        "docs/locks.md",
        "docs/placement.md",
    ],
)
def test_a_reader_sees_what_is_shown(page: str, tmp_path: Path) -> None:
    steps = blocks(page)
    assert any(block.language == "sh" for block in steps)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")  # the reader stands at the root of the repository
    reader = Reader(tmp_path)
    for step in steps:
        reader.follow(step)
