"""The command `python -m framework.plugins [KIND [NAME]]`: lists the installed plugins, their settings and defaults.

For a single plugin it also prints the meaning of each setting. The full list ends with the plugins' config folders.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports, so that their errors are reported too
    from framework.console.entry import run_as_command

    run_as_command("framework.plugins.__main__")

import sys
from collections.abc import Iterator, Sequence

from framework.config.compose import load_plugins
from framework.config.groups import LISTS
from framework.config.option_help import facts, option_help
from framework.config.plain_mappings import defaults
from framework.config.setting_docs import flat
from framework.console.entry import carried_out
from framework.console.formatting import terminal_width
from framework.core.command_line import command_line, command_name
from framework.core.errors import ConfigError, did_you_mean
from framework.registry.registry import KINDS, Registry
from framework.registry.specs import Spec


def main(arguments: Sequence[str]) -> int:
    """Prints the list. Returns 0; or 2, with one line on stderr, if the kind or plugin does not exist."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(f"{_usage()}\nKinds: {', '.join(KINDS)}.")
        return 0
    return carried_out(lambda: _list(arguments))


def _usage() -> str:
    return f"usage: {command_line('framework.plugins')} [KIND [NAME]] [plugins.path=FOLDER]"


def _list(arguments: Sequence[str]) -> int:
    paths = [word for word in arguments if word.startswith("plugins.path=")]
    words = [word for word in arguments if not word.startswith("plugins.path=")]
    if len(words) > 2:
        raise ConfigError(command_name("framework.plugins"), "takes a kind and a name", _usage())
    registry = load_plugins(paths)
    for line in listing(registry, *words):
        print(line)
    for warning in registry.warnings():
        print(warning, file=sys.stderr)
    return 0


def listing(registry: Registry, kind: str | None = None, name: str | None = None) -> Iterator[str]:
    """Yields the lines for all plugins, those of one kind, or one. Raises ConfigError for an unknown kind or name."""
    if kind is not None and kind not in KINDS and f"{kind}s" not in KINDS and kind.removesuffix("s") not in KINDS:
        raise ConfigError(
            command_name("framework.plugins"), f"there is no kind of plugin {kind!r}", did_you_mean(kind, KINDS)
        )
    wanted = [group for group in KINDS if kind is None or kind.removesuffix("s") == group.removesuffix("s")]
    if name is not None:
        yield from option_help(registry, wanted[0], registry.get(wanted[0], name), terminal_width())
        return
    for group in wanted:
        specs = registry.names(group)
        yield f"{group} ({len(specs)})"
        for spec in sorted(specs.values(), key=lambda spec: spec.name):
            yield from _described(registry, group, spec)
    if kind is None:
        yield from _config_folders(registry)


def _config_folders(registry: Registry) -> Iterator[str]:
    """Yields the plugins' config folders, each with its files."""
    yield f"config folders ({len(registry.config_folders)})"
    for folder, plugin in registry.config_folders.items():
        yield f"  {folder}"
        yield f"    from {plugin}"
        for file in sorted(folder.glob("*/**/*.yaml")):
            group, _, option = file.relative_to(folder).with_suffix("").as_posix().partition("/")
            yield f"    {group}={option}"


def _described(registry: Registry, group: str, spec: Spec) -> Iterator[str]:
    yield f"  {spec.name:16} {spec.summary}"
    yield from (f"    {fact}" for fact in facts(registry, group, spec))
    key = f"{group}.{spec.name}" if group in LISTS else group
    yield from (f"    {key}={value}" for key, value in flat(defaults(spec.config), key) if spec.config is not None)
