"""A swarm of faults: each seed draws which kinds, how many at once, and how long.

What is drawn can fire. A swarm never has more than `max_down` nodes crashed, standing still or without a working disk
at once, so that a majority can go on unless the network keeps it from it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from framework import (
    Config,
    ConfigError,
    Duration,
    Fault,
    FaultConfig,
    FaultSpec,
    NodeId,
    Planned,
    SetDisk,
    Strike,
    View,
    hookimpl,
)
from framework.config.plain_mappings import BadValue, build
from framework.core.errors import did_you_mean
from framework.core.time import MILLISECOND, NEVER, format_duration
from framework.faults.actions import DiskProblem

Count = Annotated[int, Meta(ge=1)]
Weight = Annotated[int, Meta(ge=0)]

LAST_CHANCE = 500 * MILLISECOND
"""Nothing begins later than this before the end: what finds nobody to strike has time to look again."""

MANY, DISK = "random_minority", "disk"


class ChaosConfig(Config):
    """The swarm."""

    at: Duration = Duration("300ms")
    """Nothing begins before."""
    at_once: Count = 3
    """How many faults may overlap; each seed draws its own number up to this."""
    shortest: Duration = Duration("100ms")
    """How long a fault lasts at the least."""
    longest: Duration = Duration("800ms")
    """... and at the most; short ones are as likely as long ones."""
    max_down: Annotated[int, Meta(ge=-1)] = -1
    """How many nodes may be down, stopped or without a disk at once; -1: a minority."""
    kinds: dict[str, Weight] = msgspec.field(
        default_factory=lambda: {
            "crash": 3, "pause": 2, "partition": 4, "loss": 2, "duplicate": 1, "reorder": 1, "delay": 2, "clock": 2, "disk": 3,
        }
    )  # fmt: skip
    """Which kinds, and how likely each; 0 leaves one out. Each seed draws some of them."""
    disk: tuple[DiskProblem, ...] = ("slow", "failed_fsync", "full", "damage")
    """What may be wrong with a disk. Without `damage` every node is back when the faults end."""

    def __post_init__(self) -> None:
        if not 0 < self.shortest <= self.longest:
            raise ValueError(f"shortest={self.shortest} and longest={self.longest}: give 0 < shortest <= longest")
        if not any(self.kinds.values()):
            raise ValueError("every kind has weight 0: give one of them more, as in kinds.crash=1")
        if not self.disk:
            raise ValueError("disk=[] leaves nothing to be wrong with a disk: leave the kind out with kinds.disk=0")


class Chaos(Fault):
    """Plans a swarm; the faults of the swarm strike."""

    config: ChaosConfig

    def needs(self, key: str, nodes: Sequence[NodeId]) -> None:
        known = self._known()
        for kind in self.config.kinds:
            if kind not in known:
                raise BadValue(f"{key}.kinds.{kind}", f"there is no fault {kind!r}", did_you_mean(kind, known))
        usual = ChaosConfig().kinds
        for kind, weight in self.config.kinds.items():
            # A weight equal to the default cannot be told from one that was not given.
            if weight and weight != usual.get(kind):
                _at_anybody(self._make(kind, {})).needs(f"{key}.kinds.{kind}", nodes)

    def asks(self, key: str) -> tuple[str, ...]:
        known = self._known()
        drawn = [self._make(kind, {}) for kind, weight in self.config.kinds.items() if weight and kind in known]
        return tuple(dict.fromkeys(function for fault in drawn for function in fault.asks(key)))

    def _known(self) -> list[str]:
        """The kinds that a swarm can draw."""
        return [name for name, kind in self.kinds.items() if kind.config and issubclass(kind.config, FaultConfig)]

    def _make(self, kind: str, options: Mapping[str, Any]) -> Fault:
        spec = self.kinds[kind]
        assert spec.config is not None
        fault = spec.fault(build(spec.config, {"every": "0", **options}, kind), self.kinds)
        fault.nodes, fault.spares = self.nodes, self.spares
        return fault

    def fits(self, key: str, span: int) -> None:
        if self._earliest + LAST_CHANCE >= span:
            needs, ends = format_duration(self._earliest + LAST_CHANCE), format_duration(span)
            raise ConfigError(
                f"{key}.at={self.config.at}",
                f"leaves a swarm no time: it takes more than {needs}, and faults end after {ends} (duration less quiet)",
                "Make duration longer, or quiet or at shorter.",
            )
        if not self._possible():
            kinds = ", ".join(kind for kind, weight in self.config.kinds.items() if weight)
            raise BadValue(
                f"{key}.kinds",
                f"leave nothing to draw: {len(self.nodes)} nodes are too few for {kinds}, with max_down={self.config.max_down}",
                "Write nodes=3, or add a kind that takes no node down, as in kinds.loss=1.",
            )

    def strike(self, view: View) -> Strike | None:
        raise AssertionError("a swarm's faults strike")

    def plan(self, name: str, duration: int, rng: random.Random) -> Iterable[Planned]:
        latest = duration - LAST_CHANCE
        if self._earliest >= latest or not self._possible():
            return []
        planned = self._draw_swarm(name, lambda: int(self.config.at) + self._draw_time(rng) // 2, latest, rng)
        # In a short run every chain may begin too late: draw again, within the time that there is.
        while not planned:
            planned = self._draw_swarm(name, lambda: rng.randrange(self._earliest, latest), latest, rng)
        return sorted(planned, key=lambda one: one.at)

    @property
    def _earliest(self) -> int:
        """When the first fault begins at the earliest."""
        return int(self.config.at) + self.config.shortest // 2

    @property
    def _most(self) -> int:
        """How many nodes may be out of service at once."""
        return self.config.max_down if self.config.max_down >= 0 else (len(self.nodes) - 1) // 2

    def _weights(self) -> dict[str, int]:
        """The kinds that can strike these nodes at all, and how likely each is."""
        weights = {kind: weight for kind, weight in sorted(self.config.kinds.items()) if weight}
        return {kind: weight for kind, weight in weights.items() if self._fits_nodes(kind)}

    def _fits_nodes(self, kind: str) -> bool:
        try:
            _at_anybody(self._make(kind, {})).needs(kind, self.nodes)
        except ConfigError:
            return False
        return True

    def _possible(self) -> bool:
        """Whether anything can be drawn."""
        return bool(self._weights()) if self._most else any(map(self._spares_nodes, self._weights()))

    def _spares_nodes(self, kind: str) -> bool:
        """Whether a fault of this kind may leave all nodes in service."""
        options = [{"trouble": problem} for problem in self.config.disk] if kind == DISK else [{}]
        return any(not self._make(kind, option).takes_down() for option in options)

    def _draw_swarm(self, name: str, begin: Callable[[], int], latest: int, rng: random.Random) -> list[Planned]:
        """The faults that begin before `latest`, several chains of them, each of which begins at `begin()`."""
        swarm, guard, planned = self._draw_kinds(rng), Guard(self._most), list[Planned]()
        for _ in range(rng.randint(1, self.config.at_once)):
            at = begin()
            while at < latest:
                lasts = self._draw_time(rng)
                drawn = self._draw(swarm, guard, at, lasts, rng)
                if drawn is not None:
                    planned.append(Planned(at, drawn[1], f"{name}/{drawn[0]}", lasts, again=True))
                at += lasts + self._draw_time(rng) // 2
        return planned

    def _draw_kinds(self, rng: random.Random) -> dict[str, int]:
        """Some of the kinds, at least one: a swarm that always does everything never does one thing thoroughly."""
        weights = self._weights()
        chosen = set(rng.sample(list(weights), rng.randint(1, len(weights))))
        return {kind: weight for kind, weight in weights.items() if kind in chosen}

    def _draw_time(self, rng: random.Random) -> int:
        """From `shortest` to `longest`, each doubling as likely as any other."""
        shortest, longest = int(self.config.shortest), int(self.config.longest)
        low = shortest << rng.randrange((longest // shortest).bit_length())
        return rng.randint(low, min(2 * low, longest))

    def _draw(
        self, swarm: Mapping[str, int], guard: Guard, at: int, lasts: int, rng: random.Random
    ) -> tuple[str, Fault] | None:
        """A kind and its fault for this time; None if what was drawn would take down one node too many."""
        kind = rng.choices(list(swarm), list(swarm.values()))[0]
        options = self.kinds[kind].fault.drawn(rng)
        while kind == DISK and options["trouble"] not in self.config.disk:
            options = self.kinds[kind].fault.drawn(rng)
        fault = self._make(kind, options)
        if fault.takes_down() and not guard.reserve(fault, at, lasts):
            return None
        return kind, Guarded(fault, guard, lasts)


class Guard:
    """Sees to it that no more than `most` nodes are out of service at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._reserved: list[tuple[int, int, int]] = []  # (from, to, how many nodes)
        self._broken: dict[NodeId, int] = {}  # whose disk will crash it, and until when

    def reserve(self, fault: Fault, at: int, lasts: int) -> bool:
        """Whether the plan leaves room for a fault that takes nodes down; room is kept for it if so."""
        wants = max(1, self.most) if fault.config.target == MANY else 1
        end = NEVER if getattr(fault.config, "trouble", "") == "damage" else at + lasts
        taken = sum(count for start, stop, count in self._reserved if start <= end and at <= stop)
        if taken + wants > self.most:
            return False
        self._reserved.append((at, end, wants))
        return True

    def room(self, view: View) -> int:
        """How many nodes may still be taken down now."""
        broken = {node for node, until in self._broken.items() if until > view.now}
        out = {node for node in view.nodes if node not in view.up} | view.lost | broken
        return self.most - len(out)

    def takes(self, strike: Strike, until: int) -> None:
        """Remembers whose disks are broken, before that shows."""
        self._broken |= {action.node: until for action in strike.does if isinstance(action, SetDisk)}


