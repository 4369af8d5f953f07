"""Plans a sweep from its command line: the fixed overrides, the axes, and the settings.

    python -m framework.run -m experiment=raft_5nodes protocol=raft,multipaxos nodes=3,5,7 'seed=range(0,1000)'

A key with one value is fixed. A key with several values is an axis of the sweep. `sweep.…` are settings of the sweep
itself. `sweep=NAME` starts from `conf/sweep/NAME.yaml`, whose `params` are keys that the command line may override.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from hydra.core.override_parser.types import Override as HydraOverride

from framework.config.compose import compose, config_folders, load_plugins
from framework.config.files import lineage, read_yaml
from framework.config.groups import GROUPS, WORDS, Groups
from framework.config.overrides import COMMAND_LINE, SWEEP, parsed_overrides, sweeping_only
from framework.config.plain_mappings import BadValue, build
from framework.config.resolve import Composed
from framework.config.schema import SweepConfig
from framework.core.errors import ConfigError, did_you_mean
from framework.core.tracebacks import shown
from framework.sweep.axes import Axis, AxisValue, Choices, Interval, axis_of, canonical, override_text
from framework.sweep.points import Points, needs_sampler
from framework.sweep.store import HEAD, read_head

SEED = "seed"
_SEEDS = 2**63
_NOT_THE_RUNS = ("run.dir", "engine.address")
"""Keys that only choose a place, and do not affect the result of a run."""

MOST_POINTS = 20_000_000

_COMPOSED_FIRST = 10
"""The number of values of an axis that are composed before the sweep begins, to find mistakes early."""


class _Given(NamedTuple):
    """One override as written, and its source: the command line or a file."""

    text: str
    parsed: HydraOverride
    where: str

    @property
    def key(self) -> str:
        return self.parsed.key_or_group


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """A planned sweep. `composed` is the first point.

    `fixed` are the overrides that all points share, without the seed; in the simulator `trace=history` is the first.
    """

    name: str
    fixed: tuple[str, ...]
    points: Points
    settings: SweepConfig
    composed: Composed
    overrides: tuple[str, ...]
    """The overrides of the command line, as typed."""
    config_dir: str | None
    address: str | None
    """The Ray cluster that the sweep uses, if one was named."""
    identity: tuple[str, ...]
    """The fixed overrides that all rows have in common: in canonical form, sorted by key."""

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self.points.axes

    @cached_property
    def groups(self) -> Groups:
        """The config groups, from the plugins and the config folders: Synod's own, the user's, and the plugins'."""
        return Groups(self.composed.registry, config_folders(self.config_dir))

    @property
    def experiments(self) -> set[str]:
        """The experiments that points use, and the experiments that those start from."""
        named = [axis.values for axis in self.axes if axis.key == "experiment" and isinstance(axis, Choices)]
        chosen = [self.composed.config["experiment"], *(name for values in named for name in values)]
        return {name for one in chosen if one is not None for name in lineage(str(one), self.groups)}

    @property
    def engine(self) -> str:
        return self.composed.engine

    @property
    def folder(self) -> Path:
        """The folder of rows and kept runs: the same for equal fixed overrides and axes, whatever the axes' values."""
        if self.settings.dir is not None:
            return Path(self.settings.dir).expanduser()
        mark = hashlib.sha256("\n".join([*self.identity, "", *sorted(axis.key for axis in self.axes)]).encode())
        return Path("runs") / f"sweep-{self.name.replace('/', '-')}-{mark.hexdigest()[:8]}"

    @property
    def asked(self) -> tuple[str, ...]:
        """The fixed overrides, with the trace level that the user chose."""
        return self.fixed[1:] if self.engine == "sim" else self.fixed


