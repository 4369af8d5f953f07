"""Injects the faults of a run at their times, undoes them, heals everything at the end, and keeps the ledger.

Has no clock and does no I/O: an engine calls `due` when `next_at` has come, and carries out the actions.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from framework.core.errors import ConfigError, PluginFailed
from framework.core.message import NodeId
from framework.core.status import NOTHING_SHOWN, Status
from framework.core.time import MILLISECOND, NEVER, format_duration
from framework.core.tracebacks import blaming, one_line, plugin_gave
from framework.faults.actions import (
    Action,
    Crash,
    ImpairLinks,
    LinkName,
    Pause,
    Restart,
    RestoreLinks,
    Resume,
    RunAdminOperation,
    SetClock,
    SetDisk,
)
from framework.faults.fault import Fault, Injection, OnJoin
from framework.faults.ledger import LedgerEntry
from framework.faults.plan import FaultPlan, PlannedFault
from framework.faults.targets import ClusterView, is_role

RETRY = 20 * MILLISECOND
"""Nanoseconds until a fault that found no target tries again."""

PATIENCE = 1_000 * MILLISECOND
"""Nanoseconds for which it keeps trying, or the fault's own length if that is longer."""

DETAILS = 20
"""The number of injections that the ledger describes one by one; more are only counted."""


@dataclass(frozen=True)
class Sight:
    """An engine's view of its servers: their statuses (None: down), the paused ones, the ones that no restart brings
    back, and the spares that have never run, which have no status. `others` are the statuses of the clients and of the
    workload's service."""

    statuses: Mapping[NodeId, Status | None]
    stopped: frozenset[NodeId] = frozenset()
    lost: frozenset[NodeId] = frozenset()
    spares: tuple[NodeId, ...] = ()
    others: Mapping[NodeId, Status | None] = field(default_factory=dict)


Look: TypeAlias = Callable[[], Sight]

_ASPECT: dict[type, str] = {
    Crash: "life",
    Restart: "life",
    Pause: "motion",
    Resume: "motion",
    SetClock: "clock",
    SetDisk: "disk",
}
"""The aspect of a node that an action changes. If two faults change the same aspect, it ends with the later one."""


@dataclass
class _Lasting:
    """An impairment in force: its ledger entry, the indices of its span and of its line in the details (None: no line),
    the links that it cuts, and the nodes to which it was extended."""

    entry: LedgerEntry
    span: int
    detail: int | None
    on_join: OnJoin
    cut: list[LinkName]
    joined: set[NodeId] = field(default_factory=set)


