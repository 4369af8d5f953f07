"""Help on single options and keys, chosen by the words beside `--help`.

protocol=raft                   the plugin's summary, and each of its settings
protocol                        the options of the group
experiment=raft_wan             the options that the file chooses and the values that it sets
nodes, protocol.read_mode=log   one key
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Glob, QuotedString, Sweep

from framework.config.files import check_experiment, leads_back, own_choices, read_yaml
from framework.config.groups import CONF, GROUPS, LISTS, OTHER_KEYS, REPORTS, TOP_KEYS, WORDS, Groups, first_comment
from framework.config.overrides import COMMAND_LINE, SWEEP, parsed_overrides
from framework.config.schema import ENGINES, SCHEDULINGS, RunConfig, SweepConfig
from framework.config.setting_docs import Setting, explained, flat
from framework.config.setting_table import paragraph, row, table
from framework.core.command_line import command_line
from framework.core.errors import ConfigError, did_you_mean
from framework.core.tracebacks import shown
from framework.registry.registry import KINDS, Registry
from framework.registry.specs import ProtocolSpec, Spec, StateMachineSpec
from framework.replication.sessions import ReplicatedConfig

OTHER_SETTINGS = (
    Setting("run.dir", "FOLDER", "", "The folder of the run; by default runs/<experiment>-<time>-<seed>."),
    Setting("run.report", REPORTS[0], " | ".join(REPORTS), "When the run writes report.html into its folder."),
    Setting("plugins.path", "FOLDER", "", "A folder or file of plugins that are not installed; several: [a,b]."),
)
"""Settings below the top level that belong to no group."""

_MEANINGS = {
    ("faults", "none"): "No faults.",
    ("checker", "auto"): "The checkers that the protocol names.",
    ("checker", "none"): "No checkers: the history is not judged.",
    ("state_machine", "none"): "No state machine.",
    ("placement", "none"): "No placement.",
    ("balancer", "none"): "No balancer.",
}
"""The meanings of the options that are not plugins."""


def help_with(words: Sequence[str], groups: Groups, width: int) -> str:
    """Returns the help on `words`, given beside `--help`. Raises ConfigError for a word that is unknown."""
    asked = [_Asked(word, groups) for word in words]
    chosen = {(one.key, name) for one in asked for name in one.names}
    parts: list[list[str]] = []
    for one in asked:
        if one.key in (*GROUPS, SWEEP):
            parts += _of_group(one, groups, chosen, width)
    parts += _of_keys(asked, groups, chosen, width)
    parts.append([f"Every option and key: {command_line('framework.run', '--help')}"])
    return "\n\n".join("\n".join(part) for part in parts)


def naming_plugins(words: Sequence[str]) -> list[str]:
    """Returns the words beside `--help` that affect which plugins to load: `plugins.path`, and a single experiment."""
    one = [word for word in words if word.startswith("experiment=") and not set(word) & set(",([")]
    return [*(word for word in words if word.startswith("plugins.path=")), *one]


def option_help(registry: Registry, group: str, spec: Spec, width: int) -> Iterator[str]:
    """Yields a plugin's summary, its origin, and each of its settings."""
    yield f"{group}={spec.name}"
    yield from paragraph(spec.summary, width)
    for line in facts(registry, group, spec):
        yield from paragraph(line, width, "    ", "  ")
    if spec.config is not None:
        yield ""
        yield from table(list(explained(spec.config(), _base(group, spec.name))), width)


def facts(registry: Registry, group: str, spec: Spec) -> Iterator[str]:
    """Yields lines on a plugin's origin, and on its operations, checkers and invariants."""
    yield f"from {registry.origins[group, spec.name]}"
    if isinstance(spec, ProtocolSpec):
        operations = ", ".join(spec.operations) or "those of the state machine"
        yield f"operations: {operations}; checkers: {', '.join(spec.checkers) or 'none'}"
        if spec.invariants:
            yield f"invariants: {', '.join(invariant.__qualname__ for invariant in spec.invariants)}"
    if isinstance(spec, StateMachineSpec):
        yield f"operations: {', '.join(spec.machine.operations)}; model: {spec.model or 'none'}"


class _Asked:
    """One word of the command line: its key, and the options that it names if the key is a group."""

    def __init__(self, word: str, groups: Groups) -> None:
        self.word, self.names = word, list[str]()
        if "=" not in word and not word.startswith("~"):
            self.key = word
            return
        ((_, parsed),) = parsed_overrides([word])
        self.key = parsed.key_or_group
        if self.key in (*GROUPS, SWEEP):
            options = groups.files(SWEEP) if self.key == SWEEP else groups.options(self.key)
            self.names = list(map(str, _values(parsed.value(), options)))
            for name in self.names:
                _check(self.key, name, groups)


