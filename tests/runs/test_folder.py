"""A run's folder is its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from framework.core.errors import ConfigError
from framework.runs.folder import claim, claim_default, config_yaml, release, write_atomically, write_config


def test_a_folder_that_holds_a_run_is_refused(tmp_path: Path) -> None:
    write_config(claim(tmp_path / "run"), {"seed": 1})

    with pytest.raises(ConfigError, match=r"holds a run already \(config\.yaml\).*run\.dir=FOLDER"):
        claim(tmp_path / "run")


def test_an_empty_folder_may_be_chosen(tmp_path: Path) -> None:
    assert claim(tmp_path) == tmp_path


def test_two_runs_of_one_second_get_two_folders(tmp_path: Path) -> None:
    claimed = [claim_default(tmp_path / "runs" / "hello").name for _ in range(3)]

    assert claimed == ["hello", "hello-2", "hello-3"]


def test_a_folder_below_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"cannot be written \(Not a directory\)"):
        claim(tmp_path / "file" / "run")
    with pytest.raises(ConfigError, match="is a file"):
        claim(tmp_path / "file")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    write_atomically(tmp_path / "result.json", b"{}")

    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    with pytest.raises(ConfigError, match=r"cannot be written \(No such file or directory\)"):
        write_atomically(tmp_path / "gone" / "result.json", b"{}")


def test_a_folder_whose_run_never_began_is_given_back(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        write_config(claim(tmp_path / name), {})
        (tmp_path / name / "trace").mkdir()
        (tmp_path / name / "history.arrow").write_bytes(b"")
    (tmp_path / "theirs" / "notes.txt").write_text("kept")

    release(tmp_path / "ours")
    release(tmp_path / "theirs")

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "theirs",
        "theirs/notes.txt",
    ]


def test_a_config_keeps_the_order_of_its_keys() -> None:
    assert config_yaml({"nodes": 3, "clients": {"b": None, "a": "1s"}}) == "nodes: 3\nclients:\n  b: null\n  a: 1s\n"


def test_a_config_that_cannot_be_written_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("framework.runs.folder.os.fsync", full)
    run_dir = claim(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be written \(No space left on device\)"):
        write_config(run_dir, {"nodes": 3})
    assert list(tmp_path.iterdir()) == []


def test_writers_at_the_same_time_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "result.json"

    def write(number: int) -> None:
        for _ in range(30):
            write_atomically(path, bytes([65 + number]) * 200_000)
            assert len(set(path.read_bytes())) == 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
