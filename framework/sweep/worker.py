"""A worker process: makes the calls that it receives, one after the other, and replies to each as soon as it ends.

    python -P -c "from framework.sweep.worker import main; main()" SOCKET LIFELINE SCRATCH FOLDER

SOCKET is a descriptor of a stream socket. Both ends send messages, each preceded by its length:

| to the worker | |
| --- | --- |
| first message | pickled: the function, pickled by reference; the limits of a call; the time of a chunk before a rest |
| other messages | pickled: a chunk of calls, each a number and its arguments, pickled |

| from the worker | |
| --- | --- |
| READY | the function is imported |
| a reply | the end of the next call in order: see `CallReply` |
| a rest | the number of calls of the chunk that are returned: it took longer than expected, and others may be free |

LIFELINE is a pipe to which nothing is ever written. When its other end closes, the process that started the worker is
gone: the worker removes SCRATCH and ends, whatever it is doing. The exception is a C function that holds the
interpreter's lock, such as an endless regular expression: it ends at its time limit. FOLDER, in SCRATCH, is the
worker's own folder, for its output, the stack of a call that took too long, and its temporary files.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from framework.core.tracebacks import error_line, place
from framework.sweep.limits import Limits, limit_memory, limited
from framework.sweep.tasks import Exhausted, Failure

READY = b""
LENGTH = struct.Struct("!Q")
LOG, DUMP = "output.txt", "overdue.txt"
"""Files in a worker's folder: its output (including faulthandler's), and its stack when its time was up."""

LONGEST_LOG = 1 << 20
"""The size of the output, in bytes, above which it is truncated to nothing."""

_HEAD = struct.Struct("!Qdc?")
_RETURNED, _RAISED, _MEMORY = b"o", b"r", b"m"
_KINDS: dict[bytes, Literal["raised", "memory"]] = {_RAISED: "raised", _MEMORY: "memory"}


class CallReply(NamedTuple):
    """The end of a call, as its worker reports it. `is_last`: the worker makes no other call."""

    number: int
    result: Any
    failure: Failure | None
    took_s: float
    is_last: bool

    @classmethod
    def unpacked(cls, message: bytes) -> CallReply:
        number, took_s, kind, is_last = _HEAD.unpack_from(message)
        body = memoryview(message)[_HEAD.size :]
        result, failure = _read_result(body) if kind == _RETURNED else (None, _read_failure(_KINDS[kind], body))
        return cls(number, result, failure, took_s, is_last)


def is_rest(message: bytes) -> bool:
    return len(message) == LENGTH.size


def settled(message: bytes) -> int:
    """Returns the number of calls that a message from a worker settles: answered, or returned."""
    if is_rest(message):
        return int(LENGTH.unpack(message)[0])
    return int(message != READY)


def main() -> None:
    """Runs the worker that the command line describes, until its process is killed."""
    link, lifeline, scratch, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    faulthandler.enable()
    for descriptor in (link, lifeline):
        os.set_inheritable(descriptor, False)
    threading.Thread(target=_end_with_starter, args=(lifeline, scratch), daemon=True).start()
    tempfile.tempdir = str(folder)
    try:
        with socket.socket(fileno=link) as channel, open(folder / DUMP, "w", encoding="utf-8") as dump:
            _serve(channel, dump)
    except (EOFError, ConnectionError):
        _end(scratch)


def _serve(channel: socket.socket, dump: IO[str]) -> None:
    messages = _messages(channel)
    function, limits, patience_s = pickle.loads(next(messages))
    work = pickle.loads(function)
    _send(channel, READY)
    for message in messages:
        chunk, patience = pickle.loads(message), time.perf_counter() + patience_s
        for done, (number, arguments) in enumerate(chunk):
            began = time.perf_counter()
            if done and began > patience:
                _send(channel, LENGTH.pack(len(chunk) - done))
                break
            kind, is_last, body = _made(work, arguments, limits, dump)
            _send(channel, _HEAD.pack(number, time.perf_counter() - began, kind, is_last) + body)
            if is_last:
                os._exit(0)
        if os.fstat(1).st_size > LONGEST_LOG:
            os.ftruncate(1, 0)


def _made(work: Callable[..., Any], arguments: bytes, limits: Limits, dump: IO[str]) -> tuple[bytes, bool, bytes]:
    """Makes one call. Returns its kind of end, whether it is the worker's last, and its pickled result or failure."""
    try:
        with limited(limits, dump):
            try:
                given = pickle.loads(arguments)
            except Exception as error:
                if isinstance(error, MemoryError):
                    raise
                return _RAISED, False, _failed(f"its arguments cannot be unpickled: {error_line(error)}", error)
            result = work(*given)
    except MemoryError as error:
        limit_memory(None)  # lifting it in `limited` may have failed for lack of memory
        return _MEMORY, True, _failed(_at(_needed(limits), error), error)
    except BaseException as error:
        return _RAISED, False, _failed(_at(error_line(error), error), error)
    is_last = isinstance(result, Exhausted)
    try:
        return _RETURNED, is_last, pickle.dumps(result.result if is_last else result)
    except Exception as error:
        return _RAISED, is_last, _failed(f"its result cannot be pickled: {error_line(error)}", error)


def _needed(limits: Limits) -> str:
    return "ran out of memory" if limits.memory is None else f"needed more than {limits.memory >> 20:,} MiB of memory"


def _at(what: str, error: BaseException) -> str:
    found = place(error)
    return f"{what} ({found})" if found else what


def _failed(reason: str, error: BaseException) -> bytes:
    trace = error.__traceback__
    text = "".join(
        traceback.format_exception(type(error), error, trace and trace.tb_next)
    )  # without this module's frame
    try:
        itself = pickle.dumps(error)
    except Exception:
        itself = None
    return pickle.dumps((reason, text, itself))


def _read_failure(kind: Literal["raised", "memory"], body: memoryview) -> Failure:
    reason, text, itself = pickle.loads(body)
    error = None
    if itself is not None:
        with suppress(Exception):  # fails if the exception's __init__ takes other arguments than its `args`
            error = pickle.loads(itself)
    return Failure(kind, reason, text, error if isinstance(error, BaseException) else None)


def _read_result(body: memoryview) -> tuple[Any, Failure | None]:
    try:
        return pickle.loads(body), None
    except Exception as error:
        return None, Failure("raised", f"its result cannot be unpickled: {error_line(error)}")


def _messages(channel: socket.socket) -> Iterator[bytes]:
    """Yields the messages that arrive. Raises EOFError when the other end closes."""
    with channel.makefile("rb") as stream:
        while True:
            yield _read(stream, LENGTH.unpack(_read(stream, LENGTH.size))[0])


def _read(stream: IO[bytes], size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError
    return found


def _send(channel: socket.socket, message: bytes) -> None:
    channel.sendall(LENGTH.pack(len(message)) + message)


def _end_with_starter(lifeline: int, scratch: str) -> None:
    os.read(lifeline, 1)
    _end(scratch)


def _end(scratch: str) -> None:
    """Removes the scratch folder, to which other workers may still write, then kills this process and its children."""
    for _ in range(20):
        shutil.rmtree(scratch, ignore_errors=True)
        if not os.path.exists(scratch):
            break
        time.sleep(0.02)
    os.killpg(os.getpid(), signal.SIGKILL)
