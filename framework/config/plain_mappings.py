"""Converts configs, which are frozen Structs, to plain mappings as YAML shows them, and back."""

from __future__ import annotations

import os
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from framework.balancing.balancer import BalancerChoice
from framework.core.errors import ConfigError, did_you_mean
from framework.core.message import Config
from framework.core.plugin_choice import PluginChoice, choices_in, settings_key
from framework.core.size import Size
from framework.core.time import Duration
from framework.placement.placement import PlacementChoice
from framework.replication.state_machine import StateMachineChoice

C = TypeVar("C", bound=Config)

BOOLEAN_TRAP = "In YAML the bare words off, no, on and yes are booleans: put quotes around the word."

_AT = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "keys and values",
    "null": "nothing",
}


class BadValue(Exception):
    """Signals a value that a config cannot take: the full key, what is wrong, and what to do.

    `shown` is the text that names the key in messages, `faults.crash.at=100s` for example; by default the key.
    """

    def __init__(self, key: str, what: str, fix: str = "", shown: str = "") -> None:
        self.key, self.what, self.fix, self.shown = key, what, fix, shown or key
        super().__init__(key, what, fix)


def plain(value: Any) -> Any:
    """Returns `value` as YAML shows it: mappings, lists, scalars; durations with their unit.

    A chosen plugin is shown by its name, and its settings next to it. Leaves out what has a config group of its own,
    the state machine for one.
    """
    if isinstance(value, msgspec.Struct):
        tag = type(value).__struct_config__
        shown: dict[str, Any] = {} if tag.tag_field is None else {tag.tag_field: tag.tag}
        for key, name in keys_of(type(value)).items():
            field = getattr(value, name)
            if is_part(type(value), name):
                continue
            if isinstance(field, PluginChoice):
                shown |= {key: field.name, settings_key(key): {} if field.config is None else plain(field.config)}
            else:
                shown[key] = plain(field)
        return shown
    if isinstance(value, Duration):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, frozenset):
        return sorted(plain(inner) for inner in value)
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value if value is None or type(value) in (bool, int, float, str) else _scalar(value)


