"""Files of recorded histories: JSON lines, JSON arrays, and Jepsen's EDN.

The format of a file is recognized by its first bytes, or if these are inconclusive, by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from framework.checking.history.byte_chunks import not_text, pieces, texts
from framework.checking.history.calls import Call
from framework.checking.history.completions import Completions, Meaning
from framework.checking.history.edn import LONGEST, read_edn
from framework.checking.history.pairing import UNTOLD, HistoryEvent, pair
from framework.checking.history.values import DEEPEST, Key, Keyword, Symbol, Tagged, exact, frozen, nested, shown, word
from framework.checking.models.model import COMPARABLE, Model
from framework.core.errors import ConfigError, abbreviated, did_you_mean

Notation: TypeAlias = Literal["JSON", "EDN"]
Type = Literal["invoke", "ok", "fail", "info"]
TYPES = get_args(Type)
ASK_NOTHING = ("read", "dequeue", "pop", "acquire", "release")
"""Functions that take no argument."""
SYNONYMS: dict[Notation, dict[str, str]] = {
    "JSON": {"get": "read", "put": "write"},
    "EDN": {"get": "read", "put": "write", "add": "increment"},
}
"""Names of functions in other systems, for models that lack those names; `add` is used by Jepsen's counters."""
LONGEST_ARRAY = 256 << 20
"""The maximum size of a JSON array, in bytes: it is held in memory as a whole."""

_COMMENTS = re.compile(r"(?:\s|;[^\n]*(?:\n|\Z)|#(?:[ \t!][^\n]*)?(?:\n|\Z))*")
_JSON = re.compile(r"\[?\s*\{\s*[\"}]|\[\s*\]")
_EDN = re.compile(r"[\[(]?(?:\s|;[^\n]*\n|,)*(?:\{\s*[:}]|#|\^|\()")
_HALF_A_PAIR = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_EXAMPLE = '{"process": 0, "type": "invoke", "f": "read", "key": "x", "value": null, "time": 1}'


_RESULT_NAME = "synod/result"


class _Line(msgspec.Struct):
    """The invocation or completion of an operation, as in JSON. `result` is given where `value` does not show it."""

    process: int | str
    type: Type
    f: str
    key: Any = None
    value: Any = None
    time: int | None = None
    result: Any = msgspec.field(default=UNTOLD, name=_RESULT_NAME)


class _Kind(msgspec.Struct):
    type: str = TYPES[0]


class HistoryFile(msgspec.Struct, frozen=True):
    """The content of a file.

    `readings`: its calls; two readings if completions of `ambiguous` functions have values that can be arguments or
    results: first as arguments, then as results. `skipped` counts lines of the nemesis, `ignored` reads that returned
    nil.
    """

    notation: Notation
    readings: list[list[Call]]
    ambiguous: tuple[str, ...]
    skipped: int
    ignored: int


class ReadOptions(msgspec.Struct, frozen=True):
    """Options for reading a file: see the flags of `framework.check`."""

    independent: bool = False
    ignore_nil_reads: bool = False
    ok_value: Meaning | None = None


AS_IT_COMES = ReadOptions()


def read_history(path: Path, model: Model, how: ReadOptions = AS_IT_COMES) -> HistoryFile:
    """Reads the history in a file.

    Raises ConfigError, with file and line, if it is not a history of an object of `model`.
    """
    where = str(path)
    source = pieces(path)
    first = next(source, b"")
    notation = _notation(first, path)
    source = chain([first], source)
    lines = _edn_lines(texts(source, where), where) if notation == "EDN" else _json_lines(source, first, where)
    events = _Events(where, model, SYNONYMS[notation], independent=how.independent)
    completions = Completions(model, meaning=how.ok_value, unless_told=None if notation == "EDN" else "result")
    calls, ignored = pair(
        events.of(lines), where, model, completions,
        in_order=notation == "EDN", ignore_nil_reads=how.ignore_nil_reads,
    )  # fmt: skip
    if not events.count:
        raise ConfigError(where, "holds no operations" if first else "is empty", f"Write lines like {_EXAMPLE}.")
    readings, ambiguous = completions.readings(calls)
    return HistoryFile(notation, readings, ambiguous, events.skipped, ignored)


def value_of(text: str, notation: Notation, where: str) -> Any:
    """Parses the value of a flag in the notation of a history: EDN; or JSON, or plain text.

    Raises ConfigError if that fails.
    """
    if notation == "EDN":
        forms = [form for _, form in read_edn([text], where, unpacked=False)]
        if len(forms) == 1:
            return forms[0]
        raise ConfigError(where, f"holds {len(forms)} values of EDN", 'Write one value, a text in quotes: "…".')
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        raise _too_deep(where) from None
    except msgspec.MsgspecError:
        return text
    if nested(value) > DEEPEST:
        raise _too_deep(where)
    return frozen(value)


