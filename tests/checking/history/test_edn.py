"""EDN, as far as histories are written in it."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from framework.checking.history.edn import LONGEST, read_edn
from framework.checking.history.values import Character, Keyword, Symbol, Tagged, exact, written
from framework.core.errors import ConfigError


def forms(*pieces: str) -> list[Any]:
    return [form for _, form in read_edn(pieces, "h.edn")]


A, B = Keyword("a"), Keyword("b")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("nil true false", [None, True, False]),
        ("12 -3N +4 0 12345678901234567890", [12, -3, 4, 0, 12345678901234567890]),
        ("1.5 1. 1e3 -2.5E-1 2M 1.50M 1/2", [1.5, 1.0, 1000.0, -0.25, Decimal(2), Decimal("1.50"), Fraction(1, 2)]),
        ("##Inf ##-Inf", [float("inf"), float("-inf")]),
        (r'"a\n\"b" "\\" "\u00e9" "\101" ""', ['a\n"b', "\\", "é", "A", ""]),
        (r'"\ud83d\ude00" "x\uD83D\uDE00\ud83d\ude00"', ["😀", "x😀😀"]),
        (r"\c \newline \u00e9 \o101 \( \,", [Character(letter) for letter in "c\néA(,"]),
        (":a :a/b x ns/x + -x a# a' <=", [A, Keyword("a/b"), *map(Symbol, ("x", "ns/x", "+", "-x", "a#", "a'", "<="))]),
        ("{:a [1 (2 #{3})], :b :a}", [{A: (1, (2, frozenset([3]))), B: A}]),
        ("#{1 1.0 true} #{[2 1] [1 2]}", [frozenset(map(exact, (1, 1.0, True))), frozenset([(1, 2), (2, 1)])]),
        ('#inst "2020" #my/tag 1 #a #b 2', [Tagged("inst", "2020"), Tagged("my/tag", 1), Tagged("a", Tagged("b", 2))]),
        (r'#"a\d\"+" ', [Tagged("regex", r"a\d\"+")]),
        ("#:n{:a 1 x 2 :m/a 3 :_/b 4 5 6}", [{Keyword("n/a"): 1, Symbol("n/x"): 2, Keyword("m/a"): 3, B: 4, 5: 6}]),
        ("1 #_ {:x 3} #_#_ 5 6 7 #_ #tag 8 #tag #_ 9 10", [1, 7, Tagged("tag", 10)]),
        ("^{:m 1} x ^:m ^n y #_ ^:m z", [Symbol("x"), Symbol("y")]),
        ("; 1\n# 2\n#! 3\n#\n#\r\n4, ,5 ;6", [4, 5]),
    ],
)  # fmt: skip
def test_what_is_written_becomes_a_value(text: str, values: list[Any]) -> None:
    found = forms(text)
    assert found == values
    assert list(map(written, found)) == list(map(written, values))  # 1 is not 1.0


def test_not_a_number_is_one() -> None:
    (number,) = forms("##NaN")
    assert number != number


def test_a_set_has_no_order() -> None:
    assert forms("#{1 2 :a}") == forms("#{:a 2 1}")


def test_a_map_that_has_a_map_for_a_key_becomes_pairs_and_a_set_of_maps_a_list() -> None:
    assert forms("{{:a 1} 2} #{{:a 1}}") == [[({A: 1}, 2)], [{A: 1}]]


@pytest.mark.parametrize("brackets", ["[]", "()"])
def test_a_vector_or_list_at_the_top_gives_its_members_with_their_lines(brackets: str) -> None:
    begin, end = brackets
    text = f"{begin}{{:a 1}}\n\n ^:m #tag {{:b\n [2]}} [3]{end}\n:a #_[4] #tag [5]"
    expected = [(1, {A: 1}), (3, Tagged("tag", {B: (2,)})), (4, (3,)), (5, A), (5, 5)]
    assert list(read_edn([text], "h")) == expected


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_it_may_come_in_pieces_of_any_size(size: int) -> None:
    text = (
        '; c\n[{:a "x\\n\\"y" :b #{1 2.5}} #_ foo ##Inf\n #:n {:a \\newline} #"r\\"" # no\n ^:m #inst "2" 12 12N 1/2]\n'
    )
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert list(read_edn(pieces, "h")) == list(read_edn([text], "h"))
    assert len(forms(text)) == 8


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{:a 1}\n{:a [1 2", "h:2: '[' is never closed. Is the file cut off?"),
        ("[{:a 1}\n", "h:1: '[' is never closed. Is the file cut off?"),
        ("1\n}", "h:2: '}' closes nothing. Is a part missing before it?"),
        ("[1}", "h:1: '}' closes nothing. Is a part missing before it?"),
        ('{:a 1}\n{:a "b\nc', "h:2: not EDN at '\"b\\nc': a text that never ends. Is the file cut off?"),
        ('\n#"b', "h:2: not EDN at '#\"b': a text that never ends. Is the file cut off?"),
        ("{:a}", "h:1: a map holds a key without a value. Write keys and values in turn."),
        ("{:a 1\n :b 2 :a 3}", "h:1: a map holds :a twice. Is the file damaged?"),
        ("1 #{1\n1}", "h:1: a set holds 1 twice. Is the file damaged?"),
        ("[1 #_]", "h:1: ']' comes where a form is due. A tag, #_ or ^ needs a form after it."),
        ("1\n#tag", "h:2: ends where a form is due. A tag, #_ or ^ needs a form after it."),
        ('{"a": 1}', "h:1: not EDN at ':': a keyword has a name. Is this JSON, or cut off?"),
        ("'x", 'h:1: not EDN at "\'x": Clojure\'s "\'" is code, not data. Write plain values.'),
        ("\n#(+ 1)", "h:2: not EDN at '#(+ 1)': Clojure's '#' is code, not data. Write plain values."),
        ("a\x01b", "h:1: not EDN at '\\x01b': a control character. Is the file damaged?"),
        ("#::{:a 1}", "h:1: #:: stands for a namespace that only Clojure knows. Write it out."),
        ("##Nan", "h:1: ##Nan is not a value of EDN. Did you mean '##NaN'?"),
        ("\\foo", "h:1: \\foo is not a character of EDN. Characters are like \\c, \\newline and \\u00e9."),
        ('"a\\q"', "h:1: '\\\\q' in a text is not an escape of EDN. Escapes are like \\n, \\\" and \\u00e9."),
        ('"\\ud83d"', "h:1: \\ud83d is half of a surrogate pair. Is the text cut in the middle of a character?"),
        ('"\\ude00\\ud83d"', "h:1: \\ude00 is half of a surrogate pair. Is the text cut in the middle of a character?"),
        ("\\ud83d", "h:1: \\ud83d is half of a surrogate pair. Is the text cut in the middle of a character?"),
        ("012", "h:1: '012' is not a number of EDN. Numbers are like 12, -1.5, 2e9, 3N, 1.5M, 1/2."),
        ("1x", "h:1: '1x' is not a number of EDN. Numbers are like 12, -1.5, 2e9, 3N, 1.5M, 1/2."),
        ("1\n" + "9" * 5000, "h:2: holds an integer of 5,000 digits, more than can be read. Write it as a text."),
        ("1\n" + "[" * 20000, "h:2: brackets nest more than 100 deep. Write flat values."),
        ("[" * 20000 + "]" * 20000, "h:1: brackets nest more than 100 deep. Write flat values."),
    ],
)
def test_what_is_not_edn_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        list(read_edn([text], "h"))
    assert str(caught.value) == complaint


@pytest.mark.parametrize("token", ["{:a [1 2 3] ", '"', "1 ; ", "x"])
def test_an_operation_without_an_end_is_read_no_further_than_the_longest_may_be(token: str) -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        yield token
        while True:
            taken += 1
            yield "1234567890123456 " * (1 << 16) if "{" in token else "y" * (1 << 20)

    with pytest.raises(ConfigError, match="h:1: an operation longer than 16 MiB"):
        list(read_edn(endless(), "h"))
    assert taken <= 2 * (LONGEST >> 20)


def test_what_lies_between_operations_may_be_longer() -> None:
    between = [f"; {'comment' * 1000}\n" * 100, " \n" * 500_000, f"#_ {{:b {'2' * 4000}}} " * 200] * 8
    assert sum(map(len, between)) > LONGEST
    assert forms("[{:a 1}", *between, "{:b 2}]") == [{A: 1}, {B: 2}]


def test_values_are_written_as_they_were_read() -> None:
    text = r'[null,true,1,1.5,"a",:k,s,\c,#inst "2",1.50M,1/2,#{1 2},##Inf,##NaN]'
    (values,) = forms(f"[{text}]".replace("null", "nil"))
    assert written(values) == text
    assert written(exact(values)) == text
