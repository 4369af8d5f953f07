"""What a crash makes of a commit in flight: kept, lost or torn."""

from __future__ import annotations

import random
from typing import Literal, TypeAlias

CommitFate: TypeAlias = Literal["kept", "lost", "torn"]
"""What a crash makes of a commit in flight, of which nobody was told: it is there afterwards, or it is not, or a part
of it is, which recovery cuts off."""


TORN_COMMIT_CUT = "the torn commit was cut off at its restart"
"""How the ledger tells that recovery found one."""


def commit_fate(rng: random.Random) -> CommitFate:
    """The fate of one commit: half of them survive, and half of the others are torn."""
    drawn = rng.random()
    return "kept" if drawn < 0.5 else "lost" if drawn < 0.75 else "torn"
