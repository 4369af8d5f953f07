"""Worker processes on this machine, as seen by the process that starts them: their reports, and why they ended.

No function here blocks on a worker that hangs or is stopped: messages that it has not read are kept until it does.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from framework.core.tracebacks import innermost, one_line
from framework.runs.determinism import own_environment
from framework.sweep.limits import Limits
from framework.sweep.tasks import Death, WorkerEvent
from framework.sweep.worker import DUMP, LENGTH, LOG, settled

BACKSTOP_S = 5.0
"""The time beyond a call's limit after which its process is killed from outside, in case it is stopped."""

LOOK_S = 0.5
"""The interval at which the processes themselves are polled."""

GONE_S = 1.0
"""The time for a process to end by itself after its connection has closed."""

PATIENCE_S = 3.0
"""The time of a chunk after which its remaining calls are returned."""

SCRATCH, LOCK = "synod-pool-", "lock"
"""The prefix of the folder of a pool's workers, and the file in it that is locked while the pool exists."""

ABANDONED_S = 60.0
"""The age after which an unlocked and unchanged folder counts as abandoned."""

_MAIN = "from framework.sweep.worker import main; main()"
_READ, _AT_ONCE = 1 << 16, 1 << 20
_LOG_SHOWN = 4_000


class WorkerProcess:
    """One worker, from its start to its death. `owed`: number of unanswered calls."""

    def __init__(self, number: int, setup: bytes, scratch: Path, lifeline: int) -> None:
        self.number, self.owed, self.is_overdue = number, 0, False
        self.folder = scratch / f"worker-{number}"
        self.folder.mkdir()
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        self._outbox: deque[memoryview] = deque()
        self._inbox = bytearray()
        arguments = (theirs.fileno(), lifeline, scratch, self.folder)
        command = [sys.executable, "-P", "-c", _MAIN, *map(str, arguments)]
        with theirs, open(self.folder / LOG, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                pass_fds=(theirs.fileno(), lifeline), env=own_environment(),
            )  # fmt: skip
        self.silent_since = time.monotonic()
        self.post(setup)

    @property
    def is_waiting(self) -> bool:
        """Whether there are messages that the worker has not accepted yet."""
        return bool(self._outbox)

    def post(self, message: bytes) -> None:
        self._outbox += (memoryview(LENGTH.pack(len(message))), memoryview(message))
        self.flush()

    def flush(self) -> None:
        """Writes as much as the worker accepts now."""
        with suppress(BlockingIOError, ConnectionError):  # a closed connection is noticed when it is read
            while self._outbox:
                sent = self.socket.send(self._outbox[0])
                self.silent_since = time.monotonic()
                self._outbox[0] = self._outbox[0][sent:]
                if not self._outbox[0]:
                    self._outbox.popleft()

    def take(self, most: int) -> tuple[list[bytes], bool]:
        """Reads about `most` bytes. Returns the complete messages, and whether the connection has closed."""
        has_closed, before = False, len(self._inbox)
        try:
            while len(self._inbox) < before + most:
                found = self.socket.recv(_READ)
                self._inbox += found
                if len(found) < _READ:
                    has_closed = not found
                    break
        except BlockingIOError:
            pass
        except ConnectionError:
            has_closed = True
        if len(self._inbox) > before:
            self.silent_since = time.monotonic()
        return self._complete(), has_closed

    def _complete(self) -> list[bytes]:
        messages, at = [], 0
        while at + LENGTH.size <= len(self._inbox):
            end = at + LENGTH.size + LENGTH.unpack_from(self._inbox, at)[0]
            if end > len(self._inbox):
                break
            messages.append(bytes(self._inbox[at + LENGTH.size : end]))
            at = end
        del self._inbox[:at]
        self.owed -= sum(map(settled, messages))
        return messages

    def signal_group(self) -> None:
        """Sends SIGKILL to the process and to the processes that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def remove(self) -> None:
        """Ends the process, if it has not ended, and removes its folder."""
        self.signal_group()
        self.process.wait()
        self.socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def death(self, timeout_s: float | None) -> Death:
        """Returns why the process ended, after its connection has closed. Kills it if it does not end by itself."""
        try:
            code = self.process.wait(GONE_S)
        except subprocess.TimeoutExpired:
            self.signal_group()
            self.process.wait()
            return Death("died", "its process closed its connection", last_line=_last_line(self._log))
        dump = self._text(DUMP)
        if dump or self.is_overdue:
            took = f"took longer than {timeout_s:g}s"
            stack = dump.rpartition("\n\n")[2]  # the main thread's, which is the last
            where = innermost(stack) if dump else "its process did not answer"
            return Death("timeout", f"{took}: {where}" if where else took, dump)
        return _death(code, self._log)

    @property
    def _log(self) -> str:
        return self._text(LOG)

    def _text(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8", errors="replace")
        except OSError:  # its call may have removed the folder
            return ""


def _death(code: int, log: str) -> Death:
    last_line = _last_line(log)
    if code >= 0:
        return Death("died", f"its process ended with exit code {code}", log[-_LOG_SHOWN:], last_line)
    killed = f"its process was killed by {_signal_name(-code)}"
    if -code == signal.SIGKILL:
        return Death("killed", killed, log[-_LOG_SHOWN:], last_line)
    _, head, fatal = log.rpartition("Fatal Python error: ")
    stack = fatal.partition("Current thread ")[2].partition("\n\n")[0]
    where = innermost(stack)
    return Death("died", f"{killed} {where}".rstrip(), head + fatal if head else log[-_LOG_SHOWN:], last_line)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else ""


def _locked(scratch: Path) -> int:
    """Locks the folder and returns the lock's descriptor. Raises OSError if another process has the lock.

    The lock is released when this process ends, at the latest.
    """
    lock = os.open(scratch / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _remove_abandoned() -> None:
    """Removes the folders of pools that were killed together with all their workers, as Ray does for a lost machine."""
    for scratch in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        with suppress(OSError):
            found = scratch.stat(follow_symlinks=False)
            if found.st_uid == os.getuid() and found.st_mtime < time.time() - ABANDONED_S:
                lock = _locked(scratch)
                shutil.rmtree(scratch, ignore_errors=True)
                os.close(lock)


class Processes:
    """The workers of a pool on this machine. They end when this process ends, for any reason."""

    def __init__(self, function: bytes, limits: Limits, wanted: int) -> None:
        self.wanted = wanted
        self._setup = pickle.dumps((function, limits, PATIENCE_S))
        self._limits = limits
        self._workers: dict[int, WorkerProcess] = {}
        _remove_abandoned()
        self._scratch = TemporaryDirectory(prefix=SCRATCH, ignore_cleanup_errors=True)
        self._lock = _locked(Path(self._scratch.name))
        self._lifeline = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._looked = time.monotonic()

    def start(self, number: int) -> None:
        """Starts a worker with this number. The event READY follows."""
        worker = WorkerProcess(number, self._setup, Path(self._scratch.name), self._lifeline[0])
        self._workers[number] = worker
        self._selector.register(worker.socket, selectors.EVENT_READ, worker)
        self._attend(worker)

    def is_placed(self, number: int) -> bool:
        """Returns whether the worker runs, or will in a moment."""
        return True

    def send(self, number: int, chunk: bytes, calls: int) -> None:
        """Sends a worker a chunk of `calls` calls. Does nothing if the worker has ended."""
        worker = self._workers.get(number)
        if worker is None:
            return
        if not worker.owed:
            worker.silent_since = time.monotonic()
        worker.owed += calls
        worker.post(chunk)
        self._attend(worker)

    def stop(self, number: int) -> None:
        """Kills a worker. No more events of it follow."""
        worker = self._workers.get(number)
        if worker is not None:
            self._forget(worker)
            worker.remove()

    def wait(self, timeout_s: float) -> list[tuple[int, WorkerEvent]]:
        """Waits for events. Returns each with its worker's number as soon as there are any; none after `timeout_s`."""
        found: list[tuple[int, WorkerEvent]] = []
        for key, ready in self._selector.select(timeout_s):
            if key.data is None:
                self._woken.recv(1024)
                continue
            worker: WorkerProcess = key.data
            if ready & selectors.EVENT_WRITE:
                worker.flush()
                self._attend(worker)
            if ready & selectors.EVENT_READ:
                found += self._taken(worker, _AT_ONCE)
        if time.monotonic() >= self._looked + LOOK_S:
            self._looked = time.monotonic()
            found += self._look()
        return found

    def is_dry(self) -> bool:
        """Returns whether no worker has unanswered calls."""
        return not any(worker.owed for worker in self._workers.values())

    def wake(self) -> None:
        """Makes `wait` return in another thread."""
        self._waker.send(b"!")

    def close(self) -> None:
        """Kills all workers and removes their files."""
        workers, self._workers = list(self._workers.values()), {}
        for worker in workers:
            worker.signal_group()
        for end in self._lifeline:  # ends a process that was being started when the pool was interrupted
            os.close(end)
        self._selector.close()
        self._waker.close()
        self._woken.close()
        for worker in workers:
            worker.remove()
        self._scratch.cleanup()
        os.close(self._lock)

    def _attend(self, worker: WorkerProcess) -> None:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.is_waiting else 0)
        if self._selector.get_key(worker.socket).events != wanted:
            self._selector.modify(worker.socket, wanted, worker)

    def _taken(self, worker: WorkerProcess, most: int) -> list[tuple[int, WorkerEvent]]:
        messages, has_closed = worker.take(most)
        events: list[tuple[int, WorkerEvent]] = [(worker.number, message) for message in messages]
        if has_closed:
            events.append(self._buried(worker))
        return events

    def _buried(self, worker: WorkerProcess) -> tuple[int, Death]:
        self._forget(worker)
        death = worker.death(self._limits.timeout_s)
        worker.remove()
        return worker.number, death

    def _look(self) -> list[tuple[int, WorkerEvent]]:
        """Kills overdue processes, and finds ended ones whose children still keep the connection open."""
        found: list[tuple[int, WorkerEvent]] = []
        for worker in list(self._workers.values()):
            if worker.process.poll() is not None:
                found += self._taken(worker, sys.maxsize)
                if worker.number in self._workers:
                    found.append(self._buried(worker))
            elif self._is_overdue(worker):
                found += self._taken(worker, _AT_ONCE)  # its reply may already have arrived
                if worker.number in self._workers and self._is_overdue(worker):
                    worker.is_overdue = True
                    worker.signal_group()
        return found

    def _is_overdue(self, worker: WorkerProcess) -> bool:
        timeout_s = self._limits.timeout_s
        if timeout_s is None or not worker.owed:
            return False
        return time.monotonic() > worker.silent_since + timeout_s + BACKSTOP_S

    def _forget(self, worker: WorkerProcess) -> None:
        del self._workers[worker.number]
        self._selector.unregister(worker.socket)
