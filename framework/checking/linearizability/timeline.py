"""The operations of one object, laid out for the search: their begins and ends, and what can still matter.

Operations are numbered by their deadlines: the k-th completion of the object is that of operation k. Operations with
unknown outcome have no deadline and come last, in the order of their invocations.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from framework.checking.history.calls import Call
from framework.checking.models.model import (
    ANY,
    ILLEGAL,
    UNOBSERVED,
    Entry,
    Model,
    ModelStep,
    Outlook,
    State,
    Transitions,
)


class Timeline(msgspec.Struct, frozen=True):
    """One object's operations, each with a number, and its events in order.

    `events` holds k where operation k begins and -1 - k where it ends; at equal times beginnings come first, so that
    the operations are concurrent. `after[k]` are the operations of the same process that end at the instant at which k
    begins. Operations of one kind (`kinds`) change every state alike, and observe the same. Sets of operations with
    unknown outcome are integers with a bit for each, the lowest for the first.
    """

    places: list[int]
    """The index of each operation in the list that was laid out."""
    steps: list[ModelStep]
    """The operations in terms of `object`."""
    object: Transitions
    answered: int
    """Operations below this number have a deadline."""
    events: list[int]
    after: dict[int, tuple[int, ...]]
    kinds: list[int]
    outlook: Outlook
    readers: dict[State, int]
    """For states that are entered once: the number of pure operations that must find the object in the state."""
    leavers: dict[State, list[int]]
    """For states that are entered once: the operations that must change the state."""
    demanding: list[bool]
    """Operations that must take effect, and cannot in the state UNOBSERVED."""
    rescuing: list[bool]
    """Operations that lead out of the state UNOBSERVED."""
    rescuers: int
    """The operations of `rescuing` with unknown outcome."""
    alone: list[bool]
    """Operations that reveal the state while no other is under way, and none with unknown outcome has begun."""
    senses: list[frozenset[State] | None]
    """For each operation the states in which it may act differently than in all others; None: any state."""
    evades: list[bool]
    """Operations for which it may matter that the object has *left* a state that they sense."""
    targets: dict[State, int]
    """The operations with unknown outcome that make a state."""
    versatile: int
    """Operations with unknown outcome that may make any state, or a state that matters to another of them."""
    ranks: list[int]
    """Operations with a lower rank are tried first."""
    last_demand: int
    last_rescue: int
    """The last events at which demanding and rescuing operations begin; -1 for none."""


def entries(calls: Sequence[Call], model: Model) -> list[Entry]:
    """Returns the calls that may have happened, in order. Raises ConfigError if the model does not know one.

    Failed calls are left out, and so are calls without effect whose result is unknown.
    """
    possible = [(call, model.prepare(call)) for call in calls if call.outcome != "fail"]
    return [entry for entry in possible if entry[0].known or entry[1].function not in model.observes]


def lay_out(operations: Sequence[Entry], model: Model, ranks: Sequence[int] | None = None) -> Timeline:
    """Builds the timeline of one object's operations, to be tried by `ranks`, else by deadlines."""
    every = range(len(operations))
    known = sorted((place for place in every if operations[place][0].known), key=lambda it: _deadline(operations[it]))
    others = sorted((it for it in every if not operations[it][0].known), key=lambda it: _beginning(operations[it]))
    places, answered = known + others, len(known)
    calls = [operations[place][0] for place in places]
    written = [operations[place][1] for place in places]
    what, steps = model.coded(written)
    begins = [(call.invoked, 0, number) for number, call in enumerate(calls)]
    ends = [(_end(call), 1, -1 - number) for number, call in enumerate(calls[:answered])]
    events = [event for _, _, event in sorted(begins + ends, key=_time)]
    after = _same_instant(calls, answered)
    outlook = what.outlook(steps)
    readers, leavers = _must_be_met(steps[:answered], what, outlook)
    demanding = rescuing = [False] * len(steps)
    if outlook.canonical is not None:
        unseen = [what.step(UNOBSERVED, step.function, step.argument, step.result) for step in steps]
        demanding = [number < answered and state is ILLEGAL for number, state in enumerate(unseen)]
        rescuing = [state is not ILLEGAL and outlook.canonical(state) is not UNOBSERVED for state in unseen]
    begun = [(place, event) for place, event in enumerate(events) if event >= 0]
    kinds = _kinds(steps, outlook, {number for earlier in after.values() for number in earlier})
    senses = [what.senses(step) for step in steps]
    targets, versatile = _aims(steps[answered:], senses[answered:], what, outlook)
    return Timeline(
        places=places,
        steps=steps,
        object=what,
        answered=answered,
        events=events,
        after=after,
        kinds=kinds,
        outlook=outlook,
        readers=readers,
        leavers=leavers,
        demanding=demanding,
        rescuing=rescuing,
        rescuers=bits([number - answered for number in range(answered, len(steps)) if rescuing[number]]),
        alone=_alone(events, [step.pure and model.needs(step) is not ANY for step in written]),
        senses=senses,
        evades=[what.needs(step) is ANY for step in steps],
        targets=targets,
        versatile=versatile,
        ranks=list(every) if ranks is None else _by_kind([ranks[place] for place in places], kinds, answered),
        last_demand=max((place for place, number in begun if demanding[number]), default=-1),
        last_rescue=max((place for place, number in begun if rescuing[number]), default=-1),
    )


