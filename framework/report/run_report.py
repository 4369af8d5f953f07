"""The report of one run: its verdict and the evidence, what clients saw over time, what nodes did, and the faults.

Each part is made from the files that it needs. If one is missing or damaged, the part says so, and the rest is there.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from framework.core.errors import ConfigError, abbreviated
from framework.core.time import SECOND, parse_duration
from framework.core.tracebacks import error_line, printable
from framework.faults.injector import DETAILS
from framework.faults.ledger import ledger_texts
from framework.registry.registry import Registry
from framework.report.document import write_page
from framework.report.events import LONGEST, Events, leader_marks, link_data, node_data
from framework.report.settings import setting_rows
from framework.runs.folder import RESULT
from framework.trace.operations import load_data
from framework.trace.reader import Run, open_run
from framework.trace.schema import OUTCOMES

REPORT = "report.html"
MOST_FAILURES = 8
_NUMBER = re.compile(r"-\d+$")
"""The end of a fault's name that distinguishes it from others of its kind."""
NO_EVENTS = "There are no events: the run was taken with trace={level}. Take it with trace=full to see this."
A = TypeVar("A")


def write_run_report(folder: Path, target: Path | None = None, registry: Registry | None = None) -> Path:
    """Writes the report of the run in `folder`, finished or cut off, and returns its path: `target`, or report.html in
    the folder.

    Raises ConfigError if there is no run, or the report cannot be written.
    """
    run = open_run(folder)
    if not any((folder / name).exists() for name in ("config.yaml", RESULT, "history.arrow", "trace")):
        raise ConfigError(str(folder), "holds no run", "Give the folder of a run, or a folder of such folders.")
    data = run_data(run, registry)
    path = folder / REPORT if target is None else target
    write_page(path, data["title"], "run.js", data)
    return path


def run_data(run: Run, registry: Registry | None = None) -> dict[str, Any]:
    """Returns the data of the page: JSON values."""
    missing: dict[str, str] = {}
    nothing: dict[str, Any] = {}
    result = (
        _read(missing, "checks", lambda: _finite(run.result), nothing) if (run.folder / RESULT).exists() else nothing
    )
    config = _read(missing, "config", lambda: run.config, nothing)
    events, warnings = Events(), []
    for file in run.event_files:
        try:
            events.read(run.event_batches(file))
        except ConfigError as error:
            warnings.append(printable(f"{error} Its events from there on are left out."))

    def part(of: str, make: Callable[[], A], instead: Any) -> A:
        """Returns what `make` returns; `instead` if the file `of` holds what no run writes, which becomes a warning."""
        try:
            return make()
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            told = f"{run.folder / of}: holds what no run writes ({error_line(error)}): some of it is left out."
            if told not in warnings:
                warnings.append(printable(told))
            otherwise: A = instead
            return otherwise

    level = part("config.yaml", lambda: str((config.get("trace") or {}).get("level", "full")), "full")
    no_events = (
        "No event can be read."
        if warnings
        else "There are no events."
        if level == "full"
        else NO_EVENTS.format(level=level)
    )
    end = max(part(RESULT, lambda: int(float(result.get("virtual_s") or 0) * SECOND), 0), events.end)
    warmup = part("config.yaml", lambda: parse_duration(str(config.get("warmup") or "0")), 0)
    load = _read(missing, "load", lambda: load_data(run.history, end, warmup), None)
    if load is None:
        missing.setdefault("load", _no_load(level, run))
    servers = part("config.yaml", lambda: _servers(config), [])
    faults: list[dict[str, Any]] = part(RESULT, lambda: _bands(result, events, end), [])
    hits = Counter(name for band in faults for name in band["targets"])
    nodes = node_data(events, servers, end, hits) if events.number else None
    if nodes is None:
        missing["nodes"] = no_events
    links = link_data(events, servers) if events.number else None
    if not result:
        missing.setdefault("checks", "There is no result: the run was cut off before it was checked.")
    title = printable(str(result.get("experiment") or config.get("experiment") or run.folder.name))
    return {
        "title": title,
        "subtitle": part("config.yaml", lambda: _subtitle(result, config, run.folder), printable(str(run.folder))),
        "verdict": printable(str(result.get("verdict", "no verdict"))),
        "summary": "" if result else "the run was cut off, or has not ended yet: what is readable is shown",
        "reasons": part(RESULT, lambda: _texts(result.get("reasons", ())), []),
        "stories": part(RESULT, lambda: _stories(result), []),
        "command": printable(str(result.get("command", ""))),
        "tiles": part(RESULT, lambda: _tiles(result, after_warmup=warmup > 0), []),
        "faults": faults,
        "leaders": leader_marks(events),
        "failures": part(RESULT, lambda: _failures(result), []),
        "end": end / SECOND,
        "warmup": warmup / SECOND,
        "load": load,
        "nodes": nodes,
        "ledger": part(RESULT, lambda: [_ledger_row(entry) for entry in result.get("ledger", ())], []),
        "crashes": part(RESULT, lambda: _crashes(result, events), []),
        "messages": {"types": part(RESULT, lambda: _types(result, events), []), "links": links or no_events},
        "checks": part(RESULT, lambda: [_check_row(check) for check in result.get("checks", ())], []),
        "sometimes": part(RESULT, lambda: _counted(result.get("sometimes", {})), []),
        "notes": part(RESULT, lambda: _counted(result.get("notes", {})), []),
        "config": part("config.yaml", lambda: setting_rows(config, registry), []),
        "versions": part(RESULT, lambda: [f"{name} {text}" for name, text in result.get("versions", {}).items()], []),
        "missing": missing,
        "warnings": warnings,
        "made": f"Synod · {printable(str(run.folder.name))} · written {time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime())}",
    }


