"""Who may import whom: the layers of the framework, and what each is kept free of."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
STANDARD = sys.stdlib_module_names

BELOW = {
    "core": (),
    "trace": ("core",),
    "verify": ("core",),
    "registry": ("core", "verify"),
    "engine": ("core", "trace", "verify", "registry"),
    "config": ("core", "trace", "verify", "registry", "engine.base"),
    "redrive": ("core", "trace", "verify", "registry", "engine", "config"),
    "runs": ("core", "trace", "verify", "registry", "engine", "config", "redrive"),
    "reduction": ("core", "trace", "verify", "registry", "engine", "config", "redrive", "runs"),
    "sweep": ("core", "trace", "verify", "registry", "engine", "config", "redrive", "runs"),
    "console": ("core", "trace", "verify", "registry", "engine", "config", "redrive", "runs", "reduction", "sweep"),
    "report": ("core", "trace", "verify", "registry", "engine", "config", "redrive", "runs"),
    "testing": ("core", "trace", "verify", "registry", "engine", "config", "redrive", "runs"),
}
"""The packages of the framework, and what each may import besides itself, at any depth. The commands may import all."""


class Import(NamedTuple):
    """One import statement: `lazy` if it runs when a function is called, not when the module is loaded."""

    file: Path
    line: int
    module: str
    lazy: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def imports(*folders: str) -> list[Import]:
    """Every import that can run in the modules below `folders`; those for type checkers alone cannot."""
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return [found for file in files for found in _walk(ast.parse(file.read_text()), file, lazy=False)]


def _walk(node: ast.AST, file: Path, lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from _walk(other, file, lazy)
            continue
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(file, child.lineno, alias.name, lazy)
        elif isinstance(child, ast.ImportFrom):
            assert not child.level, f"{file}:{child.lineno}: imports stand with their full names"
            for module in _modules(child):
                yield Import(file, child.lineno, module, lazy)
        yield from _walk(child, file, lazy or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))


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


def packages() -> list[str]:
    return sorted(folder.parent.name for folder in (ROOT / "framework").glob("*/__init__.py"))


def test_every_package_of_the_framework_has_its_layer() -> None:
    assert set(packages()) <= set(BELOW)


@pytest.mark.parametrize("package", packages())
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    allowed = [f"framework.{name}" for name in (package, *BELOW[package])]
    wrong = [
        str(found)
        for found in imports(f"framework/{package}")
        if found.file.name != "__main__.py"  # a command
        if is_within(found.module, "framework") and found.module != "framework"
        if not any(is_within(found.module, name) for name in allowed)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_layers_have_no_cycle() -> None:
    order = list(BELOW)
    for package, below in BELOW.items():
        assert all(order.index(name.partition(".")[0]) < order.index(package) for name in below)


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
