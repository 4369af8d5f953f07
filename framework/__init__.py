"""Synod: a laboratory for distributed protocols.

The names that an author imports, each loaded when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.core.administration import Administer, Administered, Administrator
    from framework.core.client import Client, Fail, Ok, Operation, OperationId, Outcome, Unknown
    from framework.core.durable import DurableLog, DurableMap, durable, durable_log, durable_map
    from framework.core.errors import ConfigError, PluginError, Violation
    from framework.core.faults import (
        Ask,
        Calm,
        Crash,
        Disturb,
        Disturbance,
        Fault,
        FaultConfig,
        Kind,
        Pause,
        Planned,
        Restart,
        Resume,
        SetClock,
        SetDisk,
        Strike,
        TargetConfig,
        TargetedFault,
        View,
        check_target,
    )
    from framework.core.invariants import Invariant, Step
    from framework.core.leader import LeaderClient, NotLeader, RetryConfig
    from framework.core.message import Config, Message, NodeId, Record
    from framework.core.network import Link, NetworkModel
    from framework.core.node import Node, handles, on_timer
    from framework.core.quorums import (
        Joint,
        Majority,
        OneOf,
        QuorumConfig,
        Quorums,
        QuorumSystem,
        Threshold,
        Weighted,
        grid_columns,
        grid_rows,
    )
    from framework.core.replica import Replica
    from framework.core.session import (
        Answer,
        Applied,
        Command,
        Query,
        ReadingConfig,
        ReplicatedConfig,
        ReplicatedMachine,
        Reply,
        Request,
        SessionClient,
    )
    from framework.core.state_machine import Refused, StateMachine, StateMachineChoice, Value, operation, query
    from framework.core.time import Duration
    from framework.core.workload import Workload, WorkloadConfig
    from framework.registry.hookspecs import hookimpl
    from framework.registry.specs import (
        CheckerSpec,
        FaultSpec,
        ModelSpec,
        NetworkSpec,
        ProtocolSpec,
        Sometimes,
        StateMachineSpec,
        WorkloadSpec,
    )
    from framework.sweep.reader import Sweep, open_sweep
    from framework.trace.reader import Run, open_run
    from framework.verify.model import ILLEGAL
    from framework.verify.sequential import ANYTHING, SequentialModel
    from framework.verify.verdict import CheckResult, Verdict

_HOMES = {
    "framework.core.administration": ("Administer", "Administered", "Administrator"),
    "framework.core.client": ("Client", "Fail", "Ok", "Operation", "OperationId", "Outcome", "Unknown"),
    "framework.core.durable": ("DurableLog", "DurableMap", "durable", "durable_log", "durable_map"),
    "framework.core.errors": ("ConfigError", "PluginError", "Violation"),
    "framework.core.faults": (
        "Action",
        "Ask",
        "Calm",
        "Crash",
        "Disturb",
        "Disturbance",
        "Fault",
        "FaultConfig",
        "Kind",
        "Pause",
        "Planned",
        "Restart",
        "Resume",
        "SetClock",
        "SetDisk",
        "Strike",
        "TargetConfig",
        "TargetedFault",
        "View",
        "check_target",
    ),
    "framework.core.invariants": ("Invariant", "Step"),
    "framework.core.leader": ("LeaderClient", "NotLeader", "RetryConfig"),
    "framework.core.message": ("Config", "Message", "NodeId", "Record"),
    "framework.core.network": ("Link", "NetworkModel"),
    "framework.core.node": ("Node", "handles", "on_timer"),
    "framework.core.quorums": (
        "Joint",
        "Majority",
        "OneOf",
        "QuorumConfig",
        "QuorumSystem",
        "Quorums",
        "Threshold",
        "Weighted",
        "grid_columns",
        "grid_rows",
    ),
    "framework.core.replica": ("Replica",),
    "framework.core.session": (
        "Answer",
        "Applied",
        "Command",
        "Query",
        "ReadingConfig",
        "ReplicatedConfig",
        "ReplicatedMachine",
        "Reply",
        "Request",
        "SessionClient",
    ),
    "framework.core.state_machine": ("Refused", "StateMachine", "StateMachineChoice", "Value", "operation", "query"),
    "framework.core.time": ("Duration",),
    "framework.core.workload": ("Workload", "WorkloadConfig"),
    "framework.registry.hookspecs": ("hookimpl",),
    "framework.registry.specs": (
        "CheckerSpec",
        "FaultSpec",
        "ModelSpec",
        "NetworkSpec",
        "ProtocolSpec",
        "Sometimes",
        "StateMachineSpec",
        "WorkloadSpec",
    ),
    "framework.sweep.reader": ("Sweep", "open_sweep"),
    "framework.trace.reader": ("Run", "open_run"),
    "framework.verify.model": ("ILLEGAL",),
    "framework.verify.sequential": ("ANYTHING", "SequentialModel"),
    "framework.verify.verdict": ("CheckResult", "Verdict"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ANYTHING",
    "Administer",
    "Administered",
    "Administrator",
    "Answer",
    "Applied",
    "Ask",
    "Calm",
    "CheckResult",
    "CheckerSpec",
    "Client",
    "Command",
    "Config",
    "ConfigError",
    "Crash",
    "Disturb",
    "Disturbance",
    "DurableLog",
    "DurableMap",
    "Duration",
    "Fail",
    "Fault",
    "FaultConfig",
    "FaultSpec",
    "ILLEGAL",
    "Invariant",
    "Joint",
    "Kind",
    "LeaderClient",
    "Link",
    "Majority",
    "Message",
    "ModelSpec",
    "NetworkModel",
    "NetworkSpec",
    "Node",
    "NodeId",
    "NotLeader",
    "Ok",
    "OneOf",
    "Operation",
    "OperationId",
    "Outcome",
    "Pause",
    "Planned",
    "PluginError",
    "ProtocolSpec",
    "Query",
    "QuorumConfig",
    "QuorumSystem",
    "Quorums",
    "ReadingConfig",
    "Record",
    "Refused",
    "Replica",
    "ReplicatedConfig",
    "ReplicatedMachine",
    "Reply",
    "Request",
    "Restart",
    "Resume",
    "RetryConfig",
    "Run",
    "SequentialModel",
    "SessionClient",
    "SetClock",
    "SetDisk",
    "Sometimes",
    "StateMachine",
    "StateMachineChoice",
    "StateMachineSpec",
    "Step",
    "Strike",
    "Sweep",
    "TargetConfig",
    "TargetedFault",
    "Threshold",
    "Unknown",
    "Value",
    "Verdict",
    "View",
    "Violation",
    "Weighted",
    "Workload",
    "WorkloadConfig",
    "WorkloadSpec",
    "check_target",
    "durable",
    "durable_log",
    "durable_map",
    "grid_columns",
    "grid_rows",
    "handles",
    "hookimpl",
    "on_timer",
    "open_run",
    "open_sweep",
    "operation",
    "query",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'framework' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
