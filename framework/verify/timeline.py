"""The operations of one object, laid out for the search: who begins and ends when, and what can still matter.

Operations are numbered by their deadlines: the k-th completion of the object is that of operation k, and the
operations of unknown fate, which have no deadline, come last in the order of their invocations.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from framework.verify.history import Call
from framework.verify.model import ANY, ILLEGAL, UNOBSERVED, Entry, Model, Outlook, State, Step


class Timeline(msgspec.Struct, frozen=True):
    """One object's operations, each a number, and its events in order.

    `events` holds k where operation k begins and -1 - k where it ends; of equal times the beginnings come first, so
    that they are concurrent. `after[k]` are the operations of the same process that end on the instant on which k
    begins. Operations of one `kind` change every state alike, and tell as much of it.
    """

    steps: list[Step]
    answered: int
    """Operations below this number have a deadline."""
    events: list[int]
    after: dict[int, tuple[int, ...]]
    kinds: list[int]
    outlook: Outlook
    readers: dict[State, int]
    """Of a state that is entered once: how many pure operations must find the object in it."""
    leavers: dict[State, list[int]]
    """Of a state that is entered once: the operations that must be what changes it."""
    demanding: list[bool]
    """Operations that must take effect, and cannot in the state UNOBSERVED."""
    rescuing: list[bool]
    """Operations that lead out of the state UNOBSERVED."""
    ranks: list[int]
    """Operations of a lower rank are tried first."""
    last_demand: int
    last_rescue: int
    """The last events on which such operations begin, -1 for none."""


def entries(calls: Sequence[Call], model: Model) -> list[Entry]:
    """The calls that may have happened, in a fixed order. ConfigError if the model does not know one.

    Failed calls are left out, and so are calls without effect whose result nobody saw.
    """
    possible = [(call, model.prepare(call)) for call in calls if call.outcome != "fail"]
    return [entry for entry in possible if entry[0].known or entry[1].function not in model.observes]


def lay_out(operations: Sequence[Entry], model: Model, ranks: Sequence[int] | None = None) -> Timeline:
    """The timeline of one object's operations, to be tried by their `ranks`, else by their deadlines."""
    places = range(len(operations))
    answered = sorted(
        (place for place in places if operations[place][0].known), key=lambda it: _deadline(operations[it])
    )
    unanswered = sorted((it for it in places if not operations[it][0].known), key=lambda it: _beginning(operations[it]))
    order = answered + unanswered
    numbered = [operations[place] for place in order]
    calls = [call for call, _ in numbered]
    steps = [step for _, step in numbered]
    begins = sorted((call.invoked, 0, number) for number, call in enumerate(calls))
    ends = [(_end(call), 1, -1 - number) for number, call in enumerate(calls[: len(answered)])]
    events = [event for _, _, event in sorted(begins + ends, key=_time)]
    after = _same_instant(calls, len(answered))
    outlook = model.outlook(steps)
    readers, leavers = _must_be_met(steps[: len(answered)], model, outlook)
    unseen = [model.step(UNOBSERVED, step.function, step.argument, step.result) for step in steps]
    demanding = [number < len(answered) and unseen[number] is ILLEGAL for number in range(len(steps))]
    rescuing = [state is not ILLEGAL and outlook.canonical(state) is not UNOBSERVED for state in unseen]
    begun = [(place, event) for place, event in enumerate(events) if event >= 0]
    return Timeline(
        steps=steps,
        answered=len(answered),
        events=events,
        after=after,
        kinds=_kinds(steps, outlook, {number for earlier in after.values() for number in earlier}),
        outlook=outlook,
        readers=readers,
        leavers=leavers,
        demanding=demanding,
        rescuing=rescuing,
        ranks=list(places) if ranks is None else [ranks[place] for place in order],
        last_demand=max((place for place, number in begun if demanding[number]), default=-1),
        last_rescue=max((place for place, number in begun if rescuing[number]), default=-1),
    )


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
        # A call that begins and ends on one instant follows those numbered before it.
        before = tuple(other for other in earlier if other < number)
        if before:
            after[number] = before
    return after


def _kinds(steps: list[Step], outlook: Outlook, precedes: set[int]) -> list[int]:
    """Two operations of one kind may change places; those on which another waits have a kind of their own."""
    known: dict[tuple[object, ...], int] = {}
    kinds = []
    for number, step in enumerate(steps):
        written = outlook.canonical(step.argument) if step.function == "write" else step.argument
        name: tuple[object, ...] = (step.function, written, step.result)
        kinds.append(known.setdefault((number,) if number in precedes else name, len(known)))
    return kinds


def _must_be_met(steps: list[Step], model: Model, outlook: Outlook) -> tuple[dict[State, int], dict[State, list[int]]]:
    readers: dict[State, int] = {}
    leavers: dict[State, list[int]] = {}
    for number, step in enumerate(steps):
        state = model.needs(step)
        if state is ANY or not outlook.once(state):
            continue
        if step.pure:
            readers[state] = readers.get(state, 0) + 1
        else:
            leavers.setdefault(state, []).append(number)
    return readers, leavers
