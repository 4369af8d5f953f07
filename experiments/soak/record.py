"""The file of a soak: one line a seed, so that what was interrupted goes on where it was."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from experiments.soak.seeds import Outcome
from framework.core.errors import ConfigError


class Record:
    """The outcomes so far. The first line says what was run; a last line that was cut off is dropped."""

    def __init__(self, folder: Path, overrides: Sequence[str]) -> None:
        """ConfigError if the folder holds another soak, or cannot be written."""
        self.file = folder / "seeds.jsonl"
        self.outcomes: dict[int, Outcome] = {}
        head = msgspec.json.encode({"overrides": list(overrides)})
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lines = self.file.read_bytes().split(b"\n")[:-1] if self.file.exists() else []
            if lines and lines[0] != head:
                raise ConfigError(str(folder), f"holds another soak: {lines[0].decode()}", "Name another with --dir.")
            for line in lines[1:]:
                outcome = msgspec.json.decode(line, type=Outcome)
                self.outcomes[outcome.seed] = outcome
            self._stream = self.file.open("ab")
            self._stream.truncate(sum(len(line) + 1 for line in lines))
            if not lines:
                self._stream.write(head + b"\n")
                self._stream.flush()
        except (OSError, msgspec.MsgspecError) as error:
            raise ConfigError(str(self.file), f"cannot be used: {error}", "Name another with --dir.") from error

    def add(self, outcome: Outcome) -> None:
        """Keeps an outcome, also should this process be killed next."""
        self.outcomes[outcome.seed] = outcome
        self._stream.write(msgspec.json.encode(outcome) + b"\n")
        self._stream.flush()

    def close(self) -> None:
        os.fsync(self._stream.fileno())
        self._stream.close()