class Injector:
    """The faults of one run.

    `plans` are `(name, plan)`. Everything is healed at `quiet_at`, and nothing is injected from then on. `do` carries
    out an action and returns whether it took effect. `stream(name)` returns a plan's own random stream.
    `watches_disks`: the engine calls `on_disk_fault_met` for each commit or restart that meets a faulty disk, so that
    the ledger shows which disk faults met none.
    """

    def __init__(
        self,
        plans: Sequence[tuple[str, FaultPlan]],
        clients: Sequence[NodeId],
        *,
        quiet_at: int,
        stream: Callable[[str], random.Random],
        do: Callable[[Action], bool],
        watches_disks: bool = False,
        roles: Mapping[str, tuple[NodeId, ...]] | None = None,
    ) -> None:
        self.entries: dict[str, LedgerEntry] = {}
        self.tokens: dict[int, tuple[LedgerEntry, Fault, Injection]] = {}  # token -> the fault of the impairment
        self.healed_at: int | None = None
        self._quiet_at, self._do, self._clients, self._stream = quiet_at, do, tuple(clients), stream
        self._watches_disks, self._roles = watches_disks, roles or {}
        self._order = itertools.count()
        self._fresh = itertools.count(1)
        self._rngs: dict[str, random.Random] = {}
        self._due: list[tuple[int, int, PlannedFault, int]] = []  # (time, order, fault, original time)
        self._undoes: list[tuple[int, int, tuple[Action, ...]]] = []  # (time, order of the injection, actions)
        self._holders: dict[tuple[NodeId, str], tuple[int, Action]] = {}  # the injection that holds an aspect of a node
        self._disks: dict[NodeId, LedgerEntry] = {}  # the last disk fault of each node
        self._administration: dict[int, tuple[LedgerEntry, RunAdminOperation]] = {}  # by token
        self._remarks: list[str] = []
        self._crashes: dict[NodeId, tuple[LedgerEntry, int]] = {}  # node -> the ledger detail of its last crash
        self._doubtful: list[tuple[int, PlannedFault, LedgerEntry]] = []  # retried at the end if unmet
        self._lasting: dict[int, _Lasting] = {}  # by token: impairments in force that extend to joining nodes
        self._emulated = False
        self._lasting_spans: dict[int, list[int]] = {}  # of the injections in force, by their order
        for name, plan in plans:
            self._rngs[name] = stream(name)
            with blaming(f"faults={name}", "planned_faults", type(plan), ConfigError):
                for planned in plan.planned_faults(name, quiet_at, self._rngs[name]):
                    self._expect(planned)

    @property
    def next_at(self) -> int:
        """The time of the next thing to do; NEVER if there is none."""
        heads = [queue[0][0] for queue in (self._due, self._undoes) if queue]
        if self.healed_at is None and self.entries:
            heads.append(self._quiet_at)
        return min(heads, default=NEVER)

    def due(self, now: int, look: Look) -> None:
        """Does everything that is due: first undoes, then injects."""
        while self._undoes and self._undoes[0][0] <= now:
            self._undo(now)
        self._retry_unmet(now)
        while self._due and self._due[0][0] <= now and self.healed_at is None and now < self._quiet_at:
            _, order, planned, due = heapq.heappop(self._due)
            sight, fresh = look(), lambda: next(self._fresh)
            rng = self._rngs[planned.name.partition("/")[0]]
            view = ClusterView(
                now, sight.statuses, self._clients, rng, fresh, sight.stopped, sight.lost, spares=sight.spares,
                others=sight.others, roles=self._roles,
            )  # fmt: skip
            self._inject(planned, order, due, view)
        if now >= self._quiet_at and self.healed_at is None and self.entries:
            self.heal(now, look)

    def heal(self, now: int, look: Look) -> None:
        """Undoes all faults in force, and restarts every node that is down and can be restarted."""
        self.healed_at = now
        self._due.clear()
        while self._undoes:
            self._undo(now)
        for span in self._lasting_spans.values():
            span[1] = now
        self._lasting_spans.clear()
        sight = look()
        for node, status in {**sight.statuses, **sight.others}.items():
            if status is None and node not in sight.lost:
                self._do(Restart(node))

    def on_disk_fault_met(self, node: NodeId) -> None:
        """Counts a commit delayed or refused, or a restart refused, because of the node's disk."""
        entry = self._disks.get(node)
        if entry is not None:
            entry.touched += 1

    def remark(self, text: str) -> None:
        """Adds the engine's remark on the injection under way to the ledger."""
        self._remarks.append(text)

    def on_crash_outcome(self, node: NodeId, text: str) -> None:
        """Adds the outcome of the last crash of `node` to the ledger, when the engine learns it only later."""
        if node in self._crashes:
            entry, detail = self._crashes[node]
            entry.details[detail] += f"; {text}"

    def emulates(self) -> None:
        """Marks the injection under way as emulated in the ledger: the engine only approximates its actions."""
        self._emulated = True

    def count_touched(self, touched_counts: Mapping[int, tuple[int, int]]) -> None:
        """Records the number of messages (passed, touched) by token. Called once, at the end."""
        for token, (passed, touched) in touched_counts.items():
            entry, fault, injection = self.tokens[token]
            entry.passed += passed
            entry.touched += touched
            try:
                with blaming(f"faults={entry.fault}", "expected_touched", type(fault)):
                    expected = fault.expected_touched(injection, passed)
            except PluginFailed as failed:  # the run is over: its outcome stays
                entry.failure = str(failed)
                continue
            if expected is not None:
                entry.expected = (entry.expected or 0.0) + expected

    def count_administered(self, administered: Mapping[int, str]) -> None:
        """Records the results of administrative operations by token: "" if done, else the reason.

        Called once, at the end.
        """
        for token, refused in administered.items():
            entry, ask = self._administration[token]
            if refused:
                entry.details.append(f"{ask.function} {ask.node} was refused: {refused}")
            else:
                entry.touched += 1

    def _expect(self, planned: PlannedFault) -> None:
        self.entries.setdefault(planned.name, LedgerEntry(planned.name)).due += 1
        if planned.at < self._quiet_at:
            heapq.heappush(self._due, (planned.at, next(self._order), planned, planned.at))

    def _inject(self, planned: PlannedFault, order: int, due: int, view: ClusterView) -> None:
        self._remarks.clear()
        self._emulated = False
        injection = _injection(planned, view)
        if injection is None or not self._carry_out(injection, order, view.spares):
            self._note_roles(planned, view)
            if view.now + RETRY < min(self._quiet_at, due + max(planned.lasts, PATIENCE)):
                heapq.heappush(self._due, (view.now + RETRY, next(self._order), planned, due))
            return
        entry = self.entries[planned.name]
        span = [view.now, -1] if injection.undo else [view.now, view.now]
        entry.spans.append(span)
        if injection.undo:
            self._lasting_spans[order] = span
        self._enter(entry, planned, injection, view)
        if planned.retry_if_unmet and entry.meets == "commit":
            self._doubtful.append((view.now + planned.lasts, planned, entry))
        if injection.undo:
            ends = view.now + planned.lasts if planned.lasts else NEVER
            heapq.heappush(self._undoes, (ends, order, injection.undo))
        for following in planned.then:
            at = following.at + view.now + planned.lasts
            self._expect(PlannedFault(at, following.fault, following.name, following.lasts, following.then))

    def _note_roles(self, planned: PlannedFault, view: ClusterView) -> None:
        """Records the roles that existed when a fault found no node in its target role."""
        entry, target = self.entries[planned.name], planned.fault.target
        if is_role(target, (*view.nodes, *view.spares, *view.others)):
            statuses = (*view.statuses.values(), *view.others.values())
            roles = [*view.roles, *(role for status in statuses if status for role in status.roles)]
            entry.sought = target
            entry.seen = list(dict.fromkeys((*entry.seen, *roles)))

    def _retry_unmet(self, now: int) -> None:
        """Schedules again the disk faults that have ended without meeting a commit."""
        for ended in [one for one in self._doubtful if one[0] <= now]:
            self._doubtful.remove(ended)
            _, planned, entry = ended
            if not entry.touched:
                heapq.heappush(self._due, (now, next(self._order), planned, now))

    def _carry_out(self, injection: Injection, order: int, spares: Sequence[NodeId]) -> bool:
        took = False
        for action in injection.actions:
            if isinstance(action, Restart) and action.node in spares:
                self._take_in(action.node)
            if self._act(action):
                took = True
                if injection.undo and not isinstance(action, ImpairLinks | RestoreLinks | RunAdminOperation):
                    self._holders[action.node, _ASPECT[type(action)]] = order, action
        return took

    def _take_in(self, node: NodeId) -> None:
        """Extends the impairments in force to the links of a node that is about to boot for the first time."""
        for lasting in self._lasting.values():
            if node in lasting.joined:
                continue
            lasting.joined.add(node)
            injection = _joined(lasting, node, self._stream(f"{lasting.entry.fault}/{node}"))
            for action in injection.actions:
                self._do(action)
            lasting.cut += _cut_links(injection.actions)
            lasting.entry.targets[lasting.span].append(node)
            lasting.entry.sides[lasting.span] = self._sides(lasting.cut, lasting.entry.targets[lasting.span])
            if lasting.detail is not None and injection.detail:
                lasting.entry.details[lasting.detail] += f"; {injection.detail}"

    def _undo(self, now: int) -> None:
        _, order, actions = heapq.heappop(self._undoes)
        self._lasting_spans.pop(order)[1] = now
        for action in actions:
            self._undo_one(order, action)

    def _undo_one(self, order: int, action: Action) -> None:
        """Carries out `action`, unless a later injection holds the same aspect of the node."""
        if not isinstance(action, ImpairLinks | RestoreLinks | RunAdminOperation):
            key = action.node, _ASPECT[type(action)]
            holder, held = self._holders.get(key, (order, action))
            if holder == order:
                self._holders.pop(key, None)
            elif isinstance(action, SetClock) and isinstance(held, SetClock):
                action = SetClock(action.node, held.drift_ppm, action.step)
            else:
                return
        self._act(action)

    def _act(self, action: Action) -> bool:
        """Makes the engine carry out `action`, and returns whether it took effect."""
        if isinstance(action, RestoreLinks):
            self._lasting.pop(action.token, None)
        return self._do(action)

    def _enter(self, entry: LedgerEntry, planned: PlannedFault, injection: Injection, view: ClusterView) -> None:
        entry.fired += 1
        cut = _cut_links(injection.actions)
        entry.targets.append(list(injection.targets))
        entry.sides.append(self._sides(cut, injection.targets))
        entry.emulated = entry.emulated or self._emulated
        for action in injection.actions:
            if isinstance(action, ImpairLinks):
                self.tokens[action.token] = (entry, planned.fault, injection)
                entry.meets = "message"
            elif isinstance(action, RunAdminOperation):
                self._administration[action.token] = (entry, action)
                entry.meets = "answer"
            elif isinstance(action, SetDisk) and self._watches_disks:
                self._disks[action.node] = entry
                entry.meets = "commit"
        for node in injection.targets:
            status = view.statuses.get(node) or view.others.get(node) or NOTHING_SHOWN
            given = [role for role, nodes in view.roles.items() if node in nodes and role not in status.roles]
            entry.against[node] = entry.against.get(node, 0) + 1
            for counts, words in ((entry.roles, (*given, *status.roles)), (entry.phases, (status.phase,))):
                for word in filter(None, words):
                    counts[word] = counts.get(word, 0) + 1
        crashed = [action.node for action in injection.actions if isinstance(action, Crash)]
        for node in crashed:
            self._crashes.pop(node, None)
        told = len(entry.details) < DETAILS
        impairs = [action for action in injection.actions if isinstance(action, ImpairLinks)]
        if injection.on_join is not None and impairs:
            detail = len(entry.details) if told else None
            self._lasting[impairs[0].token] = _Lasting(entry, len(entry.spans) - 1, detail, injection.on_join, cut)
        if told:
            shown = "; ".join((injection.detail or " ".join(injection.targets), *self._remarks))
            entry.details.append(f"{format_duration(view.now // MILLISECOND * MILLISECOND)}: {shown}".rstrip(": "))
            self._crashes.update((node, (entry, len(entry.details) - 1)) for node in crashed)

    def _sides(self, cut: Sequence[LinkName], targets: Sequence[NodeId]) -> list[list[NodeId]]:
        """Returns the sides of a network without the links `cut`: `targets` and the ends of those links, in groups that
        have lost the same links to and from servers. The largest groups are last; without links there are none."""
        if not cut:
            return []
        clients = frozenset(self._clients)
        lost: dict[NodeId, set[tuple[str, NodeId]]] = {node: set() for node in targets}
        for sender, receiver in cut:
            for node, direction, peer in ((sender, "to", receiver), (receiver, "from", sender)):
                peers = lost.setdefault(node, set())
                if peer not in clients:
                    peers.add((direction, peer))
        sides: dict[frozenset[tuple[str, NodeId]], list[NodeId]] = {}
        for node in sorted(lost, key=lambda name: (name in clients, len(name), name)):
            sides.setdefault(frozenset(lost[node]), []).append(node)
        return sorted(sides.values(), key=len)


