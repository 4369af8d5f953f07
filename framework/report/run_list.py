"""The runs and sweeps below a folder, each as one row of a list, read from config.yaml and result.json alone.

A run that was cut off, has not ended, or is damaged is a row too: it has no verdict, and its reason says why.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal, NoReturn

import msgspec
import yaml

from framework.config.overrides import parsed_overrides
from framework.core.errors import ConfigError, SynodError, abbreviated
from framework.core.tracebacks import one_line, printable
from framework.registry.registry import Registry
from framework.report.settings import setting_rows
from framework.runs.folder import CONFIG, HISTORY, RESULT, TRACE
from framework.sweep.axes import Choices, axis_of
from framework.sweep.rows import standing, that_count
from framework.sweep.store import HEAD, Head, read_head, read_journal, read_rows

NO_VERDICT = "no verdict"
VERDICTS = ("valid", "invalid", "unknown", NO_VERDICT)
LEVELS = 2
"""How deep below a folder runs are looked for. Nothing is looked for within a run or a sweep."""

_TRACEBACK = "traceback.txt"
_NOT_SHOWN = ("seed", "experiment")
"""Settings with a column of their own."""
LONGEST = 60
"""The most characters of a value in the list."""


class ListedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run, or a whole sweep. Numbers are None if they are not known, and for a sweep.

    `started` is in UTC; for a run without a result it is the time of its config.yaml. `settings` has each setting as it
    would be typed; `differing` are those that differ from their defaults, `nodes=5`.
    """

    folder: Path
    kind: Literal["run", "sweep"] = "run"
    experiment: str = ""
    engine: str = ""
    seed: int | None = None
    verdict: str = NO_VERDICT
    reasons: tuple[str, ...] = ()
    started: str = ""
    operations: dict[str, int] = {}
    throughput_ops_s: float | None = None
    latency_ms: dict[str, float | None] = {}
    settings: dict[str, str] = {}
    differing: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """The first reason against `valid`, on one line; "" if there is none."""
        return one_line(self.reasons[0]) if self.reasons else ""


class _Result(msgspec.Struct):
    """What a list needs of a result.json."""

    verdict: Literal["valid", "invalid", "unknown"]
    reasons: tuple[str, ...]
    experiment: str
    engine: str
    seed: int
    started: str
    operations: dict[str, int]
    throughput_ops_s: float
    latency_ms: dict[str, float | None]


class _Unreadable(Exception):
    """Signals a file that is there and cannot be read."""


def is_run(folder: Path) -> bool:
    """Returns whether a folder holds a run, or what is left of one."""
    return any((folder / name).exists() for name in (CONFIG, RESULT, HISTORY, TRACE))


def is_sweep(folder: Path) -> bool:
    """Returns whether a folder holds a sweep."""
    return (folder / HEAD).exists()


def listed_runs(folder: Path, registry: Registry | None = None) -> list[ListedRun]:
    """Returns the runs and sweeps below a folder, the newest first. One that is reached by several paths is listed once,
    under a path without symbolic links if there is one.

    `registry` knows the defaults of plugins; without it, no setting is compared with its default. Raises ConfigError if
    the folder cannot be read.
    """
    places: dict[str, Path] = {}
    base = os.path.realpath(folder)
    for path in sorted(
        _folders(folder, LEVELS), key=lambda path: (_is_linked(path, folder, base), len(path.parts), path)
    ):
        places.setdefault(os.path.realpath(path), path)
    found = [_listed_sweep(path) if is_sweep(path) else _listed_run(path, registry) for path in places.values()]
    found.sort(key=lambda run: str(run.folder))
    return sorted(found, key=lambda run: run.started, reverse=True)


def _is_linked(path: Path, folder: Path, base: str) -> bool:
    """Returns whether there is a symbolic link on the way from `folder`, which is really at `base`, to `path`."""
    return os.path.realpath(path) != os.path.join(base, path.relative_to(folder))


