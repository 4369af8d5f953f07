"""The sources of a composed config's values: the command line, a file, or a default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framework.config.files import own_choices, read_yaml
from framework.config.groups import CONF, GROUPS, LISTS, Groups
from framework.config.overrides import COMMAND_LINE, Override
from framework.config.plain_mappings import BOOLEAN_TRAP, BadValue
from framework.core.errors import ConfigError
from framework.core.tracebacks import shown


class Sources:
    """The sources of one composed config's values."""

    def __init__(self, overrides: Sequence[Override], choices: Mapping[str, Any], groups: Groups) -> None:
        self._overrides = overrides
        self._choices = choices
        self._groups = groups

    def error(self, bad: BadValue) -> ConfigError:
        """Returns `bad` as a ConfigError that names its source: the override that set the key, else the file, else the
        option with the default."""
        for override in reversed(self._overrides):
            if not override.is_choice and _touches(override.key, bad.key):
                written = override.text if override.key == bad.key and not override.deletes else bad.shown
                fix = "" if bad.fix == BOOLEAN_TRAP else bad.fix  # does not apply to the command line
                return ConfigError(COMMAND_LINE, f"{written}: {bad.what}", fix)
        where = self._file(bad.key)
        group = bad.key.partition(".")[0]
        if (own := self.replaced(group)) is not None and where == self._experiment_file():
            chosen = f"{group}={self._choices[group]}"
            what = f"{bad.shown}: {bad.what}; the file sets options of {group}={own}, and {chosen} was chosen"
            return ConfigError(where, what, f"Leave {chosen} out, or choose another experiment.")
        said = where.startswith(f"{bad.key}=") or where == bad.key.replace(".", "=", 1)
        return ConfigError(where, bad.what if said else f"{bad.shown}: {bad.what}", bad.fix)

    def replaced(self, group: str) -> str | None:
        """Returns the option of `group` that the experiment's own file chooses, if another was chosen in its place."""
        experiment = self._choices.get("experiment")
        if not experiment or group in LISTS or group not in GROUPS:
            return None
        own = own_choices(group, str(experiment), self._groups)
        return own[0] if own and own[0] != self._choices.get(group) else None

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
        if isinstance(content, Mapping):
            content = {str(key): value for key, value in content.items()}
        elif isinstance(content, list):
            content = {str(number): value for number, value in enumerate(content)}
        if not isinstance(content, Mapping) or step not in content:
            return False
        content = content[step]
    return True
