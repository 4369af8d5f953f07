"""Adds a package to a pyproject.toml that somebody else wrote.

The file is edited as text, so that its comments and its order stay. What comes out is read with tomllib: it must hold
all that was there and what was added, and nothing else.
"""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENTRY_POINTS = ("project", "entry-points", "synod")
PYTEST = ("tool", "pytest")
SETUPTOOLS = ("tool", "setuptools")
CONFIGS = "conf/**/*.yaml"

BEFORE = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
"""Files in whose presence pytest passes over pyproject.toml."""
AFTER = {"tox.ini": "[pytest]", "setup.cfg": "[tool:pytest]"}
"""Files that pytest reads if they have such a section and pyproject.toml says nothing of pytest."""


@dataclass(frozen=True)
class Addition:
    """`key = value` in a table. A list gets what it lacks of `value`."""

    table: tuple[str, ...]
    key: str
    value: str | bool | list[str]

    @property
    def header(self) -> str:
        return f"[{'.'.join(self.table)}]"

    @property
    def line(self) -> str:
        return f"{_key(self.key)} = {json.dumps(self.value)}"


def additions(text: str, name: str, *, pytest_elsewhere: bool = False) -> list[Addition]:
    """Returns the lines that a package called `name` needs and a pyproject.toml lacks. Leaves out pytest if that is
    configured elsewhere."""
    return [addition for addition in _wanted(_read(text), name, pytest_elsewhere) if not _holds(_read(text), addition)]


def pytest_file(folder: Path, text: str) -> str | None:
    """The file that configures pytest in a project with this pyproject.toml; None if that does, or may do so."""
    if (before := next((name for name in BEFORE if (folder / name).is_file()), None)) is not None:
        return before
    if _at(_read(text), PYTEST):
        return None
    return next((name for name, section in AFTER.items() if section in _lines(folder / name)), None)


def with_additions(text: str, wanted: Sequence[Addition]) -> str | None:
    """The text with all of `wanted`; None if it cannot be edited with certainty."""
    try:
        due = tomllib.loads(text)
        for addition in wanted:
            _merge(due, addition)
            text = _inserted(text, addition)
        return text if tomllib.loads(text) == due else None
    except (tomllib.TOMLDecodeError, TypeError, AttributeError):
        return None


def to_add(wanted: Sequence[Addition]) -> list[str]:
    """Returns the lines that the user adds."""
    lines: list[str] = []
    for addition in wanted:
        lines += [line for line in (addition.header,) if line not in lines]
        lines.append(addition.line)
    return lines


def _wanted(document: dict[str, Any], name: str, pytest_elsewhere: bool) -> Iterator[Addition]:
    yield Addition(ENTRY_POINTS, name, name)
    setuptools = _at(document, SETUPTOOLS)
    if not {"packages", "py-modules"} & setuptools.keys():
        yield Addition((*SETUPTOOLS, "packages", "find"), "exclude", ["tests*"])
        yield Addition((*SETUPTOOLS, "packages", "find"), "namespaces", False)
    if CONFIGS not in _at(document, (*SETUPTOOLS, "package-data")).get("*", []):
        yield Addition((*SETUPTOOLS, "package-data"), name, [CONFIGS])
    if not pytest_elsewhere:
        is_native = bool(_at(document, PYTEST).keys() - {"ini_options"})
        options = PYTEST if is_native else (*PYTEST, "ini_options")
        yield Addition(options, "pythonpath", ["."])
        yield Addition(options, "synod_plugins", [name])


def _read(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8", errors="replace").splitlines() if file.is_file() else []


def _at(document: dict[str, Any], table: Sequence[str]) -> dict[str, Any]:
    """A table of the document; an empty one if there is none."""
    for name in table:
        inner = document.get(name)
        document = inner if isinstance(inner, dict) else {}
    return document


def _holds(document: dict[str, Any], addition: Addition) -> bool:
    there = _at(document, addition.table).get(addition.key)
    if isinstance(addition.value, list):
        return isinstance(there, list) and set(addition.value) <= set(there)
    return bool(there == addition.value)


def _merge(document: dict[str, Any], addition: Addition) -> None:
    """What the document must be when it holds the addition; AttributeError or TypeError if it cannot hold it."""
    for name in addition.table:
        document = document.setdefault(name, {})
    there = document.get(addition.key)
    if isinstance(addition.value, list) and there is not None:
        document[addition.key] = [*there, *(value for value in addition.value if value not in there)]
    else:
        document[addition.key] = copy.copy(addition.value)


def _inserted(text: str, addition: Addition) -> str:
    """The addition below its table's header, in its list if that is on one line, or in a new table at the end."""
    newline = "\r\n" if "\r\n" in text else "\n"
    names = r"\s*\.\s*".join(re.escape(name) for name in addition.table)
    header = re.search(rf"^[ \t]*\[\s*{names}\s*\][ \t]*(#[^\r\n]*)?(?=\r?$)", text, re.MULTILINE)
    if header is None:
        gap = "" if not text.strip() else newline if text.endswith("\n") else 2 * newline
        return f"{text}{gap}{addition.header}{newline}{addition.line}{newline}"
    end = header.end()
    following = re.search(r"^[ \t]*\[", text[end:], re.MULTILINE)
    section = text[end:] if following is None else text[end : end + following.start()]
    listed = re.search(rf"^[ \t]*{re.escape(_key(addition.key))}[ \t]*=[ \t]*\[([^\]\n]*)\]", section, re.MULTILINE)
    if listed is None or not isinstance(addition.value, list):
        return f"{text[:end]}{newline}{addition.line}{text[end:]}"
    inside = listed[1].rstrip().rstrip(",")
    values = ", ".join(([inside] if inside.strip() else []) + [json.dumps(value) for value in addition.value])
    return text[: end + listed.start(1)] + values + text[end + listed.end(1) :]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name) else json.dumps(name)
