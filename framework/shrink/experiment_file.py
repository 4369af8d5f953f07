"""A config as an experiment file that a person can read, keep and run: only the differences from the defaults."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework.config.compose import compose
from framework.config.groups import CONF, Groups, top_defaults
from framework.core.errors import ConfigError
from framework.registry.registry import Registry
from framework.registry.specs import ProtocolSpec
from framework.runs.folder import write_atomically
from framework.shrink.candidates import Defaults, PlainConfig

_CHOSEN = ("protocol", "state_machine", "placement", "balancer", "workload", "network", "engine")
_ELSEWHERE = ("experiment", "run", "plugins", "trace", "scheduling")
_ALWAYS = ("nodes", "clients", "duration", "seed")


def defaults_of(registry: Registry) -> Defaults:
    """Returns a function that gives the default settings of a plugin or an engine."""
    groups = Groups(registry, [CONF])

    def settings(group: str, name: str) -> Mapping[str, Any]:
        option = groups.plugins(group).get(name)
        return {} if option is None else dict(option.settings)

    return settings


def write_experiment(config: PlainConfig, registry: Registry, folder: Path, name: str, why: str) -> Path:
    """Writes `folder/experiment/NAME.yaml`, which `experiment=NAME --config-dir FOLDER` composes to `config` again.

    Raises ConfigError if it cannot be written, or would not compose to the same config.
    """
    path = folder / "experiment" / f"{name}.yaml"
    wanted = _compared(config)
    with tempfile.TemporaryDirectory(prefix="synod-written-") as elsewhere:
        draft = Path(elsewhere) / "experiment" / f"{name}.yaml"
        draft.parent.mkdir()
        for whole in (False, True):  # an option's defaults may come from conf/, not the plugin
            text = _text(config, registry, why, whole)
            draft.write_text(text, encoding="utf-8")
            found = _compared(compose([f"experiment={name}"], elsewhere, registry).config)
            if found == wanted:
                break
        else:
            wrong = ", ".join(key for key in wanted if found.get(key) != wanted[key])
            raise ConfigError(str(path), f"cannot say what was found: {wrong}", "Use the config.yaml of the run.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be written ({error.strerror})", "") from error
    write_atomically(path, text.encode())
    return path


def _compared(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the part of a config that affects a simulated run."""
    return {key: value for key, value in config.items() if key not in _ELSEWHERE}


def _text(config: PlainConfig, registry: Registry, why: str, whole: bool) -> str:
    from omegaconf import OmegaConf

    content = _content(config, registry, whole)
    head = ["# @package _global_", *(f"# {line}" for line in why.splitlines())]
    chosen = content.pop("defaults")
    lines = [*head, "defaults:", *(f"  - override /{group}: {option}" for group, option in chosen.items()), ""]
    return "\n".join(lines) + "\n" + OmegaConf.to_yaml(OmegaConf.create(content))


def _content(config: PlainConfig, registry: Registry, whole: bool) -> dict[str, Any]:
    usual = defaults_of(registry)
    chosen: dict[str, str] = {}
    content: dict[str, Any] = {}
    for key, value in top_defaults().items():
        if key in config and (key in _ALWAYS or config[key] != value):
            content[key] = config[key]
    for group in _CHOSEN:
        now = config.get(group)
        if not now:
            continue
        chosen[group] = now["name"]
        settings = {key: value for key, value in now.items() if key != "name"}
        content[group] = settings if whole else _difference(settings, usual(group, now["name"]))
    content["faults"] = {
        key: {"name": fault["name"], **_difference(_unnamed(fault), usual("faults", fault["name"]))}
        for key, fault in config["faults"].items()
    }
    if not _is_auto(config, registry, usual):
        chosen["checker"] = "none"
        content["checker"] = dict(config["checker"])
    places = (config.get("plugins") or {}).get("path") or []
    content["plugins"] = {"path": [_absolute(place) for place in ([places] if isinstance(places, str) else places)]}
    if not content["plugins"]["path"]:
        del content["plugins"]
    kept = {key: value for key, value in content.items() if value not in ({}, None)}
    return {"defaults": chosen, **kept}


def _is_auto(config: PlainConfig, registry: Registry, usual: Defaults) -> bool:
    """Returns whether the checkers are the ones named by the protocol, with their default settings."""
    spec: ProtocolSpec = registry.get("protocol", config["protocol"]["name"])
    return bool(config["checker"] == {name: {"name": name, **usual("checker", name)} for name in spec.checkers})


def _unnamed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != "name"}


def _difference(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the entries of `settings` that differ from `usual`, through nested mappings."""
    different: dict[str, Any] = {}
    for key, value in settings.items():
        before = usual.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = _difference(value, before)
            if inner:
                different[key] = inner
        elif key not in usual or value != before:
            different[key] = value
    return different


def _absolute(place: str) -> str:
    return str(Path(place).expanduser().resolve())
