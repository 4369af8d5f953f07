"""Administrative operations on a running group: adding and removing nodes, transferring leadership.

    faults:
      schedule:
        steps:
          - {at: 1s, fault: add_node}                        # the next spare boots and joins
          - {at: 2s, fault: remove_node, target: leader}
          - {at: 3s, fault: transfer_leader, target: n2}

Requires a protocol whose `administration` lists the operation. Operations are requested one after another from the
current leader, each until it is done; the ledger counts completed operations. Nothing is undone at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from framework import (
    ClusterView,
    ConfigError,
    Duration,
    Fault,
    FaultConfig,
    FaultSpec,
    Injection,
    NodeId,
    Restart,
    RunAdminOperation,
    check_target,
    hookimpl,
)

SPARE = "spare"


class AddConfig(FaultConfig):
    """The node to add."""

    target: str = SPARE
    """`spare` (the next of the `spares` that has never run), or a node's name."""
    lasts: Duration = Duration("0")


class RemoveConfig(FaultConfig):
    """The node to remove."""

    target: str = "random"
    """A node's name, a role that nodes report, or `random`."""
    lasts: Duration = Duration("0")


class TransferConfig(FaultConfig):
    """The node that becomes leader."""

    target: str = "follower"
    """A node's name, a role that nodes report, or `random`."""
    lasts: Duration = Duration("0")


class Administration(Fault):
    """Base class of faults that request one administrative operation on one node."""

    function: ClassVar[str]

    def required_admin_operations(self, key: str) -> tuple[str, ...]:
        return (self.function,)

    @property
    def target(self) -> str:
        return str(self.config.target)

    def validate_nodes(self, key: str, nodes: Sequence[NodeId], spares: Sequence[NodeId]) -> None:
        target = self.config.target
        if target in ("all", "random_minority", "random_majority"):
            raise ConfigError(
                f"{key}.target={target}", "means several nodes, but one node at a time can be requested", "Name one."
            )
        check_target(f"{key}.target", target, nodes)

    def inject(self, view: ClusterView) -> Injection | None:
        nodes = view.select(self.config.target)
        return self.ask(view, view.rng.choice(nodes)) if nodes else None

    def ask(self, view: ClusterView, node: NodeId) -> Injection:
        return Injection((RunAdminOperation(view.token(), self.function, node),), (), (node,))


class AddNode(Administration):
    """Boots a spare and adds it to the group. A node that already runs, such as a removed one, joins again."""

    function = "add_node"

    @property
    def target(self) -> str:
        return "" if self.config.target == SPARE else str(self.config.target)

    def validate_nodes(self, key: str, nodes: Sequence[NodeId], spares: Sequence[NodeId]) -> None:
        if self.config.target != SPARE:
            super().validate_nodes(key, nodes, spares)
        elif not spares:
            raise ConfigError(f"{key}.target={SPARE}", "there is no spare to add", "Write spares=1, or more.")

    def inject(self, view: ClusterView) -> Injection | None:
        target = self.config.target
        node = next(iter(view.spares), None) if target == SPARE else target
        if node in view.spares:
            joins = self.ask(view, node)
            return Injection((Restart(node), *joins.actions), (), joins.targets)
        return None if target == SPARE else super().inject(view)


class RemoveNode(Administration):
    """Removes a node from the group; its process keeps running as a non-member."""

    function = "remove_node"


class TransferLeader(Administration):
    """Transfers leadership to the target."""

    function = "transfer_leader"


@hookimpl
def register_faults() -> list[FaultSpec]:
    return [
        FaultSpec(name="add_node", fault=AddNode, config=AddConfig, summary="A spare boots and joins the group."),
        FaultSpec(name="remove_node", fault=RemoveNode, config=RemoveConfig, summary="A node leaves the group."),
        FaultSpec(
            name="transfer_leader", fault=TransferLeader, config=TransferConfig, summary="Another node is to lead."
        ),
    ]
