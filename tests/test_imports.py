"""Who may import whom: the layers of the framework, and what each is kept free of."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import framework
from tests.exports import written

ROOT = Path(__file__).parent.parent
STANDARD = sys.stdlib_module_names

LAYERS = (
    ("core",),
    ("replication", "network", "faults", "placement", "balancing"),
    ("load",),
    ("trace",),
    ("checking",),
    ("commitment", "failure_detection", "locking"),
    ("registry",),
    ("engine.tally",),
    ("engine.base",),
    ("config",),
    ("engine",),
    ("replay",),
    ("runs",),
    ("shrink", "sweep"),
    ("report", "export"),
    ("console",),
    ("testing",),
)
"""The packages of the framework from the bottom up. Each imports itself and what stands above it here, nothing of its own
layer. Commands (`__main__`) import all."""


class Import(NamedTuple):
    """One import statement: `lazy` if it runs when a function is called, not when the module is loaded."""

    file: Path
    line: int
    module: str
    lazy: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def imports(*folders: str, checked: bool = False) -> list[Import]:
    """Every import that can run in the modules below `folders`; with `checked`, those for type checkers alone as well."""
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return [found for file in files for found in _walk(ast.parse(file.read_text()), file, False, checked)]


def _walk(node: ast.AST, file: Path, lazy: bool, checked: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if not checked and isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from _walk(other, file, lazy, checked)
            continue
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(file, child.lineno, alias.name, lazy)
        elif isinstance(child, ast.ImportFrom):
            assert not child.level, f"{file}:{child.lineno}: imports stand with their full names"
            for module in _modules(child):
                yield Import(file, child.lineno, module, lazy)
        is_lazy = lazy or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from _walk(child, file, is_lazy, checked)


def _modules(statement: ast.ImportFrom) -> list[str]:
    """What `from x import a, b` loads: `x.a` where that is a module of ours, else `x`."""
    assert statement.module is not None
    path = ROOT / statement.module.replace(".", "/")
    return sorted(
        {
            f"{statement.module}.{alias.name}"
            if (path / alias.name).is_dir() or (path / f"{alias.name}.py").exists()
            else statement.module
            for alias in statement.names
        }
    )


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


COMMANDS = ("run", "check", "new", "plugins")
"""Packages that hold a command alone."""

SECOND_RUN = "framework.replay.second_run"
"""A command that `engine.verify_determinism` starts."""


def layer_of(module: str) -> int:
    """The place of a module of the framework in `LAYERS`; commands come last."""
    if module.endswith(".__main__") or module == SECOND_RUN or module.split(".")[1] in COMMANDS:
        return len(LAYERS)
    return max(
        (len(name), number)
        for number, names in enumerate(LAYERS)
        for name in names
        if is_within(module, f"framework.{name}")
    )[1]


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_every_package_of_the_framework_has_its_layer() -> None:
    found = {folder.parent.name for folder in (ROOT / "framework").glob("*/__init__.py")}
    assert found == {name for names in LAYERS for name in names if "." not in name} | set(COMMANDS)


def test_a_package_imports_only_what_lies_below_it() -> None:
    wrong = []
    for found in imports("framework", checked=True):
        own = name_of(found.file)
        if own == "framework" or not found.module.startswith("framework."):
            continue
        here, there = layer_of(own), layer_of(found.module)
        same = own.split(".")[1] == found.module.split(".")[1]
        if there > here or (there == here and not same and here < len(LAYERS)):
            wrong.append(str(found))
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports that are lazy or for type checkers count."""
    graph: dict[str, set[str]] = {}
    for found in imports("framework", checked=True):
        own = name_of(found.file)
        if own != "framework" and found.module.startswith("framework."):
            graph.setdefault(own, set()).add(found.module)
    TopologicalSorter({own: others - {own} for own, others in graph.items()}).prepare()  # CycleError names the circle


def test_no_two_public_classes_share_a_name() -> None:
    homes: dict[str, list[str]] = {}
    for file in sorted((ROOT / "framework").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(name_of(file))
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_the_exports_are_up_to_date_and_listed() -> None:
    assert (ROOT / "framework/__init__.py").read_text() == written()
    assert set(framework.__all__) <= set(dir(framework))


def test_the_framework_names_no_plugin() -> None:
    wrong = [str(found) for found in imports("framework") if is_within(found.module, "plugins")]
    assert wrong == []


def test_the_core_needs_msgspec_and_the_standard_library_alone() -> None:
    wrong = [
        str(found)
        for found in imports("framework/core")
        if found.module.partition(".")[0] not in {*STANDARD, "msgspec", "framework"}
    ]
    assert wrong == []


def test_ray_is_imported_by_its_engine_and_the_sweeps_alone_and_only_when_they_run() -> None:
    homes = (ROOT / "framework/engine/ray", ROOT / "framework/sweep")
    ours = [found for found in imports("framework", "plugins") if is_within(found.module, "ray")]
    wrong = [str(found) for found in ours if not found.lazy or not any(home in found.file.parents for home in homes)]
    assert wrong == []


def test_a_plugin_imports_the_framework_and_its_own_package_but_no_other_plugin() -> None:
    wrong = []
    for found in imports("plugins"):
        kind, name = found.file.relative_to(ROOT / "plugins").with_suffix("").parts[:2]
        if is_within(found.module, "plugins") and not is_within(found.module, f"plugins.{kind}.{name}"):
            wrong.append(str(found))
    assert wrong == []


def test_loading_the_core_loads_nothing_heavy_and_the_simulator_never_loads_ray() -> None:
    script = """
import sys, pathlib, importlib
for file in sorted(pathlib.Path("framework/core").glob("*.py")):
    importlib.import_module(f"framework.core.{file.stem}")
heavy = {"ray", "pyarrow", "omegaconf", "hydra", "numpy", "pluggy", "rich"} & sys.modules.keys()
assert not heavy, f"the core loads {sorted(heavy)}"
others = [name for name in sys.modules if name.startswith("framework.") and not name.startswith("framework.core")]
assert not others, f"the core loads {others}"
import framework.engine.sim
assert "ray" not in sys.modules, "the simulator loads ray"
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