def _folders(folder: Path, levels: int) -> Iterator[Path]:
    """Yields the folders of runs and sweeps below `folder`. Folders that nobody may read hold none."""
    try:
        below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        if levels == LEVELS:
            raise ConfigError(str(folder), f"cannot be read ({error.strerror or type(error).__name__})") from error
        return
    for path in below:
        with suppress(OSError):
            if is_sweep(path) or is_run(path):
                yield path
            elif levels > 1:
                yield from _folders(path, levels - 1)


# Runs.


def _listed_run(folder: Path, registry: Registry | None) -> ListedRun:
    reasons: list[str] = []
    config: Mapping[str, Any] = {}
    try:
        config = _config(folder / CONFIG)
    except _Unreadable as error:
        reasons.append(str(error))
    settings, differing = _settings(config, registry)
    result = None
    try:
        result = _result(folder / RESULT)
    except _Unreadable as error:
        reasons.insert(0, str(error))
    if result is None:
        return ListedRun(
            folder=folder,
            experiment=_text(config.get("experiment")),
            engine=_text(_mapping(config.get("engine")).get("name")),
            seed=config["seed"] if isinstance(config.get("seed"), int) else None,
            reasons=tuple(reasons) or (_why_no_result(folder),),
            started=_written(folder, CONFIG) or _written(folder, RESULT),
            settings=settings,
            differing=differing,
        )
    return ListedRun(
        folder=folder,
        experiment=printable(result.experiment),
        engine=printable(result.engine),
        seed=result.seed,
        verdict=result.verdict,
        reasons=(*map(printable, result.reasons), *reasons),
        started=printable(result.started),
        operations=result.operations,
        throughput_ops_s=result.throughput_ops_s,
        latency_ms=result.latency_ms,
        settings=settings,
        differing=differing,
    )


