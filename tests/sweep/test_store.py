"""The store of a sweep: what was added is there, once, whatever became of the process that added it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from framework.core.errors import ConfigError
from framework.sweep import store as stores
from framework.sweep.reader import open_sweep
from framework.sweep.rows import PointOutcome, SweepRow, table_of
from framework.sweep.store import Conflict, Head, Store

HEAD = Head(
    engine="sim", fixed=('experiment="x"',), axes={"nodes": "integer", "faults": "text"},
    code="c" * 12, overrides=("experiment=x",), config_dir=None, started="2026-01-01T00:00:00Z",
)  # fmt: skip


def row(number: int, digest: str | None = "d", **outcome: object) -> SweepRow:
    key = f"{number:020x}{'c' * 12}"
    kept = PointOutcome(**{"verdict": "valid", "digest": digest, "messages": {"Vote": number}, **outcome})  # type: ignore[arg-type]
    return SweepRow(key, number, {"nodes": 3, "faults": ["crash", "loss"]}, "c" * 12, kept)


def seeds(folder: Path) -> list[int]:
    found: list[int] = open_sweep(folder).rows["seed"].to_pylist()
    return found


def test_rows_are_there_while_the_journal_grows_and_once_it_is_a_part(tmp_path: Path) -> None:
    with Store(tmp_path, HEAD) as store:
        assert store.add(row(1)) and store.add(row(2))
        assert seeds(tmp_path) == [1, 2] and not list((tmp_path / "rows").iterdir())
    assert [file.name for file in (tmp_path / "rows").iterdir()] == ["part-000000.parquet"]
    assert (tmp_path / "journal.jsonl").read_bytes() == b"" and seeds(tmp_path) == [1, 2]
    whole = open_sweep(tmp_path).rows.to_pylist()[0]
    assert whole["nodes"] == 3 and whole["faults"] == '["crash","loss"]' and whole["messages"] == [("Vote", 1)]


def test_a_journal_becomes_a_part_at_its_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "ROWS_PER_PART", 3)
    with Store(tmp_path, HEAD) as store:
        for number in range(8):
            store.add(row(number))
        assert len(store.waiting) == 2 and len(list((tmp_path / "rows").iterdir())) == 2
    assert seeds(tmp_path) == list(range(8))


def test_a_row_counts_once_and_one_that_differs_is_named(tmp_path: Path) -> None:
    with Store(tmp_path, HEAD) as store:
        assert store.add(row(1))
        assert not store.add(row(1))
    with Store(tmp_path, HEAD) as store:
        assert not store.add(row(1))
        with pytest.raises(Conflict, match="digest d…, then e…; the run is not deterministic"):
            store.add(row(1, digest="e"))
    assert seeds(tmp_path) == [1]


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_line_that_was_cut_off_is_dropped_and_the_others_stay(tmp_path: Path, cut: int) -> None:
    with Store(tmp_path, HEAD) as store:
        lines = [msgspec.json.encode(row(number)) + b"\n" for number in range(3)]
        store.seal()
    (tmp_path / "journal.jsonl").write_bytes(b"".join(lines)[:-cut])
    assert seeds(tmp_path) == [0, 1]
    with Store(tmp_path, HEAD) as store:
        assert store.add(row(2))
        journal = (tmp_path / "journal.jsonl").read_bytes().splitlines()
        assert [msgspec.json.decode(line)["seed"] for line in journal] == [0, 1, 2]
    assert seeds(tmp_path) == [0, 1, 2]


def test_the_journal_reaches_the_disk_within_a_second_though_no_row_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()
    with Store(tmp_path, HEAD) as store:
        monkeypatch.setattr(stores.os, "fsync", lambda descriptor: synced.set())
        store.add(row(1))
        assert synced.wait(timeout=10)


def test_ctrl_c_while_a_part_is_written_comes_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = stores._write_part

    def interrupted(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        written(*arguments)

    monkeypatch.setattr(stores, "_write_part", interrupted)
    with Store(tmp_path, HEAD) as store:
        store.add(row(1))
        with pytest.raises(KeyboardInterrupt):
            store.seal()
        monkeypatch.setattr(stores, "_write_part", written)
    assert [pq.read_table(file)["seed"].to_pylist() for file in (tmp_path / "rows").iterdir()] == [[1]]


def test_a_kill_between_the_part_and_the_cut_of_the_journal_loses_and_repeats_nothing(tmp_path: Path) -> None:
    with Store(tmp_path, HEAD) as store:
        store.add(row(1))
        journal = (tmp_path / "journal.jsonl").read_bytes()
    (tmp_path / "journal.jsonl").write_bytes(journal)
    (tmp_path / ".part-1.draft").write_bytes(b"half a part")
    assert seeds(tmp_path) == [1]
    with Store(tmp_path, HEAD) as store:
        assert store.waiting == [] and not (tmp_path / ".part-1.draft").exists()
    assert seeds(tmp_path) == [1] and len(list((tmp_path / "rows").iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("rows/part-000000.parquet", b"", "cannot be read"),
        ("rows/part-000000 (copy).parquet", b"", "is not a part of the sweep. Move it away."),
        (
            "journal.jsonl",
            b'{"key":"x","seed":1,"axes":{},"code":"c","outcome":{}}\n',
            "journal.jsonl:1: cannot be read",
        ),
        ("sweep.json", b"{}", "sweep.json: cannot be read"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    with Store(tmp_path, HEAD) as store:
        store.add(row(1))
    (tmp_path / name).write_bytes(content)
    for opens in (lambda: Store(tmp_path, HEAD), lambda: open_sweep(tmp_path).rows):
        with pytest.raises(ConfigError) as refused:
            opens()  # type: ignore[no-untyped-call]
        assert complaint in str(refused.value) and "\n" not in str(refused.value)


def test_a_damaged_line_in_the_midst_is_refused_by_its_number(tmp_path: Path) -> None:
    with Store(tmp_path, HEAD):
        pass
    (tmp_path / "journal.jsonl").write_bytes(b"nonsense\n" + msgspec.json.encode(row(1)) + b"\n")
    with pytest.raises(ConfigError, match=r"journal.jsonl:1: cannot be read"):
        Store(tmp_path, HEAD)


def test_a_row_that_is_replaced_stays_until_the_new_one_is_there(tmp_path: Path) -> None:
    with Store(tmp_path, HEAD) as store:
        store.add(row(1, digest=None, status="timeout", verdict=None))
        store.add(row(2))
    with Store(tmp_path, HEAD) as store:
        store.forget({row(1).key: None})
        assert seeds(tmp_path) == [1, 2]
        store.add(row(1))
        assert [one["status"] for one in open_sweep(tmp_path).rows.to_pylist() if one["seed"] == 1] == ["ok"]
        journal = (tmp_path / "journal.jsonl").read_bytes()
    files = sorted((tmp_path / "rows").iterdir())
    assert [pq.read_table(file)["seed"].to_pylist() for file in files] == [[2], [1]], "each key once, for any reader"
    (tmp_path / "journal.jsonl").write_bytes(journal)
    with Store(tmp_path, HEAD) as store:
        assert store.waiting == []


def test_a_replacement_in_the_journal_outlives_a_kill(tmp_path: Path) -> None:
    with Store(tmp_path, HEAD) as store:
        store.add(row(1, digest=None, status="died", verdict=None))
    with Store(tmp_path, HEAD) as store:
        store.forget({row(1).key: None})
        store.add(row(1))
        journal = (tmp_path / "journal.jsonl").read_bytes()
        part = pq.read_table(tmp_path / "rows" / "part-000000.parquet")
    (tmp_path / "rows" / "part-000001.parquet").unlink()
    pq.write_table(part, tmp_path / "rows" / "part-000000.parquet")
    (tmp_path / "journal.jsonl").write_bytes(journal)
    with Store(tmp_path, HEAD) as store:
        assert len(store.waiting) == 1
    assert [one["status"] for one in open_sweep(tmp_path).rows.to_pylist()] == ["ok"]


def test_a_kill_between_a_replacing_part_and_the_end_of_the_replaced_rows_is_mended(tmp_path: Path) -> None:
    with Store(tmp_path, HEAD) as store:
        store.add(row(1, digest=None, status="died", verdict=None))
    again = table_of([msgspec.structs.replace(row(1), attempt=1)], HEAD.axes)
    pq.write_table(again, tmp_path / "rows" / "part-000001.parquet")
    with Store(tmp_path, HEAD):
        pass
    files = sorted((tmp_path / "rows").iterdir())
    assert [pq.read_table(file)["status"].to_pylist() for file in files] == [[], ["ok"]]


def test_a_folder_of_another_sweep_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path, HEAD):
        pass
    for other, difference in (
        ({"fixed": ('experiment="y"',)}, 'only there: experiment="x"; only here: experiment="y"'),
        ({"axes": {"nodes": "integer"}}, "only there: several values of faults"),
        ({"engine": "ray"}, "engine sim there, ray now"),
    ):
        with pytest.raises(ConfigError, match=f"belongs to another sweep: {difference}. Name another"):
            Store(tmp_path, msgspec.structs.replace(HEAD, **other))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="its column nodes has the type integer"):
        Store(tmp_path, msgspec.structs.replace(HEAD, axes={"nodes": "text", "faults": "text"}))


def test_a_folder_that_another_process_writes_is_refused(tmp_path: Path) -> None:
    with (
        Store(tmp_path, HEAD),
        pytest.raises(ConfigError, match=rf"another sweep is writing there \(process {os.getpid()}\)"),
    ):
        Store(tmp_path, HEAD)
    with Store(tmp_path, HEAD):
        pass


@pytest.mark.parametrize("name", ["rows/part-000000.parquet", "result.json", "journal.jsonl"])
def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ConfigError, match=rf"has {name} but no sweep\.json: it is not the folder of a sweep"):
        Store(tmp_path, HEAD)


def test_rows_of_other_code_are_apart(tmp_path: Path) -> None:
    old = msgspec.structs.replace(row(1), key=row(1).key[:20] + "0" * 12, code="0" * 12)
    with Store(tmp_path, HEAD) as store:
        store.add(old)
        store.add(row(2))
    assert seeds(tmp_path) == [2] and open_sweep(tmp_path).all_rows["seed"].to_pylist() == [1, 2]
    with Store(tmp_path, msgspec.structs.replace(HEAD, any_code=True)) as store:
        store.add(row(1))
    assert sorted(zip(seeds(tmp_path), open_sweep(tmp_path).rows["code"].to_pylist(), strict=True)) == [
        (1, "c" * 12), (2, "c" * 12),
    ]  # fmt: skip
    assert len(open_sweep(tmp_path).all_rows) == 3


FULL = """
import resource, sys
from pathlib import Path
from tests.sweep.test_store import HEAD, row
from framework.core.errors import ConfigError
from framework.sweep.store import Store
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    with Store(folder, HEAD) as store:
        for number in range(1000):
            store.add(row(number))
