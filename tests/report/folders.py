"""Folders of runs and sweeps as the commands leave them, written without running anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from framework.runs.folder import config_yaml
from framework.sweep.rows import AxisType, PointOutcome, SweepRow
from framework.sweep.store import Head, Store

HOSTILE = "</script><script>alert(1)</script>"
CODE = "c" * 12


def lay_run(folder: Path, result: Mapping[str, Any] | None = None, **config: Any) -> Path:
    """Lays a run of raft. `result` replaces keys of a valid one's result; `config` those of its config."""
    folder.mkdir(parents=True)
    settings = {"experiment": "raft_5nodes", "nodes": 3, "seed": 0, "engine": {"name": "sim"}, **config}
    (folder / "config.yaml").write_text(config_yaml(settings))
    whole = {
        "verdict": "valid", "reasons": [], "checks": [], "experiment": "raft_5nodes", "engine": "sim", "seed": 0,
        "operations": {"ok": 100, "fail": 2, "unknown": 1}, "throughput_ops_s": 250.5,
        "latency_ms": {"p50": 1.5, "p95": 4.0, "p99": 8.0, "max": 20.0}, "started": "2026-01-02T03:04:05Z",
        "crashes": [], "virtual_s": 1.0, **(result or {}),
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(whole))
    return folder


def lay_sweep(
    folder: Path,
    rows: Iterable[tuple[Mapping[str, Any], int, Mapping[str, Any]]],
    axes: Mapping[str, AxisType],
    *,
    sealed: bool = True,
    **head: Any,
) -> Path:
    """Lays a sweep of hello. Each of `rows` has the value on each axis, the seed, and the keys of its outcome that differ
    from those of a valid run."""
    described = {
        "engine": "sim", "fixed": ('experiment="hello"',), "axes": dict(axes), "code": CODE,
        "overrides": ("experiment=no_such_experiment",), "config_dir": None, "started": "2026-01-02T00:00:00Z", **head,
    }  # fmt: skip
    store = Store(folder, Head(**described))
    for number, (values, seed, outcome) in enumerate(rows):
        usual: dict[str, Any] = {
            "verdict": "valid", "throughput_ops_s": 100.0 + seed, "latency_p50_ms": 2.0, "latency_p95_ms": 3.0,
            "latency_p99_ms": 4.0 + seed, "latency_max_ms": 9.0, "operations_ok": 50, "messages": {"Echo": 100},
        }  # fmt: skip
        store.add(SweepRow(f"{number:020x}{CODE}", seed, dict(values), CODE, PointOutcome(**{**usual, **outcome})))
    if sealed:
        store.__exit__(None, None, None)
    return folder
