"""Seeded swarms hold Raft to Figure 3, and catch each classical mistake when it is made on purpose."""

from __future__ import annotations

from typing import Any

import pytest

from experiments.planted_bugs.raft_mutants import (
    CHANGES,
    MUTANTS,
    AnswersUnconfirmed,
    KeepsItsLease,
    LeaseWithoutMargin,
    ReadsAtOnce,
    StandsOnce,
    VotesAgainstItsLeader,
    VotesInARaisedTerm,
)
from tests.plugins.protocols.raft.swarm import first_failure, swarm

pytestmark = pytest.mark.long


@pytest.mark.parametrize("block", range(8))
def test_no_schedule_breaks_raft(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        try:
            swarm(seed)
        except Exception as broken:
            raise AssertionError(f"replay with swarm({seed})") from broken


# The swarm has every follower time out again and again, timer or not. Its leases run on one clock, which leaps from one
# time-out to the next, and its clients seldom stand beside a leader that is cut off.
NOT_BY_THE_SWARM = (
    AnswersUnconfirmed, KeepsItsLease, LeaseWithoutMargin, ReadsAtOnce, StandsOnce, VotesAgainstItsLeader, VotesInARaisedTerm
)  # fmt: skip
CHANGING = [mutant.node for mutant in MUTANTS if mutant.needs == CHANGES]
PLANTED = [mutant.node for mutant in MUTANTS if mutant.node not in NOT_BY_THE_SWARM]


# Rare failures are looked for from here on: all else would be the same schedules in each run of the tests. If a change of
# Raft moves them, a thousand schedules are tried.
STARTS = {
    "CountsEarlierTerms": 870, "InstallsOlderSnapshots": 400, "TakesChunksAsTheyCome": 370, "LeaseFromTheAnswer": 290,
    "AcknowledgesEarly": 45, "CountsStaleVotes": 60, "VotesEarly": 150, "ComparesLengthOnly": 115, "MixesSnapshots": 110, "ReadsBeforeItsTerm": 80,
}  # fmt: skip


@pytest.mark.parametrize("broken", PLANTED, ids=lambda node: node.__name__)
def test_the_swarm_catches(broken: type[Any]) -> None:
    seed, _ = first_failure(broken, 1000, 2 if broken in CHANGING else 0, STARTS.get(broken.__name__, 0))
    assert seed >= 0, f"1000 schedules found nothing wrong with {broken.__name__}: {broken.__doc__}"
