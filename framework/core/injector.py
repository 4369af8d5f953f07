"""Faults in time: when each strikes, when it is undone, the final heal, and the ledger of what really happened.

No clock and no I/O: an engine asks when `next_at` has come, and carries out the actions.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Mapping, Sequence

from framework.core.faults import Action, Disturb, Entry, Fault, Planned, Restart, Status, Strike, View
from framework.core.message import NodeId
from framework.core.time import MILLISECOND, NEVER, format_duration

RETRY = 20 * MILLISECOND
"""How soon a fault that found nobody to strike looks again."""

DETAILS = 20
"""Strikes that the ledger describes one by one; more are only counted."""


class Injector:
    """The faults of one run.

    `faults` are `(name, fault)`; nothing strikes at or after `quiet_at`, when everything is healed. `do` carries out
    an action and says whether it took effect. `stream(name)` gives a fault's own random stream.
    """

    def __init__(
        self,
        faults: Sequence[tuple[str, Fault]],
        clients: Sequence[NodeId],
        *,
        quiet_at: int,
        stream: Callable[[str], random.Random],
        do: Callable[[Action], bool],
    ) -> None:
        self.entries: dict[str, Entry] = {}
        self.tokens: dict[int, tuple[Entry, Fault, Strike]] = {}  # whose disturbance a token is
        self._quiet_at, self._do, self._clients = quiet_at, do, tuple(clients)
        self._order = itertools.count()
        self._fresh = itertools.count(1)
        self._rngs: dict[str, random.Random] = {}
        self._strikes: list[tuple[int, int, Planned, int]] = []  # (time, order, what, when it was due)
        self._undoes: list[tuple[int, int, tuple[Action, ...]]] = []
        self.healed_at: int | None = None
        for name, fault in faults:
            self._rngs[name] = stream(name)
            for planned in fault.plan(name, quiet_at, self._rngs[name]):
                self._expect(planned)

    @property
    def next_at(self) -> int:
        """When there is something to do; NEVER if all is done."""
        heads = [queue[0][0] for queue in (self._strikes, self._undoes) if queue]
        if self.healed_at is None and self.entries:
            heads.append(self._quiet_at)
        return min(heads, default=NEVER)

    def due(
        self, now: int, look: Callable[[], tuple[Mapping[NodeId, Status | None], frozenset[NodeId], frozenset[NodeId]]]
    ) -> None:
        """Does all that is due. `look` gives the servers' statuses (None: down), those that stand still, and those lost."""
        while self._undoes and self._undoes[0][0] <= now:
            for action in heapq.heappop(self._undoes)[2]:
                self._do(action)
        while self._strikes and self._strikes[0][0] <= now and self.healed_at is None and now < self._quiet_at:
            _, _, planned, due = heapq.heappop(self._strikes)
            statuses, stopped, lost = look()
            self._strike(
                planned,
                due,
                View(
                    now,
                    statuses,
                    self._clients,
                    self._rngs[planned.name.partition("/")[0]],
                    lambda: next(self._fresh),
                    stopped,
                    lost,
                ),
            )
        if now >= self._quiet_at and self.healed_at is None and self.entries:
            self.heal(now, look)

    def heal(
        self, now: int, look: Callable[[], tuple[Mapping[NodeId, Status | None], frozenset[NodeId], frozenset[NodeId]]]
    ) -> None:
        """Undoes all that is in force and restarts whoever is down and can be restarted."""
        self.healed_at = now
        self._strikes.clear()
        while self._undoes:
            for action in heapq.heappop(self._undoes)[2]:
                self._do(action)
        statuses, _, lost = look()
        for node, status in statuses.items():
            if status is None and node not in lost:
                self._do(Restart(node))

    def count_tolls(self, tolls: Mapping[int, tuple[int, int]]) -> None:
        """Enters how many messages (came by, were touched) by token; called once, at the end."""
        for token, (passed, touched) in tolls.items():
            entry, fault, strike = self.tokens[token]
            entry.passed += passed
            entry.touched += touched
            expected = fault.expected(strike, passed)
            if expected is not None:
                entry.expected = (entry.expected or 0.0) + expected

    def _expect(self, planned: Planned) -> None:
        if planned.at < self._quiet_at:
            self.entries.setdefault(planned.name, Entry(planned.name)).due += 1
            heapq.heappush(self._strikes, (planned.at, next(self._order), planned, planned.at))

    def _strike(self, planned: Planned, due: int, view: View) -> None:
        entry = self.entries[planned.name]
        strike = planned.fault.strike(view)
        took = [self._do(action) for action in strike.does] if strike is not None else []
        if strike is None or not any(took):
            if view.now + RETRY < min(self._quiet_at, due + max(planned.lasts, RETRY * 50)):
                heapq.heappush(self._strikes, (view.now + RETRY, next(self._order), planned, due))
            return
        self._enter(entry, planned, strike, view)
        ends = view.now + planned.lasts if planned.lasts else NEVER
        if strike.undoes:
            heapq.heappush(self._undoes, (ends, next(self._order), strike.undoes))
        for following in planned.then:
            at = following.at + (view.now + planned.lasts)
            self._expect(Planned(at, following.fault, following.name, following.lasts, following.then))

    def _enter(self, entry: Entry, planned: Planned, strike: Strike, view: View) -> None:
        entry.fired += 1
        for action in strike.does:
            if isinstance(action, Disturb):
                self.tokens[action.token] = (entry, planned.fault, strike)
        for node in strike.against:
            status = view.statuses.get(node) or {}
            entry.against[node] = entry.against.get(node, 0) + 1
            for counts, name in ((entry.roles, "role"), (entry.phases, "phase")):
                if status.get(name) is not None:
                    counts[str(status[name])] = counts.get(str(status[name]), 0) + 1
        if len(entry.details) < DETAILS:
            shown = strike.detail or " ".join(strike.against)
            entry.details.append(f"{format_duration(view.now // MILLISECOND * MILLISECOND)}: {shown}".rstrip(": "))
