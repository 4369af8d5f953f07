"""The lines of the study: what each sets up, and how one trial of it is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import msgspec

from experiments.raft_election.trial import ElectionTrial
from experiments.trials import servers
from framework.core.message import NodeId
from framework.core.random_streams import stream
from framework.core.time import MILLISECOND, Duration
from framework.engine.base import Experiment
from plugins.protocols.raft.messages import AppendEntries
from plugins.protocols.raft.node import Raft

RANGES_MS = (
    (150, 150), (150, 151), (150, 155), (150, 175), (150, 200), (150, 300), (100, 200), (50, 100), (25, 50), (12, 24)
)  # fmt: skip
"""The ten ranges of election time-outs of Raft's Figure 16."""

LOGS = {"n1": 4, "n2": 4, "n3": 3, "n4": 2, "n5": 1}
"""Entries in each log when the leader, n1, crashes. n3 needs a vote of n4 and n5; n4 has n5 alone: it cannot win, nor
can n5."""

LAID_DOWN = 1
"""The term of the leader that crashes, and of all entries."""

HORIZON = 20
"""Seconds after which a trial without a leader is given up."""

PAPER = ("protocol.prevote=false", "protocol.check_quorum=false")
"""The paper's elections: what the thesis adds takes a round trip more, and keeps servers from standing."""

ONE_WAY = "{kind: lognormal, median: 500us, sigma: 0.3}"
"""The links' delay wherever the disk's latency is what takes the time."""


class AskWhileWriting(Raft):
    """Its RequestVote leaves while the candidate's own vote is still on its way to the disk. For comparison alone."""

    def broadcast(self, message: Any, *, before_commit: bool = False) -> None:
        super().broadcast(message, before_commit=True)


@dataclass(frozen=True)
class Line:
    """What is the same in all trials of one line. `settings` are those of `framework.run`; times in milliseconds."""

    study: str
    name: str
    settings: tuple[str, ...]
    timeouts: tuple[float, float]  # the range of election time-outs
    down: tuple[NodeId, ...] = ()  # from the start
    leader_crashes: bool = False  # at a uniform point after its last heartbeat, with logs of different lengths
    asks_while_writing: bool = False
    trials: float = 1.0  # as a share of what is asked for
    horizon_s: int = HORIZON

    def experiment(self) -> Experiment:
        low, high = self.timeouts
        experiment = with_timeouts(
            servers("raft", f"duration={self.horizon_s}s", *PAPER, *self.settings), low, high, heartbeat_ms=low / 2
        )
        if self.asks_while_writing:
            return replace(experiment, protocol=replace(experiment.protocol, node=AskWhileWriting))
        return experiment


class Outcome(NamedTuple):
    """One trial, in milliseconds since the crash, or since the start; None without a leader within the horizon."""

    study: str
    line: str
    seed: int
    leader: NodeId | None
    terms: int
    elected_ms: float | None
    heard_ms: float | None


def hold(line: Line, seeds: Iterable[int]) -> list[Outcome]:
    """One trial of the line for each seed."""
    experiment = line.experiment()
    return [_hold(line, experiment, seed) for seed in seeds]


def _hold(line: Line, experiment: Experiment, seed: int) -> Outcome:
    trial = ElectionTrial(experiment, seed)
    trial.crash_at(0, *line.down)
    began = crash_leader(trial, experiment, seed) if line.leader_crashes else 0
    election = trial.hold()
    terms = election.term - LAID_DOWN if line.leader_crashes else election.term
    if election.leader is None:
        return Outcome(line.study, line.name, seed, None, terms, None, None)
    elected, heard = ((at - began) / MILLISECOND for at in (election.elected, election.heard))
    return Outcome(line.study, line.name, seed, election.leader, terms, elected, heard)


def crash_leader(trial: ElectionTrial, experiment: Experiment, seed: int) -> int:
    """One heartbeat goes out to all at once; then the leader crashes at a uniform point of the interval, which is
    returned.

    What followers keep of its term is laid down on their disks, so that their logs can differ.
    """
    trial.lay_down(LOGS, LAID_DOWN, voted_for="n1")
    heartbeats = {
        node: AppendEntries(LAID_DOWN, length, LAID_DOWN, (), 0) for node, length in LOGS.items() if node != "n1"
    }
    trial.send_at(0, "n1", heartbeats)
    crash = stream(seed, "crash").randrange(experiment.protocol_config.heartbeat_interval)
    trial.crash_at(crash, "n1")
    return crash


