"""Writes `framework/__init__.py` from its `__all__`: `python -m tests.exports`. To export a name, add it to `__all__` first."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "framework" / "__init__.py"

HEAD = '''"""Synod: a laboratory for distributed protocols.

The names that an author imports, each loaded when it is first asked for. This file is written by
`python -m tests.exports`, from `__all__`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
'''

TAIL = """

def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'framework' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
"""


def names() -> list[str]:
    """The names in `__all__`."""
    tree = ast.parse(TARGET.read_text("utf-8"))
    (found,) = (
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return sorted(set(ast.literal_eval(found)))


def defined(path: Path) -> set[str]:
    """The names that a module defines at its top level; imports do not count."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def homes() -> dict[str, str]:
    """The module that defines each exported name; a name without exactly one is an error."""
    modules: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "framework").rglob("*.py")):
        if path != TARGET:
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for name in defined(path):
                modules[name].append(module)
    wrong = [name for name in names() if len(modules[name]) != 1]
    if wrong:
        sys.exit("\n".join(f"{name} is defined in {', '.join(modules[name]) or 'no module'}" for name in wrong))
    return {name: modules[name][0] for name in names()}


def written() -> str:
    """`framework/__init__.py` as it should be."""
    where = homes()
    imports = "".join(
        f"    from {module} import {', '.join(name for name in where if where[name] == module)}\n"
        for module in sorted(set(where.values()))
    )
    table = "".join(f'    "{name}": "{module}",\n' for name, module in where.items())
    listed = "".join(f'    "{name}",\n' for name in where)
    text = f"{HEAD}{imports}\n_HOMES = {{\n{table}}}\n\n__all__ = [\n{listed}]\n{TAIL}"
    for arguments in (["check", "--select", "I", "--fix", "--quiet"], ["format"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(TARGET), "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return re.sub(r"\n{4,}", "\n\n\n", text)


if __name__ == "__main__":
    TARGET.write_text(written(), "utf-8")
