"""The endings of operations in a run's trace: the node that answered, or the reason why there was no answer."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from framework.core.errors import ConfigError
from framework.trace.columns import integers
from framework.trace.reader import Run

_COMPLETION = ("operation", "cause", "payload")


class _Completion(msgspec.Struct):
    why: str = ""


def endings_of(run: Run, operations: Collection[int]) -> dict[int, tuple[str, str]]:
    """Returns, for each of `operations` whose end was traced, the node whose message ended it, and the reason why it
    has no answer.

    Either is "" if the trace does not show it: an operation may end by a timer. A run traced without events has no
    endings.
    """
    try:
        causes, whys = _completions(run, operations)
        senders = _senders(run, [cause for cause in causes.values() if cause is not None])
    except ConfigError:  # a damaged trace: the history is judged without it
        return {}
    return {operation: (_node(senders.get(causes[operation])), why) for operation, why in whys.items()}


def _completions(run: Run, operations: Collection[int]) -> tuple[dict[int, int | None], dict[int, str]]:
    """Returns, for each operation that ended, the event that caused its end and the reason why it has no answer."""
    numbers = integers(list(operations))
    decode = msgspec.json.Decoder(_Completion).decode
    causes, whys = {}, {}
    for batch in run.event_batches():
        rows = batch.filter(pc.and_(_is(batch, "complete"), pc.is_in(batch["operation"], numbers)))
        for operation, cause, payload in zip(*(rows[name].to_pylist() for name in _COMPLETION), strict=True):
            causes[operation], whys[operation] = cause, decode(payload).why
    return causes, whys


def _senders(run: Run, deliveries: Collection[int]) -> dict[int | None, str]:
    """Returns the sender of the message delivered in each of these events; events of other kinds are absent."""
    seqs = integers(list(deliveries))
    found: dict[int | None, str] = {}
    for batch in run.event_batches():
        rows = batch.filter(pc.and_(_is(batch, "deliver"), pc.is_in(batch["seq"], seqs)))
        found.update(zip(rows["seq"].to_pylist(), rows["peer"].cast(pa.string()).to_pylist(), strict=True))
    return found


def _is(batch: pa.RecordBatch, kind: str) -> pa.Array:
    return pc.equal(batch["kind"].cast(pa.string()), kind)


def _node(peer: str | None) -> str:
    """Returns the host of an endpoint that may be mounted in it."""
    return (peer or "").partition("/")[0]
