"""Convergence: once clients are quiet and faults are over, all replicas become equal.

An engine lets a run settle after its last operation: it polls the progress of the replicas until they are equal or the
time limit is reached. Two replicas that have applied equally much and differ have diverged; a replica that has applied
less than others is behind. Nodes that are down are left out. A node may keep several copies, each with a name; those of
one name are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from framework.checking.verdict import CheckResult, Verdict
from framework.core.message import NodeId
from framework.core.replica import ReplicaState

ReplicaStates: TypeAlias = Mapping[NodeId, Mapping[str, ReplicaState] | None]
"""The copies that each node keeps, by name; None for a node that should answer but does not.

The copies in a mount are named by its path, and the copy that a node itself keeps is named ""."""

Copies: TypeAlias = Mapping[NodeId, ReplicaState]
"""The copies of one name, on the nodes that keep one."""

Groups: TypeAlias = Mapping[Any, list[NodeId]]

NAME = "convergence"
SETTLED = "settled"
WIDEST = 120


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The replicas at the end of a run, `took` nanoseconds after clients were known to be quiet.

    `nodes` is the number of servers of the run, `down` are the servers that did not run. `can_serve`: whether the
    running servers suffice for the protocol; None if it does not say. `excuse` is the reason why a replica that stays
    behind may not be at fault, on an engine where that is possible. `unfinished` is the reason why the protocol's
    `settled` found it unfinished; "" if it did not.
    """

    nodes: int
    replica_states: ReplicaStates
    down: tuple[NodeId, ...]
    took: int
    excuse: str = ""
    can_serve: bool | None = None
    unfinished: str = ""


def look(ask: Callable[[bool], ReplicaStates], *, last: bool) -> ReplicaStates | None:
    """Returns the replicas with their states if they are equal, or if this look is the `last`; `ask(whole)` queries
    them.

    Unless it is the last look, states are queried only once all replicas have applied equally much.
    """
    if not last and not _level(ask(False)):
        return None
    replica_states = ask(True)
    return replica_states if last or _all_equal(replica_states) else None


def convergence(settled: Settled) -> CheckResult:
    """Returns INVALID if replicas diverged or stayed behind without excuse, UNKNOWN if undecidable, else VALID."""
    by_name = copies_by_name(settled.replica_states)
    excuse = settled.excuse or _too_few(settled)
    after = f"{settled.took / 1e6:,.0f} ms after clients were quiet"
    found = [_compared(name, copies, after, excuse) for name, copies in by_name.items()]
    wrong = [result for result in found if result is not None]
    wrong.sort(key=lambda result: result.verdict is not Verdict.INVALID)  # the first of the most serious
    if wrong and wrong[0].verdict is Verdict.INVALID:
        return wrong[0]
    silent = [node for node, found in settled.replica_states.items() if found is None]
    if silent:
        return _result(Verdict.UNKNOWN, f"{_names(silent)} did not answer")
    if wrong:
        return wrong[0]
    left_out = f"; {_names(settled.down)} {_be(settled.down)} down" if settled.down else ""
    if len(by_name) > 1:
        return _result(Verdict.VALID, f"{len(by_name)} groups of replicas equal, {after}{left_out}")
    (copies,) = by_name.values()
    (index,) = {copy.applied for copy in copies.values()}
    return _result(Verdict.VALID, f"{len(copies)} replicas equal at {index:,}, {after}{left_out}")


def _compared(name: str, copies: Copies, after: str, excuse: str) -> CheckResult | None:
    """Returns the conclusion about the copies of one name unless they are equal."""
    of = f" of {name}" if name else ""
    by_index = _grouped({node: copy.applied for node, copy in copies.items()})
    for index in sorted(by_index, reverse=True):
        level = {node: copies[node] for node in by_index[index]}
        if _equal(level):
            continue
        if index or not excuse:
            what = f"replicas{of} that applied {index:,} differ: {_sides(level)}"
            return _result(Verdict.INVALID, what, tuple(_story(level)))
        # without an order, a late replica merely differs
        return _result(Verdict.UNKNOWN, f"replicas{of} differ, {after}: {_sides(level)} ({excuse})")
    if len(by_index) <= 1:
        return None
    reason = f"{name}: {_behind(by_index)}, {after}" if name else f"{_behind(by_index)}, {after}"
    return _result(Verdict.UNKNOWN if excuse else Verdict.INVALID, f"{reason} ({excuse})" if excuse else reason)


