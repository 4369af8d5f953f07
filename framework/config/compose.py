"""Composes `conf/`, the plugins' defaults and the command line into one validated experiment.

Hydra's compose API does the merge; Hydra's runtime (folders, logging, sweeps) is not used. The merged config is checked
here against the types of the plugins' configs: one place knows every key, and every error names its source.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from framework.config.files import check_experiment, leads_back, misplaced, read_yaml
from framework.config.groups import CONF, Entry, Groups, shapes, store_entries
from framework.config.help import help_text as help_text
from framework.config.override_changes import put, remove
from framework.config.overrides import COMMAND_LINE, Override, choices_of, chosen_experiment, read_overrides
from framework.config.plain_mappings import BadValue, is_path
from framework.config.resolve import Composed, resolve
from framework.config.sources import Sources
from framework.core.errors import ConfigError, did_you_mean
from framework.core.tracebacks import printable, shown
from framework.registry.registry import Registry, load_with

__all__ = ["Composed", "compose", "help_text", "load_plugins"]


def compose(overrides: Sequence[str], config_dir: str | None = None, registry: Registry | None = None) -> Composed:
    """Returns the experiment that `overrides` (`experiment=hello`, `nodes=5`, …) describe.

    `config_dir` is a folder of the user's own config groups, searched after Synod's and before the plugins' folders.
    Without `registry` the plugins are loaded, including those at `plugins.path`. Raises ConfigError for every mistake
    of the user, and PluginError if a selected plugin is broken, or if two plugins bring files of the same name.
    """
    written = read_overrides(overrides)
    folders = config_folders(config_dir)
    if registry is None:
        registry = _loaded(written, folders)
    groups = Groups(registry, folders)
    experiment = chosen_experiment(written)
    chosen = choices_of(written, groups)
    if experiment is not None:
        check_experiment(groups.files("experiment")[experiment], groups)
    merged, choices = _merge(chosen, groups, experiment)
    values = [override for override in written if not override.is_choice or override.takes_out]
    for override in values:
        if not override.deletes:
            put(merged, override)
    sources = Sources(written, choices, groups)
    try:
        merged = _resolved(merged)
        remove(merged, choices, [override for override in values if override.deletes], registry)
        composed = resolve(merged, choices, registry, tuple(overrides))
    except BadValue as bad:
        raise sources.error(bad) from bad
    replaced = sources.replaced("protocol") is not None
    return replace(composed, title=f"{composed.title} (protocol {choices['protocol']})") if replaced else composed


def load_plugins(overrides: Sequence[str], config_dir: str | None = None) -> Registry:
    """Returns the registry that `compose` would load for these overrides."""
    return _loaded(read_overrides(overrides), config_folders(config_dir))


def _loaded(overrides: Sequence[Override], folders: Sequence[Path]) -> Registry:
    return load_with(lambda brought: plugin_paths(overrides, [*folders, *brought]))


def config_folders(config_dir: str | None) -> list[Path]:
    """Returns Synod's own folder of configs, then the user's. Raises ConfigError if `config_dir` is not a folder."""
    if config_dir is None:
        return [CONF]
    own = Path(config_dir).expanduser().resolve()
    if not own.is_dir():
        raise ConfigError(f"--config-dir {config_dir}", "there is no such folder", "Name a folder of config groups.")
    return [CONF] if own == CONF else [CONF, own]


def plugin_paths(overrides: Sequence[Override], folders: Iterable[Path]) -> list[str]:
    """Returns the value of `plugins.path` on the command line, else in the experiment's file.

    Raises ConfigError if it is not a list of possible paths.
    """
    where = COMMAND_LINE
    given = [override.value for override in overrides if override.key == "plugins.path"]
    experiment = chosen_experiment(overrides)
    files = [folder / "experiment" / f"{experiment}.yaml" for folder in folders]
    file = next((file for file in files if file.is_file()), None)
    if not given and file is not None:
        where, plugins = shown(file), read_yaml(file).get("plugins")
        given = [plugins.get("path")] if isinstance(plugins, dict) else []
    value = given[-1] if given else []
    paths = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(path, str) for path in paths):
        raise ConfigError(
            where, f"plugins.path: expected folders or files, got {value!r}", "Write plugins.path=FOLDER."
        )
    for path in paths:
        if not is_path(path):
            raise ConfigError(f"plugins.path={printable(path)}", "is not a valid path", "Write plugins.path=FOLDER.")
    return paths


def _merge(chosen: list[str], groups: Groups, experiment: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns Hydra's merge of the files and defaults as plain data, and the option chosen from each group.

    Interpolations are not resolved. Hydra's errors become ConfigErrors. A merge takes most of the time of a
    composition, so the last merges of a process are kept: the same choices are merged again only if an option or a file
    has changed.
    """
    options = store_entries(groups)
    key = repr((chosen, groups.folders, groups.stamps(), options))
    if key not in _merged:
        merged = _merge_by_hydra(chosen, groups, options, experiment)
        if len(_merged) == _MERGES_KEPT:
            del _merged[next(iter(_merged))]
        _merged[key] = merged
    return copy.deepcopy(_merged[key])


