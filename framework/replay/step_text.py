"""A trace as readable text: each step with its input, and its outputs below it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.core.errors import ConfigError
from framework.replay.operation import TracedOperation, followed, meanwhile, places_of_causes
from framework.trace.reader import Run

STEPS = ("start", "deliver", "timer", "invoke")
OUTPUTS = ("send", "note", "complete", "commit")
RARE = ("start", "crash", "restart", "fault", "note")

WIDEST = 160
"""Largest number of characters of one line's content; longer content is cut in the middle."""
_ROWS = 4_096


def told(
    run: Run,
    nodes: Collection[str] | None = None,
    stop: int | None = None,
    *,
    steps: bool,
    operation: TracedOperation | None = None,
) -> Iterator[str]:
    """Yields lines: with `steps`, each step with its sends, notes, completions and commits; else only rare events.

    Limited to `nodes` (None: all), and to times up to `stop` nanoseconds. With an `operation`, limited to the time when
    it was under way, and without `steps` to the steps that contributed to it. Outputs follow their step, even if they
    left later, after a commit. Raises ConfigError if the trace does not hold the meaning of a message.
    """
    table = run.events
    whole = steps or operation is not None
    keep = pc.is_in(_kinds(table), pa.array(KINDS_TOLD if whole else RARE))
    if operation is not None:
        keep = pc.and_(keep, meanwhile(table, operation) if steps else followed(table, operation))
    if nodes is not None:
        names = [name for name in pc.unique(_plain(table["node"])).to_pylist() if name is not None]
        wanted = [name for name in names if name.partition("/")[0] in nodes]
        keep = pc.and_(keep, pc.is_in(_plain(table["node"]), pa.array(wanted, pa.string())))
    if stop is not None:
        keep = pc.and_(keep, pc.less_equal(table["time"], stop))
    table = table.filter(keep)
    if whole:
        table = table.take(pa.array(_below_their_steps(table)))
    yield from _lines(run, table, indented=whole)


KINDS_TOLD = (*STEPS, *OUTPUTS, "crash", "restart", "fault", "drop", "reject")


def _below_their_steps(table: pa.Table) -> np.ndarray[Any, Any]:
    """Returns the order of rows in which every output follows the step that caused it."""
    own = np.arange(len(table))
    outputs = np.asarray(pc.is_in(_kinds(table), pa.array(OUTPUTS)).to_numpy())
    places = places_of_causes(table)
    return np.lexsort((own, np.where(outputs & (places >= 0), places, own)))


def _lines(run: Run, table: pa.Table, *, indented: bool) -> Iterator[str]:
    waiting: tuple[str, int | None, list[str]] | None = (
        None  # a message, its step, all its receivers: a multicast is one line
    )
    for batch in table.to_batches(max_chunksize=_ROWS):
        for row in batch.to_pylist():
            text = described(run, row)
            if row["kind"] == "send":
                if waiting is not None and waiting[:2] == (text, row["cause"]):
                    waiting[2].append(row["peer"])
                    continue
                if waiting is not None:
                    yield _sent(waiting)
                waiting = (text, row["cause"], [row["peer"]])
                continue
            if waiting is not None:
                yield _sent(waiting)
                waiting = None
            if indented and row["kind"] in OUTPUTS:
                yield f"{'':18}    {text}"
            else:
                yield f"{row['time'] / 1e6:15,.6f} ms  {row['node'] or '-'} {text}"
    if waiting is not None:
        yield _sent(waiting)


def _sent(waiting: tuple[str, int | None, list[str]]) -> str:
    return f"{'':18}    {waiting[0]} to {', '.join(waiting[2])}"


def described(run: Run, row: dict[str, Any]) -> str:
    """Describes one event in words; a send without its receiver. Raises ConfigError for a payload that cannot be
    decoded."""
    return _WORDS[row["kind"]](run, row)


def _content(run: Run, row: dict[str, Any]) -> dict[str, Any]:
    return run.decode(row) or {}


def _message(run: Run, row: dict[str, Any]) -> str:
    fields = run.decode(row)
    return f"{row['message']}(…)" if fields is None else shortened(f"{row['message']}({_fields(fields)})")


def _deliver(run: Run, row: dict[str, Any]) -> str:
    return f"takes {_message(run, row)} from {row['peer']}"


def _invoke(run: Run, row: dict[str, Any]) -> str:
    content = _content(run, row)
    arguments = [spelled(content[name]) for name in ("key", "argument") if content.get(name) is not None]
    call = shortened(f"{row['message']}({', '.join(arguments)})")
    return f"invokes operation {content.get('operation')}, {call}"


def _complete(run: Run, row: dict[str, Any]) -> str:
    content = _content(run, row)
    why = spelled(content["value"]) if "value" in content else content.get("why", "")
    return shortened(f"completes operation {content.get('operation')}: {row['message']} {why}")


def _note(run: Run, row: dict[str, Any]) -> str:
    return shortened(f"notes {row['message']} {_fields(_content(run, row))}".rstrip())


def _fault(run: Run, row: dict[str, Any]) -> str:
    shown = "" if row["payload"] is None else shortened(row["payload"].decode(errors="replace"))
    return f"fault {row['message']} {shown}".rstrip()


def _crash(run: Run, row: dict[str, Any]) -> str:
    why = (row["payload"] or b"").decode(errors="replace").splitlines()
    return shortened(f"crashes: {why[0] if why else 'no reason given'}")


def _drop(run: Run, row: dict[str, Any]) -> str:
    why = (row["payload"] or b"").decode(errors="replace")
    return f"loses {_message(run, row)} to {row['peer']}: {why}"


_WORDS: dict[str, Callable[[Run, dict[str, Any]], str]] = {
    "start": lambda run, row: "starts",
    "deliver": _deliver,
    "timer": lambda run, row: f"timer {row['message']} fires",
    "invoke": _invoke,
    "send": lambda run, row: f"sends {_message(run, row)}",
    "note": _note,
    "complete": _complete,
    "commit": lambda run, row: f"commits {row['size']} change{'' if row['size'] == 1 else 's'}",
    "crash": _crash,
    "restart": lambda run, row: "restarts",
    "fault": _fault,
    "drop": _drop,
    "status": lambda run, row: shortened(f"shows {_fields(_content(run, row))}"),
    "reject": lambda run, row: f"refuses a connection: {_content(run, row).get('why', '')}",
}


def spelled(value: Any) -> str:
    """Returns a decoded value in one line."""
    if isinstance(value, bytes):
        return repr(value)
    if isinstance(value, dict):
        return "{" + _fields(value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(spelled, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _fields(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name}={spelled(value)}" for name, value in fields.items())


def shortened(text: str) -> str:
    """Returns `text`, or only its two ends if it is long."""
    if len(text) <= WIDEST:
        return text
    half = WIDEST // 2
    return f"{text[:half]} … {text[-half:]}"


def of_difference(run: Run, row: dict[str, Any] | None) -> str:
    """Describes one row of a difference, or states that there is no further row."""
    if row is None:
        return "nothing more"
    try:
        text = described(run, row)
    except ConfigError:
        text = f"{row['kind']} {row['message'] or ''}".rstrip()
    to = f" to {row['peer']}" if row["kind"] == "send" else ""
    return f"{row['time'] / 1e6:,.6f} ms {row['node'] or '-'} {text}{to}"


def _kinds(table: pa.Table) -> pa.ChunkedArray:
    return _plain(table["kind"])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string())
