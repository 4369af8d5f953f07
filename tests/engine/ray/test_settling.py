"""On Ray too a run goes on after its last operation until all replicas are equal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from framework.run.__main__ import main

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_runtime")]

SHORT = (
    "experiment=raft_3nodes", "engine=ray", "duration=2s", "settle=3s", "clients=6",
    "plugins.path=experiments/planted_bugs/raft_mutants.py", "--quiet",
)  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "verdict", "reason"),
    [
        ("raft", "valid", "3 replicas equal at "),
        ("raft_applies_one_of_many", "invalid", "replicas that applied "),
        ("raft_keeps_the_commit_index_to_itself", "unknown", "(a machine that is busy may need longer)"),
    ],
)
def test_replicas_are_compared_when_clients_are_quiet(tmp_path: Path, protocol: str, verdict: str, reason: str) -> None:
    code = main([*SHORT, f"protocol={protocol}", f"run.dir={tmp_path / 'run'}"])
    result = json.loads((tmp_path / "run" / "result.json").read_bytes())
    (told,) = [check for check in result["checks"] if check["name"] == "convergence"]
    assert told["verdict"] == result["verdict"] == verdict, result["reasons"]
    assert reason in told["reason"]
    assert code == {"valid": 0, "invalid": 1, "unknown": 2}[verdict]