def _cut_links(actions: Sequence[Action]) -> list[LinkName]:
    """Returns the links on which no message gets through."""
    impairs = [action for action in actions if isinstance(action, ImpairLinks)]
    return [link for action in impairs if action.impairment.cut for link in action.links]


def _joined(lasting: _Lasting, node: NodeId, rng: random.Random) -> Injection:
    """Returns the impairments of the links of a joining `node`. Raises PluginFailed if `on_join` raises, or returns
    anything but an Injection of ImpairLinks."""
    where, on_join = f"faults={lasting.entry.fault}", lasting.on_join
    with blaming(where, "on_join", on_join):
        injection = on_join(node, rng)
    actions = injection.actions if isinstance(injection, Injection) else None
    if not isinstance(actions, (tuple, list)) or not all(isinstance(action, ImpairLinks) for action in actions):
        raise plugin_gave(where, "on_join", injection, "an Injection of ImpairLinks", on_join)
    return dataclasses.replace(
        injection, actions=tuple(_plain(action, where, "on_join", on_join) for action in actions)
    )


def _injection(planned: PlannedFault, view: ClusterView) -> Injection | None:
    """Returns the fault's injection, if it finds a target.

    Raises PluginFailed if `inject` raises, or returns anything but actions on existing nodes.
    """
    fault, where = planned.fault, f"faults={planned.name}"
    with blaming(where, "inject", type(fault)):
        injection = fault.inject(view)
    if injection is None:
        return None
    known = (*view.nodes, *view.spares, *view.others)
    parts = (injection.actions, injection.undo, injection.targets) if isinstance(injection, Injection) else ()
    if not (parts and all(isinstance(part, (tuple, list)) for part in parts)):
        raise plugin_gave(where, "inject", injection, "an Injection of tuples", type(fault).inject)
    places = (*known, *view.clients)
    actions, undo = (
        tuple(_checked(action, where, known, places, type(fault).inject) for action in part)
        for part in (injection.actions, injection.undo)
    )
    return dataclasses.replace(injection, actions=actions, undo=undo)


