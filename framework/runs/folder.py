"""The folder of a run: claimed once, never shared, never overwritten."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from framework.core.errors import ConfigError

_DRAFTS = count()
"""Numbers of this process's drafts: no two writers share one."""
ELSEWHERE = "Choose another folder with run.dir=FOLDER."
"""What to do if a run's folder cannot be written."""
CONFIG, RESULT, HISTORY, TRACE = "config.yaml", "result.json", "history.arrow", "trace"


def claim_default(run_dir: Path) -> Path:
    """Makes a folder under a default name: `run_dir`, or `run_dir-2` and so on if that is taken.

    Raises ConfigError if it cannot be made.
    """
    number, candidate = 1, run_dir
    while not _make(candidate, exist_ok=False):
        number += 1
        candidate = run_dir.with_name(f"{run_dir.name}-{number}")
    return candidate


def claim(run_dir: Path) -> Path:
    """Makes the folder that the user chose. Raises ConfigError if it holds a run already, or cannot be made or
    written."""
    _make(run_dir, exist_ok=True)
    held = next((name for name in (RESULT, CONFIG, HISTORY, TRACE) if (run_dir / name).exists()), None)
    if held is not None:
        raise ConfigError(str(run_dir), f"holds a run already ({held})", "Choose another folder with run.dir=FOLDER.")
    return run_dir


def release(run_dir: Path) -> None:
    """Releases a folder whose run never began: removes the files of a run, and the folder if it is then empty."""
    from framework.trace.history import history_files

    if (run_dir / TRACE).is_dir():
        shutil.rmtree(run_dir / TRACE)
    for path in (run_dir / CONFIG, *history_files(run_dir)):
        path.unlink(missing_ok=True)
    if not any(run_dir.iterdir()):
        run_dir.rmdir()


def write_config(run_dir: Path, config: Mapping[str, Any]) -> None:
    """Writes config.yaml, before anything runs. If it cannot be written, raises ConfigError and leaves no folder."""
    try:
        write_atomically(run_dir / CONFIG, config_yaml(config).encode())
    except ConfigError:
        release(run_dir)
        raise


def config_yaml(config: Mapping[str, Any]) -> str:
    """Returns a composed config as YAML, in the order of its keys."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(dict(config)))


def write_atomically(path: Path, content: bytes, fix: str = ELSEWHERE) -> None:
    """Writes a file atomically: a reader sees all of `content` or no file. Raises ConfigError, which ends with `fix`,
    if it cannot be written."""
    draft = draft_beside(path)
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise _unwritable(path, error, fix) from error


def draft_beside(path: Path) -> Path:
    """Returns the path of a draft of `path` in the same folder. No other caller gets it, in this process or another."""
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_DRAFTS)}.draft")


def sync_to_disk(path: Path) -> None:
    """Returns once a file, or the names in a folder, are on the disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make(run_dir: Path, *, exist_ok: bool) -> bool:
    """Makes the folder. Returns False if it exists already and `exist_ok` is false."""
    try:
        run_dir.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError as error:
        if not exist_ok:
            return False
        raise ConfigError(str(run_dir), "is a file", "Choose a folder with run.dir=FOLDER.") from error
    except OSError as error:
        raise _unwritable(run_dir, error) from error
    return True


def _unwritable(path: Path, error: OSError, fix: str = ELSEWHERE) -> ConfigError:
    reason = error.strerror or type(error).__name__
    return ConfigError(str(path), f"cannot be written ({reason})", fix)
