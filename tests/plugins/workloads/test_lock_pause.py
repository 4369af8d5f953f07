"""A holder is paused between the check of its lease and its write, for longer than the lease: `experiment=lock_pause`."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pytest

from framework import open_run
from framework.run.__main__ import main as run_command

LOCKS = {"lock_server": (), "raft": ("protocol=raft", "state_machine=lock", "nodes=3")}
ON_RAY = ("engine=ray", "engine.clients_per_actor=1")


def late_writes(folder: Path, *words: str, fencing: bool) -> tuple[str, str, int]:
    """Returns the verdict, its first reason, and the number of writes that the store has rejected."""
    setting = f"workload.store.fencing={str(fencing).lower()}"
    run_command(["--quiet", "experiment=lock_pause", *words, setting, f"run.dir={folder}"])
    run = open_run(folder)
    failed = pc.field("outcome") == "fail"
    rejected = run.history.filter((pc.field("function") == "write") & failed).num_rows
    return run.result["verdict"], next(iter(run.result["reasons"]), ""), rejected


def check_both(tmp_path: Path, *words: str) -> None:
    """The late write is rejected by its token; or it is accepted, and seen to be a lost update."""
    assert late_writes(tmp_path / "fenced", *words, fencing=True) == ("valid", "", 1)
    verdict, reason, rejected = late_writes(tmp_path / "unfenced", *words, fencing=False)
    assert (verdict, rejected) == ("invalid", 0)
    assert reason.startswith("guarded_store: l1: lost update")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_fenced_store_rejects_the_late_write_of_a_holder_that_was_paused(lock: str, tmp_path: Path) -> None:
    check_both(tmp_path, *LOCKS[lock])


@pytest.mark.ray
@pytest.mark.usefixtures("ray_runtime")
def test_a_process_that_was_stopped_writes_late_and_only_a_fenced_store_notices(tmp_path: Path) -> None:
    check_both(tmp_path, *LOCKS["lock_server"], *ON_RAY)
