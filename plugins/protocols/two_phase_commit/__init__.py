"""Two-phase commit in its three presumptions (Gray 1978; Mohan, Lindsay and Obermarck 1986; Lampson and Lomet 1993)."""

from __future__ import annotations

from framework import COORDINATOR, PARTICIPANT, CommitClient, ProtocolSpec, Sometimes, asking_time, hookimpl
from plugins.protocols.two_phase_commit.config import TwoPhaseCommitConfig
from plugins.protocols.two_phase_commit.invariants import INVARIANTS
from plugins.protocols.two_phase_commit.node import TwoPhaseCommit, unfinished


def dedicated_coordinators(config: TwoPhaseCommitConfig) -> int:
    return config.coordinators


@hookimpl
def register_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            name="two_phase_commit",
            summary="Atomic commitment: a coordinator collects votes and decides (Gray, 1978; R*, 1986).",
            client=CommitClient,
            roles={
                COORDINATOR: (TwoPhaseCommit, dedicated_coordinators),
                PARTICIPANT: (TwoPhaseCommit, None),
            },
            config=TwoPhaseCommitConfig,
            operations=("commit",),
            checkers=("commits",),
            recovers=True,
            recovery_time=asking_time,
            settled=unfinished,
            sometimes=(
                Sometimes("a vote was missing", "gave_up"),
                Sometimes("a participant was in doubt", "blocked"),
                Sometimes("a coordinator presumed a decision", "presumed"),
                Sometimes("a participant aborted by itself", "aborted_alone"),
            ),
            invariants=INVARIANTS,
        )
    ]
