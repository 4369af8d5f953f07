"""Values, keys and initial values: each is equal to one of its own kind only, in every model and both notations."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from framework.checking.history.files import Notation, ReadOptions, read_history, value_of
from framework.checking.history.values import DEEPEST, Keyword, by_kind, exact, frozen, nested, plain, shown, written
from framework.checking.linearizability.checker import check_linearizable
from framework.checking.models.catalog import model_named
from framework.checking.models.model import Model
from framework.checking.verdict import Verdict
from framework.core.errors import ConfigError, abbreviated

JSON = ["1", "1.0", "true", '"1"', '"1.0"', '"true"', "[1]", "[1.0]", "[true]", "[[1]]", "0", "-1", "false", '""', "[]"]
EDN = [
    *(
        "1",
        "1.0",
        "1.0M",
        "1/3",
        "true",
        '"1"',
        '"true"',
        "x",
        ":x",
        '"x"',
        '":x"',
        "\\x",
        ":n/x",
        "n/x",
        "(1)",
        "[1.0]",
    ),
    *("#{1}", "#{1.0}", "#{true}", "#{:x x}", "#t 1", "#t 1.0", "#u 1", "##Inf", "##NaN", "0", "false", "[]", "#{}"),
]
ALIKE = {
    "JSON": [("1", "1.0", "true", '"1"'), ("[1]", "[1.0]", "[true]"), ("0", "false", '""', "[]")],
    "EDN": [
        ("1", "1.0", "1.0M", "true"), ("x", ":x", '"x"', "\\x"), ("#{1}", "#{1.0}", "[1]"), ("#t 1", "#t 1.0", "#u 1"),
    ],
}  # fmt: skip
"""Values that a program may take for each other."""
PAIRS = [
    (notation, one, other) for notation in ALIKE for group in ALIKE[notation] for one, other in permutations(group, 2)
]


def verdict(folder: Path, model: Model, notation: str, *rows: tuple[str, str, str]) -> Verdict:
    """That on operations one after another: a function, its argument and its result (EDN: what its `ok` has)."""
    lines = []
    for function, argument, result in rows:
        for kind, value in (("invoke", argument), ("ok", result)):
            if notation == "EDN":
                lines.append(f"{{:process 0, :type :{kind}, :f :{function}, :value {value}}}")
            else:
                lines.append(f'{{"process": 0, "type": "{kind}", "f": "{function}", "value": {value}}}')
    file = folder / f"h.{notation}"
    file.write_text("\n".join(lines))
    found = {check_linearizable(calls, model).verdict for calls in read_history(file, model).readings}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize("notation", ["JSON", "EDN"])
@pytest.mark.parametrize(
    ("model", "put", "see"),
    [
        ("register", "write", "read"),
        ("kv", "write", "read"),
        ("queue", "enqueue", "dequeue"),
        ("stack", "push", "pop"),
        ("set", "add", "read"),
        ("set", "add", "contains"),
        ("consensus", "propose", "propose"),
    ],
)
def test_every_model_tells_values_of_unlike_kinds_apart(
    tmp_path: Path, model: str, put: str, see: str, notation: str
) -> None:
    nil = "null" if notation == "JSON" else "nil"
    for one, other in (pair[1:] for pair in PAIRS if pair[0] == notation):
        answers = {
            "read": (nil, f"[{other}]", f"[{one}]") if model == "set" else (nil, other, one),
            "contains": (other, "true", "false"),
            "propose": ("7", other, one),
        }
        asked, wrong, right = answers.get(see, (nil, other, one))
        told = one if put == "propose" or (notation == "EDN" and put != "add") else nil
        first = (put, one, told)
        assert verdict(tmp_path, model_named(model), notation, first, (see, asked, wrong)) is Verdict.INVALID, (
            one,
            other,
        )
        assert verdict(tmp_path, model_named(model), notation, first, (see, asked, right)) is Verdict.VALID, (
            one,
            other,
        )


@pytest.mark.parametrize("notation", ["JSON", "EDN"])
def test_compare_and_set_does_too(tmp_path: Path, notation: str) -> None:
    for one, other in (pair[1:] for pair in PAIRS if pair[0] == notation):
        told = "true" if notation == "JSON" else f"[{other} 2]"
        separator = "," if notation == "JSON" else " "
        swap = ("cas", f"[{other}{separator}2]", told)
        rows = [("write", one, one if notation == "EDN" else "null"), swap]
        assert verdict(tmp_path, model_named("register"), notation, *rows) is Verdict.INVALID
        rows[0] = ("write", other, other if notation == "EDN" else "null")
        assert verdict(tmp_path, model_named("register"), notation, *rows) is Verdict.VALID


@pytest.mark.parametrize(("notation", "one", "other"), PAIRS)
def test_so_do_initial_values_and_keys(tmp_path: Path, notation: Notation, one: str, other: str) -> None:
    nil = "null" if notation == "JSON" else "nil"
    held = model_named("register").starting(value_of(one, notation, "--initial"))
    assert verdict(tmp_path, held, notation, ("read", nil, other)) is Verdict.INVALID
    assert verdict(tmp_path, held, notation, ("read", nil, one)) is Verdict.VALID

    write, read = (
        "{:process 0, :type :%s, :f :write, :value [%s 5]}",
        "{:process 0, :type :%s, :f :read, :value [%s %s]}",
    )
    lines = [write % ("invoke", one), write % ("ok", one), read % ("invoke", other, "nil"), read % ("ok", other, "5")]
    if notation == "JSON":
        line = '{"process": 0, "type": "%s", "f": "%s", "key": %s, "value": %s}'
        rows = [("invoke", "write", one, 5), ("ok", "write", one, "null"), ("invoke", "read", other, "null")]
        lines = [line % row for row in [*rows, ("ok", "read", other, 5)]]
    file = tmp_path / "keys"
    file.write_text("\n".join(lines))
    register = model_named("register")
    (calls,) = read_history(file, register, ReadOptions(independent=notation == "EDN")).readings
    assert len({call.key for call in calls}) == 2
    result = check_linearizable(calls, register)
    assert result.verdict is Verdict.INVALID  # 5 was written to another key
    assert result.key == (json.loads(other) if other[0] == '"' else written(value_of(other, notation, "")))


@pytest.mark.parametrize(("notation", "values"), [("JSON", JSON), ("EDN", EDN)])
def test_no_two_exact_values_are_equal(notation: Notation, values: list[str]) -> None:
    assert len({exact(value_of(value, notation, "")) for value in values}) == len(values)
    assert len({(exact(value_of(value, notation, "")),) for value in values}) == len(values)


def test_exact_values_are_plain_again() -> None:
    value = (1, 1.0, True, None, "a", (False, 2.5), Keyword("k"))
    assert plain(exact(value)) == value
    assert list(map(type, plain(exact(value)))) == list(map(type, value))
    assert exact(exact(value)) == exact(value)
    assert exact(float("nan")) == exact(float("nan")) and exact(0.0) == exact(-0.0)
    assert frozen([1, [2, [3]]]) == (1, (2, (3,)))


def test_keys_have_an_order_in_which_texts_are_as_ever() -> None:
    keys = [exact(key) for key in ("b", 2, None, "a", 1.0, True, (1,), Keyword("a"), 10)]
    assert sorted(keys, key=by_kind)[:3] == [None, "a", "b"]
    assert len({by_kind(key) for key in keys}) == len(keys)


@pytest.mark.parametrize(("value", "depth"), [(1, 0), ([], 1), ([1, [2]], 2), ({"a": [{}]}, 3)])
def test_how_deep_values_nest(value: Any, depth: int) -> None:
    assert nested(value) == depth


def test_what_nests_too_deep_is_only_known_to_do_so() -> None:
    value: Any = 1
    for _ in range(5000):
        value = [value]
    assert nested(value) == DEEPEST + 1


def test_a_long_value_is_shown_in_part() -> None:
    assert shown("x" * 1000) == f'"{"x" * 99}…{"x" * 99}" (1,002 characters)'
    assert abbreviated("x" * 200) == "x" * 200


@pytest.mark.parametrize(
    ("text", "notation", "value"),
    [
        ("plain text", "JSON", "plain text"),
        ('"1"', "JSON", "1"),
        ("[1, [2]]", "JSON", (1, (2,))),
        ("NaN", "JSON", "NaN"),
        (":x", "JSON", ":x"),
        (":x", "EDN", Keyword("x")),
        ("[1 [2]]", "EDN", (1, (2,))),
        ("#{2 1}", "EDN", frozenset([1, 2])),
        ("nil", "EDN", None),
    ],
)
def test_a_flags_value_is_written_as_those_of_the_history_are(text: str, notation: Notation, value: Any) -> None:
    assert value_of(text, notation, "--initial") == value


@pytest.mark.parametrize(
    ("text", "notation", "complaint"),
    [
        ("a b", "EDN", '--initial: holds 2 values of EDN. Write one value, a text in quotes: "…".'),
        ("[1", "EDN", "--initial:1: '[' is never closed. Is the file cut off?"),
        ("[" * 200 + "]" * 200, "JSON", "--initial: brackets nest more than 100 deep. Write flat values."),
        ("[" * 20000, "JSON", "--initial: brackets nest more than 100 deep. Write flat values."),
    ],
)
def test_a_flags_value_that_is_none_is_refused(text: str, notation: Notation, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        value_of(text, notation, "--initial")
    assert str(caught.value) == complaint


@pytest.mark.parametrize("text", ['{"a": 1}', '[{"a": 1}]'])
@pytest.mark.parametrize("model", ["register", "kv", "queue", "stack", "set", "counter", "mutex", "consensus"])
def test_no_object_holds_a_map_at_first(model: str, text: str) -> None:
    with pytest.raises(ConfigError, match=r"--initial: a \w+ cannot"):
        model_named(model).starting(value_of(text, "JSON", "--initial"))


@pytest.mark.parametrize(("text", "notation"), [("[1, 1]", "JSON"), ("[1 2 1]", "EDN"), ('["a", "a"]', "JSON")])
def test_a_set_holds_no_value_twice(text: str, notation: Notation) -> None:
    with pytest.raises(ConfigError, match="holds a value twice"):
        model_named("set").starting(value_of(text, notation, "--initial"))
