"""Three-phase commit (Skeen, Nonblocking Commit Protocols, 1981; A Quorum-Based Commit Protocol, 1982)."""

from __future__ import annotations

from framework import (
    COMMIT_INVARIANTS,
    COORDINATOR,
    PARTICIPANT,
    CommitClient,
    ProtocolSpec,
    Sometimes,
    asking_time,
    hookimpl,
)
from plugins.protocols.three_phase_commit.config import ThreePhaseCommitConfig
from plugins.protocols.three_phase_commit.invariants import INVARIANTS
from plugins.protocols.three_phase_commit.node import ThreePhaseCommit, unfinished


def dedicated_coordinators(config: ThreePhaseCommitConfig) -> int:
    """Returns the number of nodes that do nothing but coordinate."""
    return config.coordinators


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="three_phase_commit",
            summary="Atomic commitment that a crash of the coordinator does not block (Skeen, 1981 and 1982).",
            roles={
                COORDINATOR: (ThreePhaseCommit, dedicated_coordinators),
                PARTICIPANT: (ThreePhaseCommit, None),
            },
            client=CommitClient,
            config=ThreePhaseCommitConfig,
            operations=("commit",),
            checkers=("commits",),
            recovers=True,
            recovery_time=asking_time,
            settled=unfinished,
            sometimes=(
                Sometimes("a participant took over", "took_over"),
                Sometimes("a collector found a participant precommitted", "found_precommitted"),
                Sometimes("a collector found nobody precommitted", "found_none_precommitted"),
                Sometimes("an attempt was refused", "refused"),
            ),
            invariants=(*COMMIT_INVARIANTS, *INVARIANTS),
        )
    ]
