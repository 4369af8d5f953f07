"""The end of the load and the final phase: every client finishes what it has begun."""

from __future__ import annotations

from pathlib import Path

from framework import open_run
from tests.plugins.checkers.judged import judged

WORKLOAD = Path(__file__).with_name("paired_steps.py")


def arguments(folder: Path, *overrides: str) -> list[str]:
    """Returns the arguments of the operations that have succeeded in a run with one client, in order."""
    judged(
        folder, "protocol=echo", "engine=sim", "workload=steps", f"plugins.path={WORKLOAD}", "clients=1",
        "duration=100ms", *overrides,
    )  # fmt: skip
    rows = open_run(folder / "run").history.to_pylist()
    return [str(row["argument"]).strip('"') for row in rows if row["outcome"] == "ok"]


def test_a_single_client_has_all_its_operations_of_the_final_phase(tmp_path: Path) -> None:
    found = arguments(tmp_path)
    assert found[-3:] == ["final 1", "final 2", "final 3"]


def test_a_busy_client_ends_its_pair_after_the_load(tmp_path: Path) -> None:
    found = arguments(tmp_path, "workload.think_time=70ms")
    assert found[:-3] == ["pair 1", "pair 0"]
