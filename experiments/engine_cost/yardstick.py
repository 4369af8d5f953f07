"""SimPy's bare event loop, the yardstick of the simulator's rows: how many events a second this machine does in it."""

from __future__ import annotations

import time

EVENTS = 300_000


def simpy_events_per_s() -> float:
    """Timeouts of one process after another, and nothing else."""
    import simpy

    environment = simpy.Environment()

    def ticking() -> simpy.events.ProcessGenerator:
        while True:
            yield environment.timeout(1)

    environment.process(ticking())
    began = time.perf_counter()
    environment.run(until=EVENTS)
    return EVENTS / (time.perf_counter() - began)
