"""Reads single config files: their content, the options that they choose, and whether Hydra would understand them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from framework.config.groups import GROUPS, Groups
from framework.config.plain_mappings import BOOLEAN_TRAP, BadValue
from framework.core.errors import ConfigError, did_you_mean
from framework.core.tracebacks import shown


def read_yaml(file: Path) -> dict[str, Any]:
    """Returns the mapping in `file`, with interpolations unresolved. Raises ConfigError if the file has no mapping."""
    try:
        content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark is not None else ""
        raise ConfigError(shown(file), f"{line}{getattr(error, 'problem', None) or 'is not YAML'}", "") from error
    except RecursionError as error:
        raise ConfigError(shown(file), "cannot be read: it is nested too deeply", "Nest a few levels.") from error
    except (OSError, ValueError, OmegaConfBaseException) as error:  # ValueError: not UTF-8, a number of 5,000 digits
        raise ConfigError(shown(file), f"cannot be read: {str(error).splitlines()[0]}", "") from error
    if not isinstance(content, dict):
        raise ConfigError(shown(file), "holds no keys", "Write key: value.")
    return {str(key): value for key, value in content.items()}


def check_experiment(file: Path, groups: Groups) -> None:
    """Raises ConfigError if Hydra would reject the defaults list, or would merge the keys in the wrong place."""
    content, where = read_yaml(file), shown(file)
    if "@package _global_" not in file.read_text(encoding="utf-8"):
        raise ConfigError(where, "its keys would not be at the top level", "Write # @package _global_ at its top.")
    listed = content.get("defaults", [])
    if not isinstance(listed, list):
        raise ConfigError(where, "defaults is not a list", "Write - override /protocol: NAME.")
    for item in listed:
        if isinstance(item, Mapping):
            for key, value in item.items():
                _check_default(str(key), value, where, groups)


def _check_default(key: str, value: Any, where: str, groups: Groups) -> None:
    override, _, slashed = key.rpartition(" ")
    group = slashed.lstrip("/")
    if group == "experiment":
        raise ConfigError(
            where,
            f"defaults: {key}: {value}: an experiment does not choose another",
            f"To start from it, write - {value}.",
        )
    if group not in GROUPS:
        raise ConfigError(where, f"defaults: there is no config group {group!r}", did_you_mean(group, GROUPS))
    if override.strip() != "override":
        raise ConfigError(where, f"defaults: {key}: {group} has a value already", f"Write - override /{group}: …")
    for name in value if isinstance(value, list) else [value]:
        if isinstance(name, bool):
            raise ConfigError(where, f"defaults: {key}: {str(name).lower()} is not an option", BOOLEAN_TRAP)
        if name is None:
            raise ConfigError(where, f"defaults: {key} names nothing", did_you_mean("", groups.options(group)))
        groups.check(group, str(name), where)


def own_choices(group: str, experiment: str, groups: Groups) -> list[str]:
    """Returns the options of `group` that an experiment's file chooses, else those of the files that it starts from."""
    files = groups.files("experiment")
    inherited: list[str] = []
    for item in read_yaml(files[experiment]).get("defaults", []):
        if isinstance(item, str) and item in files:
            inherited = own_choices(group, item, groups) or inherited
        for key, value in item.items() if isinstance(item, Mapping) else ():
            if str(key).rpartition(" ")[2].lstrip("/") == group:
                return [str(name) for name in (value if isinstance(value, list) else [value])]
    return inherited


def lineage(experiment: str, groups: Groups) -> set[str]:
    """Returns the names of an experiment and of all that it starts from; an empty set if it has no file."""
    files, found, waiting = groups.files("experiment"), set[str](), [experiment]
    while waiting:
        name = waiting.pop()
        if name in files and name not in found:
            found.add(name)
            listed = read_yaml(files[name]).get("defaults", [])
            waiting += [item for item in listed if isinstance(item, str)]
    return found


def misplaced(content: Any, usual: Any, key: str = "") -> BadValue | None:
    """Returns the first place where `content` has a list and `usual` a mapping, or the reverse; else None."""
    if isinstance(content, Mapping) and isinstance(usual, Mapping):
        inner = (misplaced(value, usual.get(name), f"{key}.{name}".lstrip(".")) for name, value in content.items())
        return next((bad for bad in inner if bad is not None), None)
    if isinstance(content, list) and isinstance(usual, Mapping):
        return BadValue(key, f"expected keys and values, got {content!r}")
    if isinstance(content, Mapping) and isinstance(usual, list):
        return BadValue(key, f"expected a list, got {dict(content)!r}")
    return None


def leads_back(experiment: str, groups: Groups, passed: tuple[str, ...] = ()) -> bool:
    """Returns whether an experiment, or one that it starts from, starts directly or indirectly from itself."""
    files = groups.files("experiment")
    if experiment in passed:
        return True
    listed = read_yaml(files[experiment]).get("defaults", [])
    others = [item for item in listed if isinstance(item, str) and item in files]
    return any(leads_back(other, groups, (*passed, experiment)) for other in others)
