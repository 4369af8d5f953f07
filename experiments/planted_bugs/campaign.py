"""Hunts all mutants of a protocol, and the protocol itself, on every core."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from experiments.planted_bugs.hunt import Ground, Hunt
from experiments.planted_bugs.mutant import Mutant
from experiments.planted_bugs.table import Line
from framework.core.errors import ConfigError, did_you_mean
from framework.sweep.pool import results

APART = 10_000
"""From the first seed of one hunt to the first of the next."""


def protocols() -> list[str]:
    """Those of which there are mutants."""
    return sorted(file.stem.removesuffix("_mutants") for file in Path(__file__).parent.glob("*_mutants.py"))


def mutants_of(protocol: str) -> tuple[Mutant, ...]:
    module = importlib.import_module(f"experiments.planted_bugs.{protocol}_mutants")
    mutants: tuple[Mutant, ...] = module.MUTANTS
    return mutants


def lines_of(protocol: str, only: Sequence[str]) -> list[Line]:
    """The protocol itself, then its mutants; of the mutants only those named. ConfigError if one is not known."""
    lines = [Line(mutant.name(protocol), mutant) for mutant in mutants_of(protocol)]
    names = [line.protocol for line in lines]
    for name in only:
        if name not in names:
            raise ConfigError(f"--only {name}", f"{protocol} has no such mutant", did_you_mean(name, names))
    return [Line(protocol, None), *(line for line in lines if not only or line.protocol in only)]


def hunt(experiment: str, config_dir: str, protocol: str, overrides: tuple[str, ...], first: int, seeds: int) -> Hunt:
    """One hunt, in whatever process."""
    return Ground(experiment, protocol, overrides, config_dir).hunt(range(first, first + seeds))


def hunt_all(
    lines: Sequence[Line], experiment: str, config_dir: str, seeds: int, bases: int, processes: int
) -> Iterator[Line]:
    """Fills the lines, each with one hunt for each base, and gives each as soon as it is full."""
    calls = [
        (experiment, config_dir, line.protocol, line.mutant.needs if line.mutant else (), base * APART, seeds)
        for line in lines
        for base in range(bases)
    ]
    with closing(results(hunt, calls, processes)) as found:
        for line in lines:
            line.hunts = list(islice(found, bases))
            yield line
