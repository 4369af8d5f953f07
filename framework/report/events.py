"""What a report shows of a run's events: what nodes showed of themselves, what stopped them, and messages by link.

The events are read once, batch by batch.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.core.errors import abbreviated
from framework.core.time import MILLISECOND, SECOND
from framework.trace.columns import dictionary_places, numbers
from framework.trace.operations import short

LIFE = ("start", "crash", "status", "fault")
MOST_NODES = 40
MOST_MOUNTS = 40
MOST_MARKS = 200
LONGEST = 60
"""The most characters of a state's name."""
MOST_PHASES = 40
"""The most changes of a field, such as the phase, with which a node's values are shown: more are those of its operations."""
MOST_ENDPOINTS = 12
"""The most rows of the table of links; beyond, the clients are one row, and so are the servers after the first."""
PROGRESS_POINTS = 200
PROGRESS = ("commit", "committed", "chosen", "applied", "executed", "decided", "last")
"""The fields of a status that show progress, the best known first. Without them, the number that changes most is shown."""
BOOTING = 20 * MILLISECOND
"""What a node first shows this soon after its start, it is taken to have shown from the start."""
UP, DOWN, LEADER, MEMBER = "up", "down", "leader", "member"
_OWN_PLACE = frozenset((*PROGRESS, "roles", "phase", "term", "leads", "hosts"))
"""The fields of a status that are shown elsewhere than among the details of a node without roles."""


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
        places, names = dictionary_places(batch["kind"])

        def of_kinds(kinds: Collection[str]) -> pa.RecordBatch:
            wanted = [place for place, name in enumerate(names) if name in kinds]
            return batch.take(numbers(np.flatnonzero(np.isin(places, wanted))))

        chosen = of_kinds(LIFE)
        self.life += zip(
            *(chosen[name].to_pylist() for name in ("time", "seq", "kind", "node", "message", "payload")), strict=True
        )
        for (node, peer, message), many in _counts(of_kinds(("deliver",)), ("node", "peer", "message")):
            self.delivered[_base(peer), _base(node)] += many
            self.types["delivered"][message] += many
        drops = of_kinds(("drop",))
        for node, peer, message, why in zip(
            *(drops[name].to_pylist() for name in ("node", "peer", "message", "payload")), strict=True
        ):
            self.lost[_base(node), _base(peer)][(why or b"").decode(errors="replace")] += 1
            self.types["lost"][message] += 1


def _counts(batch: pa.RecordBatch, keys: Iterable[str]) -> Iterator[tuple[tuple[Any, ...], int]]:
    """Yields the distinct values of the columns `keys` together, in the order of their first rows, with their numbers of
    rows."""
    columns = [dictionary_places(batch[key]) for key in keys]
    codes = np.zeros(batch.num_rows, np.int64)
    for places, names in columns:
        codes = codes * len(names) + places
    _, first, many = np.unique(codes, return_index=True, return_counts=True)
    for which in np.argsort(first):
        yield tuple(names[places[first[which]]] for places, names in columns), int(many[which])


def _base(name: str | None) -> str:
    """Returns the endpoint of an address: `n1` of `n1/shard-7`."""
    return (name or "").partition("/")[0]


# Nodes.


def node_data(
    events: Events, servers: list[str], end: int, hits: Mapping[str, int] = MappingProxyType({})
) -> dict[str, Any] | None:
    """Returns the states of the nodes over time, `end` nanoseconds long; None if no node started.

    `hits` are the nodes that faults hit, with counts. Each of them has a row, as servers have.
    """
    lives: dict[str, list[tuple[int, str, dict[str, Any]]]] = {}
    for at, _, kind, name, _, payload in events.life:
        if kind != "fault" and name is not None:
            lives.setdefault(name, []).append((at, kind, _decoded(payload) if kind == "status" else {}))
    shown = [name for name in servers if name in lives]
    shown += [
        name
        for name in lives
        if name not in servers and (name in hits or any(kind == "status" for _, kind, _ in lives[name]))
    ]
    if not shown:
        return None
    kept = set(sorted(shown, key=lambda name: _interest(lives[name], hits.get(name, 0)), reverse=True)[:MOST_NODES])
    left_out = len(shown) - len(kept)
    shown = [name for name in shown if name in kept]
    rows: list[dict[str, Any]] = []
    fields: dict[str, list[tuple[int, dict[str, Any] | None]]] = {}
    for name in shown:
        spans, changes = _spans(lives[name], end)
        rows.append({"name": name, "spans": spans})
        fields[name] = changes
    mounts = sorted(row for name in shown for row in _mounts(name, lives[name], end))
    rows += [{"name": f"{name}/{path}", "spans": spans} for path, _, name, spans in mounts[:MOST_MOUNTS]]
    lasted: Counter[str] = Counter()
    for row in rows:
        for span in row["spans"]:
            lasted[span["state"]] += span["to"] - span["from"]
    return {
        "rows": rows,
        "left_out": left_out + max(0, len(mounts) - MOST_MOUNTS),
        "states": sorted(lasted, key=lambda state: (state == DOWN, -lasted[state], state)),
        "progress": _progress(fields, end),
        "end": end / SECOND,
    }


