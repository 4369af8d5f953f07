"""The format of a trace: the packed row of an event, the Arrow columns, and the shapes that decode payloads.

An engine packs one `EVENT_ROW` per event. Names (of nodes, messages, timers, notes) are indices into a `NameTable`.
Payloads can be decoded without the protocol's classes: a file contains the `message_shape` of each message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import inspect

from framework.core.errors import Unrecordable
from framework.core.tracebacks import error_line, printable

EVENT_ROW = struct.Struct("<qqqiiHHHB")
"""time, seq, cause (-1: none), size in wire bytes (-1: none), payload length (-1: no payload), node, peer, message
(`NO_NAME`: none), kind. Little-endian without padding, so that digests are the same on every machine."""

OPERATION = struct.Struct("<qq")
"""seq and operation of an event with an operation. Kept apart from `EVENT_ROW` because few events have one."""

NO_NAME = 0xFFFF

EVENT_FIELDS = [
    ("time", "<i8"), ("seq", "<i8"), ("cause", "<i8"), ("size", "<i4"), ("payload_length", "<i4"),
    ("node", "<u2"), ("peer", "<u2"), ("message", "<u2"), ("kind", "u1"),
]  # fmt: skip
"""The fields of `EVENT_ROW` for numpy's structured dtype."""


class EventKind(IntEnum):
    """The kind of an event; the column `kind` holds the name in lower case."""

    START = 0
    SEND = 1
    DELIVER = 2
    DROP = 3
    TIMER = 4
    INVOKE = 5
    COMPLETE = 6
    NOTE = 7
    COMMIT = 8
    CRASH = 9
    RESTART = 10
    FAULT = 11
    REJECT = 12
    STATUS = 13


KIND_NAMES = [kind.name.lower() for kind in EventKind]
OUTCOMES = ["ok", "fail", "unknown"]

NAME = pa.dictionary(pa.int32(), pa.string())
CODE = pa.dictionary(pa.int8(), pa.string())

