"""Parses the command line's `key=value`s with Hydra's grammar, and prepares them for Hydra's composer.

A group's option is checked here, where a did-you-mean can be given, and passed on to Hydra. Every other key is set in
the config that Hydra has composed, and is checked only there, against the plugin's settings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override as HydraOverride
from hydra.errors import HydraException

from framework.config.files import own_choices
from framework.config.groups import GROUPS, LISTS, OTHER_KEYS, TOP_KEYS, WORDS, Groups
from framework.core.command_line import command_line
from framework.core.errors import ConfigError, did_you_mean

COMMAND_LINE = "command line"

SWEEP = "sweep"
"""The group of named sweeps, and the key that holds the settings of a sweep."""

LONGEST_KEY, MOST_DIGITS, DEEPEST = 200, 1_000, 50
"""The maximum number of characters in a key, of digits in a number, and of nested brackets."""

_FUNCTIONS = ("bool", "choice", "float", "glob", "int", "interval", "range", "shuffle", "sort", "str", "tag")
"""The functions of Hydra's grammar."""

_DIGITS = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Override:
    """One `key=value`. `key` has no sign, `value` is plain data; `deletes` is for `~key`, `adds` for `+key`."""

    text: str
    """The override as Hydra reads it."""
    key: str
    value: Any
    deletes: bool = False
    adds: bool = False

    @property
    def is_choice(self) -> bool:
        """Whether the override chooses an option of a group."""
        return self.key in GROUPS

    @property
    def takes_out(self) -> bool:
        """Whether the override removes single options from a group that takes several: `~faults=crash`."""
        return self.deletes and self.key in LISTS and self.value not in (None, "", [])


def read_overrides(texts: Sequence[str]) -> list[Override]:
    """Parses overrides. Raises ConfigError for a text other than `key=value`, for sweeps, and for Hydra's settings."""
    return [_single(text, parsed) for text, parsed in parsed_overrides(texts)]


def parsed_overrides(texts: Sequence[str]) -> list[tuple[str, HydraOverride]]:
    """Returns each override's text and the result of Hydra's parser. Sweeps are allowed.

    Raises ConfigError for a text other than `key=value`, and for Hydra's own settings.
    """
    parser = OverridesParser.create()
    return [(_quoted_path(text), _parsed(parser, text)) for text in texts]


def sweeping_only(key: str) -> bool:
    """Returns whether a key belongs to a sweep and not to a run: `sweep`, `sweep.timeout`."""
    return key.partition(".")[0] == SWEEP


def _single(text: str, parsed: HydraOverride) -> Override:
    """Returns the override. Raises ConfigError if it asks for several runs."""
    key = parsed.key_or_group
    if parsed.is_sweep_override() or sweeping_only(key):
        what = "has several values, but this is a single run" if parsed.is_sweep_override() else "belongs to a sweep"
        aside = "" if sweeping_only(key) else "; put a list in brackets"
        raise ConfigError(
            COMMAND_LINE,
            f"{text}: {what}",
            f"For a sweep, write {command_line('framework.run')} -m … '{text}'{aside}.",
        )
    return Override(text, key, parsed.value(), parsed.is_delete(), parsed.is_add())


def _parsed(parser: OverridesParser, text: str) -> HydraOverride:
    if ("=" not in text and not text.startswith("~")) or text.startswith("="):
        if text in (*GROUPS, *TOP_KEYS, *OTHER_KEYS):
            raise ConfigError(COMMAND_LINE, f"{text!r} has no value", f"Write {text}=VALUE.")
        word = "" if text.startswith(("-", "=")) or not text else f" Did you mean experiment={text}?"
        raise ConfigError(COMMAND_LINE, f"{text!r} is not a setting", f"Write key=value.{word}")
    _check_form(text)
    try:
        parsed: HydraOverride = parser.parse_override(_quoted_path(text))
    except HydraException as error:
        key, _, value = text.partition("=")
        fix = (
            _readable(value) or "Write key=value; a value with spaces, brackets or commas needs quotes: 'key=\"a, b\"'."
        )
        if numbered := re.fullmatch(r"[\w.+~]+\[\d+\][\w.\[\]]*", key):
            dotted = re.sub(r"\[(\d+)\]", r".\1", numbered[0])
            fix = f"Write {dotted}=VALUE."
        raise ConfigError(COMMAND_LINE, f"{text!r} cannot be read", fix) from error
    key = parsed.key_or_group
    if not key:
        raise ConfigError(COMMAND_LINE, f"{text!r} is not a setting", "Write key=value.")
    if key.split(".")[0] == "hydra" or parsed.package is not None:
        raise ConfigError(
            COMMAND_LINE, f"{text}: Hydra's own settings have no effect here", "The run's folder is run.dir."
        )
    if "/" in key:
        raise ConfigError(
            COMMAND_LINE, f"{text}: there is no such key", f"Write {text.replace('/', '.', key.count('/'))}."
        )
    return parsed


