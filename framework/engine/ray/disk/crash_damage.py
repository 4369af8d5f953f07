"""The effects of crashes and failing disks on a database: a commit in flight is kept, lost or torn; an acknowledged
record is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from framework.engine.ray.disk.database import CHECKPOINT_FRAMES, Database, StorageError, connect
from framework.engine.ray.disk.write_ahead_log import log_of, tear
from framework.faults.commit_fate import CommitFate

_LOCAL = 400
"""Number of a record's first bytes that are sure to be contiguous in the file."""


def damage(path: Path, acknowledged: int) -> str:
    """Flips a byte in one of the first `acknowledged` commits of a database that no process has open.

    Returns the error that opening it then raises; "" if there is no such commit, or no database.
    """
    if not path.exists():
        return ""
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        newest = "SELECT changes FROM commits WHERE id <= ? ORDER BY id DESC LIMIT 10"
        records = [record for (record,) in connection.execute(newest, (acknowledged,))]
    for record in records:
        at = path.read_bytes().find(record[:_LOCAL])
        if at < 0:
            continue
        _flip(path, at + min(len(record), _LOCAL) // 2)
        if found := _found(path):
            return found
    return ""


def leave(path: Path, number: int, fate: CommitFate) -> CommitFate:
    """Applies `fate` to the commit `number`, in flight when the process of a database was killed; returns its actual
    fate.

    The commit is lost if it had not reached the file, if `fate` is `lost` (`Database.reopen` then deletes it), or if it
    is to be torn but a checkpoint has already moved it out of the write-ahead log.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (last,) = connection.execute("SELECT max(id) FROM commits").fetchone()
    except sqlite3.Error:
        return "lost"  # the restart will find the error
    if last != number:
        return "lost"
    if fate == "torn" and not tear(log_of(path), CHECKPOINT_FRAMES):
        return "lost"
    return fate


def _flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes((byte ^ 0x40,)))


def _found(path: Path) -> str:
    """Returns the error that reopening the database raises, or ""."""
    try:
        Database.reopen(path).close()
    except StorageError as error:
        return str(error)
    return ""
