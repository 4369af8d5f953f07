"""Several registers, read and written by transactions, each at one instant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import msgspec

from framework.checking.history.calls import Call, bad_call
from framework.checking.history.values import Key, exact, frozen, plain, shown, word
from framework.checking.models.model import (
    ILLEGAL,
    NO_RESULT,
    Entry,
    Model,
    ModelStep,
    Outlook,
    Part,
    State,
    Transitions,
    label_of,
    name_of,
)
from framework.core.errors import ConfigError

READS, WRITES = ("r", "read"), ("w", "write")
SHOWN = 3
"""The number of registers named in a label; more are only counted."""


class MultiRegister(Model):
    """Registers by key, initially null. `txn` takes micro-operations, `["r", key, null]` and `["w", key, value]`, and
    returns them with the values read, in the notation of Jepsen and Knossos.

    Keys that are not connected by a chain of transactions are independent, and judged separately.
    """

    name = "multi-register"
    functions: ClassVar[tuple[str, ...]] = ("txn",)
    observes: ClassVar[tuple[str, ...]] = ()
    initial: State = frozenset()
    """Pairs of a key and its value; a key without a pair is null."""

    def _first(self, value: Any) -> State:
        pairs = tuple(value.items()) if isinstance(value, dict) else value
        if not isinstance(pairs, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
            what = f"registers cannot hold {shown(value)}"
            raise ConfigError("--initial", what, 'Write what each holds: {"x": 1, "y": 2}, or [[1, "a"], [2, "b"]].')
        return frozenset((exact(key), exact(frozen(its))) for key, its in pairs if its is not None)

    def described(self, state: State) -> str:
        assert isinstance(state, frozenset)
        return ", ".join(sorted(f"{shown(plain(value))} in {name_of(key)}" for key, value in state)) or "null in each"

    def _prepare(self, call: Call, argument: Any, result: Any) -> ModelStep:
        asked = [_micro(call, micro) for micro in _list(call, argument)]
        if result is NO_RESULT or result is None:
            told = [(kind, key, value if kind == "w" else NO_RESULT) for kind, key, value in asked]
        else:
            told = [_micro(call, micro) for micro in _list(call, result)]
            if len(told) != len(asked) or any(
                one[:2] != other[:2] or (one[0] == "w" and one[2] != other[2])
                for one, other in zip(asked, told, strict=True)
            ):
                what = f"was asked for {shown(call.argument)} and has the result {shown(call.result)}"
                raise bad_call(call, what, "A result repeats the micro-operations, with what was read.")
        return ModelStep("txn", tuple(told), NO_RESULT, all(kind == "r" for kind, _, _ in told))

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        assert isinstance(state, frozenset)
        values = dict(state)
        for kind, key, value in argument:
            if kind == "w":
                values[key] = value
            elif value is not NO_RESULT and values.get(key) != value:
                return ILLEGAL
        return frozenset((key, value) for key, value in values.items() if value is not None)

    def parts(self, key: Key, operations: list[Entry]) -> list[Part]:
        connected = _Connected()
        for _, step in operations:
            connected.join([register for _, register, _ in step.argument])
        groups: dict[State, list[Entry]] = {}
        for entry in operations:
            for _, register, _ in entry[1].argument[:1]:
                groups.setdefault(connected.root(register), []).append(entry)
        assert isinstance(self.initial, frozenset)
        self._check_initial({register for _, step in operations for _, register, _ in step.argument})
        parts = []
        for its in groups.values():
            keys = list(dict.fromkeys(register for _, step in its for _, register, _ in step.argument))
            known = set(keys)
            held = frozenset(pair for pair in self.initial if pair[0] in known)
            parts.append(Part(_label(key, keys), key, self.holding(held), its))
        return parts

    def _check_initial(self, registers: set[State]) -> None:
        """Raises ConfigError if an initial register is spelled like one of the history, but differs from it."""
        assert isinstance(self.initial, frozenset)
        by_text = {str(plain(register)): register for register in registers}
        for register, _ in sorted(self.initial, key=repr):
            other = by_text.get(str(plain(register)), register)
            if register not in registers and other != register:
                what = f"there is no register {name_of(register)}, and the history has {name_of(other)}"
                raise ConfigError("--initial", what, 'Write pairs: [[1, "a"], [2, "b"]].')

    def coded(self, steps: Sequence[ModelStep]) -> tuple[Transitions, list[ModelStep]]:
        assert isinstance(self.initial, frozenset)
        numbers: dict[State, int] = {}
        coded = []
        for step in steps:
            micros = [(kind == "w", numbers.setdefault(key, len(numbers)), value) for kind, key, value in step.argument]
            coded.append(msgspec.structs.replace(step, argument=tuple(micros)))
        held = dict(self.initial)
        return _Row(tuple(held.get(key) for key in numbers)), coded


class _Row(Transitions):
    """Registers whose state is the tuple of their values."""

    def __init__(self, initial: tuple[State, ...]) -> None:
        self.initial = initial

    def step(self, state: State, function: str, argument: Any, result: Any) -> State:
        assert isinstance(state, tuple)
        values: list[State] | tuple[State, ...] = state
        for writes, place, value in argument:
            if writes:
                if values is state:
                    values = list(state)
                values[place] = value  # type: ignore[index]
            elif value is not NO_RESULT and values[place] != value:
                return ILLEGAL
        return state if values is state else tuple(values)

    def outlook(self, steps: Sequence[ModelStep]) -> Outlook:
        words = 4 * len(self.initial)  # type: ignore[arg-type]
        return Outlook(size=lambda state: words)


class _Connected:
    """Groups of keys that are connected by transactions, directly or indirectly."""

    def __init__(self) -> None:
        self._parents: dict[State, State] = {}

    def join(self, keys: Iterable[State]) -> None:
        roots = [self.root(key) for key in keys]
        for root in roots[1:]:
            self._parents[self.root(root)] = self.root(roots[0])

    def root(self, key: State) -> State:
        self._parents.setdefault(key, key)
        path = [key]
        while self._parents[path[-1]] != path[-1]:
            path.append(self._parents[path[-1]])
        for below in path:
            self._parents[below] = path[-1]
        return path[-1]


def _list(call: Call, value: Any) -> tuple[Any, ...]:
    if isinstance(value, tuple) and value:
        return value
    raise bad_call(call, f"has the value {shown(value)}", 'A transaction is a list: [["r", "x", null], ["w", "y", 1]].')


def _micro(call: Call, micro: Any) -> tuple[str, State, State]:
    """Returns one micro-operation: `r` or `w`, its key, its value."""
    kind = word(micro[0]) if isinstance(micro, tuple) and 2 <= len(micro) <= 3 else None
    if kind not in READS + WRITES or (kind in WRITES and len(micro) < 3):
        what = f"has the micro-operation {shown(micro)}"
        raise bad_call(call, what, 'Write ["r", key, null], with the value once it is known, or ["w", key, value].')
    return "r" if kind in READS else "w", micro[1], micro[2] if len(micro) > 2 else None


def _label(key: Key, registers: list[State]) -> str:
    """Returns `registers 'x' and 'y'`."""
    names = [name_of(register) for register in registers[:SHOWN]]
    if len(registers) > SHOWN:
        names.append(f"{len(registers) - SHOWN:,} more")
    listed = " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"
    what = f"register {listed}" if len(registers) == 1 else f"registers {listed}"
    return what if key is None else f"{label_of(key)}, {what}"