def _finite(value: Any) -> Any:
    """Returns plain data in which a number that JSON lacks is None."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read(missing: dict[str, str], part: str, read: Callable[[], A], instead: A) -> A:
    """Returns what `read` returns. If a file is damaged, notes why `part` is missing and returns `instead`."""
    try:
        return read()
    except ConfigError as error:
        missing[part] = printable(str(error))
        return instead


def _no_load(level: str, run: Run) -> str:
    if level == "none":
        return "There is no history: the run was taken with trace=none."
    return "No operation was recorded." if run.has_history else "There is no history in this folder."


def _servers(config: Mapping[str, Any]) -> list[str]:
    """Returns the names of nodes and spares, in order; the first ten thousand."""
    count = int(config.get("nodes") or 0) + int(config.get("spares") or 0)
    return [f"n{number + 1}" for number in range(min(count, 10_000))]


def _stories(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": printable(str(check["name"])), "lines": _texts(check["story"])}
        for check in result.get("checks", ())
        if check.get("story")
    ]


def _subtitle(result: Mapping[str, Any], config: Mapping[str, Any], folder: Path) -> str:
    engine = result.get("engine") or (config.get("engine") or {}).get("name", "")
    chosen = [str((config.get(group) or {}).get("name", "")) for group in ("protocol", "workload", "network")]
    parts = [" · ".join(filter(None, chosen)), f"engine {engine}" if engine else ""]
    parts.append(f"seed {result.get('seed', config.get('seed', ''))}")
    parts += [str(result.get("started", "")), str(folder)]
    return printable(" · ".join(filter(None, parts)))


def _tiles(result: Mapping[str, Any], *, after_warmup: bool) -> list[dict[str, str]]:
    if not result:
        return []
    operations, latency = result.get("operations") or {}, result.get("latency_ms") or {}
    ended = {outcome: f"{operations.get(outcome, 0):,}" for outcome in OUTCOMES}
    since = "after the warm-up" if after_warmup else ""
    longest = f"max {_milliseconds(latency.get('max'))}"
    tiles = [
        ("operations ok", ended["ok"], f"fail {ended['fail']} · unknown {ended['unknown']}"),
        ("throughput", _rate(result.get("throughput_ops_s", 0)), since),
        ("latency p50", _milliseconds(latency.get("p50")), since),
        ("latency p99", _milliseconds(latency.get("p99")), f"{longest}, {since}" if since else longest),
        ("steps", f"{result.get('steps', 0):,}", f"{result.get('fsyncs', 0):,} fsyncs"),
        ("time", _whole_ms(result.get("virtual_s", 0)), f"took {_whole_ms(result.get('wall_s', 0))}"),
    ]
    if blocked := result.get("blocked"):
        causes = ", ".join(f"{_kinds(cause)} {_whole_ms(seconds)}" for cause, seconds in blocked["by_cause"].items())
        many = f"{blocked['intervals']:,} interval{'' if blocked['intervals'] == 1 else 's'}"
        tiles.append(("blocked", _whole_ms(blocked["total_s"]), abbreviated(f"{many}: {causes}", 80)))
    return [{"label": label, "value": value, "more": more} for label, value, more in tiles]


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.{2 if value < 10 else 0}f} ms"


def _rate(per_second: float) -> str:
    return f"{per_second:,.{1 if per_second < 10 else 0}f}/s"


def _whole_ms(seconds: float) -> str:
    """Returns a time in milliseconds, as the page shows all times."""
    return f"{seconds * 1000:,.0f} ms"


def _kind(fault: str) -> str:
    """Returns the kind of a fault: `loss` of `schedule/loss-2`."""
    return _NUMBER.sub("", fault.rpartition("/")[2])


def _kinds(cause: str) -> str:
    """Returns the kinds of the faults that together blocked nodes: `loss ×8 + crash`."""
    counts = Counter(map(_kind, cause.split(" + ")))
    return " + ".join(kind if many == 1 else f"{kind} ×{many}" for kind, many in counts.items())


def _failures(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the times at which the run failed, and what failed then: what checks found, and exceptions of handlers."""
    if result.get("verdict") != "invalid":
        return []
    found = [
        (check["time"] / SECOND, str(check["name"]))
        for check in result.get("checks", ())
        if check["verdict"] == "invalid" and check.get("time") is not None
    ]
    found += [(crash["time_s"], f"{crash['node']} raised") for crash in result.get("crashes", ()) if crash["traceback"]]
    return [{"at": at, "label": printable(abbreviated(label, LONGEST))} for at, label in sorted(found)[:MOST_FAILURES]]


