"""Settings of the token ring."""

from __future__ import annotations

from framework import Config, Duration


class TokenRingConfig(Config):
    """How the token moves, and when it counts as lost. Raises ValueError for a time-out of 0."""

    circulates: bool = False
    """Whether the token goes round all the time, as Le Lann has it. Otherwise it stays where it was used last until
    another node asks for it."""
    rest: Duration = Duration("0")
    """Time that a circulating token stays at a node that does not need it."""
    token_timeout: Duration = Duration("500ms")
    """Time that a node waits for the token before it starts an election, to replace it if it is lost: at least this,
    and less than twice as long. A time-out that is too short costs messages, not safety."""
    crashed_after: Duration = Duration("0")
    """Time without an acknowledgement after which the next node counts as crashed, and the election passes it by; 0: an
    election waits until it has been at every node. Other values are unsafe: a node that was only cut off may have the
    token."""

    def __post_init__(self) -> None:
        if not self.token_timeout:
            raise ValueError("token_timeout=0 leaves no time for the token to come: give more than 0")