def with_timeouts(experiment: Experiment, low_ms: float, high_ms: float, heartbeat_ms: float) -> Experiment:
    """The experiment with election time-outs in this range."""
    config = msgspec.structs.replace(
        experiment.protocol_config,
        election_timeout_min=Duration(round(low_ms * MILLISECOND)),
        election_timeout_max=Duration(round(high_ms * MILLISECOND)),
        heartbeat_interval=Duration(round(heartbeat_ms * MILLISECOND)),
    )
    return replace(experiment, protocol_config=config)


# The leader crashes (ATC 2014, §9.3).

CRASH = "leader crashes"
AT_ONCE = "asks while it writes"
STRICT = "own write on top"
SHORTER = "shorter broadcast time"


def crash_lines() -> Iterator[Line]:
    """All ranges in three readings of a broadcast time of 15 ms, and three ranges with a shorter one.

    The candidate's write, the round trip and the voter's write take 15 ms one after the other; or the candidate writes
    while it asks; or its own write comes on top of the 15 ms.
    """
    for (low, high), (study, disk_ms) in product(RANGES_MS, ((CRASH, 7), (AT_ONCE, 14), (STRICT, 14))):
        yield _crash_line(study, f"{low}–{high} ms", low, high, disk_ms, trials=0.1 if study == STRICT else 1.0)
    for (low, high), disk_ms in product(((150, 155), (150, 200), (12, 24)), (1, 3, 5)):
        yield _crash_line(SHORTER, f"{low}–{high} ms, {2 * disk_ms + 1} ms", low, high, disk_ms)


def _crash_line(study: str, name: str, low: int, high: int, disk_ms: int, trials: float = 1.0) -> Line:
    return Line(
        study=study,
        name=name,
        settings=("nodes=5", "network=lan", f"network.latency={ONE_WAY}", f"engine.disk_latency={disk_ms}ms"),
        timeouts=(low, high),
        leader_crashes=True,
        asks_while_writing=study == AT_ONCE,
        trials=trials,
    )  # fmt: skip


# Servers far apart (thesis, chapter 9).

WAN = "wide area"
FAILED = (0, 1, 2)


def wan_lines() -> Iterator[Line]:
    """Fresh timers of 300 to 600 ms, 30 to 40 ms one way, no disk; none, one or two of five servers are down."""
    for failed in FAILED:
        yield Line(
            study=WAN,
            name=f"{failed} of 5 down",
            settings=("nodes=5", "network=lan", "network.latency={kind: uniform, low: 30ms, high: 40ms}"),
            timeouts=(300, 600),
            down=tuple(f"n{5 - number}" for number in range(failed)),
            trials=10,
        )  # fmt: skip


# Split votes (thesis, chapter 9): the one-way delay as a share of the range of time-outs.

SPLIT = "split votes"
SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)


def split_lines() -> Iterator[Line]:
    """Four of five servers, fresh timers, and a one-way delay that is a share of the range."""
    for share in SHARES:
        yield contention(SPLIT, f"{share:g}", 5, share, trials=10)


def contention(study: str, name: str, nodes: int, share: float, trials: float = 1.0, range_ms: int = 100) -> Line:
    """One of `nodes` servers is down; the delay one way is `share` of 100 ms, and so is the range of time-outs, by
    default."""
    return Line(
        study=study,
        name=name,
        settings=(f"nodes={nodes}", "network=perfect", f"network.latency={round(share * 100_000)}us"),
        timeouts=(1000, 1000 + range_ms),
        down=(f"n{nodes}",),
        trials=trials,
        horizon_s=100,
    )


def lines() -> list[Line]:
    """All lines of all studies."""
    return [*crash_lines(), *wan_lines(), *split_lines()]


def sized(lines: Iterable[Line], trials: int) -> list[tuple[Line, int]]:
    """Each line with its own number of trials, where `trials` are asked for."""
    return [(line, max(1, round(trials * line.trials))) for line in lines]
