"""The output of an export, a file or a folder: complete under its name, or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from framework.core.errors import ConfigError
from framework.runs.folder import draft_beside, sync_to_disk


@contextmanager
def new_output(target: Path) -> Iterator[Path]:
    """Yields the path of a draft beside `target`; gives it the name `target` once the body has written it, else removes
    it.

    The draft is a file or a folder: what the body makes. Nothing is ever overwritten: of several exports to one target
    at the same time, the first that is complete gets the name. Raises ConfigError if `target` exists, or cannot be
    written.
    """
    if os.path.lexists(target):
        raise _exists(target)
    draft = draft_beside(target)
    try:
        _remove(draft)  # left by a process of the same number that was killed
        yield draft
        for file in [draft, *draft.iterdir()] if draft.is_dir() else [draft]:
            sync_to_disk(file)
        _publish(draft, target)
    except OSError as error:
        if os.path.lexists(target):
            raise _exists(target) from error
        reason = error.strerror or str(error) or type(error).__name__
        raise ConfigError(str(target), f"cannot be written ({reason})", "Choose another with --output.") from error
    finally:
        with suppress(OSError):
            _remove(draft)


def _publish(draft: Path, target: Path) -> None:
    """Gives a draft its name. Raises OSError if the name is taken: a rename would replace a file."""
    if draft.is_dir():
        draft.rename(target)
        return
    try:
        os.link(draft, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        draft.rename(target)


def _exists(target: Path) -> ConfigError:
    return ConfigError(str(target), "exists already", "Remove it, or choose another with --output.")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
