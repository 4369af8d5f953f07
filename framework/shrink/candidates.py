"""Candidates for a smaller run: one config after another, the largest step of each dimension first."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from framework.core.time import MILLISECOND, format_duration, parse_duration

PlainConfig: TypeAlias = dict[str, Any]
Defaults: TypeAlias = Callable[[str, str], Mapping[str, Any]]
"""`defaults("protocol", "raft")`: the settings of an option without overrides."""

_FEW = (1, 2, 3, 5)
_FAULT_TIMES = ("at", "every", "for", "quiet")


def dimensions(config: PlainConfig, defaults: Defaults, ended: int) -> Iterator[tuple[str, Iterator[PlainConfig]]]:
    """Yields each dimension by name, with its candidates. `ended`: time of the failure, nanoseconds into the run."""
    yield "duration", _shorter(config, ended)
    yield "faults", _fewer_faults(config)
    yield "nodes", _fewer(config, "nodes")
    yield "clients", _fewer(config, "clients")
    yield "network", _simpler_network(config, defaults)
    yield "engine", _settings(config, "engine", defaults)
    yield "operations", _fewer_operations(config)
    yield "faults' settings", _smaller_faults(config)
    yield "warmup", _at(config, ("warmup",), ["0"])
    for group in ("protocol", "workload", "state_machine", "placement", "balancer"):
        yield f"{group}'s settings", _settings(config, group, defaults)


def _with(config: PlainConfig, path: tuple[str, ...], value: Any) -> PlainConfig:
    smaller = copy.deepcopy(config)
    place = smaller
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return smaller


def _at(config: PlainConfig, path: tuple[str, ...], values: list[Any]) -> Iterator[PlainConfig]:
    """Yields `config` with `path` set to each of `values` other than the present one."""
    place: Any = config
    for step in path:
        if not isinstance(place, Mapping) or step not in place:
            return
        place = place[step]
    for value in values:
        if value != place:
            yield _with(config, path, value)


def _shorter(config: PlainConfig, ended: int) -> Iterator[PlainConfig]:
    """Yields a run that ends at the failure, then shorter ones, with faults scaled down too or at the same times."""
    until = (ended // MILLISECOND + 2) * MILLISECOND
    if until < parse_duration(config["duration"]):
        smaller = {**copy.deepcopy(config), "duration": format_duration(until)}
        if "quiet" in smaller:
            smaller["quiet"] = "1ms"
        yield _in_time(smaller)
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        for squeezed in (True, False) if config.get("faults") else (False,):
            smaller = copy.deepcopy(config)
            _scale(smaller, "duration", share)
            if parse_duration(smaller["duration"]) >= parse_duration(config["duration"]):
                continue
            if squeezed:
                _scale(smaller, "quiet", share)
                for fault in smaller["faults"].values():
                    for name in _FAULT_TIMES:
                        _scale(fault, name, share)
            yield _in_time(smaller)


def _in_time(config: PlainConfig) -> PlainConfig:
    """Removes faults and steps of schedules that would begin after everything is healed: no run accepts them."""
    span = parse_duration(config["duration"]) - parse_duration(config.get("quiet", "0"))
    for key, fault in list((config.get("faults") or {}).items()):
        steps = fault.get("steps")
        if steps:
            fault["steps"] = [step for step in steps if _begins(step) < span]
        if _begins(fault) >= span or (steps and not fault["steps"]):
            del config["faults"][key]
    return config


def _begins(fault: Any) -> int:
    return parse_duration(fault.get("at", "0")) if isinstance(fault, Mapping) else 0


def _scale(mapping: Any, name: str, share: float) -> None:
    """Shortens a duration, in whole milliseconds. It does not become 0 unless it was."""
    if not isinstance(mapping, dict) or not isinstance(mapping.get(name), str):
        return
    now = parse_duration(mapping[name])
    if now > MILLISECOND:
        mapping[name] = format_duration(max(1, int(now * share) // MILLISECOND) * MILLISECOND)


def _fewer_faults(config: PlainConfig) -> Iterator[PlainConfig]:
    """Yields the config without any fault, then without each half of them, then without each one."""
    keys = list(config.get("faults") or {})
    for kept in dict.fromkeys(_subsets(tuple(keys))):
        yield {**copy.deepcopy(config), "faults": {key: copy.deepcopy(config["faults"][key]) for key in kept}}


def _subsets(items: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yields the empty subset, each half, and all but one."""
    if items:
        yield ()
        half = len(items) // 2
        if half:
            yield items[:half]
            yield items[half:]
            for place in range(len(items)):
                yield (*items[:place], *items[place + 1 :])


