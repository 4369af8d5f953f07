"""Faults are schedules of actions; an engine carries them out and records what really happened.

A fault plugin writes `schedule`: from its config and its own random stream, actions at fixed times of the run. What an
action is aimed at may be a role, which is looked up in what nodes report (`Node.status`) when the time has come.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from framework.core.message import NodeId, Record

ActionName: TypeAlias = Literal["crash", "restart"]


class Action(Record, array_like=False):
    """At `at` nanoseconds of the run, do `name` to `target`: a node's name, a role, `random` or `all`."""

    at: int
    name: ActionName
    target: str


class Fault(ABC):
    """A seeded source of actions."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def schedule(self, nodes: Sequence[NodeId], duration: int, rng: random.Random) -> Iterable[Action]:
        """The actions of one run of `duration` nanoseconds, in any order."""


def resolve(target: str, statuses: Mapping[NodeId, Mapping[str, Any] | None], rng: random.Random) -> tuple[NodeId, ...]:
    """The nodes that `target` means now, in the order of `statuses`; a status of None is a node that is down.

    A restart is aimed at what is down (`random`, `all`), everything else at what is up: pass only the candidates.
    """
    if target in statuses:
        return (target,)
    if target == "all":
        return tuple(statuses)
    if target == "random":
        return (rng.choice(list(statuses)),) if statuses else ()
    return tuple(node for node, status in statuses.items() if status is not None and status.get("role") == target)
