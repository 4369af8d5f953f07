"""The command line's `key=value`s, read with Hydra's grammar and made ready for its composer.

A group's option is checked here, where a did-you-mean can be given. Every other key is handed on as `++key`, so that
Hydra takes any key and the check of the composed config, which knows each plugin's settings, is the only one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override as HydraOverride
from hydra.errors import HydraException

from framework.config.groups import GROUPS, LISTS, OTHER_KEYS, TOP_KEYS, Groups
from framework.core.errors import ConfigError, did_you_mean

COMMAND_LINE = "command line"

LONGEST_KEY, MOST_DIGITS, DEEPEST = 200, 1_000, 50
"""Characters of a key, digits of a number, brackets within brackets: of more no setting is made."""

_DIGITS = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Override:
    """One `key=value`: its text, its key without signs, its value as plain data; `deletes` for `~key`."""

    text: str
    """As Hydra reads it."""
    key: str
    value: Any
    deletes: bool = False

    @property
    def is_choice(self) -> bool:
        """Whether it chooses an option of a group."""
        return self.key in GROUPS


def read_overrides(texts: Sequence[str]) -> list[Override]:
    """ConfigError for what is no `key=value`, for sweeps, and for Hydra's own settings."""
    parser = OverridesParser.create()
    return [_read(parser, text) for text in texts]


def _read(parser: OverridesParser, text: str) -> Override:
    if ("=" not in text and not text.startswith("~")) or text.startswith("="):
        if text in (*GROUPS, *TOP_KEYS, *OTHER_KEYS):
            raise ConfigError(COMMAND_LINE, f"{text!r} sets nothing", f"Write {text}=VALUE.")
        word = "" if text.startswith(("-", "=")) or not text else f" Did you mean experiment={text}?"
        raise ConfigError(COMMAND_LINE, f"{text!r} sets nothing", f"Write key=value.{word}")
    _check_form(text)
    try:
        parsed: HydraOverride = parser.parse_override(_quoted_path(text))
    except HydraException as error:
        raise ConfigError(
            COMMAND_LINE,
            f"{text!r} cannot be read",
            "Write key=value; a value with spaces, brackets or commas needs quotes: 'key=\"a, b\"'.",
        ) from error
    key = parsed.key_or_group
    if parsed.is_sweep_override():
        raise ConfigError(
            COMMAND_LINE,
            f"{text}: asks for several runs, and this is one",
            "Write one value; a list stands in brackets.",
        )
    if key.split(".")[0] == "hydra" or parsed.package is not None:
        raise ConfigError(
            COMMAND_LINE, f"{text}: Hydra's own settings have no effect here", "The run's folder is run.dir."
        )
    return Override(_quoted_path(text), key, parsed.value(), parsed.is_delete())


def _check_form(text: str) -> None:
    """ConfigError for what no setting is, and Hydra cannot read: numbers, names and nests without end."""
    key = text.partition("=")[0]
    if len(key) > LONGEST_KEY:
        raise ConfigError(COMMAND_LINE, f"{text!r} sets nothing", f"No key has {len(key):,} characters.")
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
    """A path is taken as it is, whatever signs are in it."""
    key, _, value = text.partition("=")
    if key not in ("run.dir", "plugins.path") or value.startswith(("[", "'", '"')) or value in ("", "null"):
        return text
    escaped = value.replace("'", "\\'")
    return f"{key}='{escaped}'"


def chosen_experiment(overrides: Sequence[Override]) -> str | None:
    """The experiment that the command line names."""
    names = [override.value for override in overrides if override.key == "experiment"]
    return None if not names or names[-1] is None else str(names[-1])


def prepare(overrides: Sequence[Override], groups: Groups) -> list[str]:
    """The overrides as Hydra is to see them. ConfigError for an option that its group does not offer."""
    choices: dict[str, str] = {}
    values: list[str] = []
    for override in overrides:
        if override.is_choice:
            names = _names(override, groups)
            choices[override.key] = (
                f"{override.key}=[{','.join(names)}]" if len(names) > 1 else _single(override, names)
            )
        elif override.deletes:
            values.append(override.text)
        else:
            values.append(f"++{override.text.lstrip('+')}")
    return [*(text for text in choices.values() if text), *values]


def _single(override: Override, names: list[str]) -> str:
    return f"{override.key}={names[0]}" if names else ""


def _names(override: Override, groups: Groups) -> list[str]:
    """The options that an override chooses; none for `experiment=null`."""
    group, value = override.key, override.value
    if value is None or override.deletes or value == []:
        if group == "experiment":
            return []
        if group in (*LISTS, "state_machine"):
            return ["none"]
        raise ConfigError(COMMAND_LINE, f"{override.text}: a run needs one", did_you_mean("", groups.options(group)))
    if isinstance(value, dict) or (isinstance(value, list) and group not in LISTS):
        raise ConfigError(COMMAND_LINE, f"{override.text}: choose one option", did_you_mean("", groups.options(group)))
    names = [_word(name) for name in (value if isinstance(value, list) else [value])]
    for name in names:
        groups.check(group, name, COMMAND_LINE)
        if names.count(name) > 1:
            fix = f"Give the second one a name of its own: +{group}.again={{name: {name}}}."
            raise ConfigError(COMMAND_LINE, f"{override.text}: {name} stands there twice", fix)
    return names


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
