"""A swarm of faults: each seed draws the kinds of faults, their number at once, and their durations.

Only faults that can fire are drawn. A swarm never has more than `max_down` nodes crashed, paused or without a working
disk at once, so that a majority can make progress unless the network prevents it.
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
"""No fault begins later than this before the end, so that a fault without a target has time to retry."""

MANY, DISK = "random_minority", "disk"


class ChaosConfig(Config):
    """Settings of the swarm."""

    at: Duration = Duration("300ms")
    """Start of the first fault, at the earliest."""
    at_once: Count = 3
    """Maximum number of overlapping faults; each seed draws its own number up to this."""
    shortest: Duration = Duration("100ms")
    """Minimum duration of a fault."""
    longest: Duration = Duration("800ms")
    """Maximum duration of a fault; short durations are as likely as long ones."""
    max_down: Annotated[int, Meta(ge=-1)] = -1
    """Maximum number of nodes that are down, paused or without a working disk at once; -1: a minority."""
    kinds: dict[str, Weight] = msgspec.field(
        default_factory=lambda: {
            "crash": 3, "pause": 2, "partition": 4, "loss": 2, "duplicate": 1, "reorder": 1, "delay": 2, "clock": 2, "disk": 3,
        }
    )  # fmt: skip
    """Relative likelihood of each kind; 0 excludes a kind. Each seed draws some of the kinds."""
    disk: tuple[DiskProblem, ...] = ("slow", "failed_fsync", "full", "damage")
    """The disk problems to draw from. Without `damage`, every node is back when the faults end."""

    def __post_init__(self) -> None:
        if not 0 < self.shortest <= self.longest:
            raise ValueError(f"shortest={self.shortest} and longest={self.longest}: give 0 < shortest <= longest")
        if not any(self.kinds.values()):
            raise ValueError("every kind has weight 0: give one of them more, as in kinds.crash=1")
        if not self.disk:
            raise ValueError("disk=[] leaves no disk fault to draw: exclude the kind with kinds.disk=0")


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
            # A weight equal to the default is indistinguishable from an unset one.
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
        """Returns the earliest start of the first fault."""
        return int(self.config.at) + self.config.shortest // 2

    @property
    def _most(self) -> int:
        """Returns the maximum number of nodes out of service at once."""
        return self.config.max_down if self.config.max_down >= 0 else (len(self.nodes) - 1) // 2

    def _weights(self) -> dict[str, int]:
        """Returns the kinds that fit these nodes, with their weights."""
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
        """Returns whether any fault can be drawn."""
        return bool(self._weights()) if self._most else any(map(self._spares_nodes, self._weights()))

    def _spares_nodes(self, kind: str) -> bool:
        """Returns whether a fault of this kind may leave all nodes in service."""
        options = [{"trouble": problem} for problem in self.config.disk] if kind == DISK else [{}]
        return any(not self.kinds.make(kind, option, kind).disables_target() for option in options)

    def _draw_swarm(self, name: str, begin: Callable[[], int], latest: int, rng: random.Random) -> list[PlannedFault]:
        """Draws the faults that begin before `latest`: several chains, each starting at `begin()`."""
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
        """Draws a non-empty subset of the kinds: a swarm with every kind in every run tests none of them thoroughly."""
        weights = self._weights()
        chosen = set(rng.sample(list(weights), rng.randint(1, len(weights))))
        return {kind: weight for kind, weight in weights.items() if kind in chosen}

    def _draw_time(self, rng: random.Random) -> int:
        """Draws a duration from `shortest` to `longest`, log-uniformly: each doubling is equally likely."""
        shortest, longest = int(self.config.shortest), int(self.config.longest)
        low = shortest << rng.randrange((longest // shortest).bit_length())
        return rng.randint(low, min(2 * low, longest))

    def _draw(
        self, swarm: Mapping[str, int], guard: Guard, at: int, lasts: int, rng: random.Random
    ) -> tuple[str, Fault] | None:
        """Draws a kind and a fault for this time; None if the draw would take down one node too many."""
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
        assert fault is not None, "a swarm draws no plans"
        return fault.random_options(rng)


class Guard:
    """Limits the number of nodes out of service at once to `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._reserved: list[tuple[int, int, int]] = []  # (from, to, how many nodes)
        self._broken: dict[NodeId, int] = {}  # nodes that their disks will crash, and until when

    def reserve(self, fault: Fault, at: int, lasts: int) -> bool:
        """Reserves room in the plan for a fault that takes nodes down. Returns False if there is none."""
        wants = max(1, self.most) if fault.config.target == MANY else 1
        end = NEVER if getattr(fault.config, "trouble", "") == "damage" else at + lasts
        taken = sum(count for start, stop, count in self._reserved if start <= end and at <= stop)
        if taken + wants > self.most:
            return False
        self._reserved.append((at, end, wants))
        return True

    def room(self, view: ClusterView) -> int:
        """Returns how many more nodes may be taken down now."""
        broken = {node for node, until in self._broken.items() if until > view.now}
        out = {node for node in view.nodes if node not in view.up} | view.lost | broken
        return self.most - len(out)

    def note_disks(self, injection: Injection, until: int) -> None:
        """Records the nodes whose disks the injection breaks, before the effect is visible."""
        self._broken |= {action.node: until for action in injection.actions if isinstance(action, SetDisk)}


class Guarded(Fault):
    """A fault of a swarm. Falls back to a random target if its own does not exist or takes down too many nodes; a fault
    of links falls back to all links if no node runs, as when the only server is down."""

    def __init__(self, fault: Fault, guard: Guard, lasts: int) -> None:
        super().__init__(fault.config)
        self._fault, self._guard, self._lasts = fault, guard, lasts
        self._other = _with_random_target(fault)

    def inject(self, view: ClusterView) -> Injection | None:
        if not self._fault.disables_target():
            return self._fault.inject(view) or self._other.inject(view) or self._on_all_links(view)
        room = self._guard.room(view)
        if room < 1:
            return None
        injection = self._fault.inject(view)
        if injection is None or len(injection.targets) > room:
            injection = self._other.inject(view)
        if injection is not None:
            self._guard.note_disks(injection, view.now + self._lasts)
        return injection

    def _on_all_links(self, view: ClusterView) -> Injection | None:
        config = self._fault.config
        if "links" not in config.__struct_fields__:
            return None
        return type(self._fault)(msgspec.structs.replace(config, links="all")).inject(view)

    def expected_touched(self, injection: Injection, messages: int) -> float | None:
        """Allows for chance: in a swarm one fault may mask another, or hit links that carry no messages."""
        expected = self._fault.expected_touched(injection, messages)
        return float(messages) if expected is None else expected


def _with_random_target(fault: Fault) -> Fault:
    """Returns the same fault with the target `random`, which always exists."""
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
