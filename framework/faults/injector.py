"""Faults in time: when each strikes, when it is undone, the final heal, and the ledger of what really happened.

No clock and no I/O: an engine asks when `next_at` has come, and carries out the actions.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from framework.core.errors import PluginFailed
from framework.core.message import NodeId
from framework.core.time import MILLISECOND, NEVER, format_duration
from framework.core.tracebacks import blaming, plugin_gave
from framework.faults.actions import Action, Ask, Calm, Crash, Disturb, Pause, Restart, Resume, SetClock, SetDisk
from framework.faults.fault import Fault, Joining, Planned, Status, Strike, View, is_role
from framework.faults.ledger import LedgerEntry

RETRY = 20 * MILLISECOND
"""How soon a fault that found nobody to strike looks again."""

PATIENCE = 1_000 * MILLISECOND
"""How long it does so, or as long as it would have lasted if that is longer."""

DETAILS = 20
"""Strikes that the ledger describes one by one; more are only counted."""


@dataclass(frozen=True)
class Sight:
    """What an engine sees of its servers: their statuses (None: down), those that stand still, those that no restart
    brings back, and the spares that have never run, which have no status."""

    statuses: Mapping[NodeId, Status | None]
    stopped: frozenset[NodeId] = frozenset()
    lost: frozenset[NodeId] = frozenset()
    spares: tuple[NodeId, ...] = ()


Look: TypeAlias = Callable[[], Sight]

_ASPECT: dict[type, str] = {
    Crash: "life",
    Restart: "life",
    Pause: "motion",
    Resume: "motion",
    SetClock: "clock",
    SetDisk: "disk",
}
"""What of a node an action changes: of two faults that change the same, the later one's end is the end."""


@dataclass
class _Lasting:
    """A disturbance in force: its entry, the number of its line in the details (None: it has none), the nodes taken
    in."""

    entry: LedgerEntry
    detail: int | None
    joins: Joining
    joined: set[NodeId] = field(default_factory=set)


