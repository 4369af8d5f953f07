"""Damages a database as a failing disk does: one byte of a record that was acknowledged."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from framework.engine.ray.storage import Database, StorageError, connect

_LOCAL = 400
"""Of a record, so many bytes surely stand in one piece in the file."""


def ruin(path: Path, acknowledged: int) -> str:
    """Flips a byte of one of the first `acknowledged` commits of a database that nobody has open; says what is found then.

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