class Guarded(Fault):
    """A fault of a swarm: struck at another target if its own does not exist, and held back if it is one too many."""

    def __init__(self, fault: Fault, guard: Guard, lasts: int) -> None:
        super().__init__(fault.config, fault.kinds)
        self._fault, self._guard, self._lasts = fault, guard, lasts
        self._other = _at_anybody(fault)

    def strike(self, view: View) -> Strike | None:
        if not self._fault.takes_down():
            return self._fault.strike(view) or self._other.strike(view)
        room = self._guard.room(view)
        if room < 1:
            return None
        strike = self._fault.strike(view)
        if strike is None or len(strike.against) > room:
            strike = self._other.strike(view)
        if strike is not None:
            self._guard.takes(strike, view.now + self._lasts)
        return strike

    def expected(self, strike: Strike, messages: int) -> float | None:
        """Of a swarm's faults one may hide another, or fall on links that carry nothing: that is chance too."""
        expected = self._fault.expected(strike, messages)
        return float(messages) if expected is None else expected


def _at_anybody(fault: Fault) -> Fault:
    """The same fault, aimed at a target that there always is."""
    aim = next((key for key in ("target", "links") if key in fault.config.__struct_fields__), None)
    if aim is None:
        return fault
    other = type(fault)(msgspec.structs.replace(fault.config, **{aim: "random"}), fault.kinds)
    other.nodes, other.spares = fault.nodes, fault.spares
    return other


@hookimpl
def register_faults() -> list[FaultSpec]:
    return [
        FaultSpec(
            name="chaos", fault=Chaos, config=ChaosConfig,
            summary="A swarm of faults: each seed draws which kinds, how many at once, and how long.",
        )
    ]  # fmt: skip
