"""The search: reduces a run as long as something can be made smaller and the failure stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from framework.shrink.candidates import Defaults, PlainConfig, dimensions
from framework.shrink.trial import Trial, Trials, ended_at

_MORE = 4
"""Factor by which the best config gets more seeds at the end of a round."""

Progress = Callable[[str, Trial], None]
"""Called with the dimension that has just become smaller, and the new best."""


class ShrinkSearch:
    """Makes a failing run smaller: `best`, which is `first` or a trial that shares one of its `kinds` of failure.

    Takes at most `tries` runs (None: as many as the time allows). A candidate is run with the seed that failed last,
    then with the first `seeds` seeds. The search continues from a candidate if one of them shows such a failure without
    more operations, strikes of faults, steps or messages than `first`. A run may become longer on the way (a lossless
    network carries more); `best` is the smallest of all, and never becomes larger.
    """

    def __init__(
        self, trials: Trials, first: Trial, best: Trial, defaults: Defaults, seeds: int, tries: int | None
    ) -> None:
        self.best = best
        self._trials, self._first, self._defaults = trials, first, defaults
        self._present = best
        self._seeds = seeds
        self._last = None if tries is None else trials.count + tries
        self._seen: set[str] = set()

    @property
    def over(self) -> bool:
        """True if the budget is spent, or the search was interrupted."""
        trials = self._trials
        spent = self._last is not None and trials.count >= self._last
        return spent or trials.interrupted or time.monotonic() >= trials.deadline

    def run(self, progress: Progress) -> bool:
        """Runs the search. Returns True if nothing can be made smaller, False if the budget was spent before."""
        started: Trial | None = None
        while self.best is not started and not self.over:
            started = self._present = self.best
            self._walk(progress)
            if self._present is self.best:
                break
        return not self.over

    def _walk(self, progress: Progress) -> None:
        """Goes on from `best` until nothing can be left out any more."""
        found = True
        while found and not self.over:
            found = False
            for name in [name for name, _ in self._dimensions()]:
                while (trial := self._step(name)) is not None:
                    found = True
                    self._go_on(trial, name, progress)
            if (trial := self._other_seed()) is not None:
                found = True
                self._go_on(trial, "steps", progress)

    def _go_on(self, trial: Trial, name: str, progress: Progress) -> None:
        self._present = trial
        if trial.size <= self.best.size:
            self.best = trial
            progress(name, trial)

    def _dimensions(self) -> Iterator[tuple[str, Iterator[PlainConfig]]]:
        return dimensions(self._present.config, self._defaults, ended_at(self._present.result))

    def _step(self, name: str) -> Trial | None:
        """Returns the trial of the first failing candidate in a dimension; None if there is none."""
        for candidate in self._candidates(name):
            if self.over:
                return None
            found = self._failing(candidate)
            if found is not None:
                return found
        return None

    def _candidates(self, name: str) -> Iterator[PlainConfig]:
        for other, candidates in self._dimensions():
            if other == name:
                yield from candidates

    def _failing(self, candidate: PlainConfig) -> Trial | None:
        key = repr(_sorted({**candidate, "seed": None}))
        if key in self._seen:
            return None
        self._seen.add(key)
        for seed in dict.fromkeys((int(self._present.config["seed"]), *range(self._seeds))):
            if self.over:
                return None
            trial = self._trials.run(candidate, seed)
            if trial is None:
                return None
            if trial.kinds & self._first.kinds and trial.is_within(self._first):
                return trial
        return None

    def _other_seed(self) -> Trial | None:
        """Returns the present config with a seed that fails sooner, out of more seeds than a candidate gets; None if
        there is none."""
        smallest = self._present
        for seed in range(_MORE * self._seeds):
            if self.over:
                break
            trial = self._trials.run(self._present.config, seed)
            if trial is not None and trial.kinds & self._first.kinds and trial.is_within(smallest):
                smallest = trial if trial.amounts != smallest.amounts else smallest
        return None if smallest is self._present else smallest


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, _sorted(value[key])) for key in sorted(value, key=str)]
    return [_sorted(item) for item in value] if isinstance(value, list) else value
