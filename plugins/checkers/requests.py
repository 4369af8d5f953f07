"""What clients saw of a service: who served their requests, and how long they waited there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from framework import MILLISECOND, CheckerSpec, CheckResult, Config, FinishedRun, Verdict, hookimpl

_SHOWN = 12
"""Servers that are listed one by one; of more, the reason shows the extremes."""


class Figures:
    """The requests that one server served: how long they waited for it, in nanoseconds, and how many they found there."""

    def __init__(self) -> None:
        self.waits: list[int] = []
        self.found: list[int] = []

    @property
    def count(self) -> int:
        return len(self.waits)

    def text(self) -> str:
        wait, queue = _mean(self.waits) / MILLISECOND, _mean(self.found)
        return (
            f"waits {wait:.3g} ms (p99 {percentile(self.waits, 99) / MILLISECOND:.3g}),"
            f" finds {queue:.3g} (p99 {percentile(self.found, 99)})"
        )


def check_requests(run: FinishedRun, config: Config | None) -> CheckResult:
    """Checks that each answer names a server of the run. The reason has the share of each server, and of its requests mean
    and 99th percentile of the time that they waited for it and of the number of requests that they found there."""
    servers = _servers(run.config)
    figures: dict[str, Figures] = {}
    for call in run.history:
        if not call.known:
            continue
        what = f"{call.client}'s request {call.operation}"
        if call.function != "serve" or not _is_answer(call.result):
            return _result(Verdict.UNKNOWN, f"{what} ended as {call.result!r}, which is no answer of a service", 0)
        server, waited, found = call.result
        if servers and server not in servers:
            reason = f"{what} was served by {server}, which is no server"
            return _result(Verdict.INVALID, reason, sum(each.count for each in figures.values()), (reason,))
        one = figures.setdefault(server, Figures())
        one.waits.append(waited)
        one.found.append(found)
    total = sum(each.count for each in figures.values())
    if not total:
        return _result(Verdict.UNKNOWN, "no request was served", 0)
    return _result(Verdict.VALID, f"{total:,} served: {_shares(figures, servers or sorted(figures), total)}", total)


def _shares(figures: Mapping[str, Figures], servers: Sequence[str], total: int) -> str:
    if len(servers) <= _SHOWN:
        lines = (
            f"{server} {figures[server].count / total:.1%}, {figures[server].text()}"
            if server in figures
            else f"{server} 0%"
            for server in servers
        )
        return "; ".join(lines)
    everything = Figures()
    for each in figures.values():
        everything.waits += each.waits
        everything.found += each.found
    shares = sorted(figures[server].count / total if server in figures else 0.0 for server in servers)
    return f"{len(servers)} servers, shares {shares[0]:.1%} to {shares[-1]:.1%}, {everything.text()}"


def percentile(values: Sequence[int], percent: int) -> int:
    """Returns the smallest value that is at least as great as `percent` percent of all."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)


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


def _result(verdict: Verdict, reason: str, operations: int, story: tuple[str, ...] = ()) -> CheckResult:
    return CheckResult(
        name="requests", verdict=verdict, reason=reason, story=story, operations=operations, steps=operations
    )


@hookimpl
def register_checkers() -> list[CheckerSpec]:
    return [
        CheckerSpec(name="requests", check=check_requests, summary="Servers answer requests; their shares and queues.")
    ]
