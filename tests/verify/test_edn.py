"""EDN, as far as histories are written in it."""

from typing import Any

import pytest

from framework.core.errors import ConfigError
from framework.verify.edn import Name, read_edn


def forms(text: str) -> list[Any]:
    return [form for _, form in read_edn(text, "h.edn")]


def test_values_become_pythons() -> None:
    assert forms('nil true false 12 -3N 1.5 2M 1e3 "a\\n\\"b" \\c \\newline sym :key') == [
        None, True, False, 12, -3, 1.5, 2, 1000.0, 'a\n"b', "c", "\n", "sym", ":key",
    ]  # fmt: skip


def test_keywords_are_names_and_texts_are_not() -> None:
    keyword, text = forms(':read ":read"')
    assert isinstance(keyword, Name) and not isinstance(text, Name)


def test_collections_nest() -> None:
    assert forms("{:value [1 (2 #{3})], :f :read}") == [{":value": (1, (2, (3,))), ":f": ":read"}]


def test_a_vector_at_the_top_gives_its_members_with_their_lines() -> None:
    assert list(read_edn("[{:a 1}\n\n {:b [2]}]\n:end", "h")) == [(1, {":a": 1}), (3, {":b": (2,)}), (4, ":end")]
    assert forms("[[1 2]]") == [(1, 2)]


def test_comments_commas_and_discards_say_nothing_and_tags_are_looked_through() -> None:
    assert forms("; all of it\n1, 2 #_ {:x 3} #jepsen.history.Op{:y 4} #_#_ 5 6 7") == [1, 2, {":y": 4}, 7]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{:a 1}\n{:a [1 2", "h.edn:2: '\\[' is never closed. Is the file cut off?"),
        ("1\n}", "h.edn:2: '}' closes nothing"),
        ("[1}", "h.edn:1: '}' closes nothing"),
        ('{:a 1}\n{:a "b', "h.edn:2: not EDN at"),
        ("{:a}", "h.edn:1: a map holds a key without a value"),
    ],
)
def test_what_is_not_edn_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        forms(text)
