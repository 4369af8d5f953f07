"""A run's settings, with their defaults where a plugin or Synod declares them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.config.plain_mappings import plain
from framework.config.saved import saved_plugin_paths
from framework.config.schema import ENGINES, TRACES, RunConfig
from framework.config.setting_docs import flat
from framework.core.errors import SynodError
from framework.registry.registry import Registry, load

_LEFT_OUT = ("run.dir",)


def setting_rows(config: Mapping[str, Any], registry: Registry | None = None) -> list[dict[str, Any]]:
    """Returns each setting of a run's config.yaml: `key`, `value`, the default (`usual`, None if it is not known), and
    whether they differ. Without `registry` the run's plugins are loaded; if that fails, their defaults are unknown."""
    usual = dict(flat(plain(RunConfig()), ""))
    for group, settings in _groups(config):
        known = _defaults(group.partition(".")[0], settings.get("name"), config, registry)
        usual |= dict(flat(known, group)) if known else {}
    rows = []
    for key, value in flat(dict(config), ""):
        if key in _LEFT_OUT:
            continue
        default = usual.get(key)
        rows.append({"key": key, "value": value, "usual": default, "differs": default is not None and default != value})
    return rows


def _groups(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the key and the settings of each plugin that the config chooses."""
    for group, settings in config.items():
        if not isinstance(settings, Mapping):
            continue
        if "name" in settings or group == "trace":
            yield group, settings
        else:
            for key, one in settings.items():
                if isinstance(one, Mapping) and "name" in one:
                    yield f"{group}.{key}", one


def _defaults(group: str, name: Any, config: Mapping[str, Any], registry: Registry | None) -> dict[str, Any] | None:
    if group == "engine":
        return dict(plain(ENGINES[name][0]())) if name in ENGINES else None
    if group == "trace":
        return dict(plain(TRACES["full"][0]))
    try:
        spec = (registry or load(saved_plugin_paths(config))).get(group, str(name))
        return None if spec.config is None else dict(plain(spec.config()))
    except (SynodError, LookupError, TypeError, ValueError):  # a plugin that is not here, a setting without a default
        return None
