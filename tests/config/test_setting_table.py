"""The lines of help: nothing is wider than the terminal, whatever is long."""

from __future__ import annotations

import pytest

from framework.config.setting_docs import Setting
from framework.config.setting_table import row, table

SETTINGS = (
    Setting("x", None, "", "All of it."),
    Setting("x.short", "1", "whole number", "How short it is."),
    Setting("x.list", f"[{','.join(f'region-{number}' for number in range(12))}]", "[text, …]", "Where."),
    Setting(
        "x.a_key_that_is_rather_long_but_not_endless",
        "randomised",
        "none | fixed | randomised | of some other kind",
        "",
    ),
    Setting(
        "x.law", "null", "{kind: constant, …} or null", "Which.", (("{kind: constant, delay: duration}", "Always so."),)
    ),
)


def test_a_setting_is_its_key_its_form_and_below_them_what_it_means() -> None:
    assert list(table(SETTINGS[:2], 80)) == [
        "  x",
        "      All of it.",
        "  x.short=1  whole number",
        "      How short it is.",
    ]


def test_the_kinds_of_a_value_are_listed_below_it() -> None:
    assert list(table(SETTINGS[-1:], 80)) == [
        "  x.law=null  {kind: constant, …} or null",
        "      Which.",
        "      - {kind: constant, delay: duration}: Always so.",
    ]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = list(table(SETTINGS, width))
    assert max(map(len, lines)) <= width
    assert all(line == line.rstrip() for line in lines)
    words = " ".join(lines)
    assert "region-0" in words and "region-11]" in words and "of some other kind" in " ".join(words.split())


def test_a_row_goes_on_below_itself() -> None:
    assert list(row("name", "one two three", 14, column=8)) == ["  name  one", "        two", "        three"]
    assert list(row("a_longer_name", "one", 40, column=8)) == ["  a_longer_name  one"]
    assert list(row("name", "", 40)) == ["  name"]
