"""The search: as long as anything can be made smaller and the failure stays, it is made smaller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from framework.reduction.candidates import Config, Defaults, dimensions
from framework.reduction.trial import Trial, Trials, ended_at

_MORE = 4
"""How many times as many seeds the best config gets at the end of a round."""

Progress = Callable[[str, Trial], None]
"""Called with the dimension that has just become smaller."""


class Search:
    """Makes `best` smaller, a trial that failed as `first` did, or `first` itself; at most `tries` runs (None: as many as the time allows).

    A candidate is run with the seed that failed last and then with the `seeds` first ones. It counts if one of them shows
    a kind of failure that `first` showed, without more operations, fault strikes or steps than `first` took.
    """

    def __init__(
        self, trials: Trials, first: Trial, best: Trial, defaults: Defaults, seeds: int, tries: int | None
    ) -> None:
        self.best = best
        self._trials, self._first, self._defaults = trials, first, defaults
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
            if self._other_seed():
                smaller = True
                progress("steps", self.best)
        return not self.over

    def _names(self) -> list[str]:
        return [name for name, _ in self._dimensions()]

    def _dimensions(self) -> Iterator[tuple[str, Iterator[Config]]]:
        return dimensions(self.best.config, self._defaults, ended_at(self.best.result))

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
        for other, candidates in self._dimensions():
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
            if self._counts(trial, self._first):
                return trial
        return None

    def _counts(self, trial: Trial, beside: Trial) -> bool:
        """Whether a trial fails in the way that is looked for, and does no more than `beside`."""
        small = all(done <= before for done, before in zip(trial.amounts, beside.amounts, strict=True))
        return small and bool(trial.kinds & self._first.kinds)

    def _other_seed(self) -> bool:
        """The best config with a seed that fails sooner, out of more seeds than a candidate gets."""
        found = False
        for seed in range(_MORE * self._seeds):
            if self.over:
                break
            trial = self._trials.run(self.best.config, seed)
            if trial is not None and trial.amounts < self.best.amounts and self._counts(trial, self.best):
                self.best, found = trial, True
        return found


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _sorted(value[key])) for key in sorted(value, key=str)]
    return [_sorted(item) for item in value] if isinstance(value, list) else value