def _smaller_faults(config: PlainConfig) -> Iterator[PlainConfig]:
    """Yields faults that strike once, or that have shorter lists and smaller numbers among their settings."""
    for key, fault in (config.get("faults") or {}).items():
        yield from _at(config, ("faults", key, "every"), ["0"])
        yield from _smaller_values(config, ("faults", key), fault)


def _smaller_values(config: PlainConfig, path: tuple[str, ...], mapping: Mapping[str, Any]) -> Iterator[PlainConfig]:
    for name, value in mapping.items():
        here = (*path, name)
        if isinstance(value, list):
            for kept in dict.fromkeys(_subsets(tuple(range(len(value))))):
                yield _with(config, here, [copy.deepcopy(value[place]) for place in kept])
        elif isinstance(value, Mapping):
            yield from _smaller_values(config, here, value)
        elif isinstance(value, int) and not isinstance(value, bool) and value > 1:
            yield from (_with(config, here, less) for less in dict.fromkeys((1, value // 2)))


def _fewer(config: PlainConfig, key: str) -> Iterator[PlainConfig]:
    now = int(config[key])
    for count in dict.fromkeys((*_FEW, now // 2, now - 1)):
        if 0 < count < now:
            yield _with(config, (key,), count)


def _simpler_network(config: PlainConfig, defaults: Defaults) -> Iterator[PlainConfig]:
    simplest = {"name": "perfect", **defaults("network", "perfect")}
    if config["network"] != simplest:
        yield _with(config, ("network",), simplest)
        for name, value in config["network"].items():
            if isinstance(value, float) and value > 0:  # a probability
                yield _with(config, ("network", name), 0.0)
        yield from _settings(config, "network", defaults)


def _fewer_operations(config: PlainConfig) -> Iterator[PlainConfig]:
    """Yields longer think times or lower rates; fewer keys; fewer kinds of operations."""
    workload = config["workload"]
    if workload.get("loop") == "open":
        rate = float(workload["rate"])
        yield from (_with(config, ("workload", "rate"), rate * share) for share in (0.1, 0.5) if rate * share >= 1)
    elif "think_time" in workload:
        now = parse_duration(workload["think_time"])
        for pause in (100, 20, 5, 1):
            if pause * MILLISECOND > now:
                yield _with(config, ("workload", "think_time"), f"{pause}ms")
    keys = workload.get("keys")
    if isinstance(keys, int) and keys > 1:
        yield from (_with(config, ("workload", "keys"), fewer) for fewer in dict.fromkeys((1, keys // 2)))
    mix = workload.get("mix")
    if isinstance(mix, Mapping):
        used = [name for name, weight in mix.items() if weight]
        if len(used) > 1:
            yield from (_with(config, ("workload", "mix", name), 0) for name in used)


def _settings(config: PlainConfig, group: str, defaults: Defaults) -> Iterator[PlainConfig]:
    """Yields the config with all settings of a group at their defaults, then each alone. Settings of amounts stay."""
    now = config.get(group)
    if not isinstance(now, Mapping) or "name" not in now:
        return
    usual = defaults(group, str(now["name"]))
    other = [name for name, value in usual.items() if name in now and now[name] != value and name not in _AMOUNTS]
    if len(other) > 1:
        yield _with(config, (group,), {**now, **{name: usual[name] for name in other}})
    for name in other:
        yield _with(config, (group, name), usual[name])


_AMOUNTS = ("loop", "rate", "think_time", "keys", "mix", "verify_determinism")
