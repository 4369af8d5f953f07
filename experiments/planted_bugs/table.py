"""The kill table: which mutant was caught by what, and how soon."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.table import Table

from experiments.planted_bugs.hunt import Catch, Hunt
from experiments.planted_bugs.mutant import Mutant


@dataclass
class Line:
    """A mutant, or (`mutant` None) the protocol as it should be, with a hunt for each base of seeds."""

    protocol: str
    mutant: Mutant | None
    hunts: list[Hunt] = field(default_factory=list)

    @property
    def catches(self) -> list[Catch]:
        return [hunt.catch for hunt in self.hunts if hunt.catch is not None]

    @property
    def median_seeds(self) -> float:
        """How many seeds it took; infinite where most hunts came back empty-handed."""
        return statistics.median(hunt.tried if hunt.catch else float("inf") for hunt in self.hunts)

    @property
    def as_it_should_be(self) -> bool:
        """A mutant is caught in most hunts, the protocol itself in none."""
        return not self.catches if self.mutant is None else self.median_seeds < float("inf")

    def cells(self) -> tuple[str, ...]:
        """Mutant, what is wrong, source, caught by, seeds, seconds."""
        tried = [hunt.tried for hunt in self.hunts]
        seconds = statistics.median(hunt.seconds for hunt in self.hunts)
        if self.mutant is None:
            unknown = sum(hunt.unknown for hunt in self.hunts)
            doubts = f", {unknown} unknown" if unknown else ""
            caught = _by(self.catches) if self.catches else f"nothing, in {sum(tried):,} seeds{doubts}"
            return self.protocol, "nothing: the protocol itself", "", caught, "", ""
        what = (self.protocol, self.mutant.wrong, self.mutant.source)
        if not self.as_it_should_be:
            return *what, "not caught" if not self.catches else _by(self.catches), f"> {max(tried)}", f"{seconds:.1f}"
        missed = len(self.catches) < len(self.hunts)
        seeds = f"{self.median_seeds:.0f} ({min(tried)}–{'> ' if missed else ''}{max(tried)})"
        return *what, _by(self.catches), seeds, f"{seconds:.1f}"


HEADINGS = ("mutant", "what is wrong", "source", "caught by", "seeds", "seconds")


def table(lines: Sequence[Line]) -> Table:
    """The table of the screen."""
    shown = Table(title="Planted bugs, and what caught them (medians; least and most)")
    for heading in HEADINGS:
        shown.add_column(heading, justify="right" if heading in ("seeds", "seconds") else "left", overflow="fold")
    for line in lines:
        shown.add_row(*line.cells(), style="" if line.as_it_should_be else "red")
    return shown


def markdown(lines: Sequence[Line]) -> str:
    """The table for a document."""
    rows = [HEADINGS, ("---",) * len(HEADINGS), *(line.cells() for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _by(catches: Sequence[Catch]) -> str:
    """`linearizability` or `linearizability 2, election safety 1`."""
    counts = Counter(catch.by for catch in catches).most_common()
    return counts[0][0] if len(counts) == 1 else ", ".join(f"{by} {count}" for by, count in counts)
