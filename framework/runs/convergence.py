"""The conclusions about a run that has settled: are its replicas equal, has the protocol finished what it promises?"""

from __future__ import annotations

from typing import Any

from framework.checking.convergence import NAME, convergence, finished, nothing_to_compare
from framework.checking.verdict import CheckResult
from framework.engine.base import EngineResult
from framework.registry.specs import ProtocolSpec


def settling(protocol: ProtocolSpec, ended: EngineResult) -> tuple[list[CheckResult], dict[str, Any]]:
    """Returns the conclusions, and for the result's details the reason why replicas were not compared. Both are empty
    if the run did not settle."""
    if ended.settled is None or ended.interrupted or ended.failure:
        return [], {}
    checks = [] if protocol.settled is None else [finished(ended.settled)]
    if not protocol.converges:
        return checks, {}
    nothing = nothing_to_compare(ended.settled)
    return (checks, {NAME: nothing}) if nothing else ([convergence(ended.settled), *checks], {})
