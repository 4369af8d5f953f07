"""`engine.verify_determinism`: repeats a simulated run, which must produce the same result.

The second run has a process of its own with another hash seed. Any behavior that depends on the order of a set of
strings, on the global random or on a clock of the host differs there. Two hash seeds may happen to order a small set
alike; over a run with many sets that is unlikely but possible.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from framework.core.message import NodeId
from framework.replay.step_text import of_difference
from framework.trace.difference import Difference, first_difference
from framework.trace.reader import Run, open_run

NOT_THE_SAME = "the run is not deterministic: first difference at"


def doubt_about(opened: Callable[[], Run], digest: str | None) -> str:
    """Returns the reason why the simulated run `opened()`, which has this digest, may not follow from its config and
    seed; "" if it does."""
    if digest is None:
        return "its determinism cannot be verified at trace=none"
    with tempfile.TemporaryDirectory(prefix="synod-again-") as folder:
        command = [sys.executable, "-P", "-m", "framework.replay.second_run", str(opened().folder.resolve()), folder]
        environment = {**own_environment(), "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"}
        second = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if second.returncode:
            lines = second.stderr.strip().splitlines() or [f"exit code {second.returncode}"]
            return f"its determinism cannot be verified: the second run failed ({lines[-1]})"
        if second.stdout.strip() == digest:
            return ""
        return _told(opened(), open_run(folder))


def own_environment() -> dict[str, str]:
    """Returns the environment for a child process, `python -P`, that finds the same modules as this process."""
    places = [os.path.abspath(place) for place in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(places))}


def _told(first: Run, second: Run) -> str:
    events = bool(len(first.events))
    one, other = (first.events, second.events) if events else (first.history, second.history)
    difference = first_difference(one, other)
    if difference is None:
        return "the run is not deterministic: its digest differs, though its rows do not"
    if events:
        return (
            f"{NOT_THE_SAME} event {difference.number + 1:,}: {of_difference(first, difference.first)};"
            f" the second time {of_difference(second, difference.second)}"
        )
    return f"{NOT_THE_SAME} operation {difference.number + 1:,} of the history: {_operations(difference)}"


def _operations(difference: Difference) -> str:
    row = difference.first or difference.second or {}
    client: NodeId = row["client"]
    if not difference.columns:
        return f"{client}'s {row['function']} was there one time only"
    sides: list[dict[str, Any]] = [side for side in (difference.first, difference.second) if side is not None]
    name = difference.columns[0]
    return f"{client}'s {row['function']} has {name} {sides[0][name]}; the second time {sides[1][name]}"
