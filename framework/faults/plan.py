"""Fault plans: the times at which faults are injected.

Most faults follow their config (`at`, `every`, `for`): `PeriodicPlan`. A plugin that is itself a plan, such as a
schedule or a swarm, makes its faults from the installed kinds.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from framework.core.errors import ConfigError, did_you_mean
from framework.core.message import Config, NodeId
from framework.core.time import format_duration
from framework.core.tracebacks import check_initialized
from framework.faults.fault import Fault, FaultConfig


@dataclass(frozen=True)
class PlannedFault:
    """A fault with its time: injected at `at`, and undone `lasts` nanoseconds later (0: when all faults end).

    The faults in `then` follow it; their `at` counts from its end. `retry_if_unmet`: a disk fault that met no commit
    in that time is injected again, as long as there is time.
    """

    at: int
    fault: Fault
    name: str
    lasts: int
    then: tuple[PlannedFault, ...] = ()
    retry_if_unmet: bool = False


class FaultKind(Protocol):
    """A kind of fault as a plan sees it: a registered `FaultSpec`."""

    @property
    def fault(self) -> type[Fault] | None: ...

    @property
    def config(self) -> type[Config] | None: ...


def _converted(config: type[Config], options: Mapping[str, Any], key: str) -> Any:
    return msgspec.convert(options, config, dec_hook=lambda kind, value: kind(value))


@dataclass(frozen=True)
class FaultKinds:
    """The installed kinds of fault, and a factory of faults from plain options.

    `build(config, options, key)` makes a config from plain options; it raises ConfigErrors that name the key.
    """

    specs: Mapping[str, FaultKind] = field(default_factory=dict)
    build: Callable[[type[Config], Mapping[str, Any], str], Any] = _converted

    @property
    def names(self) -> tuple[str, ...]:
        """The kinds that a plan can use: all except those that are plans themselves."""
        return tuple(name for name, spec in self.specs.items() if spec.fault is not None and _is_timed(spec.config))

    def make(self, kind: str, options: Mapping[str, Any], key: str) -> Fault:
        """Makes a fault of this kind, injected once unless the options say otherwise.

        Raises ConfigError at `key` if that is impossible.
        """
        spec = self.specs.get(kind)
        if spec is None or spec.fault is None or spec.config is None or kind not in self.names:
            raise ConfigError(key, f"there is no fault {kind!r}", did_you_mean(kind, self.names))
        try:
            fault = spec.fault(self.build(spec.config, {"every": "0", **options}, key))
        except ConfigError as error:
            raise error if error.where.startswith(key) else ConfigError(key, error.what, error.fix) from error
        check_initialized(fault, "config", f"faults={kind}")
        return fault


def _is_timed(config: type[Config] | None) -> bool:
    return config is not None and issubclass(config, FaultConfig)


class FaultPlan(ABC):
    """Base of every plan. `nodes` are the servers that the run starts with, `spares` the spare servers."""

    def __init__(
        self, config: Any, kinds: FaultKinds, nodes: Sequence[NodeId] = (), spares: Sequence[NodeId] = ()
    ) -> None:
        self.config, self.kinds = config, kinds
        self.nodes, self.spares = tuple(nodes), tuple(spares)

    @abstractmethod
    def planned_faults(self, name: str, span: int, rng: random.Random) -> Iterable[PlannedFault]:
        """Returns the faults to inject in the first `span` nanoseconds of the run; their names begin with `name`."""

    def validate_nodes(self, key: str) -> None:
        """Raises ConfigError if the config at `key` cannot be carried out on `nodes` and `spares`."""

    def validate_span(self, key: str, span: int) -> None:
        """Raises ConfigError if the config at `key` plans nothing within `span` nanoseconds."""

    def required_admin_operations(self, key: str) -> tuple[str, ...]:
        """Returns the administrative operations that its faults request. `key` locates its config in a ConfigError."""
        return ()


class PeriodicPlan(FaultPlan):
    """One fault at the times of its config: first `at`, then at intervals of `every`, each time undone after `for`."""

    def __init__(self, fault: Fault, nodes: Sequence[NodeId] = (), spares: Sequence[NodeId] = ()) -> None:
        super().__init__(fault.config, FaultKinds(), nodes, spares)
        self.fault = fault

    def planned_faults(self, name: str, span: int, rng: random.Random) -> Iterable[PlannedFault]:
        at = int(self.config.at)
        while at < span:
            yield PlannedFault(at, self.fault, name, int(self.config.lasts))
            if not self.config.every:
                return
            at += self.config.every

    def validate_nodes(self, key: str) -> None:
        self.fault.validate_nodes(key, (*self.nodes, *self.spares), self.spares)

    def validate_span(self, key: str, span: int) -> None:
        check_begins(f"{key}.at={self.config.at}", int(self.config.at), span)

    def required_admin_operations(self, key: str) -> tuple[str, ...]:
        return self.fault.required_admin_operations(key)


def check_begins(where: str, begins: int, span: int) -> None:
    """Raises ConfigError unless `begins` is within `span` nanoseconds, after which all faults are undone."""
    if begins >= span:
        raise ConfigError(
            where,
            f"can never happen: from {format_duration(span)} on there are no faults (duration less quiet)",
            "Let it begin sooner, the run last longer, or quiet be shorter.",
        )
