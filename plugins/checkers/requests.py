"""Checks what clients saw of a service: the servers of their requests, and the waiting times there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from framework import MILLISECOND, CheckerSpec, CheckResult, Config, FinishedRun, Verdict, hookimpl


class Figures:
    """Served requests: how long they waited for their server, in nanoseconds, and how many requests they found
    there."""

    def __init__(self) -> None:
        self.waits: list[int] = []
        self.found: list[int] = []

    def measures(self, total: int) -> dict[str, float]:
        """Returns the share of these requests in all `total`, and mean and 99th percentile of their waits and
        queues."""
        return {
            "share": round(len(self.waits) / total, 4),
            "served": len(self.waits),
            "wait_ms": round(_mean(self.waits) / MILLISECOND, 3),
            "wait_p99_ms": round(percentile(self.waits, 99) / MILLISECOND, 3),
            "found": round(_mean(self.found), 3),
            "found_p99": percentile(self.found, 99),
        }


def check_requests(run: FinishedRun, config: Config | None) -> CheckResult:
    """Checks that each answer names a server of the run. Measures the share of each server, and of its requests mean
    and 99th percentile of the time that they waited for it and of the number of requests that they found there."""
    servers = _servers(run.config)
    figures = {server: Figures() for server in servers}
    everything = Figures()
    for call in run.history:
        if not call.known:
            continue
        what = f"{call.client}'s request {call.operation}"
        if call.function != "serve" or not _is_answer(call.result):
            return _result(Verdict.UNKNOWN, f"{what} ended as {call.result!r}, which is not an answer of a service", 0)
        server, waited, found = call.result
        if servers and server not in servers:
            reason = f"{what} was served by {server}, which is not a server"
            return _result(Verdict.INVALID, reason, len(everything.waits), story=(reason,), time=call.completed)
        for each in (figures.setdefault(server, Figures()), everything):
            each.waits.append(waited)
            each.found.append(found)
    total = len(everything.waits)
    if not total:
        return _result(Verdict.UNKNOWN, "no request was served", 0)
    measures = {server: one.measures(total) for server, one in figures.items()}
    shares = [one["share"] for one in measures.values()]
    whole = everything.measures(total)
    reason = (
        f"{total:,} served by {len(figures)} servers, shares {min(shares):.1%} to {max(shares):.1%};"
        f" waits {whole['wait_ms']:.3g} ms (p99 {whole['wait_p99_ms']:.3g}), finds {whole['found']:.3g} (p99 {whole['found_p99']})"
    )
    return _result(Verdict.VALID, reason, total, {"all": whole, "servers": measures})


def percentile(values: Sequence[int], percent: int) -> int:
    """Returns the smallest value that is at least as great as `percent` percent of all; 0 of none."""
    if not values:
        return 0
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def _is_answer(result: Any) -> bool:
    return (
        isinstance(result, tuple | list) and [type(each) for each in result] == [str, int, int] and min(result[1:]) >= 0
    )


def _servers(config: Mapping[str, Any]) -> list[str]:
    """Returns the servers of the run: the nodes after its dispatchers. Empty if the config does not say."""
    dispatchers = (config.get("protocol") or {}).get("dispatchers")
    nodes = config.get("nodes")
    if not isinstance(dispatchers, int) or not isinstance(nodes, int):
        return []
    return [f"n{number}" for number in range(dispatchers + 1, nodes + int(config.get("spares") or 0) + 1)]


def _result(
    verdict: Verdict,
    reason: str,
    operations: int,
    measures: dict[str, Any] | None = None,
    story: tuple[str, ...] = (),
    time: int | None = None,
) -> CheckResult:
    return CheckResult(
        name="requests", verdict=verdict, reason=reason, story=story, operations=operations, steps=operations, time=time,
        measures=measures or {},
    )  # fmt: skip


@hookimpl
def register_checkers() -> list[CheckerSpec]:
    return [
        CheckerSpec(name="requests", check=check_requests, summary="Servers answer requests; their shares and queues.")
    ]
