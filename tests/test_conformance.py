"""Every registered protocol stands the conformance kit."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.registry.registry import load
from framework.testing.conformance import Check, checks

CHECKS = [check for protocol in sorted(load().registered.protocols) for check in checks(protocol)]


@pytest.mark.parametrize(
    "check", [pytest.param(check, marks=[pytest.mark.ray] if check.ray else [], id=str(check)) for check in CHECKS]
)
def test_conforms(check: Check, tmp_path: Path) -> None:
    check.run(tmp_path)
