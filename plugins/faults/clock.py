"""Clock faults: clocks that run too fast or too slow, and wall clocks that step."""

from __future__ import annotations

import random
from typing import Annotated, Any, Literal

from msgspec import Meta

from framework import (
    ClusterView,
    Duration,
    FaultSpec,
    Injection,
    NodeId,
    SetClock,
    TargetConfig,
    TargetedFault,
    hookimpl,
)


class ClockConfig(TargetConfig):
    """The clock error of the target. The monotonic clock drifts but never steps; timers follow it."""

    at: Duration = Duration("1s")
    every: Duration = Duration("3s")
    lasts: Duration = Duration("2s")
    target: str = "random_minority"
    drift_ppm: Annotated[int, Meta(ge=0, le=500_000)] = 50_000
    """Drift in parts per million, fast or slow; 50000 is one twentieth."""
    step: Duration = Duration("500ms")
    """Step of the wall clock at the start, undone at the end; 0: no step."""
    direction: Literal["forward", "backward", "either"] = "either"
    """`forward`: fast and ahead. `backward`: slow and behind. `either`: one of the two, drawn for each node."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.drift_ppm and not self.step:
            raise ValueError("drift_ppm=0 and step=0 leave the clocks right: give one of them")


class ClockFault(TargetedFault):
    """Sets clocks wrong, and corrects them again."""

    config: ClockConfig
    reaches_others = True

    def inject(self, view: ClusterView) -> Injection | None:
        nodes = view.select(self.config.target, others=True)
        if not nodes:
            return None
        signs = {node: self._sign(view.rng) for node in nodes}
        does = tuple(self._wrong(node, sign) for node, sign in signs.items())
        undoes = tuple(SetClock(node, 0, -sign * self.config.step) for node, sign in signs.items())
        told = ", ".join(f"{node} {'fast' if sign > 0 else 'slow'}" for node, sign in signs.items())
        return Injection(does, undoes, nodes, told)

    @classmethod
    def random_options(cls, rng: random.Random) -> dict[str, Any]:
        steps = ("0", "100ms", "2s")
        return {"drift_ppm": rng.choice((1_000, 50_000, 300_000)), "step": rng.choice(steps)}

    def _sign(self, rng: random.Random) -> int:
        if self.config.direction == "either":
            return rng.choice((1, -1))
        return 1 if self.config.direction == "forward" else -1

    def _wrong(self, node: NodeId, sign: int) -> SetClock:
        return SetClock(node, sign * self.config.drift_ppm, sign * self.config.step)


@hookimpl
def register_faults() -> list[FaultSpec]:
    return [
        FaultSpec(name="clock", fault=ClockFault, config=ClockConfig, summary="Clocks drift, and wall clocks step."),
    ]