except ConfigError as error:
    print(number, error)
"""


def test_a_disk_without_room_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    number, _, told = ended.stdout.strip().partition(" ")
    assert "cannot be written (No space left on device). What is there is kept: make room" in told and "\n" not in told
    assert seeds(tmp_path) == list(range(int(number)))
    with Store(tmp_path, HEAD) as store:
        assert store.add(row(int(number)))
    assert seeds(tmp_path) == list(range(int(number) + 1))


def test_configs_are_kept_once_and_one_that_was_cut_off_is_written_again(tmp_path: Path) -> None:
    with Store(tmp_path, HEAD) as store:
        store.add_config("a1", "nodes: 3\n")
        store.add_config("a1", "nodes: 3\n")
    file = tmp_path / "configs.jsonl"
    file.write_bytes(file.read_bytes() + b'\n{"config": "b2", "cont')
    with Store(tmp_path, HEAD) as store:
        assert open_sweep(tmp_path).configs == {"a1": {"nodes": 3}}
        store.add_config("b2", "nodes: 5\n")
    assert open_sweep(tmp_path).configs == {"a1": {"nodes": 3}, "b2": {"nodes": 5}}


def test_what_is_no_sweep_is_one_line(tmp_path: Path) -> None:
    for folder, complaint in (
        (tmp_path / "none", "no such folder"),
        (tmp_path, r"is not a sweep: it has no sweep\.json"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            open_sweep(folder)
