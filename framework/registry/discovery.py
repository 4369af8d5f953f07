"""Discovery of plugins: beside `framework`, in the entry-point group `synod`, and in loose folders and files."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import framework
from framework.core.errors import ConfigError, PluginError
from framework.core.tracebacks import error_line

ROOT = Path(framework.__file__).resolve().parent.parent
"""The folder of `framework`, `plugins` and `conf`: the repository, or the place where a wheel was installed."""

ENTRY_POINTS = "synod"


@dataclass(frozen=True)
class Found:
    """A plugin that may fail to import: the name of its module, and a function that imports it."""

    name: str
    load: Callable[[], Any]


def built_in() -> Iterator[Found]:
    """Yields every module or package directly inside a kind folder of our `plugins`, unless its name starts with `_`.

    Raises PluginError if another package of that name shadows ours.
    """
    package = our_plugins()
    for kind in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        if kind.ispkg:
            folder = importlib.import_module(f"plugins.{kind.name}")
            for module in sorted(pkgutil.iter_modules(folder.__path__), key=lambda module: module.name):
                if not module.name.startswith("_"):
                    yield _importable(f"plugins.{kind.name}.{module.name}")


def our_plugins() -> Any:
    """Imports the package `plugins` beside `framework`.

    Raises PluginError, naming both paths, if another shadows it.
    """
    standing = importlib.util.find_spec("plugins")
    if standing is None or standing.origin is None:  # nothing, or a namespace package, which ranks below a package
        add_import_path(ROOT)
    package = importlib.import_module("plugins")
    places = [Path(place).resolve() for place in package.__path__]
    if ROOT / "plugins" not in places:
        other = places[0] if places else Path("?")
        raise PluginError(
            f"the package 'plugins' in {other}",
            f"is found before Synod's own in {ROOT / 'plugins'}",
            f"Rename your folder, and name it with plugins.path={other.parent / 'my_plugins'}.",
        )
    return package


def installed() -> Iterator[Found]:
    """Yields the plugins that other packages register in the entry-point group `synod`."""
    for entry in sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        yield Found(entry.value, entry.load)


def loose(path: str) -> Iterator[Found]:
    """Yields the plugin in the file or package `path`, or the plugins in the folder `path`.

    Appends the folder to import from to `sys.path`. Raises ConfigError if there is nothing at `path`, PluginError if a
    name is taken by an installed module.
    """
    place = Path(path).expanduser().resolve()
    if place.suffix == ".py" and place.is_file():
        modules = [(place.parent, place.stem, place)]
    elif (place / "__init__.py").is_file():
        modules = [(place.parent, place.name, place / "__init__.py")]
    elif place.is_dir():
        modules = [(place, name, file) for name, file in _modules_in(place)]
    else:
        several = f"plugins.path=[{path}]" if "," in path else "plugins.path=[a,b]"
        fix = f"Name a folder or a .py file that exists; for several write {several}."
        raise ConfigError("plugins.path", f"there is no plugin at {place}", fix)
    if not modules:
        raise ConfigError("plugins.path", f"the folder {place} holds no Python file", "Name the folder of the plugins.")
    for folder, name, file in modules:
        _refuse_taken(name, file)
        add_import_path(folder)
        yield _importable(name)


def import_path(path: str) -> str:
    """Returns the folder that must be on the import path of a process that imports the plugins at `path`."""
    place = Path(path).expanduser().resolve()
    package = place.is_file() or (place / "__init__.py").is_file()
    return str(place.parent if package else place)


def add_import_path(folder: Path) -> None:
    """Appends `folder` to the import path, unless it is there: at the end, so that it shadows nothing."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()


def _modules_in(folder: Path) -> list[tuple[str, Path]]:
    files = {file.stem: file for file in folder.glob("*.py")}
    files |= {inner.parent.name: inner for inner in folder.glob("*/__init__.py")}
    return [(name, file) for name, file in sorted(files.items()) if not name.startswith(("_", "test_", "conftest"))]


def _refuse_taken(name: str, file: Path) -> None:
    if not name.isidentifier():
        raise PluginError(str(file), f"{name!r} cannot be imported", f"Rename it to {name.replace('-', '_')!r}.")
    if name in sys.builtin_module_names or name in sys.stdlib_module_names:
        raise PluginError(str(file), f"the name {name!r} is taken by Python itself", "Rename the file.")
    try:
        spec = importlib.util.find_spec(name)
    except (ValueError, ImportError):
        spec = None
    origin = spec.origin if spec is not None else None
    if spec is not None and (origin is None or Path(origin).resolve() != file):
        where = origin or ", ".join(spec.submodule_search_locations or ["memory"])
        mine = "folder" if file.name == "__init__.py" else "file"
        raise PluginError(str(file), f"the name {name!r} is taken by {where}", f"Rename the {mine}.")


def _importable(name: str) -> Found:
    return Found(name, lambda: importlib.import_module(name))


def import_failure(error: BaseException) -> str:
    """Describes the failed import of a plugin on one line: the error, and its innermost place in the plugin's files."""
    line = error_line(error)
    if isinstance(error, SyntaxError):
        return f"{line} in {error.filename}" if error.filename and error.filename not in line else line
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_a_plugins(frame.filename)]
    return f"{line} ({frames[-1].filename}:{frames[-1].lineno})" if frames else line


def _is_a_plugins(filename: str) -> bool:
    inner = ("<frozen", importlib.__file__, str(ROOT / "framework"))
    return not filename.startswith(tuple(str(Path(part).parent) if part.endswith(".py") else part for part in inner))
