"""The conclusion about the replicas of a run, once it has settled."""

from __future__ import annotations

from typing import Any

from framework.checking.convergence import NAME, convergence, nothing_to_compare
from framework.checking.verdict import CheckResult
from framework.engine.base import EngineResult


def settling(ended: EngineResult) -> tuple[list[CheckResult], dict[str, Any]]:
    """Returns the conclusion about the replicas, or for the result's details the reason why there is none. Both are
    empty if the replicas were not compared."""
    if ended.settled is None or ended.interrupted or ended.failure:
        return [], {}
    nothing = nothing_to_compare(ended.settled)
    return ([], {NAME: nothing}) if nothing else ([convergence(ended.settled)], {})
