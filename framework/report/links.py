"""Links from one page to the files beside it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from framework.core.tracebacks import utf8
from framework.report.run_report import REPORT


def link(page: Path, target: Path) -> str:
    """Returns the relative link from the file `page` to a file or folder. It names no scheme, whatever the names
    are."""
    relative = os.path.relpath(os.path.realpath(target), os.path.realpath(page.parent))
    return quote(utf8(relative.replace(os.sep, "/"))) + ("/" if target.is_dir() else "")


def link_to_report(page: Path, folder: Path) -> str:
    """Returns the link to the report in the folder of a run or a sweep, or to the folder if it has none."""
    report = folder / REPORT
    return link(page, report if report.is_file() else folder)