def plan_sweep(overrides: Sequence[str], config_dir: str | None = None, folder: str | None = None) -> SweepPlan:
    """Returns the plan of a command line's sweep, in `folder` if that is given.

    Composes the values of each axis with the first values of all others. Raises ConfigError for a mistake of the user,
    and PluginError if a selected plugin is broken.
    """
    given = [_Given(text, parsed, COMMAND_LINE) for text, parsed in parsed_overrides(overrides)]
    own = [one for one in given if sweeping_only(one.key)]
    asked = [one for one in given if not sweeping_only(one.key)]
    options = _Options(asked, config_dir)
    preset, settings = _settings(own, options)
    if folder is not None:
        settings = msgspec.structs.replace(settings, dir=folder)
    written = {one.key for one in asked}
    runs = [*(one for one in preset if one.key not in written), *asked]
    _check_keys(runs)
    known = _known_axes(settings)
    axes, seeds = _axes(runs, known, options, settings.seed)
    sampled = _check_sampler(axes, settings)
    fixed = [one for one in runs if not one.parsed.is_sweep_override() and one.key not in (SEED, *known)]
    texts = [_from_anywhere(one) for one in fixed if one.key != "engine.address"]
    first = [axis.at(0) for axis in axes]
    trial = _Trial(texts, axes, {one.text: one.where for one in runs}, config_dir)
    composed = trial.composed(first)
    _check_trace(fixed, settings, composed)
    trial.try_values(first, composed.engine)
    if composed.engine == "sim":
        texts.insert(0, "trace=history")
    points = Points(tuple(axes), seeds or (composed.experiment.seed,), settings.sampler, sampled, settings.seed)
    if (count := points.combinations * len(points.seeds)) > MOST_POINTS:
        what = f"the sweep has {count:,} points"
        raise ConfigError(COMMAND_LINE, what, f"Ask for {MOST_POINTS:,} or fewer.")
    return SweepPlan(
        name=next((str(one.parsed.value()) for one in own if one.key == SWEEP), composed.experiment.name),
        fixed=tuple(texts),
        points=points,
        settings=settings,
        composed=composed,
        overrides=tuple(overrides),
        config_dir=config_dir,
        address=settings.address or _address(fixed),
        identity=_identity(fixed),
    )


class _Options:
    """The options of config groups, loaded when they are first needed."""

    def __init__(self, asked: Sequence[_Given], config_dir: str | None) -> None:
        self._asked, self._config_dir = asked, config_dir

    @cached_property
    def groups(self) -> Groups:
        single = [one.text for one in self._asked if not one.parsed.is_sweep_override()]
        return Groups(load_plugins(single, self._config_dir), config_folders(self._config_dir))

    def names(self, group: str) -> list[str]:
        """Returns the names that `glob(…)` chooses from. Raises ConfigError for a key that is not a group."""
        if group not in GROUPS:
            raise ConfigError(
                COMMAND_LINE, f"{group}=glob(…): only options of a group can be globbed", did_you_mean(group, GROUPS)
            )
        return [name for name in self.groups.options(group) if name not in WORDS.get(group, ())]


def _settings(own: Sequence[_Given], options: _Options) -> tuple[list[_Given], SweepConfig]:
    """Returns the overrides of the named sweep, if one is chosen, and the settings.

    The settings are those of the named sweep, overridden by the command line's.
    """
    merged: dict[str, Any] = {}
    where = COMMAND_LINE
    named = [one for one in own if one.key == SWEEP]
    if len(named) > 1:
        raise ConfigError(COMMAND_LINE, f"{named[1].text}: a sweep starts from one", "Write sweep=NAME once.")
    for one in own:
        if one.key == SWEEP:
            file = _preset(one, options)
            where, merged = shown(file), read_yaml(file)
    keys = set()
    for one in own:
        if one.key != SWEEP:
            key = one.key.partition(".")[2]
            if one.parsed.is_sweep_override() or one.parsed.is_delete() or key.partition(".")[0] == "params":
                raise ConfigError(COMMAND_LINE, f"{one.text}: a setting of the sweep takes one value", "Write one.")
            merged[key] = one.parsed.value()
            keys.add(one.key)
    try:
        settings = build(SweepConfig, merged, SWEEP)
    except BadValue as bad:
        fix = "Seeds are of the runs: seed=range(0,10)." if bad.key == f"{SWEEP}.seeds" else bad.fix
        raise ConfigError(COMMAND_LINE if bad.key in keys else where, f"{bad.shown}: {bad.what}", fix) from bad
    if settings.dir is not None and not settings.dir.strip():
        raise ConfigError(COMMAND_LINE, "sweep.dir: '' is not a folder name", "Write sweep.dir=runs/mine.")
    return list(_params(settings.params, where)), settings


def _preset(one: _Given, options: _Options) -> Path:
    if one.parsed.is_sweep_override() or one.parsed.is_delete():
        raise ConfigError(COMMAND_LINE, f"{one.text}: a sweep starts from one", "Write sweep=NAME.")
    name = one.parsed.value()
    files = options.groups.files(SWEEP)
    if not isinstance(name, str) or name not in files:
        raise ConfigError(COMMAND_LINE, f"{one.text}: there is no such sweep", did_you_mean(str(name), files))
    return files[name]


