"""Checks that clients of a cache saw only values that were put, and measures hits, loads and moved entries."""

from __future__ import annotations

from collections import Counter
from typing import Any

from framework import SECOND, CheckerSpec, CheckResult, Config, FinishedRun, Verdict, hookimpl


def check_cache(run: FinishedRun, config: Config | None) -> CheckResult:
    """Checks that each get that finds a value finds one that was put to this key, by a put that had begun.

    A cache may lose what was put, and may find an older value than the last one (two caches may serve a key while its
    place changes); that is counted, and no violation. Measures: `gets`, `hit_rate`, `stale` (hits on a value that a put
    had replaced before the get began), `hit_rate_by_second`, `answers_by_cache`, and `changes`, a row for each:
    `epoch`, `at` (seconds), `what`, `moved`, `stayed`, `lost` (entries), `moved_share`, `lasted` (seconds until the
    last cache had handed off).
    """
    puts: dict[tuple[Any, Any], int] = {}  # when each value's put began
    ended: dict[Any, list[tuple[int, Any]]] = {}  # by key: when puts ended, and their values
    for call in run.history:
        if call.function == "put":
            puts[call.key, call.argument] = call.invoked
            if call.known and call.outcome == "ok" and call.completed is not None:
                ended.setdefault(call.key, []).append((call.completed, call.argument))
    gets = hits = stale = 0
    wrong: list[str] = []
    times: list[int | None] = []
    answers: Counter[str] = Counter()
    seconds: Counter[int] = Counter()
    hits_by_second: Counter[int] = Counter()
    changes: list[dict[str, Any]] = []
    for call in run.history:
        if not call.known or call.outcome != "ok":
            continue
        if call.function == "put":
            answers[call.result] += 1
        elif call.function == "report":
            changes = [_change(row) for row in call.result]
        elif call.function == "get":
            value, cache = call.result
            gets += 1
            answers[cache] += 1
            seconds[call.invoked // SECOND] += 1
            if value is None:
                continue
            hits += 1
            hits_by_second[call.invoked // SECOND] += 1
            begun = puts.get((call.key, value))
            if begun is None or (call.completed is not None and begun > call.completed):
                when = "nobody has put" if begun is None else "was put only later"
                wrong.append(f"{call.client} found {value!r} at {call.key} on {cache}, which {when}")
                times.append(call.completed)
            elif any(at < call.invoked and puts[call.key, other] > begun for at, other in ended.get(call.key, ())):
                stale += 1
    measures = {
        "gets": gets,
        "hit_rate": _share(hits, gets),
        "stale": stale,
        "hit_rate_by_second": {
            str(second): _share(hits_by_second[second], seconds[second]) for second in sorted(seconds)
        },
        "answers_by_cache": {cache: answers[cache] for cache in sorted(answers)},
        "changes": changes,
    }
    if wrong:
        return _result(Verdict.INVALID, wrong[0], gets, measures, tuple(wrong[:20]), times[0])
    if not hits:
        return _result(Verdict.UNKNOWN, f"none of {gets:,} gets found anything", gets, measures)
    peak = max(answers.values()) * len(answers) / sum(answers.values())
    told = f"{gets:,} gets, {hits / gets:.1%} of them hits, {stale:,} stale; the busiest cache has {peak:.2f} of the average"
    moved = [_told(each) for each in changes[:5]]
    if len(changes) > 5:
        moved.append(f"and {len(changes) - 5} more changes")
    return _result(Verdict.VALID, "; ".join([told, *moved]), gets, measures)


def _change(row: Any) -> dict[str, Any]:
    epoch, at, what, moved, stayed, lost, lasted = row
    share = _share(moved, moved + stayed + lost)
    return {
        "epoch": epoch, "at": round(at, 6), "what": what, "moved": moved, "stayed": stayed, "lost": lost, "moved_share": share,
        "lasted": round(lasted, 6),
    }  # fmt: skip


def _told(change: dict[str, Any]) -> str:
    lost = f", {change['lost']:,} entries lost" if change["lost"] else ""
    return f"{change['what']}: {change['moved_share']:.1%} moved in {change['lasted']:.3f} s{lost}"


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _result(
    verdict: Verdict,
    reason: str,
    gets: int,
    measures: dict[str, Any],
    story: tuple[str, ...] = (),
    time: int | None = None,
) -> CheckResult:
    return CheckResult(
        name="cache",
        verdict=verdict,
        reason=reason,
        story=story,
        operations=gets,
        steps=gets,
        time=time,
        measures=measures,
    )


@hookimpl
def register_checkers() -> list[CheckerSpec]:
    return [
        CheckerSpec(
            name="cache", check=check_cache,
            summary="A cache finds only what was put. Measures hits, loads, and what moved.",
        )
    ]  # fmt: skip
