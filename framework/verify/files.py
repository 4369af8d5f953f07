"""The files that hold recorded histories: JSON lines, and Jepsen's EDN."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from framework.core.errors import ConfigError, did_you_mean
from framework.verify.edn import Name, read_edn
from framework.verify.history import Call
from framework.verify.model import Model
from framework.verify.recorded import Event, pair

Type = Literal["invoke", "ok", "fail", "info"]
TYPES = get_args(Type)
REPEATS = (
    "write",
    "append",
    "delete",
    "cas",
    "increment",
    "enqueue",
    "push",
    "add",
    "remove",
    "acquire",
    "release",
)
"""Functions whose `ok` repeats the argument in Jepsen's histories."""
ASK_NOTHING = ("read", "dequeue", "pop", "acquire", "release")
"""Functions that take no argument."""
SYNONYMS = {"get": "read", "put": "write"}


class _Line(msgspec.Struct):
    """One line of JSON. A key that is not text is known by its JSON."""

    process: int | str
    type: Type
    f: str
    key: str | int | float | bool | None = None
    value: Any = None
    time: int | None = None


def read_calls(path: Path, model: Model, *, independent: bool = False) -> list[Call]:
    """The calls recorded in a file: EDN if it is named `.edn` or begins like it, else JSON lines.

    `independent`: the values of an EDN history are `[key value]`. ConfigError, with file and line, for what is not
    such a history.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})", "Give a file or a run folder.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}", "is not text", "Give JSON lines or EDN, in UTF-8.") from error
    if path.suffix == ".edn" or _looks_like_edn(text):
        return pair(_edn_events(text, str(path), independent), str(path), model, in_order=True)
    if independent:
        raise ConfigError(str(path), "--independent is for EDN", "In JSON lines, give each line a key.")
    return pair(_json_events(text, str(path)), str(path), model, in_order=False)


def _looks_like_edn(text: str) -> bool:
    start = text[:200].lstrip()
    return start[:1] in ("[", "#", ";") or (start[:1] == "{" and start[1:].lstrip()[:1] == ":")


def _json_events(text: str, where: str) -> Iterator[Event]:
    decode = msgspec.json.Decoder(_Line).decode
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            read = decode(line)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{where}:{number}", str(error), _fix(line)) from error
        except msgspec.DecodeError as error:
            raise ConfigError(f"{where}:{number}", f"not JSON ({error})", "Is the file cut off?") from error
        if read.process == "nemesis":
            continue
        key = read.key if read.key is None or type(read.key) is str else msgspec.json.encode(read.key).decode()
        yield Event(number, read.process, read.type, read.f, key, read.value, read.time)


def _fix(line: str) -> str:
    """What to do about a line of the wrong shape."""
    found = msgspec.json.decode(line)
    kind = found.get("type") if isinstance(found, dict) else None
    if isinstance(kind, str) and kind not in TYPES:
        return did_you_mean(kind, TYPES)
    return 'Write lines like {"process": 0, "type": "invoke", "f": "read", "key": "x", "value": null, "time": 1}.'


def _edn_events(text: str, where: str, independent: bool) -> Iterator[Event]:
    under_way: dict[Any, Any] = {}
    for line, form in read_edn(text, where):
        at = f"{where}:{line}"
        if not isinstance(form, dict):
            raise ConfigError(at, f"holds {form!r}", "Write operations like {:process 0, :type :invoke, :f :read}.")
        process, kind, function = form.get(":process"), form.get(":type"), form.get(":f")
        if isinstance(process, Name):
            continue  # the nemesis
        if not isinstance(process, int) or isinstance(process, bool):
            raise ConfigError(at, f"has the process {process!r}", "Give each operation a :process, a number.")
        known_as = SYNONYMS.get(function[1:], function[1:]) if isinstance(function, Name) else ""
        name = kind[1:] if isinstance(kind, Name) else repr(kind)
        if name not in TYPES:
            raise ConfigError(at, f"has the type {kind}", did_you_mean(name, TYPES))
        if not isinstance(function, Name):
            raise ConfigError(at, f"has the function {function!r}", "Give each operation an :f, a keyword.")
        value, key = form.get(":value"), form.get(":key")
        if name == "invoke" and known_as in ASK_NOTHING and not independent:
            _check_asks_nothing(known_as, value, at)
        if name == "invoke":
            if independent:
                key, value = _pair_of(value, at)
            under_way[process] = (key, value)
        else:
            begun, argument = under_way.pop(process, (key, None))
            if independent and name == "ok":
                key, value = _pair_of(value, at)
            key = begun if key is None or name != "ok" else key
            if name == "ok" and known_as in REPEATS and value == argument and not isinstance(value, bool):
                value = True if known_as == "cas" else None
        time = form.get(":time")
        yield Event(
            line, process, name, known_as, None if key is None else _text(key),  # type: ignore[arg-type]
            _plain(value), time if type(time) is int and time >= 0 else None,
        )  # fmt: skip


def _check_asks_nothing(function: str, value: Any, at: str) -> None:
    """ConfigError for an invocation with `[key nil]`: only a history of independent keys has these."""
    if isinstance(value, tuple) and len(value) == 2 and value[1] is None:
        what = f"invokes {function} with [{value[0]} nil], a key and no value"
        raise ConfigError(at, what, "Add --independent if each value is [key value].")


def _pair_of(value: Any, at: str) -> tuple[Any, Any]:
    if isinstance(value, tuple) and len(value) == 2:
        return value
    raise ConfigError(at, f"has the value {value!r}", "With --independent each value is [key value].")


def _text(key: Any) -> str:
    return str(key)


def _plain(value: Any) -> Any:
    """Keywords and symbols as texts, within collections too."""
    if isinstance(value, Name):
        return str(value)
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value
