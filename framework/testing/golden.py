"""Scripts with golden output: a text file of commands, each block followed by its expected output.

    # A comment, which stays with the block below it.
    COMMAND …
    COMMAND …
    ----
    the output, up to an empty line

The caller defines the commands. In `framework.testing.scenario` they drive a cluster.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from framework.core.errors import ConfigError

RULE = "----"


@dataclass(frozen=True)
class Block:
    """Commands with their expected output; `line` is where it starts, `lead` the comments before it."""

    line: int
    lead: tuple[str, ...]
    commands: tuple[str, ...]
    expected: str


class OutputDiffers(AssertionError):
    """A block's output is not the expected one; the text shows the block's commands and a diff."""


def check_golden(path: Path, run: Callable[[Block], str], *, rewrite: bool = False) -> None:
    """Compares what `run` returns for each block with the script: OutputDiffers for the first difference.

    With `rewrite`, writes the returned output into the script instead. ConfigError for a file that is not a script.
    What `run` raises gets a note that says at which block.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path.name, f"cannot be read ({error})") from error
    answered = [(block, _answer(block, run, path.name)) for block in parse(text, path.name)]
    if rewrite:
        rewritten = "\n".join(_print(block, output) for block, output in answered)
        if rewritten != text:
            path.write_text(rewritten, encoding="utf-8")
        return
    for block, output in answered:
        if output != block.expected:
            raise OutputDiffers(
                "\n".join([f"{path.name}:{block.line}:", *block.commands, *_diff(block.expected, output)])
            )


def parse(text: str, name: str) -> list[Block]:
    """The blocks of a script; ConfigError naming the line of a block without its rule."""
    blocks: list[Block] = []
    lead: list[str] = []
    commands: list[str] = []
    expected: list[str] | None = None
    start = 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if expected is not None:
            if line.strip():
                expected.append(line)
                continue
            blocks.append(Block(start, tuple(lead), tuple(commands), "\n".join(expected)))
            lead, commands, expected = [], [], None
        elif line.strip() == RULE:
            expected = []
        elif line.startswith("#") or (not line.strip() and not commands):
            lead.append(line)
        elif line.strip():
            start = start if commands else number
            commands.append(line.strip())
        else:
            raise ConfigError(f"{name}:{start}", f"{commands[-1]!r} has no answer", f"Write {RULE} under the commands.")
    return blocks


def _answer(block: Block, run: Callable[[Block], str], name: str) -> str:
    try:
        return run(block)
    except Exception as error:
        error.add_note(f"at {name}:{block.line}: {' ; '.join(block.commands)}")
        raise


def _diff(expected: str, came: str) -> list[str]:
    """All lines of both texts: `-` for those that were expected and did not come, `+` for the reverse."""
    before, after = expected.splitlines(), came.splitlines()
    lines = difflib.unified_diff(before, after, n=len(before) + len(after), lineterm="")
    return [RULE, *(line for number, line in enumerate(lines) if number > 2)]


def _print(block: Block, output: str) -> str:
    return "\n".join([*block.lead, *block.commands, RULE, *([output] if output else [])]) + "\n"
