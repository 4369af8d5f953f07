"""How operations ended, as a run's trace has it: which node answered, and why there was no answer."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from framework.core.errors import ConfigError
from framework.trace.reader import Run


class _Completion(msgspec.Struct):
    why: str = ""


def endings_of(run: Run, operations: Collection[int]) -> dict[int, tuple[str, str]]:
    """For each of `operations` whose end was traced: the node whose message ended it, and why it has no answer.

    "" for what the trace does not say: an operation may end by a timer, and a run may have been traced without events.
    """
    try:
        events = run.events
    except ConfigError:  # a damaged trace: the history has its verdict without it
        return {}
    kinds = events["kind"].cast(pa.string())
    theirs = pc.is_in(events["operation"], pa.array(operations, pa.int64()))
    decode = msgspec.json.Decoder(_Completion).decode
    found = {
        row["operation"]: (row["cause"], decode(row["payload"]).why)
        for row in events.filter(pc.and_(pc.equal(kinds, "complete"), theirs)).to_pylist()
    }
    causes = pa.array([cause for cause, _ in found.values()], pa.int64())
    inputs = events.filter(pc.and_(pc.equal(kinds, "deliver"), pc.is_in(events["seq"], causes)))
    senders = dict(zip(inputs["seq"].to_pylist(), inputs["peer"].cast(pa.string()).to_pylist(), strict=True))
    return {operation: (_node(senders.get(cause)), why) for operation, (cause, why) in found.items()}


def _node(peer: str | None) -> str:
    """The node itself, of one that may be mounted in it."""
    return (peer or "").partition("/")[0]
