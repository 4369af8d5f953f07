"""One run: how long the transaction's participants were in doubt, and whether they agree."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from experiments.commit_blocking.scenarios import BEGINS_MS, CONTENDERS, QUIET, Scenario
from experiments.simulated import simulated
from framework.core.time import MILLISECOND


class Trial(NamedTuple):
    """What became of the transaction. Times are in milliseconds.

    `decided` is the time from its beginning until the last participant knew the decision; None if one never did.
    `blocked` is the longest time for which a participant declared itself blocked. `decisions` are those of all nodes.
    """

    contender: str
    scenario: Scenario
    seed: int
    verdict: str
    decisions: tuple[str, ...]
    decided: float | None
    blocked: float


def hold(what: tuple[str, Scenario], seeds: Iterable[int]) -> list[Trial]:
    """One run for each seed."""
    return [trial(*what, seed) for seed in seeds]


def trial(name: str, scenario: Scenario, seed: int) -> Trial:
    """One run of the contender `name`."""
    contender = CONTENDERS[name]
    words = (*QUIET, *contender.settings, f"nodes={len(contender.nodes)}", scenario.faults(contender))
    with simulated(words, seed, may_fail=True) as run:
        begins = BEGINS_MS * MILLISECOND
        (transaction,) = (
            row["operation"] for row in run.run.history.to_pylist() if row["scheduled"] == begins
        )  # fmt: skip
        notes = [event for event in run.run.events.to_pylist() if event["kind"] == "note" and event["payload"]]
        verdict = run.result.verdict.value
    about = [(event, json.loads(event["payload"])) for event in notes]
    about = [(event, fields) for event, fields in about if fields.get("transaction") == transaction]
    decided: dict[str, float] = {}
    blocked: dict[str, float] = {}
    longest = 0.0
    for event, _ in about:
        node, at = event["node"], event["time"]
        if event["message"] == "decided":
            decided.setdefault(node, at)
        elif event["message"] == "blocked":
            blocked.setdefault(node, at)
        elif event["message"] == "unblocked" and node in blocked:
            longest = max(longest, at - blocked.pop(node))
    decisions = {fields["decision"] for event, fields in about if event["message"] == "decided"}
    know = [decided.get(participant) for participant in contender.participants]
    known = [at for at in know if at is not None]
    return Trial(
        name, scenario, seed, verdict, tuple(sorted(decisions)),
        (max(known) - begins) / MILLISECOND if len(known) == len(know) else None,
        float("inf") if blocked else longest / MILLISECOND,
    )  # fmt: skip