def copies_by_name(replica_states: ReplicaStates) -> dict[str, dict[NodeId, ReplicaState]]:
    """Returns the copies of each name, of all nodes that have answered."""
    by_name: dict[str, dict[NodeId, ReplicaState]] = {}
    for node, found in replica_states.items():
        for name, copy in (found or {}).items():
            by_name.setdefault(name, {})[node] = copy
    return by_name


def finished(settled: Settled) -> CheckResult:
    """Returns the conclusion about a protocol with a `settled`: INVALID with the reason that it gave, UNKNOWN with an
    excuse, else VALID."""
    if settled.unfinished:
        what = f"{settled.unfinished}, {settled.took / 1e6:,.0f} ms after clients were quiet"
        verdict = Verdict.UNKNOWN if settled.excuse else Verdict.INVALID
        return CheckResult(
            name=SETTLED, verdict=verdict, reason=f"{what} ({settled.excuse})" if settled.excuse else what
        )
    return CheckResult(name=SETTLED, verdict=Verdict.VALID, reason="all that was begun is finished")


def nothing_to_compare(settled: Settled) -> str:
    """Returns the reason why there is nothing to compare; "" if there is something."""
    keeping = list(settled.replica_states)
    silent = [node for node, found in settled.replica_states.items() if found is None]
    if (silent and len(keeping) > 1) or any(
        len(copies) > 1 for copies in copies_by_name(settled.replica_states).values()
    ):
        return ""
    if len(keeping) > 1:
        return "nothing to compare: no two nodes keep copies of the same name"
    return f"nothing to compare: {f'{keeping[0]} alone' if keeping else 'no node that runs'} keeps a copy"


def _level(replica_states: ReplicaStates) -> bool:
    """Returns whether all nodes have answered, and all copies of a name have applied equally much."""
    by_name = copies_by_name(replica_states)
    levels = ({copy.applied for copy in copies.values()} for copies in by_name.values())
    return None not in replica_states.values() and all(len(applied) == 1 for applied in levels)


def _all_equal(replica_states: ReplicaStates) -> bool:
    """Returns whether all nodes have answered, and all copies of a name are equal."""
    return None not in replica_states.values() and all(map(_equal, copies_by_name(replica_states).values()))


def _equal(copies: Copies) -> bool:
    """Returns whether all copies have applied equally much, and have the same state."""
    return len({(copy.applied, copy.digest) for copy in copies.values()}) <= 1


def _grouped(marks: Mapping[NodeId, Any]) -> dict[Any, list[NodeId]]:
    """Groups the nodes by mark, in order of first appearance."""
    groups: dict[Any, list[NodeId]] = {}
    for node, mark in marks.items():
        groups.setdefault(mark, []).append(node)
    return groups


def _too_few(settled: Settled) -> str:
    """Returns an excuse if too few nodes run to make progress: no quorum, or no majority if `can_serve` is None."""
    running = settled.nodes - len(settled.down)
    enough = 2 * running > settled.nodes if settled.can_serve is None else settled.can_serve
    too_few = "" if settled.can_serve is None else ", too few to serve"
    return "" if enough else f"only {running} of {settled.nodes} nodes run{too_few}"


def _behind(by_index: Groups) -> str:
    """Returns `n3 stays at 12 while n1 n2 are at 40`."""
    *late, first = sorted(by_index)
    stays = " and ".join(
        f"{_names(by_index[index])} {'stay' if len(by_index[index]) > 1 else 'stays'} at {index:,}" for index in late
    )
    return f"{stays} while {_names(by_index[first])} {_be(by_index[first])} at {first:,}"


def _sides(copies: Mapping[NodeId, ReplicaState]) -> str:
    """Returns `n1 n2 against n3`."""
    return " against ".join(map(_names, _grouped({node: copy.digest for node, copy in copies.items()}).values()))


def _story(copies: Mapping[NodeId, ReplicaState]) -> Iterator[str]:
    """Yields the state of each group of replicas, and the first difference between the first two groups."""
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
    """Returns the smallest differing parts of two states: for most snapshots, a key and its value."""
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
    """Decodes bytes that are msgpack, as nearly all snapshots are; returns any other state unchanged."""
    if isinstance(state, bytes):
        try:
            return msgspec.msgpack.decode(state)
        except (ValueError, msgspec.MsgspecError):
            return state
    return state


def _is_pair(one: list[Any], other: list[Any]) -> bool:
    """Returns whether both are a key with a value."""
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
