"""Actions: everything that a fault can do to a system. Every engine carries out all of them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from framework.core.message import NodeId, Record

LinkName: TypeAlias = tuple[NodeId, NodeId]
"""One direction: (sender, receiver)."""


class Crash(Record):
    """The node stops at once; what was not durable is lost."""

    node: NodeId


class Restart(Record):
    """The node boots again over its storage."""

    node: NodeId


class Pause(Record):
    """The node stands still, as under SIGSTOP: messages wait, clocks go on."""

    node: NodeId


class Resume(Record):
    """The node goes on."""

    node: NodeId


class Impairment(Record):
    """What happens to messages on some links, besides what the network does. Probabilities are those of a single message."""

    cut: bool = False
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: int = 0
    """Nanoseconds on top of the network's delay; a message that is reordered waits up to `spread` longer."""
    spread: int = 0


class ImpairLinks(Record):
    """Applies `impairment` to `links` until `RestoreLinks` with the same token. Impairments add up."""

    token: int
    links: tuple[LinkName, ...]
    impairment: Impairment


class RestoreLinks(Record):
    """Ends the impairment `token`."""

    token: int


class SetClock(Record):
    """From now on the node's clocks run `drift_ppm` parts per million faster than they do by nature; its wall clock
    steps by `step` nanoseconds."""

    node: NodeId
    drift_ppm: int
    step: int = 0


DiskProblem: TypeAlias = Literal["slow", "failed_fsync", "full", "damage"]
"""What can be wrong with a disk."""

DiskTrouble: TypeAlias = DiskProblem | Literal["none"]


class SetDisk(Record):
    """The node's disk is in trouble from now on: each commit takes `latency` longer (`slow`), the next fsync fails,
    there is no room for another commit (`full`), or an acknowledged record is damaged, which the next restart finds.
    `none`: mended."""

    node: NodeId
    trouble: DiskTrouble
    latency: int = 0


class RunAdminOperation(Record):
    """Has the administrator request `function`, one of the protocol's `administration`, for `node`."""

    token: int
    function: str
    node: NodeId


Action: TypeAlias = (
    Crash | Restart | Pause | Resume | ImpairLinks | RestoreLinks | SetClock | SetDisk | RunAdminOperation
)
"""Anything that a fault can do."""


def action_name(action: Action) -> str:
    """`crash`, `set_clock`: how traces and ledgers call it."""
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in type(action).__name__).lstrip("_")