def _checked(action: Any, where: str, nodes: Sequence[NodeId], places: Sequence[NodeId], owner: Any) -> Action:
    """Returns the action with plain numbers for durations. Raises PluginFailed unless it is one, its fields have their
    types, and it names `nodes`, or for links `places`, that exist."""
    if not isinstance(action, Action):
        raise plugin_gave(where, "inject", action, "an action on one of the nodes", owner)
    named = [end for link in action.links for end in link] if isinstance(action, ImpairLinks) else []
    plain: Action = _plain(action, where, "inject", owner)
    if getattr(action, "node", nodes[0]) not in nodes or not set(named) <= set(places):
        raise plugin_gave(where, "inject", action, "an action on one of the nodes", owner)
    return plain


def _plain(action: Any, where: str, call: str, owner: Any) -> Any:
    """Returns the action with plain numbers for durations. Raises PluginFailed unless its fields have their types."""
    try:
        return msgspec.convert(msgspec.to_builtins(action, enc_hook=_plain_number), type(action))
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        what = f"an action whose fields have their types ({one_line(str(error))})"
        raise plugin_gave(where, call, action, what, owner) from error


def _plain_number(value: Any) -> int:
    """Converts a Duration, which is an int to Python and unknown to msgspec."""
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"{type(value).__name__} is not a number")
