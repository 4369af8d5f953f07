"""The bytes of a history, read piece by piece, so that no file or pipe needs more memory than one piece."""

from __future__ import annotations

import codecs
import os
import select
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from framework.core.errors import ConfigError

PIECE = 1 << 20
"""The size of a piece, in bytes."""
ENDLESS = 4 << 30
"""The number of bytes after which a pipe or a device counts as endless."""
PATIENCE_S = 60
"""The maximum silence of a pipe, in seconds."""

_MAGIC = {
    b"\x1f\x8b": ("is compressed (gzip)", "Unpack it: gunzip FILE."),
    b"\x28\xb5\x2f\xfd": ("is compressed (zstd)", "Unpack it: unzstd FILE."),
    b"\xfd7zXZ\x00": ("is compressed (xz)", "Unpack it: unxz FILE."),
    b"BZh": ("is compressed (bzip2)", "Unpack it: bunzip2 FILE."),
    b"PK\x03\x04": ("is a zip archive", "Unpack it: unzip FILE."),
    b"ARROW1": ("is an Arrow file", "Give the folder of the run that it belongs to."),
    b"\xff\xff\xff\xff": ("is an Arrow stream", "Give the folder of the run that it belongs to."),
    b"JEPSEN": ("is Jepsen's own binary format", "Give the history.edn beside it."),
    b"\xff\xfe": ("is UTF-16 or UTF-32", "Save it as UTF-8."),
    b"\xfe\xff": ("is UTF-16", "Save it as UTF-8."),
    b"\x00\x00\xfe\xff": ("is UTF-32", "Save it as UTF-8."),
}
"""The first bytes of files that are not UTF-8 text."""


def pieces(path: Path) -> Iterator[bytes]:
    """Yields the content of a file, a pipe or a device, without a byte order mark.

    Raises ConfigError, with the line if known, if it cannot be read, contains zero bytes, is evidently not UTF-8 text,
    is endless, or is silent for too long.
    """
    line = 1
    for number, piece in enumerate(_read(path)):
        if not number:
            for magic, (what, fix) in _MAGIC.items():
                if piece.startswith(magic):
                    raise ConfigError(str(path), what, fix)
            piece = piece.removeprefix(codecs.BOM_UTF8)
        if b"\0" in piece:
            line += piece.count(b"\n", 0, piece.index(b"\0"))
            raise ConfigError(f"{path}:{line}", "holds zero bytes", "Is it damaged, or not UTF-8?")
        line += piece.count(b"\n")
        yield piece


def texts(pieces: Iterable[bytes], where: str) -> Iterator[str]:
    """Yields the text of `pieces`. Raises ConfigError, with the line, if they are not UTF-8."""
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    for piece in pieces:
        yield _decoded(decoder, piece, where, line)
        line += piece.count(b"\n")
    _decoded(decoder, b"", where, line, is_last=True)


def not_text(where: str, line: int, error: UnicodeDecodeError) -> ConfigError:
    """Builds the error about bytes that are not UTF-8, in line `line` of a file."""
    wrong = error.object[error.start : error.start + 1].hex()
    what = f"is not text in UTF-8 (byte 0x{wrong})"
    return ConfigError(f"{where}:{line}", what, "Save it as UTF-8: JSON lines, a JSON array or EDN.")


def _decoded(decoder: codecs.IncrementalDecoder, piece: bytes, where: str, line: int, *, is_last: bool = False) -> str:
    try:
        return decoder.decode(piece, is_last)
    except UnicodeDecodeError as error:
        raise not_text(where, line + error.object[: error.start].count(b"\n"), error) from error


def _read(path: Path) -> Iterator[bytes]:
    """Yields the bytes of `path`. Opens it without blocking, so that a pipe without a writer counts as empty."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        is_file = stat.S_ISREG(os.fstat(file).st_mode)
        size = 0
        while piece := _piece(file, path):
            size += len(piece)
            if size > ENDLESS and not is_file:
                raise ConfigError(str(path), f"has no end within {ENDLESS >> 30} GiB", "Give a file.")
            yield piece
        if not size and not is_file:
            raise ConfigError(str(path), "holds nothing", "Is it a pipe that nobody writes to?")
    finally:
        os.close(file)


def _piece(file: int, path: Path) -> bytes:
    """Returns the next `PIECE` bytes, or fewer at the end."""
    parts, left = [], PIECE
    while left:
        try:
            part = os.read(file, left)
        except BlockingIOError:
            if not select.select([file], [], [], PATIENCE_S)[0]:
                what = f"is a pipe that was silent for {PATIENCE_S} s"
                raise ConfigError(str(path), what, "Write it to a file first.") from None
            continue
        except OSError as error:
            raise _unreadable(path, error) from error
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(str(path), f"cannot be read ({error.strerror})", "Give a file or a run folder.")