def is_path(text: str) -> bool:
    """Returns whether `text` can be the path of a file or folder."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # a lone surrogate that encodes no byte
        return False


def texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yields (full key, text) of every string within plain data, its keys included."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield key, str(name)
            yield from texts(inner, _join(key, str(name)))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from texts(inner, f"{key}.{number}")


def defaults(config: type[Config] | None) -> dict[str, Any]:
    """Returns the defaults of a config, as YAML shows them."""
    shown: dict[str, Any] = plain(config()) if config is not None else {}
    return shown


def build(config: type[C], mapping: Mapping[str, Any], key: str) -> C:
    """Returns the validated config that `mapping` describes; missing settings have their defaults.

    `key` is the full key of the mapping, so that errors name full keys. Raises BadValue for an invalid mapping. Chosen
    plugins are not among the mapping's keys (see `framework.config.resolve`).
    """
    cleaned = _clean(config, mapping, config(), key)
    try:
        return msgspec.convert(cleaned, config, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise _explained(str(error), config, cleaned, key) from error
    except ConfigError as error:
        raise BadValue(key, error.what, error.fix) from error


def _scalar(value: Any) -> Any:
    for base in (int, float, str):
        if isinstance(value, base):
            return str(value) if type(value).__str__ is not base.__str__ else base(value)
    return str(value)


PARTS: dict[str, type] = {
    "state_machine": StateMachineChoice,
    "placement": PlacementChoice,
    "balancer": BalancerChoice,
}
"""The config groups whose choice is given to the protocol, in the field of its config that has the group's name and may
be None."""


def is_part(config: type, name: str) -> bool:
    """Returns whether a field of a config is one of `PARTS`."""
    return name in PARTS and PARTS[name] in typing.get_args(typing.get_type_hints(config).get(name))


def _decode(wanted: type, value: Any) -> Any:
    if wanted is Duration:
        if not isinstance(value, bool | str | int | float):
            raise ValueError(f"expected a duration, got {spelled(value)}")
        if isinstance(value, bool):
            raise ValueError(f"{str(value).lower()} is not a duration: write a number and a unit, as in 150ms")
        if isinstance(value, str | int | float) and str(value).strip().startswith("-"):
            raise ValueError(f"a duration cannot be negative, as {value} is")
        return Duration(str(value))
    if wanted is Size:
        return Size(str(value))
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a {wanted.__name__}")
    return wanted(value)


def _clean(config: type, mapping: Any, default: Any, key: str) -> Any:
    """Returns `mapping` without settings left over from the default, where another tag was chosen.

    Raises BadValue for an unknown key.
    """
    if not isinstance(mapping, Mapping):
        raise BadValue(key, f"expected keys and values, got {spelled(mapping)}", f"Write {key}.KEY=VALUE.")
    hints = typing.get_type_hints(config, include_extras=True)
    tag_field = config.__struct_config__.tag_field  # type: ignore[attr-defined]
    chosen = choices_in(default, PluginChoice) if type(default) is config else {}
    fields = {key: name for key, name in keys_of(config).items() if not is_part(config, name) and name not in chosen}
    leftovers = plain(default) if default is not None and type(default) is not config else {}
    cleaned: dict[str, Any] = {}
    for name, value in mapping.items():
        if name == tag_field:
            cleaned[name] = value
        elif name in fields:
            field = fields[name]
            inner = _struct_of(hints[field], value, f"{key}.{name}")
            same = getattr(default, field, None) if type(default) is config else _default_of(config, field)
            cleaned[name] = value if inner is None else _clean(inner, value, same, f"{key}.{name}")
        elif not (name in leftovers and leftovers[name] == value):
            known = [*fields, *(each for field in chosen for each in (field, settings_key(field)))]
            raise BadValue(_join(key, str(name)), "there is no such key", did_you_mean(str(name), known))
    return cleaned


def keys_of(config: type) -> dict[str, str]:
    """Returns the keys of a config as users write them, with their fields (`for`: `lasts`)."""
    return dict(zip(config.__struct_encode_fields__, config.__struct_fields__, strict=True))  # type: ignore[attr-defined]


def _default_of(config: type, name: str) -> Any:
    try:
        return getattr(config(), name)
    except TypeError:  # a field without a default
        return None


def _struct_of(hint: Any, value: Any, key: str = "") -> type | None:
    """Returns the Struct among the types of `hint` that `value` describes; None if it describes none.

    Raises BadValue if `value` lacks the tag that selects one.
    """
    structs = [part for part in _parts(hint) if isinstance(part, type) and issubclass(part, msgspec.Struct)]
    if not isinstance(value, Mapping):
        return None
    if len(structs) == 1:
        return structs[0]
    for struct in structs:
        tag = struct.__struct_config__
        if tag.tag_field is not None and value.get(tag.tag_field) == tag.tag:
            return struct
    field = structs[0].__struct_config__.tag_field if structs else None
    if field is not None and field not in value:
        raise BadValue(key, f"needs {field}", _kinds(structs))
    return None


def _kinds(structs: list[Any]) -> str:
    """Returns the advice for writing one of a union of tagged Structs."""
    tags = [str(struct.__struct_config__.tag) for struct in structs]
    return f"Write {{{structs[0].__struct_config__.tag_field}: …}} with one of: {', '.join(tags)}."


def _parts(hint: Any) -> list[Any]:
    if typing.get_origin(hint) is typing.Annotated:
        return _parts(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [part for argument in typing.get_args(hint) for part in _parts(argument)]
    return [hint]


def _explained(message: str, config: type[Config], mapping: Any, key: str) -> BadValue:
    """Returns msgspec's error in Synod's words, with the full key, the value and the values that are allowed."""
    found = _AT.fullmatch(message)
    assert found is not None
    steps = _steps(found["path"] or "", mapping, config)
    value, hint, default = _at(steps, mapping, config)
    full = _join(key, *steps)
    what = found["what"]
    if "got `bool`" in what and bool not in _parts(hint):
        return BadValue(full, f"{spelled(value)} is not {_wanted(hint)}", BOOLEAN_TRAP)
    if options := options_of(hint, steps):
        if not isinstance(value, str | int | float):
            return BadValue(full, f"expected one of {', '.join(sorted(options))}; got {spelled(value)}")
        return BadValue(full, f"unknown value {spelled(value)}", did_you_mean(str(value), options))
    if form := re.fullmatch(r"Expected `([^`]*)`, got `[^`]*`", what):
        what = f"expected {_wanted_words(form[1])}, got {spelled(value)}"
        structs = [part for part in _parts(hint) if isinstance(part, type) and issubclass(part, msgspec.Struct)]
        if structs and structs[0].__struct_config__.tag_field is not None:
            return BadValue(full, what, _kinds(structs))
        if "array" in form[1] and isinstance(value, str):
            return BadValue(full, what, f"Write {full}=[{value}].")
    elif form := re.fullmatch(r"Expected `\w+` (>=|<=|>|<) (\S+)", what):
        bound = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}[form[1]]
        what = f"must be {bound} {form[2]}, not {spelled(value)}"
    if not steps or default is None or isinstance(default, Mapping):
        return BadValue(full, what)
    return BadValue(full, what, f"The default is {typed(default)}.")


def _steps(path: str, mapping: Any, config: type[Config]) -> list[str]:
    """Returns the keys on msgspec's path. `[...]` is an entry of a mapping: the first that its type does not accept."""
    steps: list[str] = []
    for step in re.findall(r"\.\.\.|[^.\[\]]+", path):
        if step == "...":
            held, hint, _ = _at(steps, mapping, config)
            entries = held.items() if isinstance(held, Mapping) else ()
            step = next((str(key) for key, inner in entries if not _takes(_item(hint), inner)), "")
        if step:
            steps.append(step)
    return steps


