"""From trials to tables and the figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isinf
from pathlib import Path

from experiments import charts
from experiments.commit_blocking.scenarios import (
    ABSENCES_MS,
    ABSENT,
    CONTENDERS,
    COORDINATOR_DIES,
    OTHERS,
    PARTICIPANT_DIES,
    PARTITION,
    STEPS_MS,
    Scenario,
)
from experiments.commit_blocking.trial import Trial
from experiments.studies import show, write_rows

Found = Mapping[tuple[str, Scenario], Sequence[Trial]]

UNSAFE = "3PC, Skeen's termination", "3PC, time-outs"
"""What may disagree: Skeen's termination rests on synchrony, and there is none in a partition."""


def report(trials: Sequence[Trial], folder: Path) -> bool:
    """Prints the tables; writes rows and figure into `folder`. Returns whether the claims of the README hold."""
    found: dict[tuple[str, Scenario], list[Trial]] = {}
    for one in trials:
        found.setdefault((one.contender, one.scenario), []).append(one)
    _write(trials, folder / "trials.csv")
    show(
        "The coordinator dies after the last prepare, before its decision: seconds until all participants know (the longest blocked)",
        ("absent for", *(f"{absence / 1_000:g} s" for absence in ABSENCES_MS)),
        [(name, *(_cell(found[name, scenario]) for scenario in ABSENT)) for name in CONTENDERS],
    )
    for kind in (COORDINATOR_DIES, PARTICIPANT_DIES, PARTITION):
        scenarios = [scenario for scenario in OTHERS if scenario.kind == kind]
        show(
            f"{kind}, for 1 s: seconds until all participants know (the longest blocked); *: some were never asked",
            ("begins after", *(f"{step} ms" for step in STEPS_MS)),
            [(name, *(_cell(found[name, scenario]) for scenario in scenarios)) for name in CONTENDERS],
        )
    charts.save(figure(found), folder / "blocking")
    return holds(trials)


def holds(trials: Sequence[Trial]) -> bool:
    """Returns whether two-phase commit is blocked as long as its coordinator is away, the protocols by quorums are not,
    and only Skeen's termination and time-outs disagree."""
    agree = all((one.verdict == "valid") == (len(one.decisions) == 1) for one in trials)
    safe = all(one.verdict == "valid" for one in trials if one.contender not in UNSAFE)
    broken = {one.contender for one in trials if len(one.decisions) > 1}
    absent = {name: [one for one in trials if one.contender == name and one.scenario in ABSENT] for name in CONTENDERS}
    slope = all(
        one.decided is not None and one.scenario.for_ms <= one.decided <= one.scenario.for_ms + 200
        for one in absent["2PC"]
    )
    quick = all(
        one.decided is not None and one.decided < 1_500
        for name in ("3PC, quorums", "Paxos Commit")
        for one in absent[name]
    )
    return agree and safe and broken == set(UNSAFE) and slope and quick


def _cell(trials: Sequence[Trial]) -> str:
    """Returns what the trials of one scenario show: the decisions, and the longest times."""
    if any(len(one.decisions) > 1 for one in trials):
        return "DISAGREE"
    decisions = " or ".join(dict.fromkeys(decision for one in trials for decision in one.decisions))
    times = [one.decided for one in trials if one.decided is not None]
    decided = f"{decisions} {max(times) / 1_000:.2f}" if times else f"{decisions} *"
    blocked = max(one.blocked for one in trials)
    if isinf(blocked):
        return "blocked to the end"
    return f"{decided} ({blocked / 1_000:.2f})" if blocked else decided


def _write(trials: Sequence[Trial], file: Path) -> None:
    write_rows(file, {
        "contender": [one.contender for one in trials],
        "fault": [one.scenario.kind for one in trials],
        "after_ms": [one.scenario.after_ms for one in trials],
        "for_ms": [one.scenario.for_ms for one in trials],
        "seed": [one.seed for one in trials],
        "verdict": [one.verdict for one in trials],
        "decisions": [" ".join(one.decisions) for one in trials],
        "decided_ms": [one.decided for one in trials],
        "blocked_ms": [one.blocked for one in trials],
    })  # fmt: skip


def figure(found: Found) -> object:
    """The time until all participants know the decision, against the absence of the coordinator."""
    series = {
        name: [
            (scenario.for_ms / 1_000, one.decided / 1_000)
            for scenario in ABSENT
            for one in found[name, scenario]
            if one.decided is not None and len(one.decisions) == 1
        ]
        for name in CONTENDERS
    }
    chart = charts.curves(
        series, x="absence of the coordinator, seconds", y="until all participants know, seconds", legend="", dots=True,
        title="The coordinator dies when all participants are prepared, and before it has decided",
        x_domain=(0.0, 3.2), y_domain=(0.0, 3.4),
    )  # fmt: skip
    return charts.below(chart, title="Two-phase commit waits for its coordinator; the others go on without it")
