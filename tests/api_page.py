"""Writes docs/api.md from the docstrings of all that `framework` exports: `python -m tests.api_page`."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import framework

TARGET = Path(__file__).parents[1] / "docs" / "api.md"

HEAD = """# The public names

Everything that a plugin or a script imports from `framework`, by subject. This page is written from the docstrings;
[extending.md](extending.md) shows most of it in use.

"""

SUBJECTS = {
    "framework.core": "Nodes, clients, messages, durable state",
    "framework.replication": "Parts of replicated protocols",
    "framework.commitment": "Atomic commitment",
    "framework.failure_detection": "Failure detection",
    "framework.locking": "Locks",
    "framework.faults": "Faults",
    "framework.network": "Networks",
    "framework.placement": "Placement",
    "framework.balancing": "Load balancing",
    "framework.load": "Workloads",
    "framework.checking": "Checkers, models, invariants",
    "framework.registry": "Specs and hooks",
    "framework.trace": "Reading runs",
    "framework.sweep": "Reading sweeps",
    "framework.testing": "Tests",
}


def page() -> str:
    """The page, whole."""
    homes: dict[str, str] = framework._HOMES
    parts = [HEAD]
    subjects = [(package, [name for name, home in homes.items() if home.startswith(package)]) for package in SUBJECTS]
    assert sum(len(names) for _, names in subjects) == len(homes), "a name is of no subject"
    anchors: Counter[str] = Counter()
    for package, names in subjects:
        links = ", ".join(f"[`{name}`](#{_anchor(name, anchors)})" for name in in_order(names))
        parts.append(f"- {SUBJECTS[package]}: {links}\n")
    for package, names in subjects:
        parts.append(f"\n## {SUBJECTS[package]}\n")
        parts += [entry(name, homes[name]) for name in in_order(names)]
    return "".join(parts)


def in_order(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (name.lower(), name))


def _anchor(name: str, taken: Counter[str]) -> str:
    """Where a heading is found: of two that differ in case alone, the second has a number."""
    number = taken[name.lower()]
    taken[name.lower()] += 1
    return f"{name.lower()}-{number}" if number else name.lower()


def entry(name: str, home: str) -> str:
    """What the page says of one name."""
    definition, text_below = _definition(name, home)
    lines = [f"\n### {name}\n"]
    if isinstance(definition, ast.ClassDef):
        lines += [f"```python\n{_class_line(definition)}\n```\n", _described(ast.get_docstring(definition))]
        members = [*_inherited(definition, home), *_members(definition)]
        lines += [f"- `{signature}`{_aside(text)}\n" for signature, text in members]
    elif isinstance(definition, ast.FunctionDef):
        lines += [f"```python\n{_function_line(definition)}\n```\n", _described(ast.get_docstring(definition))]
    else:
        value = getattr(importlib.import_module(home), name)
        shown = f"{name} = {value!r}" if isinstance(value, int | str) else ast.unparse(definition)
        lines += [f"```python\n{shown}\n```\n", _described(text_below)]
    return "\n".join(line for line in lines if line)


def _definition(name: str, home: str) -> tuple[ast.stmt, str]:
    """The statement of a module that defines `name`, and the text that stands below it."""
    body = ast.parse(inspect.getsource(importlib.import_module(home))).body
    for place, statement in enumerate(body):
        targets = [statement.name] if isinstance(statement, ast.ClassDef | ast.FunctionDef) else _targets(statement)
        if name in targets:
            return statement, _text(body[place + 1]) if place + 1 < len(body) else ""
    raise AssertionError(f"{home} does not define {name}")


def _inherited(definition: ast.ClassDef, home: str) -> Iterator[tuple[str, str]]:
    """The members of the bases that are not exported, as `Spec` is not."""
    module = importlib.import_module(home)
    for base in definition.bases:
        found = getattr(module, ast.unparse(base), None)
        if (
            isinstance(found, type)
            and found.__module__.startswith("framework.")
            and found.__name__ not in framework._HOMES
        ):
            statement, _ = _definition(found.__name__, found.__module__)
            assert isinstance(statement, ast.ClassDef)
            yield from _inherited(statement, found.__module__)
            yield from _members(statement)


def _targets(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.AnnAssign):
        return [ast.unparse(statement.target)]
    return [ast.unparse(target) for target in statement.targets] if isinstance(statement, ast.Assign) else []


def _members(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """The public fields, properties and methods of a class, with what their docstrings say."""
    for place, statement in enumerate(definition.body):
        if isinstance(statement, ast.AnnAssign) and not ast.unparse(statement.target).startswith("_"):
            below = definition.body[place + 1] if place + 1 < len(definition.body) else None
            yield ast.unparse(statement), "" if below is None else _text(below)
        elif isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            arguments = _function_line(statement).partition("(")[2].removesuffix(" -> None")
            yield f"{definition.name}({arguments}", ast.get_docstring(statement) or ""
        elif isinstance(statement, ast.FunctionDef) and not statement.name.startswith("_"):
            decorators = [ast.unparse(decorator) for decorator in statement.decorator_list]
            if any(decorator in ("property", "cached_property") for decorator in decorators):
                returns = "" if statement.returns is None else f": {ast.unparse(statement.returns)}"
                yield f"{statement.name}{returns}", ast.get_docstring(statement) or ""
            else:
                kind = next((f"@{one} " for one in decorators if one in ("classmethod", "staticmethod")), "")
                yield kind + _function_line(statement).removeprefix("def "), ast.get_docstring(statement) or ""


def _class_line(definition: ast.ClassDef) -> str:
    bases = ", ".join(ast.unparse(base) for base in definition.bases)
    return f"class {definition.name}({bases})" if bases else f"class {definition.name}"


def _function_line(definition: ast.FunctionDef) -> str:
    arguments = definition.args
    if arguments.args and arguments.args[0].arg in ("self", "cls"):
        arguments.args = arguments.args[1:]
    returns = "" if definition.returns is None else f" -> {ast.unparse(definition.returns)}"
    return f"def {definition.name}({ast.unparse(arguments)}){returns}"


def _text(statement: ast.stmt) -> str:
    held: Any = statement.value if isinstance(statement, ast.Expr) else None
    return inspect.cleandoc(held.value) if isinstance(held, ast.Constant) and isinstance(held.value, str) else ""


def _described(text: str | None) -> str:
    """A docstring as Markdown: indented examples become blocks of code."""
    lines: list[str] = []
    code: list[str] = []
    for line in [*(text or "").splitlines(), "end"]:
        if line.startswith("    ") or (code and not line):
            code.append(line)
            continue
        if code:
            lines += ["```python", *textwrap.dedent("\n".join(code)).strip("\n").splitlines(), "```", ""]
            code = []
        lines.append(line)
    return "\n".join(lines[:-1]) + "\n" if text else ""


def _aside(text: str) -> str:
    """A member's docstring in its list item."""
    return f": {' '.join(text.split())}" if text else ""


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
