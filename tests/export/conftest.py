"""Runs that several tests export."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.export.runs import CHAOS, simulated


@pytest.fixture(scope="session")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raft with a crash, a partition, lost and duplicated messages, and operations of unknown outcome."""
    return simulated(tmp_path_factory.mktemp("export") / "chaos", *CHAOS)
