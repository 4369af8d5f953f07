"""The output of an export, a file or a folder: complete under its name, or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from framework.core.errors import ConfigError
from framework.runs.folder import sync_to_disk


@contextmanager
def new_output(target: Path) -> Iterator[Path]:
    """Yields the path of a draft beside `target`; renames the draft once the body has written it, else removes it.

    The draft is a file or a folder: what the body makes. Nothing is ever overwritten. Raises ConfigError if `target`
    exists, or cannot be written.
    """
    if os.path.lexists(target):
        raise ConfigError(str(target), "exists already", "Remove it, or choose another with --output.")
    draft = target.with_name(f".{target.name}.draft")
    try:
        _remove(draft)
        yield draft
        for file in [draft, *draft.iterdir()] if draft.is_dir() else [draft]:
            sync_to_disk(file)
        draft.rename(target)
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise ConfigError(str(target), f"cannot be written ({reason})", "Choose another with --output.") from error
    finally:
        with suppress(OSError):
            _remove(draft)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