class Injector:
    """The faults of one run.

    `faults` are `(name, fault)`; nothing strikes at or after `quiet_at`, when everything is healed. `do` carries out an
    action and says whether it took effect. `stream(name)` gives a fault's own random stream. `watches_disks`: the
    engine calls `on_disk_fault_met` for each commit or restart that meets a disk in trouble, so that those which none
    meets stand out.
    """

    def __init__(
        self,
        faults: Sequence[tuple[str, Fault]],
        clients: Sequence[NodeId],
        *,
        quiet_at: int,
        stream: Callable[[str], random.Random],
        do: Callable[[Action], bool],
        watches_disks: bool = False,
    ) -> None:
        self.entries: dict[str, LedgerEntry] = {}
        self.tokens: dict[int, tuple[LedgerEntry, Fault, Strike]] = {}  # whose disturbance a token is
        self.healed_at: int | None = None
        self._quiet_at, self._do, self._clients, self._stream = quiet_at, do, tuple(clients), stream
        self._watches_disks = watches_disks
        self._order = itertools.count()
        self._fresh = itertools.count(1)
        self._rngs: dict[str, random.Random] = {}
        self._strikes: list[tuple[int, int, Planned, int]] = []  # (time, order, what, when it was due)
        self._undoes: list[tuple[int, int, tuple[Action, ...]]] = []  # by the order of the strike that they undo
        self._holders: dict[tuple[NodeId, str], tuple[int, Action]] = {}  # whose strike has an aspect of a node
        self._disks: dict[NodeId, LedgerEntry] = {}  # who troubled a node's disk last
        self._administration: dict[int, tuple[LedgerEntry, Ask]] = {}  # by token
        self._remarks: list[str] = []
        self._crashes: dict[NodeId, tuple[LedgerEntry, int]] = {}  # by node, the detail that tells of its last crash
        self._doubtful: list[
            tuple[int, Planned, LedgerEntry]
        ] = []  # which strike again when they end, if nothing met them
        self._lasting: dict[int, _Lasting] = {}  # by token: disturbances in force that extend to nodes that join
        self._emulated = False
        for name, fault in faults:
            self._rngs[name] = stream(name)
            with blaming(f"faults={name}", "plan", type(fault)):
                for planned in fault.plan(name, quiet_at, self._rngs[name]):
                    self._expect(planned)

    @property
    def next_at(self) -> int:
        """When there is something to do; NEVER if all is done."""
        heads = [queue[0][0] for queue in (self._strikes, self._undoes) if queue]
        if self.healed_at is None and self.entries:
            heads.append(self._quiet_at)
        return min(heads, default=NEVER)

    def due(self, now: int, look: Look) -> None:
        """Does all that is due: what ends goes before what begins."""
        while self._undoes and self._undoes[0][0] <= now:
            self._undo()
        self._strike_again(now)
        while self._strikes and self._strikes[0][0] <= now and self.healed_at is None and now < self._quiet_at:
            _, order, planned, due = heapq.heappop(self._strikes)
            sight, fresh = look(), lambda: next(self._fresh)
            rng = self._rngs[planned.name.partition("/")[0]]
            view = View(now, sight.statuses, self._clients, rng, fresh, sight.stopped, sight.lost, spares=sight.spares)
            self._strike(planned, order, due, view)
        if now >= self._quiet_at and self.healed_at is None and self.entries:
            self.heal(now, look)

    def heal(self, now: int, look: Look) -> None:
        """Undoes all that is in force and restarts whoever is down and can be restarted."""
        self.healed_at = now
        self._strikes.clear()
        while self._undoes:
            self._undo()
        sight = look()
        for node, status in sight.statuses.items():
            if status is None and node not in sight.lost:
                self._do(Restart(node))

    def on_disk_fault_met(self, node: NodeId) -> None:
        """A commit was delayed or refused, or a restart refused, because of the node's disk."""
        entry = self._disks.get(node)
        if entry is not None:
            entry.touched += 1

    def remark(self, text: str) -> None:
        """Something that the engine has to say of the strike under way, for the ledger."""
        self._remarks.append(text)

    def on_crash_outcome(self, node: NodeId, text: str) -> None:
        """What came of the last crash of `node`, of which the engine learned later, for the ledger."""
        if node in self._crashes:
            entry, detail = self._crashes[node]
            entry.details[detail] += f"; {text}"

    def emulates(self) -> None:
        """The engine does something else than the strike under way asks for, as near to it as it can: the ledger says
        so."""
        self._emulated = True

    def count_touched(self, touched_counts: Mapping[int, tuple[int, int]]) -> None:
        """Enters how many messages (came by, were touched) by token; called once, at the end."""
        for token, (passed, touched) in touched_counts.items():
            entry, fault, strike = self.tokens[token]
            entry.passed += passed
            entry.touched += touched
            try:
                with blaming(f"faults={entry.fault}", "expected", type(fault)):
                    expected = fault.expected(strike, passed)
            except PluginFailed as failed:  # the run is over, and stays what it was
                entry.failure = str(failed)
                continue
            if expected is not None:
                entry.expected = (entry.expected or 0.0) + expected

    def count_administered(self, administered: Mapping[int, str]) -> None:
        """Enters how administrative operations ended, by token: "" if it was done, else why not; called once, at the
        end."""
        for token, refused in administered.items():
            entry, ask = self._administration[token]
            if refused:
                entry.details.append(f"{ask.function} {ask.node} was refused: {refused}")
            else:
                entry.touched += 1

    def _expect(self, planned: Planned) -> None:
        self.entries.setdefault(planned.name, LedgerEntry(planned.name)).due += 1
        if planned.at < self._quiet_at:
            heapq.heappush(self._strikes, (planned.at, next(self._order), planned, planned.at))

    def _strike(self, planned: Planned, order: int, due: int, view: View) -> None:
        self._remarks.clear()
        self._emulated = False
        strike = _struck(planned, view)
        if strike is None or not self._carry_out(strike, order, view.spares):
            self._note_roles(planned, view)
            if view.now + RETRY < min(self._quiet_at, due + max(planned.lasts, PATIENCE)):
                heapq.heappush(self._strikes, (view.now + RETRY, next(self._order), planned, due))
            return
        entry = self.entries[planned.name]
        self._enter(entry, planned, strike, view)
        if planned.again and entry.meets == "commit":
            self._doubtful.append((view.now + planned.lasts, planned, entry))
        if strike.undoes:
            ends = view.now + planned.lasts if planned.lasts else NEVER
            heapq.heappush(self._undoes, (ends, order, strike.undoes))
        for following in planned.then:
            at = following.at + view.now + planned.lasts
            self._expect(Planned(at, following.fault, following.name, following.lasts, following.then))

    def _note_roles(self, planned: Planned, view: View) -> None:
        """Enters which roles there were when a fault found nobody in the one that it is aimed at."""
        entry, target = self.entries[planned.name], planned.fault.aimed_at
        if is_role(target, (*view.nodes, *view.spares)):
            reported = [str(status["role"]) for status in view.statuses.values() if status and status.get("role")]
            roles = [role for roles in reported for role in roles.split()]
            entry.sought = target
            entry.seen = list(dict.fromkeys((*entry.seen, *roles)))

    def _strike_again(self, now: int) -> None:
        """Disks in trouble that no commit has met are troubled once more."""
        for ended in [one for one in self._doubtful if one[0] <= now]:
            self._doubtful.remove(ended)
            _, planned, entry = ended
            if not entry.touched:
                heapq.heappush(self._strikes, (now, next(self._order), planned, now))

    def _carry_out(self, strike: Strike, order: int, spares: Sequence[NodeId]) -> bool:
        took = False
        for action in strike.does:
            if isinstance(action, Restart) and action.node in spares:
                self._take_in(action.node)
            if self._act(action):
                took = True
                if strike.undoes and not isinstance(action, Disturb | Calm | Ask):
                    self._holders[action.node, _ASPECT[type(action)]] = order, action
        return took

    def _take_in(self, node: NodeId) -> None:
        """Extends the disturbances in force to the links of a node that is about to boot for the first time."""
        for lasting in self._lasting.values():
            if node in lasting.joined:
                continue
            lasting.joined.add(node)
            strike = _joined(lasting, node, self._stream(f"{lasting.entry.fault}/{node}"))
            for action in strike.does:
                self._do(action)
            if lasting.detail is not None and strike.detail:
                lasting.entry.details[lasting.detail] += f"; {strike.detail}"

    def _undo(self) -> None:
        _, order, actions = heapq.heappop(self._undoes)
        for action in actions:
            self._undo_one(order, action)

    def _undo_one(self, order: int, action: Action) -> None:
        """Does `action`, unless a later strike has changed the same aspect of the node and is still in force."""
        if not isinstance(action, Disturb | Calm | Ask):
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
        """Has the engine carry out `action`; whether it took effect."""
        if isinstance(action, Calm):
            self._lasting.pop(action.token, None)
        return self._do(action)

    def _enter(self, entry: LedgerEntry, planned: Planned, strike: Strike, view: View) -> None:
        entry.fired += 1
        entry.emulated = entry.emulated or self._emulated
        for action in strike.does:
            if isinstance(action, Disturb):
                self.tokens[action.token] = (entry, planned.fault, strike)
                entry.meets = "message"
            elif isinstance(action, Ask):
                self._administration[action.token] = (entry, action)
                entry.meets = "answer"
            elif isinstance(action, SetDisk) and self._watches_disks:
                self._disks[action.node] = entry
                entry.meets = "commit"
        for node in strike.against:
            status = view.statuses.get(node) or {}
            entry.against[node] = entry.against.get(node, 0) + 1
            for counts, name in ((entry.roles, "role"), (entry.phases, "phase")):
                if status.get(name) is not None:
                    counts[str(status[name])] = counts.get(str(status[name]), 0) + 1
        crashed = [action.node for action in strike.does if isinstance(action, Crash)]
        for node in crashed:
            self._crashes.pop(node, None)
        told = len(entry.details) < DETAILS
        disturbs = [action for action in strike.does if isinstance(action, Disturb)]
        if strike.joins is not None and disturbs:
            detail = len(entry.details) if told else None
            self._lasting[disturbs[0].token] = _Lasting(entry, detail, strike.joins)
        if told:
            shown = "; ".join((strike.detail or " ".join(strike.against), *self._remarks))
            entry.details.append(f"{format_duration(view.now // MILLISECOND * MILLISECOND)}: {shown}".rstrip(": "))
            self._crashes.update((node, (entry, len(entry.details) - 1)) for node in crashed)


