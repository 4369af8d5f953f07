"""The folder of a sweep, in which no row is lost or duplicated.

    sweep.json          the description of the sweep: fixed overrides, axes with their types, the last command
    journal.jsonl       a line for each run that finished since the last part was written
    rows/part-N.parquet all other rows
    configs.jsonl       each composed config once, by its hash
    kept/               folders of single runs

One process writes at a time. A row is in the journal before it counts as finished; a thread syncs the journal to disk
every half second. A part is complete when its name appears. Rows of the journal that a part already has are dropped.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import threading
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from framework.core.errors import ConfigError, SynodError
from framework.core.tracebacks import one_line
from framework.runs.folder import sync_to_disk
from framework.sweep.rows import AxisType, SweepRow, schema, table_of

HEAD, JOURNAL, ROWS, CONFIGS, KEPT, LOCK = "sweep.json", "journal.jsonl", "rows", "configs.jsonl", "kept", ".lock"

ROWS_PER_PART = 10_000
SYNC_EVERY_S = 0.5

_FORMAT = 1


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The content of sweep.json. Commands with equal `engine`, `fixed` overrides and `axes` share a folder.

    The other fields are those of the last command.
    """

    format: int = _FORMAT
    engine: str
    fixed: tuple[str, ...]
    axes: dict[str, AxisType]
    code: str
    """The code of the last command, whose rows count."""
    any_code: bool = False
    """Whether a row of other code counts if there is none of this code."""
    overrides: tuple[str, ...]
    """The overrides of the command line, as typed."""
    config_dir: str | None
    started: str
    """The time when the first command began, in UTC."""


class _Syncer:
    """A thread that syncs the journal to disk within half a second of a write."""

    def __init__(self, descriptor: int) -> None:
        self.is_behind = threading.Event()
        self.failure: OSError | None = None
        self._descriptor, self._is_over = descriptor, threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()
        self.is_behind.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(SYNC_EVERY_S):
            self.is_behind.wait()
            self.is_behind.clear()
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                self.failure = error
                return


class Conflict(SynodError):
    """Signals that two runs of one point, by the same code, had different results."""


