"""The files of a new plugin, from the templates beside this module."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template

from framework.new.names import group_of
from framework.registry.discovery import ROOT
from framework.registry.registry import KINDS

TEMPLATES = Path(__file__).parent / "templates"

_CONFIG_HOOK = "\n\n@hookimpl\ndef register_config_folders() -> list[Path]:\n"
_PATH = "from pathlib import Path\n"
_CONFORMANCE = "\n\n@pytest.mark.synod_conformance("


@dataclass(frozen=True)
class NewPlugin:
    """A plugin's files, by their paths below the project's folder, and what is typed to run and test it from there."""

    kind: str
    name: str
    files: dict[str, str]
    overrides: tuple[str, ...]
    tests: tuple[str, ...]


def package(kind: str, name: str) -> NewPlugin:
    """A plugin outside Synod's repository: a package that brings its experiment, and its tests."""
    words = _words(kind, name, module=name)
    test, steps = f"tests/test_{name}.py", f"tests/{name}.scenario"
    files = {
        f"{name}/__init__.py": _filled(kind, "plugin.py", words),
        f"{name}/conf/experiment/{name}.yaml": _filled(kind, "experiment.yaml", words),
        test: _filled(kind, "test.py", words),
    }
    return _with_steps(NewPlugin(kind, name, files, (f"plugins.path={name}",), (test,)), steps, words)


def built_in(kind: str, name: str) -> NewPlugin:
    """A plugin of Synod's own: a module, its experiment, and its tests. Its configs are found where all are, and every
    protocol is held to the conformance kit."""
    folder = KINDS[group_of(kind)].field
    words = _words(kind, name, module=f"plugins.{folder}.{name}")
    plugin = _filled(kind, "plugin.py", words).partition(_CONFIG_HOOK)[0]
    test, steps = f"tests/plugins/{folder}/test_{name}.py", f"tests/scenarios/{name}/steps.scenario"
    files = {
        f"plugins/{folder}/{name}.py": plugin.replace(f"\n\n{_PATH}\n", "\n\n").replace(_PATH, ""),
        f"conf/experiment/{name}.yaml": _filled(kind, "experiment.yaml", words),
        test: _filled(kind, "test.py", words).partition(_CONFORMANCE)[0],
    }
    if not (ROOT / "tests/plugins" / folder / "__init__.py").exists():
        files[f"tests/plugins/{folder}/__init__.py"] = ""
    return _with_steps(NewPlugin(kind, name, files, (), (test,)), steps, words)


def _with_steps(plugin: NewPlugin, path: str, words: dict[str, str]) -> NewPlugin:
    """Returns the plugin with a scenario at `path`, if its kind has one."""
    if not (TEMPLATES / plugin.kind / "steps.scenario.txt").exists():
        return plugin
    steps = _filled(plugin.kind, "steps.scenario", words)
    return replace(plugin, files={**plugin.files, path: steps}, tests=(*plugin.tests, path))


def pyproject(name: str) -> str:
    """The pyproject.toml of a project that has none."""
    return Template((TEMPLATES / "pyproject.toml.txt").read_text("utf-8")).substitute(
        name=name, dashed=name.replace("_", "-")
    )


def class_names(kind: str, name: str) -> list[str]:
    """The classes that the plugin defines with its name in theirs."""
    text = (TEMPLATES / kind / "plugin.py.txt").read_text("utf-8")
    return [f"{_title(name)}{suffix}" for suffix in re.findall(r"^class \$\{title\}(\w+)", text, re.MULTILINE)]


def _words(kind: str, name: str, module: str) -> dict[str, str]:
    return {"name": name, "title": _title(name), "words": name.replace("_", " ").capitalize(), "module": module}


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _filled(kind: str, part: str, words: dict[str, str]) -> str:
    return Template((TEMPLATES / kind / f"{part}.txt").read_text("utf-8")).substitute(words)
