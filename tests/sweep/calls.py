"""What the tests of the pool have it call, and a program that does."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from framework.sweep.limits import limit_memory
from framework.sweep.pool import Pool
from framework.sweep.tasks import Exhausted, Task

MIB = 1 << 20


def double(number: int) -> int:
    return 2 * number


def act(deed: str, *arguments: Any) -> Any:
    """Calls the function of this module that is named so: one pool can then be asked for anything."""
    return globals()[deed](*arguments)


def hang() -> NoReturn:
    while True:
        pass


def hang_in_c() -> Any:
    return re.match(r"(a+)+$", "a" * 60 + "b")


def take_time(seconds: float) -> None:
    time.sleep(seconds)


def raise_key_error(key: str) -> NoReturn:
    raise KeyError(key)


class Unpicklable(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")
        self.hook = lambda: None


def raise_unpicklable() -> NoReturn:
    raise Unpicklable(1, 2)


def exit_politely() -> NoReturn:
    sys.exit("enough")


def eat() -> int:
    return len([bytearray(MIB) for _ in range(4096)])


def eat_little_after_much() -> int:
    """Sets up more than it may, with the limit put where it ends."""
    limit_memory(None)
    held = [bytearray(MIB) for _ in range(256)]
    limit_memory(64 * MIB)
    return len(held) + len([bytearray(MIB) for _ in range(16)])


def exit_at_once(code: int) -> NoReturn:
    print("these are my last words", flush=True)
    os._exit(code)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash() -> bytes:
    return ctypes.string_at(0)


def die_at_first(mark: str) -> str:
    """Its first call dies with its process."""
    if os.path.exists(mark):
        return "done"
    Path(mark).touch()
    os._exit(1)


def count_and_kill(folder: str, times: int) -> int:
    """Is killed so many times, then returns how often it was called."""
    mine = len(os.listdir(folder))
    (Path(folder) / str(mine)).touch()
    if mine < times:
        kill_itself()
    return mine + 1


def leave_a_mark(folder: str, number: int) -> int:
    """A line in the folder's file of that number for each call."""
    with open(Path(folder) / str(number), "a") as file:
        file.write(f"{os.getpid()}\n")
    return number


def process() -> int:
    return os.getpid()


def slow_process() -> int:
    time.sleep(0.3)
    return os.getpid()


def exhausted_process() -> Exhausted:
    return Exhausted(os.getpid())


def make_a_lambda() -> Callable[[], None]:
    return lambda: None


def leave_a_file() -> str:
    return tempfile.mkstemp()[1]


def leave_a_child() -> int:
    """A process that lives on, and holds all that is open."""
    pid = os.fork()
    if not pid:
        with suppress(BaseException):
            time.sleep(60)
        os._exit(0)
    return pid


def die_with_a_child(file: str) -> None:
    Path(file).write_text(str(leave_a_child()))
    os._exit(4)


def stop_itself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def wait_for(file: str) -> str:
    while not os.path.exists(file):
        time.sleep(0.01)
    return file


def kill_its_host() -> NoReturn:
    """On Ray: the actor that started this process."""
    os.kill(os.getppid(), signal.SIGKILL)
    hang()


def stop_its_host_once(marker: str) -> int:
    """On Ray: the first call stops the actor that started this process, and writes its id to `marker`."""
    with suppress(FileExistsError), open(marker, "x", encoding="utf-8") as file:
        print(os.getppid(), file=file, flush=True)
        os.kill(os.getppid(), signal.SIGSTOP)
        hang()
    return os.getppid()


def host_after_a_moment() -> int:
    time.sleep(0.005)
    return os.getppid()


def length(text: bytes) -> tuple[int, bytes]:
    return len(text), text


def mark_and_hang(folder: str) -> NoReturn:
    (Path(folder) / str(os.getpid())).touch()
    hang()


def main() -> None:
    """Two workers that never end, until somebody ends this."""
    with Pool(mark_and_hang, workers=2) as pool:
        try:
            for _ in pool.run([Task((sys.argv[1],))] * 2):
                pass
        except KeyboardInterrupt:
            print("interrupted", flush=True)


if __name__ == "__main__":
    main()
