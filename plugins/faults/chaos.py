"""A swarm of faults: each seed draws which kinds, how many at once, and how long.

What is drawn can fire. A swarm never has more than `max_down` nodes crashed, standing still or without a working disk
at once, so that a majority can go on unless the network keeps it from it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from framework import (
    MILLISECOND,
    NEVER,
    ClusterView,
    Config,
    ConfigError,
    DiskProblem,
    Duration,
    Fault,
    FaultPlan,
    FaultSpec,
    Injection,
    NodeId,
    PlannedFault,
    SetDisk,
    did_you_mean,
    format_duration,
    hookimpl,
)

Count = Annotated[int, Meta(ge=1)]
Weight = Annotated[int, Meta(ge=0)]

LAST_CHANCE = 500 * MILLISECOND
"""Nothing begins later than this before the end, so that a fault that finds no target has time to try again."""

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


class Chaos(FaultPlan):
    """Plans a swarm of faults."""

    config: ChaosConfig

    def validate_nodes(self, key: str) -> None:
        known = self.kinds.names
        for kind in self.config.kinds:
            if kind not in known:
                raise ConfigError(f"{key}.kinds.{kind}", f"there is no fault {kind!r}", did_you_mean(kind, known))
        usual = ChaosConfig().kinds
        for kind, weight in self.config.kinds.items():
            # A weight equal to the default cannot be told from one that was not given.
            if weight and weight != usual.get(kind):
                fault = _with_random_target(self.kinds.make(kind, {}, kind))
                fault.validate_nodes(f"{key}.kinds.{kind}", (*self.nodes, *self.spares), self.spares)

    def required_admin_operations(self, key: str) -> tuple[str, ...]:
        kinds = [kind for kind, weight in self.config.kinds.items() if weight and kind in self.kinds.names]
        drawn = [self.kinds.make(kind, {}, kind) for kind in kinds]
        return tuple(dict.fromkeys(function for fault in drawn for function in fault.required_admin_operations(key)))

    def validate_span(self, key: str, span: int) -> None:
        if self._earliest + LAST_CHANCE >= span:
            needs, ends = format_duration(self._earliest + LAST_CHANCE), format_duration(span)
            raise ConfigError(
                f"{key}.at={self.config.at}",
                f"leaves a swarm no time: it takes more than {needs}, and faults end after {ends} (duration less quiet)",
                "Make duration longer, or quiet or at shorter.",
            )
        if not self._possible():
            kinds = ", ".join(kind for kind, weight in self.config.kinds.items() if weight)
            raise ConfigError(
                f"{key}.kinds",
                f"leave nothing to draw: {len(self.nodes)} nodes are too few for {kinds}, with max_down={self.config.max_down}",
                "Write nodes=3, or add a kind that takes no node down, as in kinds.loss=1.",
            )

    def planned_faults(self, name: str, span: int, rng: random.Random) -> Iterable[PlannedFault]:
        latest = span - LAST_CHANCE
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
        """The kinds that fit these nodes, and how likely each is."""
        weights = {kind: weight for kind, weight in sorted(self.config.kinds.items()) if weight}
        return {kind: weight for kind, weight in weights.items() if self._fits_nodes(kind)}

    def _fits_nodes(self, kind: str) -> bool:
        try:
            fault = _with_random_target(self.kinds.make(kind, {}, kind))
            fault.validate_nodes(kind, self.nodes, self.spares)
        except ConfigError:
            return False
        return True

    def _possible(self) -> bool:
        """Whether anything can be drawn."""
        return bool(self._weights()) if self._most else any(map(self._spares_nodes, self._weights()))

    def _spares_nodes(self, kind: str) -> bool:
        """Whether a fault of this kind may leave all nodes in service."""
        options = [{"trouble": problem} for problem in self.config.disk] if kind == DISK else [{}]
        return any(not self.kinds.make(kind, option, kind).disables_target() for option in options)

    def _draw_swarm(self, name: str, begin: Callable[[], int], latest: int, rng: random.Random) -> list[PlannedFault]:
        """The faults that begin before `latest`, several chains of them, each of which begins at `begin()`."""
        swarm, guard, planned = self._draw_kinds(rng), Guard(self._most), list[PlannedFault]()
        for _ in range(rng.randint(1, self.config.at_once)):
            at = begin()
            while at < latest:
                lasts = self._draw_time(rng)
                drawn = self._draw(swarm, guard, at, lasts, rng)
                if drawn is not None:
                    planned.append(PlannedFault(at, drawn[1], f"{name}/{drawn[0]}", lasts, retry_if_unmet=True))
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
        options = self._random_options(kind, rng)
        while kind == DISK and options["trouble"] not in self.config.disk:
            options = self._random_options(kind, rng)
        fault = self.kinds.make(kind, options, kind)
        if fault.disables_target() and not guard.reserve(fault, at, lasts):
            return None
        return kind, Guarded(fault, guard, lasts)

    def _random_options(self, kind: str, rng: random.Random) -> dict[str, Any]:
        fault = self.kinds.specs[kind].fault
        assert fault is not None, "a plan is no kind that a swarm draws"
        return fault.random_options(rng)


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

    def room(self, view: ClusterView) -> int:
        """How many nodes may still be taken down now."""
        broken = {node for node, until in self._broken.items() if until > view.now}
        out = {node for node in view.nodes if node not in view.up} | view.lost | broken
        return self.most - len(out)

    def note_disks(self, injection: Injection, until: int) -> None:
        """Remembers the nodes whose disks the injection breaks, before that shows."""
        self._broken |= {action.node: until for action in injection.actions if isinstance(action, SetDisk)}


class Guarded(Fault):
    """A fault of a swarm: injected into a random target if its own does not exist, and held back if it is one too many."""

    def __init__(self, fault: Fault, guard: Guard, lasts: int) -> None:
        super().__init__(fault.config)
        self._fault, self._guard, self._lasts = fault, guard, lasts
        self._other = _with_random_target(fault)

    def inject(self, view: ClusterView) -> Injection | None:
        if not self._fault.disables_target():
            return self._fault.inject(view) or self._other.inject(view)
        room = self._guard.room(view)
        if room < 1:
            return None
        injection = self._fault.inject(view)
        if injection is None or len(injection.targets) > room:
            injection = self._other.inject(view)
        if injection is not None:
            self._guard.note_disks(injection, view.now + self._lasts)
        return injection

    def expected_touched(self, injection: Injection, messages: int) -> float | None:
        """Of a swarm's faults one may hide another, or fall on links that carry nothing: that is chance too."""
        expected = self._fault.expected_touched(injection, messages)
        return float(messages) if expected is None else expected


def _with_random_target(fault: Fault) -> Fault:
    """The same fault with the target `random`, which always exists."""
    field = next((key for key in ("target", "links") if key in fault.config.__struct_fields__), None)
    if field is None:
        return fault
    return type(fault)(msgspec.structs.replace(fault.config, **{field: "random"}))


@hookimpl
def register_faults() -> list[FaultSpec]:
    return [
        FaultSpec(
            name="chaos", plan=Chaos, config=ChaosConfig,
            summary="A swarm of faults: each seed draws which kinds, how many at once, and how long.",
        )
    ]  # fmt: skip
