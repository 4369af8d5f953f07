"""The config groups and their options: plugins, Synod's own options, and files in the config folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from framework.config.plain_mappings import defaults, plain
from framework.config.schema import ENGINES, SCHEDULINGS, TRACES, RunConfig
from framework.core.errors import ConfigError, PluginError, did_you_mean
from framework.core.message import Config
from framework.core.tracebacks import shown
from framework.registry.discovery import ROOT
from framework.registry.registry import KINDS, Registry

CONF = ROOT / "conf"
"""Synod's own folder of configs, next to `framework`."""

GROUPS = (
    "experiment",
    "protocol",
    "state_machine",
    "placement",
    "balancer",
    "workload",
    "network",
    "faults",
    "engine",
    "scheduling",
    "trace",
    "checker",
)
LISTS = ("faults", "checker")
"""Groups that take several options at once, each under its own key: `faults.crash.down`."""

WORDS = {
    "faults": ("none",),
    "checker": ("auto", "none"),
    "state_machine": ("none",),
    "placement": ("none",),
    "balancer": ("none",),
}
"""Options that are not plugins; `checker=auto` means the checkers that the protocol names."""

TOP_KEYS = RunConfig.__struct_fields__
OTHER_KEYS = ("run.dir", "run.report", "plugins.path")


REPORTS = ("always", "on_failure", "never")
"""When a run writes report.html: the values of `run.report`, the default first. A failure is any verdict but valid."""


@dataclass(frozen=True)
class Option:
    """One option of a group: its summary, its default settings, and its file if it has one."""

    summary: str
    settings: Mapping[str, Any]
    file: Path | None = None


Entry = tuple[str, str, dict[str, Any], str | None]
"""The group, name, default settings and package of an option that needs no file."""


class Groups:
    """The options of every group, from the plugins and the config folders: Synod's, the user's, then the plugins'.

    Raises ConfigError or PluginError if two of the folders have a file of the same name.
    """

    def __init__(self, registry: Registry, folders: Sequence[Path]) -> None:
        self.registry = registry
        self.folders = tuple(dict.fromkeys([*folders, *registry.config_folders]))
        check_names(self.folders, registry.config_folders)

    def plugins(self, group: str) -> dict[str, Option]:
        """Returns the options that need no file."""
        if group in KINDS:
            specs = self.registry.names(group)
            return {name: Option(spec.summary, defaults(spec.config)) for name, spec in sorted(specs.items())}
        if group == "engine":
            return {name: Option(summary, defaults(config)) for name, (config, summary) in ENGINES.items()}
        own: Mapping[str, tuple[Config, str]] = {**SCHEDULINGS} if group == "scheduling" else {}
        if group == "trace":
            own = {**TRACES}
        return {name: Option(summary, plain(config)) for name, (config, summary) in own.items()}

    def files(self, group: str) -> dict[str, Path]:
        """Returns the options that are files; a name may have slashes."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            place = folder / group
            for file in sorted(place.rglob("*.yaml")):
                found.setdefault(file.relative_to(place).with_suffix("").as_posix(), file)
        return found

    def options(self, group: str) -> dict[str, Option]:
        """Returns all options of a group. A file takes precedence over a plugin of the same name."""
        options = self.plugins(group)
        for name, file in self.files(group).items():
            options[name] = Option(first_comment(file), {}, file)
        return options

    def stamps(self) -> list[tuple[str, int, int]]:
        """Returns the path, time of change and size of every file in the folders, which differ once a file differs."""
        found: list[tuple[str, int, int]] = []
        for folder in self.folders:
            for file in sorted(folder.rglob("*.yaml")):
                with suppress(FileNotFoundError):  # a link that leads nowhere
                    status = file.stat()
                    found.append((str(file), status.st_mtime_ns, status.st_size))
        return found

    def check(self, group: str, name: str, where: str) -> None:
        """Raises ConfigError or PluginError unless the group offers `name`."""
        if name in WORDS.get(group, ()) or name in self.files(group):
            return
        if group in KINDS:
            if name not in self.registry.names(group):
                self._refuse(group, name, where)
        elif name not in self.plugins(group):
            self._refuse(group, name, where)

    def _refuse(self, group: str, name: str, where: str) -> None:
        if group in KINDS:
            with suppress(ConfigError):
                self.registry.get(group, name)  # raises PluginError if a broken plugin has this name
        near = did_you_mean(name, [*self.options(group), *WORDS.get(group, ())])
        what = f"{group}={name}: there is no {label(group)} {name!r}"
        if self.registry.broken:  # the likely reason, so it comes first
            what = f"{what}, and {self.registry.broken_listed}"
        raise ConfigError(where, what, f"{near}{self.registry.paths_listed}")


def check_names(folders: Iterable[Path], plugins: Mapping[Path, str]) -> None:
    """Raises ConfigError or PluginError if two of the folders have a file of the same name.

    `plugins` maps each folder that a plugin brings to the name of that plugin.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        for file in sorted(folder.rglob("*.yaml")):
            other = found.setdefault(file.relative_to(folder), folder)
            if other != folder:
                raise _same_name(file, folder, other, plugins)


def _same_name(file: Path, folder: Path, other: Path, plugins: Mapping[Path, str]) -> ConfigError | PluginError:
    """Returns the error for a file of `folder` that has the same name as one in `other`, which is searched first."""
    name = file.relative_to(folder)
    second, first = shown(file), shown(other / name)
    if other == CONF:
        ours = f"has the name of one of Synod's own configs, {first}"
        if folder not in plugins:
            return ConfigError(second, ours, "Rename it.")
        return PluginError(f"plugin {plugins[folder]}", f"{second} {ours}", "Rename it, or uninstall the plugin.")
    if other not in plugins:
        what = f"has the name of a config of plugin {plugins[folder]}, {second}"
        return ConfigError(first, what, "Rename yours.")
    where = f"plugins {plugins[other]} and {plugins[folder]}"
    what = f"both bring {name.as_posix()}: {first} and {second}"
    return PluginError(where, what, "Rename one, or uninstall one of the plugins.")


def label(group: str) -> str:
    """Returns the noun for one option of a group, as used in messages."""
    return "fault" if group == "faults" else group.replace("_", " ")


def store_entries(groups: Groups) -> list[Entry]:
    """Returns every option that needs no file. The setting `name` is the name of the plugin."""
    entries: list[Entry] = []
    for group in GROUPS:
        for name, option in groups.plugins(group).items():
            named = {"name": name} if group in KINDS or group == "engine" else {}
            package = f"{group}.{name}" if group in LISTS else None
            entries.append((group, name, named | dict(option.settings), package))
        entries += [(group, word, {}, None) for word in WORDS.get(group, ())]
    return entries


def shapes(groups: Groups) -> dict[str, Any]:
    """Returns a config with every setting of every option, which shows where mappings and where lists belong."""
    shape: dict[str, Any] = {"run": {"dir": None, "report": REPORTS[0]}, "plugins": {"path": []}}
    for group in GROUPS:
        options = {name: dict(option.settings) for name, option in groups.plugins(group).items()}
        shape[group] = (
            options if group in LISTS else {k: v for settings in options.values() for k, v in settings.items()}
        )
    return shape


def top_defaults() -> dict[str, Any]:
    """Returns the top-level keys and their defaults."""
    return {field.name: plain(field.default) for field in msgspec.structs.fields(RunConfig)}


def first_comment(file: Path) -> str:
    """Returns the first comment of a config file, which serves as its summary; "" if it has none."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and "@package" not in line:
            return line.lstrip("# ").strip()
    return ""
