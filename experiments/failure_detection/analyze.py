"""From trials to tables and the figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import e, sqrt
from pathlib import Path
from statistics import fmean, stdev

from experiments import charts
from experiments.failure_detection.formulas import periods_to_first_probe, swim_messages
from experiments.failure_detection.lines import (
    CALM_S,
    DETECTORS,
    HELPERS,
    LOSSES,
    MEMBERS,
    NETWORKS,
    PERIOD_MS,
    SIZES,
    VARIATIONS,
    Conditions,
)
from experiments.failure_detection.trial import Outcome
from experiments.studies import show, write_rows

HEARTBEAT, PHI, SWIM, BARE_SWIM = DETECTORS
RARELY_TO_OFTEN = (0.05, 300.0)
Found = Mapping[tuple[str, str, Conditions], Sequence[Outcome]]


def report(trials: Sequence[Outcome], folder: Path) -> bool:
    """Prints the tables; writes rows and figure into `folder`. Returns whether the claims of the README hold."""
    found: dict[tuple[str, str, Conditions], list[Outcome]] = {}
    for one in trials:
        found.setdefault((one.kind, one.detector, one.conditions), []).append(one)
    _write(trials, folder / "trials.csv")
    for networks, of, value in ((LOSSES, "loss", _loss), (VARIATIONS, "sigma of the delay", _sigma)):
        headings = (of, *(value(network) for network in networks))
        show(
            "Seconds from a crash until all others suspect the one that crashed: means",
            headings,
            [(name, *(_seconds(last(found, name, network)) for network in networks)) for name in DETECTORS],
        )
        show(
            "Mistakes: suspicions of a member that runs, for each member and minute",
            headings,
            [(name, *(f"{mistakes(found, name, network):.2f}" for network in networks)) for name in DETECTORS],
        )
        show(
            "Messages sent for each member and period, without a crash",
            headings,
            [(name, *(f"{messages(found, name, network):.2f}" for network in networks)) for name in DETECTORS],
        )
    show(
        f"SWIM: periods from a crash to the first failed probe; theory: {e / (e - 1):.2f} for large groups in step",
        ("members", *map(str, SIZES)),
        [
            ("in step", *(_spread(first_probes(trials, f"{size} in step")) for size in SIZES)),
            ("theory, in step", *(f"{periods_to_first_probe(size):.2f}" for size in SIZES)),
            ("staggered", *(_spread(first_probes(trials, f"{size} staggered")) for size in SIZES)),
        ],
    )
    charts.save(figure(found), folder / "detectors")
    return holds(trials, found)


def mistakes(found: Found, name: str, network: Conditions) -> float:
    """Returns the mistakes of each member in a minute."""
    return fmean(one.mistakes for one in found["calm", name, network]) / MEMBERS * 60 / CALM_S


def messages(found: Found, name: str, network: Conditions) -> float:
    return fmean(one.messages for one in found["calm", name, network])


def last(found: Found, name: str, network: Conditions) -> float | None:
    """Returns the mean time until all members suspect the one that crashed; None if some never did."""
    times = [one.last for one in found["crash", name, network]]
    known = [time for time in times if time is not None]
    return fmean(known) if len(known) == len(times) else None


def first_probes(trials: Sequence[Outcome], kind: str) -> list[float]:
    """Returns the periods to the first failed probe."""
    return [one.first * 1_000 / PERIOD_MS for one in trials if one.kind == kind and one.first is not None]


def holds(trials: Sequence[Outcome], found: Found) -> bool:
    """Returns whether every crash was noticed by all, the cost is that of the formulas, the first probe fails when
    theory says, and suspicion spares SWIM most of its mistakes at a price of its time-out."""
    noticed = all(last(found, name, network) is not None for name in DETECTORS for network in NETWORKS)
    cost = all(
        abs(messages(found, name, network) / expected(name, network.loss) - 1) < 0.05
        for name in (HEARTBEAT, PHI, SWIM)  # pings of members that are taken for faulty come on top in the fourth
        for network in LOSSES
    )
    in_time = all(
        abs(fmean(first_probes(trials, f"{size} in step")) - periods_to_first_probe(size)) < 0.2 for size in SIZES
    )
    worst = LOSSES[-1]
    spared = mistakes(found, SWIM, worst) < 0.2 * mistakes(found, BARE_SWIM, worst)
    price = all(
        (last(found, SWIM, network) or 0) > (last(found, BARE_SWIM, network) or 0) + 0.5 for network in LOSSES
    )  # fmt: skip
    return noticed and cost and in_time and spared and price


def expected(name: str, loss: float) -> float:
    """Returns the messages of a member in a period by the formula."""
    return swim_messages(loss, HELPERS) if name == SWIM else float(MEMBERS - 1)


def _above_zero(series: Mapping[str, charts.Points]) -> dict[str, charts.Points]:
    """Returns what a logarithmic axis can show."""
    return {name: [point for point in points if point[1] > 0] for name, points in series.items()}


def _loss(network: Conditions) -> str:
    return f"{network.loss:.0%}"


def _sigma(network: Conditions) -> str:
    return f"{network.sigma:g}"


def _seconds(mean: float | None) -> str:
    return "never" if mean is None else f"{mean:.2f}"


def _spread(samples: Sequence[float]) -> str:
    """Returns the mean with its standard error."""
    error = stdev(samples) / sqrt(len(samples)) if len(samples) > 1 else float("inf")
    return f"{fmean(samples):.2f} ±{error:.2f}"


def _write(trials: Sequence[Outcome], file: Path) -> None:
    write_rows(file, {
        "kind": [one.kind for one in trials],
        "detector": [one.detector for one in trials],
        "loss": [one.conditions.loss for one in trials],
        "sigma": [one.conditions.sigma for one in trials],
        "seed": [one.seed for one in trials],
        "first_s": [one.first for one in trials],
        "last_s": [one.last for one in trials],
        "mistakes": [one.mistakes for one in trials],
        "messages": [one.messages for one in trials],
    })  # fmt: skip


def figure(found: Found) -> object:
    """Detection times, mistakes and messages against loss, and mistakes against the variation of delays."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in DETECTORS}
    for name in DETECTORS:
        for network in LOSSES:
            mean = last(found, name, network)
            if mean is not None:
                times[name].append((100 * network.loss, mean))
    wrong = {name: [(100 * net.loss, mistakes(found, name, net)) for net in LOSSES] for name in DETECTORS}
    varied = {name: [(net.sigma, mistakes(found, name, net)) for net in VARIATIONS] for name in DETECTORS}
    sent = {name: [(100 * net.loss, messages(found, name, net)) for net in LOSSES] for name in DETECTORS}
    theory = {
        name: [(float(loss), expected(name, loss / 100)) for loss in range(21)] for name in (HEARTBEAT, SWIM)
    }  # fmt: skip
    loss = "messages lost, percent"
    return charts.below(
        charts.curves(
            times, x=loss, y="seconds", legend="", dots=True, title="Seconds from a crash until all others suspect: mean",
            x_domain=(0.0, 20.5),
        ),
        charts.curves(
            _above_zero(wrong), x=loss, y="for each member and minute", legend="", dots=True, x_domain=(0.0, 20.5),
            title="Suspicions of members that run, with loss. Not drawn: none", log_y=True, y_domain=RARELY_TO_OFTEN,
        ),
        charts.curves(
            _above_zero(varied), x="sigma of the lognormal delay (median 10 ms)", y="for each member and minute",
            title="Suspicions of members that run, with delays that vary, and no loss. Not drawn: none",
            legend="", dots=True, x_domain=(0.2, 2.0), log_y=True, y_domain=RARELY_TO_OFTEN,
        ),
        charts.curves(
            sent, x=loss, y="messages", legend="", dots=True, formulas=theory, x_domain=(0.0, 20.5),
            title=f"Messages for each member and period, {MEMBERS} members. Dashed: formula",
        ),
        title="SWIM sends 2 messages instead of 15, and is hardly ever wrong; it takes longer to notice a crash",
    )  # fmt: skip
