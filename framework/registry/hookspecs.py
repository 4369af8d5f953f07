"""The hooks that a plugin may implement. They are called once, in the driver, never per message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import os
    from pathlib import Path
    from typing import Any

    from framework.registry.specs import (
        CheckerSpec,
        FaultSpec,
        ModelSpec,
        NetworkSpec,
        ProtocolSpec,
        StateMachineSpec,
        WorkloadSpec,
    )

PROJECT = "synod"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook of its name."""


@hookspec
def register_protocols() -> list[ProtocolSpec]:  # type: ignore[empty-body]
    """Protocols: nodes and clients."""


@hookspec
def register_state_machines() -> list[StateMachineSpec]:  # type: ignore[empty-body]
    """State machines that a replicated log drives."""


@hookspec
def register_workloads() -> list[WorkloadSpec]:  # type: ignore[empty-body]
    """Workloads: what clients do."""


@hookspec
def register_network_models() -> list[NetworkSpec]:  # type: ignore[empty-body]
    """Networks: latency, loss and bandwidth of every link."""


@hookspec
def register_faults() -> list[FaultSpec]:  # type: ignore[empty-body]
    """Faults: schedules of crashes and the like."""


@hookspec
def register_checkers() -> list[CheckerSpec]:  # type: ignore[empty-body]
    """Checkers of what clients saw."""


@hookspec
def register_models() -> list[ModelSpec]:  # type: ignore[empty-body]
    """Sequential models: what the object that a history is of does, one operation after another."""


@hookspec
def register_config_folders() -> list[str | os.PathLike[str]]:  # type: ignore[empty-body]
    """Folders of configs that the plugin brings: `experiment/NAME.yaml` in them is found without --config-dir."""


@hookspec
def run_started(run_dir: Path, config: dict[str, Any]) -> None:
    """A run begins; `config` is what config.yaml holds."""


@hookspec
def run_progress(run_dir: Path, time: int, operations: int) -> None:
    """About once a second: the run's time in nanoseconds, and the operations completed."""


@hookspec
def run_finished(run_dir: Path, result: dict[str, Any]) -> None:
    """A run has ended; `result` is what result.json holds."""
