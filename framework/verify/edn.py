"""Reads EDN, as far as histories are written in it: Jepsen's `history.edn`.

| EDN                            | becomes                                              |
| ------------------------------ | ---------------------------------------------------- |
| `nil` `true` `false`           | None, True, False                                    |
| `12` `12N` `1.5` `1.5M`        | int, float                                           |
| `"text"` `\\c`                 | str                                                  |
| `:name` `symbol`               | `Name`, a str that keeps its colon                   |
| `[…]` `(…)` `#{…}`             | tuple, of a set in the order written                 |
| `{…}`                          | dict                                                 |
| `#tag form`, `#_ form`, `; …`  | the form; nothing; nothing                           |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from framework.core.errors import ConfigError

_TOKEN = re.compile(
    r"""(?P<space>[\s,]+|;[^\n]*)
    |(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<open>\#?\{|[\[(])
    |(?P<close>[\])}])
    |(?P<discard>\#_)
    |(?P<char>\\(?:u[0-9a-fA-F]{4}|[a-z]+|\S))
    |(?P<tag>\#[a-zA-Z][^\s,;"\[\](){}]*)
    |(?P<atom>[^\s,;"\[\](){}\\\#][^\s,;"\[\](){}]*)""",
    re.VERBOSE | re.DOTALL,
)
_CLOSES = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_CONSTANTS = {"nil": None, "true": True, "false": False}
_CHARS = {"newline": "\n", "return": "\r", "space": " ", "tab": "\t"}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_INTEGER = re.compile(r"[+-]?\d+N?")
_FLOAT = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?M?")


class Name(str):
    """A keyword, with its colon, or a symbol: unlike a text of the same letters."""

    __slots__ = ()


class _Frame:
    """A collection that has begun; `skip`: how many of the next forms are to be discarded, by place."""

    __slots__ = ("forms", "line", "opened", "skip")

    def __init__(self, opened: str, line: int) -> None:
        self.opened, self.line = opened, line
        self.forms: list[Any] = []
        self.skip = 0

    def add(self, form: Any) -> bool:
        """Whether the form counts."""
        if self.skip:
            self.skip -= 1
            return False
        self.forms.append(form)
        return True


def read_edn(text: str, where: str) -> Iterator[tuple[int, Any]]:
    """The forms of `text`, and of a vector at the top its members, each with the line on which it begins.

    ConfigError, with the line, where it is not EDN.
    """
    stack = [_Frame("", 1)]
    line, place = 1, 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            raise ConfigError(f"{where}:{line}", f"not EDN at {text[place : place + 20]!r}", "Is the file cut off?")
        kind, written = token.lastgroup, token.group()
        began = line
        if kind == "open":
            stack.append(_Frame(written, line))
        elif kind == "discard":
            stack[-1].skip += 1
        elif kind not in ("space", "tag"):
            if kind == "close":
                frame = stack.pop()
                if not stack or _CLOSES[frame.opened] != written:
                    raise ConfigError(f"{where}:{line}", f"{written!r} closes nothing", "Is a part missing before it?")
                form, began = _collection(frame, where), frame.line
            else:
                form = _atom(str(kind), written)
            if stack[-1].add(form) and (len(stack) == 1 or (len(stack) == 2 and stack[1].opened == "[")):
                form = stack[-1].forms.pop()
                if len(stack) == 2 or kind != "close" or written != "]":
                    yield began, form
        line += written.count("\n")
        place = token.end()
    if len(stack) > 1:
        raise ConfigError(f"{where}:{stack[-1].line}", f"{stack[-1].opened!r} is never closed", "Is the file cut off?")


def _collection(frame: _Frame, where: str) -> Any:
    if frame.opened != "{":
        return tuple(frame.forms)
    if len(frame.forms) % 2:
        raise ConfigError(
            f"{where}:{frame.line}", "a map holds a key without a value", "Write keys and values in turn."
        )
    try:
        return dict(zip(frame.forms[::2], frame.forms[1::2], strict=True))
    except TypeError:
        raise ConfigError(f"{where}:{frame.line}", "a map is the key of a map", "Use plain keys.") from None


def _atom(kind: str, written: str) -> Any:
    if kind == "text":
        return _ESCAPE.sub(_unescaped, written[1:-1]) if "\\" in written else written[1:-1]
    if kind == "char":
        name = written[1:]
        return chr(int(name[1:], 16)) if len(name) == 5 and name[0] == "u" else _CHARS.get(name, name[0])
    if written in _CONSTANTS:
        return _CONSTANTS[written]
    if _INTEGER.fullmatch(written):
        return int(written.rstrip("N"))
    return float(written.rstrip("M")) if _FLOAT.fullmatch(written) else Name(written)


def _unescaped(escape: re.Match[str]) -> str:
    letter = escape[1]
    return chr(int(letter[1:], 16)) if len(letter) == 5 else _ESCAPES.get(letter, letter)
