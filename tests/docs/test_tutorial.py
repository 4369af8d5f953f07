"""The tutorial works as it is written: a reader who does what it says sees what it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Block, Reader, blocks

TUTORIAL = blocks("docs/tutorial.md")


def follow(steps: list[Block], folder: Path) -> None:
    reader = Reader(folder)
    for step in steps:
        reader.follow(step)


def test_in_the_simulator(tmp_path: Path) -> None:
    follow([block for block in TUTORIAL if "ray" not in block.words], tmp_path)


@pytest.mark.ray
def test_on_ray(tmp_path: Path) -> None:
    """The commands that start Ray, each with the files as they stand by then."""
    steps = [block for block in TUTORIAL if "ray" in block.words or block.setting("file") or block.setting("edit")]
    assert any(block.language == "sh" for block in steps)
    follow(steps, tmp_path)


def test_the_excerpts_are_of_the_files() -> None:
    excerpts = [block for block in TUTORIAL if block.setting("excerpt")]
    assert excerpts
    for block in excerpts:
        assert block.text in (ROOT / str(block.setting("excerpt"))).read_text(), block.where


def test_the_replicated_register_is_small() -> None:
    register = [block.text for block in TUTORIAL if block.setting("file") == "register.py"][-1]
    assert len([line for line in register.splitlines() if line.strip()]) < 90
