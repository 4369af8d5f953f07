"""Applies the command line to a composed config: sets values, deletes entries and items.

Values are set in plain data one by one, so that an error names the setting that caused it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from framework.config.groups import GROUPS, LISTS, OTHER_KEYS, TOP_KEYS
from framework.config.overrides import COMMAND_LINE, Override
from framework.config.plain_mappings import default_at, keys_within, spelled, typed
from framework.config.schema import ENGINES, RunConfig, SchedulingConfig, TraceConfig
from framework.core.errors import ConfigError, did_you_mean
from framework.core.message import Config
from framework.registry.registry import Registry

_OUTER = tuple(key.partition(".")[0] for key in OTHER_KEYS)


def put(config: dict[str, Any], override: Override) -> None:
    """Sets an override's value; a mapping is merged into the existing one. Raises ConfigError if it does not fit."""
    steps = override.key.split(".")
    place: Any = config
    for number in range(len(steps) - 1):
        key = _key(place, steps, number, override)
        inner = place[key] if isinstance(place, list) else place.get(key)
        if not isinstance(inner, dict | list):
            inner = place[key] = {}
        place = inner
    key = _key(place, steps, len(steps) - 1, override)
    before = place[key] if isinstance(place, list) else place.get(key)
    place[key] = _merged(before, override.value, override, override.key)


def _merged(before: Any, value: Any, override: Override, where: str) -> Any:
    if isinstance(before, dict) and isinstance(value, dict):
        if before and not value:
            raise _error(override, "an empty mapping changes nothing: a mapping is merged into the existing one")
        return before | {
            key: _merged(before.get(key), inner, override, f"{where}.{key}") for key, inner in value.items()
        }
    if isinstance(before, dict) and isinstance(value, list):
        key = value[0] if value and isinstance(value[0], str) and value[0] in before else "KEY"
        what = f"{_at(override, where)}expected keys and values, got {spelled(value)}"
        raise _error(override, what, f"Write {where}.{key}=VALUE.")
    if isinstance(before, list) and isinstance(value, dict):
        raise _error(override, f"{_at(override, where)}expected a list, got {spelled(value)}", f"Write {where}=[…].")
    return value


def _at(override: Override, where: str) -> str:
    return "" if where == override.key else f"{where}: "


def _key(place: Any, steps: Sequence[str], number: int, override: Override) -> Any:
    """Returns step `number` of a path as a key or index of `place`, the mapping or list at the steps before it."""
    step = steps[number]
    if isinstance(place, list):
        if not step.isdecimal() or int(step) >= len(place):
            there = f"has items 0 to {len(place) - 1}" if place else "is empty"
            where = ".".join(steps[:number])
            raise _error(override, f"there is no item {step!r}: {where} {there}", f"Write all of it: {where}=[…].")
        return int(step)
    return next((key for key in place if str(key) == step), step)


def remove(config: dict[str, Any], choices: dict[str, Any], overrides: Iterable[Override], registry: Registry) -> None:
    """Carries out the overrides that delete. Items of lists are counted as they are before any deletion.

    Chosen faults and checkers, items of lists, and entries of mappings with free keys can be deleted. Raises
    ConfigError for anything else: a setting always has a value.
    """
    items: list[tuple[list[Any], int]] = []
    for override in overrides:
        steps = override.key.split(".")
        if steps[0] in LISTS and len(steps) <= 2:
            _remove_chosen(config, choices, override)
            continue
        place = _place(config, steps, override, registry)
        key = _key(place, steps, len(steps) - 1, override)
        if isinstance(place, Mapping) and key not in place:
            raise _error(override, "there is no such key", did_you_mean(steps[-1], map(str, place)))
        if override.value not in (None, "") and override.value != place[key]:
            raise _error(
                override, f"is {spelled(place[key])}, not {spelled(override.value)}", f"Write ~{override.key}."
            )
        if isinstance(place, list):
            items.append((place, key))
        else:
            del place[key]
    for place, index in sorted(items, key=lambda item: -item[1]):
        del place[index]