_MERGES_KEPT = 64
_merged: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}


def _merge_by_hydra(
    chosen: list[str], groups: Groups, options: list[Entry], experiment: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Does what `_merge` does, each time anew."""
    places = [QuotedString(f"file://{folder}", Quote.single) for folder in groups.folders[1:]]
    searched = f"hydra.searchpath=[{','.join(place.with_quotes() for place in places)}]"
    try:
        with initialize_config_dir(config_dir=str(CONF), version_base="1.3"), _stored(options):
            config = hydra_compose("config", overrides=[searched, *chosen], return_hydra_config=True)
        return _plain_parts(config)
    except RecursionError:
        where = "config" if experiment is None else shown(groups.files("experiment")[experiment])
        if experiment is not None and leads_back(experiment, groups):
            what = "its defaults lists form a cycle"
            raise ConfigError(where, what, "Remove one of the entries.") from None
        raise ConfigError(where, "it, or a file that it chooses, is nested too deeply", "Nest a few levels.") from None
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, yaml.YAMLError) as error:
        where = "config" if experiment is None else shown(groups.files("experiment")[experiment])
        raise _mended(error, groups, where) from error


def _plain_parts(config: DictConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    choices = OmegaConf.to_container(config.hydra.runtime.choices)
    HydraConfig.instance().cfg = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        OmegaConf.set_struct(config, False)
        del config["hydra"]
    merged = OmegaConf.to_container(config, resolve=False)
    assert isinstance(merged, dict) and isinstance(choices, dict)
    return {str(key): value for key, value in merged.items()}, {str(key): value for key, value in choices.items()}


def _resolved(merged: dict[str, Any]) -> dict[str, Any]:
    """Returns the config with its interpolations resolved. Raises BadValue for one that refers to a missing key."""
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(merged), resolve=True)
    except OmegaConfBaseException as error:
        missing = re.search(r"Interpolation key '(.*)' not found", str(error))
        what = f"${{{missing[1]}}} refers to a key that does not exist" if missing else str(error).splitlines()[0]
        raise BadValue(error.full_key or "config", what, did_you_mean(missing[1], merged) if missing else "") from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


@contextmanager
def _stored(options: list[Entry]) -> Iterator[None]:
    """Adds Synod's options to Hydra's process-wide store. On exit the store is as it was.

    The filled store is kept until other options are composed with: filling it takes a third of a composition.
    """
    global _filled
    store = ConfigStore.instance()
    before = store.repo
    try:
        if _filled is not None and _filled[0] == repr(options):
            store.repo = _filled[1]
        else:
            store.repo = copy.deepcopy(before)
            for group, name, settings, package in options:
                store.store(group=group, name=name, node=settings, package=package)
            _filled = (repr(options), store.repo)
        yield
    finally:
        store.repo = before


_filled: tuple[str, dict[str, Any]] | None = None


def _of_a_wrong_shape(group: str, name: str, groups: Groups, where: str) -> ConfigError:
    """Returns the error for a file with a list where the config it is merged into has a mapping, or the reverse."""
    file = groups.files(group).get(name)
    if file is None:
        return ConfigError(where, f"does not fit {group}={name}", "")
    content = {key: value for key, value in read_yaml(file).items() if key != "defaults"}
    usual = shapes(groups)
    bad = misplaced(content, usual if group == "experiment" else usual.get(group))
    what = f"{bad.key}: {bad.what}" if bad is not None else "has a list where keys and values are due, or the reverse"
    return ConfigError(shown(file), what, "")


def _mended(error: Exception, groups: Groups, where: str) -> ConfigError:
    """Returns Hydra's error as one line in Synod's words."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if named := re.match(r"In '(\w+)/(.+?)': ConfigTypeError", str(error)):
        return _of_a_wrong_shape(named[1], named[2], groups, where)
    missing = getattr(error, "missing_cfg_file", None)
    if isinstance(missing, str) and "/" in missing:
        group, _, name = missing.partition("/")
        return ConfigError(where, f"there is no {group} {name!r}", "")
    text = next((line.strip() for line in str(cause).splitlines() if line.strip()), type(error).__name__)
    if text.startswith("You must specify 'protocol'"):
        experiments = ", ".join(sorted(groups.files("experiment")))
        return ConfigError(
            COMMAND_LINE, "no protocol is chosen", f"Write experiment=NAME ({experiments}) or protocol=NAME."
        )
    return ConfigError(where, text.partition("See https://")[0].strip(), "")
