"""Convergence: once clients are quiet and faults are over, all replicas become equal.

An engine lets a run settle after its last operation: it asks the replicas now and then where they stand, until they are
equal or the time for it is over. Two replicas that have applied as much and differ have diverged; one that has applied
less than others stays behind. A node that is down is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from framework.checking.verdict import CheckResult, Verdict
from framework.core.message import NodeId
from framework.core.replica import ReplicaState

ReplicaStates: TypeAlias = Mapping[NodeId, ReplicaState | None]
"""Of the nodes that keep a copy; None for one that should answer and does not."""

Groups: TypeAlias = Mapping[Any, list[NodeId]]

NAME = "convergence"
WIDEST = 120


@dataclass(frozen=True, kw_only=True)
class Settled:
    """How the replicas of a run stood at its end, `took` nanoseconds after clients were known to be quiet.

    `nodes` are all servers of the run, `down` those that did not run. `can_serve`: whether those that did are enough for
    the protocol; None if it does not say. `excuse` says why a replica that stays behind need not be to blame, on an engine
    where that may be.
    """

    nodes: int
    replica_states: ReplicaStates
    down: tuple[NodeId, ...]
    took: int
    excuse: str = ""
    can_serve: bool | None = None


def look(ask: Callable[[bool], ReplicaStates], *, last: bool) -> ReplicaStates | None:
    """The replicas with their states if they are equal, or if this look is the `last`; `ask(whole)` asks them.

    States are asked for only where all have applied as much.
    """
    if not last and not _level(ask(False)):
        return None
    replica_states = ask(True)
    return replica_states if last or _equal(replica_states) else None


def convergence(settled: Settled) -> CheckResult:
    """INVALID if replicas diverged or stayed behind without an excuse, UNKNOWN if that cannot be told, else VALID."""
    replica_states = {node: found for node, found in settled.replica_states.items() if found is not None}
    by_index = _grouped({node: found.applied for node, found in replica_states.items()})
    after = f"{settled.took / 1e6:,.0f} ms after clients were quiet"
    excuse = settled.excuse or _too_few(settled)
    for index in sorted(by_index, reverse=True):
        copies = {node: replica_states[node] for node in by_index[index]}
        if not _equal(copies) and (index or not excuse):
            return _result(
                Verdict.INVALID, f"replicas that applied {index:,} differ: {_sides(copies)}", tuple(_story(copies))
            )
        if not _equal(copies):  # without an order, one that is late differs and no more
            return _result(Verdict.UNKNOWN, f"replicas differ, {after}: {_sides(copies)} ({excuse})")
    silent = [node for node, found in settled.replica_states.items() if found is None]
    if silent:
        return _result(Verdict.UNKNOWN, f"{_names(silent)} did not answer")
    if len(by_index) > 1:
        reason = f"{_behind(by_index)}, {after}"
        return _result(Verdict.UNKNOWN if excuse else Verdict.INVALID, f"{reason} ({excuse})" if excuse else reason)
    (index,) = by_index
    left_out = f"; {_names(settled.down)} {_be(settled.down)} down" if settled.down else ""
    return _result(Verdict.VALID, f"{len(replica_states)} replicas equal at {index:,}, {after}{left_out}")


def nothing_to_compare(settled: Settled) -> str:
    """Why there is nothing to judge, if that is so."""
    keeping = list(settled.replica_states)
    if len(keeping) > 1:
        return ""
    return f"nothing to compare: {f'{keeping[0]} alone' if keeping else 'no node that runs'} keeps a copy"


def _level(replica_states: ReplicaStates) -> bool:
    """Whether all have answered, and applied as much."""
    return (
        None not in replica_states.values() and len({found.applied for found in replica_states.values() if found}) <= 1
    )


def _equal(replica_states: ReplicaStates) -> bool:
    """... and hold the same."""
    return _level(replica_states) and len({found.digest for found in replica_states.values() if found}) <= 1


def _grouped(marks: Mapping[NodeId, Any]) -> dict[Any, list[NodeId]]:
    """The nodes that have the same, in the order in which they come."""
    groups: dict[Any, list[NodeId]] = {}
    for node, mark in marks.items():
        groups.setdefault(mark, []).append(node)
    return groups


def _too_few(settled: Settled) -> str:
    """A group that lacks a quorum, or a majority if the protocol does not say what it needs, may have no way on."""
    running = settled.nodes - len(settled.down)
    enough = 2 * running > settled.nodes if settled.can_serve is None else settled.can_serve
    too_few = "" if settled.can_serve is None else ", too few to serve"
    return "" if enough else f"only {running} of {settled.nodes} nodes run{too_few}"


def _behind(by_index: Groups) -> str:
    """`n3 stays at 12 while n1 n2 are at 40`."""
    *late, first = sorted(by_index)
    stays = " and ".join(
        f"{_names(by_index[index])} {'stay' if len(by_index[index]) > 1 else 'stays'} at {index:,}" for index in late
    )
    return f"{stays} while {_names(by_index[first])} {_be(by_index[first])} at {first:,}"


def _sides(copies: Mapping[NodeId, ReplicaState]) -> str:
    """`n1 n2 against n3`."""
    return " against ".join(map(_names, _grouped({node: copy.digest for node, copy in copies.items()}).values()))


def _story(copies: Mapping[NodeId, ReplicaState]) -> Iterator[str]:
    """Who holds what, and where the first two that differ first do."""
    groups = list(_grouped({node: copy.digest for node, copy in copies.items()}).values())
    for group in groups:
        copy = copies[group[0]]
        yield f"{_names(group)} at {copy.applied:,}: a state with the digest {copy.digest}"
    one, other = (copies[group[0]].state for group in groups[:2])
    if one and other:
        sides = _first_difference(one, other)
        yield "the first difference:"
        yield from (f"  {group[0]} has {side}" for group, side in zip(groups, sides, strict=False))


def _first_difference(one: Any, other: Any) -> tuple[str, str]:
    """The smallest parts of two states, in their order, that differ: a key and its value, as most snapshots are made."""
    one, other = _opened(one), _opened(other)
    if isinstance(one, list) and isinstance(other, list) and not _is_pair(one, other):
        for left, right in zip(one, other, strict=False):
            if left != right:
                return _first_difference(left, right)
        end = min(len(one), len(other))
        if len(one) != len(other):
            return _beyond(one, end), _beyond(other, end)
    return _spelled(one), _spelled(other)


def _beyond(items: list[Any], end: int) -> str:
    return _spelled(items[end]) if end < len(items) else "nothing more"


def _opened(state: Any) -> Any:
    """What bytes hold, if they are msgpack, as nearly all snapshots are."""
    if isinstance(state, bytes):
        try:
            return msgspec.msgpack.decode(state)
        except (ValueError, msgspec.MsgspecError):
            return state
    return state


def _is_pair(one: list[Any], other: list[Any]) -> bool:
    """Whether both are a key with a value."""
    return len(one) == len(other) == 2 and not any(isinstance(item[0], (list, bytes)) for item in (one, other))


def _spelled(part: Any) -> str:
    text = repr(part)
    return text if len(text) <= WIDEST else f"{text[:WIDEST]} …"


def _result(verdict: Verdict, reason: str, story: tuple[str, ...] = ()) -> CheckResult:
    return CheckResult(name=NAME, verdict=verdict, reason=reason, story=story)


def _names(nodes: Sequence[NodeId]) -> str:
    return " ".join(nodes)


def _be(nodes: Sequence[NodeId]) -> str:
    return "are" if len(nodes) > 1 else "is"
