"""Opens the folder of a sweep, also while another process writes it."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from framework.sweep.rows import that_count
from framework.sweep.store import Head, read_configs, read_head, read_journal, read_rows


def open_sweep(folder: str | os.PathLike[str]) -> Sweep:
    """The sweep in a folder, finished or not. Raises ConfigError when there is none."""
    path = Path(folder)
    return Sweep(path, read_head(path))


class Sweep:
    """What a sweep left behind. Each part raises ConfigError, naming the file, when that is damaged."""

    def __init__(self, folder: Path, head: Head) -> None:
        self.folder, self.head = folder, head

    @cached_property
    def rows(self) -> pa.Table:
        """A row for each point that the code of the last command has run: key, seed, a column for each axis, then what became
        of the run. After `--code any` also those that other code has run, if that command's has not.

        Maps (`messages`, `strikes`, …) are columns of (name, count) pairs. docs/sweeps.md lists all columns.
        """
        return that_count(self.all_rows, self.head.code, any_code=self.head.any_code)

    @cached_property
    def all_rows(self) -> pa.Table:
        """The rows of any code."""
        return read_rows(self.folder, self.head.axes, read_journal(self.folder, self.head.axes))

    @cached_property
    def configs(self) -> dict[str, dict[str, Any]]:
        """Each composed config without its seed, by the hash that the column `config` holds."""
        return {mark: yaml.safe_load(content) for mark, content in read_configs(self.folder).items()}