def _params(params: Mapping[str, Any], where: str) -> Iterator[_Given]:
    for key, value in params.items():
        if value is None or isinstance(value, list | dict):
            raise ConfigError(where, f"params.{key}: expected what the command line would say", _as_text(key, value))
        text = f"{key}={str(value).lower() if isinstance(value, bool) else value}"
        try:
            ((quoted, parsed),) = parsed_overrides([text])
        except ConfigError as error:
            raise ConfigError(where, f"params.{key}: {error.what}", error.fix) from error
        if sweeping_only(parsed.key_or_group):
            raise ConfigError(where, f"params.{key}: is a setting of the sweep", "Write it beside params.")
        yield _Given(quoted, parsed, where)


def _known_axes(settings: SweepConfig) -> tuple[str, ...]:
    """Returns the axes of the sweep in the named folder: keys that stay axes even with a single value."""
    folder = None if settings.dir is None else Path(settings.dir).expanduser()
    return () if folder is None or not (folder / HEAD).is_file() else tuple(read_head(folder).axes)


def _as_text(key: str, value: Any) -> str:
    """Returns the advice for writing a list or mapping in a named sweep."""
    if isinstance(value, list) and value and not any(isinstance(inner, list | dict) for inner in value):
        listed = ",".join(map(str, value))
        return f"Write {key}: {listed} for several values, {key}: '[{listed}]' for one that is a list."
    if isinstance(value, dict) and value:
        return f"Write {key}.{next(iter(value))}: VALUE."
    return f"Write {key}: 'null' for nothing." if value is None else f"Write {key}: VALUE."


def _check_keys(runs: Iterable[_Given]) -> None:
    """Raises ConfigError for a duplicate key, or a key that no sweep can vary."""
    seen: dict[str, _Given] = {}
    for one in runs:
        if one.key == "run.dir":
            raise ConfigError(one.where, f"{one.text}: a sweep has many runs", "Write sweep.dir=FOLDER.")
        before = seen.setdefault(one.key, one)
        sweeps = one.parsed.is_sweep_override() or before.parsed.is_sweep_override()
        if before is not one and (sweeps or not _adds(one)):
            raise ConfigError(
                one.where, f"{one.text}: {one.key} is written twice", "Write all its values in one place."
            )
        if one.parsed.is_sweep_override() and one.key in ("engine", "engine.address", "plugins.path", "engine.name"):
            raise ConfigError(one.where, f"{one.text}: a sweep has one {one.key}", "Make a sweep for each.")


def _adds(one: _Given) -> bool:
    """Returns whether the override adds to, or removes from, the choices of other overrides of its key."""
    return one.parsed.is_add() or one.parsed.is_delete()


def _axes(
    runs: Iterable[_Given], known: Sequence[str], options: _Options, seed: int
) -> tuple[list[Axis], Sequence[int]]:
    axes: list[Axis] = []
    seeds: Sequence[int] = ()
    for one in runs:
        if one.key == SEED:
            seeds = _seeds(one, options, seed)
        elif one.key in known and not one.parsed.is_sweep_override():
            axes.append(Choices(one.key, [one.parsed.value()], "+" if one.parsed.is_add() else ""))
        elif one.parsed.is_sweep_override():
            axes.append(_axis(one, options, seed))
    return axes, seeds


def _axis(one: _Given, options: _Options, seed: int) -> Axis:
    """Returns the axis of an override. Raises ConfigError that names the source of the override."""
    try:
        return axis_of(one.text, one.parsed, options.names, seed)
    except ConfigError as error:
        raise ConfigError(one.where, error.what, error.fix) from error


def _seeds(one: _Given, options: _Options, seed: int) -> Sequence[int]:
    if not one.parsed.is_sweep_override():
        values: Sequence[AxisValue] = [one.parsed.value()]
    else:
        axis = _axis(one, options, seed)
        if isinstance(axis, Interval):
            raise ConfigError(one.where, f"{one.text}: seeds are counted", "Write seed=range(0,1000).")
        values = axis.values
    if isinstance(values, range):
        wrong = next((value for value in (values[0], values[-1]) if not 0 <= value < _SEEDS), None)
    else:
        wrong = next((value for value in values if type(value) is not int or not 0 <= value < _SEEDS), None)
    if wrong is not None:
        fix = f"Seeds of a sweep are whole numbers from 0 to {_SEEDS - 1}."
        raise ConfigError(one.where, f"{one.text}: {wrong!r} is not a seed", fix)
    return values


