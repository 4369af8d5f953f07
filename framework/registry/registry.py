"""The registry of installed plugins: finds and imports them, collects their specs, and checks them.

A plugin that cannot be imported, or whose spec or config folder breaks a rule, is listed in `Registry.broken`: a user
who does not select it gets a warning, a user who selects it gets the error. Ambiguities are errors at once: two plugins
with one name, a hook that would never be called, a `plugins` package that shadows ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pluggy

from framework.checking.models.model import Model
from framework.core.errors import RAISED, ConfigError, PluginError, did_you_mean
from framework.registry import hookspecs
from framework.registry.checks import check_functions, check_spec, checked_folders
from framework.registry.discovery import ROOT, Found, built_in, import_failure, import_path, installed, loose
from framework.registry.specs import (
    BalancerSpec,
    CheckerSpec,
    FaultSpec,
    ModelSpec,
    NetworkSpec,
    PlacementSpec,
    ProtocolSpec,
    Registered,
    Spec,
    StateMachineSpec,
    WorkloadSpec,
)

A = TypeVar("A")


@dataclass(frozen=True)
class PluginKind:
    """A kind of plugin: the config group that selects one (models have none), the hook that registers it, its spec
    class, and its field in `Registered`."""

    group: str
    hook: str
    spec: type[Spec]
    field: str


KINDS: dict[str, PluginKind] = {
    kind.group: kind
    for kind in (
        PluginKind("protocol", "register_protocols", ProtocolSpec, "protocols"),
        PluginKind("state_machine", "register_state_machines", StateMachineSpec, "state_machines"),
        PluginKind("placement", "register_placements", PlacementSpec, "placements"),
        PluginKind("balancer", "register_balancers", BalancerSpec, "balancers"),
        PluginKind("workload", "register_workloads", WorkloadSpec, "workloads"),
        PluginKind("network", "register_network_models", NetworkSpec, "networks"),
        PluginKind("faults", "register_faults", FaultSpec, "faults"),
        PluginKind("checker", "register_checkers", CheckerSpec, "checkers"),
        PluginKind("model", "register_models", ModelSpec, "models"),
    )
}

CONFIG_FOLDERS = "register_config_folders"


@dataclass(frozen=True)
class Registry:
    """The result of `load`.

    `broken` maps a plugin to its error, on one line; `origins` maps (group, name) to the plugin that registered it;
    `import_paths` are the folders that other processes need on their import path; `config_folders` maps each folder of
    configs to its plugin; `paths` are those of `plugins.path`.
    """

    registered: Registered
    hook: Any
    broken: Mapping[str, str]
    origins: Mapping[tuple[str, str], str]
    import_paths: tuple[str, ...]
    config_folders: Mapping[Path, str] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    _refused: Mapping[tuple[str, str], PluginError] = field(default_factory=dict)

    def get(self, group: str, name: str) -> Any:
        """Returns the spec that `group=name` selects. Raises ConfigError with a suggestion if there is no such spec,
        PluginError if a broken plugin has that name."""
        specs = self.names(group)
        if name in specs:
            return specs[name]
        if (group, name) in self._refused:
            raise self._refused[group, name]
        for plugin, error in self.broken.items():
            if plugin.rpartition(".")[2] == name:
                raise PluginError(f"plugin {plugin}", f"cannot be loaded: {error}", f"It may hold {group}={name}.")
        kind = group.removesuffix("s").replace("_", " ")
        what = f"there is no {kind} {name!r}"
        if self.broken:  # the likely reason, so it comes first
            what = f"there is no {kind} {name!r}, and {self.broken_listed}"
        raise ConfigError(f"{group}={name}", what, f"{did_you_mean(name, specs)}{self.paths_listed}")

    def names(self, group: str) -> Mapping[str, Spec]:
        """Returns all specs of a group, by name."""
        specs: Mapping[str, Spec] = getattr(self.registered, KINDS[group].field)
        return specs

    @property
    def models(self) -> dict[str, Model]:
        """The sequential models, by name."""
        return {name: spec.made() for name, spec in self.registered.models.items()}

    @property
    def broken_listed(self) -> str:
        """The errors of all broken plugins, for an error about a missing name; "" if no plugin is broken."""
        listed = "; ".join(f"{plugin}: {error}" for plugin, error in self.broken.items())
        return f"plugins could not be loaded: {listed}".rstrip(".") if listed else ""

    @property
    def paths_listed(self) -> str:
        """A sentence with the value of `plugins.path`, for an error about a missing name; "" if it is empty."""
        value = self.paths[0] if len(self.paths) == 1 else f"[{','.join(self.paths)}]"
        return f" plugins.path is {value}." if self.paths else ""

    def warnings(self) -> list[str]:
        """Returns one line per broken plugin, for the user's screen."""
        return [f"plugin {plugin} is left out: {error}" for plugin, error in self.broken.items()]


def load(paths: Sequence[str] = ()) -> Registry:
    """Finds and checks all plugins: built-in, installed, and at `paths` (folders or files).

    Nothing is kept between calls except the imported modules. Raises PluginError for ambiguities (see the module's
    docstring), ConfigError for a path without plugins.
    """
    return load_with(lambda folders: paths)