def _values(value: Any, options: Iterable[str]) -> Iterable[Any]:
    if isinstance(value, ChoiceSweep):
        return [one.text if isinstance(one, QuotedString) else one for one in value.list]
    if isinstance(value, Glob):
        return [name for name in options if any(fnmatch(name, pattern) for pattern in value.include)]
    if value is None or isinstance(value, dict | Sweep):
        return []
    return value if isinstance(value, list) else [value]


def _check(group: str, name: str, groups: Groups) -> None:
    if group != SWEEP:
        groups.check(group, name, COMMAND_LINE)
    elif name not in groups.files(SWEEP):
        raise ConfigError(
            COMMAND_LINE, f"sweep={name}: there is no sweep {name!r}", did_you_mean(name, groups.files(SWEEP))
        )


def _of_group(one: _Asked, groups: Groups, chosen: set[tuple[str, str]], width: int) -> Iterator[list[str]]:
    """Yields the parts about the options that a word names; if it names none, a list of the group's options."""
    if not one.names:
        yield list(_group(one.key, groups, width))
    for name in one.names:
        if one.key in ("experiment", SWEEP):
            yield list(_file(one.key, name, groups, width))
        else:
            yield list(_option(one.key, name, groups, width))
            yield from _machine(one.key, name, groups, chosen, width)


def _group(group: str, groups: Groups, width: int) -> Iterator[str]:
    """Yields a group, its options, and the command that explains one of them."""
    if group == SWEEP:
        options = {name: first_comment(file) for name, file in groups.files(SWEEP).items()}
    else:
        options = {word: _MEANINGS[group, word] for word in WORDS.get(group, ())}
        options |= {name: option.summary for name, option in groups.options(group).items()}
    several = f" (several: {group}=[a,b])" if group in LISTS else ""
    yield f"{group}=NAME{several}"
    for name, summary in options.items():
        yield from row(name, summary, width)
    if options:
        yield ""
        last = list(options)[-1]
        yield f"More about one: {command_line('framework.run', f'{group}={last}', '--help')}"
    if group == SWEEP:
        yield ""
        yield from table(list(sweep_settings()), width)


def _option(group: str, name: str, groups: Groups, width: int) -> Iterator[str]:
    files = groups.files(group)
    if name in files:
        yield from _file(group, name, groups, width)
        plugin = str(read_yaml(files[name]).get("name"))
        if group in KINDS and plugin in groups.registry.names(group):
            yield ""
            yield from option_help(groups.registry, group, groups.registry.get(group, plugin), width)
    elif name in WORDS.get(group, ()):
        yield f"{group}={name}"
        yield f"  {_MEANINGS[group, name]}"
    elif group in KINDS:
        yield from option_help(groups.registry, group, groups.registry.get(group, name), width)
    else:
        yield f"{group}={name}"
        yield f"  {groups.plugins(group)[name].summary}"
        if settings := list(_settings(group, name, groups)):
            yield ""
            yield from table(settings, width)


def _machine(group: str, name: str, groups: Groups, chosen: set[tuple[str, str]], width: int) -> Iterator[list[str]]:
    """Yields the part about the state machine that a protocol replicates, unless the command line names one."""
    spec = groups.registry.names(group).get(name) if group == "protocol" else None
    if spec is None or spec.config is None or not issubclass(spec.config, ReplicatedConfig):
        return
    if any(key == "state_machine" for key, _ in chosen):
        return
    machines = " | ".join(sorted(groups.registry.names("state_machine")))
    usual = _usual("state_machine")
    text = f"protocol={name} replicates a state machine: state_machine={machines}; {usual} if none is named."
    yield [*paragraph(text, width, "", ""), "", *_option("state_machine", usual, groups, width)]


def _usual(group: str) -> str:
    """Returns the default option of a group."""
    listed = read_yaml(CONF / "config.yaml")["defaults"]
    return next(str(item[group]) for item in listed if isinstance(item, Mapping) and group in item)


def _file(group: str, name: str, groups: Groups, width: int) -> Iterator[str]:
    """Yields a file's summary, the options that it chooses and the values that it sets, including inherited ones."""
    file = groups.files(group)[name]
    if group == "experiment":
        check_experiment(file, groups)
        if leads_back(name, groups):
            raise ConfigError(shown(file), "its defaults lists form a cycle", "Remove one of the entries.")
    content = read_yaml(file)
    yield f"{group}={name}"
    if comment := first_comment(file):
        yield from paragraph(comment, width)
    yield f"  from {shown(file)}"
    choices, values = _contents(group, content, groups)
    if choices:
        yield ""
        yield "  chooses"
        words = [f"{key}={one}" for key, names in choices.items() for one in names]
        summaries = [_summary(key, one, groups) for key, names in choices.items() for one in names]
        column = max(map(len, words)) + 6
        for word, summary in zip(words, summaries, strict=True):
            yield from row(word, summary, width, "    ", column)
    if values:
        yield ""
        yield "  sets"
        for key, value in values.items():
            yield from paragraph(f"{key}={value}", width, "        ", "    ")
    if group == "experiment" and choices:
        yield ""
        yield "  What the settings of these options mean:"
        yield f"    {command_line('framework.run', *words, '--help')}"


