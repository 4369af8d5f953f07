"""Settings of three-phase commit."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from framework import CommitConfig, Duration, format_duration


class ThreePhaseCommitConfig(CommitConfig):
    """Coordinators, the termination protocol, and time-outs. Raises ValueError for durations that leave no time."""

    coordinators: Annotated[int, Meta(ge=0)] = 1
    """Number of nodes that do nothing but coordinate; 0: the first participant of a transaction coordinates it."""
    termination: Literal["skeen", "timeout", "quorum"] = "quorum"
    """The behaviour of participants that do not hear from the coordinator. `quorum` (Skeen 1982, with numbered
    attempts): one of them collects a majority, and is safe whatever happens. `skeen` (1981): one of them collects the
    states of those that answer, and considers all others crashed. `timeout` (the textbooks'): each decides by itself,
    to commit if it is precommitted, else to abort. The last two are safe only if no message is late and no node
    pauses."""
    vote_timeout: Duration = Duration("150ms")
    """Time that a coordinator waits for votes before it aborts."""
    acknowledgement_timeout: Duration = Duration("150ms")
    """Time that a coordinator waits for acknowledgements of PreCommit before it continues with those that it has."""
    decision_timeout: Duration = Duration("400ms")
    """Time that a prepared participant waits for the coordinator's next message before it begins termination."""
    takeover_delay: Duration = Duration("150ms")
    """With `skeen`: the additional wait of each further participant, in the order of the transaction. With `quorum`:
    the longest random time that a further attempt waits in addition."""
    collect_timeout: Duration = Duration("100ms")
    """Time that a collector waits for answers: with `skeen` it considers the others crashed, with `quorum` it begins
    its next attempt."""
    inquiry_interval: Duration = Duration("100ms")
    """Time between the questions of a node that only asks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (
            "vote_timeout", "acknowledgement_timeout", "decision_timeout", "takeover_delay", "collect_timeout",
            "inquiry_interval",
        ):  # fmt: skip
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} leaves no time for an answer: give more than 0")
        coordinates = max(self.vote_timeout, self.acknowledgement_timeout)
        if self.termination != "quorum" and self.decision_timeout <= coordinates:
            what = f"decision_timeout={format_duration(self.decision_timeout)} suspects a coordinator that still waits"
            raise ValueError(f"{what}: give more than {format_duration(coordinates)}")
