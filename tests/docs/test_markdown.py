"""The reader of pages notices what a page says wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.markdown import Block, Reader, first_difference

CAME = "\nhello on sim\nthroughput  2,000/s   \nlatency  1.00 ms\n\nverdict: valid\nrun: runs/hello-1-0\n"


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        ("hello on sim\nthroughput 2,000/s\n", None),
        ("throughput 2,000/s\n…\nrun: runs/hello-…-0\n", None),
        ("hello on sim\nverdict: valid\n", "verdict: valid"),
        ("hello on sim\n…\nverdict: invalid\n", "verdict: invalid"),
        ("verdict: valid\n…\nhello on sim\n", "hello on sim"),
        ("throughput 2,001/s\n", "throughput 2,001/s"),
    ],
)
def test_what_is_shown_must_come_in_order(shown: str, missing: str | None) -> None:
    assert first_difference(shown, CAME) == missing


def test_about_means_that_numbers_may_differ() -> None:
    assert first_difference("throughput 17/s\nlatency 3 ms\n", CAME, about=True) is None
    assert first_difference("throughput 17/h\n", CAME, about=True) == "throughput 17/h"


def test_a_reader_writes_edits_types_and_compares(tmp_path: Path) -> None:
    def do(language: str, words: str, text: str) -> None:
        reader.follow(Block("page.md", 1, language, tuple(words.split()), text))

    reader = Reader(tmp_path)
    do("text", "file=a/b.txt", "one\ntwo\nthree\n")
    do("diff", "edit=a/b.txt", " one\n-two\n+TWO\n")
    do("sh", "exit=3", "cat a/b.txt; exit 3\n")
    do("text", "", "one\nTWO\nthree\n")
    with pytest.raises(AssertionError, match=r"page.md:1: b.txt does not hold once"):
        do("diff", "edit=a/b.txt", "-four\n")
    with pytest.raises(AssertionError, match=r"page.md:1: exit code 1"):
        do("sh", "", "false\n")
