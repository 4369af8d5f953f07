"""Settings of two-phase commit."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from framework import CommitConfig, Duration


class TwoPhaseCommitConfig(CommitConfig):
    """Coordinators, presumption and timing. Raises ValueError for durations that leave no time for an answer."""

    coordinators: Annotated[int, Meta(ge=0)] = 1
    """Number of nodes that only coordinate; 0: the first participant of each transaction coordinates it."""
    presumed: Literal["nothing", "abort", "commit"] = "abort"
    """The decision that a coordinator presumes for a forgotten transaction. It determines what must not be forgotten:
    `nothing`: both decisions are forced and acknowledged. `abort`: commits are. `commit`: aborts are acknowledged, and
    the participants are on record before they are asked to prepare."""
    vote_timeout: Duration = Duration("200ms")
    """Time after which a coordinator aborts if a vote is missing."""
    decision_timeout: Duration = Duration("300ms")
    """Time after its vote of yes when a participant without a decision is in doubt, and asks."""
    inquiry_interval: Duration = Duration("100ms")
    """Time after which a participant in doubt asks again."""
    resend_interval: Duration = Duration("100ms")
    """Time after which a coordinator sends a decision again to the participants that have not acknowledged it."""
    termination: Literal["coordinator", "cooperative"] = "cooperative"
    """The nodes that a participant in doubt asks: the coordinator alone, or the other participants as well."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("vote_timeout", "decision_timeout", "inquiry_interval", "resend_interval"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} leaves no time for an answer: give more than 0")
