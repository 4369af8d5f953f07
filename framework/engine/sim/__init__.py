"""The deterministic simulator: virtual time, one process, the same digest on every machine."""

from framework.engine.sim.engine import SimEngine

__all__ = ["SimEngine"]
