"""Parquet and CSV open in other libraries, and hold what the run holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framework import open_run
from framework.export.tables import plain_schema
from framework.trace.schema import EVENTS, HISTORY
from tests.export.runs import exported, recorded, rows_of
from tests.export.test_perfetto import by_hand
from tests.trace.rows import Event


@pytest.fixture(scope="module")
def parquet(chaos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(chaos, "parquet", tmp_path_factory.mktemp("tables") / "parquet")


@pytest.fixture(scope="module")
def csv(chaos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(chaos, "csv", tmp_path_factory.mktemp("tables") / "csv")


def content(run: Any, row: dict[str, Any]) -> Any:
    """What the payload of a row means, by `Run.decode`; a delivery and a drop have none of the message here."""
    if row["kind"] == "drop":
        return {"why": row["payload"].decode()}
    if row["payload"] is None:
        return None
    decoded = run.decode(row)
    return decoded.get("value", decoded) if row["kind"] == "note" else decoded


def test_events_have_the_columns_of_the_trace_and_payloads_as_json(chaos: Path, parquet: Path) -> None:
    run, table = open_run(chaos), pq.read_table(parquet / "events.parquet")
    assert table.schema.remove_metadata().equals(plain_schema(EVENTS))
    rows, told = rows_of(chaos), table.to_pylist()
    assert [{**row, "payload": None} for row in told] == [{**row, "payload": None} for row in rows]
    for row, one in zip(rows, told, strict=True):
        text = None if one["payload"] is None else json.loads(one["payload"])
        due = content(run, row)
        if row["kind"] == "send" and any(isinstance(field, bytes) for field in due.values()):
            assert text.keys() == due.keys()
        elif row["kind"] != "send":
            assert text == due
    vote = next(row for row in told if row["kind"] == "send" and row["message"] == "raft.Vote")
    assert json.loads(vote["payload"]).keys() == {"term", "granted"}


def test_history_is_the_history(chaos: Path, parquet: Path) -> None:
    assert pq.read_table(parquet / "history.parquet").to_pylist() == open_run(chaos).history.to_pylist()


def test_duckdb_answers_questions(chaos: Path, parquet: Path, csv: Path) -> None:
    delivered = open_run(chaos).result["messages"]
    for events in (f"'{parquet}/events.parquet'", f"read_csv('{csv}/events.csv', sample_size=-1)"):
        counted = duckdb.sql(f"SELECT message, count(*) FROM {events} WHERE kind = 'deliver' GROUP BY ALL").fetchall()
        assert dict(counted) == delivered
        terms = duckdb.sql(
            f"SELECT DISTINCT (payload->>'term')::INT FROM {events} WHERE kind = 'send' AND message = 'raft.Vote'"
        ).fetchall()
        assert min(terms) >= (1,)


def test_pandas_reads_both_alike(parquet: Path, csv: Path) -> None:
    for name in ("events", "history"):
        one, other = (
            pd.read_parquet(parquet / f"{name}.parquet"),
            pd.read_csv(csv / f"{name}.csv", keep_default_na=False, na_values=[""]),
        )
        assert list(one.columns) == list(other.columns) and len(one) == len(other) > 0
        for column in one.columns:
            assert one[column].isna().tolist() == other[column].isna().tolist(), (name, column)
            assert one[column].dropna().tolist() == other[column].dropna().tolist(), (name, column)


def test_a_run_without_events_has_empty_columns_for_them(tmp_path: Path) -> None:
    row = (0, "c1", 0, "read", None, "null", '"a,\\"b"', "ok", 0, 5, 6)
    folder = recorded(tmp_path / "run", {}, [row])
    events = exported(folder, "parquet", tmp_path / "parquet") / "events.parquet"
    table = pq.read_table(events)
    assert (table.num_rows, table.schema.remove_metadata()) == (0, plain_schema(EVENTS))
    target = exported(folder, "csv", tmp_path / "csv")
    assert (target / "events.csv").read_text().split() == [",".join(f'"{name}"' for name in EVENTS.names)]
    history = pd.read_csv(target / "history.csv", keep_default_na=False, na_values=[""]).to_dict("records")
    assert [history[0][name] for name in HISTORY.names if name != "key"] == [
        0, "c1", 0, "read", "null", '"a,\\"b"', "ok", 0, 5, 6,
    ]  # fmt: skip


def test_files_of_several_processes_are_one_table_by_time(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "run")
    table = pq.read_table(exported(folder, "parquet", tmp_path / "parquet") / "events.parquet")
    assert table["seq"].to_pylist() == [1, 2, 3, 101, 102, 4, 103, 104, 205]
    sent = json.loads(table["payload"][2].as_py())
    assert sent == {"text": "x" * 1000, "data": "/zE="}  # Base64


def test_a_payload_that_cannot_be_decoded_is_kept(tmp_path: Path) -> None:
    events = [
        Event(1, 1, message="odd", payload=b"{"),
        Event(2, 2, kind=Event(0, 0).kind.SEND, message="x.Y", payload=b"\1"),
    ]
    folder = recorded(tmp_path / "run", {"n1": events})
    table = pq.read_table(exported(folder, "parquet", tmp_path / "parquet") / "events.parquet")
    assert table["payload"].to_pylist() == ['{"undecoded":"ew=="}', '{"undecoded":"AQ=="}']
    assert pa.types.is_string(table.schema.field("payload").type)


def test_the_same_run_is_the_same_files(chaos: Path, parquet: Path, csv: Path, tmp_path: Path) -> None:
    for form, first in (("parquet", parquet), ("csv", csv)):
        second = exported(chaos, form, tmp_path / form)
        for file in sorted(first.iterdir()):
            assert file.read_bytes() == (second / file.name).read_bytes()
