"""The operations that can have made a value of a register or a key, given all operations on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from framework.checking.models.model import ModelStep, State


class Makers:
    """The operations with effect, by the values that they can make. Operations are given by their places in `steps`."""

    def __init__(self, steps: Sequence[ModelStep], initial: State, makes: Callable[[ModelStep], State]) -> None:
        self._initial = initial
        self._put: dict[State, list[int]] = {}
        self._appended: dict[str, list[int]] = {}
        for place, step in enumerate(steps):
            if step.function == "append":
                self._appended.setdefault(step.argument, []).append(place)
            elif not step.pure:
                self._put.setdefault(makes(step), []).append(place)
        self._lengths = sorted({len(text) for text in self._appended} - {0})
        self._possible: dict[str, bool] = {}
        self._known: dict[State, tuple[int | None, ...]] = {}

    def of(self, value: State) -> tuple[int | None, ...]:
        """Returns the operations that can have made `value`, at most two of them; None stands for the initial value."""
        if value in self._known:
            return self._known[value]
        makers: list[int | None] = [None] if value == self._initial else []
        makers += self._put.get(value, [])[:2]
        if value == "":
            makers += self._appended.get("", [])[:2]
        if isinstance(value, str):
            for size in self._lengths:
                if len(makers) < 2 and self._ends_with(value, size) and self._is_possible(value[:-size]):
                    makers += self._appended[value[-size:]]
        self._known[value] = tuple(makers[:2])
        return self._known[value]

    def _ends_with(self, text: str, size: int) -> bool:
        return size <= len(text) and text[-size:] in self._appended

    def _is_possible(self, text: str) -> bool:
        """Returns whether `text` can ever be the value: put as it is, or appended piece by piece."""
        wanted = [text]
        while wanted:
            known = self._possibility(wanted[-1], wanted)
            if known is not None:
                self._possible[wanted.pop()] = known
        return self._possible[text]

    def _possibility(self, text: str, wanted: list[str]) -> bool | None:
        """Returns whether `text` is possible; None if that depends on a shorter text, which is appended to `wanted`."""
        if text in self._possible:
            return self._possible[text]
        if text == self._initial or text in self._put:
            return True
        if text == "" and (self._initial is None or None in self._put):
            return True
        shorter = [text[:-size] for size in self._lengths if self._ends_with(text, size)]
        if any(self._possible.get(before) for before in shorter):
            return True
        unknown = [before for before in shorter if before not in self._possible]
        wanted += unknown[:1]
        return None if unknown else False