def _bands(result: Mapping[str, Any], events: Events, end: int) -> list[dict[str, Any]]:
    """Returns the times in which faults were in force, with their targets and, where links were cut, the sides of the
    network; for a run without a result, when they began."""
    if not result:
        return [
            {"from": at / SECOND, "to": at / SECOND, "label": str(message), "name": str(message),
             "open": False, "targets": [] if node is None else [node], "sides": []}
            for at, _, kind, node, message, _ in events.life
            if kind == "fault"
        ]  # fmt: skip
    bands = []
    for entry in result.get("ledger", ()):
        details = entry.get("details", ())
        spans = entry.get("spans", ())
        targets, sides = entry.get("targets", ()), entry.get("sides", ())
        is_one_each = len(details) == min(len(spans), DETAILS)
        for place, (since, until) in enumerate(spans):
            detail = str(details[place]).partition(": ")[2] if is_one_each and place < DETAILS else ""
            bands.append(
                {
                    "from": since,
                    "to": end / SECOND if until is None else until,
                    "label": printable(f"{entry['fault']} ({detail})" if detail else str(entry["fault"])),
                    "name": printable(_kind(str(entry["fault"]))),
                    "open": until is None,
                    "targets": _texts(targets[place]) if place < len(targets) else [],
                    "sides": [_texts(side) for side in sides[place]] if place < len(sides) else [],
                }
            )
    return sorted(bands, key=lambda band: (band["from"], band["label"]))


def _ledger_row(entry: Mapping[str, Any]) -> dict[str, Any]:
    fault, touched, against, roles = map(printable, ledger_texts(entry))
    shown = {"fault": fault, "touched": touched or "–", "against": against, "roles": roles}
    return {"due": entry["due"], "fired": entry["fired"], **shown}


def _crashes(result: Mapping[str, Any], events: Events) -> list[dict[str, Any]]:
    if result:
        found = [
            (crash["node"], crash["time_s"], crash["why"], crash["traceback"]) for crash in result.get("crashes", ())
        ]
    else:
        found = [
            (node, at / SECOND, (payload or b"").decode(errors="replace").partition("\n")[0], "")
            for at, _, kind, node, _, payload in events.life
            if kind == "crash"
        ]
    return [
        {"node": node, "at": at, "why": printable(why), "traceback": printable(traceback)}
        for node, at, why, traceback in found
    ]


def _types(result: Mapping[str, Any], events: Events) -> list[dict[str, Any]]:
    keys = {"delivered": "messages", "lost": "dropped", "repeated": "duplicated"}
    counts: dict[str, Mapping[str, int]] = {
        name: result.get(key, {}) if result else events.types[name] for name, key in keys.items()
    }
    names = sorted({name for count in counts.values() for name in count})
    return [{"name": printable(name), **{key: count.get(name, 0) for key, count in counts.items()}} for name in names]


def _check_row(check: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": printable(check["name"]), "verdict": check["verdict"], "reason": printable(check["reason"])}


def _counted(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"name": printable(name), "times": times} for name, times in counts.items()]


def _texts(values: Any) -> list[str]:
    return [printable(str(value)) for value in values]
