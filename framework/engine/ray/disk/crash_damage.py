"""What crashes and failing disks leave of a database: a commit in flight kept, lost or torn, an acknowledged record
damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from framework.engine.ray.disk.database import CHECKPOINT_FRAMES, Database, StorageError, connect
from framework.engine.ray.disk.write_ahead_log import log_of, tear
from framework.faults.commit_fate import CommitFate

_LOCAL = 400
"""Of a record, so many bytes surely stand in one piece in the file."""


def damage(path: Path, acknowledged: int) -> str:
    """Flips a byte of one of the first `acknowledged` commits of a database that nobody has open; says what is found
    then.

    "" if there is no such commit, or no database.
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
    """What became of the commit `number`, in flight when the process of a database was killed, and from now on `fate`.

    It is lost if it had not come as far as the file, or `fate` is `lost`, for which `Database.reopen` sees to it, or if
    it shall be torn and a checkpoint has already moved it to where it cannot be.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (last,) = connection.execute("SELECT max(id) FROM commits").fetchone()
    except sqlite3.Error:
        return "lost"  # whatever it is, the restart will find it
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
    """What opening it again finds."""
    try:
        Database.reopen(path).close()
    except StorageError as error:
        return str(error)
    return ""