def _interest(life: list[tuple[int, str, dict[str, Any]]], hits: int) -> tuple[bool, int]:
    """Returns how much there is to see of a node: one that led, then those that crashed, changed their roles or were hit
    by faults most."""
    roles = [changed["roles"] or () for _, _, changed in life if "roles" in changed]
    return any(LEADER in each for each in roles), len(roles) + hits + sum(kind == "crash" for _, kind, _ in life)


def leader_marks(events: Events) -> list[dict[str, Any]]:
    """Returns the times at which a node began to lead."""
    marks: list[dict[str, Any]] = []
    roles: dict[str | None, Any] = {}
    terms: dict[str | None, Any] = {}
    leads: dict[str | None, Any] = {}
    for at, _, kind, name, _, payload in events.life:
        if kind in ("start", "crash"):
            roles[name] = leads[name] = ()
        if kind != "status":
            continue
        changed = _decoded(payload)
        terms[name] = changed.get("term", terms.get(name))
        if "roles" in changed:
            before, roles[name] = roles.get(name, ()), changed["roles"] or ()
            if LEADER in roles[name] and LEADER not in before:
                marks.append({"at": at / SECOND, "node": name, "term": terms[name]})
        if "leads" in changed:
            led, leads[name] = leads.get(name, ()), changed["leads"] or ()
            marks += [
                {"at": at / SECOND, "node": f"{name}/{path}", "term": None} for path in leads[name] if path not in led
            ]
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
    told_fields = _told_fields(life)
    for (before, kind_before), (at, kind, changed) in zip(pairs, life, strict=True):
        if kind == "status" and kind_before == "start" and at - before <= BOOTING:
            at = before
        if kind == "status":
            status = {**status, **changed}
        else:
            status, is_up = {}, kind == "start"
        now = _state(status) if is_up else DOWN
        told = _detail(status, told_fields)
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


def _told_fields(life: list[tuple[int, str, dict[str, Any]]]) -> list[str]:
    """Returns the fields of a node's status that its details show, besides the term: the phase and, of a node that never
    has a role, those of the others that change, the liveliest first; none that changes too often."""
    changes = Counter(name for _, _, changed in life for name in changed)
    has_roles = any(changed.get("roles") for _, _, changed in life)
    others = [] if has_roles else [name for name, many in changes.most_common() if name not in _OWN_PLACE and many > 1]
    return [name for name in ("phase", *others) if changes[name] <= MOST_PHASES]


def _detail(status: Mapping[str, Any], fields: Iterable[str]) -> str:
    term = status.get("term")
    told = [] if term is None else [f"term {term}"]
    for name in fields:
        value = status.get(name)
        if value and isinstance(value, str | int | float):
            told.append(str(value) if name == "phase" else f"{name} {value}")
    return abbreviated(", ".join(told), LONGEST)


def _mounts(
    name: str, life: list[tuple[int, str, dict[str, Any]]], end: int
) -> Iterator[tuple[str, int, str, list[dict[str, Any]]]]:
    """Yields the mounts of a node that are members of a group: path, order of the node, its name, and the states as
    spans."""
    spans: dict[str, list[dict[str, Any]]] = {}
    now: dict[str, tuple[int, str]] = {}
    hosts: Iterable[str] = ()
    leads: Iterable[str] = ()
    started: int | None = None
    for at, kind, changed in [*life, (end, "end", {})]:
        if kind == "status" and started is not None and at - started <= BOOTING:
            at = started
        started = at if kind == "start" else None
        if kind == "crash":
            states = dict.fromkeys(now, DOWN)
        elif kind == "status":
            hosts, leads = changed.get("hosts", hosts) or (), changed.get("leads", leads) or ()
            states = {str(path): LEADER if path in leads else MEMBER for path in hosts}
        else:
            hosts = leads = ()
            states = {}
        for path, (since, state) in list(now.items()):
            if states.get(path) != state:
                if at > since:
                    span = {"from": since / SECOND, "to": at / SECOND, "state": state, "detail": ""}
                    spans.setdefault(path, []).append(span)
                del now[path]
        for path, state in states.items():
            now.setdefault(path, (at, state))
    order = int("".join(filter(str.isdigit, name)) or 0)
    for path, found in spans.items():
        yield path, order, name, found


def _progress(fields: Mapping[str, list[tuple[int, dict[str, Any] | None]]], end: int) -> dict[str, Any] | None:
    """Returns a number that grows as the nodes progress, at some times; else the one that changes most, if any does."""
    values: dict[str, set[tuple[str, Any]]] = defaultdict(set)
    for node, changes in fields.items():
        for _, status in changes:
            for name, value in (status or {}).items():
                if name != "term" and isinstance(value, int | float) and not isinstance(value, bool):
                    values[name].add((node, value))
    known = [name for name in PROGRESS if name in values]
    others = [name for name, seen in values.items() if len(seen) > len({node for node, _ in seen})]
    if not known and not others:
        return None
    field = known[0] if known else max(others, key=lambda name: (len(values[name]), name))
    grid = np.linspace(0, end, PROGRESS_POINTS + 1)
    nodes = []
    for name, changes in fields.items():
        times = np.array([at for at, _ in changes])
        places = np.searchsorted(times, grid, side="right") - 1
        shown = [None if status is None else status.get(field) for _, status in changes]
        if any(value is not None for value in shown):
            nodes.append({"name": name, "values": [shown[place] if place >= 0 else None for place in places.tolist()]})
    return {"field": field, "grows": bool(known), "at": [short(at / SECOND, 6) for at in grid.tolist()], "nodes": nodes}


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
