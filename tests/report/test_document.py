"""The page: nothing within it ends its script, nothing outside it is loaded, and its modules join into one."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from framework.report.document import PAGE, VENDOR, as_script_json, bundled, document

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--",
    "]]>",
    "a & b",
    "line\u2028and\u2029paragraph",
    "\udcff",
    "\0",
    "'\"",
]


class Parts(HTMLParser):
    """The elements of a page, with their text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes), ""))
        self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attributes, text) for name, attributes, text in self.found if name == tag]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_comes_back_from_the_page_as_it_was(text: str) -> None:
    page = document(text, "run.js", {"reasons": [text], text: 1}).decode()

    scripts = Parts(page).all("script")

    assert [attributes.get("id") for attributes, _ in scripts] == ["data", None, None]
    assert json.loads(scripts[0][1]) == {"reasons": [text], text: 1}
    assert not set("<>&\u2028\u2029") & set(as_script_json({"text": text}))


def test_a_number_that_json_lacks_is_refused() -> None:
    with pytest.raises(ValueError):
        document("x", "run.js", {"value": float("nan")})


def test_nothing_but_the_pages_own_scripts_and_styles_is_admitted() -> None:
    parts = Parts(document("x", "run.js", {}).decode())

    (policy,) = [attributes["content"] for attributes, _ in parts.all("meta") if "http-equiv" in attributes]
    assert policy is not None and policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy and "http" not in policy
    own = [text for attributes, text in parts.all("script") if "id" not in attributes] + [
        text for _, text in parts.all("style")
    ]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in own]
    assert re.findall(r"'sha256-([^']+)'", policy) == hashes
    assert not [tag for tag, attributes, _ in parts.found if {"src", "href", "style", "onload"} & attributes.keys()]


@pytest.mark.parametrize("script", sorted(path.name for path in PAGE.glob("*.js")))
def test_modules_import_by_lines_that_the_bundle_understands(script: str) -> None:
    joined = bundled(script)
    assert not re.findall(r"^\s*(?:import|export)\b.*", joined, re.MULTILINE)
    imports = re.findall(r'^import .* from "\./(.+)";$', (PAGE / script).read_text(), re.MULTILINE)
    ends = [joined.index(f"return {{ {exported(name)} }}") for name in imports]
    own = f"return {{ {exported(script)} }}" if exported(script) else "start(page);"
    assert all(end < joined.rindex(own) for end in ends), "what a module imports stands before it"


def exported(script: str) -> str:
    return ", ".join(re.findall(r"^export (?:function|const|class) (\w+)", (PAGE / script).read_text(), re.MULTILINE))


def test_third_party_files_are_those_whose_checksums_stand_beside_them() -> None:
    sums = {name: digest for digest, name in map(str.split, (VENDOR / "SHA256SUMS").read_text().splitlines())}
    files = {path.name for path in VENDOR.iterdir()} - {"README.md", "LICENSE.uPlot", "SHA256SUMS"}
    assert files == sums.keys()
    for name, expected in sums.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == expected
        assert name in (VENDOR / "README.md").read_text()
    version = re.search(r"UPLOT := (.+)", (VENDOR.parents[3] / "Makefile").read_text())
    assert version is not None and version[1] in (VENDOR / "README.md").read_text()


def test_no_two_modules_export_one_name() -> None:
    names = [name for path in PAGE.glob("*.js") for name in exported(path.name).split(", ") if name]
    assert len(names) == len(set(names))


def test_text_enters_the_document_in_one_module_alone() -> None:
    writing = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "createElement", "eval(", "Function(")
    for path in PAGE.glob("*.js"):
        found = [word for word in writing if word in path.read_text()]
        assert not [word for word in found if not word.startswith("createElement") or path.name != "dom.js"], path.name
