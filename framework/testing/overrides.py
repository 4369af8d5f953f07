"""Overrides as tests write them: those of plugins that are not installed, and the keys that an author sets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from framework.config.overrides import read_overrides

PLUGINS = "plugins.path"


def with_plugins(overrides: Sequence[str], plugins: Sequence[str]) -> list[str]:
    """`overrides` with the files or folders `plugins` as their `plugins.path`, unless they name some themselves."""
    if not plugins or any(override.partition("=")[0] == PLUGINS for override in overrides):
        return list(overrides)
    paths = [typed(path) for path in plugins]
    value = paths[0] if len(paths) == 1 else f"[{','.join(map(_quoted, paths))}]"
    return [*overrides, f"{PLUGINS}={value}"]


def typed(path: str | Path) -> str:
    """A path as a person would type it: from the working directory, if it lies below."""
    place, here = Path(path).absolute(), Path.cwd()
    return os.path.relpath(place, here) if place.is_relative_to(here) else str(place)


def keys_set(overrides: Iterable[str]) -> set[str]:
    """The keys that `overrides` set, add or delete, without signs. ConfigError for anything that is not an override."""
    return {override.key for override in read_overrides(list(overrides))}


def sets(keys: Iterable[str], key: str) -> bool:
    """Returns whether one of `keys` is `key`, or is above or below it: `faults` and `faults.crash.at`."""
    return any(one == key or one.startswith(f"{key}.") or key.startswith(f"{one}.") for one in keys)


def _quoted(text: str) -> str:
    """A text within a list of an override."""
    return text if re.fullmatch(r"[\w./-]+", text) else "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
