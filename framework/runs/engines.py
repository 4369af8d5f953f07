"""The engines by name. An engine is imported on demand: the simulator must not pay for Ray."""

from __future__ import annotations

import importlib

from framework.core.errors import ConfigError, did_you_mean
from framework.engine.base import Engine

_HOMES = {
    "sim": ("framework.engine.sim", "SimEngine"),
    "ray": ("framework.engine.ray.driver.engine", "RayEngine"),
}


def engine_named(name: str) -> Engine:
    """Returns the engine named `name` in the config. Raises ConfigError if there is none."""
    if name not in _HOMES:
        raise ConfigError("engine", f"there is no engine {name!r}", did_you_mean(name, _HOMES))
    module, attribute = _HOMES[name]
    engine: Engine = getattr(importlib.import_module(module), attribute)()
    return engine
