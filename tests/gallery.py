"""Writes `experiments/README.md`, the gallery of the studies, from their READMEs: `python -m tests.gallery`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
TARGET = EXPERIMENTS / "README.md"

HEAD = """# The studies

Each folder is a study: a question, the command that answers it, the answer, and the figures that the command draws.

| question | command |
| --- | --- |
"""


class Study(NamedTuple):
    """A study by its folder's name: its title, and its figures with what they show."""

    name: str
    title: str
    figures: tuple[tuple[str, str], ...]


def studies() -> list[Study]:
    """All folders of `experiments` with a README, by name."""
    found = []
    for page in sorted(EXPERIMENTS.glob("*/README.md")):
        text = page.read_text("utf-8")
        title = re.match(r"# (.+)", text)
        assert title is not None, f"{page} begins with its title"
        figures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text)
        found.append(Study(page.parent.name, title[1], tuple(figures)))
    return found


def written() -> str:
    """The whole page."""
    rows = [f"| [{study.title}]({study.name}) | `python -m experiments.{study.name}` |" for study in studies()]
    figures = [
        f"### [{study.title}]({study.name})\n\n"
        + "\n\n".join(f"![{text}]({study.name}/{path})" for text, path in study.figures)
        for study in studies()
        if study.figures
    ]
    return HEAD + "\n".join(rows) + "\n\n## Gallery\n\n" + "\n\n".join(figures) + "\n"


if __name__ == "__main__":
    TARGET.write_text(written(), "utf-8")
