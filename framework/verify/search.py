"""The search for an order that explains what was seen: is the history of one object linearizable?

Wing and Gong's search ("Testing and Verifying Concurrent Objects", 1993) in Lowe's just-in-time form ("Testing for
Linearizability", 2017): walk along the events, and only where an operation *ends* choose what takes effect, in
which order, until that operation has. A place that failed is remembered, so that no place is searched twice.

The rest is pruning, none of which loses an order that explains:

- An operation without effect takes place as soon as it is legal; no later place is better for what follows.
- Of pending operations of one kind, the one with the nearest deadline will do: exchanging them changes nothing.
- An operation of unknown fate takes place only right before one that it makes a difference to.
- What a read saw that had the object to itself holds for every order: there is nothing to go back to before it.
- With fewer unmet reads and more operations of unknown fate in hand, a place is at least as good.
- A state that is entered once may not be left while someone has still to see it, nor by another operation than
  the one that saw it last. A state that nobody can ever observe again may not be entered while someone has yet to
  observe something, unless an operation that leads out of it is still to come.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias

from framework.verify.model import ANY, ILLEGAL, UNOBSERVED, Model, State
from framework.verify.timeline import Timeline
from framework.verify.values import Mark
from framework.verify.verdict import Verdict

Numbers: TypeAlias = tuple[int, ...]
"""Pending operations, ascending: the nearest deadline first."""
Place: TypeAlias = tuple[int, State, Numbers, State]
Remainder: TypeAlias = tuple[Numbers, Numbers]

NO_STATE = Mark("NO_STATE")


class _Node:
    """A place at which to choose.

    `event`: the completion that is due. `state`: the object's. `pures`, `effects`: pending operations that must take
    place, without and with effect; `opens`: those of unknown fate. `met`: pure operations that found the object in
    `state`. `before`: the state ahead of an operation of unknown fate that has yet to make a difference, or NO_STATE.
    """

    __slots__ = ("before", "candidates", "effects", "event", "met", "opens", "pures", "state")

    def __init__(
        self,
        event: int,
        state: State,
        pures: Numbers,
        effects: Numbers,
        opens: Numbers,
        met: int,
        before: State,
    ) -> None:
        self.event, self.state, self.met, self.before = event, state, met, before
        self.pures, self.effects, self.opens = pures, effects, opens
        self.candidates: Iterator[int] | None = None


class Search:
    """One search, which can be taken up again; `steps` counts the operations tried so far."""

    def __init__(self, timeline: Timeline, model: Model) -> None:
        self.timeline = timeline
        self.model = model
        self.steps = 0
        self._calls = [(step.function, step.argument, step.result) for step in timeline.steps]
        self._pure = [step.pure for step in timeline.steps]
        self._alone = _alone(timeline, model)
        self._failed: dict[Place, list[Remainder]] = {}
        self._stack: list[_Node] = []
        self._furthest = 0
        start = _Node(0, timeline.outlook.canonical(model.initial), (), (), (), 0, NO_STATE)
        self._node: _Node | None = self._advance(start)

    def run(self, budget_steps: int) -> Verdict:
        """VALID if an order explains the history, INVALID if none does, UNKNOWN once `budget_steps` are spent.

        After UNKNOWN, a call with a larger budget goes on where this one stopped.
        """
        stack, node = self._stack, self._node
        while True:
            if self.steps > budget_steps:
                self._node = node
                return Verdict.UNKNOWN
            if node is not None:
                self._furthest = max(self._furthest, node.event)
                if node.event == len(self.timeline.events):
                    return Verdict.VALID
                if len(node.effects) + len(node.opens) < 2:
                    node = self._only(node)
                    continue
                if not self._has_failed(node):
                    node.candidates = self._candidates(node)
                    stack.append(node)
            if not stack:
                self._node = None
                return Verdict.INVALID
            node = self._next(stack)

    @property
    def explained(self) -> int:
        """How many completions, counted from the first, an order was found for."""
        return sum(event < 0 for event in self.timeline.events[: self._furthest])

    def _only(self, node: _Node) -> _Node | None:
        """The next place where there is one candidate at most: nothing to come back to."""
        for number in self._candidates(node):
            moved = self._take(node, number)
            return None if moved is None else self._advance(moved)
        return None

    def _next(self, stack: list[_Node]) -> _Node | None:
        """The next place to go from the top of the stack; None when its candidates are spent, and it leaves."""
        top = stack[-1]
        assert top.candidates is not None
        for number in top.candidates:
            moved = self._take(top, number)
            if moved is not None:
                return self._advance(moved)
        self._remember(stack.pop())
        return None

    def _advance(self, node: _Node) -> _Node:
        """Walks, in place, to the next completion of an operation that has not taken place, or to the end."""
        events, pure, answered = self.timeline.events, self._pure, self.timeline.answered
        event, pures, effects = node.event, node.pures, node.effects
        while event < len(events):
            number = events[event]
            if number < 0:
                number = -1 - number
                if (effects and effects[0] == number) or (pures and pures[0] == number):
                    break
            elif pure[number]:
                if self._waits(number, pures, effects) or not self._legal(node.state, number):
                    pures = _insert(pures, number)
                else:
                    node.met += 1
                    if self._alone[number]:
                        self._forget()
            elif number < answered:
                effects = _insert(effects, number)
            else:
                node.opens += (number,)
            event += 1
        node.event, node.pures, node.effects = event, pures, effects
        return node

    def _forget(self) -> None:
        """A read that had the object to itself was legal: whatever came before, this is the only place from here on."""
        self._stack.clear()
        self._failed.clear()

    def _candidates(self, node: _Node) -> Iterator[int]:
        """What could take effect next, by rank: of each kind what has the lowest, and what has the nearest deadline."""
        kinds, ranks = self.timeline.kinds, self.timeline.ranks
        nearest: dict[int, int] = {}
        lowest: dict[int, int] = {}
        for number in node.effects + node.opens:
            if not self._waits(number, node.pures, node.effects):
                kind = kinds[number]
                nearest.setdefault(kind, number)
                if ranks[number] < ranks[lowest.setdefault(kind, number)]:
                    lowest[kind] = number
        guessed = sorted(lowest.values(), key=ranks.__getitem__)
        return iter(guessed + [number for kind, number in nearest.items() if lowest[kind] != number])

    def _take(self, node: _Node, number: int) -> _Node | None:
        """The place after `number` took effect at `node`; None if it cannot, or is not worth it."""
        state = self._step(node.state, number)
        if state is ILLEGAL:
            return None
        unknown = number >= self.timeline.answered
        changes = state != node.state
        if unknown and not changes:
            return None
        if node.before is not NO_STATE and self._step(node.before, number) == state:
            return None
        if changes and self._leaves_too_early(node, number):
            return None
        effects, opens = node.effects, node.opens
        if unknown:
            opens = _without(opens, number)
        else:
            effects = _without(effects, number)
        met, pures = self._meet(state, node.pures, effects)
        if state is UNOBSERVED and self._lost(node.event, pures, effects, opens):
            return None
        before = node.state if unknown and not met else NO_STATE
        return _Node(node.event, state, pures, effects, opens, met if changes else node.met + met, before)

    def _meet(self, state: State, pures: Numbers, effects: Numbers) -> tuple[int, Numbers]:
        """How many of the pending pure operations find what they saw in `state`, and those that do not."""
        left = pures
        while True:
            unmet = tuple(
                number for number in left if self._waits(number, left, effects) or not self._legal(state, number)
            )
            if len(unmet) == len(left) or not self.timeline.after:
                return len(pures) - len(unmet), unmet
            left = unmet

    def _leaves_too_early(self, node: _Node, number: int) -> bool:
        state = node.state
        if node.met < self.timeline.readers.get(state, 0):
            return True
        leavers = self.timeline.leavers.get(state)
        return leavers is not None and leavers != [number]

    def _lost(self, event: int, pures: Numbers, effects: Numbers, opens: Numbers) -> bool:
        line = self.timeline
        demand = line.last_demand > event or any(line.demanding[number] for number in pures + effects)
        if not demand or line.last_rescue > event:
            return False
        return not any(line.rescuing[number] for number in effects + opens)

    def _waits(self, number: int, pures: Numbers, effects: Numbers) -> bool:
        """Whether an operation that precedes `number` within its process is still pending."""
        earlier = self.timeline.after.get(number)
        return earlier is not None and any(other in pures or other in effects for other in earlier)

    def _legal(self, state: State, number: int) -> bool:
        self.steps += 1
        return self.model.step(state, *self._calls[number]) is not ILLEGAL

    def _step(self, state: State, number: int) -> State:
        self.steps += 1
        after = self.model.step(state, *self._calls[number])
        return after if after is ILLEGAL else self.timeline.outlook.canonical(after)

    def _has_failed(self, node: _Node) -> bool:
        failures = self._failed.get((node.event, node.state, node.effects, node.before))
        if failures is None:
            return False
        return any(set(pures).issubset(node.pures) and set(opens).issuperset(node.opens) for pures, opens in failures)

    def _remember(self, node: _Node) -> None:
        place = (node.event, node.state, node.effects, node.before)
        self._failed.setdefault(place, []).append((node.pures, node.opens))


def _alone(timeline: Timeline, model: Model) -> list[bool]:
    """Which operations tell the state at a moment at which no other is under way, nor of unknown fate."""
    alone = [False] * len(timeline.steps)
    under_way = 0
    for event, following in pairwise(timeline.events):
        if event >= 0 and following == -1 - event and not under_way:
            step = timeline.steps[event]
            alone[event] = step.pure and model.needs(step) is not ANY
        under_way += 1 if event >= 0 else -1
    return alone


def _insert(numbers: Numbers, number: int) -> Numbers:
    if not numbers or number > numbers[-1]:
        return (*numbers, number)
    return tuple(sorted((*numbers, number)))


def _without(numbers: Numbers, number: int) -> Numbers:
    place = numbers.index(number)
    return numbers[:place] + numbers[place + 1 :]
