"""The fate of a commit in flight when its node crashes: kept, lost or torn.

It is drawn here, for both engines. On Ray a torn commit that has not reached the file yet is lost after all.
"""

from __future__ import annotations

import random
from typing import Literal, TypeAlias

CommitFate: TypeAlias = Literal["kept", "lost", "torn"]
"""The fate of an unacknowledged commit in flight at a crash: all of it is there afterwards (kept), nothing is (lost),
or a part is, which recovery cuts off (torn)."""


TORN_COMMIT_CUT = "the torn commit was cut off at its restart"
"""The ledger's remark on a torn commit found at recovery."""


def commit_fate(rng: random.Random) -> CommitFate:
    """Draws the fate of one commit: half of them survive, and half of the others are torn."""
    drawn = rng.random()
    return "kept" if drawn < 0.5 else "lost" if drawn < 0.75 else "torn"
