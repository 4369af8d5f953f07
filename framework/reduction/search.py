"""The search: as long as anything can be made smaller and the failure stays, it is made smaller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from framework.reduction.candidates import Config, Defaults, dimensions
from framework.reduction.trial import Trial, Trials

Progress = Callable[[str, Trial], None]
"""Called with the dimension that has just become smaller."""


class Search:
    """Makes `first`, a trial that failed, smaller; at most `tries` runs (None: as many as the time allows).

    A candidate is run with the seed that failed last and then with the `seeds` first ones; it counts if one of them
    shows a kind of failure that `first` showed.
    """

    def __init__(self, trials: Trials, first: Trial, defaults: Defaults, seeds: int, tries: int | None) -> None:
        self.best = first
        self._trials, self._kinds, self._defaults = trials, first.kinds, defaults
        self._seeds, self._tries = seeds, tries
        self._seen: set[str] = set()

    @property
    def over(self) -> bool:
        """Whether the budget is spent, or somebody has interrupted."""
        trials = self._trials
        spent = self._tries is not None and trials.count >= self._tries
        return spent or trials.interrupted or time.monotonic() >= trials.deadline

    def run(self, progress: Progress) -> bool:
        """To the end; True if nothing can be made smaller any more, False if the budget was spent before."""
        smaller = True
        while smaller and not self.over:
            smaller = False
            for name in self._names():
                while self._step(name):
                    smaller = True
                    progress(name, self.best)
        return not self.over

    def _names(self) -> list[str]:
        return [name for name, _ in dimensions(self.best.config, self._defaults)]

    def _step(self, name: str) -> bool:
        """One step in a dimension: the first candidate that fails becomes the best."""
        for candidate in self._candidates(name):
            if self.over:
                return False
            found = self._failing(candidate)
            if found is not None:
                self.best = found
                return True
        return False

    def _candidates(self, name: str) -> Iterator[Config]:
        for other, candidates in dimensions(self.best.config, self._defaults):
            if other == name:
                yield from candidates

    def _failing(self, candidate: Config) -> Trial | None:
        key = repr(_sorted({**candidate, "seed": None}))
        if key in self._seen:
            return None
        self._seen.add(key)
        for seed in dict.fromkeys((int(self.best.config["seed"]), *range(self._seeds))):
            if self.over:
                return None
            trial = self._trials.run(candidate, seed)
            if trial is None:
                return None
            if trial.kinds & self._kinds:
                return trial
        return None


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _sorted(value[key])) for key in sorted(value, key=str)]
    return [_sorted(item) for item in value] if isinstance(value, list) else value