EVENTS = pa.schema(
    [
        pa.field("time", pa.int64(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("node", NAME),
        pa.field("kind", CODE, nullable=False),
        pa.field("peer", NAME),
        pa.field("message", NAME),
        pa.field("operation", pa.int64()),
        pa.field("cause", pa.int64()),
        pa.field("size", pa.int32()),
        pa.field("payload", pa.binary()),
    ]
)
"""One row per event. Times are in nanoseconds; `cause` is a `seq`; `message` also names timers and notes.

`operation` is that of an invocation, a completion, or a message whose class has a field `operation: OperationId`.
"""

HISTORY = pa.schema(
    [
        pa.field("operation", pa.int64(), nullable=False),
        pa.field("client", NAME, nullable=False),
        pa.field("process", pa.int64(), nullable=False),
        pa.field("function", NAME, nullable=False),
        pa.field("key", pa.string()),
        pa.field("argument", pa.string()),
        pa.field("result", pa.string()),
        pa.field("outcome", CODE, nullable=False),
        pa.field("scheduled", pa.int64(), nullable=False),
        pa.field("invoked", pa.int64(), nullable=False),
        pa.field("completed", pa.int64()),
    ]
)
"""One row per operation. `argument` and `result` are JSON; `completed` is null if it did not complete in the run."""


_encode = msgspec.json.Encoder().encode


_encode_in_order = msgspec.json.Encoder(order="deterministic").encode
_ATOMS = frozenset((str, int, float, bool, bytes, type(None)))


def _holds_sets(value: Any) -> bool:
    """Returns whether a set is in the value, at any depth."""
    inner: Iterable[Any]
    if isinstance(value, dict):
        inner = value.values()
    elif isinstance(value, list | tuple):
        inner = value
    elif isinstance(value, set | frozenset):
        return True
    else:
        fields = getattr(value, "__struct_fields__", getattr(value, "__dataclass_fields__", ()))
        inner = [getattr(value, name) for name in fields]
    return not _ATOMS.issuperset(map(type, inner)) and any(_holds_sets(each) for each in inner)


def as_json(value: Any) -> bytes:
    """Returns the JSON of a value noted, requested or answered by an author's code.

    Sets are written in order, at any depth. Raises Unrecordable if it has none.
    """
    try:
        return _encode(value) if type(value) in _ATOMS or not _holds_sets(value) else _encode_in_order(value)
    except (TypeError, ValueError, AttributeError, RecursionError, msgspec.MsgspecError) as error:
        raise Unrecordable(f"noted or answered what cannot be recorded ({error_line(error)})") from error


class NameTable:
    """Assigns each distinct name the next index. Shared by the name columns of a file.

    Raises Unrecordable beyond `limit` names (an event row has 16 bits for an index), and for a name that is not text.
    """

    def __init__(self, limit: int = NO_NAME) -> None:
        self.names: list[str] = []
        self._limit = limit
        self._index: dict[str, int] = {}

    def index(self, name: str) -> int:
        """Returns the index of a name, adding the name if it is new."""
        found = self._index.get(name)
        return self._add(name) if found is None else found

    def indices(self, names: Iterable[str]) -> list[int]:
        """Returns the index of each of these names."""
        known = self._index.get
        return [self._add(name) if (found := known(name)) is None else found for name in names]

    def _add(self, name: str) -> int:
        added = len(self.names)
        if added >= self._limit:
            raise Unrecordable(
                f"noted more than {self._limit} distinct names (the next: {name!r});"
                " put what varies into a note's fields, not into its name"
            )
        if not isinstance(name, str) or printable(name) != name:
            raise Unrecordable(f"noted {name!r}, which is not a valid name")
        self.names.append(name)
        self._index[name] = added
        return added


# A shape is a JSON value:
#   null                                     a scalar: the value is as msgpack decodes it
#   {"each": shape}                          tuple[T, ...], frozenset[T]
#   {"items": [shape, ...]}                  tuple[A, B]
#   {"values": shape}                        dict[K, V]
#   {"union": [shape, ...]}                  several structs or containers; scalars are left out
#   {"struct": name, "tag": tag, "tag_field": key, "fields": [[name, wire name, shape], ...]}
#   {"within": name}                         the enclosing struct of that name (recursion)
Shape = dict[str, Any] | None


def message_shape(struct_class: type[msgspec.Struct]) -> Shape:
    """Returns the shape that decodes a message without its class, as a JSON value: field names, through nested types.

    Raises TypeError for a class that msgspec cannot describe.
    """
    return _shape(inspect.type_info(struct_class), ())


def _shape(kind: inspect.Type, within: tuple[str, ...]) -> Shape:
    match kind:
        case inspect.Metadata(type=inner):
            return _shape(inner, within)
        case inspect.StructType():
            return _struct_shape(kind, within)
        case inspect.CollectionType(item_type=item):
            return {"each": _shape(item, within)}
        case inspect.TupleType(item_types=items):
            return {"items": [_shape(item, within) for item in items]}
        case inspect.DictType(value_type=value):
            return {"values": _shape(value, within)}
        case inspect.UnionType(types=options):
            shapes = [shape for option in options if (shape := _shape(option, within)) is not None]
            return {"union": shapes} if shapes else None
        case _:
            return None


def _struct_shape(kind: inspect.StructType, within: tuple[str, ...]) -> Shape:
    name = f"{kind.cls.__module__}.{kind.cls.__qualname__}"
    if name in within:
        return {"within": name}
    inner = (*within, name)
    fields = [[field.name, field.encode_name, _shape(field.type, inner)] for field in kind.fields]
    return {"struct": name, "tag": kind.tag, "tag_field": kind.tag_field, "fields": fields}


def decode_payload(shape: Shape, payload: bytes) -> dict[str, Any]:
    """Decodes a message's wire bytes to `{field: value}`; sequences become lists, nested structs become dicts.

    A struct in a union shows its tag under the tag field of its class.
    Raises ValueError if the bytes are not msgpack or do not fit the shape.
    """
    if shape is None or "struct" not in shape:
        raise ValueError("not the shape of a message")
    decoded = _decode(shape, msgspec.msgpack.decode(payload), {})
    assert isinstance(decoded, dict)
    return decoded


def _decode(shape: Shape, value: Any, within: dict[str, dict[str, Any]]) -> Any:
    if shape is None or value is None:
        return value
    if "within" in shape:
        shape = within[shape["within"]]
    if "struct" in shape:
        return _decode_struct(shape, value, within)
    if "each" in shape:
        return [_decode(shape["each"], item, within) for item in _sequence(value)]
    if "items" in shape:
        return [_decode(s, item, within) for s, item in zip(shape["items"], _sequence(value), strict=True)]
    if "values" in shape:
        return {key: _decode(shape["values"], item, within) for key, item in _mapping(value).items()}
    return _decode_union(shape["union"], value, within)


def _sequence(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _misfit("a sequence", value)
    return value


def _mapping(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise _misfit("a mapping", value)
    return value


def _misfit(due: str, value: Any) -> ValueError:
    return ValueError(f"payload does not fit its shape: expected {due}, got {value!r}")


def _decode_struct(shape: dict[str, Any], value: Any, within: dict[str, dict[str, Any]]) -> dict[str, Any]:
    inner = {**within, shape["struct"]: shape}
    fields = shape["fields"]
    if isinstance(value, dict):  # a struct that encodes by name, and may leave out defaults
        return {name: _decode(s, value[wire], inner) for name, wire, s in fields if wire in value}
    values = _sequence(value)[0 if shape["tag"] is None else 1 :]
    if len(values) != len(fields):
        raise ValueError(f"payload does not fit {shape['struct']}: {len(fields)} fields, {len(values)} values")
    return {name: _decode(s, item, inner) for (name, _, s), item in zip(fields, values, strict=True)}


def _decode_union(options: list[dict[str, Any]], value: Any, within: dict[str, dict[str, Any]]) -> Any:
    for option in options:
        shape = within[option["within"]] if "within" in option else option
        if _fits(shape, value):
            decoded = _decode(shape, value, within)
            tagged = shape.get("tag") is not None
            return {shape["tag_field"]: shape["tag"], **decoded} if tagged else decoded
    return value


def _fits(shape: dict[str, Any], value: Any) -> bool:
    """Returns whether a union's value is of this option. msgspec allows only distinguishable containers in a union."""
    tag = shape.get("tag")
    if isinstance(value, dict):
        return "values" in shape or ("struct" in shape and value.get(shape["tag_field"]) == tag)
    if isinstance(value, list):
        is_struct = "struct" in shape and (tag is None or value[:1] == [tag])
        return is_struct or "each" in shape or "items" in shape
    return False
