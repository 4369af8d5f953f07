"""The hooks that a plugin may implement. They are called in the driver, never per message; `register_…` once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import os
    from pathlib import Path
    from typing import Any

    from framework.registry.specs import (
        BalancerSpec,
        CheckerSpec,
        FaultSpec,
        ModelSpec,
        NetworkSpec,
        PlacementSpec,
        ProtocolSpec,
        StateMachineSpec,
        WorkloadSpec,
    )

PROJECT = "synod"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook with the same name."""


@hookspec
def register_protocols() -> list[ProtocolSpec]:  # type: ignore[empty-body]
    """Returns protocols: nodes and clients."""


@hookspec
def register_state_machines() -> list[StateMachineSpec]:  # type: ignore[empty-body]
    """Returns state machines for replicated logs."""


@hookspec
def register_placements() -> list[PlacementSpec]:  # type: ignore[empty-body]
    """Returns placements: which nodes hold a key or a shard."""


@hookspec
def register_balancers() -> list[BalancerSpec]:  # type: ignore[empty-body]
    """Returns balancers: which server is given a request."""


@hookspec
def register_workloads() -> list[WorkloadSpec]:  # type: ignore[empty-body]
    """Returns workloads: the operations of clients."""


@hookspec
def register_network_models() -> list[NetworkSpec]:  # type: ignore[empty-body]
    """Returns network models: latency, loss and bandwidth of every link."""


@hookspec
def register_faults() -> list[FaultSpec]:  # type: ignore[empty-body]
    """Returns faults, such as crashes and partitions, and fault plans."""


@hookspec
def register_checkers() -> list[CheckerSpec]:  # type: ignore[empty-body]
    """Returns checkers of histories."""


@hookspec
def register_models() -> list[ModelSpec]:  # type: ignore[empty-body]
    """Returns sequential models: the behavior of a history's object under one operation after another."""


@hookspec
def register_config_folders() -> list[str | os.PathLike[str]]:  # type: ignore[empty-body]
    """Returns the plugin's folders of configs: `experiment/NAME.yaml` in them is found without --config-dir."""


@hookspec
def run_started(run_dir: Path, config: dict[str, Any]) -> None:
    """Called when a run begins; `config` is the content of config.yaml."""


@hookspec
def run_progress(run_dir: Path, time: int, operations: int) -> None:
    """Called about once a second with the run's time in nanoseconds and the number of completed operations."""


@hookspec
def run_finished(run_dir: Path, result: dict[str, Any]) -> None:
    """Called when a run has ended; `result` is the content of result.json."""