def load_with(paths_named: Callable[[Iterable[Path]], Sequence[str]]) -> Registry:
    """Does what `load` does, with paths that a config may name.

    `paths_named` gets the config folders of the built-in and installed plugins, and returns the paths.
    """
    loading = _Loading()
    for found in built_in():
        loading.add(found)
    for found in installed():
        loading.add(found)
    paths = paths_named(loading.config_folders)
    for path in paths:
        for found in loose(path):
            loading.add(found, must_register=True)
    roots = dict.fromkeys([str(ROOT), *(import_path(path) for path in paths)])
    return Registry(
        loading.registered,
        loading.plugins.hook,
        loading.broken,
        loading.origins,
        tuple(roots),
        loading.config_folders,
        tuple(paths),
        loading.refused,
    )


class _Loading:
    """A registry under construction."""

    def __init__(self) -> None:
        self.plugins = pluggy.PluginManager(hookspecs.PROJECT)
        self.plugins.add_hookspecs(hookspecs)
        self.hooks = [name for name in vars(hookspecs) if hasattr(vars(hookspecs)[name], f"{hookspecs.PROJECT}_spec")]
        self.registered = Registered()
        self.broken: dict[str, str] = {}
        self.origins: dict[tuple[str, str], str] = {}
        self.refused: dict[tuple[str, str], PluginError] = {}
        self.config_folders: dict[Path, str] = {}

    def add(self, found: Found, *, must_register: bool = False) -> None:
        """Imports a plugin and adds its specs and folders.

        A module without hooks is ignored, or, with `must_register`, an error.
        """
        try:
            module = found.load()
        except RAISED as error:
            self.broken[found.name] = import_failure(error)
            return
        if self.plugins.is_registered(module):
            return
        plugin = f"plugin {found.name}"
        check_functions(module, plugin, self.hooks, _is_marked)
        try:
            self.plugins.register(module, found.name)
            self.plugins.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(
                plugin, _first_line(error), "Write the hook as framework.registry.hookspecs has it."
            ) from error
        callers = self.plugins.get_hookcallers(module) or []
        if must_register and not callers:
            raise PluginError(plugin, "registers nothing", "Write @hookimpl above def register_protocols().")
        self._take_specs(found.name, module)
        for folder in self._answer(found.name, module, CONFIG_FOLDERS, checked_folders):
            self.config_folders.setdefault(folder, found.name)

    def _take_specs(self, plugin: str, module: Any) -> None:
        taken: list[tuple[PluginKind, Spec]] = []
        for kind in KINDS.values():
            specs = self._answer(plugin, module, kind.hook, partial(_checked_specs, kind.spec))
            taken += [(kind, spec) for spec in specs]
        siblings = [spec for _, spec in taken]
        for kind, spec in taken:
            self._take(plugin, kind, spec, siblings, getattr(module, "__name__", None))

    def _answer(self, plugin: str, module: Any, hook: str, checked: Callable[[str, str, Any], list[A]]) -> list[A]:
        """Returns the result of the plugin's hook, checked by `checked`; empty if the plugin has no such hook.

        A hook that raises, or whose result `checked` refuses, makes the plugin broken; the result is then empty.
        """
        implementation = getattr(module, hook, None)
        if implementation is None or not _is_marked(implementation):
            return []
        try:
            return checked(plugin, hook, implementation())
        except PluginError as error:
            self.broken[plugin] = f"{error.what}. {error.fix}"  # callers that show it add the plugin's name
        except RAISED as error:
            self.broken[plugin] = import_failure(error)
        return []

    def _take(self, plugin: str, kind: PluginKind, spec: Spec, siblings: list[Spec], home: str | None) -> None:
        key = (kind.group, spec.name)
        if self.origins.get(key) == plugin:
            raise PluginError(f"plugin {plugin}", f"registers {kind.group}={spec.name} twice", "Rename one.")
        if key in self.origins:
            raise PluginError(
                f"plugins {self.origins[key]} and {plugin}",
                f"both register {kind.group}={spec.name}",
                "Rename one.",
            )
        self.origins[key] = plugin
        try:
            check_spec(spec, siblings, home)
        except PluginError as error:
            _raise_if_main(plugin, spec, error)
            self.refused[key] = PluginError(f"plugin {plugin}", str(error))
            self.broken[plugin] = str(error)
            return
        getattr(self.registered, kind.field)[spec.name] = spec


def _checked_specs(kind: type[Spec], plugin: str, hook: str, answer: Any) -> list[Spec]:
    """Returns a hook's answer. Raises PluginError unless it is a list of specs of that kind."""
    wrong: Iterable[Any] = [answer] if not isinstance(answer, list | tuple) else answer
    for spec in wrong:
        if not isinstance(answer, list | tuple) or not isinstance(spec, kind):
            raise PluginError(
                f"plugin {plugin}",
                f"{hook} returns {type(spec).__name__}",
                f"Return a list of {kind.__name__}.",
            )
    return list(answer)


def _raise_if_main(plugin: str, spec: Spec, error: PluginError) -> None:
    if any(getattr(value, "__module__", None) == "__main__" for value in vars(spec).values()):
        raise PluginError(f"plugin {plugin}", str(error)) from error


def _is_marked(function: Any) -> bool:
    return hasattr(function, f"{hookspecs.PROJECT}_impl")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
