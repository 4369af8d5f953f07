"""docs/api.md says what the docstrings say, and every public name has one."""

from __future__ import annotations

import re

import pytest

import framework
from tests.api_page import TARGET, entry, page


def test_the_page_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == page(), "run python -m tests.api_page"


@pytest.mark.parametrize("name", sorted(framework._HOMES))
def test_a_public_name_is_described(name: str) -> None:
    text = re.sub(r"```.*?```", "", entry(name, framework._HOMES[name]), flags=re.DOTALL)
    assert len(text.split()) > 4, f"{name} has no docstring"


def test_every_link_leads_to_a_heading() -> None:
    text = TARGET.read_text(encoding="utf-8")
    headings = re.findall(r"^### (\w+)$", text, re.MULTILINE)
    links = re.findall(r"\]\(#([\w-]+)\)", text)
    assert len(links) == len(set(links)) == len(headings)
    assert {link.rpartition("-")[0] or link for link in links} == {heading.lower() for heading in headings}
