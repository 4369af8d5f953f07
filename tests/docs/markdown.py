"""The fenced blocks of a page, and a folder to do in what they say.

What stands after a fence's opening says what its block is:

    ```python file=register.py     a file that the reader writes (any language)
    ```diff edit=register.py       lines of a file that the reader replaces
    ```python run                  a program that the reader runs
    ```sh                          commands that the reader types; `exit=1` if they end so; `ray` if they start Ray
    ```text                        what the commands before it printed

In the printed text a line of `…` stands for any lines, and `…` within a line for anything. `about` after the fence says
that numbers may be others.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.installing import lay_synod

ROOT = Path(__file__).parent.parent.parent
LONGEST_S = 120

_FENCE = re.compile(r"^```(?P<language>\w*)(?P<words>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"\d[\d,]*(\.\d+)?")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the words after it, its text, and the line where it opens."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    def setting(self, name: str) -> str | None:
        """What stands after `name=` in the opening."""
        return next((word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")), None)

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str) -> list[Block]:
    """The fenced blocks of the page at `page`, a path below the repository."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found["language"], tuple(found["words"].split()), found["text"])
        for found in _FENCE.finditer(text)
    ]  # fmt: skip


class Reader:
    """Follows a page in an empty folder, block by block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._printed = ""
        self._tools = tempfile.TemporaryDirectory(prefix="synod-reader-")
        lay_synod(Path(self._tools.name))

    def follow(self, block: Block) -> None:
        """Does what the block says; AssertionError if that did not go as the page says."""
        if (name := block.setting("file")) is not None:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(block.text, encoding="utf-8")
        elif (name := block.setting("edit")) is not None:
            self._edit(self.folder / name, block)
        elif block.language == "sh":
            self._type(block, ["bash", "-c", block.text])
        elif "run" in block.words:
            self._type(block, [sys.executable, "-c", block.text])
        elif block.language == "text":
            missing = first_difference(block.text, self._printed, about="about" in block.words)
            assert missing is None, f"{block.where}: no such line came: {missing}\n--- what came\n{self._printed}"

    def _edit(self, file: Path, block: Block) -> None:
        lines = block.text.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] != "+")
        new = "".join(line[1:] for line in lines if line[0] != "-")
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{block.where}: {file.name} does not hold once\n{old}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def _type(self, block: Block, command: list[str]) -> None:
        tools = os.pathsep.join([self._tools.name, str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        ended = subprocess.run(
            command, cwd=self.folder, env={**os.environ, "PATH": tools, "PYTHONPATH": paths},
            capture_output=True, text=True, check=False, timeout=LONGEST_S,
        )  # fmt: skip
        self._printed = ended.stdout + ended.stderr
        due = int(block.setting("exit") or 0)
        told = f"{block.where}: exit code {ended.returncode}\n{ended.stdout}{ended.stderr}"
        assert ended.returncode == due, told


def first_difference(shown: str, printed: str, *, about: bool = False) -> str | None:
    """The first line of `shown` that does not come in `printed` where it should; None if all do.

    Lines follow one another as shown, from any line on; spaces count as one.
    """
    came = [_plain(line, about) for line in printed.splitlines()]
    came = [line for line in came if line]
    place, anywhere = 0, True
    for line in shown.splitlines():
        if line.strip() == "…":
            anywhere = True
            continue
        if not line.strip():
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in _plain(line, about).split("…")))
        rest = range(place, len(came)) if anywhere else range(place, min(place + 1, len(came)))
        found = next((at for at in rest if pattern.fullmatch(came[at])), None)
        if found is None:
            return line
        place, anywhere = found + 1, False
    return None


def _plain(line: str, about: bool) -> str:
    line = " ".join(line.split())
    return _NUMBER.sub("#", line) if about else line
