"""Every registered protocol stands the conformance kit."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.registry.registry import load
from framework.testing.conformance import Check, checks

# One protocol over actor calls will do: what carries messages is no business of a protocol's.
CHECKS = [
    check
    for protocol in sorted(load().registered.protocols)
    for check in checks(protocol)
    if check.name != "runs_on_ray_by_actor_calls" or protocol == "raft"
]


@pytest.mark.parametrize(
    "check", [pytest.param(check, marks=[pytest.mark.ray] if check.ray else [], id=str(check)) for check in CHECKS]
)
def test_conforms(check: Check, tmp_path: Path) -> None:
    check.run(tmp_path)


def test_a_protocol_may_need_configs_of_its_authors_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf" / "network").mkdir(parents=True)
    (tmp_path / "conf" / "network" / "mine.yaml").write_text("defaults: [lan]\n")
    monkeypatch.chdir(tmp_path)
    wanted = checks("echo", "network=mine", engines=["sim"], config_dir="conf")
    for check in wanted:
        if check.name in ("state_is_plain_data", "digest_ignores_the_hash_seed"):
            (tmp_path / check.name).mkdir()
            check.run(tmp_path / check.name)
