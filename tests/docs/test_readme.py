"""The README says what is so: its commands run, its output comes, its code works, what it names exists."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from framework.console.synod import COMMANDS
from framework.new.names import KIND_NAMES as NEW_KINDS
from framework.registry import hookspecs
from framework.registry.registry import KINDS
from framework.runs.result import RunResult
from framework.trace.schema import EVENTS, HISTORY, KIND_NAMES
from tests.docs.markdown import ROOT, Block, Reader, blocks

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks("README.md")
PAGES = ("README.md", *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md")))
PLUGIN_PAGES = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "plugins").rglob("README.md"))


def follow(steps: list[Block], folder: Path) -> None:
    """Does what the steps say; a program to run counts as typed, one that needs a library as typed where that is there."""
    reader = Reader(folder)
    for step in steps:
        needs = step.setting("needs")
        if "run" in step.words or (needs is not None and importlib.util.find_spec(needs)):
            (folder / "block.py").write_text(step.text, encoding="utf-8")
            step = replace(step, language="sh", text="python block.py\n")
        reader.follow(step)


def test_in_the_simulator(tmp_path: Path) -> None:
    follow([block for block in BLOCKS if "ray" not in block.words], tmp_path)


@pytest.mark.ray
def test_on_ray(tmp_path: Path) -> None:
    follow([block for block in BLOCKS if "ray" in block.words], tmp_path)


def test_the_code_is_python_and_every_block_says_what_becomes_of_it() -> None:
    for block in BLOCKS:
        if block.language == "python":
            compile(block.text, block.where, "exec")
            known = "run" in block.words or any(map(block.setting, ("needs", "excerpt", "file")))
            assert known, f"{block.where}: is it run, does it need a library, is it an excerpt or a file?"


def test_the_excerpts_are_whole_files() -> None:
    excerpts = [block for block in BLOCKS if block.setting("excerpt")]
    assert excerpts
    for block in excerpts:
        assert block.text == (ROOT / str(block.setting("excerpt"))).read_text(), block.where


@pytest.mark.parametrize("page", PLUGIN_PAGES)
def test_what_the_page_of_a_plugin_quotes_is_its_code(page: str) -> None:
    for block in blocks(page):
        if (file := block.setting("excerpt")) is not None:
            assert block.text in (ROOT / file).read_text(encoding="utf-8"), block.where


def test_rafts_page_quotes_figure_2() -> None:
    quoted = "".join(block.text for block in blocks("plugins/protocols/raft/README.md") if block.setting("excerpt"))
    assert "def on_append_entries(" in quoted and "def on_request_vote(" in quoted


@pytest.mark.parametrize("page", (*PAGES, *PLUGIN_PAGES))
def test_every_command_exists(page: str) -> None:
    named = set(re.findall(r"python -m ([\w.]+)", (ROOT / page).read_text(encoding="utf-8")))
    assert "framework.run" in named or page not in PAGES or page == "docs/api.md"
    text = (ROOT / page).read_text(encoding="utf-8")
    assert set(re.findall(r"(?:`|^)synod (?=[a-z])(\w+)", text, re.MULTILINE)) <= set(COMMANDS)
    for module in named:
        assert importlib.util.find_spec(module), f"{page}: python -m {module}"


@pytest.mark.parametrize("page", (*PAGES, *PLUGIN_PAGES))
def test_every_link_and_every_make_target_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make (\w+)`", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page}: make {target}"


def test_every_hook_and_every_kind_of_plugin_is_named() -> None:
    hooks = [name for name in vars(hookspecs) if hasattr(vars(hookspecs)[name], f"{hookspecs.PROJECT}_spec")]
    assert [hook for hook in hooks if hook not in README] == []
    tutorial = " ".join((ROOT / "docs/tutorial.md").read_text(encoding="utf-8").split())
    *kinds, last = [f"`{kind}`" for kind in NEW_KINDS]
    assert f"KIND is {', '.join(kinds)} or {last}; " in tutorial
    extending = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    assert [kind.hook for kind in KINDS.values() if f"def {kind.hook}(" not in extending] == []


def test_every_key_of_a_result_and_every_column_is_named() -> None:
    named = set(re.findall(r"`([^`\n]+)`", README))
    words = {word for name in named for word in name.split(", ")}
    assert {field.name for field in msgspec.structs.fields(RunResult)} <= words
    assert set(EVENTS.names) | set(HISTORY.names) <= words
    assert f"one of {', '.join(KIND_NAMES)}." in " ".join(README.split())


def test_every_setting_that_it_names_can_be_set() -> None:
    """The settings of engines and faults, spelt `group.key=value` or `group.key`, as `--help` lists them."""
    shown = subprocess.run(
        [sys.executable, "-m", "framework.run", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    named = set(re.findall(r"`((?:engine|faults|workload|network|protocol)\.[\w.]+)", README)) - {"engine.tls"}
    assert named
    listed = {re.split(r"\.\d", name)[0] for name in named}  # what stands within a list is not listed by itself
    assert [name for name in sorted(listed) if f"{name}=" not in shown] == []
