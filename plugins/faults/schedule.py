"""Faults at given times: a list of steps, each a fault of any kind, with the steps that follow its end.

faults:
  schedule:
    steps:
      - {at: 2s, fault: partition, kind: isolate, target: leader, for: 1s}
      - at: 4s
        every: 2s
        fault: crash
        target: random
        for: 500ms
        then:                     # counted from the end of the crash
          - {at: 100ms, fault: pause, target: leader, for: 300ms}
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from framework import (
    Config,
    ConfigError,
    Fault,
    FaultKinds,
    FaultPlan,
    FaultSpec,
    PeriodicPlan,
    PlannedFault,
    check_begins,
    did_you_mean,
    hookimpl,
)

_EXAMPLE = "Write {at: 2s, fault: crash, target: leader, for: 1s}."


class ScheduleConfig(Config):
    """The steps of the schedule."""

    steps: tuple[dict[str, Any], ...] = ()
    """Each step names its `fault`, with that fault's options, `at`, `every` and `for`. `then` lists the steps that
    follow; their `at` counts from this step's end."""


class Step(msgspec.Struct, frozen=True):
    """One step: the fault, its name in the ledger, and the steps that follow it."""

    name: str
    fault: Fault
    then: tuple[Step, ...]


class Schedule(FaultPlan):
    """Plans the faults of its steps."""

    config: ScheduleConfig

    def validate_nodes(self, key: str) -> None:
        if not self.config.steps:
            raise ConfigError(f"{key}.steps", "there are no steps, so nothing would ever happen", _EXAMPLE)
        for where, step in _walk(self._steps(key), f"{key}.steps"):
            step.fault.validate_nodes(where, (*self.nodes, *self.spares), self.spares)

    def required_admin_operations(self, key: str) -> tuple[str, ...]:
        required = [
            function
            for _, step in _walk(self._steps(key), "")
            for function in step.fault.required_admin_operations(key)
        ]
        return tuple(dict.fromkeys(required))

    def validate_span(self, key: str, span: int) -> None:
        for number, step in enumerate(self._steps(key)):
            at = step.fault.config.at
            check_begins(f"{key}.steps.{number}.at={at}", int(at), span)
            for where, begins in _begins(step, int(step.fault.config.at), f"{key}.steps.{number}"):
                check_begins(f"{where}.at", begins, span)

    def planned_faults(self, name: str, span: int, rng: random.Random) -> Iterable[PlannedFault]:
        for step in self._steps(name):
            then = tuple(_follow(following) for following in step.then)
            for planned in PeriodicPlan(step.fault).planned_faults(step.name, span, rng):
                yield dataclasses.replace(planned, then=then)

    def _steps(self, key: str) -> tuple[Step, ...]:
        return _read(self.config.steps, f"{key}.steps", key.rpartition(".")[2], self.kinds, {})


def _walk(steps: Sequence[Step], where: str) -> Iterable[tuple[str, Step]]:
    for number, step in enumerate(steps):
        yield f"{where}.{number}", step
        yield from _walk(step.then, f"{where}.{number}.then")


def _begins(step: Step, at: int, where: str) -> Iterable[tuple[str, int]]:
    """Yields (key, earliest time in nanoseconds) of each step that follows a step at `at`, directly or indirectly."""
    for number, following in enumerate(step.then):
        begins = at + int(step.fault.config.lasts) + int(following.fault.config.at)
        yield f"{where}.then.{number}", begins
        yield from _begins(following, begins, f"{where}.then.{number}")


def _follow(step: Step) -> PlannedFault:
    config = step.fault.config
    return PlannedFault(int(config.at), step.fault, step.name, int(config.lasts), tuple(map(_follow, step.then)))


def _read(
    steps: Any, where: str, name: str, kinds: FaultKinds, used: dict[str, int], *, following: bool = False
) -> tuple[Step, ...]:
    """Parses the steps at the key `where`. Raises ConfigError, with the step's number, for an invalid step."""
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise ConfigError(where, f"expected a list of steps, got {steps!r}", _EXAMPLE)
    return tuple(
        _read_one(step, f"{where}.{number}", name, kinds, used, following) for number, step in enumerate(steps)
    )


def _read_one(step: Any, where: str, name: str, kinds: FaultKinds, used: dict[str, int], following: bool) -> Step:
    if not isinstance(step, Mapping) or "fault" not in step:
        raise ConfigError(where, f"expected keys and values with a `fault`, got {step!r}", _EXAMPLE)
    kind = step["fault"]
    if kind not in kinds.names:
        raise ConfigError(f"{where}.fault", f"there is no fault {kind!r}", did_you_mean(str(kind), kinds.names))
    if following and "every" in step:
        raise ConfigError(f"{where}.every", "a step that follows another happens once", "Leave `every` out.")
    settings = {"at": "0"} if following else {}
    settings |= {str(key): value for key, value in step.items() if key not in ("fault", "then")}
    number = used[kind] = used.get(kind, 0) + 1
    fault = kinds.make(kind, settings, where)
    then = _read(step.get("then", ()), f"{where}.then", name, kinds, used, following=True)
    return Step(f"{name}/{kind}" + (f"-{number}" if number > 1 else ""), fault, then)


@hookimpl
def register_faults() -> list[FaultSpec]:
    return [
        FaultSpec(name="schedule", plan=Schedule, config=ScheduleConfig, summary="Faults by the clock, step by step.")
    ]
