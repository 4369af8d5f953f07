"""State that outlives a run: the variables of modules and classes, which all runs of one process share.

A protocol keeps its state in its nodes. State kept elsewhere (`SEEN = []` in a module, a class counter, a mutable
default argument) survives from run to run in one process. The result of a run then depends on the runs before it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeAlias

import msgspec

from framework.engine.base import Experiment

Variables: TypeAlias = Mapping[str, str]
"""The text of every variable's value, by its full name."""

_DEEPEST = 8
_SHOWN = 3
_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, range, type)


def variables_of(experiment: Experiment) -> Variables:
    """Returns the present variables of all modules and classes of the experiment's plugins."""
    return {name: _spelled(value, ()) for module in _modules(experiment) for name, value in _of_module(module)}


def changed(before: Variables, now: Variables) -> list[str]:
    """Returns the names of the variables that are new or have another value."""
    return sorted(name for name, value in now.items() if before.get(name) != value)


def cause(names: Sequence[str]) -> str:
    """Explains why a run may depend on earlier runs of its process, and the remedy. `names`: variables that changed."""
    if not names:
        return (
            "Something other than config, seed and inputs affects the run: state of a module or class that outlives a run, the"
            " global random, or a clock of the host"
        )
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (
        f"Runs of one process share {', '.join(names[:_SHOWN])}{more}, which a run changes: keep state in attributes of the"
        " node, self.NAME"
    )


def _modules(experiment: Experiment) -> list[ModuleType]:
    """Returns all modules of the packages that define the run's classes, and those in the folders of loose plugins."""
    protocol = experiment.protocol
    kinds: list[type] = [
        *protocol.node_classes,
        *protocol.invariants,
        experiment.workload.workload,
        experiment.network.model,
    ]
    choice = getattr(experiment.protocol_config, "state_machine", None)
    kinds += [spec.implementation for _, spec, _ in experiment.faults] + (
        [choice.machine] if choice is not None else []
    )
    bases = [base for kind in kinds for base in kind.__mro__]
    packages = {base.__module__.partition(".")[0] for base in bases} - {
        "builtins",
        "abc",
        "typing",
        "framework",
        "msgspec",
    }
    folders = [Path(folder) for folder in experiment.plugin_paths]

    def theirs(name: str, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None)
        return name.partition(".")[0] in packages or (file is not None and Path(file).parent in folders)

    return [
        module
        for name, module in sorted(sys.modules.items())
        if isinstance(module, ModuleType) and theirs(name, module)
    ]


def _of_module(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name, value in list(vars(module).items()):
        if isinstance(value, ModuleType) or (name.startswith("__") and name.endswith("__")):
            continue
        where = f"{module.__name__}.{name}"
        if getattr(value, "__module__", None) == module.__name__ and isinstance(value, type | FunctionType):
            yield from _of_class(where, value) if isinstance(value, type) else _of_function(where, value)
        elif not isinstance(value, type | FunctionType):
            yield where, value


def _of_class(where: str, kind: type) -> Iterator[tuple[str, Any]]:
    for name, value in list(vars(kind).items()):
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if isinstance(function, FunctionType):
            yield from _of_function(f"{where}.{name}", function)
        elif not name.startswith("__") and not hasattr(type(value), "__get__"):
            yield f"{where}.{name}", value


def _of_function(where: str, function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yields the state that a function keeps between calls: its defaults and its attributes."""
    yield f"{where}()", (function.__defaults__, function.__kwdefaults__, vars(function))


def _spelled(value: Any, within: tuple[int, ...]) -> str:
    """Returns a text that stays the same while the value does. `within`: the ids of the values that contain it."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if id(value) in within or len(within) >= _DEEPEST:
        return "…"
    deeper = (*within, id(value))
    kind = type(value).__qualname__
    if isinstance(value, Mapping):
        return f"{kind}{sorted((_spelled(key, deeper), _spelled(inner, deeper)) for key, inner in value.items())}"
    if isinstance(value, Set):
        return f"{kind}{sorted(_spelled(inner, deeper) for inner in value)}"
    if isinstance(value, list | tuple):
        return f"{kind}{[_spelled(inner, deeper) for inner in value]}"
    if isinstance(value, msgspec.Struct):
        return f"{kind}{[_spelled(getattr(value, name), deeper) for name in value.__struct_fields__]}"
    try:
        _, arguments, *state = value.__reduce_ex__(4)[:5]
    except Exception:  # a value that cannot be copied cannot be compared
        return kind
    parts = [list(part) if isinstance(part, Iterator) else part for part in state]
    return f"{kind}{_spelled((arguments, parts), deeper)}"
