"""From trials to tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import charts
from experiments.raft_election.formulas import later_than, split_probability
from experiments.studies import show, write_rows
from experiments.voting_rounds.lines import ALL, LIMIT, ONE, PAXOS, RAFT, RAFT_ALIKE, SHARES, SIZES, TWO, Outcome

SHOWN = 5
"""The number of nodes whose distribution is drawn."""

Trials = Mapping[tuple[str, str, int], Sequence[Outcome]]
"""By protocol, line and number of nodes."""


def claimed(protocol: str, nodes: int) -> int:
    """The rounds within which the claims say that it ends."""
    return nodes - 1 if protocol == PAXOS else nodes // 2 + 1


def beyond(outcomes: Sequence[Outcome], rounds: int) -> float:
    """The share of trials that took more than so many rounds."""
    return sum(not one.decided or one.rounds > rounds for one in outcomes) / len(outcomes)


def law(nodes: int, share: float, rounds: int) -> float:
    """The geometric law of Raft's terms, with one of the nodes down."""
    return later_than(rounds, split_probability(nodes, nodes - 1, share))


def report(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Prints the tables; writes them, the trials and the figures into `folder`."""
    trials: dict[tuple[str, str, int], list[Outcome]] = {}
    for one in outcomes:
        trials.setdefault((one.protocol, one.line, one.nodes), []).append(one)
    write_rows(folder / "trials.arrow", {name: [getattr(one, name) for one in outcomes] for name in Outcome._fields})
    rows = [_summary(*place, ours) for place, ours in trials.items()]
    write_rows(folder / "summary.csv", {name: [row[name] for row in rows] for name in rows[0]})
    for protocol, what in ((RAFT, "terms"), (RAFT_ALIKE, "terms"), (PAXOS, "rounds of ballots")):
        show(
            f"{protocol}: {what} until a decision",
            (
                "nodes",
                "",
                "trials",
                "mean",
                "p99",
                "most",
                "undecided",
                "ballots begun",
                "claim",
                "beyond the claim",
                "law",
            ),
            [_cells(row) for row in rows if row["protocol"] == protocol],
        )
    charts.save(raft_figure(trials), folder / "raft")
    charts.save(paxos_figure(trials), folder / "paxos")


def _summary(protocol: str, line: str, nodes: int, ours: Sequence[Outcome]) -> dict[str, Any]:
    rounds = np.array([one.rounds for one in ours])
    claim = claimed(protocol, nodes)
    return {
        "protocol": protocol, "line": line, "nodes": nodes, "trials": len(ours), "mean": round(float(rounds.mean()), 4),
        "p99": int(np.quantile(rounds, 0.99, method="higher")), "most": int(rounds.max()),
        "undecided": sum(not one.decided for one in ours), "begun": round(float(np.mean([one.begun for one in ours])), 2),
        "claim": claim, "beyond": beyond(ours, claim),
        "law": law(nodes, float(line), claim) if protocol == RAFT else None,
    }  # fmt: skip


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    expected = "" if row["law"] is None else f"{row['law']:.2%}"
    return (
        f"{row['nodes']}", row["line"], f"{row['trials']:,}", f"{row['mean']:.2f}", f"{row['p99']}", f"{row['most']}",
        f"{row['undecided']}", f"{row['begun']:.1f}", f"{row['claim']}", f"{row['beyond']:.2%}", expected,
    )  # fmt: skip


# Figures.


def raft_figure(trials: Trials) -> object:
    """Terms of five servers beside the geometric law, and how often the claim fails, by the number of servers."""
    names = [f"{share:g}" for share in SHARES]
    laws = {
        name: [(terms, law(SHOWN, float(name), terms)) for terms in range(25) if law(SHOWN, float(name), terms) > 1e-6]
        for name in names
    }
    tails = _tails(trials, RAFT, names, f"Terms of {SHOWN} servers, one down. Dots: measured. Dashed: the geometric law", "terms",
                   "elections that take more", "one way / range", laws)  # fmt: skip
    failing = _failing(trials, RAFT, names, "elections beyond N/2+1 terms", "one way / range",
                       lambda name, nodes: law(nodes, float(name), claimed(RAFT, nodes)))  # fmt: skip
    return charts.below(tails, failing, title="No number of terms bounds an election: each term splits anew")


def paxos_figure(trials: Trials) -> object:
    """Rounds of ballots of five nodes, and how often the claim fails, by the number of nodes."""
    names = [ONE, *(f"{who}, backoff {backoff}" for who in (TWO, ALL) for backoff in ("none", "up to 1 ms"))]
    tails = _tails(
        trials,
        PAXOS,
        names,
        f"Rounds of {SHOWN} nodes",
        "rounds of ballots",
        "decisions that take more",
        "who proposes",
    )
    failing = _failing(trials, PAXOS, names, "decisions beyond N-1 rounds", "who proposes")
    return charts.below(
        tails, failing, title="Alone, Paxos decides at once; duelling without backoff it may never decide"
    )


def _tails(
    trials: Trials, protocol: str, names: Sequence[str], title: str, x: str, y: str, legend: str,
    laws: Mapping[str, charts.Points] | None = None,
) -> Any:  # fmt: skip
    series = {}
    for name in names:
        ours = trials[protocol, name, SHOWN]
        tail = [(rounds, beyond(ours, rounds)) for rounds in range(min(25, LIMIT))]
        series[name] = [(rounds, share) for rounds, share in tail if share > 0]
    return charts.curves(
        series, formulas=laws, x=x, y=y, title=title, legend=legend, log_y=True, percent=True, dots=True,
        whole_x=True, x_domain=(0, 25), y_domain=(1e-3, 1.0),
    )  # fmt: skip


def _failing(
    trials: Trials, protocol: str, names: Sequence[str], y: str, legend: str,
    expected: Callable[[str, int], float] | None = None,
) -> Any:  # fmt: skip
    series = {
        name: [(nodes, beyond(trials[protocol, name, nodes], claimed(protocol, nodes))) for nodes in SIZES]
        for name in names
    }
    laws = expected and {name: [(nodes, expected(name, nodes)) for nodes in SIZES] for name in names}
    return charts.curves(
        series, formulas=laws or None, x="nodes, N", y=y, title="How often the claim fails", legend=legend,
        percent=True, dots=True, whole_x=True, x_domain=(2.7, 9.3),
    )  # fmt: skip
