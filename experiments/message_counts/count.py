"""Counts over a trace: which messages an operation caused, and over how many of them its answer came.

Each event names the one event whose handler produced it, so that the events of an operation are a tree with its
invocation at the root, and its answer has one path back to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from experiments.causes import Event, Trees, is_sent
from experiments.message_counts.lines import LINES, Line
from experiments.simulated import simulated
from framework.core.time import MILLISECOND

HOPS = frozenset({"Propose", "Chosen", "Request", "Reply", "Query", "Answer"})
"""Between a client and who decides for it: counted apart. (ABD's clients decide for themselves.)"""

QUIET = ("network=perfect", "clients=1", "duration=1s", "trace=full", "engine.check_invariants_every=0")
LATENCY = 500_000
"""Nanoseconds one way on the perfect network."""

FIRST, LAST = 700 * MILLISECOND, 990 * MILLISECOND
"""Operations that begin between these are counted: by then there is a leader who knows the client, and all that
an operation causes comes to its end before the run does."""


class Cost(NamedTuple):
    """What one operation took. `learned` is None where no learner noted a decision."""

    delays: int
    deciding: int
    telling: int
    hops: int
    learned: int | None


class Counted(NamedTuple):
    """One line at one size: how many operations took what, and what was sent that no operation caused.

    `beats` is how often the leader's heartbeat fired meanwhile.
    """

    line: str
    nodes: int
    seed: int
    costs: dict[Cost, int]
    apart: dict[str, int]
    beats: int


def count(what: tuple[str, int], seeds: Iterable[int]) -> list[Counted]:
    """One run for each seed, of a line by its name, with so many nodes."""
    name, nodes = what
    return [counted(LINES[name], nodes, seed) for seed in seeds]


def counted(line: Line, nodes: int, seed: int) -> Counted:
    """One run of the line."""
    with simulated((*QUIET, *line.settings, f"nodes={nodes}"), seed) as run:
        events = run.run.events.to_pylist()
    trees = Trees(events)
    costs = Counter(
        cost_of(trees, root)
        for root in trees.roots
        if FIRST <= trees.events[root]["time"] < LAST and trees.events[root]["message"] == line.function
    )
    apart = [event for event in trees.apart if FIRST <= event["time"] < LAST]
    sent = Counter(event["message"] for event in apart if is_sent(event))
    beats = sum(event["kind"] == "timer" and event["message"] == "heartbeat" for event in apart)
    return Counted(line.name, nodes, seed, dict(costs), dict(sorted(sent.items())), beats)


def cost_of(trees: Trees, root: int) -> Cost:
    """Of the operation that was invoked by the event `root`. It must have been answered."""
    tree = trees.roots[root]
    answer = next(event for event in tree if event["kind"] == "complete")
    path = trees.path(answer)
    hops = sum(map(_is_hop, path))
    assert answer["time"] - trees.events[root]["time"] == LATENCY * len(path), "the path does not account for the time"
    sent = [event for event in tree if is_sent(event) and not _is_hop(event)]
    decider = next((event["peer"] for event in tree if event["kind"] == "send"), None)
    telling = sum(_tells(event, decider) for event in sent)
    learned = [
        len(trees.path(event)) - 1 for event in tree if event["kind"] == "note" and event["message"] == "decided"
    ]
    return Cost(len(path) - hops, len(sent) - telling, telling, hops, max(learned, default=None))


def _is_hop(event: Event) -> bool:
    protocol, _, name = event["message"].partition(".")
    return name in HOPS and protocol != "abd"


def _tells(event: Event, proposer: str | None) -> bool:
    """Whether a message of the Synod goes out for learners' sake alone."""
    name: str = event["message"]
    return name == "paxos.Decided" or (name == "paxos.Accepted" and event["peer"] != proposer)
