"""From trials to tables and the figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from experiments import charts
from experiments.lease_clocks.trial import DELAY_MS, DRIFTS, LEASES_MS, WORK_MS, Line, Trial
from experiments.studies import show, write_rows

SLACK_MS = WORK_MS + 3 * DELAY_MS
"""Within so much of equal leases, delays and the work between check and write decide."""


def report(trials: Sequence[Trial], folder: Path) -> bool:
    """Prints the tables; writes rows and figure into `folder`. Returns whether the claims of the README hold."""
    write_rows(folder / "trials.csv", {
        "server_ppm": [one.line.server_ppm for one in trials],
        "client_ppm": [one.line.client_ppm for one in trials],
        "lease_ms": [one.line.lease_ms for one in trials],
        "fencing": [one.line.fencing for one in trials],
        "seed": [one.seed for one in trials],
        "interfered": [one.interfered for one in trials],
        "turns": [one.turns for one in trials],
        "rejected": [one.rejected for one in trials],
    })  # fmt: skip
    for lease in LEASES_MS:
        show(
            f"Lease of {lease} ms, no fencing: does the store see anybody interfere? (rejected accesses with fencing)",
            ("server \\ client", *(_percent(drift) for drift in DRIFTS)),
            [
                (_percent(server), *(_cell(trials, server, client, lease) for client in DRIFTS))
                for server in reversed(DRIFTS)
            ],
        )
    charts.save(figure(trials), folder / "clocks")
    return holds(trials)


def holds(trials: Sequence[Trial]) -> bool:
    """Returns whether exactly the unfenced stores are interfered with whose clients' lease outlasts the server's, and
    whether fencing keeps all of them safe."""
    fenced = all(not one.interfered for one in trials if one.line.fencing)
    expected = [one for one in trials if not one.line.fencing and abs(one.line.overlap_ms) > SLACK_MS]
    return fenced and all(one.interfered == (one.line.overlap_ms > 0) for one in expected)


def figure(trials: Sequence[Trial]) -> object:
    """The two half-planes, one panel for each lease."""
    panels = []
    for lease in LEASES_MS:
        of_lease = [one for one in trials if one.line.lease_ms == lease and not one.line.fencing]
        series = {
            name: [(one.line.client_ppm / 1e4, one.line.server_ppm / 1e4) for one in of_lease if one.interfered is bad]
            for name, bad in (("undisturbed", False), ("interfered with", True))
        }
        edge = DRIFTS[-1] / 1e4
        panels.append(
            charts.curves(
                series,
                x="clients' clocks: % fast",
                y="server's clock: % fast",
                legend="",
                dots=True,
                title=f"Leases of {lease} ms; above the line the server's lease is the shorter one",
                formulas={"both clocks alike": [(-edge, -edge), (edge, edge)]},
                x_domain=(-35.0, 35.0),
                y_domain=(-35.0, 35.0),
            )
        )
    return charts.below(*panels, title="A fast server or a slow client breaks a lease; the opposite errors do not")


def _cell(trials: Sequence[Trial], server: int, client: int, lease: int) -> str:
    def of(fencing: bool) -> list[Trial]:
        return [one for one in trials if one.line == Line(server, client, lease, fencing)]

    rejected = sum(one.rejected for one in of(True))
    seen = "INTERFERED" if any(one.interfered for one in of(False)) else "no"
    return f"{seen} ({rejected})" if rejected else seen


def _percent(ppm: int) -> str:
    return f"{ppm / 1e4:+.0f}%" if ppm else "0"
