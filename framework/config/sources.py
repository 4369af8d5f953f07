"""Config files as they stand: to say in which of them a value was written, and to check their defaults lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from framework.config.groups import CONF, GROUPS, LISTS, Groups
from framework.config.overrides import COMMAND_LINE, Override
from framework.config.plain import BOOLEAN_TRAP, BadValue
from framework.core.errors import ConfigError, did_you_mean
from framework.core.tracebacks import shown


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in `file`, interpolations left as they are. ConfigError if it is not one."""
    try:
        content = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark is not None else ""
        raise ConfigError(shown(file), f"{line}{getattr(error, 'problem', None) or 'is not YAML'}", "") from error
    except RecursionError as error:
        raise ConfigError(shown(file), "cannot be read: it is nested too deeply", "Nest a few levels.") from error
    except (OSError, ValueError, OmegaConfBaseException) as error:  # ValueError: no UTF-8, a number of 5,000 digits
        raise ConfigError(shown(file), f"cannot be read: {str(error).splitlines()[0]}", "") from error
    if not isinstance(content, dict):
        raise ConfigError(shown(file), "holds no keys", "Write key: value.")
    return {str(key): value for key, value in content.items()}


def check_experiment(file: Path, groups: Groups) -> None:
    """ConfigError for a defaults list that Hydra would not understand, or keys that would land in the wrong place."""
    content, where = read_yaml(file), shown(file)
    if "@package _global_" not in file.read_text(encoding="utf-8"):
        raise ConfigError(where, "its keys would not stand at the top level", "Write # @package _global_ at its top.")
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
            raise ConfigError(where, f"defaults: {key}: {str(name).lower()} is no option", BOOLEAN_TRAP)
        if name is None:
            raise ConfigError(where, f"defaults: {key} names nothing", did_you_mean("", groups.options(group)))
        groups.check(group, str(name), where)


def own_choice(group: str, experiment: str, groups: Groups) -> str | None:
    """The option of `group` that an experiment's file chooses, or else a file that it starts from."""
    files = groups.files("experiment")
    inherited = None
    for item in read_yaml(files[experiment]).get("defaults", []):
        if isinstance(item, str) and item in files:
            inherited = own_choice(group, item, groups) or inherited
        for key, value in item.items() if isinstance(item, Mapping) else ():
            if str(key).rpartition(" ")[2].lstrip("/") == group:
                return str(value)
    return inherited


def leads_back(experiment: str, groups: Groups, passed: tuple[str, ...] = ()) -> bool:
    """Whether an experiment starts from another that starts, by however many others, from itself."""
    files = groups.files("experiment")
    if experiment in passed:
        return True
    listed = read_yaml(files[experiment]).get("defaults", [])
    others = [item for item in listed if isinstance(item, str) and item in files]
    return any(leads_back(other, groups, (*passed, experiment)) for other in others)


class Sources:
    """Where the values of one composed config were written."""

    def __init__(self, overrides: Sequence[Override], choices: Mapping[str, Any], groups: Groups) -> None:
        self._overrides = overrides
        self._choices = choices
        self._groups = groups

    def error(self, bad: BadValue) -> ConfigError:
        """`bad` with its source: the override that set the key, else the file, else the option with the default."""
        for override in reversed(self._overrides):
            if not override.is_choice and _touches(override.key, bad.key):
                what = bad.what if override.key != bad.key else f"{override.text}: {bad.what}"
                key = "" if override.key == bad.key else f"{bad.key}: "
                fix = "" if bad.fix == BOOLEAN_TRAP else bad.fix  # the command line has no such trap
                return ConfigError(COMMAND_LINE, f"{key}{what}", fix)
        where = self._file(bad.key)
        group = bad.key.partition(".")[0]
        if (own := self.replaced(group)) is not None and where == self._experiment_file():
            chosen = f"{group}={self._choices[group]}"
            what = f"{bad.key}: {bad.what}; the file sets options of {group}={own}, and {chosen} was chosen"
            return ConfigError(where, what, f"Leave {chosen} out, or choose another experiment.")
        return ConfigError(
            where, bad.what if where == bad.key.replace(".", "=", 1) else f"{bad.key}: {bad.what}", bad.fix
        )

    def replaced(self, group: str) -> str | None:
        """The option of `group` that the experiment's own file chooses, if another was chosen in its place."""
        experiment = self._choices.get("experiment")
        if not experiment or group in LISTS or group not in GROUPS:
            return None
        own = own_choice(group, str(experiment), self._groups)
        return own if own != self._choices.get(group) else None

    def _experiment_file(self) -> str:
        return shown(self._groups.files("experiment")[str(self._choices["experiment"])])

    def _file(self, key: str) -> str:
        steps = key.split(".")
        experiment = self._choices.get("experiment")
        candidates: list[tuple[Path | None, list[str]]] = []
        if experiment:
            candidates.append((self._groups.files("experiment").get(str(experiment)), steps))
        if steps[0] in GROUPS:
            files = self._groups.files(steps[0])
            file = files.get(str(self._choices.get(steps[0])))
            candidates += [(file, part) for part in (steps[1:], steps[2:], steps)]
        candidates.append((CONF / "config.yaml", steps))
        for file, path in candidates:
            if file is not None and path and _holds(read_yaml(file), path):
                return shown(file)
        return f"{steps[0]}={self._choices[steps[0]]}" if self._choices.get(steps[0]) else "config"


def _touches(written: str, key: str) -> bool:
    return written == key or written.startswith(f"{key}.") or key.startswith(f"{written}.")


def _holds(content: Any, steps: Sequence[str]) -> bool:
    for step in steps:
        if not isinstance(content, Mapping) or step not in content:
            return False
        content = content[step]
    return True
