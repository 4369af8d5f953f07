"""The detectors under comparison, and the networks that they meet. All have the same period, of 200 ms."""

from __future__ import annotations

from typing import NamedTuple

PERIOD_MS = 200
MEMBERS = 16
HELPERS = 3
CALM_S = 20
"""How long a trial without a crash lasts."""
HORIZON_S = 30
"""When a trial with a crash ends at the latest."""
CRASH_S = 4
"""When the crash comes: by then the detectors have measured their network."""

SUSPICION = f"protocol.suspicion={5 * PERIOD_MS}ms"
ROUNDS = (f"protocol.period={PERIOD_MS}ms", "protocol.ping_timeout=50ms", f"protocol.helpers={HELPERS}")

DETECTORS: dict[str, tuple[str, ...]] = {
    "heartbeat, time-out 5 periods": (
        "heartbeat", f"protocol.interval={PERIOD_MS}ms", f"protocol.timeout={5 * PERIOD_MS}ms",
    ),
    "phi accrual, threshold 8": (
        "phi_accrual", f"protocol.interval={PERIOD_MS}ms", f"protocol.first_interval={3 * PERIOD_MS}ms",
        "protocol.threshold=8",
    ),
    "SWIM, suspicion 5 periods": ("swim", *ROUNDS, SUSPICION),
    "SWIM without suspicion": ("swim", *ROUNDS, "protocol.suspicion=0"),
}  # fmt: skip
"""The protocol of each, and its settings."""


class Conditions(NamedTuple):
    """A network: the probability that a message is lost, and the sigma of its lognormal delay, whose median is 10
    ms."""

    loss: float
    sigma: float

    def settings(self) -> tuple[str, ...]:
        return (
            "network=lossy", f"network.loss={self.loss}", "network.duplicate=0", "network.reorder=0",
            f"network.latency={{kind: lognormal, median: 10ms, sigma: {self.sigma}}}",
        )  # fmt: skip


LOSSES = tuple(Conditions(loss, 0.3) for loss in (0.0, 0.05, 0.1, 0.15, 0.2))
VARIATIONS = tuple(Conditions(0.0, sigma) for sigma in (0.3, 0.7, 1.1, 1.5, 1.9))
NETWORKS = tuple(dict.fromkeys((*LOSSES, *VARIATIONS)))

SIZES = (4, 8, 16, 32)
"""The groups in which the time to SWIM's first failed probe is compared with theory."""
