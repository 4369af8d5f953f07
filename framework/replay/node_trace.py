"""The rows of each node in a trace: its inputs and its outputs, and the bytes of every message sent."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.core.address import Address, sender_of
from framework.core.message import NodeId
from framework.trace.reader import Run

INPUTS = frozenset(("start", "deliver", "timer", "invoke"))
OUTPUTS = frozenset(("send", "note", "complete", "commit"))
LIFE = frozenset(("crash", "fault"))

_COLUMNS = ("time", "seq", "node", "kind", "peer", "message", "cause", "size", "payload")
_ROWS = 4_096


class TraceRow(NamedTuple):
    """One event of a node. `path`: the mount's path. `peer`: the other end of a message, as its node addresses it.
    `cause`: -1 if there is none."""

    time: int
    seq: int
    node: NodeId
    path: str
    kind: str
    peer: Address
    message: str
    cause: int
    size: int
    payload: bytes | None


class NodeTrace:
    """The rows of a traced run. Raises ConfigError on the first read of a damaged file."""

    def __init__(self, run: Run) -> None:
        events = run.events
        kinds = events["kind"].cast(pa.string())
        self._table = events.filter(pc.is_in(kinds, pa.array(sorted(INPUTS | OUTPUTS | LIFE))))
        sends = events.filter(pc.equal(kinds, "send"))
        seqs = sends["seq"].to_numpy()
        order = np.argsort(seqs, kind="stable")
        self._sent_seqs, self._sent_places = seqs[order], order
        self._payloads = sends["payload"]

    def rows(self, nodes: Collection[NodeId] | None = None) -> Iterator[TraceRow]:
        """Yields the events of `nodes` (None: of all) by time; each node's events keep their order."""
        table = self._table
        if nodes is not None:
            names = table["node"].cast(pa.string())
            known = [name for name in pc.unique(names).to_pylist() if name is not None]
            wanted = [name for name in known if name.partition("/")[0] in nodes]
            table = table.filter(pc.is_in(names, pa.array(wanted, pa.string())))
        for batch in table.to_batches(max_chunksize=_ROWS):
            columns = batch.to_pydict()
            for values in zip(*(columns[name] for name in _COLUMNS), strict=True):
                if values[2] is not None:
                    yield _row(*values)

    def sent(self, seq: int) -> bytes | None:
        """Returns the bytes of the message sent in the event `seq`; None if that is not in the trace."""
        seqs = self._sent_seqs
        found = int(np.searchsorted(seqs, seq))
        if found == len(seqs) or seqs[found] != seq:
            return None
        payload: bytes = self._payloads[int(self._sent_places[found])].as_py()
        return payload


def _row(
    time: int, seq: int, place: str, kind: str, peer: str | None, message: str | None, cause: int | None,
    size: int | None, payload: Any,
) -> TraceRow:  # fmt: skip
    node, _, path = place.partition("/")
    other, _, other_path = (peer or "").partition("/")
    return TraceRow(
        time,
        seq,
        node,
        path,
        kind,
        sender_of(other, path, other_path) if other else "",
        message or "",
        -1 if cause is None else cause,
        -1 if size is None else size,
        payload,
    )
