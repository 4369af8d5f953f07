"""Placements of small size, as the registry and the config groups make them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from framework import Placement, PlacementChoice, PlacementConfig
from plugins.placements.bounded_load import BoundedLoad, BoundedLoadConfig
from plugins.placements.jump import Jump
from plugins.placements.maglev import Maglev, MaglevConfig
from plugins.placements.modulo import Modulo
from plugins.placements.multi_probe import MultiProbe, MultiProbeConfig
from plugins.placements.rendezvous import Rendezvous, RendezvousConfig
from plugins.placements.ring import Ring, RingConfig

OVER = PlacementChoice("ring", RingConfig(), Ring)

MADE: dict[str, Callable[[], Placement]] = {
    "ring": partial(Ring, RingConfig()),
    "rendezvous": partial(Rendezvous, RendezvousConfig()),
    "rendezvous_32": partial(Rendezvous, RendezvousConfig(bits=32)),
    "jump": partial(Jump, PlacementConfig()),
    "maglev": partial(Maglev, MaglevConfig(table_size=1009)),
    "multi_probe": partial(MultiProbe, MultiProbeConfig()),
    "modulo": partial(Modulo, PlacementConfig()),
    "bounded_load": partial(BoundedLoad, BoundedLoadConfig(over=OVER)),
    "bounded_load_over_jump": partial(
        BoundedLoad, BoundedLoadConfig(over=PlacementChoice("jump", PlacementConfig(), Jump), balance=1.0)
    ),
}
"""What makes each placement, without nodes."""