def _result(path: Path) -> _Result | None:
    try:
        return _decode_result(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _Unreadable(f"{RESULT} cannot be read ({one_line(str(error))})") from error


_decode_result = msgspec.json.Decoder(_Result).decode


def _config(path: Path) -> Mapping[str, Any]:
    """Returns the config of a run; {} if there is none. OmegaConf would take a hundred times as long."""
    try:
        loaded = yaml.load(path.read_bytes(), _loader())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise _Unreadable(f"{CONFIG} cannot be read ({one_line(str(error))})") from error
    if not isinstance(loaded, dict):
        raise _Unreadable(f"{CONFIG} holds no mapping")
    return {str(key): value for key, value in loaded.items()}


@cache
def _loader() -> Any:
    """Returns the fast YAML loader, which like OmegaConf takes dates for text."""
    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader = type("_Loader", (base,), {})
    loader.yaml_implicit_resolvers = {  # type: ignore[attr-defined]
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in base.yaml_implicit_resolvers.items()
    }
    return loader


def _settings(config: Mapping[str, Any], registry: Registry | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """Returns each setting, and those that differ from their defaults."""
    if not config:
        return {}, ()
    try:
        rows = setting_rows(config, registry) if registry is not None else ()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # a config that no run has written
        rows = ()
    settings = {printable(row["key"]): printable(row["value"]) for row in rows}
    differing = (row for row in rows if row["differs"] and row["key"] not in _NOT_SHOWN)
    return settings, tuple(printable(f"{row['key']}={abbreviated(row['value'], LONGEST)}") for row in differing)


def _why_no_result(folder: Path) -> str:
    if (folder / _TRACEBACK).exists():
        return f"the command failed: its traceback is in {_TRACEBACK}"
    files = [folder / CONFIG, folder / HISTORY, *(folder / TRACE).glob("*")]
    last = max((_written(path.parent, path.name) for path in files), default="")
    return f"was cut off, or has not ended yet{f' (last written {last})' if last else ''}"


def _written(folder: Path, name: str) -> str:
    """Returns when a file was last written, in UTC; "" if it is not there."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(os.stat(folder / name).st_mtime))
    except (OSError, ValueError, OverflowError):
        return ""


# Sweeps.


def _listed_sweep(folder: Path) -> ListedRun:
    try:
        head = read_head(folder)
        fixed = fixed_settings(head)
        counts = _standings(folder, head)
    except ConfigError as error:
        return ListedRun(folder=folder, kind="sweep", reasons=(one_line(str(error)),), started=_written(folder, HEAD))
    total, points = sum(counts.values()), _points(head)
    verdict = sweep_verdict(counts)
    if points is not None and verdict == "valid" and total < points:
        verdict = "unknown"
    words = [f"{counts[name]:,} {name}" for name in sorted(counts, key=lambda name: (name != "invalid", name))]
    varying = f"varies: {', '.join((*head.axes, 'seed'))}"
    return ListedRun(
        folder=folder,
        kind="sweep",
        experiment=fixed.get("experiment", "several" if "experiment" in head.axes else ""),
        engine=head.engine,
        verdict=verdict,
        reasons=(_progress(total, points, words),),
        started=head.started,
        settings=fixed | dict.fromkeys(head.axes, "several"),
        differing=(varying, *(f"{key}={value}" for key, value in fixed.items() if key not in (*_NOT_SHOWN, "engine"))),
    )


def _progress(rows: int, points: int | None, words: Sequence[str]) -> str:
    """Returns how far a sweep is: `40 rows: 2 invalid, 38 valid`, `3 of 40 points: 3 valid`."""
    if not rows:
        return "no run has ended yet"
    few = f"{rows:,} of {points:,} points" if points is not None and rows < points else ""
    many = f"{rows:,} row{'' if rows == 1 else 's'}"
    return f"{few or many}: {', '.join(words)}"


def _points(head: Head) -> int | None:
    """Returns the number of points that the last command of a sweep asked for, from its words alone; None if they do
    not say: for named sweeps, draws, and options chosen by a pattern."""
    number = 1
    try:
        for text, parsed in parsed_overrides(head.overrides):
            if parsed.key_or_group in _UNCOUNTABLE:
                return None
            if parsed.is_sweep_override():
                axis = axis_of(text, parsed, _no_options, 0)
                if not isinstance(axis, Choices):
                    return None
                number *= len(axis.values)
    except SynodError:
        return None
    return number


_UNCOUNTABLE = ("sweep", "sweep.sampler", "sweep.params")


def _no_options(group: str) -> NoReturn:
    raise ConfigError(group, "is chosen by a pattern")


def sweep_verdict(counts: Mapping[str, int]) -> str:
    """Returns the verdict on the rows of a sweep, counted by verdict, or by status if they have none."""
    if counts.get("invalid"):
        return "invalid"
    if not any(counts.values()):
        return NO_VERDICT
    return "valid" if counts.get("valid") == sum(counts.values()) else "unknown"


def fixed_settings(head: Head) -> dict[str, str]:
    """Returns the settings that all runs of a sweep share, as they would be typed."""
    settings = {}
    for text in head.fixed:
        key, _, value = text.partition("=")
        with suppress(ValueError):
            decoded = json.loads(value)
            value = decoded if isinstance(decoded, str) else value
        settings[printable(key)] = printable(value)
    return settings


def _standings(folder: Path, head: Head) -> dict[str, int]:
    """Returns the number of rows by verdict, or by status for runs that have none."""
    columns = ["key", "code", "status", "verdict"]
    rows = that_count(
        read_rows(folder, head.axes, read_journal(folder, head.axes), columns), head.code, any_code=head.any_code
    )
    pairs = rows.group_by(["status", "verdict"]).aggregate([([], "count_all")])
    counts: dict[str, int] = {}
    for status, verdict, many in zip(
        *(pairs[name].to_pylist() for name in ("status", "verdict", "count_all")), strict=True
    ):
        name = standing(status, verdict)
        counts[name] = counts.get(name, 0) + many
    return counts


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return printable(value) if isinstance(value, str) else ""
