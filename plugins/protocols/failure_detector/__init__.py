"""A service of failure detection above any detector."""

from __future__ import annotations

from framework import ProtocolSpec, SuspectsClient, hookimpl, wrong_suspicion
from plugins.protocols.failure_detector.node import FailureDetector, FailureDetectorConfig, ToldEverything


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="failure_detector",
            summary="A node that mounts a failure detector, and serves its suspicions to clients.",
            node=FailureDetector,
            client=SuspectsClient,
            config=FailureDetectorConfig,
            operations=("suspects",),
            checkers=("suspects",),
            recovers=True,
            settled=wrong_suspicion,
            invariants=(ToldEverything,),
        )
    ]
