"""Measures what snapshots do for Raft and prints four tables:
`python -m experiments.raft_snapshots [--entries 100000]`.

Real times are those of `--trials` repetitions: the least, the median, the most.
"""

from __future__ import annotations

if __name__ == "__main__":  # before all other imports: what they raise is reported as well
    from framework.console.entry import run_as_command

    run_as_command("experiments.raft_snapshots.__main__")

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from experiments.raft_snapshots.absence import Absence
from experiments.raft_snapshots.solo import Solo, restarted, size_bytes
from experiments.raft_snapshots.writes import KV, machine_after, writes
from experiments.studies import show
from framework.console.command import Parser, count
from framework.console.entry import carried_out
from framework.engine.ray.disk.database import Database
from plugins.protocols.raft.config import RaftConfig
from plugins.protocols.raft.messages import Entry

KEYS = 1_000
BATCH = 100
"""Requests in one batch, which is one commit, of the server whose disk is looked at."""

DISK_VALUE = 4_096
"""Bytes of each value that it is asked to write."""

TRAILING = 5_000
EVERY = (0, 10_000)
"""Entries from one snapshot to the next; 0: none is taken."""


COUNTS = (1_000, 10_000, 100_000)
"""Keys in the store of which a snapshot is taken."""


def main(arguments: Sequence[str]) -> int:
    parser = Parser("experiments.raft_snapshots", "What snapshots do for Raft.")
    parser.add_argument("--entries", type=count, default=100_000, help="entries of the log (default 100,000)")
    parser.add_argument("--trials", type=count, default=10, help="repetitions of what is timed (default 10)")

    def study() -> int:
        options = parser.read(arguments)
        return _study(options.entries, options.trials)

    return carried_out(study)


def _study(entries: int, trials: int) -> int:
    show("A follower that missed them all (simulated, 1 Gbit/s)", ABSENCE, list(absences(entries)))
    with tempfile.TemporaryDirectory() as folder:
        sizes, restarts = disks(entries, trials, Path(folder))
    show(
        "The log on the disk (SQLite), MB after so many entries", ("snapshots", *sizes[0][1]), [row for row, _ in sizes]
    )
    print(f"Real times of {trials} trials: least / median / most, ms")
    show("A restart, until all is applied again", RESTART, restarts)
    show("Taking one snapshot (the node stands still)", PAUSE, list(pauses(trials)))
    return 0


ABSENCE = ("what the others hold", "caught up", "AppendEntries", "InstallSnapshot", "elections")
RESTART = ("snapshots", "entries in the log", "time")
PAUSE = ("keys of 256 bytes", "snapshot", "take", "restore")


def absences(entries: int) -> Iterator[tuple[str, ...]]:
    """One row for a leader with all entries, and one for each size of chunk of a leader with a snapshot."""
    for name, kept, *settings in (
        ("the whole log", None, "protocol.snapshot_every=0"),
        ("a snapshot, chunks of 1 MiB", min(TRAILING, entries)),
        ("a snapshot, chunks of 16 KiB", min(TRAILING, entries), "protocol.snapshot_chunk=16384"),
    ):
        came = Absence(entries, kept, KEYS, *settings).hold()
        yield name, f"{came.caught_up_ms:,.0f} ms", f"{came.appends:,}", f"{came.chunks:,}", f"{came.elections}"


def disks(
    entries: int, trials: int, folder: Path
) -> tuple[list[tuple[tuple[str, ...], tuple[str, ...]]], list[tuple[str, ...]]]:
    """Rows and headings of the sizes, and rows of the restarts, of a server with and without snapshots."""
    sizes: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    restarts: list[tuple[str, ...]] = []
    for every in EVERY:
        name = f"every {every:,}" if every else "none"
        config = RaftConfig(state_machine=KV, snapshot_every=every, snapshot_trailing=TRAILING)
        path = folder / f"{every}.sqlite"
        megabytes: list[str] = []
        at: list[str] = []
        database = Database.create(path)
        solo = Solo(database, config)
        commands = writes(entries, KEYS, opened=solo.node.log.last + 1, size=DISK_VALUE)
        solo.execute([next(commands)])  # whose answer the others wait for
        while batch := list(islice(commands, BATCH)):
            solo.execute(batch)
            if solo.node.commit // (entries / 5) > len(at):
                at.append(f"{solo.node.commit:,}")
                megabytes.append(f"{size_bytes(path) / 1e6:.1f}")
        database.close()
        sizes.append(((name, *megabytes), tuple(at)))
        held, seconds = restarts_of(path, config, entries, trials)
        restarts.append((name, f"{held:,}", spread(seconds)))
    return sizes, restarts


def restarts_of(path: Path, config: RaftConfig, entries: int, trials: int) -> tuple[int, list[float]]:
    """How many entries its log holds after a restart, and the seconds of each trial, on a fresh copy of the
    database."""
    seconds: list[float] = []
    for trial in range(trials):
        folder = path.parent / f"{path.stem}-{trial}"
        folder.mkdir()
        for file in path.parent.glob(path.stem + ".*"):
            shutil.copy(file, folder)
        again, took = restarted(folder / path.name, config)
        held = len(again.node.log)
        assert again.node.commit > entries, "it has not come as far as before"
        again.database.close()
        shutil.rmtree(folder)
        seconds.append(took)
    return held, seconds


def spread(seconds: Sequence[float]) -> str:
    """The least, the median and the most, in milliseconds."""
    return " / ".join(f"{1000 * one:,.1f}" for one in (min(seconds), statistics.median(seconds), max(seconds)))


def pauses(trials: int) -> Iterator[tuple[str, ...]]:
    """How long taking and restoring a snapshot of so many keys takes."""
    for keys in COUNTS:
        machine = machine_after(Entry(1, command) for command in writes(keys + 1, keys))
        taking: list[float] = []
        restoring: list[float] = []
        for _ in range(trials):
            began = time.perf_counter()
            state = machine.snapshot()
            taken = time.perf_counter()
            machine.restore(state)
            taking.append(taken - began)
            restoring.append(time.perf_counter() - taken)
        yield f"{keys:,}", f"{len(state) / 1e6:.1f} MB", spread(taking), spread(restoring)
