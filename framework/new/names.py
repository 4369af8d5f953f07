"""The names that a new plugin can have."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from pathlib import Path

import framework
from framework.config.groups import CONF, Groups
from framework.core.errors import ConfigError
from framework.core.tracebacks import printable
from framework.registry.registry import KINDS, load

WORDS = ("none", "auto", "null", "true", "false", "off", "on", "yes", "no")
"""Words that YAML or the command line would not read as a name."""

FOLDERS = ("conf", "runs", "tests")
"""Folders of a project beside the plugin's."""


def group_of(kind: str) -> str:
    """The config group of a kind of plugin: `faults` of `fault`."""
    return "faults" if kind == "fault" else kind


KIND_NAMES = tuple(group.removesuffix("s") for group in KINDS)
"""The kinds of plugin, as typed."""


def check_name(kind: str, name: str, classes: list[str], folder: Path) -> None:
    """ConfigError unless a new plugin of that kind can be called `name`, which its module below `folder`, its
    experiment and, with a suffix, its `classes` are called as well."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        better = re.sub(r"[^a-z0-9]+", "_", apart).strip("_0123456789") or f"my_{kind}"
        raise ConfigError(
            f"{printable(name)!r}", f"is not a valid name of a {kind.replace('_', ' ')}", f"Write {better!r}."
        )
    if (taken := _meaning(name, classes)) is not None:
        raise ConfigError(f"{name!r}", taken, f"Write 'my_{name}'.")
    registry = load()
    if name in registry.names(group_of(kind)):
        raise ConfigError(f"{kind.replace('_', ' ')} {name!r}", "exists already", "Choose another name.")
    if name in Groups(registry, [CONF]).files("experiment"):
        raise ConfigError(f"experiment {name!r}", "exists already", "Choose another name.")
    if _is_installed(name, folder):
        raise ConfigError(f"{name!r}", "is a module that is installed", f"Write 'my_{name}'.")


def _meaning(name: str, classes: list[str]) -> str | None:
    """Returns what the name already means, in any folder."""
    if name in sys.stdlib_module_names:
        return "is a module of Python's own"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in WORDS:
        return "means something else already"
    if name in FOLDERS:
        return "is the name of a folder beside it"
    clash = next((each for each in classes if each in framework.__all__), None)
    return None if clash is None else f"would call a class {clash}, as framework.{clash} is"


def _is_installed(name: str, folder: Path) -> bool:
    """Whether `import NAME` finds a module outside `folder`; a folder that is no package does not count."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return True
    return spec is not None and spec.origin is not None and not Path(spec.origin).is_relative_to(folder)
