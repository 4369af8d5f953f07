"""The keys of rows: hashes of everything that a row's result depends on.

A key has 32 hexadecimal digits. The first 20 are a hash of the point: the fixed overrides, the value on each axis and
the seed. The last 12 are a hash of the code and the config files, which identifies rows of other code.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import framework
from framework.config.groups import GROUPS, LISTS
from framework.core.errors import ConfigError
from framework.registry.discovery import ROOT
from framework.registry.registry import KINDS
from framework.sweep.axes import AxisValue, Choices, canonical
from framework.sweep.plan import SweepPlan
from framework.sweep.points import Points
from framework.sweep.rows import CODE_DIGITS, POINT_DIGITS

_SCREENS = ("console", "report", "sweep", "view")
"""Packages of the framework that have no effect on a run."""

_SOURCES = (".py", ".yaml")


@dataclass(frozen=True)
class Identity:
    """The common input of a sweep's keys: `point`, a hash of the fixed overrides; `code`, of code and config files."""

    point: str
    code: str
    axes: tuple[str, ...]
    """The keys of the axes, in the order of the axes."""

    def key(self, values: Sequence[AxisValue], seed: int) -> str:
        """Returns the key of a point: 32 hexadecimal digits. The point need not be composed."""
        return f"{self._point(tuple(map(canonical, values)), seed)}{self.code}"

    def keys_of(self, points: Points) -> Iterator[str]:
        """Yields the keys of all points, in the order of the points."""
        for values in map(points.combination, range(points.combinations)):
            yield from (self.key(values, seed) for seed in points.seeds)

    def _point(self, spelled: tuple[str, ...], seed: int) -> str:
        whole = _combination(self.point, self.axes, spelled).copy()
        whole.update(str(seed).encode())
        return str(whole.hexdigest())[:POINT_DIGITS]


@lru_cache(maxsize=256)
def _combination(point: str, keys: tuple[str, ...], spelled: tuple[str, ...]) -> Any:
    """Returns the hash of a combination, to which a seed is added. It does not depend on the order of the keys."""
    parts = [f"{key}={value}" for key, value in sorted(zip(keys, spelled, strict=True))]
    return hashlib.blake2b("\n".join([point, *parts, ""]).encode(), digest_size=16)


def identity_of(plan: SweepPlan) -> Identity:
    """Returns the identity of a sweep, with the config files and the code as they are on disk now."""
    code = _hash([*_config_lines(plan), *_code_lines(plan), *_versions(plan.engine)])
    return Identity(_hash(plan.identity), code[:CODE_DIGITS], tuple(axis.key for axis in plan.axes))


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _config_lines(plan: SweepPlan) -> Iterator[str]:
    """Yields every config file with the hash of its content, except experiments that no point uses."""
    experiments = plan.experiments
    for folder in plan.groups.folders:
        groups = [(group, _sources(folder / group)) for group in GROUPS]
        for group, files in [("", _files(folder.glob("*.yaml"))), *groups]:
            for file in files:
                name = file.relative_to(folder / group).with_suffix("").as_posix()
                if group != "experiment" or name in experiments:
                    yield _line(folder, file)


def _code_lines(plan: SweepPlan) -> Iterator[str]:
    """Yields every source file of the framework, of its own plugins, and of other providers of a selected spec."""
    own = Path(framework.__file__).resolve().parent
    for file in _sources(own):
        if file.relative_to(own).parts[0] not in _SCREENS:
            yield _line(ROOT, file)
    for file in _sources(ROOT / "plugins"):
        yield _line(ROOT, file)
    for place in _providers(plan):
        yield from (_line(place.parent, file) for file in _sources(place))


def _sources(place: Path) -> list[Path]:
    """Returns the source files in a folder, or the file itself."""
    return [place] if place.is_file() else _files(place.rglob("*"))


def _files(found: Iterable[Path]) -> list[Path]:
    """Returns the source files among `found`, without folders, dangling links and hidden files of editors."""
    return sorted(
        file for file in found
        if file.suffix in _SOURCES and file.is_file() and not file.name.startswith(".") and "__pycache__" not in file.parts
    )  # fmt: skip


def _line(base: Path, file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(str(file), f"cannot be read ({error.strerror})") from error
    return f"{file.relative_to(base).as_posix()} {hashlib.sha256(content).hexdigest()}"


def _providers(plan: SweepPlan) -> list[Path]:
    """Returns the files and folders of external plugins that affect the runs.

    These are all loose plugins, and the installed plugins that provide a spec chosen somewhere in the sweep.
    """
    registry, chosen = plan.composed.registry, _chosen(plan)
    places = _loose_modules([Path(folder) for folder in registry.import_paths if Path(folder) != ROOT])
    for (group, name), plugin in registry.origins.items():
        file = getattr(sys.modules.get(plugin.partition(":")[0]), "__file__", None)
        if (
            file is not None
            and not Path(file).resolve().is_relative_to(ROOT / "plugins")
            and _counts(group, name, chosen)
        ):
            places.add(_home(Path(file).resolve()))
    return sorted(places)


def _loose_modules(folders: Sequence[Path]) -> set[Path]:
    """Returns the modules and packages that were imported from folders of loose plugins."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    found = {_home(Path(file).resolve()) for file in files if file is not None}
    return {place for place in found if place.parent in folders}


def _home(file: Path) -> Path:
    """Returns the file of a module, or the folder of a package."""
    return file.parent if file.name == "__init__.py" else file


def _counts(group: str, name: str, chosen: Mapping[str, set[str]]) -> bool:
    """Returns whether a spec may affect a run: it is chosen, or of a kind that other plugins look up themselves."""
    if group == "model" or (group in LISTS and chosen[group]):
        return True
    return name in chosen.get(group, ())


def _chosen(plan: SweepPlan) -> dict[str, set[str]]:
    """Returns, by group, the plugins of the first point and those named on an axis."""
    config, found = plan.composed.config, {group: set[str]() for group in KINDS}
    for group, names in found.items():
        held = config.get(group) or {}
        entries = held.items() if group in LISTS else [(group, held)]
        names.update(str(entry.get("name", key)) for key, entry in entries if isinstance(entry, Mapping))
    for axis in plan.axes:
        if axis.key in found and isinstance(axis, Choices):
            for value in axis.values:
                found[axis.key].update(map(str, value if isinstance(value, list) else [value]))
    return found


def _versions(engine: str) -> list[str]:
    packages = ["msgspec", "numpy", "pyarrow", *(["ray"] if engine == "ray" else [])]
    return [".".join(platform.python_version_tuple()[:2]), *(f"{name} {_version(name)}" for name in packages)]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
