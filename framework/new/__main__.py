"""`python -m framework.new KIND NAME [--dir FOLDER]`: a plugin that runs, with its experiment and its tests.

It writes a package below FOLDER, or else below the current project: the nearest folder with a
pyproject.toml, else the current folder. The package can be installed with pip, and is tested and run without that. In
Synod's own repository it writes a module of `plugins/`. Each kind has a small example (`templates/`), whose docstring
says what to change first.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("framework.new.__main__")

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from framework.console.entry import carried_out
from framework.core.command_line import command_line, command_name
from framework.core.errors import ConfigError, did_you_mean
from framework.core.tracebacks import printable
from framework.new import files, pyproject
from framework.new.files import NewPlugin
from framework.new.names import KIND_NAMES, check_name
from framework.registry.discovery import ROOT


class Written(NamedTuple):
    """The result: the plugin, its files, changed files, and lines that the user has to add to other files."""

    plugin: NewPlugin
    files: list[Path]
    changed: list[Path]
    to_add: dict[Path, list[str]]


def main(arguments: Sequence[str]) -> int:
    """Writes the files and prints their names and the next steps; 2 with one line on stderr if it cannot."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(_usage())
        return 0
    return carried_out(lambda: _write(*_read(list(arguments))))


def _usage() -> str:
    return (
        f"usage: {command_line('framework.new')} KIND NAME [--dir FOLDER]\n\n"
        "Writes a plugin with its experiment and its tests, which pass at once.\n"
        f"KIND is one of: {', '.join(KIND_NAMES)}."
    )


def _write(kind: str, name: str, folder: Path) -> int:
    written = write_plugin(kind, name, folder)
    for file in written.files:
        print(f"wrote {_typed(file)}")
    for file in written.changed:
        print(f"added the plugin to {_typed(file)}")
    for file, lines in written.to_add.items():
        print(f"add to {_typed(file)}:", *(f"    {line}" for line in lines), sep="\n")
    overrides = [f"plugins.path={_typed(folder / name)}"] if written.plugin.overrides else []
    print(f"run it: {command_line('framework.run', f'experiment={name}', 'engine=sim', *overrides)}")
    print(
        f"test it: {shlex.join(['python', '-m', 'pytest', *(_typed(folder / test) for test in written.plugin.tests)])}"
    )
    if written.plugin.overrides:
        print(f"install it, so that plugins.path is not needed: {shlex.join(['pip', 'install', '-e', _typed(folder)])}")
    return 0


def write_plugin(kind: str, name: str, folder: Path) -> Written:
    """Writes a plugin below `folder`, or into Synod's repository if `folder` is that.

    ConfigError if the name cannot be one or is taken, or if a file would be overwritten; then nothing is written.
    """
    check_name(kind, name, files.class_names(kind, name), folder)
    if printable(str(folder)) != str(folder):
        raise ConfigError(
            printable(str(folder)), "is not a path that a file can hold", "Name another folder with --dir."
        )
    plugin = files.built_in(kind, name) if folder == ROOT else files.package(kind, name)
    texts = {folder / path: text for path, text in plugin.files.items()}
    for file in texts:
        if file.exists():
            raise ConfigError(_typed(file), "exists already", "Choose another name, or another folder with --dir.")
    changed: dict[Path, str] = {}
    to_add: dict[Path, list[str]] = {}
    if folder != ROOT:
        project_file = folder / "pyproject.toml"
        if project_file.exists():
            changed, to_add = _extended(project_file, name)
        else:
            texts[project_file] = files.pyproject(name)
    _write_all({**texts, **changed}, folder)
    return Written(plugin, list(texts), list(changed), to_add)


def _extended(file: Path, name: str) -> tuple[dict[Path, str], dict[Path, list[str]]]:
    """The pyproject.toml with the plugin in it; and the lines to add, to it if it cannot be edited, and to the file
    that configures pytest in its stead."""
    try:
        text = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(_typed(file), f"cannot be read ({error})", "Name another folder with --dir.") from error
    elsewhere = pyproject.pytest_file(file.parent, text)
    wanted = pyproject.additions(text, name, pytest_elsewhere=elsewhere is not None)
    edited = pyproject.with_additions(text, wanted)
    to_add = {} if edited is not None else {file: pyproject.to_add(wanted)}
    if elsewhere is not None:
        to_add[file.parent / elsewhere] = ["pythonpath = .", f"synod_plugins = {name}"]
    return ({} if edited is None else {file: edited}), to_add


def _write_all(texts: dict[Path, str], folder: Path) -> None:
    try:
        for file, text in texts.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())
    except OSError as error:
        fix = "Name a folder with --dir."
        raise ConfigError(_typed(folder), f"cannot be written to: {error.strerror}", fix) from error


def project(place: Path) -> Path:
    """The project that `place` lies in: the nearest folder above, or itself, with a pyproject.toml; else `place`."""
    return next((folder for folder in (place, *place.parents) if (folder / "pyproject.toml").is_file()), place)


def _typed(path: Path) -> str:
    """A path as a person would type it: from the current folder, if it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _read(arguments: list[str]) -> tuple[str, str, Path]:
    folder = project(Path.cwd())
    if "--dir" in arguments:
        at = arguments.index("--dir")
        if at + 1 == len(arguments):
            raise ConfigError("--dir", "names no folder", "Write --dir FOLDER.")
        folder = Path(arguments[at + 1]).expanduser().resolve()
        del arguments[at : at + 2]
    where = command_name("framework.new")
    if len(arguments) != 2:
        fix = f"Write {command_line('framework.new')} KIND NAME [--dir FOLDER]."
        raise ConfigError(where, "takes a kind and a name", fix)
    kind, name = arguments
    if kind not in KIND_NAMES:
        what = f"there is no kind of plugin called {printable(kind)!r}"
        fix = did_you_mean(kind, KIND_NAMES)
        if kind.removesuffix("s") == "invariant":
            fix = "An invariant is a class of a protocol's plugin: docs/checking.md#invariants shows one."
        raise ConfigError(where, what, fix)
    return kind, name, folder
