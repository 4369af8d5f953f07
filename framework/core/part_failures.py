"""Failures of placements and balancers, whose code runs within the nodes that use them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from framework.core.errors import PluginFailed
from framework.core.plugin_choice import PluginChoice, choices_in
from framework.core.tracebacks import plugin_raised

_FRAMEWORK = os.path.join(str(Path(__file__).resolve().parents[1]), "")
_GROUPS = {
    "framework.placement.placement.Placement": "placement",
    "framework.balancing.balancer.Balancer": "balancer",
}
"""The config group of the plugins with each base class. By name, because most processes need neither class."""


def failed_part(error: BaseException, config: Any) -> PluginFailed | None:
    """Returns the failure of the placement or balancer whose own code raised `error`; None if none did.

    `config` is that of the node or protocol which uses it.
    """
    trace = error.__traceback__
    while trace is not None:
        code, part = trace.tb_frame.f_code, trace.tb_frame.f_locals.get("self")
        group = _group(part)
        if group and not code.co_filename.startswith(_FRAMEWORK):
            owner = type(part)
            choices = choices_in(config, PluginChoice).values()
            names = [choice.name for choice in choices if getattr(choice, group, None) is owner]
            return plugin_raised(f"{group}={names[0] if names else owner.__qualname__}", code.co_name, error, owner)
        trace = trace.tb_next
    return None


def _group(part: object) -> str:
    """Returns the config group of a placement or balancer; "" for any other object."""
    names = [f"{base.__module__}.{base.__qualname__}" for base in type(part).__mro__]
    return next((_GROUPS[name] for name in names if name in _GROUPS), "")
