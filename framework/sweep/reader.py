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
    """Opens the sweep in a folder, finished or not. Raises ConfigError if there is none."""
    path = Path(folder)
    return Sweep(path, read_head(path))


class Sweep:
    """The results of a sweep. Each property raises ConfigError, naming the file, if the file is damaged."""

    def __init__(self, folder: Path, head: Head) -> None:
        self.folder, self.head = folder, head

    @cached_property
    def rows(self) -> pa.Table:
        """A row for each point that the code of the last command has run: key, seed, value on each axis, outcome.

        After `--code any`, points that only other code has run have a row too. Maps (`messages`, `strikes`, …) are
        columns of (name, count) pairs. docs/sweeps.md lists all columns.
        """
        return that_count(self.all_rows, self.head.code, any_code=self.head.any_code)

    @cached_property
    def all_rows(self) -> pa.Table:
        """The rows of any code."""
        return read_rows(self.folder, self.head.axes, read_journal(self.folder, self.head.axes))

    @cached_property
    def configs(self) -> dict[str, dict[str, Any]]:
        """Each composed config without its seed, by its hash, the value of the column `config`."""
        return {mark: yaml.safe_load(content) for mark, content in read_configs(self.folder).items()}
