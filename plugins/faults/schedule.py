"""Faults by the clock: a list of steps, each any kind of fault, and what follows when it is over.

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

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from framework import Config, ConfigError, Fault, FaultConfig, FaultKind, FaultSpec, NodeId, Planned, hookimpl
from framework.config.plain_mappings import BadValue, build
from framework.core.errors import did_you_mean
from framework.faults.fault import Strike, View, check_begins

_EXAMPLE = "Write {at: 2s, fault: crash, target: leader, for: 1s}."


class ScheduleConfig(Config):
    """What happens when."""

    steps: tuple[dict[str, Any], ...] = ()
    """Each names its `fault`, with that fault's own options, `at`, `every` and `for`; `then` lists what follows, `at` a
    time after this one's end."""


class Step(msgspec.Struct, frozen=True):
    """One step: a fault made of its config, the name of its line in the ledger, and what follows."""

    name: str
    fault: Fault
    then: tuple[Step, ...]


class Schedule(Fault):
    """Strikes as its steps say; its own `strike` is never asked."""

    config: ScheduleConfig

    def needs(self, key: str, nodes: Sequence[NodeId]) -> None:
        if not self.config.steps:
            raise BadValue(f"{key}.steps", "there are no steps, so nothing would ever happen", _EXAMPLE)
        for where, step in _walk(self._steps(key), f"{key}.steps"):
            step.fault.needs(where, nodes)

    def asks(self, key: str) -> tuple[str, ...]:
        asked = [function for _, step in _walk(self._steps(key), "") for function in step.fault.asks(key)]
        return tuple(dict.fromkeys(asked))

    def fits(self, key: str, span: int) -> None:
        for number, step in enumerate(self._steps(key)):
            step.fault.fits(f"{key}.steps.{number}", span)
            for where, begins in _begins(step, int(step.fault.config.at), f"{key}.steps.{number}"):
                check_begins(f"{where}.at", begins, span)

    def plan(self, name: str, duration: int, rng: random.Random) -> Iterable[Planned]:
        for step in self._steps(name):
            for planned in step.fault.plan(step.name, duration, rng):
                then = tuple(_follow(following) for following in step.then)
                yield Planned(planned.at, planned.fault, planned.name, planned.lasts, then)

    def strike(self, view: View) -> Strike | None:
        raise AssertionError("a schedule's steps strike")

    def _steps(self, key: str) -> tuple[Step, ...]:
        steps = _read(self.config.steps, f"{key}.steps", key.rpartition(".")[2], self.kinds, {})
        for _, step in _walk(steps, key):
            step.fault.nodes, step.fault.spares = self.nodes, self.spares
        return steps


def _walk(steps: Sequence[Step], where: str) -> Iterable[tuple[str, Step]]:
    for number, step in enumerate(steps):
        yield f"{where}.{number}", step
        yield from _walk(step.then, f"{where}.{number}.then")


def _begins(step: Step, at: int, where: str) -> Iterable[tuple[str, int]]:
    """When each of those that follow a step which strikes at `at` strikes at the earliest, and where it stands."""
    for number, following in enumerate(step.then):
        begins = at + int(step.fault.config.lasts) + int(following.fault.config.at)
        yield f"{where}.then.{number}", begins
        yield from _begins(following, begins, f"{where}.then.{number}")


def _follow(step: Step) -> Planned:
    config = step.fault.config
    return Planned(int(config.at), step.fault, step.name, int(config.lasts), tuple(map(_follow, step.then)))


def _read(
    steps: Any, where: str, name: str, kinds: Mapping[str, FaultKind], used: dict[str, int], *, following: bool = False
) -> tuple[Step, ...]:
    """The steps that stand at `where`. BadValue, with the step's number, for what cannot be one."""
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise BadValue(where, f"expected a list of steps, got {steps!r}", _EXAMPLE)
    return tuple(
        _read_one(step, f"{where}.{number}", name, kinds, used, following) for number, step in enumerate(steps)
    )


def _read_one(
    step: Any, where: str, name: str, kinds: Mapping[str, FaultKind], used: dict[str, int], following: bool
) -> Step:
    if not isinstance(step, Mapping) or "fault" not in step:
        raise BadValue(where, f"expected keys and values with a `fault`, got {step!r}", _EXAMPLE)
    known = [kind for kind, spec in kinds.items() if spec.config is not None and issubclass(spec.config, FaultConfig)]
    kind = step["fault"]
    if kind not in known:
        raise BadValue(f"{where}.fault", f"there is no fault {kind!r}", did_you_mean(str(kind), known))
    if following and "every" in step:
        raise BadValue(f"{where}.every", "what follows another fault strikes once", "Leave `every` out.")
    # A step says itself how often: a kind's own habit of coming again is for `faults=KIND`.
    settings = {"every": "0", **({"at": "0"} if following else {})}
    settings |= {str(key): value for key, value in step.items() if key not in ("fault", "then")}
    config = kinds[kind].config
    assert config is not None
    number = used[kind] = used.get(kind, 0) + 1
    try:
        fault = kinds[kind].fault(build(config, settings, where), kinds)
    except ConfigError as error:
        raise BadValue(where, error.what, error.fix) from error
    then = _read(step.get("then", ()), f"{where}.then", name, kinds, used, following=True)
    return Step(f"{name}/{kind}" + (f"-{number}" if number > 1 else ""), fault, then)


@hookimpl
def register_faults() -> list[FaultSpec]:
    return [
        FaultSpec(name="schedule", fault=Schedule, config=ScheduleConfig, summary="Faults by the clock, step by step.")
    ]