def _joined(lasting: _Lasting, node: NodeId, rng: random.Random) -> Strike:
    """What a disturbance in force does to the links of `node`. PluginFailed if that raises, or is anything else."""
    where, joins = f"faults={lasting.entry.fault}", lasting.joins
    with blaming(where, "joins", joins):
        strike = joins(node, rng)
    does = strike.does if isinstance(strike, Strike) else None
    if not isinstance(does, (tuple, list)) or not all(isinstance(action, Disturb) for action in does):
        raise plugin_gave(where, "joins", strike, "a Strike of disturbances", joins)
    return strike


def _struck(planned: Planned, view: View) -> Strike | None:
    """What the fault does now. PluginFailed if it raises, or gives anything else than actions on nodes that there
    are."""
    fault, where = planned.fault, f"faults={planned.name}"
    with blaming(where, "strike", type(fault)):
        strike = fault.strike(view)
    if strike is None:
        return None
    known = (*view.nodes, *view.spares)
    parts = (strike.does, strike.undoes, strike.against) if isinstance(strike, Strike) else ()
    if not (parts and all(isinstance(part, (tuple, list)) for part in parts)):
        raise plugin_gave(where, "strike", strike, "a Strike of tuples", type(fault).strike)
    for action in (*strike.does, *strike.undoes):
        if not isinstance(action, Action) or getattr(action, "node", known[0]) not in known:
            raise plugin_gave(where, "strike", action, "an action on one of the nodes", type(fault).strike)
    return strike
