"""Rebuilds an experiment from a run's config.yaml, which has every key: nothing is composed again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.config.plain_mappings import BadValue
from framework.config.resolve import Composed, resolve
from framework.core.errors import ConfigError
from framework.registry.registry import Registry, load

_PLUGINS = ("protocol", "state_machine", "placement", "balancer", "workload", "network", "engine")


def recompose(config: Mapping[str, Any], where: str, registry: Registry | None = None) -> Composed:
    """Returns the experiment that `config`, the content of a run's config.yaml, describes.

    Without `registry` the plugins are loaded, including those at the config's `plugins.path`. Raises ConfigError naming
    `where` for an invalid value, and ConfigError or PluginError for parts that do not fit together.
    """
    if registry is None:
        registry = load(saved_plugin_paths(config))
    choices = {group: (config.get(group) or {}).get("name") for group in _PLUGINS}
    choices["experiment"] = config.get("experiment")
    lacking = [group for group in ("protocol", "workload", "network", "engine") if not choices[group]]
    if lacking:
        raise ConfigError(where, f"names no {lacking[0]}", "Is this the config.yaml of a run?")
    merged = {key: value for key, value in config.items() if key != "experiment"}
    try:
        return resolve(merged, choices, registry, ())
    except BadValue as bad:
        raise ConfigError(where, f"{bad.key}: {bad.what}", bad.fix) from bad


def saved_plugin_paths(config: Mapping[str, Any]) -> list[str]:
    """Returns the paths of the loose plugins that a config names, as they were given."""
    paths = (config.get("plugins") or {}).get("path") or []
    return [paths] if isinstance(paths, str) else [str(path) for path in paths]
