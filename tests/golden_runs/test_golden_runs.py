"""Every pinned run is what it was, event by event."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden_runs.runs import digest_of, names, pinned

PINNED = pinned()


@pytest.mark.parametrize("name", list(names()))
def test_a_run_is_what_it_was(name: str, tmp_path: Path) -> None:
    assert digest_of(name, tmp_path / "run") == PINNED[name]


def test_the_runs_differ_and_something_happens_in_each() -> None:
    assert list(PINNED) == list(names()) and len(PINNED) == 40
    assert len({digest.events_sha256 for digest in PINNED.values()}) == 40
    assert all(digest.operations > 50 for digest in PINNED.values())