def _check_sampler(axes: Sequence[Axis], settings: SweepConfig) -> int:
    """Returns the number of combinations to draw; 0 for a grid.

    Raises ConfigError if axes, sampler and number of samples do not fit together.
    """
    interval = needs_sampler(axes)
    if settings.sampler == "grid":
        if interval is not None:
            raise ConfigError(
                COMMAND_LINE, f"{interval.key}=interval(…): a grid cannot count its values",
                "Add sweep.sampler=random (or latin_hypercube) sweep.samples=100.",
            )  # fmt: skip
        if settings.samples is not None:
            raise ConfigError(
                COMMAND_LINE, f"sweep.samples={settings.samples}: a grid draws no samples", "Add sweep.sampler=random."
            )
        return 0
    if settings.samples is None:
        raise ConfigError(
            COMMAND_LINE, f"sweep.sampler={settings.sampler}: does not say how many draws", "Add sweep.samples=100."
        )
    if not axes:
        raise ConfigError(
            COMMAND_LINE, f"sweep.sampler={settings.sampler}: nothing varies but the seed", "Leave it out."
        )
    return int(settings.samples)


@dataclass(frozen=True)
class _Trial:
    """Composes points before the sweep begins. `wheres` maps each override to its source."""

    fixed: Sequence[str]
    axes: Sequence[Axis]
    wheres: Mapping[str, str]
    config_dir: str | None

    def composed(self, values: Sequence[AxisValue]) -> Composed:
        """Composes a combination. If it cannot, raises ConfigError with the combination and the override's source."""
        own = [override_text(axis, value) for axis, value in zip(self.axes, values, strict=True)]
        try:
            return compose([*self.fixed, *own], self.config_dir)
        except ConfigError as error:
            within = f" (with {', '.join(own)})" if len(own) > 1 or (own and own[0] not in error.what) else ""
            fix = self._fix(error) or error.fix
            raise ConfigError(self._where(error), f"{error.what.rstrip('.')}{within}", fix) from error

    def try_values(self, first: Sequence[AxisValue], engine: str) -> None:
        """Composes each axis's values with the first values of the others; of a long axis only the first and last.

        Raises ConfigError for values that cannot be composed, or that change the engine.
        """
        for place, axis in enumerate(self.axes):
            for value in _samples_of(axis):
                other = self.composed([*first[:place], value, *first[place + 1 :]]).engine
                if other != engine:
                    what = f"{override_text(axis, value)} has engine={other}, the points before it engine={engine}"
                    raise ConfigError(COMMAND_LINE, what, "Add engine=sim or engine=ray, or make a sweep for each.")

    def _where(self, error: ConfigError) -> str:
        if error.where != COMMAND_LINE:
            return error.where
        written = (where for text, where in self.wheres.items() if error.what.startswith(text))
        return next(written, error.where)

    def _fix(self, error: ConfigError) -> str:
        """Returns the advice for an interval that gives fractions where whole numbers are needed; else ""."""
        drawn = [axis for axis in self.axes if isinstance(axis, Interval) and error.what.startswith(f"{axis.key}=")]
        if drawn and "whole number" in error.what:
            return f"Write {drawn[0].key}=int(interval({drawn[0].start:g},{drawn[0].end:g}))."
        return ""


def _check_trace(fixed: Iterable[_Given], settings: SweepConfig, composed: Composed) -> None:
    """Raises ConfigError for full traces that would not be kept."""
    asked = next((one for one in fixed if one.key == "trace" and one.parsed.value() == "full"), None)
    if asked is not None and composed.engine == "sim" and settings.keep != "all":
        what = f"{asked.text}: simulated runs leave no trace, but for those that are kept, which have all of it"
        raise ConfigError(asked.where, what, "Leave it out, or add sweep.keep=all.")


def _samples_of(axis: Axis) -> list[AxisValue]:
    if isinstance(axis, Choices) and len(axis.values) <= _COMPOSED_FIRST:
        return list(axis.values[1:])
    return [axis.at(1.0 - 2**-53)]


def _from_anywhere(one: _Given) -> str:
    """Returns the override with absolute paths of plugins: a run may change its working directory."""
    paths = one.parsed.value()
    if one.key != "plugins.path" or not paths or not isinstance(paths, str | list):
        return one.text
    found = [str(Path(path).expanduser().resolve()) for path in ([paths] if isinstance(paths, str) else paths)]
    return override_text(Choices(one.key, [found]), found if isinstance(paths, list) else found[0])


def _address(fixed: Iterable[_Given]) -> str | None:
    found = [one.parsed.value() for one in fixed if one.key == "engine.address"]
    return None if not found or found[-1] is None else str(found[-1])


def _identity(fixed: Iterable[_Given]) -> tuple[str, ...]:
    kept = [one for one in fixed if one.key not in _NOT_THE_RUNS]
    return tuple(
        f"{one.parsed.get_key_element()}={canonical(one.parsed.value())}"
        for one in sorted(kept, key=lambda one: one.key)
    )
