"""Actions: everything that a fault can do to a system. Every engine carries out all of them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from framework.core.message import NodeId, Record
from framework.core.value import Probability

_LONGEST = 1 << 60  # nanoseconds: the sum with the time of a run fits in 64 bits

LinkName: TypeAlias = tuple[NodeId, NodeId]
"""One direction: (sender, receiver)."""


class Crash(Record):
    """Stops the node at once; state that was not durable is lost."""

    node: NodeId


class Restart(Record):
    """Boots the node again from its storage."""

    node: NodeId


class Pause(Record):
    """Suspends the node, as SIGSTOP does: messages wait, clocks go on."""

    node: NodeId


class Resume(Record):
    """Resumes the paused node."""

    node: NodeId


class Impairment(Record):
    """A disturbance of messages on some links, in addition to the network's own. Probabilities are per message."""

    cut: bool = False
    loss: Probability = 0.0
    duplicate: Probability = 0.0
    reorder: Probability = 0.0
    delay: Annotated[int, Meta(ge=0, le=_LONGEST)] = 0
    """Nanoseconds added to the network's delay; a reordered message waits up to `spread` longer."""
    spread: Annotated[int, Meta(ge=0, le=_LONGEST)] = 0


class ImpairLinks(Record):
    """Applies `impairment` to `links` until `RestoreLinks` with the same token. Impairments add up."""

    token: int
    links: tuple[LinkName, ...]
    impairment: Impairment


class RestoreLinks(Record):
    """Ends the impairment `token`."""

    token: int


class SetClock(Record):
    """Makes the node's clocks run `drift_ppm` parts per million faster than their natural rate from now on, and steps
    its wall clock by `step` nanoseconds."""

    node: NodeId
    drift_ppm: Annotated[int, Meta(gt=-900_000, le=1_000_000_000)]
    """Above -900000, so that a clock goes on even if its natural rate is the lowest that a config allows."""
    step: Annotated[int, Meta(ge=-_LONGEST, le=_LONGEST)] = 0


DiskProblem: TypeAlias = Literal["slow", "failed_fsync", "full", "damage"]
"""The kinds of disk fault."""

DiskTrouble: TypeAlias = DiskProblem | Literal["none"]


class SetDisk(Record):
    """Makes the node's disk faulty from now on, or repairs it (`none`).

    `slow`: each commit takes `latency` longer. `failed_fsync`: the next fsync fails. `full`: there is no room for
    another commit. `damage`: an acknowledged record is damaged, which the next restart finds.
    """

    node: NodeId
    trouble: DiskTrouble
    latency: Annotated[int, Meta(ge=0, le=_LONGEST)] = 0


class RunAdminOperation(Record):
    """Makes the administrator request `function`, one of the protocol's `administration`, for `node`."""

    token: int
    function: str
    node: NodeId


Action: TypeAlias = (
    Crash | Restart | Pause | Resume | ImpairLinks | RestoreLinks | SetClock | SetDisk | RunAdminOperation
)
"""Any action of a fault."""


def action_name(action: Action) -> str:
    """Returns the action's name in traces and ledgers: `crash`, `set_clock`."""
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in type(action).__name__).lstrip("_")