def _summary(group: str, name: str, groups: Groups) -> str:
    option = groups.options(group).get(name) if group in GROUPS else None
    return _MEANINGS.get((group, name), "") if option is None else option.summary


def _contents(group: str, content: Mapping[str, Any], groups: Groups) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Returns (options by group, values by key) of a file, including those of the experiments that it starts from."""
    choices: dict[str, list[str]] = {}
    values: dict[str, str] = {}
    for item in content.get("defaults") or []:
        if isinstance(item, str) and item in groups.files(group):
            before = _contents(group, read_yaml(groups.files(group)[item]), groups)
            choices, values = choices | before[0], values | before[1]
        for key, value in item.items() if isinstance(item, Mapping) else ():
            names = value if isinstance(value, list) else [value]
            choices[str(key).rpartition(" ")[2].lstrip("/")] = list(map(str, names))
    own = {key: value for key, value in content.items() if key != "defaults"}
    return choices, values | dict(flat(own, "" if group == "experiment" else group) if own else ())


def _of_keys(asked: Sequence[_Asked], groups: Groups, chosen: set[tuple[str, str]], width: int) -> Iterator[list[str]]:
    """Yields the parts about single keys, each under the options that have it.

    Leaves out the keys of options that other words choose: those are explained in the options' own parts.
    """
    found: dict[tuple[str, ...], list[Setting]] = {}
    for one in asked:
        if one.key not in (*GROUPS, SWEEP):
            for setting, options in _owners(one, groups, chosen).items():
                listed = found.setdefault(tuple(options), [])
                if setting not in listed and not any(tuple(option.split("=")) in chosen for option in options):
                    listed.append(setting)
    for owners, settings in found.items():
        if settings:
            yield [*([", ".join(owners)] if owners else []), *table(settings, width)]


def _owners(one: _Asked, groups: Groups, chosen: set[tuple[str, str]]) -> dict[Setting, list[str]]:
    """Returns the settings at or below a key, each with the options that have it. Raises ConfigError for no match."""
    group = one.key.partition(".")[0]
    known: dict[Setting, list[str]] = {}
    if group in GROUPS:
        names = _names(group, groups, chosen)
        for name in names:
            for setting in _settings(group, name, groups):
                known.setdefault(setting, []).append(f"{group}={name}")
    else:
        known = {setting: [] for setting in (*explained(RunConfig()), *OTHER_SETTINGS, *sweep_settings())}
    found = {setting: options for setting, options in known.items() if _is_within(setting.key, one.key)}
    if not found:
        raise _unknown(one, [setting.key for setting in known], groups)
    return found


def _names(group: str, groups: Groups, chosen: set[tuple[str, str]]) -> list[str]:
    """Returns the options whose keys may be meant: those chosen by a word, else by an experiment, else all."""
    plugins = groups.plugins(group)
    named = [name for key, name in chosen if key == group and name in plugins]
    experiments = [name for key, name in chosen if key == "experiment"]
    by_experiments = [name for one in experiments for name in own_choices(group, one, groups) if name in plugins]
    return sorted(set(named or by_experiments)) if group not in LISTS and (named or by_experiments) else list(plugins)


def _settings(group: str, name: str, groups: Groups) -> Iterator[Setting]:
    """Yields the settings of an option that is not a file."""
    if group in KINDS:
        config = groups.registry.get(group, name).config
        if config is not None:
            yield from explained(config(), _base(group, name))
    elif group == "engine":
        yield from explained(ENGINES[name][0](), group)
    elif group == "scheduling":
        strategy = f"{group}.strategy"  # the option itself sets it
        yield from (setting for setting in explained(SCHEDULINGS[name][0], group) if setting.key != strategy)


def sweep_settings() -> Iterator[Setting]:
    """Yields the settings of a sweep, except `sweep.params`, the keys that it varies."""
    yield from (one for one in explained(SweepConfig(), SWEEP) if not one.key.startswith(f"{SWEEP}.params"))


def _base(group: str, name: str) -> str:
    """Returns the key that holds an option's settings."""
    return f"{group}.{name}" if group in LISTS else group


def _is_within(key: str, outer: str) -> bool:
    return key == outer or key.startswith(f"{outer}.")


def _unknown(one: _Asked, keys: Iterable[str], groups: Groups) -> ConfigError:
    group = one.key.partition(".")[0]
    if one.key == one.word and (
        meant := [f"{group}={one.key}" for group in GROUPS if one.key in groups.options(group)]
    ):
        return ConfigError(COMMAND_LINE, f"{one.word!r} is not a key", f"Did you mean {' or '.join(meant)}?")
    near = [*keys] if group in (*GROUPS, SWEEP) else [*GROUPS, *TOP_KEYS, *OTHER_KEYS, SWEEP]
    return ConfigError(COMMAND_LINE, f"{one.word}: there is no such key", did_you_mean(one.key, near))
