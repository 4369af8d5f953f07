"""The search for an order that explains the history of one object: decides whether it is linearizable.

Wing and Gong's search ("Testing and Verifying Concurrent Objects", 1993) in Lowe's just-in-time form ("Testing for
Linearizability", 2017): it walks along the events, and only where an operation *ends* it chooses the operations that
take effect, in order, until that operation has. It remembers failed places, so that no place is searched twice.

The rest is pruning that never loses an order that explains the history:

- An operation without effect takes place as soon as it is legal; no later place is better for the rest.
- Of pending operations of one kind, only the one with the nearest deadline is tried: exchanging them changes nothing.
- An operation with unknown outcome takes place only right before an operation for which it makes a difference.
- The result of a read with no other operation under way holds for every order: no need to backtrack beyond it.
- A place with fewer unmet reads and more operations with unknown outcome in hand is at least as good.
- A state that is entered once may not be left while an operation has yet to see it, nor by another operation than the
  one that must leave it. A state that no operation can ever observe again may not be entered while an operation has
  yet to observe something, unless an operation that leads out of it is still to come.

Time and memory are limited by the work of the search, not by a clock, so that the same history gives the same result on
every machine. Steps with larger states weigh more. Half of the memory is for the places on the current path, without
which the search cannot continue, and half for failed places, all of which are dispensable.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from framework.checking.history.values import Mark
from framework.checking.linearizability.bounds import Deadline, Spent
from framework.checking.linearizability.failed_states import Failures
from framework.checking.linearizability.timeline import Timeline
from framework.checking.models.model import ANY, ILLEGAL, UNOBSERVED, State
from framework.checking.verdict import Verdict

Numbers: TypeAlias = tuple[int, ...]
"""Pending operations, ascending: the nearest deadline first."""
Trail: TypeAlias = "tuple[Trail, int] | None"
"""The operations that have taken place, the last first."""

NO_STATE = Mark("NO_STATE")
WEIGHT_WORDS = 256
"""The number of words of a state for which a step counts once more."""
NODE_BYTES = 500
"""The size of a place on the path, in addition to its state and its pending operations."""


class _Node:
    """A place with a choice.

    `event`: the next completion. `state`: the object's state. `pures`, `effects`: pending operations that must take
    place, without and with effect; `opens`: pending operations with unknown outcome. `met`: the number of pure
    operations that found the object in `state`. `before`: the state before an operation with unknown outcome that has
    yet to make a difference, or NO_STATE.
    """

    __slots__ = ("before", "bytes", "candidates", "effects", "event", "met", "opens", "pures", "state", "trail")

    def __init__(
        self,
        event: int,
        state: State,
        pures: Numbers,
        effects: Numbers,
        opens: int,
        met: int,
        before: State,
        trail: Trail,
    ) -> None:
        self.event, self.state, self.met, self.before, self.trail = event, state, met, before, trail
        self.pures, self.effects, self.opens = pures, effects, opens
        self.candidates: Iterator[int] = iter(())
        self.bytes = 0


class Search:
    """One search, which can be continued. `steps` is the work done so far, in operations tried.

    `memory_bytes` limits its estimated memory. `traced`: it keeps the order that it finds, in `order`.
    """

    def __init__(self, timeline: Timeline, memory_bytes: int = 1 << 62, *, traced: bool = False) -> None:
        self.timeline = timeline
        self.steps = 0
        self.spent: Spent | None = None
        self._traced = traced
        self._calls = [(step.function, step.argument, step.result) for step in timeline.steps]
        self._pure = [step.pure for step in timeline.steps]
        self._needs = [timeline.object.needs(step) if step.pure else ANY for step in timeline.steps]
        self._failed = Failures(memory_bytes // 2)
        self._path: list[_Node] = []
        self._path_bytes, self._path_limit = 0, memory_bytes // 2
        self._furthest = 0
        initial = timeline.object.initial
        canonical = timeline.outlook.canonical
        start = _Node(0, canonical(initial) if canonical is not None else initial, (), (), 0, 0, NO_STATE, None)
        self._node: _Node | None = self._advance(start)

    def allow(self, memory_bytes: int) -> None:
        """Sets the memory limit to `memory_bytes`."""
        self._path_limit = memory_bytes // 2
        self._failed.allow(memory_bytes // 2)

    def run(self, budget_steps: int, deadline: Deadline | None = None) -> Verdict:
        """Returns VALID if an order explains the history, INVALID if none does, UNKNOWN once a resource is `spent`.

        After UNKNOWN for lack of steps, a call with a larger budget continues where this one stopped.
        """
        path, node, failed, end = self._path, self._node, self._failed, len(self.timeline.events)
        what = self.timeline.object
        while True:
            late = deadline is not None and deadline.has_passed()
            if self.steps > budget_steps or self._path_bytes + what.kept_bytes > self._path_limit or late:
                self.spent = Spent.STEPS if self.steps > budget_steps else Spent.TIME if late else Spent.MEMORY
                self._node = node
                return Verdict.UNKNOWN
            if node is not None:
                if node.event > self._furthest:
                    self._furthest = node.event
                if node.event == end:
                    self._node = node
                    return Verdict.VALID
                candidates = self._candidates(node)
                if len(candidates) < 2:
                    node = self._only(node, candidates)
                    continue
                self.steps += failed.looked >> 3
                failed.looked = 0
                if not failed.covers((node.event, node.state, node.effects, node.before), node.pures, node.opens):
                    node.candidates = iter(candidates)
                    node.bytes = self._bytes(node)
                    self._path_bytes += node.bytes
                    path.append(node)
            if not path:
                self._node = None
                return Verdict.INVALID
            node = self._next(path)

    @property
    def explained(self) -> int:
        """The number of completions, counted from the first, for which an order was found."""
        return sum(event < 0 for event in self.timeline.events[: self._furthest])

    @property
    def bytes(self) -> int:
        """An estimate of the memory in use."""
        return self._path_bytes + self._failed.bytes + self.timeline.object.kept_bytes

    @property
    def order(self) -> list[int]:
        """The order found: the operations by their indices in the list that was laid out."""
        assert self._traced and self._node is not None, "only of a search that was traced, and found one"
        numbers = []
        trail = self._node.trail
        while trail is not None:
            trail, number = trail
            numbers.append(self.timeline.places[number])
        return numbers[::-1]

    def forget(self) -> None:
        """Drops the failed places; the search may come to them again."""
        self._failed.clear()

    def _only(self, node: _Node, candidates: list[int]) -> _Node | None:
        """Returns the next place for at most one candidate: there is no choice to backtrack to."""
        moved = self._take(node, candidates[0]) if candidates else None
        return None if moved is None else self._advance(moved)

    def _next(self, path: list[_Node]) -> _Node | None:
        """Returns the next place from the end of the path; None, removing the end, once its candidates are spent."""
        last = path[-1]
        for number in last.candidates:
            moved = self._take(last, number)
            if moved is not None:
                return self._advance(moved)
        path.pop()
        self._path_bytes -= last.bytes
        self._failed.add((last.event, last.state, last.effects, last.before), last.pures, last.opens, last.bytes)
        return None

    def _bytes(self, node: _Node) -> int:
        size = self.timeline.outlook.size
        words = len(node.pures) + len(node.effects) + (node.opens.bit_length() >> 6)
        return NODE_BYTES + 8 * (words if size is None else words + size(node.state))

    def _advance(self, node: _Node) -> _Node:
        """Moves `node`, in place, to the next completion of an operation that has not taken place, or to the end."""
        events, pure, answered = self.timeline.events, self._pure, self.timeline.answered
        event, pures, effects, end = node.event, node.pures, node.effects, len(events)
        while event < end:
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
                    if self._traced:
                        node.trail = (node.trail, number)
                    if self.timeline.alone[number]:
                        self._restart()
            elif number < answered:
                effects = _insert(effects, number)
            else:
                node.opens |= 1 << (number - answered)
            event += 1
        node.event, node.pures, node.effects = event, pures, effects
        return node

    def _restart(self) -> None:
        """Discards all other places after a legal read with no other operation under way: every order leads here."""
        self._path.clear()
        self._path_bytes = 0
        self._failed.clear()

    def _candidates(self, node: _Node) -> list[int]:
        """Returns candidates to take effect next, by rank: of each kind the lowest rank and the nearest deadline."""
        effects = node.effects
        useful = self._useful(node) if node.opens else 0
        if len(effects) < 2 and not useful:
            return [number for number in effects if not self._waits(number, node.pures, effects)]
        kinds, ranks, after = self.timeline.kinds, self.timeline.ranks, self.timeline.after
        nearest: dict[int, int] = {}
        lowest: dict[int, int] = {}
        pending: Iterator[int] | Numbers = effects
        if useful:
            pending = (*effects, *self._numbers(useful))
        for number in pending:
            if number in after and self._waits(number, node.pures, effects):
                continue
            kind = kinds[number]
            if kind not in nearest:
                nearest[kind] = lowest[kind] = number
            elif ranks[number] < ranks[lowest[kind]]:
                lowest[kind] = number
        guessed = sorted(lowest.values(), key=ranks.__getitem__)
        return guessed + [number for kind, number in nearest.items() if lowest[kind] != number]

    def _useful(self, node: _Node) -> int:
        """Returns the operations with unknown outcome that may make a difference to another pending one."""
        line, state = self.timeline, node.state
        senses, evades, targets = line.senses, line.evades, line.targets
        useful = line.versatile
        for pending in (node.effects, node.pures):
            for number in pending:
                sensed = senses[number]
                if sensed is None or (evades[number] and state in sensed):
                    return node.opens
                for aim in sensed:
                    if aim in targets:
                        useful |= targets[aim]
        return useful & node.opens

    def _numbers(self, opens: int) -> Iterator[int]:
        """Yields the operations in a set of operations with unknown outcome, ascending."""
        base = self.timeline.answered
        while opens:
            lowest = opens & -opens
            yield base + lowest.bit_length() - 1
            opens ^= lowest

    def _take(self, node: _Node, number: int) -> _Node | None:
        """Returns the place after `number` took effect at `node`; None if that is impossible or pruned."""
        state = self._step(node.state, number)
        if state is ILLEGAL:
            return None
        answered = self.timeline.answered
        unknown = number >= answered
        changes = state != node.state
        if unknown and not changes:
            return None
        if node.before is not NO_STATE and self._step(node.before, number) == state:
            return None
        if changes and self._leaves_too_early(node, number):
            return None
        effects, opens = node.effects, node.opens
        if unknown:
            opens ^= 1 << (number - answered)
        else:
            effects = _without(effects, number)
        trail: Trail = (node.trail, number) if self._traced else None
        met, pures = 0, node.pures
        if pures:
            pures = self._unmet(state, pures, effects)
            met = len(node.pures) - len(pures)
            if met and self._traced:
                for other in node.pures:
                    if other not in pures:
                        trail = (trail, other)
        if state is UNOBSERVED and self._lost(node.event, pures, effects, opens):
            return None
        before = node.state if unknown and not met else NO_STATE
        return _Node(node.event, state, pures, effects, opens, met if changes else node.met + met, before, trail)

    def _unmet(self, state: State, pures: Numbers, effects: Numbers) -> Numbers:
        """Returns the pending pure operations whose result does not fit `state`."""
        needs = self._needs
        if not self.timeline.after:
            self.steps += len(pures)
            return tuple(
                [it for it in pures if needs[it] != state and (needs[it] is not ANY or not self._legal(state, it))]
            )
        left = pures
        while True:
            unmet = tuple(
                number for number in left if self._waits(number, left, effects) or not self._legal(state, number)
            )
            if len(unmet) == len(left):
                return unmet
            left = unmet

    def _leaves_too_early(self, node: _Node, number: int) -> bool:
        state = node.state
        if node.met < self.timeline.readers.get(state, 0):
            return True
        leavers = self.timeline.leavers.get(state)
        return leavers is not None and leavers != [number]

    def _lost(self, event: int, pures: Numbers, effects: Numbers, opens: int) -> bool:
        line = self.timeline
        demand = line.last_demand > event or any(line.demanding[number] for number in pures + effects)
        if not demand or line.last_rescue > event:
            return False
        return not (opens & line.rescuers or any(line.rescuing[number] for number in effects))

    def _waits(self, number: int, pures: Numbers, effects: Numbers) -> bool:
        """Returns whether an operation that precedes `number` within its process is still pending."""
        earlier = self.timeline.after.get(number)
        return earlier is not None and any(other in pures or other in effects for other in earlier)

    def _legal(self, state: State, number: int) -> bool:
        self.steps += 1
        return self.timeline.object.step(state, *self._calls[number]) is not ILLEGAL

    def _step(self, state: State, number: int) -> State:
        outlook = self.timeline.outlook
        after = self.timeline.object.step(state, *self._calls[number])
        self.steps += 1
        if after is ILLEGAL:
            return after
        if outlook.canonical is not None:
            after = outlook.canonical(after)
        if outlook.size is not None:
            self.steps += outlook.size(after) // WEIGHT_WORDS
        return after


def _insert(numbers: Numbers, number: int) -> Numbers:
    if not numbers or number > numbers[-1]:
        return (*numbers, number)
    return tuple(sorted((*numbers, number)))


def _without(numbers: Numbers, number: int) -> Numbers:
    place = numbers.index(number)
    return numbers[:place] + numbers[place + 1 :]