def _readable(value: str) -> str:
    """Returns the reason why a value cannot be parsed, if it is an unknown function, a unit or an unmatched bracket."""
    called = re.match(r"(\w+)\(", value)
    if called is not None and called[1] not in _FUNCTIONS:
        return f"There is no function {called[1]}. {did_you_mean(called[1], _FUNCTIONS)}"
    if called is not None and re.search(r"\(\s*[\d.]+[a-z]", value):
        return "Write the numbers without a unit: tag(ms,interval(10,70))."
    opened = [value.count(sign) for sign in "([{"]
    return "" if opened == [value.count(sign) for sign in ")]}"] else "The brackets do not match."


def _check_form(text: str) -> None:
    """Raises ConfigError for an override too long or too deeply nested for Hydra to parse."""
    key = text.partition("=")[0]
    if len(key) > LONGEST_KEY:
        raise ConfigError(COMMAND_LINE, f"{text!r} is not a setting", f"A key has at most {LONGEST_KEY} characters.")
    if any(len(digits) > MOST_DIGITS for digits in _DIGITS.findall(text)):
        raise ConfigError(
            COMMAND_LINE, f"{text!r} holds a number that is too long", f"Write {MOST_DIGITS:,} digits or less."
        )
    depth = deepest = 0
    for sign in text:
        depth += (sign in "[{(") - (sign in "]})")
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise ConfigError(COMMAND_LINE, f"{text!r} cannot be read", f"Nest {DEEPEST} brackets or less.")


def _quoted_path(text: str) -> str:
    """Quotes the value of a key that is a path, so that Hydra takes all of its characters literally."""
    key, _, value = text.partition("=")
    if key not in ("run.dir", "plugins.path") or value.startswith(("[", "'", '"')) or value in ("", "null"):
        return text
    escaped = value.replace("'", "\\'")
    return f"{key}='{escaped}'"


def chosen_experiment(overrides: Sequence[Override]) -> str | None:
    """Returns the experiment that the command line names; None if it names none."""
    names = [override.value for override in overrides if override.key == "experiment"]
    return None if not names or names[-1] is None else str(names[-1])


def choices_of(overrides: Sequence[Override], groups: Groups) -> list[str]:
    """Returns the choices of options as overrides for Hydra. Raises ConfigError for an unknown option."""
    names: dict[str, list[str]] = {}
    for override in overrides:
        if not override.is_choice or override.takes_out:
            continue
        chosen = _names(override, groups)
        if override.adds and override.key in LISTS:
            before = names.get(override.key) or _of_experiment(override, overrides, groups)
            twice = next((name for name in chosen if name in before), None)
            if twice is not None:
                raise _twice(override, twice)
            chosen = [*before, *chosen]
        names[override.key] = chosen
    return [
        f"{group}={chosen[0]}" if len(chosen) == 1 else f"{group}=[{','.join(chosen)}]"
        for group, chosen in names.items()
        if chosen
    ]


def _of_experiment(override: Override, overrides: Sequence[Override], groups: Groups) -> list[str]:
    """Returns the options of a group that the experiment chooses, to which `override` adds some."""
    experiment = chosen_experiment(overrides)
    own = own_choices(override.key, experiment, groups) if experiment in groups.files("experiment") else []
    if override.key == "checker" and own in ([], ["auto"]):
        fix = "Name all of them: checker=[NAME,NAME]."
        raise ConfigError(COMMAND_LINE, f"{override.text}: checker=auto takes those that the protocol names", fix)
    return [name for name in own if name not in WORDS[override.key]]


def _twice(override: Override, name: str) -> ConfigError:
    fix = f"Give the second one a name of its own: +{override.key}.again={{name: {name}}}."
    return ConfigError(COMMAND_LINE, f"{override.text}: {name} is chosen twice", fix)


def _names(override: Override, groups: Groups) -> list[str]:
    """Returns the options that an override chooses; none for `experiment=null`."""
    group, value = override.key, override.value
    if value is None or override.deletes or value == []:
        if group == "experiment":
            return []
        if group in WORDS:
            return ["none"]
        raise ConfigError(
            COMMAND_LINE, f"{override.text}: a value is required", did_you_mean("", groups.options(group))
        )
    if isinstance(value, dict) or (isinstance(value, list) and group not in LISTS):
        raise ConfigError(COMMAND_LINE, f"{override.text}: choose one option", did_you_mean("", groups.options(group)))
    names = [_word(name) for name in (value if isinstance(value, list) else [value])]
    for name in names:
        groups.check(group, name, COMMAND_LINE)
        if names.count(name) > 1:
            raise _twice(override, name)
    return names


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