def _notation(first: bytes, path: Path) -> Notation:
    start = first[: 1 << 16].decode(errors="replace")
    comments = _COMMENTS.match(start)
    assert comments is not None, "it matches nothing at all"
    start = start[comments.end() :]
    if _JSON.match(start):
        return "JSON"
    if path.suffix == ".edn" or _EDN.match(start):
        return "EDN"
    if not start or path.suffix in (".json", ".jsonl"):
        return "JSON"
    line = comments.group().count("\n") + 1
    try:
        first.decode()
    except UnicodeDecodeError as error:
        if error.end < len(first) - 4:  # not a character cut by the end of the piece
            raise not_text(str(path), first[: error.start].count(b"\n") + 1, error) from None
    what = f"begins with {abbreviated(repr(start[:40]))}, neither JSON nor EDN"
    raise ConfigError(f"{path}:{line}", what, f"Write lines like {_EXAMPLE}.")


class _Events:
    """Converts lines to events, leaving out those of the nemesis. `count` is the number of lines."""

    def __init__(self, where: str, model: Model, synonyms: dict[str, str], *, independent: bool) -> None:
        self.count = self.skipped = 0
        self._where, self._independent = where, independent
        self._names = {
            name: known for name, known in synonyms.items() if name not in model.functions and known in model.functions
        }

    def of(self, lines: Iterable[tuple[int, _Line]]) -> Iterator[HistoryEvent]:
        independent, names = self._independent, self._names
        for number, line in lines:
            self.count += 1
            if type(line.process) is not int and line.process in _NEMESES:
                self.skipped += 1
                continue
            function = names.get(line.f, line.f)
            key, value = line.key, line.value
            if independent:
                if line.type in _WITH_KEYS:
                    key, value = self._pair_of(value, number)
            elif value is not None and line.type == "invoke" and function in ASK_NOTHING:
                self._check_asks_nothing(function, value, number)
            if key is not None and type(key) is not str:
                key = self._key(key, number)
            yield HistoryEvent(number, line.process, line.type, function, key, value, line.time, line.result)

    def _key(self, key: Any, line: int) -> Key:
        known = exact(frozen(key))
        try:
            hash(known)
        except TypeError:
            raise ConfigError(f"{self._where}:{line}", f"has the key {shown(key)}", COMPARABLE) from None
        return known  # type: ignore[no-any-return]

    def _pair_of(self, value: Any, line: int) -> tuple[Any, Any]:
        if isinstance(value, list | tuple) and len(value) == 2:
            return value[0], value[1]
        what = f"has the value {shown(value)}"
        raise ConfigError(f"{self._where}:{line}", what, "With --independent each value is [key value].")

    def _check_asks_nothing(self, function: str, value: Any, line: int) -> None:
        """Raises ConfigError for an invocation with `[key nil]`, which only occurs in histories of independent keys."""
        if isinstance(value, list | tuple) and len(value) == 2 and value[1] is None:
            what = f"invokes {function} with {shown(value)}, a key and no value"
            raise ConfigError(f"{self._where}:{line}", what, "Add --independent if each value is [key value].")


_WITH_KEYS = ("invoke", "ok")
_NEMESIS = Keyword("nemesis")
_NEMESES = ("nemesis", _NEMESIS)


def _json_lines(source: Iterable[bytes], first: bytes, where: str) -> Iterator[tuple[int, _Line]]:
    is_array = first.lstrip()[:1] == b"["
    decode = msgspec.json.Decoder(_Line).decode
    for number, line in _elements(source, where) if is_array else _lines(source, where):
        try:
            read = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if not line.strip() or line.lstrip()[:1] == b"#":
                continue
            raise _no_line(line, error, where, number) from error
        if len(line) > 2 * DEEPEST and _brackets(line) > DEEPEST and nested([read.key, read.value]) > DEEPEST:
            raise _too_deep(f"{where}:{number}")
        yield number, read


def _brackets(line: bytes) -> int:
    return line.count(b"[") + line.count(b"{")


def _lines(source: Iterable[bytes], where: str) -> Iterator[tuple[int, bytes]]:
    number, rest = 1, b""
    for piece in source:
        if not (rest or piece.strip()):
            number += piece.count(b"\n")
            continue
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        yield from enumerate(lines, start=number)
        number += len(lines)
        if len(rest) > LONGEST:
            raise ConfigError(f"{where}:{number}", f"is longer than {LONGEST >> 20} MiB", "Write one operation a line.")
    yield number, rest


