"""Runs to export: one of the simulator with every kind of trouble, and folders written row by row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from framework.export.__main__ import main
from framework.run.__main__ import main as run
from framework.trace.recorder import HistoryRow, HistoryWriter
from tests.trace.rows import Event, write_events

CHAOS = (
    "experiment=raft_chaos", "faults=[crash,partition,loss,duplicate]", "duration=2500ms", "quiet=700ms", "clients=8",
    "faults.crash.for=500ms", "faults.partition.for=300ms",
)  # fmt: skip


def simulated(folder: Path, *words: str, code: int = 0) -> Path:
    """Runs an experiment in the simulator; returns its folder."""
    assert run([*words, "engine=sim", "run.report=never", "--quiet", f"run.dir={folder}"]) == code
    return folder


def exported(folder: Path, form: str, target: Path) -> Path:
    """Exports a run; returns the output."""
    assert main([str(folder), "--format", form, "--output", str(target)]) == 0
    return target


def recorded(folder: Path, files: dict[str, list[Event]], history: Sequence[HistoryRow] = (), **metadata: str) -> Path:
    """Writes the folder of a finished run, as on Ray: a trace file for each process."""
    folder.mkdir(exist_ok=True)
    for name, events in files.items():
        write_events(folder / "trace" / f"{name}.arrow", events, {1}, **metadata)
    writer = HistoryWriter(folder / "history.arrow")
    for row in history:
        writer.rows.append(row)
    writer.close()
    (folder / "config.yaml").write_text("trace: {level: full}\n")
    (folder / "result.json").write_text('{"verdict": "valid"}')
    return folder


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The events of a run as they are read by `open_run`, in order."""
    from framework import open_run

    rows: list[dict[str, Any]] = open_run(folder).events.to_pylist()
    return rows
