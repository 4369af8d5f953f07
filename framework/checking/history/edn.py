r"""Reads EDN, with the extensions printed by Clojure, as far as histories use them: Jepsen's `history.edn`.

Values become those of `values`; a map becomes a dict.

| extension                  | becomes                                         |
| -------------------------- | ----------------------------------------------- |
| `; …`, `# …`, `#!…`        | nothing: a comment, to the end of the line      |
| `#_ form`                  | nothing                                         |
| `^meta form`               | the form                                        |
| `##Inf` `##-Inf` `##NaN`   | floats                                          |
| `#:ns{:a 1}`               | a map with the key `:ns/a`                      |
| `#"…"`                     | `Tagged`, with the tag `regex`                  |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias

from framework.checking.history.values import DEEPEST, Character, Keyword, Symbol, Tagged, exact, shown
from framework.core.errors import ConfigError, abbreviated, did_you_mean

LONGEST = 16 << 20
"""The maximum length of an operation, in characters."""

_TOKEN = re.compile(
    r"""[\s,]*+(?:
     (?P<integer>(?:0|[1-9][0-9]*+)(?=[\s,\])}]))
    |(?P<atom>[^\s,;"\[\](){}\\\#^'`~@\x00-\x1f][^\s,;"\[\](){}\\\x00-\x1f]*+)
    |(?P<close>[\])}])
    |(?P<open>[\[({]|\#\{)
    |"(?P<text>(?:[^"\\]++|\\.)*+)"
    |(?P<comment>;[^\n]*+|\#(?:[\ \t!][^\n]*+|(?=[\r\n]|\Z)))
    |(?P<discard>\#_|\#?\^)
    |(?P<character>\\(?:[^\s,;"\[\](){}\\]++|.))
    |(?P<symbolic>\#\#[^\s,;"\[\](){}\\]*+)
    |\#"(?P<regex>(?:[^"\\]++|\\.)*+)"
    |\#:(?P<namespace>[^\s,;"\[\](){}\\]*+)\s*+(?=\{)
    |\#(?P<tag>[^\W\d_][^\s,;"\[\](){}\\]*+)
    |(?P<end>\Z)
    |(?P<wrong>.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_CLOSES = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_CHARACTERS = {"newline": "\n", "return": "\r", "space": " ", "tab": "\t", "formfeed": "\f", "backspace": "\b"}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "\\": "\\"}
_ESCAPE = re.compile(
    r"\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[0-7]{1,3}|.)", re.DOTALL
)
_SYMBOLIC = {"##Inf": float("inf"), "##-Inf": float("-inf"), "##NaN": float("nan")}
_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)N?")
_RATIO = re.compile(r"[+-]?(?:0|[1-9][0-9]*)/[1-9][0-9]*")
_REAL = re.compile(r"[+-]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?M?")
_LIKE_A_NUMBER = re.compile(r"[+-]?\.?[0-9]")
_BLANK = re.compile(r"[\s,]*")
_NAMES = (Keyword, Symbol)
_KNOWN_NAMES, _SHORT_NAME = 1 << 16, 64
"""The cache of names: how many it holds, and the maximum length of each, in characters."""
_NOTHING = object()

Prefix: TypeAlias = "Callable[[Any], Any] | None"
"""A function to apply to the next form; None: the form is discarded."""


class _Wrong(Exception):
    """An error in the EDN, and its fix; `line` if it is not the line of the current token."""

    def __init__(self, what: str, fix: str = "", line: int | None = None) -> None:
        super().__init__(what)
        self.what, self.fix, self.line = what, fix, line


class _Collection:
    """An open collection. `prefixes` apply to its next form."""

    __slots__ = ("forms", "line", "opened", "prefixes")

    def __init__(self, opened: str, line: int) -> None:
        self.opened, self.line = opened, line
        self.forms: list[Any] = []
        self.prefixes: list[Prefix] = []


def read_edn(pieces: Iterable[str], where: str, *, unpacked: bool = True) -> Iterator[tuple[int, Any]]:
    """Yields the forms of a text given in `pieces`, each with its line; `unpacked`: members instead of a vector or
    list.

    Raises ConfigError, with the line, if the text is not EDN.
    """
    reader, text, unread = _Reader(where, unpacked=unpacked), "", 0
    for piece in pieces:
        text += piece
        if len(text) < 2 * unread:
            continue  # a very long token: read again only once the text has doubled
        yield from reader.read(text)
        text = text[reader.place :]
        unread = len(text)
    yield from reader.read(text, is_last=True)


class _Reader:
    """Turns text into forms. `place`: the position up to which the latest piece has been read."""

    def __init__(self, where: str, *, unpacked: bool) -> None:
        self.place = 0
        self._where, self._unpacked = where, unpacked
        self._line, self._counted = 1, 0  # the line at a position in the piece
        self._size = 0  # characters so far of the current form of the history
        self._stack = [_Collection("", 1)]
        self._top = 1  # the number of open collections between the forms of the history
        self._atoms: dict[str, Any] = {"nil": None, "true": True, "false": False}

    def read(self, text: str, *, is_last: bool = False) -> Iterator[tuple[int, Any]]:
        """Yields the forms that end in `text`. A possibly incomplete token at its end is not read, unless `is_last`."""
        self.place = self._counted = 0
        try:
            yield from self._forms(text, is_last)
            if is_last:
                self._finish()
            self._line = self._line_at(text, self.place)
            between = len(self._stack) == self._top and not self._stack[-1].prefixes
            self._size = 0 if between else self._size + self.place
            if self._size + len(text) - self.place > LONGEST:
                raise _Wrong(f"an operation longer than {LONGEST >> 20} MiB", "Is a bracket or a quote missing?")
        except _Wrong as error:
            line = error.line or self._line_at(text, _BLANK.match(text, self.place).end())  # type: ignore[union-attr]
            raise ConfigError(f"{self._where}:{line}", error.what, error.fix) from None

    def _forms(self, text: str, is_last: bool) -> Iterator[tuple[int, Any]]:
        stack, atoms, size = self._stack, self._atoms, len(text)
        frame = stack[-1]
        for token in _TOKEN.finditer(text):
            kind, end = token.lastgroup, token.end()
            if end == size and not is_last and kind != "end":
                return
            written = token[token.lastindex]  # type: ignore[index]
            form: Any = _NOTHING
            if kind == "atom":
                form = atoms.get(written, _NOTHING)
                if form is _NOTHING:
                    form = self._atom(written)
            elif kind == "integer":
                form = _integer(written)
            elif kind == "open":
                frame = self._open(written, self._line_at(text, token.start(kind)))
            elif kind == "close":
                line = frame.line
                form = self._close(written)
                frame = stack[-1]
            elif kind in _LITERALS:
                form = _LITERALS[kind](written)
            elif kind in _PREFIXES:
                frame.prefixes.append(_PREFIXES[kind](written))
            elif kind == "wrong":
                if not is_last and _may_go_on(text, end - 1):
                    return
                raise _no_token(text, end - 1)
            self.place = end
            if form is _NOTHING:
                continue
            if frame.prefixes:
                form = _prefixed(form, frame.prefixes)
                if form is _NOTHING:
                    continue
            if len(stack) > self._top:
                frame.forms.append(form)
            else:
                self._size = -end
                yield line if kind == "close" else self._line_at(text, end - len(written)), form

    def _open(self, bracket: str, line: int) -> _Collection:
        stack = self._stack
        if self._unpacked and len(stack) == 1 and bracket in "[(" and None not in stack[0].prefixes:
            stack[0].prefixes.clear()  # a tag of the whole history
            self._top = 2
        if len(stack) > DEEPEST:
            raise _Wrong(f"brackets nest more than {DEEPEST} deep", "Write flat values.")
        frame = _Collection(bracket, line)
        stack.append(frame)
        return frame

    def _close(self, bracket: str) -> Any:
        """Closes a collection and returns it; `_NOTHING` if it is that of the whole history."""
        frame = self._stack[-1]
        if _CLOSES.get(frame.opened) != bracket:
            raise _Wrong(f"{bracket!r} closes nothing", "Is a part missing before it?")
        if frame.prefixes:
            raise _Wrong(f"{bracket!r} comes where a form is due", "A tag, #_ or ^ needs a form after it.")
        self._stack.pop()
        if len(self._stack) < self._top:
            self._top = 1
            return _NOTHING
        return _collection(frame)

    def _finish(self) -> None:
        frame = self._stack[-1]
        if frame.opened:
            raise _Wrong(f"{frame.opened!r} is never closed", "Is the file cut off?", frame.line)
        if frame.prefixes:
            raise _Wrong("ends where a form is due", "A tag, #_ or ^ needs a form after it.")

    def _atom(self, written: str) -> Any:
        form = _atom(written)
        if type(form) in _NAMES and len(written) <= _SHORT_NAME and len(self._atoms) < _KNOWN_NAMES:
            self._atoms[written] = form
        return form

    def _line_at(self, text: str, place: int) -> int:
        self._line += text.count("\n", self._counted, place)
        self._counted = place
        return self._line


def _no_token(text: str, place: int) -> _Wrong:
    start = abbreviated(repr(text[place : place + 20]))
    if text[place] == '"' or text.startswith('#"', place):
        return _Wrong(f"not EDN at {start}: a text that never ends", "Is the file cut off?")
    if text[place] < " ":
        return _Wrong(f"not EDN at {start}: a control character", "Is the file damaged?")
    return _Wrong(f"not EDN at {start}: Clojure's {text[place]!r} is code, not data", "Write plain values.")


def _may_go_on(text: str, place: int) -> bool:
    """Returns whether more text could complete the invalid token at `place`."""
    return text[place] == '"' or place + 1 == len(text) or text.startswith(('#"', "#:"), place)


def _prefixed(form: Any, prefixes: list[Prefix]) -> Any:
    """Applies `prefixes` to `form`; `_NOTHING` if the form is discarded."""
    while prefixes:
        change = prefixes.pop()
        if change is None:
            return _NOTHING
        form = change(form)
    return form


def _collection(frame: _Collection) -> Any:
    forms = frame.forms
    if frame.opened == "{":
        return _map(forms, frame.line)
    return _set(forms, frame.line) if frame.opened == "#{" else tuple(forms)


def _map(forms: list[Any], line: int) -> Any:
    """Returns a dict, or pairs if a key is a map, or if only `exact` distinguishes some keys (1 and 1.0)."""
    keys = forms[::2]
    if len(forms) % 2:
        raise _Wrong("a map holds a key without a value", "Write keys and values in turn.", line)
    try:
        found = dict(zip(keys, forms[1::2], strict=True))
        if len(found) == len(keys):
            return found
        _refuse_twins(keys, "a map", line)
    except TypeError:
        pass
    return list(zip(keys, forms[1::2], strict=True))


def _set(forms: list[Any], line: int) -> Any:
    """Returns a frozenset, or a list if a member is a map."""
    try:
        found = frozenset(map(exact, forms))
    except TypeError:
        return forms
    if len(found) < len(forms):
        _refuse_twins(forms, "a set", line)
    return found


def _refuse_twins(forms: list[Any], what: str, line: int) -> None:
    seen = set()
    for form in map(exact, forms):
        if form in seen:
            raise _Wrong(f"{what} holds {shown(form)} twice", "Is the file damaged?", line)
        seen.add(form)


def _atom(written: str) -> Any:
    if written[0] == ":" and len(written) > 1:
        return Keyword(written[1:])
    if not _LIKE_A_NUMBER.match(written):
        if written[0] == ":":
            raise _Wrong("not EDN at ':': a keyword has a name", "Is this JSON, or cut off?")
        return Symbol(written)
    if _INTEGER.fullmatch(written):
        return _integer(written.rstrip("N"))
    if _REAL.fullmatch(written):
        return Decimal(written[:-1]) if written[-1] == "M" else float(written)
    if _RATIO.fullmatch(written):
        return Fraction(*map(_integer, written.split("/")))
    raise _Wrong(f"{abbreviated(written)!r} is not a number of EDN", "Numbers are like 12, -1.5, 2e9, 3N, 1.5M, 1/2.")


def _integer(written: str) -> int:
    try:
        return int(written)
    except ValueError:
        raise _Wrong(
            f"holds an integer of {len(written):,} digits, more than can be read", "Write it as a text."
        ) from None


def _text(written: str) -> str:
    return _ESCAPE.sub(_unescaped, written) if "\\" in written else written


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    if code in _ESCAPES:
        return _ESCAPES[code]
    if len(code) > 5:  # a surrogate pair
        return bytes.fromhex(code[1:5] + code[7:]).decode("utf-16-be")
    if len(code) == 5:
        return _letter(int(code[1:], 16), escape[0])
    if code[0] in "01234567":
        return chr(int(code, 8))
    raise _Wrong(f"{escape[0]!r} in a text is not an escape of EDN", 'Escapes are like \\n, \\" and \\u00e9.')


def _character(written: str) -> Character:
    name = written[1:]
    if len(name) == 1:
        return Character(name)
    if name in _CHARACTERS:
        return Character(_CHARACTERS[name])
    if re.fullmatch("u[0-9a-fA-F]{4}", name):
        return Character(_letter(int(name[1:], 16), written))
    if re.fullmatch("o[0-7]{1,3}", name):
        return Character(chr(int(name[1:], 8)))
    raise _Wrong(f"{abbreviated(written)} is not a character of EDN", "Characters are like \\c, \\newline and \\u00e9.")


def _letter(code: int, written: str) -> str:
    if 0xD800 <= code < 0xE000:
        raise _Wrong(f"{written} is half of a surrogate pair", "Is the text cut in the middle of a character?")
    return chr(code)


def _symbolic(written: str) -> float:
    if written in _SYMBOLIC:
        return _SYMBOLIC[written]
    raise _Wrong(f"{abbreviated(written)} is not a value of EDN", did_you_mean(written, _SYMBOLIC))


def _namespaced(name: str) -> Prefix:
    """Returns a prefix that adds a namespace to the keys of a map that have none."""
    space = name.strip()
    if not space or space[0] == ":":
        raise _Wrong(f"#:{abbreviated(space)} stands for a namespace that only Clojure knows", "Write it out.")

    def spaced(key: Any) -> Any:
        if not isinstance(key, Keyword | Symbol):
            return key
        above, _, last = key.name.rpartition("/")
        return type(key)(last if above == "_" else key.name if above else f"{space}/{key.name}")

    return lambda form: {spaced(key): item for key, item in form.items()} if isinstance(form, dict) else form


_LITERALS: dict[str, Callable[[str], Any]] = {
    "text": _text,
    "character": _character,
    "symbolic": _symbolic,
    "regex": lambda written: Tagged("regex", written),
}
_PREFIXES: dict[str, Callable[[str], Prefix]] = {
    "discard": lambda _: None,
    "tag": lambda name: lambda form: Tagged(name, form),
    "namespace": _namespaced,
}
