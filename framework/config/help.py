"""What can be set: groups with their options, and keys with their defaults."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from framework.config.groups import CONF, GROUPS, LISTS, WORDS, Groups, first_comment
from framework.config.overrides import SWEEP
from framework.config.plain_mappings import plain
from framework.config.schema import RunConfig, SchedulingConfig, SweepConfig
from framework.config.setting_docs import explained, flat
from framework.registry.registry import Registry

_WIDTH = 22


def help_text(registry: Registry, folders: Sequence[Path] = (CONF,)) -> str:
    """All groups with their options, and every key with its default, for `--help`."""
    groups = Groups(registry, folders)
    options = ["Groups (group=option):", *_options(groups)]
    return "\n".join([*_keys(), "", *options, "", *_sweeps(groups), "", *_settings(groups)])


def _keys() -> Iterator[str]:
    yield "Keys (key=value):"
    for setting in explained(RunConfig()):
        yield f"  {f'{setting.key}={setting.default}':{_WIDTH}}{setting.text}"
    yield f"  {'run.dir=FOLDER':{_WIDTH}}where the run is kept; runs/<experiment>-<time>-<seed>"
    yield f"  {'plugins.path=FOLDER':{_WIDTH}}a folder or file of plugins that are not installed"


def _options(groups: Groups) -> Iterator[str]:
    for group in GROUPS:
        several = f" (several: {group}=[a,b])" if group in LISTS else ""
        yield f"  {group}{several}"
        if group in WORDS:
            yield f"    {' | '.join(WORDS[group])}"
        for name, option in groups.options(group).items():
            yield f"    {name:{_WIDTH - 2}}{option.summary}".rstrip()


def _settings(groups: Groups) -> Iterator[str]:
    yield "Settings of the options, with their defaults:"
    for group in GROUPS:
        for name, option in groups.plugins(group).items():
            base = f"{group}.{name}" if group in LISTS else group
            if option.settings and group not in ("scheduling", "trace"):
                yield f"  {group}={name}"
                yield from (f"    {key}={value}" for key, value in flat(option.settings, base))
    yield "  scheduling"
    common = {key: value for key, value in plain(SchedulingConfig()).items() if key != "strategy"}
    yield from (f"    {key}={value}" for key, value in flat(common, "scheduling"))


def _sweeps(groups: Groups) -> Iterator[str]:
    yield "Sweeps (with -m: sweep=NAME; several values of any key: a,b  'range(0,10)'  'glob(wan_*)'  'interval(1,9)'; docs/sweeps.md):"
    for name, file in groups.files(SWEEP).items():
        yield f"    {name:{_WIDTH - 2}}{first_comment(file)}".rstrip()
    for setting in explained(SweepConfig(), SWEEP):
        if not setting.key.startswith(f"{SWEEP}.params"):
            words = f" ({' | '.join(setting.words)})" if setting.words else ""
            yield f"  {f'{setting.key}={setting.default}':{_WIDTH + 4}} {setting.text}{words}"
