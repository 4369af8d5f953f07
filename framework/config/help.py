"""The full help text: groups with their options, and keys with their defaults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from framework.config.groups import CONF, GROUPS, LISTS, WORDS, Groups, first_comment
from framework.config.option_help import OTHER_SETTINGS, sweep_settings
from framework.config.overrides import SWEEP
from framework.config.plain_mappings import plain
from framework.config.schema import RunConfig, SchedulingConfig
from framework.config.setting_docs import Setting, explained, flat
from framework.config.setting_table import paragraph, row
from framework.core.command_line import command_line
from framework.registry.registry import Registry

WIDTH = 120


def help_text(registry: Registry, folders: Sequence[Path] = (CONF,), width: int = WIDTH) -> str:
    """Returns all groups with their options, and every key with its default, for `--help`."""
    groups = Groups(registry, folders)
    parts = [_keys(width), _options(groups, width), _sweeps(groups, width), _settings(groups, width)]
    return "\n\n".join("\n".join(part) for part in parts)


def _keys(width: int) -> Iterator[str]:
    yield "Keys (key=value):"
    yield from _rows((*explained(RunConfig()), *OTHER_SETTINGS), 24, width)


def _options(groups: Groups, width: int) -> Iterator[str]:
    yield "Groups (group=option):"
    for group in GROUPS:
        several = f" (several: {group}=[a,b])" if group in LISTS else ""
        yield f"  {group}{several}"
        if group in WORDS:
            yield f"    {' | '.join(WORDS[group])}"
        for name, option in groups.options(group).items():
            yield from row(name, option.summary, width, "    ")


def _settings(groups: Groups, width: int) -> Iterator[str]:
    yield "Settings of the options, with their defaults:"
    more = command_line("framework.run", "protocol=raft", "faults=crash", "--help")
    yield from paragraph(f"For their meanings: {more}, with any options.", width)
    for group in GROUPS:
        for name, option in groups.plugins(group).items():
            base = f"{group}.{name}" if group in LISTS else group
            if option.settings and group not in ("scheduling", "trace"):
                yield f"  {group}={name}"
                yield from (f"    {key}={value}" for key, value in flat(option.settings, base))
    yield "  scheduling"
    common = {key: value for key, value in plain(SchedulingConfig()).items() if key != "strategy"}
    yield from (f"    {key}={value}" for key, value in flat(common, "scheduling"))


def _sweeps(groups: Groups, width: int) -> Iterator[str]:
    yield "Sweeps (with -m: sweep=NAME):"
    several = "Several values of any key: a,b  'range(0,10)'  'glob(wan_*)'  'interval(1,9)'; see docs/sweeps.md."
    yield from paragraph(several, width)
    for name, file in groups.files(SWEEP).items():
        yield from row(name, first_comment(file), width, "    ")
    yield from _rows(sweep_settings(), 30, width)


def _rows(settings: Iterable[Setting], column: int, width: int) -> Iterator[str]:
    for setting in settings:
        words = f" ({setting.form})" if " | " in setting.form else ""
        yield from row(setting.label, f"{setting.text}{words}", width, column=column)