def _elements(source: Iterable[bytes], where: str) -> Iterator[tuple[int, bytes]]:
    """Yields the elements of a JSON array, each with its line."""
    parts: list[bytes] = []
    for piece in source:
        parts.append(piece)
        if sum(map(len, parts)) > LONGEST_ARRAY:
            what = f"a JSON array of more than {LONGEST_ARRAY >> 20} MiB"
            raise ConfigError(where, what, "Write one operation a line: jq -c '.[]' FILE.")
    whole = b"".join(parts)
    try:
        elements = msgspec.json.decode(whole, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        place = re.search(r"byte (\d+)", str(error))
        line = whole.count(b"\n", 0, int(place[1]) if place else len(whole.rstrip())) + 1
        raise _no_line(whole[-200:], error, where, line) from error
    number, end = 1, 0
    for element in elements:
        written = bytes(element)
        start = whole.index(written, end)
        number += whole.count(b"\n", end, start)
        yield number, written
        number += written.count(b"\n")
        end = start + len(written)


def _no_line(line: bytes, error: Exception, where: str, number: int) -> ConfigError:
    """Builds the error about a line that is not JSON, or JSON of another shape."""
    at = f"{where}:{number}"
    if isinstance(error, UnicodeDecodeError):
        return not_text(where, number, error)
    if isinstance(error, RecursionError):
        return _too_deep(at)
    told = abbreviated(str(error))
    if isinstance(error, msgspec.ValidationError):
        return ConfigError(at, _TOO_LONG.get(told.partition(" - ")[0], told), _shape(line))
    if half := _HALF_A_PAIR.search(line):
        escape = half.group()[:6].decode()
        return ConfigError(at, f"{escape} is half of a surrogate pair", "Is the text cut in the middle of a character?")
    for sign, fix in _NO_JSON.items():
        if re.search(sign, line):
            return ConfigError(at, f"not JSON ({told})", fix)
    fix = "Is the file cut off?" if "truncated" in told else f"Write lines like {_EXAMPLE}."
    return ConfigError(at, f"not JSON ({told})", fix)


_NO_JSON = {
    rb"^\s*\{\s*$": "Write one operation a line: jq -c . FILE.",
    rb"\r(?!$)": r"Lines end with \r alone: write \n.",
    rb":\s*-?(?:NaN|Infinity)\b": "JSON has no such number: write it as a text.",
    rb"^\s*\{\s*'": "JSON's quotes are double.",
    rb"^\s*\{\s*:": "That line is EDN: keep to one notation in a file.",
}
"""Fixes for typical lines that are not JSON, by pattern."""
_TOO_LONG = {
    "Integer value out of range": "holds an integer of more digits than can be read",
    "Number out of range": "holds a number beyond those of 64 bits",
}


def _shape(line: bytes) -> str:
    """Returns the fix for a line of the wrong shape."""
    try:
        kind = msgspec.json.decode(line, type=_Kind).type
    except msgspec.MsgspecError:
        kind = TYPES[0]
    return did_you_mean(kind, TYPES) if kind not in TYPES else f"Write lines like {_EXAMPLE}."


def _too_deep(where: str) -> ConfigError:
    return ConfigError(where, f"brackets nest more than {DEEPEST} deep", "Write flat values.")


_PROCESS, _TYPE, _F = Keyword("process"), Keyword("type"), Keyword("f")
_KEY, _VALUE, _TIME, _RESULT = Keyword("key"), Keyword("value"), Keyword("time"), Keyword(_RESULT_NAME)


def _edn_lines(source: Iterable[str], where: str) -> Iterator[tuple[int, _Line]]:
    for line, form in read_edn(source, where):
        while isinstance(form, Tagged):
            form = form.value
        if not isinstance(form, dict):
            what = f"holds {shown(form)}"
            raise ConfigError(f"{where}:{line}", what, "Write operations like {:process 0, :type :invoke, :f :read}.")
        process, kind, function = form.get(_PROCESS), word(form.get(_TYPE)), word(form.get(_F))
        if process == _NEMESIS:
            kind, function = "info", ""
        if isinstance(process, bool) or not isinstance(process, int | str | Keyword | Symbol):
            raise _no_field(form, "process", "a number or a name", where, line)
        if kind not in TYPES:
            raise _no_field(form, "type", "one of :invoke, :ok, :fail and :info", where, line)
        if function is None:
            raise _no_field(form, "f", "a keyword", where, line)
        time = form.get(_TIME)
        yield line, _Line(
            process, kind, function, form.get(_KEY), form.get(_VALUE),  # type: ignore[arg-type]
            time if type(time) is int and time >= 0 else None, form.get(_RESULT, UNTOLD),
        )  # fmt: skip


def _no_field(form: dict[Any, Any], name: str, kind: str, where: str, line: int) -> ConfigError:
    """Builds the error about an operation whose field `name` is missing or of the wrong kind."""
    at, field = f"{where}:{line}", Keyword(name)
    if field in form:
        found = form[field]
        near = did_you_mean(f":{word(found)}", [f":{each}" for each in TYPES]) if name == "type" else ""
        return ConfigError(at, f"has the :{name} {shown(found)}", near or f"It is {kind}.")
    others = [key.name for key in form if isinstance(key, Keyword) and key.name.endswith(f"/{name}")]
    if others:
        return ConfigError(at, f"has no :{name}, but :{abbreviated(others[0])}", "Write its keys without a namespace.")
    return ConfigError(at, f"has no :{name}", f"Give each operation a :{name}, {kind}.")
