"""A run that has ended, as checkers see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from framework.checking.history.calls import Calls
from framework.checking.models.catalog import AUTO, Models
from framework.checking.models.model import Model
from framework.core.errors import ConfigError
from framework.core.message import NodeId
from framework.core.replica import ReplicaState
from framework.faults.ledger import LedgerEntry

if TYPE_CHECKING:
    from framework.trace.reader import Run


def _no_folder() -> Run:
    raise ConfigError(
        "trace", "this run has no folder", "Make the FinishedRun with open_trace=lambda: open_run(folder)."
    )


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """Everything known of a run when its checkers start. Checkers must not change it.

    `history` has the operations of the clients, as `Call`s. It may be long, and can be iterated over any number of
    times: an iteration needs little memory, a list of it much. `replicas` has the final states of the nodes that keep
    replicas, by name (see `Node.replicas`), None for a node that did not answer; it is empty if replicas were not
    compared. `ledger` has the actual effects of faults, `config` is the content of config.yaml, `models` are the
    installed sequential models. `final_at` is the start of the workload's final phase, in nanoseconds; None if there
    was none. `open_trace` opens the run's folder.
    """

    history: Calls
    replicas: Mapping[NodeId, Mapping[str, ReplicaState] | None] = field(default_factory=dict)
    ledger: Sequence[LedgerEntry] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    final_at: int | None = None
    models: Models = field(default_factory=Models)
    open_trace: Callable[[], Run] = field(default=_no_folder, repr=False)

    @property
    def model(self) -> Model | None:
        """The sequential model named by the run's protocol or state machine; None if there is none."""
        return self.models.chosen(AUTO, "model")

    @cached_property
    def trace(self) -> Run:
        """The run's files. `trace.events` has a row for each event if the run was traced in full, else no rows."""
        return self.open_trace()
