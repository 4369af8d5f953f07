"""The placements that are compared, and what theory says of their shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from framework import NodeId, Placement, PlacementChoice, PlacementConfig
from plugins.placements.bounded_load import BoundedLoad, BoundedLoadConfig
from plugins.placements.jump import Jump
from plugins.placements.maglev import Maglev, MaglevConfig
from plugins.placements.modulo import Modulo
from plugins.placements.multi_probe import MultiProbe, MultiProbeConfig
from plugins.placements.rendezvous import Rendezvous, RendezvousConfig
from plugins.placements.ring import Ring, RingConfig

Make = Callable[[Sequence[NodeId], int], Placement]


def _ring(points: int) -> Make:
    return lambda nodes, seed: Ring(RingConfig(points=points, seed=seed), nodes)


def _maglev(size: int) -> Make:
    return lambda nodes, seed: Maglev(MaglevConfig(table_size=size, seed=seed), nodes)


def _bounded(balance: float) -> Make:
    def make(nodes: Sequence[NodeId], seed: int) -> Placement:
        over = PlacementChoice("ring", RingConfig(points=100, seed=seed), Ring)
        return BoundedLoad(BoundedLoadConfig(over=over, balance=balance, seed=seed), nodes)

    return make


STRATEGIES: dict[str, Make] = {
    "ring, 1 point": _ring(1),
    "ring, 10": _ring(10),
    "ring, 100": _ring(100),
    "ring, 1000": _ring(1000),
    "multi_probe, 21": lambda nodes, seed: MultiProbe(MultiProbeConfig(seed=seed), nodes),
    "rendezvous": lambda nodes, seed: Rendezvous(RendezvousConfig(seed=seed), nodes),
    "rendezvous, 32 bits": lambda nodes, seed: Rendezvous(RendezvousConfig(bits=32, seed=seed), nodes),
    "jump": lambda nodes, seed: Jump(PlacementConfig(seed=seed), nodes),
    "maglev, 65537": _maglev(65_537),
    "maglev, 655373": _maglev(655_373),
    "bounded_load, c=1.25": _bounded(1.25),
    "bounded_load, c=1.05": _bounded(1.05),
    "modulo": lambda nodes, seed: Modulo(PlacementConfig(seed=seed), nodes),
}


def deviation(name: str, nodes: int) -> float | None:
    """Returns the standard deviation of a node's share, 1 being the average, that theory says; None if it says nothing.

    Ring: a share is Beta(v, v(n-1)) (Lamping and Veach's table rounds it to 1/√v). Multi-probe: 15.6% for many nodes, here a hundred or more.
    """
    kind, _, detail = name.partition(", ")
    if kind == "ring":
        points = int(detail.split()[0])
        return math.sqrt((nodes - 1) / (nodes * points + 1))
    if kind == "multi_probe":
        return 0.156 if nodes >= 100 else None
    if kind == "maglev":
        fraction = int(detail) / nodes % 1  # so many nodes, as a share, have an entry more
        return math.sqrt(fraction * (1 - fraction)) * nodes / int(detail)
    return 0.0 if kind in ("rendezvous", "jump", "modulo") else None
