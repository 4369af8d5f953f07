"""Counts over a trace: the messages, forced writes and message delays of each transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from experiments.causes import Event, Trees, is_sent
from experiments.commit_cost.lines import LINES, Line
from experiments.simulated import simulated
from framework.core.time import MILLISECOND

CLIENTS = frozenset({"CommitRequest", "CommitReply", "NewIncarnation"})
"""Messages between a client and the nodes: they do not count."""

QUIET = (
    "workload=commits", "workload.no=0", "network=perfect", "clients=1", "duration=500ms", "trace=full",
    "engine.check_invariants_every=0",
)  # fmt: skip
FIRST, LAST = 100 * MILLISECOND, 480 * MILLISECOND
"""Transactions that begin between these are counted: by then the client knows the coordinator's incarnation, and all
that a transaction causes comes to its end before the run does."""


class Cost(NamedTuple):
    """What one transaction took: message delays until the last participant knew the decision, messages between
    different nodes, and forced writes."""

    delays: int
    messages: int
    forced: int


class Counted(NamedTuple):
    """One line at one size: how many transactions took what."""

    line: str
    participants: int
    faults: int
    seed: int
    costs: dict[Cost, int]


def count(what: tuple[str, int, int], seeds: Iterable[int]) -> list[Counted]:
    """One run for each seed, of a line by its name, with so many participants and faults."""
    name, participants, faults = what
    return [counted(LINES[name], participants, faults, seed) for seed in seeds]


def counted(line: Line, participants: int, faults: int, seed: int) -> Counted:
    """One run of the line."""
    with simulated((*QUIET, *line.settings(participants, faults)), seed) as run:
        trees = Trees(run.run.events.to_pylist())
    costs = Counter(
        cost_of(trees, root, line) for root in trees.roots if FIRST <= trees.events[root]["time"] < LAST
    )  # fmt: skip
    return Counted(line.name, participants, faults, seed, dict(costs))


def cost_of(trees: Trees, root: int, line: Line) -> Cost:
    """Returns the cost of the transaction that was invoked by the event `root`."""
    tree = trees.roots[root]
    paths = [trees.path(event) for event in tree if event["kind"] == "note" and event["message"] == "decided"]
    hop = int(line.is_colocated)  # from the client, which stands for the initiator if no participant coordinates
    sent = [name for event in tree if is_sent(event) for name in [_name(event)] if name not in CLIENTS]
    forced = sum(event["kind"] == "commit" for event in tree)
    return Cost(max(map(len, paths)) - hop, sum(name not in line.apart for name in sent), forced)


def _name(event: Event) -> str:
    name: str = event["message"]
    return name.partition(".")[2]