def _takes(hint: Any, value: Any) -> bool:
    try:
        msgspec.convert(value, hint, dec_hook=_decode)
    except msgspec.ValidationError:
        return False
    return True


def _item(hint: Any) -> Any:
    """Returns the element type of a list or mapping type; None for other types."""
    for part in _parts(hint):
        origin, arguments = typing.get_origin(part), typing.get_args(part)
        if isinstance(origin, type) and issubclass(origin, Mapping) and arguments:
            return arguments[1]
        if isinstance(origin, type) and issubclass(origin, list | tuple | frozenset) and arguments:
            return arguments[0]
    return None


def _at(steps: Sequence[str], mapping: Any, config: type[Config]) -> tuple[Any, Any, Any]:
    """Returns the value at the end of a path, its expected type (None if not known), and its default."""
    value: Any = mapping
    hint: Any = config
    default: Any = defaults(config)
    for step in steps:
        struct = _struct_of(hint, value)
        value = value[int(step)] if isinstance(value, list) else value.get(step) if isinstance(value, Mapping) else None
        if struct is None:
            hint = _item(hint) or hint  # a union that no tag decides is kept whole
        else:
            hint = typing.get_type_hints(struct, include_extras=True).get(keys_of(struct).get(step, step))
        default = default.get(step) if isinstance(default, Mapping) else None
    return value, hint, default


def default_at(steps: Sequence[str], mapping: Any, config: type[Config]) -> Any:
    """Returns the default at the end of a path, as plain data."""
    return _at(steps, mapping, config)[2]


def typed(value: Any) -> str:
    """Returns a scalar as a person types it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def keys_within(steps: Sequence[str], mapping: Any, config: type[Config]) -> list[str] | None:
    """Returns the keys of the Struct at the end of a path; None if it is not a Struct."""
    value, hint, _ = _at(steps, mapping, config)
    struct = _struct_of(hint, value)
    return None if struct is None else list(keys_of(struct))


def options_of(hint: Any, steps: list[str]) -> list[str]:
    """Returns the words allowed at a path: those of a Literal, or the tags of a union if the path is its tag."""
    parts = _parts(hint)
    literal = [
        str(word) for part in parts if typing.get_origin(part) is typing.Literal for word in typing.get_args(part)
    ]
    structs = [part.__struct_config__ for part in parts if isinstance(part, type) and issubclass(part, msgspec.Struct)]
    tags = [str(config.tag) for config in structs if config.tag_field is not None and steps[-1:] == [config.tag_field]]
    return literal or tags


def _wanted(hint: Any) -> str:
    if words := options_of(hint, []):
        return f"one of: {', '.join(words)}"
    named = [_WORDS.get(part.__name__, "a duration" if part is Duration else "such a value")
             for part in _parts(hint) if isinstance(part, type) and part is not type(None)]  # fmt: skip
    return " or ".join(named) or "what is expected here"


def _wanted_words(text: str) -> str:
    return " or ".join(_WORDS.get(word.strip(), word.strip()) for word in text.split("|"))


def spelled(value: Any) -> str:
    """Returns a value as error messages show it."""
    return str(value).lower() if isinstance(value, bool) else "nothing" if value is None else repr(value)


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)