def _remove_chosen(config: dict[str, Any], choices: dict[str, Any], override: Override) -> None:
    """Carries out `~faults.crash` or `~faults=crash`."""
    group, _, name = override.key.partition(".")
    if choices.get(group) == "auto":
        fix = f"Write {group}=none, or name those that are to be there: {group}=[NAME,NAME]."
        raise _error(override, f"{group}=auto takes those that the protocol names", fix)
    chosen = config.get(group) or {}
    asked = [name] if name else override.value if isinstance(override.value, list) else [override.value]
    for one in map(str, asked):
        if one not in chosen and choices.get(group) != one:
            fix = did_you_mean(one, chosen) or f"None is: leave ~{override.key} out."
            raise _error(override, f"{one} is not chosen", fix)
        chosen.pop(one, None)
        if choices.get(group) == one:
            choices[group] = "none"


def _place(config: dict[str, Any], steps: Sequence[str], override: Override, registry: Registry) -> Any:
    """Returns the list, or the mapping with free keys, that has the item or entry to delete."""
    kind, settings, rest = _settings(config, steps, override, registry)
    known = ["name"] if kind is None else keys_within(rest[:-1], settings, kind)
    if known is not None:
        if rest[-1] not in (*known, "name"):
            raise _error(override, "there is no such key", did_you_mean(rest[-1], known))
        fix = f"Leave ~{override.key} out."
        if kind is not None and rest[-1] != "name":
            fix = _instead(override.key, default_at(rest, settings, kind))
        raise _error(override, "a setting always has a value, so it cannot be deleted", fix)
    place: Any = settings
    for number in range(len(steps) - len(rest), len(steps) - 1):
        key = _key(place, steps, number, override)
        place = place[key] if isinstance(place, list) else place.get(key)
        if not isinstance(place, list | dict):
            raise _error(override, "there is no such key")
    return place


def _instead(key: str, usual: Any) -> str:
    """Returns the advice for an attempt to delete a setting whose default is `usual`."""
    if isinstance(usual, Mapping):
        return f"Write {key}.KEY=VALUE."
    if isinstance(usual, list):
        return f"Write {key}=[…]."
    return f"Write {key}=VALUE; the default is {'null' if usual is None else typed(usual)}."


def _settings(
    config: dict[str, Any], steps: Sequence[str], override: Override, registry: Registry
) -> tuple[type[Config] | None, dict[str, Any], Sequence[str]]:
    """Returns the type of the settings that a key belongs to, the settings, and the steps to the key within them.

    The type is None for keys that no config type describes.
    """
    group = steps[0]
    if group in TOP_KEYS:
        return RunConfig, config, steps
    if override.key in (*OTHER_KEYS, *_OUTER):
        return None, config, ["name"]
    if group not in GROUPS or len(steps) == 1:
        raise _error(override, "there is no such key", did_you_mean(override.key, (*TOP_KEYS, *GROUPS, *OTHER_KEYS)))
    settings, within = config.get(group) or {}, 1
    if group in LISTS:
        if not isinstance(settings.get(steps[1]), dict):
            raise _error(override, f"{steps[1]} is not chosen", did_you_mean(steps[1], settings))
        settings, within = settings[steps[1]], 2
    name = str(settings.get("name", steps[1] if group in LISTS else ""))
    own: dict[str, type[Config]] = {"scheduling": SchedulingConfig, "trace": TraceConfig}
    if group == "engine":
        kind: type[Config] | None = ENGINES[name][0] if name in ENGINES else None
    else:
        kind = own[group] if group in own else registry.get(group, name).config
    return kind, settings, steps[within:]


def _error(override: Override, what: str, fix: str = "") -> ConfigError:
    return ConfigError(COMMAND_LINE, f"{override.text}: {what}", fix)
