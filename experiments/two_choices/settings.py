"""What is thrown, simulated and run."""

from __future__ import annotations

from experiments.two_choices.queues import ALL

BALLS = tuple((n, d) for n in (4_096, 65_536) for d in (1, 2, 3))
"""(n, d); a trial of the study is a hundred throws of n balls."""

LOADS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
FRESH = tuple((load, d, 0.0) for load in LOADS for d in (1, 2, 3))
"""(load, d, age)"""

STALE_LOAD = 0.9
AGES = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
STALE = tuple((STALE_LOAD, d, age) for d in (2, 3, ALL) for age in AGES)

BALANCERS: dict[str, tuple[str, ...]] = {
    "random": ("balancer=random",),
    "round robin": ("balancer=round_robin",),
    "consistent hash": ("balancer=consistent_hash",),
    "bounded load, c = 1.25": ("balancer=bounded_load",),
    "best of two": ("balancer=power_of_d",),
    "best of three": ("balancer=power_of_d", "balancer.d=3"),
    "join idle queue": ("balancer=join_idle_queue",),
    "least loaded": ("balancer=least_loaded",),
}
REPORTED = ("balancer.load=reported",)
REPORTS: dict[str, tuple[str, ...]] = {
    f"{name}, reports every {interval}": (*BALANCERS[name], *REPORTED, f"protocol.report_interval={interval}")
    for name in ("best of two", "least loaded")
    for interval in ("10ms", "50ms")
}
"""Loads as reported, with every answer and every so often besides."""

SERVICE_LOADS = (0.5, 0.7, 0.9)
SERVICE = (
    *((load, BALANCERS[name]) for load in SERVICE_LOADS[:2] for name in ("random", "best of two", "best of three")),
    *((SERVICE_LOADS[2], words) for words in (*BALANCERS.values(), *REPORTS.values())),
)
"""(load, settings)"""
