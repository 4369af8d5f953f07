"""One self-contained HTML file: data, style and scripts within it, nothing loaded from anywhere.

Data stand in the page as JSON in which no character can end the script element, and enter the document through
`page/dom.js` as text alone. A Content-Security-Policy admits the page's own scripts and styles, by their hashes, and
nothing else. The scripts are plain ES modules; `bundled` joins one and those that it imports into one.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from framework.core.tracebacks import printable
from framework.runs.folder import write_atomically

PAGE = Path(__file__).with_name("page")
VENDOR = PAGE / "vendor"

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?:function|const|class) (\w+)", re.MULTILINE)
_UNSAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def write_page(path: Path, title: str, script: str, data: Mapping[str, Any]) -> None:
    """Writes the `document` of these atomically. Raises ConfigError if it cannot be written."""
    write_atomically(path, document(title, script, data), "Choose another file with --output FILE.")


def document(title: str, script: str, data: Mapping[str, Any]) -> bytes:
    """Returns the page on which `script`, a module in `page/`, shows `data` (JSON values).

    Raises ValueError for a number that JSON does not have.
    """
    style, chart, code = (
        _text("vendor/uPlot.min.css") + _text("style.css"),
        _text("vendor/uPlot.iife.min.js"),
        bundled(script),
    )
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hashed(chart)} {_hashed(code)}",
            f"style-src {_hashed(style)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{html.escape(printable(title))}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            "<main></main>",
            "<noscript><p>This page draws itself with JavaScript, which is switched off here.</p></noscript>",
            f'<script id="data" type="application/json">{as_script_json(data)}</script>',
            f"<script>{chart}</script>",
            f'<script type="module">{code}</script>',
            "</body>",
            "</html>",
            "",
        )
    ).encode()


def as_script_json(data: Mapping[str, Any]) -> str:
    """Returns JSON in ASCII without `<`, `>` and `&`: it neither ends its script element nor begins another one."""
    return json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":")).translate(_UNSAFE)


@cache
def bundled(script: str) -> str:
    """Returns a module of `page/` joined with all that it imports, those first. Each is a scope of its own; the names
    that they export differ."""
    return "".join(map(_scoped, dict.fromkeys(_needed(script))))


def _scoped(name: str) -> str:
    body = _text(name)
    exported = ", ".join(_EXPORT.findall(body))
    inner = re.sub(r"^export ", "", _IMPORT.sub("", body), flags=re.MULTILINE)
    return f"const {{ {exported} }} = (() => {{\n{inner}return {{ {exported} }};\n}})();\n"


def _needed(script: str) -> Iterator[str]:
    for name in _IMPORT.findall(_text(script)):
        yield from _needed(name)
    yield script


@cache
def _text(name: str) -> str:
    return (PAGE / name).read_text("utf-8").strip() + "\n"


def _hashed(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
