"""The command: where it writes, and one line for what cannot be done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from framework.core.errors import ConfigError
from framework.export.__main__ import FORMATS, main
from framework.export.output import new_output
from framework.runs.folder import draft_beside
from framework.trace.recorder import HistoryRow
from tests.export.runs import recorded, simulated
from tests.export.test_perfetto import by_hand
from tests.trace.rows import Event

READ: HistoryRow = (0, "c1", 0, "read", "x", "null", "1", "ok", 0, 5, 6)
OUTPUTS = {
    "perfetto": ["perfetto.pftrace"],
    "shiviz": ["shiviz.log"],
    "jepsen": ["history.edn"],
    "parquet": ["parquet/events.parquet", "parquet/history.parquet"],
    "csv": ["csv/events.csv", "csv/history.csv"],
}


def line(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a command that ends with 2."""
    capsys.readouterr()
    assert main(words) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1), told
    return told.err.rstrip("\n")


@pytest.mark.parametrize("form", FORMATS)
def test_without_an_output_it_writes_into_the_folder_of_the_run(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = by_hand(tmp_path / "run")
    before = {file for file in folder.rglob("*") if file.is_file()}
    assert main([str(folder), "--format", form]) == 0
    written = {file for file in folder.rglob("*") if file.is_file()} - before
    assert sorted(str(file.relative_to(folder)) for file in written) == OUTPUTS[form]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"export: {folder / OUTPUTS[form][0].partition('/')[0]}"
    told = line([str(folder), "--format", form], capsys)
    assert told.endswith("exists already. Remove it, or choose another with --output.")
    assert {file for file in folder.rglob("*") if file.is_file()} - before == written


def test_help_names_the_formats_and_their_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"\n    {form} " in told for form in FORMATS)
    assert "never overwritten" in " ".join(told.split()) and "perfetto.pftrace" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["RUN"], "framework.export: the following arguments are required: --format. See python -m framework.export"),
        (["RUN", "--format", "perfeto"], "unknown value 'perfeto'. Did you mean 'perfetto'?"),
        (["RUN", "--fromat", "csv"], "framework.export: "),
        (["nowhere", "--format", "csv"], "nowhere: no such run folder."),
        (["empty", "--format", "csv"], "empty: holds no run. Give the folder that holds trace/ and history.arrow."),
        (["RUN", "--format", "csv", "--output", "no/such/place"], "no/such/place: cannot be written (No such file"),
        (["RUN", "--format", "perfetto", "--output", "file/x"], "file/x: cannot be written (Not a directory)"),
        (["RUN", "--format", "jepsen", "--output", "file"], "file: exists already."),
        (["RUN", "--format", "jepsen", "--output", "dangling"], "dangling: exists already."),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    by_hand(tmp_path / "RUN")
    Path("empty").mkdir()
    Path("file").write_text("mine")
    Path("dangling").symlink_to("nothing")
    before = sorted(tmp_path.rglob("*"))
    assert told in line(words, capsys)
    assert sorted(tmp_path.rglob("*")) == before and Path("file").read_text() == "mine"


@pytest.mark.parametrize("form", ["perfetto", "shiviz"])
def test_a_run_without_events_says_how_to_get_them(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = simulated(tmp_path / "run", "experiment=hello", "duration=100ms", "trace=history")
    told = line([str(folder), "--format", form], capsys)
    assert told == f"{folder}: holds no events: it was run with trace=history. Run it again with trace=full."
    assert main([str(folder), "--format", "jepsen"]) == 0
    assert main([str(folder), "--format", "csv"]) == 0


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_without_anything_is_not_exported(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = simulated(tmp_path / "run", "experiment=hello", "duration=100ms", "trace=none", code=2)
    told = line([str(folder), "--format", form], capsys)
    assert "it was run with trace=none" in told and "Run it again with trace=full" in told


def test_a_full_disk_leaves_no_part_of_an_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = recorded(tmp_path / "run", {"n1": [Event(1, 1)]}, [READ])

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for form in FORMATS:
        told = line([str(folder), "--format", form, "--output", str(tmp_path / "out")], capsys)
        assert told.startswith(f"{tmp_path / 'out'}: cannot be written (No space left on device)")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_draft_of_a_killed_export_does_not_stand_in_the_way(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "run")
    left = draft_beside(folder / "csv")
    left.mkdir()
    (left / "events.csv").write_text("half")
    assert main([str(folder), "--format", "csv"]) == 0
    assert (folder / "csv" / "events.csv").stat().st_size > 100


@pytest.mark.parametrize("is_folder", [False, True])
def test_of_two_exports_to_one_target_the_first_complete_one_stays_whole(tmp_path: Path, is_folder: bool) -> None:
    target = tmp_path / "out"

    def write(draft: Path, text: str) -> None:
        if is_folder:
            draft.mkdir()
        (draft / "events" if is_folder else draft).write_text(text)

    with pytest.raises(ConfigError, match="out: exists already"), new_output(target) as slow:
        write(slow, "slow")
        with new_output(target) as fast:
            write(fast, "fast")
    assert (target / "events" if is_folder else target).read_text() == "fast"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
