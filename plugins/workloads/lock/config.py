"""Settings of the workload of locks."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from framework import Config, Duration, FinalPhaseConfig, Probability


class StoreConfig(Config):
    """The store that the locks guard."""

    fencing: bool | None = None
    """Whether it rejects accesses with a token below the highest that it has seen. null: if the lock has tokens. true
    needs a lock with tokens."""


class LockConfig(FinalPhaseConfig):
    """How long clients hold a lock, what they do meanwhile, and how they ask for it."""

    keys: Annotated[int, Meta(ge=1)] = 1
    """Number of locks. Each guards one value of the store, of the same name."""
    accesses: Annotated[int, Meta(ge=0)] = 1
    """Rounds of a read and a write, between acquire and release. 0: clients do not access the store, so only
    `mutual_exclusion` sees them in their turns, for the time `hold`."""
    hold: Duration = Duration("5ms")
    """Time that a holder works between the check of its lease and its write; without accesses, between acquire and
    release."""
    shared: Probability = 0.0
    """Probability that a client acquires the lock in shared mode, in which it only reads."""
    impatient: Probability = 0.0
    """Probability that a client gives up after `patience`."""
    patience: Duration = Duration("0")
    """Time that an impatient client waits for a lock; 0: it takes the lock only if it is free."""
    keep_alive: bool = True
    """Whether clients extend their leases."""
    check_lease: bool = True
    """Whether a holder checks, by its own clock, that its lease has not ended, before each access."""
    store: StoreConfig = StoreConfig()

    def __post_init__(self) -> None:
        if self.loop == "open":
            raise ValueError("a client releases the lock that it has acquired: write loop=closed")
        if self.hold >= self.timeout:
            raise ValueError(
                f"hold={self.hold} outlasts timeout={self.timeout}, after which an operation ends as unknown"
            )
