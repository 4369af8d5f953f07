"""What a report shows of a run's events: what nodes showed of themselves, what stopped them, and messages by link.

The events are read once, batch by batch.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.core.errors import abbreviated
from framework.core.time import MILLISECOND, SECOND
from framework.trace.operations import short

LIFE = ("start", "crash", "status", "fault")
MOST_NODES = 40
MOST_MARKS = 200
LONGEST = 60
"""The most characters of a state's name."""
MOST_PHASES = 40
"""The most changes of phase with which a node's phases are shown: more are the phases of its operations."""
MOST_ENDPOINTS = 12
"""The most rows of the table of links; beyond, the clients are one row, and so are the servers after the first."""
PROGRESS_POINTS = 200
PROGRESS = ("commit", "committed", "chosen", "applied", "executed", "decided", "last")
"""The fields of a status that show progress, the best known first."""
BOOTING = 20 * MILLISECOND
"""What a node first shows this soon after its start, it is taken to have shown from the start."""
UP, DOWN, LEADER = "up", "down", "leader"


class Events:
    """The events of a run, counted and chosen."""

    def __init__(self) -> None:
        self.number = 0
        self.end = 0
        self.life: list[tuple[int, int, str, str | None, str | None, bytes | None]] = []
        """(time, seq, kind, node, message, payload) of starts, crashes, statuses and faults, in order."""
        self.delivered: Counter[tuple[str, str]] = Counter()
        self.lost: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.types: dict[str, Counter[str]] = defaultdict(Counter)
        """The messages delivered and lost, by type."""

    def read(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Adds the events of `batches`. Those read before an exception stay."""
        try:
            for batch in batches:
                self._add(batch)
        finally:
            self.life.sort(key=lambda row: row[:2])

    def _add(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        self.number += batch.num_rows
        self.end = max(self.end, int(pc.max(batch["time"]).as_py()))
        kinds = batch["kind"].cast(pa.string())
        chosen = batch.filter(pc.is_in(kinds, pa.array(LIFE)))
        self.life += zip(
            *(chosen[name].to_pylist() for name in ("time", "seq", "kind", "node", "message", "payload")), strict=True
        )
        table = pa.table(
            {"kind": kinds, **{name: batch[name].cast(pa.string()) for name in ("node", "peer", "message")}}
        )
        table = table.filter(pc.equal(table["kind"], "deliver"))
        for node, peer, message, many in _counts(table, ("node", "peer", "message")):
            self.delivered[_base(peer), _base(node)] += many
            self.types["delivered"][message] += many
        drops = batch.filter(pc.equal(kinds, "drop"))
        for node, peer, message, why in zip(
            *(drops[name].to_pylist() for name in ("node", "peer", "message", "payload")), strict=True
        ):
            self.lost[_base(node), _base(peer)][(why or b"").decode(errors="replace")] += 1
            self.types["lost"][message] += 1


def _counts(table: pa.Table, keys: tuple[str, ...]) -> Iterable[tuple[Any, ...]]:
    grouped = table.group_by(list(keys)).aggregate([([], "count_all")])
    return zip(*(grouped[name].to_pylist() for name in (*keys, "count_all")), strict=True)


def _base(name: str | None) -> str:
    """Returns the endpoint of an address: `n1` of `n1/shard-7`."""
    return (name or "").partition("/")[0]


# Nodes.


def node_data(events: Events, servers: list[str], end: int) -> dict[str, Any] | None:
    """Returns the states of the nodes over time, `end` nanoseconds long; None if no node started."""
    lives: dict[str, list[tuple[int, str, dict[str, Any]]]] = {}
    for at, _, kind, name, _, payload in events.life:
        if kind != "fault" and name is not None:
            lives.setdefault(name, []).append((at, kind, _decoded(payload) if kind == "status" else {}))
    shown = [name for name in servers if name in lives]
    shown += [name for name in lives if name not in servers and any(kind == "status" for _, kind, _ in lives[name])]
    if not shown:
        return None
    kept = set(sorted(shown, key=lambda name: _interest(lives[name]), reverse=True)[:MOST_NODES])
    left_out = len(shown) - len(kept)
    shown = [name for name in shown if name in kept]
    rows: list[dict[str, Any]] = []
    fields: dict[str, list[tuple[int, dict[str, Any] | None]]] = {}
    for name in shown:
        spans, changes = _spans(lives[name], end)
        rows.append({"name": name, "spans": spans})
        fields[name] = changes
    lasted: Counter[str] = Counter()
    for row in rows:
        for span in row["spans"]:
            lasted[span["state"]] += span["to"] - span["from"]
    return {
        "rows": rows,
        "left_out": left_out,
        "states": sorted(lasted, key=lambda state: (state == DOWN, -lasted[state], state)),
        "progress": _progress(fields, end),
        "end": end / SECOND,
    }


def _interest(life: list[tuple[int, str, dict[str, Any]]]) -> tuple[bool, int]:
    """Returns how much there is to see of a node: one that led, then those that crashed or changed their roles most."""
    roles = [changed["roles"] or () for _, _, changed in life if "roles" in changed]
    return any(LEADER in each for each in roles), len(roles) + sum(kind == "crash" for _, kind, _ in life)


def leader_marks(events: Events) -> list[dict[str, Any]]:
    """Returns the times at which a node began to lead."""
    marks: list[dict[str, Any]] = []
    roles: dict[str | None, Any] = {}
    terms: dict[str | None, Any] = {}
    for at, _, kind, name, _, payload in events.life:
        if kind in ("start", "crash"):
            roles[name] = ()
        if kind != "status":
            continue
        changed = _decoded(payload)
        terms[name] = changed.get("term", terms.get(name))
        if "roles" in changed:
            before, roles[name] = roles.get(name, ()), changed["roles"] or ()
            if LEADER in roles[name] and LEADER not in before:
                marks.append({"at": at / SECOND, "node": name, "term": terms[name]})
    return marks[:MOST_MARKS]


def _decoded(payload: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(payload or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _spans(
    life: list[tuple[int, str, dict[str, Any]]], end: int
) -> tuple[list[dict[str, Any]], list[tuple[int, dict[str, Any] | None]]]:
    """Returns the states of a node as spans, and what it showed over time: None while it is down."""
    spans: list[dict[str, Any]] = []
    changes: list[tuple[int, dict[str, Any] | None]] = []
    status: dict[str, Any] = {}
    is_up = False
    since, state, detail = 0, "", ""
    pairs = [(0, ""), *((at, kind) for at, kind, _ in life[:-1])]
    with_phase = sum("phase" in changed for _, _, changed in life) <= MOST_PHASES
    for (before, kind_before), (at, kind, changed) in zip(pairs, life, strict=True):
        if kind == "status" and kind_before == "start" and at - before <= BOOTING:
            at = before
        if kind == "status":
            status = {**status, **changed}
        else:
            status, is_up = {}, kind == "start"
        now = _state(status) if is_up else DOWN
        told = _detail(status, with_phase)
        if (now, told) != (state, detail):
            if state and at > since:
                spans.append({"from": since / SECOND, "to": at / SECOND, "state": state, "detail": detail})
            since, state, detail = at, now, told
        changes.append((at, status if is_up else None))
    if state:
        spans.append({"from": since / SECOND, "to": max(end, since) / SECOND, "state": state, "detail": detail})
    return spans, changes


def _state(status: Mapping[str, Any]) -> str:
    roles = status.get("roles") or ()
    return abbreviated(" + ".join(map(str, roles)), LONGEST) or UP


def _detail(status: Mapping[str, Any], with_phase: bool) -> str:
    term, phase = status.get("term"), status.get("phase") if with_phase else None
    return ", ".join([*([f"term {term}"] if term is not None else []), *([str(phase)] if phase else [])])


def _progress(fields: Mapping[str, list[tuple[int, dict[str, Any] | None]]], end: int) -> dict[str, Any] | None:
    """Returns a number that grows as the nodes progress, at some times; None if the nodes show none."""
    numbers = {
        name
        for changes in fields.values()
        for _, status in changes
        for name, value in (status or {}).items()
        if name != "term" and isinstance(value, int | float) and not isinstance(value, bool)
    }
    field = next((name for name in PROGRESS if name in numbers), None)
    if field is None:
        return None
    grid = np.linspace(0, end, PROGRESS_POINTS + 1)
    nodes = []
    for name, changes in fields.items():
        times = np.array([at for at, _ in changes])
        places = np.searchsorted(times, grid, side="right") - 1
        values = [None if status is None else status.get(field) for _, status in changes]
        nodes.append({"name": name, "values": [values[place] if place >= 0 else None for place in places.tolist()]})
    return {"field": field, "at": [short(at / SECOND, 6) for at in grid.tolist()], "nodes": nodes}


# Links.


def link_data(events: Events, servers: list[str]) -> dict[str, Any] | None:
    """Returns messages delivered and lost from each endpoint to each; None if there were none."""
    pairs = {*events.delivered, *events.lost}
    endpoints = {name for pair in pairs for name in pair}
    if not endpoints:
        return None
    ours = [name for name in servers if name in endpoints]
    others = sorted(endpoints.difference(servers), key=lambda name: (len(name), name))
    folded: dict[str, str] = {}
    if len(ours) + len(others) > MOST_ENDPOINTS and len(others) > 1:
        folded |= dict.fromkeys(others, f"{len(others)} clients")
    if len(ours) > MOST_ENDPOINTS:
        rest = ours[MOST_ENDPOINTS - 1 :]
        folded |= dict.fromkeys(rest, f"{len(rest)} more nodes")
    names = list(dict.fromkeys(folded.get(name, name) for name in (*ours, *others)))
    place = {name: number for number, name in enumerate(names)}
    delivered = [[0] * len(names) for _ in names]
    lost = [[0] * len(names) for _ in names]
    why: list[list[Counter[str]]] = [[Counter() for _ in names] for _ in names]
    for (source, target), many in events.delivered.items():
        delivered[place[folded.get(source, source)]][place[folded.get(target, target)]] += many
    for (source, target), reasons in events.lost.items():
        row, column = place[folded.get(source, source)], place[folded.get(target, target)]
        lost[row][column] += reasons.total()
        why[row][column].update(reasons)
    told = [[", ".join(f"{text} {many:,}" for text, many in cell.most_common(4)) for cell in row] for row in why]
    return {"names": names, "delivered": delivered, "lost": lost, "why": told}