def _by_kind(ranks: list[int], kinds: list[int], answered: int) -> list[int]:
    """Sorts the ranks of operations with unknown outcome within each kind, where they are interchangeable."""
    alike: dict[int, list[int]] = {}
    for number in range(answered, len(ranks)):
        alike.setdefault(kinds[number], []).append(number)
    for numbers in alike.values():
        for number, rank in zip(numbers, sorted(ranks[number] for number in numbers), strict=True):
            ranks[number] = rank
    return ranks


def _alone(events: list[int], telling: list[bool]) -> list[bool]:
    alone = [False] * len(telling)
    under_way = 0
    for event, following in pairwise(events):
        if event >= 0 and following == -1 - event and not under_way:
            alone[event] = telling[event]
        under_way += 1 if event >= 0 else -1
    return alone


def _aims(
    steps: list[ModelStep], senses: list[frozenset[State] | None], what: Transitions, outlook: Outlook
) -> tuple[dict[State, int], int]:
    """Returns `targets` and `versatile` of the operations with unknown outcome."""
    if any(its is None for its in senses):
        return {}, (1 << len(steps)) - 1
    sensed = frozenset[State]().union(*(its for its in senses if its is not None))
    targets: dict[State, list[int]] = {}
    versatile: list[int] = []
    for place, step in enumerate(steps):
        made = what.makes(step)
        if made is not ANY:
            made = outlook.canonical(made) if outlook.canonical is not None else made
            targets.setdefault(made, []).append(place)
        if made is ANY or made in sensed:
            versatile.append(place)
    return {state: bits(its) for state, its in targets.items()}, bits(versatile)


def bits(numbers: Sequence[int]) -> int:
    """Returns the integer in which these bits are set."""
    mask = bytearray(max(numbers, default=0) // 8 + 1)
    for number in numbers:
        mask[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(mask, "little")


def _end(call: Call) -> int:
    assert call.completed is not None, "an answered call has completed"
    return call.completed


def _deadline(entry: Entry) -> tuple[int, int, int]:
    return _end(entry[0]), entry[0].invoked, entry[0].operation


def _beginning(entry: Entry) -> tuple[int, int]:
    return entry[0].invoked, entry[0].operation


def _time(event: tuple[int, int, int]) -> tuple[int, int]:
    return event[:2]


def _same_instant(calls: list[Call], answered: int) -> dict[int, tuple[int, ...]]:
    ended: dict[tuple[str, int, int], list[int]] = {}
    for number, call in enumerate(calls[:answered]):
        ended.setdefault((call.client, call.process, _end(call)), []).append(number)
    after: dict[int, tuple[int, ...]] = {}
    for number, call in enumerate(calls):
        earlier = ended.get((call.client, call.process, call.invoked), ())
        # A call that begins and ends at one instant follows the calls numbered before it.
        before = tuple(other for other in earlier if other < number)
        if before:
            after[number] = before
    return after


def _kinds(steps: list[ModelStep], outlook: Outlook, precedes: set[int]) -> list[int]:
    """Returns the kind of each operation.

    Operations of one kind are interchangeable; an operation for which another waits has its own kind.
    """
    known: dict[tuple[object, ...], int] = {}
    kinds = []
    for number, step in enumerate(steps):
        written = step.argument
        if step.function == "write" and outlook.canonical is not None:
            written = outlook.canonical(written)
        name: tuple[object, ...] = (step.function, written, step.result)
        kinds.append(known.setdefault((number,) if number in precedes else name, len(known)))
    return kinds


def _must_be_met(
    steps: list[ModelStep], what: Transitions, outlook: Outlook
) -> tuple[dict[State, int], dict[State, list[int]]]:
    readers: dict[State, int] = {}
    leavers: dict[State, list[int]] = {}
    for number, step in enumerate(steps):
        state = what.needs(step)
        if state is ANY or not outlook.once(state):
            continue
        if step.pure:
            readers[state] = readers.get(state, 0) + 1
        else:
            leavers.setdefault(state, []).append(number)
    return readers, leavers