class Store:
    """A sweep's folder, opened for writing. `keys` are the keys of its rows."""

    def __init__(self, folder: Path, head: Head) -> None:
        """Creates or opens the folder.

        Raises ConfigError if it belongs to another sweep, is open in another process, or cannot be written.
        """
        self.folder = folder
        _check_free(folder)
        with _writing(folder):
            (folder / ROWS).mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        try:
            self.axes = _taken_up(folder, head)
            with _writing(folder):
                for draft in folder.glob(".*.draft"):
                    draft.unlink()
                self._open()
        except BaseException:
            self._lock.close()
            raise

    def _open(self) -> None:
        self.keys: set[bytes] = set()
        self._attempts: dict[bytes, int] = {}  # of the rows that are not first attempts
        for part in _parts(self.folder):
            self._open_part(part)
        self.waiting: list[SweepRow] = []
        """The rows of the journal."""
        self._size = 0
        self._journal = (self.folder / JOURNAL).open("ab", buffering=0)
        for line, row in _journal_lines(self.folder / JOURNAL, self.axes):
            self._size += len(line)
            key = bytes.fromhex(row.key)
            if key not in self.keys or row.attempt > self._attempts.get(key, 0):
                self._take(key, row)
        self._journal.truncate(self._size)
        self._configs = {config for config, _ in _config_lines(self.folder)}
        self._replaced: dict[bytes, str | None] = {}  # rows that may be replaced, with their digests
        self._syncer = _Syncer(self._journal.fileno())

    def _open_part(self, part: Path) -> None:
        """Reads the keys of a part. Drops rows that it replaces in earlier parts, if a crash has prevented that."""
        table = _read_part(part, ["key", "attempt"])
        keys = list(map(bytes.fromhex, table["key"].to_pylist()))
        if twice := self.keys.intersection(keys):
            drop_rows(self.folder, {key.hex() for key in twice}, before=_number(part))
        self.keys.update(keys)
        attempts = zip(keys, table["attempt"].to_pylist(), strict=True)
        self._attempts.update((key, attempt) for key, attempt in attempts if attempt)

    def _take(self, key: bytes, row: SweepRow) -> None:
        self.waiting.append(row)
        self.keys.add(key)
        if row.attempt:
            self._attempts[key] = row.attempt

    def rows(self, columns: list[str] | None = None) -> pa.Table:
        """Returns all rows, including those of other code, with all columns or the given ones."""
        return read_rows(self.folder, self.axes, self.waiting, columns)

    def add_config(self, config: str, content: str) -> None:
        """Stores a composed config, as YAML, under its hash. Raises ConfigError if it cannot be written."""
        if config not in self._configs:
            with _writing(self.folder), (self.folder / CONFIGS).open("ab") as file:  # ends a line that was cut off
                file.write(b"\n" + msgspec.json.encode({"config": config, "content": content}) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            self._configs.add(config)

    def forget(self, digests: Mapping[str, str | None]) -> None:
        """Allows new runs to replace rows, which stay until then. `digests` maps the rows' keys to their digests."""
        for key, digest in digests.items():
            self._replaced[bytes.fromhex(key)] = digest
            self.keys.discard(bytes.fromhex(key))

    def add(self, row: SweepRow) -> bool:
        """Stores a row. Returns False if there already is a row with its key and the same digest.

        Raises Conflict if the digests differ, and ConfigError if the row cannot be written: the other rows stay intact.
        """
        with _uninterrupted():
            return self._add(row)

    def _add(self, row: SweepRow) -> bool:
        key = bytes.fromhex(row.key)
        if key in self.keys:
            _check_same_digest(row, self._digest(row.key))
            return False
        if key in self._replaced:
            _check_same_digest(row, self._replaced[key])
            row = msgspec.structs.replace(row, attempt=self._attempts.get(key, 0) + 1)
        line = msgspec.json.encode(row) + b"\n"
        with _writing(self.folder):
            if self._syncer.failure is not None:
                raise self._syncer.failure
            try:
                written = self._journal.write(line)
                if written != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                with suppress(OSError):
                    self._journal.truncate(self._size)
                raise
        self._size += len(line)
        self._take(key, row)
        self._syncer.is_behind.set()
        if len(self.waiting) >= ROWS_PER_PART:
            self._seal()
        return True

    def seal(self) -> None:
        """Turns the journal into a part. Raises ConfigError if it cannot be written: the journal then stays."""
        with _uninterrupted():
            self._seal()

    def _seal(self) -> None:
        if self.waiting:
            with _writing(self.folder):
                os.fsync(self._journal.fileno())
                number = max((_number(part) for part in _parts(self.folder)), default=-1) + 1
                _write_part(self.folder, number, table_of(_last_of_each(self.waiting), self.axes))
                self._drop_replaced(before=number)
                self._journal.truncate(0)
                os.fsync(self._journal.fileno())
            self._size = 0
            self.waiting.clear()

    def _drop_replaced(self, before: int) -> None:
        """Drops the rows of earlier parts that the last part replaces."""
        if again := {row.key for row in self.waiting if row.attempt}:
            drop_rows(self.folder, again, before)
            for key in map(bytes.fromhex, again):
                self._replaced.pop(key, None)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Seals the journal, unless it could not be written, and unlocks the folder."""
        try:
            if not isinstance(error, ConfigError):
                self.seal()
        finally:
            self._syncer.end()
            self._journal.close()
            self._lock.close()

    def _digest(self, key: str) -> str | None:
        """Returns the digest of the existing row with this key."""
        table = self.rows(["key", "digest"])
        digests: list[str | None] = table.filter(pc.equal(table["key"], key))["digest"].to_pylist()
        return digests[-1]


def _check_same_digest(row: SweepRow, before: str | None) -> None:
    """Raises Conflict if both runs of a point have a digest and the digests differ."""
    now = row.outcome.digest
    if now is not None and before is not None and now != before:
        raise Conflict(
            f"seed {row.seed} of {row.key} came out differently a second time: digest {before[:16]}…, then {now[:16]}…; the run"
            " is not deterministic"
        )


def read_rows(
    folder: Path, axes: Mapping[str, AxisType], journal: Iterable[SweepRow], columns: list[str] | None = None
) -> pa.Table:
    """Returns the rows of the parts and of a journal. If a key has several rows, the last one counts."""
    wanted = schema(axes)
    tables = [_read_part(part, columns) for part in _parts(folder)]
    waiting = table_of(_last_of_each(list(journal)), axes)
    tables.append(waiting if columns is None else waiting.select(columns))
    names = wanted.names if columns is None else columns
    aligned = [table.select(names).cast(pa.schema([wanted.field(name) for name in names])) for table in tables]
    whole = pa.concat_tables(aligned)
    if "key" not in names or len(whole) == len(pc.unique(whole["key"])):
        return whole
    last = {key: place for place, key in enumerate(whole["key"].to_pylist())}
    return whole.take(pa.array(sorted(last.values())))


def drop_rows(folder: Path, keys: Container[str], before: int) -> None:
    """Drops the rows with these keys from the parts numbered below `before`."""
    for part in _parts(folder):
        if _number(part) < before:
            table = _read_part(part)
            stay = [key not in keys for key in table["key"].to_pylist()]
            if not all(stay):
                _write_part(folder, _number(part), table.filter(pa.array(stay)))


def read_head(folder: Path) -> Head:
    """Reads the sweep.json of a folder. Raises ConfigError if there is none, or if it cannot be read."""
    file = folder / HEAD
    try:
        head = msgspec.json.decode(file.read_bytes(), type=Head)
    except FileNotFoundError as error:
        what = "no such folder" if not folder.is_dir() else f"is not a sweep: it has no {HEAD}"
        raise ConfigError(str(folder), what, "Name the folder that a sweep printed.") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(str(file), f"cannot be read ({error})") from error
    if head.format != _FORMAT:
        raise ConfigError(str(file), f"has format {head.format}; this version reads {_FORMAT}")
    return head


def read_journal(folder: Path, axes: Mapping[str, AxisType]) -> list[SweepRow]:
    """Returns the rows of the journal, without a last line that was cut off."""
    return [row for _, row in _journal_lines(folder / JOURNAL, axes)]


def read_configs(folder: Path) -> dict[str, str]:
    """Returns every composed config, as YAML, by its hash."""
    return dict(_config_lines(folder))


def _last_of_each(rows: list[SweepRow]) -> list[SweepRow]:
    return list({row.key: row for row in rows}.values())


def _journal_lines(file: Path, axes: Mapping[str, AxisType]) -> Iterator[tuple[bytes, SweepRow]]:
    """Yields the complete lines of a journal, with their rows. Ignores a last line that was cut off.

    Raises ConfigError for any other invalid line.
    """
    if not file.exists():
        return
    decode = msgspec.json.Decoder(SweepRow).decode
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return
            try:
                row = decode(line)
                bytes.fromhex(row.key)
                if row.axes.keys() != axes.keys():
                    raise ValueError(f"expected values of {', '.join(axes)}, got {', '.join(row.axes)}")
            except (msgspec.MsgspecError, ValueError) as error:
                fix = "Take the line out: its point runs again."
                raise ConfigError(f"{file}:{number}", f"cannot be read ({error})", fix) from error
            yield line, row


class _Config(msgspec.Struct):
    config: str
    content: str


def _config_lines(folder: Path) -> Iterator[tuple[str, str]]:
    file = folder / CONFIGS
    for line in filter(None, file.read_bytes().split(b"\n") if file.exists() else ()):
        with suppress(msgspec.MsgspecError):  # a line that was cut off is written again
            entry = msgspec.json.decode(line, type=_Config)
            yield entry.config, entry.content


def _read_part(part: Path, columns: list[str] | None = None) -> pa.Table:
    """Returns the rows of a part. Raises ConfigError if it cannot be read."""
    try:
        return pq.read_table(part, columns=columns)
    except (pa.ArrowException, OSError, KeyError) as error:
        what = f"cannot be read ({one_line(str(error))})"
        raise ConfigError(str(part), what, "Move it away: its points run again.") from error


def _parts(folder: Path) -> list[Path]:
    """Returns the parts in order. Raises ConfigError for other Parquet files: readers would include them."""
    parts = sorted((folder / ROWS).glob("*.parquet"))
    wrong = next((part for part in parts if not _PART.fullmatch(part.name)), None)
    if wrong is not None:
        raise ConfigError(str(wrong), "is not a part of the sweep", "Move it away.")
    return sorted(parts, key=_number)


_PART = re.compile(r"part-\d+\.parquet")


def _number(part: Path) -> int:
    return int(part.stem.partition("-")[2])


def _write_part(folder: Path, number: int, table: pa.Table) -> None:
    """Writes a part atomically: readers see all of it, or none."""
    draft = folder / f".part-{number}.draft"
    try:
        with draft.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / ROWS / f"part-{number:06}.parquet")
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_to_disk(folder / ROWS)


def _taken_up(folder: Path, head: Head) -> dict[str, AxisType]:
    """Writes sweep.json. Returns the types of the axes, which an existing folder decides.

    Raises ConfigError if the folder belongs to another sweep.
    """
    if (folder / HEAD).exists():
        held = read_head(folder)
        _check_same(folder, held, head)
        head = msgspec.structs.replace(head, axes=held.axes, started=held.started)
    draft = folder / f".{HEAD}.draft"
    with _writing(folder):
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(head), indent=2) + b"\n")
        draft.replace(folder / HEAD)
    return dict(head.axes)


def _check_free(folder: Path) -> None:
    """Raises ConfigError for a folder that is not empty, and not a sweep's."""
    if folder.is_dir() and not (folder / HEAD).exists():
        own = {ROWS, LOCK, f".{HEAD}.draft"}
        held = next((path.name for path in sorted(folder.iterdir()) if path.name not in own), None)
        if held is None and (folder / ROWS).is_dir():
            held = next((f"{ROWS}/{path.name}" for path in (folder / ROWS).iterdir()), None)
        if held is not None:
            raise ConfigError(str(folder), f"has {held} but no {HEAD}: it is not the folder of a sweep", _ELSEWHERE)


_ELSEWHERE = "Name another with sweep.dir=FOLDER."


def _check_same(folder: Path, held: Head, head: Head) -> None:
    different = [
        *(f"only there: {text}" for text in held.fixed if text not in head.fixed),
        *(f"only here: {text}" for text in head.fixed if text not in held.fixed),
        *(f"only there: several values of {key}" for key in held.axes if key not in head.axes),
        *(f"only here: several values of {key}" for key in head.axes if key not in held.axes),
        *([f"engine {held.engine} there, {head.engine} now"] if held.engine != head.engine else []),
    ]
    if different:
        raise ConfigError(str(folder), f"belongs to another sweep: {'; '.join(different)}", _ELSEWHERE)
    for key, kind in head.axes.items():
        if not _fits(kind, held.axes[key]):
            what = f"its column {key} has the type {held.axes[key]}, and there are values of the type {kind} now"
            raise ConfigError(str(folder), what, _ELSEWHERE)


def _fits(kind: AxisType, column: AxisType) -> bool:
    return kind == column or (kind == "integer" and column == "number") or column == "text"


def _locked(folder: Path) -> IO[bytes]:
    """Locks the folder. Raises ConfigError if another process has the lock."""
    with _writing(folder):
        lock = (folder / LOCK).open("ab+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read(20).decode(errors="replace").strip()
        lock.close()
        told = f" (process {holder})" if holder else ""
        raise ConfigError(
            str(folder), f"another sweep is writing there{told}", "Wait for its end, or use another folder."
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()).encode())
    lock.flush()
    return lock


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Defers SIGINT and SIGTERM until after the body, so that the files and the state in memory stay consistent."""
    if threading.current_thread() is not threading.main_thread():  # other threads get no signals
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if came:
            signal.raise_signal(came[0])


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Converts an OSError in the body into a ConfigError that names the folder."""
    try:
        yield
    except OSError as error:
        what = f"cannot be written ({error.strerror or type(error).__name__})"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        fix = "What is there is kept: make room, then give the same command." if full else _ELSEWHERE
        raise ConfigError(str(folder), what, fix) from error
