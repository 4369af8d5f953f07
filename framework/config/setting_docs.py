"""Documents each setting of a config: its default, the values that it accepts, and the docstring below its field."""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec

from framework.config.plain_mappings import keys_of, plain, typed
from framework.core.plugin_choice import PluginChoice, settings_key
from framework.core.size import Size
from framework.core.time import Duration


@dataclass(frozen=True)
class Setting:
    """The documentation of one key.

    `default` is written as a person types it; None if there are only keys below this one. `form` describes the values
    that are accepted: `duration`, `whole number, at least 1`, `log | lease`. `kinds` are the alternative forms of a
    value that has several, `{kind: constant, delay: duration}` for example, each with its meaning.
    """

    key: str
    default: str | None
    form: str
    text: str
    kinds: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """`key=default`, or the key alone if it has no default."""
        return self.key if self.default is None else f"{self.key}={self.default}"


def explained(config: msgspec.Struct, key: str = "") -> Iterator[Setting]:
    """Yields every setting of `config` in the order of its fields.

    The settings' keys are below `key`. Their values in `config` are shown as the defaults.
    """
    kind = type(config)
    shown, texts = plain(config), _docstrings(kind)
    hints = typing.get_type_hints(kind, include_extras=True)
    tag = kind.__struct_config__
    if tag.tag_field is not None:
        yield Setting(_join(key, tag.tag_field), str(tag.tag), "text", "")
    for name, field in keys_of(kind).items():
        if name in shown:
            yield from _setting(getattr(config, field), hints[field], _join(key, name), texts.get(field, ""))


def flat(settings: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yields (full key, value as typed) of every setting within `settings`."""
    if isinstance(settings, dict) and settings:
        for name, value in settings.items():
            yield from flat(value, f"{key}.{name}" if key else str(name))
    elif isinstance(settings, list) and not any(isinstance(value, dict | list) for value in settings):
        yield key, f"[{','.join(map(written, settings))}]"
    else:
        yield key, written(settings)


def written(value: Any) -> str:
    """Returns plain data as a person types it: `true`, `null`, `{at: 2s, fault: crash}`."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {written(inner)}' for name, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return "null" if value is None else typed(value)


def form_of(hint: Any) -> str:
    """Returns a description of the values that the type `hint` accepts."""
    hint = getattr(hint, "__supertype__", hint)  # of a NewType
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        bounds = [bound for meta in arguments[1:] if isinstance(meta, msgspec.Meta) for bound in _bounds(meta)]
        return ", ".join([form_of(arguments[0]), *bounds])
    if origin in (typing.Union, types.UnionType):
        return _form_of_union([part for part in arguments if part is not type(None)], type(None) in arguments)
    if origin is typing.Literal:
        return " | ".join(map(str, arguments))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"{{NAME: {form_of(arguments[1])}}}"
    if isinstance(origin, type) and issubclass(origin, list | tuple | frozenset):
        if origin is tuple and arguments[-1:] != (Ellipsis,):
            return f"[{', '.join(map(form_of, arguments))}]"
        return f"[{form_of(arguments[0])}, …]"
    return _FORMS.get(hint, "keys and values" if _is_struct(hint) else "any value")


_FORMS: dict[Any, str] = {
    Duration: "duration",
    Size: "size, as in 512MiB",
    bool: "true | false",
    int: "whole number",
    float: "number",
    str: "text",
}


def _setting(value: Any, hint: Any, key: str, text: str) -> Iterator[Setting]:
    kinds = tuple(_kinds(hint))
    if isinstance(value, PluginChoice):
        yield Setting(key, value.name, f"the name of a {value.group}", text)
        inner = settings_key(key)
        if value.config is None:
            yield Setting(inner, None, "keys and values", f"The settings of the {value.group} in {key}.")
        else:
            yield from explained(value.config, inner)
    elif isinstance(value, msgspec.Struct):
        text = text or _first_sentence(type(value))
        if text or kinds:
            yield Setting(key, None, form_of(hint) if kinds else "", text, kinds)
        yield from explained(value, key)
    elif isinstance(value, Mapping) and value:
        yield Setting(key, None, form_of(hint), text)
        for inner, default in flat(plain(value), key):
            yield Setting(inner, default, form_of(typing.get_args(hint)[1]), "")
    else:
        for inner, default in flat(plain(value), key):
            yield Setting(inner, default, form_of(hint), text, kinds)


def _form_of_union(parts: list[Any], or_null: bool) -> str:
    tagged = [part.__struct_config__ for part in parts if _is_tagged(part)]
    forms = [form_of(part) for part in parts if not _is_tagged(part)]
    if tagged:
        forms.append(f"{{{tagged[0].tag_field}: {' | '.join(str(tag.tag) for tag in tagged)}, …}}")
    alternatives = [*forms, *(["null"] if or_null else [])]
    return (", or " if any("," in form and form[0] not in "[{" for form in forms) else " or ").join(alternatives)


def _bounds(meta: msgspec.Meta) -> Iterator[str]:
    if meta.ge is not None and meta.le is not None:
        yield f"{meta.ge} to {meta.le}"
        return
    for word, bound in (("at least", meta.ge), ("above", meta.gt), ("at most", meta.le), ("below", meta.lt)):
        if bound is not None:
            yield f"{word} {bound}"


def _kinds(hint: Any) -> Iterator[tuple[str, str]]:
    """Yields (form, meaning) of each of a union of tagged Structs. The form shows the values that required keys accept,
    and the defaults of other keys."""
    structs = [part for part in typing.get_args(hint) if _is_tagged(part)]
    for struct in structs:
        hints = typing.get_type_hints(struct, include_extras=True)
        fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
        required = [f"{key}: {_short(form_of(hints[field.name]))}" for key, field in fields.items() if field.required]
        others = [f"{key}: {written(plain(field.default))}" for key, field in fields.items() if not field.required]
        tag = struct.__struct_config__
        yield f"{{{', '.join([f'{tag.tag_field}: {tag.tag}', *required, *others])}}}", _first_sentence(struct)


def _short(form: str) -> str:
    return form if form.startswith("[") else form.partition(",")[0]


def _is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _is_tagged(hint: Any) -> bool:
    return _is_struct(hint) and hint.__struct_config__.tag_field is not None


def _first_sentence(kind: type) -> str:
    """Returns the first sentence of a class's docstring; "" if it has none."""
    text = " ".join((kind.__dict__.get("__doc__") or "").split())
    end = text.find(". ")
    return text if end < 0 else text[: end + 1]


def _docstrings(config: type) -> Mapping[str, str]:
    """Returns the docstrings below the fields of a class and its bases, each as one line.

    Classes without source have none.
    """
    texts: dict[str, str] = {}
    for kind in reversed(config.__mro__):
        try:
            source = inspect.getsource(kind)
        except (OSError, TypeError):  # built in, or defined without a file
            continue
        (definition,) = ast.parse(textwrap.dedent(source)).body
        body = definition.body if isinstance(definition, ast.ClassDef) else []
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and (text := _text(below)):
                texts[field.target.id] = text
    return texts


def _text(statement: ast.stmt) -> str:
    held = statement.value if isinstance(statement, ast.Expr) else None
    return " ".join(held.value.split()) if isinstance(held, ast.Constant) and isinstance(held.value, str) else ""


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
